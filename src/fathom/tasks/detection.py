"""Box detection: a picture of any size in, boxes with labels and scores out.

The network answers for every cell of its grid; which of these answers are given is decided in ``respond``,
which is not tensor algebra: scores above ``threshold``, doubles suppressed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.errors import InputError
from fathom.fundamentals.box_scores import average_precision, hits, precision_recall, suppress
from fathom.report.blocks import Gallery, LineChart, Picture, Table
from fathom.report.classes import ratio
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training import Experiment

Found = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes (k, 4), labels (k,), scores (k,), best first
FAINT = 0.05  # the lowest score that counts for the precision-recall curve
MOST = 100  # boxes of one picture
CONSIDERED = 1000  # scores that are looked at: every pair of their boxes is compared
CLOSE = 0.5  # overlap with a true box from which on a box is right
ROWS = 8  # pictures that are scored at once
SHOWN = 6  # pictures in the report
SIDE = 1280  # pixels: a longer picture of a training folder is refused
SMALL = 400  # pixels: longer pictures are averaged down to this before the network looks at them


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Boxes of the classes ``labels`` in colour pictures; sides are padded to multiples of ``multiple``."""

    labels: tuple[str, ...]
    multiple: int = 8  # pixels from one cell of the network's grid to the next
    threshold: float = 0.4  # the lowest score that is answered
    doubles: float = 0.5  # boxes of one class that overlap more are the same object

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError("labels is empty; a detector needs at least one class")
        if self.multiple < 8 or self.multiple % 8:
            raise ValueError(f"multiple is {self.multiple}; it must be a multiple of 8, 8 or more")
        for name in ("threshold", "doubles"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        from fathom.data.voc import looks_like

        count = looks_like(path)
        if not count:
            return None
        return Sighting(0.95, (f"Annotations/ with {count} XML files of boxes (VOC), JPEGImages/ beside it",))

    @classmethod
    def read(cls, path: Path, options: Options) -> "tuple[Detection, Data]":
        from fathom.data import voc
        from fathom.data.split import Data, Part, held_out

        found = voc.read(path, longest=SIDE, skip_bad=options.skip_bad)
        if len(found.pictures) < 2:
            raise InputError(f"{path} has {len(found.pictures)} pictures with boxes; two or more are needed")
        train, valid = held_out(len(found.pictures), 0.2, options.seed)
        task = cls(labels=found.names, multiple=8 * -(-found.longest // SMALL))
        whole = found.split(found.names, task.multiple)
        facts = {"source": path.name, "pictures": len(whole), "skipped": found.skipped}
        return task, Data(Part(whole, train), Part(whole, valid), facts=facts)

    def read_labelled(self, path: Path, options: Options) -> "Data":
        from fathom.data import voc
        from fathom.data.split import Data

        found = voc.read(path, longest=SIDE, skip_bad=options.skip_bad)
        strange = sorted(set(found.names) - set(self.labels))
        if strange:
            raise InputError(f"{path} holds {strange[0]!r}; the model knows: {', '.join(self.labels)}")
        return Data(
            None,
            test=found.split(self.labels, self.multiple),
            facts={"source": path.name, "skipped": found.skipped},
        )

    def experiment(self, data: "Data", seed: int) -> "Experiment":
        from fathom.applications.detection import grid_detector
        from fathom.data.boxes import Mirror
        from fathom.data.split import InMemory
        from fathom.training import Adam, Experiment, GradientDescent, OneCycle

        return Experiment(
            model=grid_detector.Config(classes=len(self.labels), shrink=self.multiple // 8),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(
                objective=grid_detector.CellTargets(stride=self.multiple),
                optimizer=Adam(learning_rate=4e-3),
                schedule=OneCycle(),
                clip_norm=10.0,
            ),
            augment=(Mirror(),),
            batch_size=8,
            steps=max(400, 4 * len(data.train)),
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("image", "uint8", ("batch", 3, "height", "width")),)

    def outputs(self) -> tuple[Port, ...]:
        return (
            Port("scores", "float32", ("batch", "cells", len(self.labels))),
            Port("boxes", "float32", ("batch", "cells", 4)),
        )

    def preprocessing(self) -> list[dict[str, Any]]:
        sizes = {"channels": 3, "height": None, "width": None, "multiple": self.multiple}
        return [{"operation": "image", "input": "image", **sizes}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        (image,) = inputs
        return (image.float() / 255,)  # black stays 0: padding is what a convolution pads with

    def finish(self, output: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        scores, boxes = output
        return scores.float().sigmoid(), boxes.float()

    # -- answers -------------------------------------------------------------------------------------
    def collate(self, items: Sequence[Arrays]) -> Arrays:
        """Pictures padded at the right and bottom to the largest height and width among them."""
        images = [item["image"] for item in items]
        height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
        padded = np.zeros((len(images), 3, height, width), dtype=np.uint8)
        for row, image in zip(padded, images, strict=True):
            row[:, : image.shape[1], : image.shape[2]] = image
        return {"image": padded}

    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        """Pictures of one size run together: no answer depends on who else asks."""

        def sized(arrays: Arrays) -> Arrays:
            size = np.array(arrays["image"].shape[:1] + arrays["image"].shape[2:])
            return network(arrays) | {"size": np.repeat(size[None, 1:], size[0], axis=0)}

        return one_shot(sized, items, self.answer)

    def answer(self, outputs: Arrays) -> dict[str, Any]:
        """The boxes of one picture, best first, cut at its edges."""
        height, width = (int(side) for side in outputs["size"])
        boxes, labels, scores = self.select(outputs["scores"], outputs["boxes"], self.threshold)
        boxes = np.clip(boxes, 0, (width, height, width, height))
        found = [
            {"label": self.labels[k], "score": float(s), "box": [float(v) for v in box]}
            for box, k, s in zip(boxes, labels, scores, strict=True)
        ]
        return {"boxes": found}

    def select(self, scores: np.ndarray, boxes: np.ndarray, threshold: float) -> Found:
        """At most ``MOST`` boxes of one picture that score ``threshold`` or more, without doubles."""
        scores = np.round(scores, 4)  # equal cells stay equal, whatever the last bits of a backend
        cell, label = np.nonzero(scores >= threshold)
        best = np.argsort(-scores[cell, label], kind="stable")[:CONSIDERED]
        cell, label = cell[best], label[best]
        kept: list[np.ndarray] = []
        for k in np.unique(label):
            own = np.flatnonzero(label == k)
            kept.append(own[suppress(boxes[cell[own]], scores[cell[own], k], self.doubles)])
        chosen = np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)
        value = scores[cell[chosen], label[chosen]]
        best = np.argsort(-value, kind="stable")[:MOST]
        return boxes[cell[chosen[best]]], label[chosen[best]], value[best]

    def examples(self) -> list[Any]:
        ramp = np.linspace(0, 255, 40 * 52 * 3).reshape(40, 52, 3).astype(int)
        return [ramp.tolist(), np.zeros((24, 70, 3), dtype=int).tolist(), [[[255, 255, 255]]]]

    def page(self) -> str:
        return "<image-input></image-input><boxes-output></boxes-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        """Mean average precision at an overlap of 0.5; recall and precision at ``threshold``."""
        found: list[Found] = []
        truths: list[np.ndarray] = []
        for first in range(0, len(split), ROWS):
            image, truth = split.rows(torch.arange(first, min(first + ROWS, len(split))))
            outputs = network({"image": image.numpy()})
            for scores, boxes in zip(outputs["scores"], outputs["boxes"], strict=True):
                found.append(self.select(scores, boxes, FAINT))
            truths += [row[row[:, 0] >= 0] for row in truth.numpy()]
        return self.score(found, truths)

    def score(self, found: Sequence[Found], truths: Sequence[np.ndarray]) -> Evaluation:
        """``found`` against ``truths``, (count, 5) with label, left, top, right, bottom, by picture."""
        classes: dict[str, dict[str, Any]] = {}
        recalled, precise = [], []
        for k, name in enumerate(self.labels):
            scores, right, seen = [], [], []
            for (boxes, labels, values), truth in zip(found, truths, strict=True):
                own, sure = labels == k, (labels == k) & (values >= self.threshold)
                true = truth[truth[:, 0] == k, 1:]
                scores.append(values[own])
                right.append(hits(boxes[own], true, CLOSE)[0])
                seen.append(hits(boxes[sure], true, CLOSE)[1])
            value, good, hit = (np.concatenate(v) if v else np.zeros(0) for v in (scores, right, seen))
            classes[name] = {"scores": value, "right": good, "found": hit}
            recalled.append(hit)
            precise.append(good[value >= self.threshold])
        present = {n: c for n, c in classes.items() if len(c["found"])}
        if not present:
            raise InputError("no picture of this split has a box, so there is nothing to score")
        for c in present.values():
            c["average_precision"] = average_precision(c["scores"], c["right"], len(c["found"]))
        items = {
            "recall": np.concatenate(recalled).astype(np.float64),
            "precision": np.concatenate(precise).astype(np.float64),
        }
        mean = float(np.mean([c["average_precision"] for c in present.values()]))
        rates = {name: float(v.mean()) if len(v) else 0.0 for name, v in items.items()}
        return Evaluation(
            metrics={"mean_average_precision": mean, **rates},
            headline="mean_average_precision",
            items=items,
            detail={"classes": classes, "found": list(found), "truths": list(truths)},
        )

    def baselines(self, data: "Data") -> dict[str, Evaluation]:
        """The mean box of the most frequent class, laid out side by side over every picture."""
        if data.valid is None:
            return {}
        truth = torch.cat([data.train.rows(torch.tensor([i]))[1][0] for i in range(len(data.train))]).numpy()
        truth = truth[truth[:, 0] >= 0]
        common = int(np.bincount(truth[:, 0].astype(int)).argmax())
        own = truth[truth[:, 0] == common]
        width, height = np.maximum((own[:, 3:] - own[:, 1:3]).mean(axis=0), 1)
        found: list[Found] = []
        truths: list[np.ndarray] = []
        for i in range(len(data.valid)):
            image, row = data.valid.rows(torch.tensor([i]))
            left, top = np.meshgrid(np.arange(0, image.shape[3], width), np.arange(0, image.shape[2], height))
            corners = np.stack([left.ravel(), top.ravel()], axis=1)
            boxes = np.concatenate([corners, corners + np.array([width, height])], axis=1)
            found.append((boxes, np.full(len(boxes), common), np.full(len(boxes), self.threshold)))
            truths.append(row[0].numpy()[row[0, :, 0].numpy() >= 0])
        return {"mean box everywhere": self.score(found, truths)}

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        detail = evaluation.detail
        rows, curves = [], {}
        for name, c in detail["classes"].items():
            sure = c["scores"] >= self.threshold
            rates = (c.get("average_precision"), ratio(c["found"].sum(), len(c["found"])),
                     ratio(c["right"][sure].sum(), sure.sum()))  # fmt: skip
            shown = (f"{v:.3f}" if v is not None else "-" for v in rates)
            rows.append([name, len(c["found"]), *shown])
            if len(c["found"]) and len(c["scores"]):
                precision, recall = precision_recall(c["scores"], c["right"], len(c["found"]))
                curves[name] = np.stack([recall, precision], axis=1)
        at = f"at a score of {self.threshold}"
        table = Table(("class", "boxes", "average precision", f"recall {at}", f"precision {at}"), rows)
        chart = LineChart(curves, "recall", "precision", "What is right among the boxes found so far.")
        pictures = [self.picture(split, i, detail["found"][i]) for i in range(min(SHOWN, len(split)))]
        return [
            Section(
                "Boxes", [Gallery(pictures, f"The first pictures, with boxes that score {self.threshold}.")]
            ),
            Section("Classes", [table, chart]),
        ]

    def picture(self, split: Any, place: int, found: Found) -> Picture:
        image, truth = split.rows(torch.tensor([place]))
        pixels = np.ascontiguousarray(image[0].numpy().transpose(1, 2, 0))
        drawn = [
            (float(b[0]), float(b[1]), float(b[2]), float(b[3]), self.labels[k], float(s))
            for b, k, s in zip(*found, strict=True)
            if s >= self.threshold
        ]
        true = int((truth[0, :, 0] >= 0).sum())
        return Picture(pixels, f"picture {place}", f"{len(drawn)} found, {true} true", drawn)


TASK = Detection
