"""DenseNet: every layer of a block reads the maps of all layers before it, side by side.

A residual block adds what it learns to what it was given; Huang, Liu, van der Maaten and Weinberger (2017)
lay it beside. The layer number l of a block makes k new maps (the growth) from all that came before:

    x_l = H_l([x_0, x_1, ..., x_(l-1)])                                                  (their equation 2)

So nothing has to be carried on by weights, gradients reach every layer directly, and k can be small: 32 maps,
where a ResNet has hundreds. H is normalisation, ReLU, a 1x1 convolution to 4k maps (the bottleneck, "B"),
normalisation, ReLU, and a 3x3 convolution to k. Maps of one size make a block; between two of them a
transition halves the number of maps by a 1x1 convolution (the compression, "C") and their sides by a pooling.

Written down plainly this costs memory: each layer keeps a concatenation and its normalised copy for the
backward pass, which for L layers grows as L^2. ``checkpoint`` drops both and computes them again when the
gradient needs them (Pleiss et al. 2017, arXiv 1707.06990); the results are the same bits.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.published import torchvision_weights

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="DenseNet",
    paper="https://arxiv.org/abs/1608.06993",
    year=2017,
    summary="Layers that read the maps of all layers before them and each add a few of their own.",
    rows=("CL09",),
    builds_on=("he",),
    differs=(
        "Dropout, where it is asked for, falls on the new maps of a layer alone, as in torchvision; the"
        " paper's code drops after every convolution but the first.",
        "Recomputing leaves the running statistics alone, so each batch counts once; in torchvision's"
        " memory-efficient variant the first normalisation of every layer counts it twice.",
        "On CIFAR-10, small and for minutes on a processor, it does not beat a plain network of as many"
        " parameters (recipes cifar10_densenet and cifar10_floor): its many thin layers take their time.",
    ),
    oracle="torchvision's and timm's models with the same random weights: logits, gradients, statistics of"
    " three training steps, weights both ways; the parameter counts of the paper's table 2",
)

StemKernel = Literal["7x7", "3x3"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of DenseNet-121 (table 1)."""

    depths: tuple[int, ...] = (6, 12, 24, 16)  # layers of each block
    growth: int = 32  # maps that a layer adds: k
    stem_width: int = 64  # maps of the first convolution: 2k in the paper
    bottleneck: int = 4  # maps of the 1x1 convolution of a layer, in growths
    compression: float = 0.5  # share of the maps that a transition keeps
    dropout: float = 0.0  # share of new maps' values that is dropped
    stem: StemKernel = "7x7"  # "3x3": stride 1, no pooling or normalisation, for small pictures (section 3)
    checkpoint: bool = False  # compute concatenations again in the backward pass instead of keeping them
    classes: int = 1000
    channels: int = 3
    image_size: int = 224  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1:
            raise ValueError(f"depths is {self.depths}; it must name 1 or more layers for each block")
        for name in ("growth", "stem_width", "bottleneck", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 < self.compression <= 1:
            raise ValueError(f"compression is {self.compression}; it must be more than 0, and 1 or less")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.stem not in get_args(StemKernel):
            raise ValueError(f"stem is {self.stem!r}; it must be one of {get_args(StemKernel)}")
        if min(self.feature_channels.values()) < 1:
            raise ValueError(f"compression is {self.compression}; a transition would keep no map")
        if self.image_size < self.least_size:
            raise ValueError(f"image_size is {self.image_size}; {self.least}")

    @property
    def least_size(self) -> int:
        """The smallest side in pixels of which the last transition leaves anything."""
        side = 2 ** (len(self.depths) - 1)  # of the maps of the first block
        return 4 * side - 3 if self.stem == "7x7" else side  # the stem halves twice and rounds up

    @property
    def least(self) -> str:
        """The end of a message about pictures that are too small."""
        return (
            f"a DenseNet of {len(self.depths)} blocks with this stem takes {self.least_size} pixels or more"
            " on a side"
        )

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        found, maps = {"stem": self.stem_width}, self.stem_width
        for i, depth in enumerate(self.depths, 1):
            maps += depth * self.growth
            found[f"block_{i}"] = maps
            if i < len(self.depths):
                maps = int(maps * self.compression)
                found[f"transition_{i}"] = maps
        return found | {"last": maps}

    def build(self) -> "DenseNet":
        return DenseNet(self)


class Stem(nn.Sequential):
    """7x7 convolution of stride 2, normalisation and pooling; or a 3x3 convolution for small pictures."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        if cfg.stem == "3x3":  # the first layer of the first block normalises
            self.convolution = nn.Conv2d(cfg.channels, cfg.stem_width, 3, padding=1, bias=False)
            return
        self.convolution = nn.Conv2d(cfg.channels, cfg.stem_width, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(cfg.stem_width)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)


class Layer(nn.Module):
    """H of the paper: from all maps so far to a few new ones."""

    def __init__(self, inputs: int, cfg: Config) -> None:
        super().__init__()
        inner = cfg.bottleneck * cfg.growth
        self.norm_1 = nn.BatchNorm2d(inputs)
        self.convolution_1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm_2 = nn.BatchNorm2d(inner)
        self.convolution_2 = nn.Conv2d(inner, cfg.growth, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(cfg.dropout)
        self.checkpoint = cfg.checkpoint

    def forward(self, maps: list[Tensor]) -> Float[Tensor, "b growth h w"]:
        """New maps from the ``maps`` (b, c, h, w) of the layers before, each with channels of its own."""
        if self.checkpoint and self.training and torch.is_grad_enabled():
            narrow = checkpoint(
                self.narrowed, *maps, use_reentrant=False, preserve_rng_state=False, context_fn=self.contexts
            )
        else:
            narrow = self.narrowed(*maps)
        return self.dropout(self.convolution_2(self.relu(self.norm_2(narrow))))

    def narrowed(self, *maps: Tensor) -> Float[Tensor, "b inner h w"]:
        """The first half, whose intermediate values are as wide as all maps together."""
        return self.convolution_1(self.relu(self.norm_1(torch.cat(maps, dim=1))))

    def contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """What stands round the first computation, and round the second one."""
        return nullcontext(), self.statistics_kept()

    @contextmanager
    def statistics_kept(self) -> Iterator[None]:
        """A batch that passes a second time must not count twice in the running mean and variance."""
        norm = self.norm_1
        momentum, count = norm.momentum, norm.num_batches_tracked
        norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            norm.momentum, norm.num_batches_tracked = momentum, count


class Block(nn.Sequential):
    """Layers, each of which reads the input and what all before it made."""

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b wider h w"]:
        maps = [input]
        for layer in self:
            maps.append(layer(maps))
        return torch.cat(maps, dim=1)


class Transition(nn.Sequential):
    """Fewer maps, of half the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.convolution = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class Last(nn.Sequential):
    """What the last block made, normalised: a layer that would read it does so itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)


class DenseNet(nn.Module):
    """Stem, blocks and transitions, the mean over all places, a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = nn.Sequential()
        self.body.add_module("stem", Stem(cfg))
        maps = cfg.stem_width
        for i, depth in enumerate(cfg.depths, 1):
            layers = [Layer(maps + place * cfg.growth, cfg) for place in range(depth)]
            self.body.add_module(f"block_{i}", Block(*layers))
            maps = cfg.feature_channels[f"block_{i}"]
            if i < len(cfg.depths):
                fewer = cfg.feature_channels[f"transition_{i}"]
                self.body.add_module(f"transition_{i}", Transition(maps, fewer))
                maps = fewer
        self.body.add_module("last", Last(maps))
        self.head = nn.Linear(maps, cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.85 of the time so.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  He normal over fan in, no bias
        norms         weight 1, bias 0
        head          uniform within 1 / sqrt(fan in), bias 0
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                he_normal_(module.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits. Raises ``ValueError`` for pictures of which the transitions leave nothing."""
        return self.head(self.body(self.checked(image)).mean(dim=(2, 3)))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after the stem, each block, transition and the end, by name.

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


# torchvision's names, which timm shares, and those of torchvision's published files, which are of 2017; the
# inverse is computed.
UPSTREAMS = {
    "torchvision": {
        "features.conv0": "body.stem.convolution",
        "features.norm0": "body.stem.norm",
        "features.denseblock{i}.denselayer{j+1}.conv{k}": "body.block_{i}.{j}.convolution_{k}",
        "features.denseblock{i}.denselayer{j+1}.norm{k}": "body.block_{i}.{j}.norm_{k}",
        "features.transition{i}.conv": "body.transition_{i}.convolution",
        "features.transition{i}.norm": "body.transition_{i}.norm",
        "features.norm5": "body.last.norm",
        "classifier": "head",
    },
    "torchvision of 2017": {
        "features.conv0": "body.stem.convolution",
        "features.norm0": "body.stem.norm",
        "features.denseblock{i}.denselayer{j+1}.conv.{k}": "body.block_{i}.{j}.convolution_{k}",
        "features.denseblock{i}.denselayer{j+1}.norm.{k}": "body.block_{i}.{j}.norm_{k}",
        "features.transition{i}.conv": "body.transition_{i}.convolution",
        "features.transition{i}.norm": "body.transition_{i}.norm",
        "features.norm5": "body.last.norm",
        "classifier": "head",
    },
}

# File, mebibytes, shares of right first guesses and of right ones among five.
PUBLISHED = {
    "densenet121": {"IMAGENET1K_V1": ("densenet121-a639ec97", 30.845, 74.434, 91.972)},
    "densenet161": {"IMAGENET1K_V1": ("densenet161-8d451a50", 110.369, 77.138, 93.56)},
    "densenet169": {"IMAGENET1K_V1": ("densenet169-b2777c0a", 54.708, 75.6, 92.806)},
    "densenet201": {"IMAGENET1K_V1": ("densenet201-c1103571", 77.373, 76.896, 93.37)},
}
WEIGHTS = torchvision_weights(PUBLISHED)

SIZES = {
    "densenet121": Config(),
    "densenet161": Config(depths=(6, 12, 36, 24), growth=48, stem_width=96),
    "densenet169": Config(depths=(6, 12, 32, 32)),
    "densenet201": Config(depths=(6, 12, 48, 32)),
}


def densenet121(weights: Any = None, classes: int = 1000, channels: int = 3) -> DenseNet:
    """121 layers, 8.0 million parameters. ``weights`` as in `published`."""
    return published("densenet121", weights, classes, channels)


def densenet161(weights: Any = None, classes: int = 1000, channels: int = 3) -> DenseNet:
    """161 layers that add 48 maps each, 28.7 million parameters. ``weights`` as in `published`."""
    return published("densenet161", weights, classes, channels)


def densenet169(weights: Any = None, classes: int = 1000, channels: int = 3) -> DenseNet:
    """169 layers, 14.1 million parameters. ``weights`` as in `published`."""
    return published("densenet169", weights, classes, channels)


def densenet201(weights: Any = None, classes: int = 1000, channels: int = 3) -> DenseNet:
    """201 layers, 20.0 million parameters. ``weights`` as in `published`."""
    return published("densenet201", weights, classes, channels)


def published(size: str, weights: Any, classes: int, channels: int) -> DenseNet:
    """A model of a published size, a key of ``SIZES``.

    ``weights`` is a name from ``WEIGHTS[size]``, a .safetensors, .pt or .pth file, a run folder or a state
    dict, with the names of Fathom, torchvision or timm. With another number of classes the head starts anew;
    with another number of channels the first convolution is brought to it. What was taken over is printed
    and kept as ``load_report``; how pictures are prepared for these weights, where it is known, as
    ``preprocessing``.
    """
    model = replace(SIZES[size], classes=classes, channels=channels).build()
    if weights is not None:
        from fathom.training.weights import load_weights

        load_weights(
            model,
            weights,
            head=("head",),
            stem=("body.stem.convolution",),
            upstreams=UPSTREAMS,
            published=WEIGHTS[size],
        )
    return model


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(
            depths=(2, 2), growth=4, stem_width=8, bottleneck=2, stem="3x3",
            classes=4, channels=1, image_size=16,
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.05)),
        batch_size=32,
        steps=60,
    )  # fmt: skip
