"""AlexNet: five convolutions and three dense layers, which made pictures the business of deep learning.

Krizhevsky, Sutskever and Hinton (2012) trained on a million photographs what LeNet had done for digits, with
two changes that made the size possible: ReLUs, which do not saturate and so learn several times faster than
tanh, and dropout, without which the dense layers, nineteen parts in twenty of all weights, overfit. Kernels
shrink from 11x11 to 5x5 to 3x3 while the map does; its three poolings overlap, 3x3 windows two pixels apart:

    224 -conv 1-> 55 -pool-> 27 -conv 2-> 27 -pool-> 13 -conv 3, 4, 5-> 13 -pool-> 6 -> 4096 -> 4096 -> 1000

The net of 2012 is cut in two towers, one for each of two GPUs, that meet at the third convolution and at the
dense layers. What libraries call AlexNet, this file too, is the single tower of Krizhevsky (2014), "One weird
trick for parallelizing convolutional neural networks": fewer maps, each connected to all of the layer before,
and as many weights but for 0.2 percent.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels
"""

from dataclasses import dataclass
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
    title="AlexNet",
    paper="https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
    year=2012,
    summary="Five convolutions and three dense layers with ReLUs and dropout: photographs told apart.",
    rows=("CL05",),
    builds_on=("he",),
    differs=(
        "One tower of 64, 192, 384, 256 and 256 maps (Krizhevsky 2014, arXiv 1404.5997); 2012 has two towers,"
        " together of 96, 256, 384, 384 and 256. A footnote of 2014 gives the fourth layer 384 maps; its code"
        " has 256, and only these give the 0.2 percent of weights more that its text speaks of.",
        "No local response normalisation after the first two layers, as in torchvision; 2012 has it.",
        "Dropout falls on what enters the two hidden layers, as in torchvision; in 2012 on what leaves them.",
        "The maps are averaged to 6x6, so other sizes than 224 pixels fit; at 224 this changes nothing.",
        "He initialisation, which came in 2015; 2012 draws from N(0, 0.01) and starts some biases at 1.",
        "On CIFAR-10, small and for minutes on a processor, it does not beat a plain network of as many"
        " parameters (recipes cifar10_alexnet and cifar10_floor).",
    ),
    oracle="torchvision's model with the same random weights: logits, gradients of three training steps,"
    " weights both ways; the share of weights between the papers' two nets",
)

StemKernel = Literal["11x11", "3x3"]
WIDTHS = (64, 192, 384, 256, 256)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are those of the single tower for photographs of 224 pixels."""

    widths: tuple[int, ...] = WIDTHS  # maps of the five convolutions
    hidden: int = 4096  # units of each of the two dense layers before the last
    grid: int = 6  # side of the maps that the dense layers see
    dropout: float = 0.5  # share of what enters each hidden layer that is dropped
    stem: StemKernel = "11x11"  # "3x3": stride 1, for small pictures
    classes: int = 1000
    channels: int = 3
    image_size: int = 224  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        if len(self.widths) != 5 or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; it must name 1 or more maps for each of 5 layers")
        for name in ("hidden", "grid", "classes", "channels", "image_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be in [0, 1)")
        if self.stem not in get_args(StemKernel):
            raise ValueError(f"stem is {self.stem!r}; it must be one of {get_args(StemKernel)}")
        if self.image_size < self.least_size:
            raise ValueError(f"image_size is {self.image_size}; {self.least}")

    @property
    def least_size(self) -> int:
        """The smallest side in pixels of which the third pooling leaves anything."""
        return 63 if self.stem == "11x11" else 15

    @property
    def least(self) -> str:
        """The end of a message about pictures that are too small."""
        small = "; stem='3x3' takes 15" if self.stem == "11x11" else ""
        return f"an AlexNet with this stem takes {self.least_size} pixels or more on a side{small}"

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        first, second, third, fourth, fifth = self.widths
        return {
            "conv_1": first, "pool_1": first, "conv_2": second, "pool_2": second,
            "conv_3": third, "conv_4": fourth, "conv_5": fifth, "pool_5": fifth,
        }  # fmt: skip

    def build(self) -> "AlexNet":
        return AlexNet(self)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """A convolution and a ReLU, which overwrites what it is given: nothing else reads it."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding), nn.ReLU(inplace=True))


class AlexNet(nn.Module):
    """Convolutions and poolings by the paper's numbers, two hidden layers, a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        first, second, third, fourth, fifth = cfg.widths
        kernel, stride, padding = (11, 4, 2) if cfg.stem == "11x11" else (3, 1, 1)
        parts = {
            "conv_1": convolution(cfg.channels, first, kernel, stride, padding),
            "pool_1": nn.MaxPool2d(3, stride=2),
            "conv_2": convolution(first, second, 5, padding=2),
            "pool_2": nn.MaxPool2d(3, stride=2),
            "conv_3": convolution(second, third, 3),
            "conv_4": convolution(third, fourth, 3),
            "conv_5": convolution(fourth, fifth, 3),
            "pool_5": nn.MaxPool2d(3, stride=2),
        }
        self.body = nn.Sequential()
        for name, part in parts.items():
            self.body.add_module(name, part)
        self.grid = nn.AdaptiveAvgPool2d(cfg.grid)
        self.hidden = nn.Sequential(
            nn.Dropout(cfg.dropout),
            nn.Linear(fifth * cfg.grid**2, cfg.hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(cfg.dropout),
            nn.Linear(cfg.hidden, cfg.hidden),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Linear(cfg.hidden, cfg.classes)
        self.init_weights()
        # On a processor a step takes 0.8 of the time so for small pictures, 0.95 for large ones.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions, hidden layers  He normal over fan in, bias 0
        head                         uniform within 1 / sqrt(fan in), weight and bias
        """
        for part in (self.body, self.hidden):
            for module in part.modules():
                if isinstance(module, nn.Conv2d | nn.Linear):
                    he_normal_(module.weight)
                    nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits. Raises ``ValueError`` for pictures of which the poolings leave nothing."""
        maps = self.body(self.checked(image))
        return self.head(self.hidden(self.grid(maps).flatten(1)))

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after each convolution's ReLU and each pooling, by name.

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


# torchvision's names; the inverse is computed. timm has no AlexNet.
UPSTREAMS = {
    "torchvision": {
        "features.0": "body.conv_1.0",
        "features.3": "body.conv_2.0",
        "features.6": "body.conv_3.0",
        "features.8": "body.conv_4.0",
        "features.10": "body.conv_5.0",
        "classifier.1": "hidden.1",
        "classifier.4": "hidden.4",
        "classifier.6": "head",
    },
}

# File, mebibytes, shares of right first guesses and of right ones among five.
PUBLISHED = {"alexnet": {"IMAGENET1K_V1": ("alexnet-owt-7be5be79", 233.087, 56.522, 79.066)}}
WEIGHTS = torchvision_weights(PUBLISHED)


def alexnet(weights: Any = None, classes: int = 1000, channels: int = 3) -> AlexNet:
    """The single tower, 61.1 million parameters.

    ``weights`` is a name from ``WEIGHTS["alexnet"]``, a .safetensors, .pt or .pth file, a run folder or a
    state dict, with the names of Fathom or torchvision. With another number of classes the head starts anew;
    with another number of channels the first convolution is brought to it. What was taken over is printed
    and kept as ``load_report``; how pictures are prepared for these weights, where it is known, as
    ``preprocessing``.
    """
    model = Config(classes=classes, channels=channels).build()
    if weights is not None:
        from fathom.training.weights import load_weights

        load_weights(
            model,
            weights,
            head=("head",),
            stem=("body.conv_1.0",),
            upstreams=UPSTREAMS,
            published=WEIGHTS["alexnet"],
        )
    return model


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(
            widths=(8, 8, 16, 16, 16), hidden=32, grid=1, dropout=0.0, stem="3x3",
            classes=4, channels=1, image_size=16,
        ),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.01)),
        batch_size=32,
        steps=60,
    )  # fmt: skip
