"""Several labels: one picture in, those of a fixed set that it shows out, each with its probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.split import Data
from fathom.errors import InputError
from fathom.report.blocks import Gallery, Picture
from fathom.report.label_sets import hardest_items, label_sections, score_labels
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot, over_split

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

SHOWN = 24  # pictures in the report


@dataclass(frozen=True, kw_only=True)
class MultiLabel:
    """Pictures of one size; ``mean`` and ``deviation`` of pixel values in [0, 1], one for each channel."""

    labels: tuple[str, ...]
    channels: int
    height: int
    width: int
    mean: tuple[float, ...] = (0.5,)
    deviation: tuple[float, ...] = (0.5,)
    threshold: float = 0.5  # the lowest probability of a label that is answered

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError("labels is empty; there must be at least one to find")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; pictures have 1 (grey) or 3 (colour)")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold}; it must lie between 0 and 1")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        from fathom.data.formats import labelled_pictures

        found = None if options.text else labelled_pictures.glance(path, options)
        return None if found is None else Sighting(0.95, found)

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["MultiLabel", Data]:
        from fathom.data import picture_labels
        from fathom.data.formats import labelled_pictures

        if options.fixed:
            raise InputError(
                f"{path}: pictures with several labels each are learned from nothing; leave out --from, whose"
                " weights decide how pictures of one class each are cut"
            )
        return picture_labels.load(labelled_pictures.scan(path, options), options, cls)

    def read_labelled(self, path: Path, options: Options) -> Data:
        from fathom.data import picture_labels
        from fathom.data.formats import labelled_pictures

        return picture_labels.load_labelled(labelled_pictures.scan(path, options), options, self)

    def experiment(self, data: Data, seed: int) -> "Experiment":
        from fathom.applications.recognition import label_finder
        from fathom.data.split import InMemory
        from fathom.training import Adam, Experiment, GradientDescent, OneCycle

        batch = max(8, min(64, len(data.train) // 10))
        return Experiment(
            model=label_finder.Config(
                classes=len(self.labels), channels=self.channels, image_size=min(self.height, self.width)
            ),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(
                objective=label_finder.EachLabel(),
                optimizer=Adam(learning_rate=4e-3),
                schedule=OneCycle(),
            ),
            batch_size=batch,
            steps=max(200, 20 * len(data.train) // batch),
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("image", "uint8", ("batch", self.channels, self.height, self.width)),)

    def outputs(self) -> tuple[Port, ...]:
        # Not "probabilities", which add up to one and are calibrated together.
        return (Port("presence", "float32", ("batch", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        sizes = {"channels": self.channels, "height": self.height, "width": self.width}
        return [{"operation": "image", "input": "image", **sizes}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        (image,) = inputs
        scale = torch.tensor(self.deviation, device=image.device).mul(255)[:, None, None]
        shift = torch.tensor(self.mean, device=image.device).mul(255)[:, None, None]
        return ((image.float() - shift) / scale,)

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float().sigmoid(),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(network, items, self.answer)

    def answer(self, outputs: Arrays) -> dict[str, Any]:
        """The labels at or above the threshold, the surest first, and the probability of each label."""
        shares = outputs["presence"]
        surest = np.argsort(-shares, kind="stable")
        found = [self.labels[k] for k in surest if shares[k] >= self.threshold]
        return {"labels": found, "probabilities": dict(zip(self.labels, map(float, shares), strict=True))}

    def examples(self) -> list[Any]:
        grey = np.linspace(0, 255, self.height * self.width).reshape(self.height, self.width)
        ramp = grey if self.channels == 1 else np.repeat(grey[:, :, None], 3, axis=2)
        return [a.astype(int).tolist() for a in (ramp, np.zeros_like(ramp), np.full_like(ramp, 255))]

    def page(self) -> str:
        return "<image-input></image-input><label-output></label-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        outputs, targets = over_split(network, self, split)
        return score_labels(outputs["presence"], np.concatenate(targets), self.labels, self.threshold)

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """Each label as often as in the training pictures, whatever the picture shows."""
        assert data.valid is not None
        train, valid = (s.rows(torch.arange(len(s)))[-1].numpy() for s in (data.train, data.valid))
        shares = np.repeat(train.mean(axis=0, keepdims=True), len(valid), axis=0)
        return {"how frequent each label is": score_labels(shares, valid, self.labels, self.threshold)}

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        shares, truth = evaluation.detail["probabilities"], evaluation.detail["truth"]
        pictures: list[Picture] = []
        for i in hardest_items(evaluation, SHOWN):
            pixels = split.rows(torch.tensor([i]))[0][0].numpy().transpose(1, 2, 0)
            said = f"said {self.named(shares[i] >= self.threshold)}"
            pictures.append(Picture(pixels.squeeze(), f"shows {self.named(truth[i])}", said))
        errors = [Section("Worst errors", [Gallery(pictures, "What was told most wrongly, worst first.")])]
        return [*label_sections(evaluation, self.labels, self.threshold), *(errors if pictures else [])]

    def named(self, chosen: np.ndarray) -> str:
        """The labels of a row of booleans, in words."""
        return ", ".join(self.labels[k] for k in np.flatnonzero(chosen)) or "none"


TASK = MultiLabel
