"""Image classification: one picture in, one label of a fixed set out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.task import Arrays, Network, Port, one_shot

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class ImageClassification:
    """Pictures of one size; ``mean`` and ``deviation`` of pixel values in [0, 1], one for each channel."""

    labels: tuple[str, ...]
    channels: int
    height: int
    width: int
    mean: tuple[float, ...] = (0.5,)
    deviation: tuple[float, ...] = (0.5,)
    ink: str | None = None  # "light": drawings are light on dark; dark on light ones are inverted

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a classifier needs at least two")
        if self.channels not in (1, 3):
            raise ValueError(f"channels is {self.channels}; pictures have 1 (grey) or 3 (colour)")

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("image", "uint8", ("batch", self.channels, self.height, self.width)),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probabilities", "float32", ("batch", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        sizes = {"channels": self.channels, "height": self.height, "width": self.width}
        return [{"operation": "image", "input": "image", **sizes, "ink": self.ink}]

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


TASK = ImageClassification
