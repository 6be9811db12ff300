"""Residual network for large pictures: four stages of blocks, each of which learns what to add to its input.

He, Zhang, Ren and Sun (2016) let a block learn a difference F and add it to what came in, where the sizes
agree; where they do not, the input is projected by a 1x1 convolution (their equations 1 and 2):

    y = relu(F(x) + s(x))      s(x) = x, or N(W x) where a stage begins

F is two 3x3 convolutions ("basic", 18 and 34 layers) or, to go deeper at the same cost, a 1x1 convolution
that narrows, a 3x3 one, and a 1x1 one that widens four times ("bottleneck", 50 layers and more; figure 5).
After every convolution comes batch normalisation N. A stem of a 7x7 convolution and a pooling hands on maps
of a quarter of the side; each stage but the first halves it again and doubles the channels (table 1).

Two later papers turn a number of the bottleneck and nothing else. ResNeXt (Xie et al. 2017) splits its 3x3
convolution into ``groups`` that see ``group_width`` channels each; Wide ResNet (Zagoruyko and Komodakis 2016)
makes it twice as wide.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.published import torchvision_weights

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="ResNet, ResNeXt and Wide ResNet",
    paper="https://arxiv.org/abs/1512.03385",
    year=2016,
    summary="Stages of blocks that add to their input; the backbone most other vision systems stand on.",
    rows=("CL08", "TL01"),
    builds_on=("he",),
    differs=(
        "A bottleneck halves the map in its 3x3 convolution, as torchvision and timm do; the paper's, and"
        " Keras's, in the first 1x1, which throws three quarters of the pixels away unseen: halving='1x1'.",
        "The published sizes shortcut by projection where a stage begins (option B); the paper tries three.",
    ),
    oracle="torchvision's and timm's models with the same random weights: logits, gradients, statistics of"
    " three training steps, weights both ways; Keras's ResNet-50, weights both ways; the papers' counts",
)

Block = Literal["basic", "bottleneck"]
StemKernel = Literal["7x7", "3x3"]
Halving = Literal["3x3", "1x1"]
EXPANSION = {"basic": 1, "bottleneck": 4}  # channels a block hands on, in terms of its narrow part


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of ResNet-18 (table 1)."""

    depths: tuple[int, ...] = (2, 2, 2, 2)  # blocks of each stage
    block: Block = "basic"
    width: int = 64  # channels of the stem; of the narrow part of a block, doubled in each stage
    groups: int = 1  # of the 3x3 convolution of a bottleneck: 32 in ResNeXt
    group_width: int = 64  # its channels in the first stage, by group, where width is 64: 4 or 8 in ResNeXt
    stem: StemKernel = "7x7"  # "3x3": stride 1 and no pooling, for small pictures (section 4.2)
    halving: Halving = "3x3"  # the convolution of a bottleneck whose stride is 2 where a stage begins
    classes: int = 1000
    channels: int = 3
    image_size: int = 224  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        for name in ("width", "groups", "group_width", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name, kinds in (("block", Block), ("stem", StemKernel), ("halving", Halving)):
            if getattr(self, name) not in get_args(kinds):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {get_args(kinds)}")
        if not self.depths or min(self.depths) < 1:
            raise ValueError(f"depths is {self.depths}; it must name 1 or more blocks for each stage")
        if self.block == "basic" and (self.groups, self.group_width) != (1, 64):
            raise ValueError("groups and group_width are those of a bottleneck; block is 'basic'")
        if self.width * self.group_width % 64:
            raise ValueError(
                f"width {self.width} x group_width {self.group_width} / 64 is no whole number of channels"
            )

    def inner(self, stage: int) -> int:
        """Channels of the 3x3 convolutions of a stage, counted from 0."""
        narrow = self.width * 2**stage
        return narrow if self.block == "basic" else narrow * self.group_width // 64 * self.groups

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        stages = {
            f"stage_{i + 1}": self.width * 2**i * EXPANSION[self.block] for i in range(len(self.depths))
        }
        return {"stem": self.width} | stages

    def build(self) -> "ResNet":
        return ResNet(self)


class Stem(nn.Module):
    """7x7 convolution of stride 2, normalisation and pooling; or a 3x3 convolution for small pictures."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        large = cfg.stem == "7x7"
        kernel, stride = (7, 2) if large else (3, 1)
        self.convolution = nn.Conv2d(cfg.channels, cfg.width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(cfg.width)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if large else nn.Identity()

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b width rows columns"]:
        return self.pool(self.relu(self.norm(self.convolution(image))))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The identity where the sizes agree, else the projection of equation 2."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class Basic(nn.Module):
    """Two 3x3 convolutions and what was given (figure 5, left)."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, cfg: Config) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(inner)
        self.convolution_2 = nn.Conv2d(inner, outputs, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        y = self.relu(self.norm_1(self.convolution_1(x)))
        y = self.norm_2(self.convolution_2(y))
        y += self.shortcut(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """Narrow, look around, widen, and add what was given (figure 5, right)."""

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, cfg: Config) -> None:
        super().__init__()
        first, second = (stride, 1) if cfg.halving == "1x1" else (1, stride)
        self.convolution_1 = nn.Conv2d(inputs, inner, 1, first, bias=False)
        self.norm_1 = nn.BatchNorm2d(inner)
        self.convolution_2 = nn.Conv2d(inner, inner, 3, second, padding=1, groups=cfg.groups, bias=False)
        self.norm_2 = nn.BatchNorm2d(inner)
        self.convolution_3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.norm_3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = shortcut(inputs, outputs, stride)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        y = self.relu(self.norm_1(self.convolution_1(x)))
        y = self.relu(self.norm_2(self.convolution_2(y)))
        y = self.norm_3(self.convolution_3(y))
        y += self.shortcut(x)
        return self.relu(y)


class ResNet(nn.Module):
    """Stem, stages, the mean over all places, a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        block = Basic if cfg.block == "basic" else Bottleneck
        self.body = nn.Sequential()
        self.body.add_module("stem", Stem(cfg))
        inputs = cfg.width
        for i, depth in enumerate(cfg.depths):
            outputs, stage = cfg.feature_channels[f"stage_{i + 1}"], nn.Sequential()
            for place in range(depth):
                stride = 2 if i and not place else 1
                stage.append(block(inputs, cfg.inner(i), outputs, stride, cfg))
                inputs = outputs
            self.body.add_module(f"stage_{i + 1}", stage)
        self.head = nn.Linear(inputs, cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.8 of the time so for small pictures, 0.9 for large ones. With fewer
        # than eight channels a 1x1 convolution of stride 2 in torch 2.13 writes beside its map.
        if cfg.width >= 8:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  He normal over fan out, no bias
        norms         weight 1, bias 0
        head          uniform within 1 / sqrt(fan in), weight and bias
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal_(module.weight, mode="fan_out")

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        return self.head(self.body(image).mean(dim=(2, 3)))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after the stem and each stage, by name."""
        found: dict[str, Tensor] = {}
        x = image
        for name, part in self.body.named_children():
            x = found[name] = part(x)
        return found


# torchvision's names, which timm shares, and those of Keras's layers; the inverse is computed.
UPSTREAMS = {
    "torchvision": {
        "conv1": "body.stem.convolution",
        "bn1": "body.stem.norm",
        "layer{i}.{j}.conv{k}": "body.stage_{i}.{j}.convolution_{k}",
        "layer{i}.{j}.bn{k}": "body.stage_{i}.{j}.norm_{k}",
        "layer{i}.{j}.downsample.{k}": "body.stage_{i}.{j}.shortcut.{k}",
        "fc": "head",
    },
    "keras": {
        "conv1_conv": "body.stem.convolution",
        "conv1_bn": "body.stem.norm",
        "conv{i+1}_block{j+1}_0_conv": "body.stage_{i}.{j}.shortcut.0",
        "conv{i+1}_block{j+1}_0_bn": "body.stage_{i}.{j}.shortcut.1",
        "conv{i+1}_block{j+1}_{k+1}_conv": "body.stage_{i}.{j}.convolution_{k+1}",
        "conv{i+1}_block{j+1}_{k+1}_bn": "body.stage_{i}.{j}.norm_{k+1}",
        "predictions": "head",
    },
}
NEEDS = {"keras": {"halving": "1x1"}}
KERAS_EPSILON = 1.001e-5 - 1e-5  # by which the epsilon of its norms is larger


def rewritten(state: Mapping[str, Tensor], cfg: Config) -> Mapping[str, Tensor]:
    """``state`` with what Keras has more of brought into the statistics of the norms.

    Its convolutions have biases, which the norm after them takes off again: from the running mean instead.
    """
    if "conv1_conv.weight" not in state:
        return state
    biases = {n.replace("_conv.bias", "_bn.running_mean"): n for n in state if n.endswith("_conv.bias")}
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name in biases:
            tensor = tensor - state[biases[name]]
        elif name.endswith(".running_var"):
            tensor = (tensor.double() + KERAS_EPSILON).to(tensor.dtype)
        if name not in biases.values():
            found[name] = tensor
    return found


def keras_arrays(model: ResNet) -> dict[str, Any]:
    """The arrays of Keras's ResNet with the weights of ``model``, "conv1_conv/kernel"; see `to_keras`.

    Raises ``ValueError`` where ``model`` halves its maps elsewhere than Keras's.
    """
    from fathom.training.keras_layout import to_keras
    from fathom.training.weights import upstream_state

    if model.cfg.block != "bottleneck" or model.cfg.halving != "1x1":
        raise ValueError("Keras's ResNets halve in the first 1x1 of a bottleneck: build with halving='1x1'")
    found: dict[str, Tensor] = {}
    for name, tensor in upstream_state(model, UPSTREAMS["keras"]).items():
        less = KERAS_EPSILON if name.endswith(".running_var") else 0.0
        found[name] = (tensor.double() - less).to(tensor.dtype) if less else tensor
        if name.endswith("_conv.weight"):
            found[name.replace(".weight", ".bias")] = tensor.new_zeros(len(tensor))
    return to_keras(found)


# File, mebibytes, shares of right first guesses and of right ones among five, and the side to which pictures
# are resized. `fathom.training.weight_files` keeps the whole hash of what comes.
PUBLISHED = {
    "resnet18": {
        "IMAGENET1K_V1": ("resnet18-f37072fd", 44.661, 69.758, 89.078),
    },
    "resnet34": {
        "IMAGENET1K_V1": ("resnet34-b627a593", 83.275, 73.314, 91.42),
    },
    "resnet50": {
        "IMAGENET1K_V1": ("resnet50-0676ba61", 97.781, 76.13, 92.862),
        "IMAGENET1K_V2": ("resnet50-11ad3fa6", 97.79, 80.858, 95.434, 232),
    },
    "resnet101": {
        "IMAGENET1K_V1": ("resnet101-63fe2227", 170.511, 77.374, 93.546),
        "IMAGENET1K_V2": ("resnet101-cd907fc2", 170.53, 81.886, 95.78, 232),
    },
    "resnet152": {
        "IMAGENET1K_V1": ("resnet152-394f9c45", 230.434, 78.312, 94.046),
        "IMAGENET1K_V2": ("resnet152-f82ba261", 230.474, 82.284, 96.002, 232),
    },
    "resnext50": {
        "IMAGENET1K_V1": ("resnext50_32x4d-7cdf4587", 95.789, 77.618, 93.698),
        "IMAGENET1K_V2": ("resnext50_32x4d-1a0047aa", 95.833, 81.198, 95.34, 232),
    },
    "resnext101": {
        "IMAGENET1K_V1": ("resnext101_32x8d-8ba56ff5", 339.586, 79.312, 94.526),
        "IMAGENET1K_V2": ("resnext101_32x8d-110c445d", 339.673, 82.834, 96.228, 232),
    },
    "wide_resnet50": {
        "IMAGENET1K_V1": ("wide_resnet50_2-95faca4d", 131.82, 78.468, 94.086),
        "IMAGENET1K_V2": ("wide_resnet50_2-9ba9bcbe", 263.124, 81.602, 95.758, 232),
    },
    "wide_resnet101": {
        "IMAGENET1K_V1": ("wide_resnet101_2-32ee1156", 242.896, 78.848, 94.284),
        "IMAGENET1K_V2": ("wide_resnet101_2-d733dc28", 484.747, 82.51, 96.02, 232),
    },
}
WEIGHTS = torchvision_weights(PUBLISHED)

RESNET50 = Config(depths=(3, 4, 6, 3), block="bottleneck")
RESNET101 = replace(RESNET50, depths=(3, 4, 23, 3))
SIZES = {
    "resnet18": Config(),
    "resnet34": Config(depths=(3, 4, 6, 3)),
    "resnet50": RESNET50,
    "resnet101": RESNET101,
    "resnet152": replace(RESNET50, depths=(3, 8, 36, 3)),
    "resnext50": replace(RESNET50, groups=32, group_width=4),
    "resnext101": replace(RESNET101, groups=32, group_width=8),
    "wide_resnet50": replace(RESNET50, group_width=128),
    "wide_resnet101": replace(RESNET101, group_width=128),
}


def resnet18(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """18 layers, 11.7 million parameters. ``weights`` as in `published`."""
    return published("resnet18", weights, classes, channels)


def resnet34(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """34 layers, 21.8 million parameters. ``weights`` as in `published`."""
    return published("resnet34", weights, classes, channels)


def resnet50(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """50 layers, 25.6 million parameters. ``weights`` as in `published`."""
    return published("resnet50", weights, classes, channels)


def resnet101(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """101 layers, 44.5 million parameters. ``weights`` as in `published`."""
    return published("resnet101", weights, classes, channels)


def resnet152(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """152 layers, 60.2 million parameters. ``weights`` as in `published`."""
    return published("resnet152", weights, classes, channels)


def resnext50(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """ResNeXt-50, 32 groups of 4: 25.0 million parameters. ``weights`` as in `published`."""
    return published("resnext50", weights, classes, channels)


def resnext101(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """ResNeXt-101, 32 groups of 8: 88.8 million parameters. ``weights`` as in `published`."""
    return published("resnext101", weights, classes, channels)


def wide_resnet50(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """Twice as wide inside: 68.9 million parameters. ``weights`` as in `published`."""
    return published("wide_resnet50", weights, classes, channels)


def wide_resnet101(weights: Any = None, classes: int = 1000, channels: int = 3) -> ResNet:
    """101 layers, twice as wide inside: 126.9 million parameters. ``weights`` as in `published`."""
    return published("wide_resnet101", weights, classes, channels)


def published(size: str, weights: Any, classes: int, channels: int) -> ResNet:
    """A model of a published size, a key of ``SIZES``.

    ``weights`` is a name from ``WEIGHTS[size]`` ("IMAGENET1K_V1"), a .safetensors, .pt, .pth, .h5 or .keras
    file, a run folder or a state dict, with the names of Fathom, torchvision, timm or Keras; Keras's make a
    model that halves its maps where they need it. With another number of classes the head starts anew; with
    another number of channels the first convolution is brought to it. What was taken over is printed and
    kept as ``load_report``; how pictures are prepared for these weights, where it is known, as
    ``preprocessing``.
    """
    cfg = replace(SIZES[size], classes=classes, channels=channels)
    if weights is None:
        return cfg.build()
    from fathom.training.weights import load_weights, needed, read_weights

    found, before = read_weights(weights, WEIGHTS[size]), partial(rewritten, cfg=cfg)
    settings = needed(found, upstreams=UPSTREAMS, needs=NEEDS, before=before)
    model = replace(cfg, **settings).build()
    load_weights(
        model, found, head=("head",), stem=("body.stem.convolution",), upstreams=UPSTREAMS, before=before
    )
    return model


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(
            depths=(1, 1), block="bottleneck", width=8, stem="3x3", classes=4, channels=1, image_size=16
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.05)),
        batch_size=32,
        steps=60,
    )
