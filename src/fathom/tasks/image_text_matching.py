"""Image-text matching: a picture and a caption in, the probability that they fit out.

An item is ``{"image": ..., "text": ...}``. Of a split, rows are ``(image, tokens, kind)``: captions fit the
pictures of their own kind, and ``candidates`` holds one caption for each kind, which retrieval chooses from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from fathom.errors import InputError
from fathom.report.blocks import BarChart, Calibration, Gallery, Heatmap, Picture
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training import Experiment

ROWS = 500  # pictures that are scored at once
SHOWN = 12  # pictures in the report
PADDING, UNKNOWN = 0, 1  # the first two words of every vocabulary


@dataclass(frozen=True, kw_only=True)
class ImageTextMatching:
    """Pictures of one size; captions of at most ``length`` words out of ``vocabulary``."""

    candidates: tuple[str, ...]  # one caption a kind, in order
    vocabulary: tuple[str, ...]  # the first two stand for padding and for unknown words
    length: int
    channels: int
    height: int
    width: int
    ink: str | None = None  # "light": drawings are light on dark; dark on light ones are inverted

    def __post_init__(self) -> None:
        if len(self.candidates) < 2:
            raise ValueError(f"candidates has {len(self.candidates)} captions; choosing needs at least two")
        if len(self.vocabulary) < 3:
            raise ValueError(f"vocabulary has {len(self.vocabulary)} entries; it needs two marks and a word")
        if self.length < 1:
            raise ValueError(f"length is {self.length}; captions have 1 word or more")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; pictures have 1 (grey) or 3 (colour)")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        return None

    @classmethod
    def read(cls, path: Path, options: Options) -> "tuple[ImageTextMatching, Data]":
        raise InputError(
            f"{path}: captioned pictures are not read from files; give rows as Tensors in Python"
        )

    def read_labelled(self, path: Path, options: Options) -> "Data":
        raise InputError(
            f"{path}: captioned pictures are not read from files; give rows as Tensors in Python"
        )

    def experiment(self, data: "Data", seed: int) -> "Experiment":
        from fathom.data.split import InMemory
        from fathom.multimodal import image_text
        from fathom.training import Adam, Experiment, GradientDescent

        return Experiment(
            model=image_text.Config(
                size=self.height, channels=self.channels, vocabulary=len(self.vocabulary)
            ),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(objective=image_text.EveryPair(), optimizer=Adam(learning_rate=2e-3)),
            batch_size=128,
            steps=1000,
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("image", "uint8", ("batch", self.channels, self.height, self.width)),
            Port("tokens", "int64", ("batch", self.length)),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probability", "float32", ("batch",)),)

    def preprocessing(self) -> list[dict[str, Any]]:
        sizes = {"channels": self.channels, "height": self.height, "width": self.width, "ink": self.ink}
        marks = {"unknown": UNKNOWN, "padding": PADDING, "length": self.length}
        known = {"unit": "word", "vocabulary": list(self.vocabulary)}
        return [
            {"operation": "image", "input": "image", "field": "image", **sizes},
            {"operation": "tokens", "input": "tokens", "field": "text", **known, **marks},
        ]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        image, tokens = inputs
        return image.float() / 127.5 - 1, tokens

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float().sigmoid(),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(network, items, self.answer)

    def answer(self, outputs: dict[str, Any]) -> dict[str, Any]:
        """Whether the caption fits, and how likely that is."""
        probability = float(outputs["probability"])
        shares = {"fits": probability, "does not fit": 1 - probability}
        return {"label": max(shares, key=lambda label: shares[label]), "probabilities": shares}

    def examples(self) -> list[Any]:
        grey = np.linspace(0, 255, self.height * self.width).reshape(self.height, self.width)
        ramp = grey if self.channels == 1 else np.repeat(grey[:, :, None], 3, axis=2)
        ramp = ramp.astype(int)
        return [
            {"image": ramp.tolist(), "text": self.candidates[0]},
            {"image": np.zeros_like(ramp).tolist(), "text": self.candidates[-1]},
            {"image": np.full_like(ramp, 255).tolist(), "text": ""},
            {"image": ramp.tolist(), "text": "words that nobody taught it, and far too many of them at once"},
        ]

    def page(self) -> str:
        draw = " draw" if self.ink else ""
        text = '<text-input field="text"></text-input>'
        return f'<image-input field="image"{draw}></image-input>{text}<label-output></label-output>'

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """``retrieval``: the best candidate is right. ``matching``: the own caption fits, a wrong one not.

        The wrong caption of a picture is that of the next picture of another kind.
        """
        import torch

        choice = self.encoded()
        parts: list[tuple[np.ndarray, ...]] = []
        everything = split.rows(torch.arange(len(split)))
        _, captions, kinds = (np.asarray(column) for column in everything)
        strange = next_of_other_kind(kinds)
        for first in range(0, len(split), ROWS):
            image = everything[0][first : first + ROWS].numpy()
            here = slice(first, first + len(image))
            own = network({"image": image, "tokens": captions[here]})["probability"]
            wrong = network({"image": image, "tokens": captions[strange[here]]})["probability"]
            table = [
                network({"image": image, "tokens": np.repeat(row[None], len(image), axis=0)})["probability"]
                for row in choice
            ]
            parts.append((own, wrong, np.stack(table, axis=1)))
        own, wrong, table = (np.concatenate(column) for column in zip(*parts, strict=True))
        items = {
            "retrieval": (table.argmax(axis=1) == kinds).astype(np.float64),
            "matching": ((own >= 0.5).astype(np.float64) + (wrong < 0.5)) / 2,
        }
        return Evaluation(
            metrics={name: float(values.mean()) for name, values in items.items()},
            headline="retrieval",
            items=items,
            detail={"table": table, "kinds": kinds, "own": own, "wrong": wrong},
        )

    def encoded(self) -> np.ndarray:
        """The candidates as tokens, int64 (kinds, length)."""
        from fathom.deployment import preprocessing

        settings = self.preprocessing()[1]
        return np.stack([preprocessing.tokens(text, settings) for text in self.candidates])

    def baselines(self, data: "Data") -> dict[str, Evaluation]:
        """What choosing the most frequent kind, and saying that nothing fits, would reach."""
        if data.valid is None:
            return {}
        import torch

        train = data.train.rows(torch.arange(len(data.train)))[-1].numpy()
        kinds = data.valid.rows(torch.arange(len(data.valid)))[-1].numpy()
        right = (np.bincount(train, minlength=len(self.candidates)).argmax() == kinds).astype(np.float64)
        items = {"retrieval": right, "matching": np.full(len(kinds), 0.5)}
        metrics = {name: float(values.mean()) for name, values in items.items()}
        return {"most frequent kind, nothing fits": Evaluation(metrics, "retrieval", items)}

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        import torch

        detail = evaluation.detail
        table, kinds = detail["table"], detail["kinds"]
        mean = np.stack([table[kinds == k].mean(axis=0) for k in np.unique(kinds)])
        names = [self.candidates[k] for k in np.unique(kinds)]
        fits = Heatmap(
            names, list(self.candidates), mean, "Mean probability that a caption fits, by picture."
        )
        shares = [float(evaluation.items["retrieval"][kinds == k].mean()) for k in np.unique(kinds)]
        kind = BarChart(names, shares, caption="Pictures that find their caption among all.")
        sure = np.concatenate([detail["own"], detail["wrong"]])
        right = np.concatenate([np.ones(len(kinds), bool), np.zeros(len(kinds), bool)])
        honest = Calibration(sure, right, "How often a caption of a given probability fits.")
        chosen = table.argmax(axis=1)
        wrong = np.flatnonzero(chosen != kinds)
        wrong = wrong[np.argsort(-table[wrong, chosen[wrong]], kind="stable")][:SHOWN]
        images = split.rows(torch.from_numpy(wrong))[0].numpy()
        pictures = [
            Picture(as_picture(image), self.candidates[chosen[i]], f"right: {self.candidates[kinds[i]]}")
            for i, image in zip(wrong, images, strict=True)
        ]
        gallery = Gallery(pictures, "The surest wrong choices.")
        return [
            Section("Captions", [fits, kind]),
            Section("Probabilities", [honest]),
            Section("Mistakes", [gallery]),
        ]


def next_of_other_kind(kinds: np.ndarray) -> np.ndarray:
    """For each row the number of the next one, around the end, whose kind differs."""
    count = len(kinds)
    if len(np.unique(kinds)) < 2:
        raise InputError("all captions of the split are of one kind, so none can be wrong; give two or more")
    place = np.arange(count)
    found = (place + 1) % count
    while (same := kinds[found] == kinds).any():
        found = np.where(same, (found + 1) % count, found)
    return found


def as_picture(image: np.ndarray) -> np.ndarray:
    """uint8 (c, h, w) as a picture of the report."""
    return image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0))


TASK = ImageTextMatching
