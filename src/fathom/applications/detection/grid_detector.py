"""A one-stage box detector: every cell of a grid says what lies there, and how far its edges are.

FCOS (Tian et al. 2019) needs no anchor boxes and no second stage. A convolutional net shrinks the picture
to a grid of cells, one every ``stride`` pixels. From each cell it reads a score for each class, and four
distances l, t, r, b from the cell's centre (x, y) to the edges of the box it lies in:

    box = (x - l, y - t, x + r, y + b)                                          (equation 1, turned round)

While learning, a cell near the centre of a true box has that box as its target (the smallest, where there
are several), and all others are background. Scores learn by the focal loss, which keeps the thousands of
easy background cells from drowning the few that matter (Lin et al. 2017), distances by the overlap itself,
with a term that still pulls boxes together when they do not touch (GIoU, Rezatofighi et al. 2019). Nothing
depends on the size of the picture, so pictures of any size go in.

Axes used below
    b  batch      h, w  height, width in pixels      n  cells of the grid, row by row      m  true boxes
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.training import Experiment

CARD = Card(
    title="Grid detector (FCOS on one grid)",
    paper="https://arxiv.org/abs/1904.01355",
    year=2019,
    summary="Finds and names objects: every cell of one grid gives class scores and a box.",
    differs=(
        "One grid instead of a pyramid of five, and a small residual net of its own: objects of one order"
        " of size, on a CPU.",
        "Only cells near a box's centre learn it (the journal version's centre sampling), so there is no"
        " centre-ness branch.",
        "Distances through softplus instead of exp, which cannot overflow; GIoU instead of IoU loss.",
        "Boxes are in pixels of the picture as given: it is not resized, so objects should have about the"
        " size they had in training.",
    ),
    oracle="targets, focal loss and GIoU written out cell by cell with plain loops",
)

RARE = 0.01  # probability that every score starts with: most cells are background (Lin et al. 2017, 4.1)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Sizes of the model. A picture of h x w pixels gives ceil(h / stride) x ceil(w / stride) cells."""

    classes: int = 3
    width: int = 48  # maps on the grid; the first two layers have a third and two thirds of them
    blocks: int = 4  # residual blocks on the grid; each looks 3 cells further on every side
    shrink: int = 1  # the picture is first averaged over squares of this many pixels

    def __post_init__(self) -> None:
        for name, least in (("classes", 1), ("width", 3), ("blocks", 1), ("shrink", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {least} or more")

    @property
    def stride(self) -> int:
        """Pixels from one cell to the next."""
        return 8 * self.shrink

    def build(self) -> "GridDetector":
        return GridDetector(self)


class Convolution(nn.Sequential):
    """3x3 convolution, normalisation, relu.

    Batch statistics are fixed once trained. A norm over the picture itself would make what is seen in one
    corner depend on how much padding lies in the other.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Block(nn.Module):
    """Two convolutions around a shortcut, the second looking twice as far."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near, self.far = Convolution(width, width), Convolution(width, width, dilation=2)

    def forward(self, x: Float[Tensor, "b c rows columns"]) -> Float[Tensor, "b c rows columns"]:
        return x + self.far(self.near(x))


class GridDetector(nn.Module):
    """Three strided convolutions down to the grid, residual blocks on it, one layer for all answers."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        width = cfg.width
        self.down = nn.Sequential(
            Convolution(3, width // 3, stride=2),
            Convolution(width // 3, 2 * width // 3, stride=2),
            Convolution(2 * width // 3, width, stride=2),
        )
        self.blocks = nn.Sequential(*(Block(width) for _ in range(cfg.blocks)))
        self.head = nn.Conv2d(width, cfg.classes + 4, kernel_size=3, padding=1)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        convolutions      He normal, for relu
        norms             ones and zeros
        head              normal, std = 0.01; bias: scores start at ``RARE``, distances at 2 cells
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer is not self.head:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        self.head.bias[: self.cfg.classes] = torch.logit(torch.tensor(RARE))
        self.head.bias[self.cfg.classes :] = 2.0

    def forward(
        self, image: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b n classes"], Float[Tensor, "b n 4"]]:
        """Log-odds of each class, and boxes (left, top, right, bottom) in pixels, for every cell."""
        small = F.avg_pool2d(image, self.cfg.shrink, ceil_mode=True) if self.cfg.shrink > 1 else image
        answers = self.head(self.blocks(self.down(small)))
        rows, columns = answers.shape[-2:]
        answers = answers.flatten(2).transpose(1, 2)
        scores, raw = answers.split([self.cfg.classes, 4], dim=-1)
        distance = F.softplus(raw) * self.cfg.stride
        x, y = centres(rows, columns, self.cfg.stride, image.device).unbind(dim=-1)
        left, top, right, bottom = distance.unbind(dim=-1)
        return scores, torch.stack([x - left, y - top, x + right, y + bottom], dim=-1)


Count = Any  # an int; while a net is exported, a symbol


def centres(rows: Count, columns: Count, stride: int, device: torch.device) -> Float[Tensor, "n 2"]:
    """(x, y) in pixels of the middle of every cell, row by row."""
    x = (torch.arange(columns, device=device) + 0.5) * stride
    y = (torch.arange(rows, device=device) + 0.5) * stride
    return torch.stack([x[None, :].expand(rows, -1), y[:, None].expand(-1, columns)], dim=-1).flatten(0, 1)


def assign(
    places: Float[Tensor, "n 2"], truth: Float[Tensor, "b m 5"], reach: float
) -> tuple[Int[Tensor, "b n"], Float[Tensor, "b n 4"]]:
    """The class (-1: background) and box that each cell has to learn.

    A cell learns a box when it lies inside it and at most ``reach`` pixels from its centre, across and
    down; of several, the smallest. ``truth`` holds label, left, top, right, bottom; label -1 is padding.
    """
    label, box = truth[:, None, :, 0], truth[:, None, :, 1:]
    low, high = box[..., :2], box[..., 2:]
    place = places[None, :, None]
    inside = ((place > low) & (place < high)).all(dim=-1)
    near = ((place - (low + high) / 2).abs() <= reach).all(dim=-1)
    area = (high - low).clamp(min=0).prod(dim=-1)
    size = area.where(inside & near & (label >= 0), float("inf"))
    smallest, chosen = size.min(dim=-1)
    kind = truth[..., 0].gather(1, chosen).where(smallest < float("inf"), -1.0)
    return kind.long(), truth[..., 1:].gather(1, chosen[..., None].expand(-1, -1, 4))


def focal(scores: Float[Tensor, "b n classes"], kind: Int[Tensor, "b n"]) -> Float[Tensor, ""]:
    """The sum over cells and classes of -a (1 - p)^2 log p (Lin et al. 2017, equation 5; a = 1/4)."""
    right = kind[..., None] == torch.arange(scores.shape[-1], device=scores.device)
    odds = torch.where(right, scores, -scores)  # of saying the truth
    weight = torch.where(right, 0.25, 0.75)
    return (weight * (1 - odds.sigmoid()).square() * F.softplus(-odds)).sum()


def generalised_overlap(ours: Float[Tensor, "k 4"], theirs: Float[Tensor, "k 4"]) -> Float[Tensor, "k"]:
    """GIoU in (-1, 1]: shared over joint area, less the share of the hull that neither covers."""

    def area(box: Tensor) -> Tensor:
        return (box[:, 2:] - box[:, :2]).clamp(min=0).prod(dim=-1)

    low, high = torch.maximum(ours[:, :2], theirs[:, :2]), torch.minimum(ours[:, 2:], theirs[:, 2:])
    shared = area(torch.cat([low, high], dim=-1))
    joint = area(ours) + area(theirs) - shared
    low, high = torch.minimum(ours[:, :2], theirs[:, :2]), torch.maximum(ours[:, 2:], theirs[:, 2:])
    hull = area(torch.cat([low, high], dim=-1))
    return shared / joint.clamp(min=1e-6) - (hull - joint) / hull.clamp(min=1e-6)


@dataclass(frozen=True, kw_only=True)
class CellTargets:
    """Focal loss of the scores and GIoU loss of the boxes, over the number of cells that learn a box.

    A batch is ``(image, truth)``; ``truth`` float32 (b, m, 5) as in ``assign``.
    """

    stride: int = 8  # of the model, in pixels
    reach: float = 1.5  # cells: how far from the centre of a box its cells lie (FCOS, journal version)

    def __post_init__(self) -> None:
        for name in ("stride", "reach"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive and finite")

    def __call__(
        self, model: nn.Module, batch: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor | float]]:
        image, truth = batch
        scores, boxes = model(image)
        kind, box = assign(self.places(image), truth, self.reach * self.stride)
        found = kind >= 0
        share = found.sum().clamp(min=1)
        # All cells are measured and the background weighs nothing: a mask would have an unknown length.
        overlap = generalised_overlap(boxes.flatten(0, 1), box.flatten(0, 1)).view_as(kind)
        box_loss = ((1 - overlap) * found).sum() / share
        score_loss = focal(scores, kind) / share
        return score_loss + box_loss, {"score_loss": score_loss.detach(), "box_loss": box_loss.detach()}

    def count(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        image, truth = batch
        return (assign(self.places(image), truth, self.reach * self.stride)[0] >= 0).sum().clamp(min=1)

    def places(self, image: Tensor) -> Tensor:
        rows, columns = (-(-size // self.stride) for size in image.shape[-2:])
        return centres(rows, columns, self.stride, image.device)


def tiny() -> "Experiment":
    """The smallest complete run: bright discs and squares, a second on one core. Tests run it."""
    from fathom.data.boxes import drawn_shapes
    from fathom.tasks.detection import Detection
    from fathom.training import Adam, Experiment, GradientDescent

    return Experiment(
        model=Config(classes=2, width=12, blocks=1),
        data=drawn_shapes(train=64, valid=16),
        task=Detection(labels=("disc", "square")),
        learning=GradientDescent(objective=CellTargets(), optimizer=Adam(learning_rate=1e-2)),
        batch_size=8,
        steps=100,
    )
