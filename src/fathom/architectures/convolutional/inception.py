"""Inception v3: large windows taken apart into small ones, so that more depth costs no more arithmetic.

Szegedy et al. (2016) asked what a window of a convolution costs and what it is worth. Two 3x3 convolutions
see what one 5x5 does, for 18 / 25 of the work; a row of n and a column of n see n x n, for 2 / n of it. The
blocks of GoogLeNet are rebuilt from such parts, one kind for each size of map at 299 pixels:

    mixed_5    35x35    1x1 | 1x1 5x5 | 1x1 3x3 3x3 | pool 1x1                                   (figure 5)
    mixed_6    17x17    1x1 | 1x1 1x7 7x1 | 1x1 7x1 1x7 7x1 1x7 | pool 1x1                       (figure 6)
    mixed_7     8x8     1x1 | 1x1 [1x3, 3x1] | 1x1 3x3 [1x3, 3x1] | pool 1x1                     (figure 7)

Branches "|" see the same map and their channels are joined; "[a, b]" is joined as well. Each halving is a
block too: convolutions of stride 2 beside a pooling, so that no information is squeezed through before the
map shrinks (figure 10).

A head on the map of 17x17 predicts the classes as well while the model learns, now with normalisation. Here
``model(image)`` is always the logits of the last head, (b, classes), and ``model(image, auxiliary=True)``
both, which the objective ``DeepSupervision(weight=0.4)`` of GoogLeNet asks for; with another objective the
auxiliary head stays as it was drawn. The authors also smooth the labels, by 0.1.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.architectures.convolutional.googlenet import (
    IMAGENET_MEAN,
    DeepSupervision,
    Renormalise,
    spelled_out,
)
from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.published import torchvision_weights

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Inception v3",
    paper="https://arxiv.org/abs/1512.00567",
    year=2016,
    summary="Inception blocks from small and one-dimensional windows, normalised, with one auxiliary head.",
    rows=("CL07", "TL01"),
    builds_on=("he", "googlenet"),
    differs=(
        "The stem is the released one, as in torchvision: after the first pooling a 1x1 convolution to 80"
        " channels, a 3x3 to 192 and a pooling; table 1 has three 3x3 convolutions, to 80, 192 and 288.",
        "The second branch of mixed_5 has a window of 5x5, as in the released model; figure 5 has 3x3 there.",
        "The weight 0.4 of the auxiliary loss is that of the authors' code; the paper names none.",
        "stem='plain' is not in the paper: it keeps small pictures at their size, and the auxiliary head"
        " averages them to 5x5 places.",
        "On CIFAR-10, small and for minutes on a processor, it does not beat a plain network of as many"
        " parameters (recipes cifar10_inception and cifar10_floor): its branches take their time.",
    ),
    oracle="torchvision's and timm's models with the same random weights: logits of both heads, gradients"
    " through both losses, statistics of training steps, weights both ways; table 1 of the paper",
)

Stem = Literal["strided", "plain"]
Kernel = tuple[int, int]  # rows, columns
AUXILIARY_SIDE = 5  # places, across and down, that the auxiliary head sees


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the released network."""

    stem_widths: tuple[int, int, int, int, int] = (32, 32, 64, 80, 192)
    pooled_widths: tuple[int, ...] = (32, 64, 64)  # of the pooling branch, for each block of mixed_5
    seven_widths: tuple[int, ...] = (128, 160, 160, 192)  # inside the long branches, for each of mixed_6
    last_blocks: int = 2  # of mixed_7, after its halving
    width_factor: float = 1.0  # of all channels
    stem: Stem = "strided"  # "plain": padded, stride 1 and no pooling, for small pictures
    auxiliary: bool = True  # whether there is a head on the way
    dropout: float = 0.5
    transform_input: bool = False  # from ImageNet's mean and deviation to 0.5 and 0.5
    classes: int = 1000
    channels: int = 3
    image_size: int = 299  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        for name in ("last_blocks", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.image_size < self.least_size:
            raise ValueError(f"image_size is {self.image_size}; {self.least}")
        if not 0 < self.width_factor < float("inf"):
            raise ValueError(f"width_factor is {self.width_factor}; it must be positive and finite")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.stem not in get_args(Stem):
            raise ValueError(f"stem is {self.stem!r}; it must be one of {get_args(Stem)}")
        for name in ("stem_widths", "pooled_widths", "seven_widths"):
            widths = getattr(self, name)
            if not widths or min(widths) < 1:
                raise ValueError(f"{name} is {widths}; it must name 1 or more channels for each layer")
        if self.transform_input and self.channels != len(IMAGENET_MEAN):
            raise ValueError(f"transform_input is for 3 channels; channels is {self.channels}")

    @property
    def least_size(self) -> int:
        """The smallest side in pixels of which the halvings leave anything."""
        return 75 if self.stem == "strided" else 7

    @property
    def least(self) -> str:
        """The end of a message about pictures that are too small."""
        small = "; stem='plain' takes smaller ones" if self.stem == "strided" else ""
        return f"an Inception v3 with this stem takes {self.least_size} pixels or more on a side{small}"

    def scaled(self, width: int) -> int:
        """``width`` channels by the factor, 1 or more."""
        return max(1, round(width * self.width_factor))

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        s = self.scaled
        return {
            "stem": s(self.stem_widths[-1]),
            "mixed_5": 2 * s(64) + s(96) + s(self.pooled_widths[-1]),
            "mixed_6": 4 * s(192),
            "mixed_7": s(320) + 4 * s(384) + s(192),
        }

    def build(self) -> "InceptionV3":
        return InceptionV3(self)


def unit(inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> nn.Sequential:
    """Convolution, normalisation, ReLU; ``padded`` keeps the size at stride 1."""
    padding = (kernel[0] // 2, kernel[1] // 2) if padded else 0
    parts: dict[str, nn.Module] = {
        "convolution": nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False),
        "norm": nn.BatchNorm2d(outputs, eps=0.001),
        "relu": nn.ReLU(inplace=True),
    }
    return nn.Sequential(OrderedDict(parts))


def chain(
    inputs: int, *steps: tuple[int, Kernel], then: nn.Module | None = None, stride: int = 1
) -> nn.Sequential:
    """Units one after another, each (outputs, kernel); the last has the stride, and then no padding."""
    parts: list[nn.Module] = []
    for i, (outputs, kernel) in enumerate(steps, 1):
        last = i == len(steps) and stride > 1
        parts.append(unit(inputs, outputs, kernel, stride if last else 1, padded=not last))
        inputs = outputs
    return nn.Sequential(*parts, *([then] if then else []))


class Branches(nn.Module):
    """Parts that see the same map; their channels are joined in the order of their names given."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        return torch.cat([part(x) for part in self.children()], dim=1)


def pooled(inputs: int, outputs: int) -> nn.Sequential:
    """The mean over 3x3, and a 1x1 convolution."""
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), unit(inputs, outputs, (1, 1)))


def stem(cfg: Config) -> nn.Sequential:
    """Five convolutions and two poolings, which leave 35 of 299 pixels."""
    strided = cfg.stem == "strided"
    first, second, third, fourth, fifth = (cfg.scaled(width) for width in cfg.stem_widths)
    parts: dict[str, nn.Module] = {"renormalise": Renormalise()} if cfg.transform_input else {}
    parts["unit_1"] = unit(cfg.channels, first, (3, 3), 2 if strided else 1, padded=not strided)
    parts["unit_2"] = unit(first, second, (3, 3), padded=not strided)
    parts["unit_3"] = unit(second, third, (3, 3))
    if strided:
        parts["pool_1"] = nn.MaxPool2d(3, stride=2)
    parts["unit_4"] = unit(third, fourth, (1, 1))
    parts["unit_5"] = unit(fourth, fifth, (3, 3), padded=not strided)
    if strided:
        parts["pool_2"] = nn.MaxPool2d(3, stride=2)
    return nn.Sequential(OrderedDict(parts))


def mixed_5(cfg: Config, inputs: int) -> nn.Sequential:
    """Blocks b, c, d: a 5x5, and two 3x3 that see as much (figure 5)."""
    s, stage = cfg.scaled, nn.Sequential()
    for letter, width in zip(letters("b"), cfg.pooled_widths, strict=False):
        block = Branches(
            single=unit(inputs, s(64), (1, 1)),
            five=chain(inputs, (s(48), (1, 1)), (s(64), (5, 5))),
            double_three=chain(inputs, (s(64), (1, 1)), (s(96), (3, 3)), (s(96), (3, 3))),
            pooled=pooled(inputs, s(width)),
        )
        stage.add_module(letter, block)
        inputs = 2 * s(64) + s(96) + s(width)
    return stage


def mixed_6(cfg: Config, inputs: int) -> nn.Sequential:
    """A halving, a; and blocks b to e of rows and columns of seven (figure 6)."""
    s, stage = cfg.scaled, nn.Sequential()
    halving = Branches(
        three=unit(inputs, s(384), (3, 3), stride=2, padded=False),
        double_three=chain(inputs, (s(64), (1, 1)), (s(96), (3, 3)), (s(96), (3, 3)), stride=2),
        pooled=nn.MaxPool2d(3, stride=2),
    )
    stage.add_module("a", halving)
    inputs, row, column = s(384) + s(96) + inputs, (1, 7), (7, 1)
    for letter, width in zip(letters("b"), cfg.seven_widths, strict=False):
        n, out = s(width), s(192)
        block = Branches(
            single=unit(inputs, out, (1, 1)),
            seven=chain(inputs, (n, (1, 1)), (n, row), (out, column)),
            double_seven=chain(inputs, (n, (1, 1)), (n, column), (n, row), (n, column), (out, row)),
            pooled=pooled(inputs, out),
        )
        stage.add_module(letter, block)
        inputs = 4 * out
    return stage


def mixed_7(cfg: Config, inputs: int) -> nn.Sequential:
    """A halving, a; and blocks b, c, whose last windows stand side by side (figure 7)."""
    s, stage = cfg.scaled, nn.Sequential()
    n = s(192)
    halving = Branches(
        three=chain(inputs, (n, (1, 1)), (s(320), (3, 3)), stride=2),
        seven_three=chain(inputs, (n, (1, 1)), (n, (1, 7)), (n, (7, 1)), (n, (3, 3)), stride=2),
        pooled=nn.MaxPool2d(3, stride=2),
    )
    stage.add_module("a", halving)
    inputs, n = s(320) + n + inputs, s(384)
    for letter, _ in zip(letters("b"), range(cfg.last_blocks), strict=False):
        cross = [Branches(wide=unit(n, n, (1, 3)), tall=unit(n, n, (3, 1))) for _ in range(2)]
        block = Branches(
            single=unit(inputs, s(320), (1, 1)),
            three=chain(inputs, (n, (1, 1)), then=cross[0]),
            double_three=chain(inputs, (s(448), (1, 1)), (n, (3, 3)), then=cross[1]),
            pooled=pooled(inputs, s(192)),
        )
        stage.add_module(letter, block)
        inputs = cfg.feature_channels["mixed_7"]
    return stage


class AuxiliaryHead(nn.Module):
    """Logits from the middle of the network: a coarse mean, two convolutions, a linear layer."""

    def __init__(self, cfg: Config, inputs: int) -> None:
        super().__init__()
        large = cfg.stem == "strided"
        self.pool = nn.AvgPool2d(5, stride=3) if large else nn.AdaptiveAvgPool2d(AUXILIARY_SIDE)
        self.unit_1 = unit(inputs, cfg.scaled(128), (1, 1))
        side = (AUXILIARY_SIDE, AUXILIARY_SIDE)
        self.unit_2 = unit(cfg.scaled(128), cfg.scaled(768), side, padded=False)
        self.linear = nn.Linear(cfg.scaled(768), cfg.classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        return self.linear(self.unit_2(self.unit_1(self.pool(x))).mean(dim=(2, 3)))


class InceptionV3(nn.Module):
    """Stem, three stages of blocks, the mean over all places, a linear layer; a head on the way."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        channels = cfg.feature_channels
        self.body = nn.Sequential(OrderedDict(stem=stem(cfg)))
        self.body.add_module("mixed_5", mixed_5(cfg, channels["stem"]))
        self.body.add_module("mixed_6", mixed_6(cfg, channels["mixed_5"]))
        self.body.add_module("mixed_7", mixed_7(cfg, channels["mixed_6"]))
        self.auxiliary = AuxiliaryHead(cfg, channels["mixed_6"]) if cfg.auxiliary else None
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(channels["mixed_7"], cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.65 of the time so for small pictures, 0.85 for large ones.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  He normal over fan in, no bias
        norms         weight 1, bias 0
        linear        uniform within 1 / sqrt(fan in), weight and bias
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal_(module.weight)

    def forward(self, image: Float[Tensor, "b c h w"], auxiliary: bool = False) -> Any:
        """Logits (b, classes); with ``auxiliary`` a tuple: those, and those of the head on the way.

        With the strided stem that head needs pictures of 299 pixels: its windows cover the map of 17x17.
        Raises ``ValueError`` for pictures of which the halvings leave nothing.
        """
        image = self.checked(image)
        if not auxiliary:
            return self.classify(self.body(image))
        if self.auxiliary is None:
            raise ValueError("this model has no auxiliary head; build it with auxiliary=True")
        maps = self.features(image)
        other = self.auxiliary(maps["mixed_6"])
        return self.classify(maps["mixed_7"]), other

    def classify(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """The last map -> logits."""
        return self.head(self.dropout(x.mean(dim=(2, 3))))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after the stem and each stage, by name.

        Raises ``ValueError`` as the model itself does.
        """
        found: dict[str, Tensor] = {}
        x = self.checked(image)
        for name, part in self.body.named_children():
            x = found[name] = part(x)
        return found

    def checked(self, image: Tensor) -> Tensor:
        """``image`` itself, if both sides are long enough."""
        height, width = image.shape[-2:]
        if min(height, width) < self.cfg.least_size:
            raise ValueError(f"image is {height}x{width} pixels; {self.cfg.least}")
        return image


def letters(first: str) -> list[str]:
    """The names of blocks, from ``first`` on."""
    return [chr(code) for code in range(ord(first), ord("z") + 1)]


# torchvision's names, which timm shares; the inverse is computed.
UPSTREAMS = {
    "torchvision": spelled_out(
        {
            "Mixed_{s}a.": "body.mixed_{s}.a.",
            "Mixed_{s}b.": "body.mixed_{s}.b.",
            "Mixed_{s}c.": "body.mixed_{s}.c.",
            "Mixed_{s}d.": "body.mixed_{s}.d.",
            "Mixed_{s}e.": "body.mixed_{s}.e.",
        },
        {
            "branch1x1": "single",
            "branch_pool": "pooled.1",
            "branch5x5_{k+1}": "five.{k}",
            "branch3x3": "three",
            "branch3x3_{k+1}": "three.{k}",
            "branch3x3_2a": "three.1.wide",
            "branch3x3_2b": "three.1.tall",
            "branch3x3dbl_{k+1}": "double_three.{k}",
            "branch3x3dbl_3a": "double_three.2.wide",
            "branch3x3dbl_3b": "double_three.2.tall",
            "branch7x7_{k+1}": "seven.{k}",
            "branch7x7dbl_{k+1}": "double_seven.{k}",
            "branch7x7x3_{k+1}": "seven_three.{k}",
        },
        {"fc": "head", "AuxLogits.fc": "auxiliary.linear"},
    )
    | spelled_out(
        {"": ""},
        {
            "Conv2d_1a_3x3": "body.stem.unit_1",
            "Conv2d_2a_3x3": "body.stem.unit_2",
            "Conv2d_2b_3x3": "body.stem.unit_3",
            "Conv2d_3b_1x1": "body.stem.unit_4",
            "Conv2d_4a_3x3": "body.stem.unit_5",
            "AuxLogits.conv{k}": "auxiliary.unit_{k+1}",
        },
        {},
    ),
}

OPTIONAL = ("auxiliary",)  # a file may be without
# File, mebibytes, shares of right first guesses and of right ones among five, and sides. The pictures that
# these weights know were normalised by 0.5 and 0.5; torchvision gets there from ImageNet's mean and
# deviation.
PUBLISHED = {
    "inception_v3": {"IMAGENET1K_V1": ("inception_v3_google-0cc3c7bd", 103.903, 77.294, 93.45, 342, 299)},
}
WEIGHTS = torchvision_weights(PUBLISHED, settings={"transform_input": True})


def inception_v3(
    weights: Any = None, classes: int = 1000, channels: int = 3, transform_input: bool = False
) -> InceptionV3:
    """42 layers, 23.8 million parameters and 3.3 more in the auxiliary head, pictures of 299 pixels.

    ``weights`` is a name from ``WEIGHTS["inception_v3"]``, a .safetensors, .pt or .pth file, a run folder or
    a state dict, with the names of Fathom, torchvision or timm; it may be without an auxiliary head.
    With another number of classes both heads start anew; with another number of channels the first
    convolution is brought to it. What was taken over is printed and kept as ``load_report``; how pictures are
    prepared for these weights, where it is known, as ``preprocessing``.

    The published weights were trained on pictures normalised by 0.5 and 0.5: if yours are normalised by
    ImageNet's mean and deviation, set ``transform_input``, as torchvision does. By name, and for
    3 channels, they have it set.
    """
    cfg = Config(classes=classes, channels=channels, transform_input=transform_input)
    if weights is None:
        return cfg.build()
    from fathom.training.weights import load_weights, needed, read_weights

    known = WEIGHTS["inception_v3"]
    found = read_weights(weights, known)
    settings = needed(found, upstreams=UPSTREAMS, needs={}, published=known)
    model = replace(cfg, **(settings if channels == 3 else {})).build()
    first = ("body.stem.unit_1.convolution",)
    load_weights(model, found, head=("head", "auxiliary"), stem=first, upstreams=UPSTREAMS)
    return model


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, Experiment, GradientDescent

    return Experiment(
        model=Config(
            stem_widths=(32, 32, 32, 64, 64), pooled_widths=(64,), seven_widths=(64,), last_blocks=1,
            width_factor=0.125, stem="plain", dropout=0.0, classes=4, channels=1, image_size=16,
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=DeepSupervision(weight=0.4), optimizer=SGD(learning_rate=0.05)),
        batch_size=16,
        steps=24,
    )  # fmt: skip
