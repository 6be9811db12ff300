"""GoogLeNet: at each depth look through small and large windows at once, and let the next layer choose.

Szegedy et al. (2015) put four branches side by side, each keeping the size of the map, and join their
channels. The dear ones are made cheap by a 1x1 convolution that narrows first (their figure 2b):

    y = [ C1 x,  C3 C1 x,  C5 C1 x,  C1 pool(x) ]          Cn: n x n convolution, normalisation, ReLU

Nine such blocks after a stem, a maximum over 3x3 where the map is halved, and a mean over all places instead
of the dense layers that held most of AlexNet's weights: 22 layers, a twelfth of its parameters (table 1).

So deep a net was hard to train then: two heads on the way, after blocks 4a and 4d, predict the classes too
and send gradients into the middle. Their losses count 0.3 each (section 5); after training they are not
used. Here ``model(image)`` is always the logits of the last head, (b, classes), and
``model(image, auxiliary=True)`` all of them, which the objective `DeepSupervision` asks for. With another
objective the two heads stay as they were drawn.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.published import torchvision_weights

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="GoogLeNet (Inception v1)",
    paper="https://arxiv.org/abs/1409.4842",
    year=2015,
    summary="Blocks of parallel windows, joined by channels, with two extra heads that help training.",
    rows=("CL07",),
    builds_on=("he",),
    differs=(
        "The third branch looks through 3x3 where the paper has 5x5: an old slip of the first port, which the"
        " weights of torchvision have learned with. large_kernel=5 is the paper's.",
        "Batch normalisation after each convolution, and no local response normalisation, as in torchvision.",
        "The auxiliary heads average to 4x4 places whatever the map, which is what the paper's 5x5 pooling of"
        " stride 3 leaves at 224 pixels.",
        "stem='3x3' is not in the paper: it keeps small pictures at their size until the first halving.",
        "On CIFAR-10, small and for minutes on a processor, it does not beat a plain network of as many"
        " parameters (recipes cifar10_googlenet and cifar10_floor).",
    ),
    oracle="torchvision's model with the same random weights: logits of all heads, gradients through all"
    " three losses, statistics of three training steps, weights both ways; table 1 of the paper",
)

StemKernel = Literal["7x7", "3x3"]
BRANCH_WIDTHS = 6  # 1x1; 3x3 narrowed, 3x3; 5x5 narrowed, 5x5; pooled
STAGES = 7  # they are numbered from 3, by one digit
AUXILIARY_SIDE = 4  # places, across and down, that an auxiliary head sees
# What the weights of torchvision were trained with, and what its other models are given: by channel.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. ``blocks`` are the rows of the paper's table 1: 3a 3b, 4a to 4e, 5a 5b."""

    stem_widths: tuple[int, int] = (64, 192)
    blocks: tuple[tuple[tuple[int, ...], ...], ...] = (
        ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
        (
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ),
        ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
    )
    auxiliary: tuple[str, ...] = ("4a", "4d")  # blocks that have a head; () for none
    auxiliary_widths: tuple[int, int] = (128, 1024)  # of its convolution and of its hidden layer
    large_kernel: int = 3  # side of the third branch's window: 5 in the paper
    stem: StemKernel = "7x7"  # "3x3": stride 1 and no pooling, for small pictures
    dropout: float = 0.4  # before the last head
    auxiliary_dropout: float = 0.7
    transform_input: bool = False  # from ImageNet's mean and deviation to 0.5 and 0.5
    classes: int = 1000
    channels: int = 3
    image_size: int = 224  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        for name in ("large_kernel", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name in ("dropout", "auxiliary_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be in [0, 1)")
        if self.large_kernel % 2 == 0:
            raise ValueError(
                f"large_kernel is {self.large_kernel}; a window needs a middle: give an odd side"
            )
        if self.stem not in get_args(StemKernel):
            raise ValueError(f"stem is {self.stem!r}; it must be one of {get_args(StemKernel)}")
        for name in ("stem_widths", "auxiliary_widths"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; both must be 1 or more")
        rows = [row for stage in self.blocks for row in stage]
        if not 1 <= len(self.blocks) <= STAGES or not all(self.blocks):
            raise ValueError(f"blocks is {self.blocks}; give 1 to {STAGES} stages of 1 or more blocks")
        if any(len(row) != BRANCH_WIDTHS or min(row) < 1 for row in rows):
            raise ValueError(f"blocks is {self.blocks}; each block has {BRANCH_WIDTHS} widths of 1 or more")
        unknown = sorted(set(self.auxiliary) - set(self.block_channels))
        if unknown:
            raise ValueError(f"auxiliary names {unknown}; the blocks are {', '.join(self.block_channels)}")
        if self.transform_input and self.channels != len(IMAGENET_MEAN):
            raise ValueError(f"transform_input is for 3 channels; channels is {self.channels}")
        if self.image_size < self.least_size:
            raise ValueError(f"image_size is {self.image_size}; {self.least}")

    @property
    def least_size(self) -> int:
        """The smallest side in pixels of which the last pooling leaves anything."""
        side = 1  # of the map after each pooling, from the last one back
        for number in range(2 + len(self.blocks), 3, -1):
            side = 2 * side - (number == 5)  # a window of 2x2 may hang over by one pixel
        return 8 * side - 1 if self.stem == "7x7" else side  # so may its convolution, not its two poolings

    @property
    def least(self) -> str:
        """The end of a message about pictures that are too small."""
        stages = f"{len(self.blocks)} stage{'s' if len(self.blocks) > 1 else ''}"
        small = "; stem='3x3' takes smaller ones" if self.stem == "7x7" else ""
        least = f"{self.least_size} pixels or more on a side"
        return f"a GoogLeNet of {stages} with this stem takes {least}{small}"

    @property
    def block_channels(self) -> dict[str, int]:
        """The channels that each block, "3a" and so on, hands on."""
        return {
            f"{stage}{chr(ord('a') + i)}": row[0] + row[2] + row[4] + row[5]
            for stage, rows in enumerate(self.blocks, 3)
            for i, row in enumerate(rows)
        }

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        last = {f"inception_{name[0]}": channels for name, channels in self.block_channels.items()}
        return {"stem": self.stem_widths[1]} | last

    def build(self) -> "GoogLeNet":
        return GoogLeNet(self)


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, normalisation, ReLU."""
    parts: dict[str, nn.Module] = {
        "convolution": nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        "norm": nn.BatchNorm2d(outputs, eps=0.001),
        "relu": nn.ReLU(inplace=True),
    }
    return nn.Sequential(OrderedDict(parts))


class Renormalise(nn.Module):
    """A picture normalised by ImageNet's mean and deviation -> the same normalised by 0.5 and 0.5."""

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        self.register_buffer("scale", (deviation / 0.5)[:, None, None], persistent=False)
        self.register_buffer("shift", ((mean - 0.5) / 0.5)[:, None, None], persistent=False)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        if image.shape[1] != len(self.scale):  # one channel would be taken three times without a word
            raise ValueError(
                f"image has {image.shape[1]} channels; a model with transform_input takes {len(self.scale)}"
            )
        return image * self.scale + self.shift


def stem(cfg: Config) -> nn.Sequential:
    """Three convolutions; with the large kernel they and two poolings hand on an eighth of the side."""
    narrow, wide = cfg.stem_widths
    large = cfg.stem == "7x7"
    parts: dict[str, nn.Module] = {"renormalise": Renormalise()} if cfg.transform_input else {}
    parts["unit_1"] = unit(cfg.channels, narrow, 7, stride=2) if large else unit(cfg.channels, narrow, 3)
    if large:
        parts["pool_1"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    parts["unit_2"], parts["unit_3"] = unit(narrow, narrow, 1), unit(narrow, wide, 3)
    if large:
        parts["pool_2"] = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    return nn.Sequential(OrderedDict(parts))


class Inception(nn.Module):
    """Four windows on the same map, side by side (figure 2b)."""

    def __init__(self, inputs: int, widths: tuple[int, ...], large_kernel: int) -> None:
        super().__init__()
        single, narrow_3, wide_3, narrow_5, wide_5, pooled = widths
        self.branch_1 = unit(inputs, single, 1)
        self.branch_2 = nn.Sequential(unit(inputs, narrow_3, 1), unit(narrow_3, wide_3, 3))
        self.branch_3 = nn.Sequential(unit(inputs, narrow_5, 1), unit(narrow_5, wide_5, large_kernel))
        self.branch_4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), unit(inputs, pooled, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b outputs h w"]:
        return torch.cat([self.branch_1(x), self.branch_2(x), self.branch_3(x), self.branch_4(x)], dim=1)


class AuxiliaryHead(nn.Module):
    """Logits from the middle of the network: a coarse mean, a 1x1 convolution, two linear layers."""

    def __init__(self, inputs: int, cfg: Config) -> None:
        super().__init__()
        narrow, hidden = cfg.auxiliary_widths
        self.pool = nn.AdaptiveAvgPool2d(AUXILIARY_SIDE)
        self.unit = unit(inputs, narrow, 1)
        self.linear_1 = nn.Linear(narrow * AUXILIARY_SIDE**2, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(cfg.auxiliary_dropout)
        self.linear_2 = nn.Linear(hidden, cfg.classes)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        hidden = self.relu(self.linear_1(self.unit(self.pool(x)).flatten(1)))
        return self.linear_2(self.dropout(hidden))


class GoogLeNet(nn.Module):
    """Stem, three stages of blocks, the mean over all places, a linear layer; heads on the way."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = nn.Sequential(OrderedDict(stem=stem(cfg)))
        inputs = cfg.stem_widths[1]
        for number, rows in enumerate(cfg.blocks, 3):
            stage = nn.Sequential()
            if number > 3:  # the stem has pooled already; the last halving is by 2x2, as in torchvision
                stage.add_module("pool", nn.MaxPool2d(2 if number == 5 else 3, stride=2, ceil_mode=True))
            for i, row in enumerate(rows):
                letter = chr(ord("a") + i)
                stage.add_module(letter, Inception(inputs, row, cfg.large_kernel))
                inputs = cfg.block_channels[f"{number}{letter}"]
            self.body.add_module(f"inception_{number}", stage)
        self.auxiliary = nn.ModuleList(
            AuxiliaryHead(channels, cfg)
            for name, channels in cfg.block_channels.items()
            if name in cfg.auxiliary
        )
        self.dropout = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(inputs, cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.7 of the time so.
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
        """Logits (b, classes); with ``auxiliary`` a tuple: those, then those of each head on the way.

        Raises ``ValueError`` for pictures of which the poolings leave nothing.
        """
        image = self.checked(image)
        if not auxiliary:
            return self.classify(self.body(image))
        if not self.auxiliary:
            raise ValueError("this model has no auxiliary heads; build it with auxiliary=('4a', '4d')")
        heads, found, x = iter(self.auxiliary), [], image
        for stage_name, stage in self.body.named_children():
            for part_name, part in stage.named_children():
                x = part(x)
                if stage_name[-1] + part_name in self.cfg.auxiliary:
                    found.append(next(heads)(x))
        return (self.classify(x), *found)

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


@dataclass(frozen=True, kw_only=True)
class DeepSupervision:
    """Cross-entropy of the last head, and ``weight`` times that of each head on the way.

    Batches ``(*inputs, label)``, labels int64 (b,) or probabilities (b, classes). The model gives all its
    logits to ``model(*inputs, auxiliary=True)``, the last head's first. Logged are the accuracy of that head
    and its share of the loss, "main_loss".
    """

    weight: float = 0.3
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight is {self.weight}; it must be 0 or more, and finite")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be in [0, 1)")

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        *inputs, label = batch
        made = model(*inputs, auxiliary=True)
        main, *others = (F.cross_entropy(m, label, label_smoothing=self.label_smoothing) for m in made)
        wanted = label if label.ndim == 1 else label.argmax(dim=-1)
        right = (made[0].detach().argmax(dim=-1) == wanted).float().mean()
        return main + self.weight * torch.stack(others).sum(), {"accuracy": right, "main_loss": main.detach()}

    def count(self, batch: Any) -> int:
        return len(batch[-1])


def spelled_out(
    blocks: Mapping[str, str], units: Mapping[str, str], rest: Mapping[str, str]
) -> dict[str, str]:
    """A weight map from short tables: each unit of each block, and of a unit both parts; and the rest.

    torchvision's names hold letters, "inception4c", for which patterns have no placeholder.
    """
    parts = {"conv": "convolution", "bn": "norm"}
    whole = {
        f"{block}{there}.{part}": f"{block_here}{here}.{part_here}"
        for block, block_here in blocks.items()
        for there, here in units.items()
        for part, part_here in parts.items()
    }
    return whole | dict(rest)


UPSTREAMS = {
    "torchvision": spelled_out(
        {
            "inception{s}a.": "body.inception_{s}.a.",
            "inception{s}b.": "body.inception_{s}.b.",
            "inception{s}c.": "body.inception_{s}.c.",
            "inception{s}d.": "body.inception_{s}.d.",
            "inception{s}e.": "body.inception_{s}.e.",
        },
        {"branch1": "branch_1", "branch{n}.{k}": "branch_{n}.{k}"},
        {
            "conv{k}.conv": "body.stem.unit_{k}.convolution",
            "conv{k}.bn": "body.stem.unit_{k}.norm",
            "aux{n+1}.conv.conv": "auxiliary.{n}.unit.convolution",
            "aux{n+1}.conv.bn": "auxiliary.{n}.unit.norm",
            "aux{n+1}.fc{k}": "auxiliary.{n}.linear_{k}",
            "fc": "head",
        },
    ),
}

OPTIONAL = ("auxiliary",)  # a file may be without
# File, mebibytes, shares of right first guesses and of right ones among five, and sides. The pictures that
# these weights know were normalised by 0.5 and 0.5; torchvision gets there from ImageNet's mean and
# deviation.
PUBLISHED = {
    "googlenet": {"IMAGENET1K_V1": ("googlenet-1378be20", 49.731, 69.778, 89.53)},
}
WEIGHTS = torchvision_weights(PUBLISHED, settings={"transform_input": True})


def googlenet(
    weights: Any = None, classes: int = 1000, channels: int = 3, transform_input: bool = False
) -> GoogLeNet:
    """22 layers, 6.6 million parameters and 6.4 more in the auxiliary heads.

    ``weights`` is a name from ``WEIGHTS["googlenet"]``, a .safetensors, .pt or .pth file, a run folder or
    a state dict, with the names of Fathom or torchvision; it may be without auxiliary heads.
    With another number of classes all heads start anew; with another number of channels the first
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

    known = WEIGHTS["googlenet"]
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
            stem_widths=(8, 16), blocks=(((8, 8, 8, 4, 8, 8),), ((8, 8, 8, 4, 8, 8),)), auxiliary=("3a",),
            auxiliary_widths=(8, 16), stem="3x3", dropout=0.0, auxiliary_dropout=0.1, classes=4, channels=1,
            image_size=16,
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=DeepSupervision(), optimizer=SGD(learning_rate=0.05)),
        batch_size=32,
        steps=36,
    )  # fmt: skip
