"""Whitened convolutional network: as much accuracy on small photographs as minutes of training can give.

Most of what a first layer learns is known before: neighbouring pixels are alike, so patches of a photograph
vary a thousand times more in brightness than in contrast, and gradient descent follows the few loud
directions first. Whitening takes that away. Let C = E diag(v) E' be the covariance of the patches of p x p
pixels and c channels in the training pictures; the filters

    W = diag(v + e)^(-1/2) E'       each with its negative, since the activation would drop one half

give values of variance 1 that do not correlate. They are not trained; a bias for each is. Page et al. (2018)
put this stem before a small residual net, and Jordan (2024, section 3.1), who measured what each trick is
worth, calls it the most valuable of them. After the stem come three groups,

    x -> f(N(pool(W1 * x)))  ->  f(N(W2 * x))       W of 3x3, pool: the maximum of each 2x2, f: GELU

which pool before they normalise, so that most arithmetic is in many channels on small maps, what processors
do fastest; then the maximum over what is left of the map, and a linear layer whose outputs are divided by 9.
The convolutions begin as the identity on their first channels (section 3.3), so that from the first step
what the stem sees reaches the head.

Axes used below
    b  batch      c  channels      h, w  height, width in pixels      d  numbers of a patch, c * p * p
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Whitened convolutional network",
    paper="https://arxiv.org/abs/2404.00498",
    year=2024,
    summary="A stem that whitens patches and six wide convolutions: the net of the speed-runs on CIFAR-10.",
    rows=("CL14",),
    differs=(
        "The filters come from the first batch that the model is trained on; the paper takes 5,000 pictures"
        " before training. On several ranks those of the first rank hold from the second step on.",
        "Batch normalisation learns a weight for each channel, and its statistics have torch's momentum; the"
        " paper keeps the weights at 1 and gives the biases a rate of their own.",
        "The bias of the stem learns to the end; in the paper for three epochs.",
        "At the end one pass over each picture, with ``mirrored`` two; the paper averages six views of it.",
    ),
    oracle="numpy's eigenvectors and scikit-learn's PCA for the stem; the body as a chain of torch's own"
    " layers, same weights: logits, gradients, statistics of three training steps",
)

SMOOTH = 5e-4  # e above: directions in which pictures hardly vary are not blown up
SCALE = 1 / 9  # of the logits


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. The defaults are the paper's, for photographs of 32x32 pixels."""

    widths: tuple[int, ...] = (64, 256, 256)  # channels of each group
    patch: int = 2  # side of the patches that are whitened
    classes: int = 10
    channels: int = 3
    image_size: int = 32  # what it is meant for; the weights fit other sizes too
    mirrored: bool = False  # answers are the mean over a picture and its mirror image

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; it must name 1 or more channels for each group")
        for name in ("patch", "classes", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.image_size < self.least_size:
            raise ValueError(f"image_size is {self.image_size}; {self.least}")

    @property
    def least_size(self) -> int:
        """The smallest side in pixels of which the last pooling leaves anything."""
        return 2 ** len(self.widths) + self.patch - 1

    @property
    def least(self) -> str:
        """The end of a message about pictures that are too small."""
        return f"{len(self.widths)} groups take {self.least_size} pixels or more on a side"

    @property
    def feature_channels(self) -> dict[str, int]:
        """The channels of each map that ``features`` names."""
        stem = 2 * self.channels * self.patch**2
        return {"stem": stem} | {f"group_{n}": width for n, width in enumerate(self.widths, 1)}

    def build(self) -> "WhitenedCNN":
        return WhitenedCNN(self)


@torch.no_grad()
def whitening(image: Float[Tensor, "b c h w"], patch: int) -> Float[Tensor, "d c p p"]:
    """Filters that whiten the patches of ``image``, loudest direction first; W of the equation above."""
    patches = F.unfold(image.float().contiguous(), patch).transpose(1, 2).flatten(0, 1)
    patches = patches - patches.mean(0)
    variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = directions / (variances + SMOOTH).sqrt()
    return filters.flip(1).T.unflatten(1, (image.shape[1], patch, patch)).to(image.dtype)


class Whitening(nn.Module):
    """Patches through whitening filters and their negatives, a trained bias, and the activation.

    Until the first batch in training, which decides them, the filters pick the numbers of a patch one by one.
    They are part of the state dict, as is whether they were decided.
    """

    filters: Tensor
    decided: Tensor

    def __init__(self, channels: int, patch: int) -> None:
        super().__init__()
        numbers = channels * patch**2
        self.patch = patch
        picks = torch.eye(numbers).reshape(numbers, channels, patch, patch)
        self.register_buffer("filters", torch.cat((picks, -picks)))
        self.register_buffer("decided", torch.zeros((), dtype=torch.bool))
        self.bias = nn.Parameter(torch.zeros(2 * numbers))

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b filters rows columns"]:
        if self.training and not self.decided:
            filters = whitening(image, self.patch)
            self.filters.copy_(torch.cat((filters, -filters)))
            self.decided.fill_(True)
        return F.gelu(F.conv2d(image, self.filters, self.bias))


class Group(nn.Module):
    """Two convolutions, each normalised; the map is halved after the first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution_1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm_1 = nn.BatchNorm2d(outputs)
        self.convolution_2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b inputs h w"]) -> Float[Tensor, "b outputs rows columns"]:
        x = F.gelu(self.norm_1(self.pool(self.convolution_1(x))))
        return F.gelu(self.norm_2(self.convolution_2(x)))


class WhitenedCNN(nn.Module):
    """The stem, the groups, the maximum over all places, a linear layer."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.stem = Whitening(cfg.channels, cfg.patch)
        widths = tuple(cfg.feature_channels.values())
        self.groups = nn.Sequential(*(Group(*sizes) for sizes in itertools.pairwise(widths)))
        self.head = nn.Linear(widths[-1], cfg.classes, bias=False)
        self.init_weights()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  the first maps hand on the channels as they are; the others uniform within
                      1 / sqrt(fan in)
        norms         weight 1, bias 0
        stem          bias 0
        head          uniform within 1 / sqrt(fan in)
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = layer.weight[0].numel() ** -0.5
                nn.init.uniform_(layer.weight, -bound, bound)
            if isinstance(layer, nn.Conv2d):
                nn.init.dirac_(layer.weight[: layer.in_channels])

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Logits; with ``mirrored``, after training, the mean of those of both views.

        Raises ``ValueError`` for pictures of which the poolings leave nothing.
        """
        image = self.checked(image)
        if self.cfg.mirrored and not self.training:
            return (self.logits(image) + self.logits(image.flip(3))) / 2
        return self.logits(image)

    def logits(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        maps = self.groups(self.stem(image))
        return self.head(maps.amax(dim=(2, 3))) * SCALE

    def features(self, image: Float[Tensor, "b c h w"]) -> dict[str, Tensor]:
        """The maps (b, channels, rows, columns) after the stem and each group, by name.

        Raises ``ValueError`` as the model itself does.
        """
        x = self.stem(self.checked(image))
        found = {"stem": x}
        for number, group in enumerate(self.groups, 1):
            found[f"group_{number}"] = x = group(x)
        return found

    def checked(self, image: Tensor) -> Tensor:
        """``image`` itself, channels last, if both sides are long enough."""
        height, width = image.shape[-2:]
        if min(height, width) < self.cfg.least_size:
            raise ValueError(f"image is {height}x{width} pixels; {self.cfg.least}")
        return image.contiguous(memory_format=torch.channels_last)


def tiny() -> "Experiment":
    """The smallest complete run: bars of four directions, a second on one core. Tests run it."""
    from fathom.data.drawn import bars
    from fathom.tasks.image_classification import ImageClassification
    from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent

    return Experiment(
        model=Config(widths=(8, 16), classes=4, channels=1, image_size=16),
        data=bars(size=16, train=256, valid=64),
        task=ImageClassification(labels=("-", "|", "/", "\\"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.1)),
        batch_size=32,
        steps=60,
    )
