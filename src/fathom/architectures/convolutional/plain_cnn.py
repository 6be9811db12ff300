"""A plain convolutional network: convolution, ReLU, pooling, three times over, and one linear layer.

What a network must beat before its ideas count for anything. Ciresan, Meier, Masci, Gambardella and
Schmidhuber (2011) showed that nothing but convolutions and maximum pooling, large enough and trained by
gradients alone, led the tables of the day for digits, toys and small photographs. Here each of three stages

    x -> pool(relu(W * x + b))        W of 3x3, pool: the maximum of each 2x2

halves the side of the map and makes it wider, and a linear layer reads what is left: four layers with
weights, for 32 pixels

    32 -conv-> 32 -pool-> 16 -conv-> 16 -pool-> 8 -conv-> 8 -pool-> 4 -> linear

No normalisation, no shortcut, no branch, no dropout: each of these is the idea of a file beside this one,
and the recipe of each runs beside this net, with about as many parameters, for as long.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Plain convolutional network",
    paper="https://arxiv.org/abs/1102.0183",
    year=2011,
    summary="Three convolutions with pooling and a linear layer: the floor that other families must beat.",
    builds_on=("he",),
    differs=(
        "Three stages and one linear layer; the paper tries more layers and hundreds of maps, on a GPU.",
        "ReLU and He initialisation, with which it learns in minutes; the paper has scaled tanh and small"
        " uniform weights.",
    ),
    oracle="nn.Sequential of torch's own layers, same weights; the equations, place by place, in float64",
)

STAGES = 3


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are for photographs of 32x32 pixels."""

    widths: tuple[int, ...] = (48, 104, 208)  # maps of the three convolutions
    classes: int = 10
    channels: int = 3
    image_size: int = 32

    def __post_init__(self) -> None:
        if len(self.widths) != STAGES or min(self.widths) < 1:
            raise ValueError(
                f"widths is {self.widths}; it must name 1 or more maps for each of {STAGES} layers"
            )
        for name in ("classes", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.image_size < 2**STAGES:
            raise ValueError(
                f"image_size is {self.image_size}; {STAGES} poolings leave nothing of less than {2**STAGES}"
            )

    @property
    def side(self) -> int:
        """Side of the last map: 4 for pictures of 32 pixels."""
        return self.image_size // 2**STAGES

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        return {f"stage_{i}": width for i, width in enumerate(self.widths, 1)}

    def build(self) -> "PlainNet":
        return PlainNet(self)


class Stage(nn.Sequential):
    """Convolution that keeps the size, ReLU, and the maximum of each 2x2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU(inplace=True)  # it commutes with the maximum, and sees a quarter of the values


class PlainNet(nn.Module):
    """Three stages and a linear layer that sees every place of the last map."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = nn.Sequential()
        inputs = cfg.channels
        for name, outputs in cfg.feature_channels.items():
            self.body.add_module(name, Stage(inputs, outputs))
            inputs = outputs
        self.head = nn.Linear(inputs * cfg.side**2, cfg.classes)
        self.init_weights()
        # Channels last is what the processor's convolutions work in; without it each call reorders.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  He normal over fan in, bias 0
        head          uniform within 1 / sqrt(fan in), bias 0
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        bound = self.head.in_features**-0.5
        nn.init.uniform_(self.head.weight, -bound, bound)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits. Raises ``ValueError`` for pictures of another size than the model's."""
        return self.head(self.body(self.checked(image)).flatten(1))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after each stage, by name. Raises as the model does."""
        found: dict[str, Tensor] = {}
        x = self.checked(image)
        for name, part in self.body.named_children():
            x = found[name] = part(x)
        return found

    def checked(self, image: Tensor) -> Tensor:
        """``image`` itself, if its last map has the places that the linear layer reads."""
        height, width = image.shape[-2:]
        if (height // 2**STAGES, width // 2**STAGES) != (self.cfg.side, self.cfg.side):
            size = self.cfg.image_size
            raise ValueError(f"image is {height}x{width} pixels; this model was built for {size}x{size}")
        return image


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(widths=(8, 8, 16), classes=4, channels=1, image_size=16),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.03)),
        batch_size=32,
        steps=60,
    )
