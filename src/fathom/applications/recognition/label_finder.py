"""Several labels in one picture: every place of a map says what it sees, and the surest places decide.

A classifier of one label lets the classes compete, by a softmax. Where a picture may show several things, or
none, each label is a question of its own, with a probability of its own:

    p_k = sigmoid(s_k)        loss = mean over labels of -t_k log p_k - (1 - t_k) log(1 - p_k)

The score s_k has to say whether thing k lies anywhere in the picture. A mean over all places drowns what is
small, a maximum teaches one place alone. Pinheiro and Collobert (2015, section 3.1) take what lies between
them, the smooth maximum over the h w places of the map x_k of label k,

    s_k = 1/r log( 1/(h w) sum over places of exp(r x_k) )      r -> 0: the mean;  r -> infinity: the maximum

whose slope is a softmax of r x_k over the places: the surest learn most. Nothing depends on the size of the
picture, and the maps, which nobody told where things are, show it (``maps``).

Axes used below
    b  batch      c  channels      h, w  height, width in pixels      k  labels
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Label finder",
    paper="https://arxiv.org/abs/1411.6228",
    year=2015,
    summary="Tells which of several things a picture shows, by the places that are surest of each.",
    rows=("CL15",),
    builds_on=("he",),
    differs=(
        "A small plain net of its own, with batch normalisation; the paper has the trained Overfeat below.",
        "Each label has a sigmoid, as things may stand side by side; the paper's training pictures have one"
        " label each, and a softmax.",
        "Hierarchical and fine-grained labels, which the row names too, have no form of their own here: a"
        " hierarchy is a set of labels, and fine-grained classes are classes.",
    ),
    oracle="the equations in float64, place by place and label by label; torch's own layers, same weights;"
    " mean average precision and F1 against scikit-learn",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. Each stage but the last halves the side of the map."""

    widths: tuple[int, ...] = (16, 32, 64, 64)  # maps of each stage
    sharpness: float = 2.0  # r of the smooth maximum
    classes: int = 10  # labels
    channels: int = 1
    image_size: int = 56  # what it is meant for; the weights fit other sizes too

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths is {self.widths}; it must name 1 or more maps for each stage")
        for name in ("classes", "channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if not 0 < self.sharpness < math.inf:
            raise ValueError(f"sharpness is {self.sharpness}; it must be positive and finite")
        if self.image_size < self.stride:
            raise ValueError(
                f"image_size is {self.image_size}; {len(self.widths)} stages need {self.stride} or more"
            )

    @property
    def stride(self) -> int:
        """Pixels from one place of the map to the next."""
        return 2 ** (len(self.widths) - 1)

    def build(self) -> "LabelFinder":
        return LabelFinder(self)


def stage(inputs: int, outputs: int, pool: bool) -> nn.Sequential:
    """Convolution, pooling where wanted, normalisation, ReLU: the latter two see what pooling left."""
    # Normalisation takes the mean away, so a bias would do nothing.
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    pooling = nn.MaxPool2d(2) if pool else nn.Identity()
    return nn.Sequential(convolution, pooling, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def smooth_maximum(maps: Float[Tensor, "b k h w"], sharpness: float) -> Float[Tensor, "b k"]:
    """Between the mean (0) and the maximum (infinity) over all places; ``sharpness`` is positive."""
    places = maps.flatten(2)
    return ((places * sharpness).logsumexp(dim=2) - math.log(places.shape[2])) / sharpness


class LabelFinder(nn.Module):
    """Stages, a map for each label, the smooth maximum over all places."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.body = nn.Sequential()
        inputs = cfg.channels
        for i, outputs in enumerate(cfg.widths, 1):
            self.body.add_module(f"stage_{i}", stage(inputs, outputs, pool=i < len(cfg.widths)))
            inputs = outputs
        self.head = nn.Conv2d(inputs, cfg.classes, 1)
        self.init_weights()
        # Channels last is what the processor's convolutions work in; without it each call reorders.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions  He normal over fan in, no bias
        norms         weight 1, bias 0
        head          normal, std = 1 / sqrt(fan in), bias 0: every label starts near even odds
        """
        for layer in self.body.modules():
            if isinstance(layer, nn.Conv2d):
                he_normal_(layer.weight)
        nn.init.normal_(self.head.weight, std=self.head.in_channels**-0.5)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes"]:
        """Log-odds of each label. Raises ``ValueError`` for pictures of which the poolings leave nothing."""
        return smooth_maximum(self.maps(image), self.cfg.sharpness)

    def maps(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b classes rows columns"]:
        """What each place says of each label, before the places are brought together."""
        height, width = image.shape[-2:]
        if min(height, width) < self.cfg.stride:
            raise ValueError(f"image is {height}x{width} pixels; give {self.cfg.stride} or more on a side")
        return self.head(self.body(image))


@dataclass(frozen=True, kw_only=True)
class EachLabel:
    """Binary cross-entropy, the mean over labels and rows.

    A batch is ``(*inputs, truth)``, truth (b, labels) of zeros and ones in any number type; the model gives
    log-odds of that shape. Logged is the share of rows all of whose labels are right at even odds, "exact".
    """

    def __call__(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        *inputs, truth = batch
        scores = model(*inputs)
        loss = F.binary_cross_entropy_with_logits(scores, truth.to(scores.dtype))
        exact = ((scores.detach() > 0) == (truth > 0.5)).all(dim=1).float().mean()
        return loss, {"exact": exact}

    def count(self, batch: Any) -> int:
        return len(batch[-1])


def tiny() -> "Experiment":
    """The smallest complete run: which of three marks are there? A second on one core. Tests run it."""
    from fathom.data.composed import drawn_marks
    from fathom.tasks.multi_label import MultiLabel
    from fathom.training import Adam, Experiment, GradientDescent

    return Experiment(
        model=Config(widths=(8, 16), classes=3, image_size=16),
        data=drawn_marks(train=256, valid=64),
        task=MultiLabel(labels=("bar", "post", "dot"), channels=1, height=16, width=16),
        learning=GradientDescent(objective=EachLabel(), optimizer=Adam(learning_rate=0.01)),
        batch_size=32,
        steps=80,
    )
