"""VGG: depth alone, from one brick - a 3x3 convolution - and a pooling wherever the channels double.

Simonyan and Zisserman (2015) replace large kernels by stacks of small ones. Two 3x3 convolutions see 5x5
pixels, three see 7x7, and for c channels in and out

    three 3x3:  3 * 9 c^2 = 27 c^2 weights and three ReLUs        one 7x7:  49 c^2 weights and one ReLU

so the stack is cheaper and bends more often (section 2.3). Five stages of 1 to 4 such convolutions, each
closed by a 2x2 pooling that halves the map, and three dense layers; 11, 13, 16 or 19 layers with weights are
the columns A, B, D and E of their table 1. The features of the 16 and 19 still carry style transfer and
perceptual losses, where layers go by the names that ``features`` gives: "conv_4_2" is the second convolution
of the fourth stage, after its ReLU.

Batch normalisation is younger (2015). With it, between convolution and ReLU, all of these train from random
weights; the paper had to start the deep ones from the trained layers of the shallow one.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.published import torchvision_weights

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="VGG",
    paper="https://arxiv.org/abs/1409.1556",
    year=2015,
    summary="Stacks of 3x3 convolutions, up to 19 layers deep; its features still measure how pictures look.",
    rows=("CL06", "TL01"),
    builds_on=("he",),
    differs=(
        "He initialisation, with which the deep nets train at once; the paper draws from a normal of variance"
        " 0.01 and starts the deep nets from the trained layers of A.",
        "The maps are averaged to 7x7, so other sizes than 224 pixels fit; at 224 this changes nothing. The"
        " paper slides the dense layers over larger maps.",
        "Columns A-LRN and C of table 1, with local response normalisation and 1x1 convolutions, left out.",
        "Convolutions keep their biases beside batch normalisation, which cancels them, for the sake of the"
        " published weights.",
    ),
    oracle="torchvision's and timm's models with the same random weights: logits, gradients, statistics of"
    " three training steps, weights both ways; the parameter counts of the paper's table 2",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of VGG-16 (column D)."""

    depths: tuple[int, ...] = (2, 2, 3, 3, 3)  # convolutions of each stage
    width: int = 64  # channels of the first stage; doubled in each, up to eight times
    norm: bool = False  # batch normalisation after each convolution
    hidden: int = 4096  # units of each of the two dense layers before the last
    grid: int = 7  # side of the maps that the dense layers see
    dropout: float = 0.5  # share of what leaves each hidden layer that is dropped
    classes: int = 1000
    channels: int = 3
    image_size: int = 224  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        if not self.depths or min(self.depths) < 1:
            raise ValueError(f"depths is {self.depths}; it must name 1 or more convolutions for each stage")
        for name in ("width", "hidden", "grid", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.image_size < self.least_size:
            raise ValueError(f"image_size is {self.image_size}; {self.least}")

    @property
    def least_size(self) -> int:
        """The smallest side in pixels of which the last pooling leaves anything."""
        return 2 ** len(self.depths)

    @property
    def least(self) -> str:
        """The end of a message about pictures that are too small."""
        return f"a VGG of {len(self.depths)} stages takes {self.least_size} pixels or more on a side"

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        found: dict[str, int] = {}
        for stage, depth in enumerate(self.depths, 1):
            width = self.width * min(2 ** (stage - 1), 8)
            found |= {f"conv_{stage}_{place}": width for place in range(1, depth + 1)}
            found[f"pool_{stage}"] = width
        return found

    def build(self) -> "VGG":
        return VGG(self)


def layers(cfg: Config) -> Iterator[nn.Module]:
    """The whole chain in order. A ReLU overwrites what it is given: nothing else reads it."""
    inputs = cfg.channels
    for name, outputs in cfg.feature_channels.items():
        if name.startswith("pool"):
            yield nn.MaxPool2d(2)
            continue
        yield nn.Conv2d(inputs, outputs, 3, padding=1)
        if cfg.norm:
            yield nn.BatchNorm2d(outputs)
        yield nn.ReLU(inplace=True)
        inputs = outputs


class VGG(nn.Module):
    """Convolutions and poolings in one chain, two hidden layers, a linear layer.

    ``body`` has numbers for names, those that its layers have in torchvision and timm: a chain whose stages
    differ in length has no other name for a layer that one table could give for all sizes.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = nn.Sequential(*layers(cfg))
        self.grid = nn.AdaptiveAvgPool2d(cfg.grid)
        self.hidden = nn.Sequential(
            nn.Linear(list(cfg.feature_channels.values())[-1] * cfg.grid**2, cfg.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(cfg.dropout),
            nn.Linear(cfg.hidden, cfg.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(cfg.dropout),
        )
        self.head = nn.Linear(cfg.hidden, cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.75 of the time so for small pictures, 0.9 for large ones.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions   He normal over fan out, bias 0
        norms          weight 1, bias 0
        hidden layers  He normal over fan in, bias 0
        head           uniform within 1 / sqrt(fan in), weight and bias
        """
        for part, mode in ((self.body, "fan_out"), (self.hidden, "fan_in")):
            for layer in part:
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    he_normal_(layer.weight, mode=mode)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits. Raises ``ValueError`` for pictures of which the poolings leave nothing."""
        maps = self.body(self.checked(image))
        return self.head(self.hidden(self.grid(maps).flatten(1)))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after each convolution's ReLU and each pooling, by name.

        Raises ``ValueError`` as the model itself does.
        """
        names = iter(self.cfg.feature_channels)
        found: dict[str, Tensor] = {}
        x = self.checked(image)
        for layer in self.body:
            x = layer(x)
            if isinstance(layer, nn.ReLU | nn.MaxPool2d):
                found[next(names)] = x
        return found

    def checked(self, image: Tensor) -> Tensor:
        """``image`` itself, if both sides are long enough."""
        height, width = image.shape[-2:]
        if min(height, width) < self.cfg.least_size:
            raise ValueError(f"image is {height}x{width} pixels; {self.cfg.least}")
        return image


# The names of torchvision and of timm, and, `rewritten`, of Keras; the inverse is computed.
UPSTREAMS = {
    "torchvision": {
        "features.{i}": "body.{i}",
        "classifier.0": "hidden.0",
        "classifier.3": "hidden.3",
        "classifier.6": "head",
    },
    "timm": {
        "features.{i}": "body.{i}",
        "pre_logits.fc1": "hidden.0",
        "pre_logits.fc2": "hidden.3",
        "head.fc": "head",
    },
    "keras": {
        "convolution.{i}": "body.{i}",
        "fc1": "hidden.0",
        "fc2": "hidden.3",
        "predictions": "head",
    },
}

# File, mebibytes, shares of right first guesses and of right ones among five. Of torchvision's files for
# VGG-16 the one without a classifier is left out.
PUBLISHED = {
    "vgg11": {"IMAGENET1K_V1": ("vgg11-8a719046", 506.84, 69.02, 88.628)},
    "vgg13": {"IMAGENET1K_V1": ("vgg13-19584684", 507.545, 69.928, 89.246)},
    "vgg16": {"IMAGENET1K_V1": ("vgg16-397923af", 527.796, 71.592, 90.382)},
    "vgg19": {"IMAGENET1K_V1": ("vgg19-dcbb9e9d", 548.051, 72.376, 90.876)},
    "vgg11_bn": {"IMAGENET1K_V1": ("vgg11_bn-6002323d", 506.881, 70.37, 89.81)},
    "vgg13_bn": {"IMAGENET1K_V1": ("vgg13_bn-abd245e5", 507.59, 71.586, 90.374)},
    "vgg16_bn": {"IMAGENET1K_V1": ("vgg16_bn-6c64b313", 527.866, 73.36, 91.516)},
    "vgg19_bn": {"IMAGENET1K_V1": ("vgg19_bn-c79401a0", 548.143, 74.218, 91.842)},
}
WEIGHTS = torchvision_weights(PUBLISHED)

VGG11 = Config(depths=(1, 1, 2, 2, 2))
VGG13 = Config(depths=(2, 2, 2, 2, 2))
VGG16 = Config()
VGG19 = Config(depths=(2, 2, 4, 4, 4))
SIZES = {
    "vgg11": VGG11,
    "vgg13": VGG13,
    "vgg16": VGG16,
    "vgg19": VGG19,
    "vgg11_bn": replace(VGG11, norm=True),
    "vgg13_bn": replace(VGG13, norm=True),
    "vgg16_bn": replace(VGG16, norm=True),
    "vgg19_bn": replace(VGG19, norm=True),
}


def vgg11(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """Column A, 11 layers, 132.9 million parameters. ``weights`` as in `published`."""
    return published("vgg11", weights, classes, channels)


def vgg13(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """Column B, 13 layers, 133.0 million parameters. ``weights`` as in `published`."""
    return published("vgg13", weights, classes, channels)


def vgg16(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """Column D, 16 layers, 138.4 million parameters. ``weights`` as in `published`."""
    return published("vgg16", weights, classes, channels)


def vgg19(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """Column E, 19 layers, 143.7 million parameters. ``weights`` as in `published`."""
    return published("vgg19", weights, classes, channels)


def vgg11_bn(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """11 layers with batch normalisation. ``weights`` as in `published`."""
    return published("vgg11_bn", weights, classes, channels)


def vgg13_bn(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """13 layers with batch normalisation. ``weights`` as in `published`."""
    return published("vgg13_bn", weights, classes, channels)


def vgg16_bn(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """16 layers with batch normalisation. ``weights`` as in `published`."""
    return published("vgg16_bn", weights, classes, channels)


def vgg19_bn(weights: Any = None, classes: int = 1000, channels: int = 3) -> VGG:
    """19 layers with batch normalisation. ``weights`` as in `published`."""
    return published("vgg19_bn", weights, classes, channels)


def published(size: str, weights: Any, classes: int, channels: int) -> VGG:
    """A model of a published size, a key of ``SIZES``.

    ``weights`` is a name from ``WEIGHTS[size]``, a .safetensors, .pt, .pth, .h5 or .keras file, a run folder
    or a state dict, with the names of Fathom, torchvision, timm or Keras. With another number of classes the
    head starts anew; with another number of channels the first convolution is brought to it. What was taken
    over is printed and kept as ``load_report``; how pictures are prepared for these weights, where it is
    known, as ``preprocessing``.
    """
    cfg = replace(SIZES[size], classes=classes, channels=channels)
    model = cfg.build()
    if weights is not None:
        from fathom.training.weights import load_weights

        load_weights(
            model,
            weights,
            head=("head",),
            stem=("body.0",),
            upstreams=UPSTREAMS,
            published=WEIGHTS[size],
            before=partial(rewritten, cfg=cfg),
        )
    return model


def rewritten(state: Mapping[str, Tensor], cfg: Config) -> dict[str, Tensor]:
    """``state`` with timm's convolutions of the size of the map as the dense layers that they are.

    Keras's convolutions, "block3_conv2", get their place in the body, and the first dense layer reads the map
    channels first.
    """
    places = keras_places(cfg)
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if layer in places:
            name = f"convolution.{places[layer]}.{leaf}"
        elif name.startswith("pre_logits.") and tensor.ndim > 1:
            tensor = tensor.flatten(1)
        elif name == "fc1.weight" and tensor.ndim == 2 and tensor.shape[1] % cfg.grid**2 == 0:
            maps = tensor.shape[1] // cfg.grid**2
            tensor = tensor.unflatten(1, (cfg.grid**2, maps)).transpose(1, 2).flatten(1)
        found[name] = tensor
    return found


def keras_places(cfg: Config) -> dict[str, int]:
    """The layers of Keras's VGG, "block1_conv1", and where in the body each stands here."""
    each, place = 3 if cfg.norm else 2, 0
    found: dict[str, int] = {}
    for block, depth in enumerate(cfg.depths, 1):
        found |= {f"block{block}_conv{n + 1}": place + n * each for n in range(depth)}
        place += depth * each + 1  # the pooling
    return found


def keras_arrays(model: VGG) -> dict[str, Any]:
    """The arrays of Keras's VGG with the weights of ``model``, "block1_conv1/kernel"; see `to_keras`.

    Raises ``ValueError`` for a model with normalisation, which Keras has not.
    """
    from fathom.training.keras_layout import to_keras
    from fathom.training.weights import upstream_state

    if model.cfg.norm:
        raise ValueError("Keras's VGG has no batch normalisation; give a model without")
    names = {f"convolution.{place}": layer for layer, place in keras_places(model.cfg).items()}
    found: dict[str, Tensor] = {}
    for name, tensor in upstream_state(model, UPSTREAMS["keras"]).items():
        layer, _, leaf = name.rpartition(".")
        if name == "fc1.weight":
            tensor = tensor.unflatten(1, (-1, model.cfg.grid**2)).transpose(1, 2).flatten(1)
        found[f"{names.get(layer, layer)}.{leaf}"] = tensor
    return to_keras(found)


def timm_state(model: VGG) -> dict[str, Tensor]:
    """The state dict of ``model`` as timm's VGG takes it; the inverse of `rewritten`."""
    from fathom.training.weights import upstream_state

    state = upstream_state(model, UPSTREAMS["timm"])
    for name, side in (("pre_logits.fc1.weight", model.cfg.grid), ("pre_logits.fc2.weight", 1)):
        state[name] = state[name].unflatten(1, (-1, side, side))
    return state


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(
            depths=(1, 1, 2), width=8, norm=True, hidden=32, grid=1, dropout=0.0,
            classes=4, channels=1, image_size=16,
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.02)),
        batch_size=32,
        steps=60,
    )  # fmt: skip
