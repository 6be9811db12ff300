"""A convolutional network for digits that is fast on a processor: MNIST in well under a minute.

Where the time goes decides the shape. On a CPU a convolution costs what it multiplies, and most of that
is done while the maps are large. So the first convolution sees 5x5 pixels and moves two at a time; the
second is followed by pooling *before* its normalisation and activation, which then touch a quarter of
the values; nothing is padded after that, so the maps shrink by themselves until 2x2 are left and a
single linear layer reads them:

    28 -5x5/2-> 14 -3x3-> 12 -pool-> 6 -3x3-> 4 -3x3-> 2 -> linear

Batch normalisation (Ioffe and Szegedy 2015) lets it learn with a large rate, and one cycle of the rate,
up and down again, is all the schedule (Smith and Topin 2018, "Super-Convergence").

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Fast convolutional network for digits",
    paper="https://arxiv.org/abs/1708.07120",
    year=2018,
    summary="A small plain convolutional network whose shape is chosen for speed on a processor.",
    differs=(
        "The paper trains residual networks on photographs; here its one-cycle schedule trains a plain net.",
        "Pooling stands before normalisation and activation, which then cost a quarter.",
    ),
    oracle="nn.Sequential of torch's own layers, same weights",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are for digits of 28x28 pixels."""

    image_size: int = 28
    channels: int = 1
    classes: int = 10
    width: int = 24  # maps of the first convolution; the others have 2, 8/3 and 4 times as many

    def __post_init__(self) -> None:
        if self.image_size < 28:
            raise ValueError(f"image_size is {self.image_size}; it must be 28 or more")
        for name in ("channels", "classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.width < 3 or self.width % 3:
            raise ValueError(f"width is {self.width}; it must be a multiple of 3")

    @property
    def side(self) -> int:
        """Side of the last maps: 2 for digits."""
        return ((self.image_size + 1) // 2 - 2) // 2 - 4

    def build(self) -> "DigitNet":
        return DigitNet(self)


class Stage(nn.Module):
    """Convolution, pooling where wanted, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, padding: int, pool: bool) -> None:
        super().__init__()
        # Normalisation takes the mean away, so a bias would do nothing.
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b maps rows columns"]:
        return torch.relu(self.norm(self.pool(self.convolution(x))))


class DigitNet(nn.Module):
    """Four stages and a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        narrow, wide, wider, widest = cfg.width, 2 * cfg.width, 8 * cfg.width // 3, 4 * cfg.width
        self.stages = nn.Sequential(
            Stage(cfg.channels, narrow, kernel=5, stride=2, padding=2, pool=False),
            Stage(narrow, wide, kernel=3, stride=1, padding=0, pool=True),
            Stage(wide, wider, kernel=3, stride=1, padding=0, pool=False),
            Stage(wider, widest, kernel=3, stride=1, padding=0, pool=False),
        )
        # Larger pictures end in larger maps: their mean over four quarters keeps the head small.
        self.quarters = nn.AvgPool2d(cfg.side // 2) if cfg.side > 3 else nn.Identity()
        rest = 2 if cfg.side > 3 else cfg.side
        self.head = nn.Linear(widest * rest * rest, cfg.classes)
        self.init_weights()
        # Channels last is what the processor's convolutions work in; without it each call reorders.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  normal, std = sqrt(2 / fan in)  (He et al. 2015)
        norms         weight 1, bias 0
        head          uniform within 1 / sqrt(fan in), bias 0
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        bound = self.head.in_features**-0.5
        nn.init.uniform_(self.head.weight, -bound, bound)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        return self.head(self.quarters(self.stages(image)).flatten(1))


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(image_size=28, classes=4, width=6),
        data=bars(size=28, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=28, width=28),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.05)),
        batch_size=32,
        steps=60,
    )
