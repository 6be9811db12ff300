"""Residual network for small pictures: a block learns what to add to its input, so depth does no harm.

A plain stack of convolutions gets worse as it gets deeper, on its own training data too: not what it could
express is in the way, but what gradient descent finds. He, Zhang, Ren and Sun (2016) let each block of two
layers learn a difference F instead of a whole map (their equations 1 and 2):

    y = f(F(x) + s(x))      F(x) = N(W2 f(N(W1 x)))      f the activation, N the normalisation, s a shortcut

If nothing is to be done, F = 0 is easy to learn; and dy/dx holds the slope of s, a way back to the first
layer that no W is on. In section 4.2 three stages of n blocks follow a first convolution, with w, 2w and 4w
channels on maps of side z, z/2 and z/4, then the mean over all places and a linear layer: 6n + 2 layers.
Where a stage begins, s takes every second pixel and adds channels of zeros (option A, "identity", no
weights), or is a 1x1 convolution of stride 2 (option B, "projection"). Without s (``skip=False``) it is the
plain net of the paper. Activation, normalisation and initialisation can be exchanged one by one, to see
what each is worth.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.activations.elu import ELU
from fathom.fundamentals.activations.gelu import GELU
from fathom.fundamentals.activations.swish import Swish
from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.initialization.xavier import xavier_normal_
from fathom.fundamentals.normalization.batch_norm import BatchNorm
from fathom.fundamentals.normalization.group_norm import GroupNorm

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Residual network for CIFAR",
    paper="https://arxiv.org/abs/1512.03385",
    year=2016,
    summary="Blocks add to their input instead of replacing it, so that nets of dozens of layers can learn.",
    rows=("NF11",),
    builds_on=("elu", "gelu", "swish", "he", "xavier", "batch_norm", "group_norm"),
    differs=(
        "Zeros of option A stand behind the channels that are handed on; the paper does not say where.",
        "Pixels are brought to mean 0 and deviation 1 by channel; the paper subtracts a mean picture.",
        "Weight decay spares biases and normalisation, as everywhere in this package.",
        "The recipes train for 1 to 4 epochs with one cycle of the rate, on a processor; the paper for 180.",
    ),
    oracle="torchvision's BasicBlock and a net made of it, same weights: outputs, gradients, statistics; "
    "option A by loops; the paper's parameter counts",
)

Activation = Literal["relu", "elu", "swish", "gelu", "mish", "tanh", "sigmoid"]
Normalization = Literal["batch", "group", "layer", "identity"]
Initialization = Literal["he", "xavier"]
Shortcut = Literal["identity", "projection"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU, "elu": ELU, "swish": Swish, "gelu": GELU, "mish": nn.Mish, "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model, and its switches. The defaults are the paper's smallest net."""

    depth: int = 20  # layers with weights: 6n + 2
    width: int = 16  # channels of the first stage
    classes: int = 10
    channels: int = 3
    image_size: int = 32  # what it is meant for; the weights fit other sizes too
    shortcut: Shortcut = "identity"  # where a stage begins; elsewhere it is the identity
    skip: bool = True
    activation: Activation = "relu"
    normalization: Normalization = "batch"  # "identity": none, and biases instead
    initialization: Initialization = "he"  # of the convolutions

    def __post_init__(self) -> None:
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"depth is {self.depth}; it must be 6n + 2: 8, 14, 20, 26, ...")
        for name in ("width", "classes", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.image_size < 8:
            raise ValueError(f"image_size is {self.image_size}; it must be 8 or more")
        for name, kinds in (
            ("shortcut", Shortcut), ("activation", Activation), ("normalization", Normalization),
            ("initialization", Initialization),
        ):  # fmt: skip
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {get_args(kinds)}")

    @property
    def blocks(self) -> tuple[tuple[int, int, int], ...]:
        """(channels in, channels out, stride) of each block."""
        inputs, found = self.width, []
        for stage in range(3):
            outputs = self.width * 2**stage
            for place in range((self.depth - 2) // 6):
                found.append((inputs, outputs, 2 if stage and not place else 1))
                inputs = outputs
        return tuple(found)

    @property
    def multiply_adds(self) -> int:
        """What one picture costs in the convolutions and the head; a run costs about three times that."""
        side, total = self.image_size, 9 * self.channels * self.width * self.image_size**2
        for inputs, outputs, stride in self.blocks:
            side = -(-side // stride)
            projected = inputs if self.skip and self.shortcut == "projection" and inputs != outputs else 0
            total += (9 * inputs + 9 * outputs + projected) * outputs * side**2
        return total + 4 * self.width * self.classes

    def build(self) -> "CifarResNet":
        return CifarResNet(self)


def normalization(cfg: Config, features: int) -> nn.Module:
    if cfg.normalization == "batch":
        return BatchNorm(features, smallest=2)  # a channel is measured at 4 places of each picture, or more
    if cfg.normalization == "identity":
        return nn.Identity()
    # One group of all channels is layer normalisation of a picture.
    return GroupNorm(1 if cfg.normalization == "layer" else math.gcd(4, features), features)


def convolution(cfg: Config, inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    # Normalisation takes the mean away, so a bias would do nothing.
    bias = cfg.normalization == "identity"
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


class EverySecond(nn.Module):
    """Every second pixel of each channel, and ``extra`` channels of zeros behind them: option A."""

    def __init__(self, extra: int = 0) -> None:
        super().__init__()
        self.extra = extra

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))


class Block(nn.Module):
    """Two layers of convolution and normalisation, and what was given added to what they make."""

    def __init__(self, cfg: Config, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution_1 = convolution(cfg, inputs, outputs, stride)
        self.norm_1 = normalization(cfg, outputs)
        self.convolution_2 = convolution(cfg, outputs, outputs)
        self.norm_2 = normalization(cfg, outputs)
        self.activation = ACTIVATIONS[cfg.activation]()
        self.shortcut: nn.Module | None = None
        if cfg.skip and stride == 1:
            self.shortcut = nn.Identity()
        elif cfg.skip and cfg.shortcut == "identity":
            self.shortcut = EverySecond(outputs - inputs)
        elif cfg.skip:
            # A 1x1 convolution of stride 2 looks at these pixels only. torch's own, with channels last and
            # fewer than 8 of them, writes beyond its memory on processors with AVX2 (oneDNN 3.12).
            projection = convolution(cfg, inputs, outputs, kernel=1)
            self.shortcut = nn.Sequential(EverySecond(), projection, normalization(cfg, outputs))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        y = self.activation(self.norm_1(self.convolution_1(x)))
        y = self.norm_2(self.convolution_2(y))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return self.activation(y)


class CifarResNet(nn.Module):
    """A first convolution, three stages of blocks, the mean over all places, a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.convolution = convolution(cfg, cfg.channels, cfg.width)
        self.norm = normalization(cfg, cfg.width)
        self.activation = ACTIVATIONS[cfg.activation]()
        self.blocks = nn.Sequential(*(Block(cfg, *sizes) for sizes in cfg.blocks))
        self.head = nn.Linear(4 * cfg.width, cfg.classes)
        self.init_weights()
        # The narrow layers are faster so on a processor: a step of 8 layers takes 0.8 of the time.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  he: normal, std = sqrt(2 / fan in); xavier: sqrt(2 / (fan in + fan out)); bias 0
        norms         weight 1, bias 0
        head          uniform within 1 / sqrt(fan in), bias 0
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fill = he_normal_ if self.cfg.initialization == "he" else xavier_normal_
                fill(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        bound = self.head.in_features**-0.5
        nn.init.uniform_(self.head.weight, -bound, bound)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        x = self.activation(self.norm(self.convolution(image)))
        return self.head(self.blocks(x).mean(dim=(2, 3)))


def cifar_resnet20(weights: Any = None, classes: int = 10) -> CifarResNet:
    """20 layers, 0.27 million parameters. ``weights`` as in `published`."""
    return published(20, weights, classes)


def cifar_resnet32(weights: Any = None, classes: int = 10) -> CifarResNet:
    """32 layers, 0.46 million parameters. ``weights`` as in `published`."""
    return published(32, weights, classes)


def cifar_resnet44(weights: Any = None, classes: int = 10) -> CifarResNet:
    """44 layers, 0.66 million parameters. ``weights`` as in `published`."""
    return published(44, weights, classes)


def cifar_resnet56(weights: Any = None, classes: int = 10) -> CifarResNet:
    """56 layers, 0.85 million parameters. ``weights`` as in `published`."""
    return published(56, weights, classes)


def cifar_resnet110(weights: Any = None, classes: int = 10) -> CifarResNet:
    """110 layers, 1.7 million parameters. ``weights`` as in `published`."""
    return published(110, weights, classes)


def published(depth: int, weights: Any, classes: int) -> CifarResNet:
    """A net of the paper's table 6, for colour pictures of 32x32 pixels, option A.

    ``weights`` is a .safetensors file, a run folder or a state dict; with another number of classes the
    head starts anew. What was taken over is printed and kept as ``load_report``.
    """
    model = Config(depth=depth, classes=classes).build()
    if weights is not None:
        from fathom.training.weights import load_weights

        load_weights(model, weights, head=("head",))
    return model


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(depth=8, width=4, classes=4, channels=1, image_size=16),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.1)),
        batch_size=32,
        steps=60,
    )
