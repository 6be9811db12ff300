"""Image classification: one picture in, one label of a fixed set out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.split import Data
from fathom.deployment.pictures import METHODS
from fathom.report.blocks import Gallery, Picture
from fathom.report.classes import class_sections, majority, score_classes, worst
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot, over_split

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class ImageClassification:
    """Pictures of one size; ``mean`` and ``deviation`` of pixel values in [0, 1], one for each channel.

    A picture of another size is squeezed to it. With ``resize``, which belongs to many published weights, its
    shorter side is brought to that many pixels first, and height and width are those of the middle.
    """

    labels: tuple[str, ...]
    channels: int
    height: int
    width: int
    mean: tuple[float, ...] = (0.5,)
    deviation: tuple[float, ...] = (0.5,)
    ink: str | None = None  # "light": drawings are light on dark; dark on light ones are inverted
    resize: int | None = None  # pixels of the shorter side before the middle is cut out; None: squeeze all
    interpolation: str = "bilinear"  # or "bicubic"

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a classifier needs at least two")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; pictures have 1 (grey) or 3 (colour)")
        if self.interpolation not in METHODS:
            raise ValueError(
                f"interpolation is {self.interpolation!r}; it must be one of {', '.join(METHODS)}"
            )
        if self.resize is not None and self.resize < max(self.height, self.width):
            raise ValueError(
                f"resize is {self.resize}; {self.height}x{self.width} pixels cannot be cut out of that many"
            )
        if self.resize is not None and self.ink:
            raise ValueError(
                f"resize is {self.resize} and ink {self.ink!r}; drawings are laid out by their ink"
            )

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        from fathom.data.formats import image_folder

        if not path.is_dir() or options.target or options.text:
            return None
        found = image_folder.glance(path)
        if found is None:
            return None
        return Sighting(0.9, found)

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["ImageClassification", Data]:
        from fathom.data.formats import image_folder
        from fathom.data.pictures import load_folder

        return load_folder(image_folder.scan(path), options, cls)

    def read_labelled(self, path: Path, options: Options) -> Data:
        from fathom.data.formats import image_folder
        from fathom.data.pictures import load_labelled

        return load_labelled(image_folder.scan(path), options, self)

    def experiment(self, data: Data, seed: int) -> "Experiment":
        from fathom.architectures.convolutional import cifar_resnet, mnist
        from fathom.data.split import InMemory
        from fathom.data.transforms import Flip, Shift
        from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent, OneCycle

        flips = () if self.ink else (Flip(),)
        batch = max(8, min(128, len(data.train) // 10))
        sizes: dict[str, Any] = {
            "image_size": self.height, "channels": self.channels, "classes": len(self.labels),
        }  # fmt: skip
        small = self.height < 28  # fewer pixels than the usual net has places to pool
        return Experiment(
            model=cifar_resnet.Config(depth=8, **sizes) if small else mnist.Config(**sizes),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(
                objective=CrossEntropy(label_smoothing=0.1),
                optimizer=SGD(learning_rate=0.1 * batch / 128, weight_decay=1e-3),
                schedule=OneCycle(),
            ),
            augment=(*flips, Shift(pixels=max(1, self.height // 16))),
            batch_size=batch,
            steps=max(200, 40 * len(data.train) // batch),
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("image", "uint8", ("batch", self.channels, self.height, self.width)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probabilities", "float32", ("batch", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        how: dict[str, Any] = {"channels": self.channels, "height": self.height, "width": self.width}
        how |= {"resize": self.resize} if self.resize else {}
        how |= {"interpolation": self.interpolation} if self.interpolation != "bilinear" else {}
        return [{"operation": "image", "input": "image", **how, "ink": self.ink}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        (image,) = inputs
        scale = torch.tensor(self.deviation, device=image.device).mul(255)[:, None, None]
        shift = torch.tensor(self.mean, device=image.device).mul(255)[:, None, None]
        return ((image.float() - shift) / scale,)

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float().softmax(dim=-1),)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(network, items, self.answer)

    def answer(self, outputs: Arrays) -> dict[str, Any]:
        """The surest label, and the probability of each."""
        shares = outputs["probabilities"]
        named = {label: float(p) for label, p in zip(self.labels, shares, strict=True)}
        return {"label": self.labels[int(shares.argmax())], "probabilities": named}

    def examples(self) -> list[Any]:
        grey = np.linspace(0, 255, self.height * self.width).reshape(self.height, self.width)
        ramp = grey if self.channels == 1 else np.repeat(grey[:, :, None], 3, axis=2)
        return [a.astype(int).tolist() for a in (ramp, np.zeros_like(ramp), np.full_like(ramp, 255))]

    def page(self) -> str:
        draw = " draw" if self.ink else ""
        return f"<image-input{draw}></image-input><label-output></label-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        outputs, targets = over_split(network, self, split)
        return score_classes(outputs["probabilities"], np.concatenate(targets), self.labels)

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """The most frequent class, and the nearest mean picture of a class."""
        assert data.valid is not None
        pictures, labels = rows_of(data.train)
        unseen, truth = rows_of(data.valid)
        means = np.stack([pictures[labels == i].mean(axis=0) for i in range(len(self.labels))])
        distance = ((unseen[:, None] - means[None]) ** 2).mean(axis=2)
        nearness = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / distance.std())
        shares = nearness / nearness.sum(axis=1, keepdims=True)
        return {
            "most frequent class": majority(labels, truth, self.labels),
            "nearest mean picture": score_classes(shares, truth, self.labels),
        }

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        shares = evaluation.detail["probabilities"]
        pictures: list[Picture] = []
        for i in worst(evaluation, 24):
            image, label = split.rows(torch.tensor([i]))
            pixels = image[0].numpy().transpose(1, 2, 0)
            guess = int(shares[i].argmax())
            said = f"said {self.labels[guess]} ({shares[i][guess]:.0%})"
            pictures.append(Picture(pixels.squeeze(), f"is {self.labels[int(label)]}", said))
        gallery = Gallery(pictures, "Wrong predictions, the most confident first.")
        errors = [Section("Worst errors", [gallery])] if pictures else []
        return [*class_sections(evaluation, self.labels), *errors]


def rows_of(split: Any, limit: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    """Up to ``limit`` pictures as flat float32 rows in [0, 1], and their labels."""
    image, label = split.rows(torch.arange(min(limit, len(split))))
    return image.reshape(len(image), -1).numpy().astype(np.float32) / 255, label.numpy()


TASK = ImageClassification
