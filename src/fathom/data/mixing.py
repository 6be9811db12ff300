"""Random changes that need another row as well: its picture is mixed in, and its label.

Which row that is depends on the seed, the epoch and the row alone, never on the batch they stand in, so a
run resumes exactly and the number of processes changes nothing. ``Shuffled`` reads the partners and gives
them along.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fathom.data.draws import whole
from fathom.fundamentals.augmentation import mixing


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """Blend each row with another, and their labels in the same shares (Zhang et al. 2018).

    Labels (b,) become probabilities (b, classes); ``others`` are the rows that ``partners`` names.
    """

    classes: int
    alpha: float = 0.2  # weights are drawn from Beta(alpha, alpha)
    draws = 2

    def __post_init__(self) -> None:
        _mixing(self.classes, self.alpha)

    def partners(self, numbers: Tensor, count: int) -> Tensor:
        """Row numbers (b,) of a split of ``count`` rows."""
        return whole(numbers[:, 0], count)

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor, others: tuple[Any, ...]) -> tuple[Any, ...]:
        images, *rest, labels = batch
        partner, partner_labels = others[0], others[-1]
        weight = mixing.beta_quantile(numbers[:, 1], self.alpha)
        own, other = (mixing.soft_targets(t, self.classes) for t in (labels, partner_labels))
        return mixing.mix(images, partner, weight), *rest, mixing.mix(own, other, weight)


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """Paste a rectangle of another row into each, and mix their labels by area (Yun et al. 2019).

    Labels and ``others`` are as for `Mixup`.
    """

    classes: int
    alpha: float = 1.0
    draws = 4

    def __post_init__(self) -> None:
        _mixing(self.classes, self.alpha)

    def partners(self, numbers: Tensor, count: int) -> Tensor:
        """Row numbers (b,) of a split of ``count`` rows."""
        return whole(numbers[:, 0], count)

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor, others: tuple[Any, ...]) -> tuple[Any, ...]:
        images, *rest, labels = batch
        partner, partner_labels = others[0], others[-1]
        h, w = images.shape[-2:]
        weight = mixing.beta_quantile(numbers[:, 1], self.alpha)
        row, column = whole(numbers[:, 2], h), whole(numbers[:, 3], w)
        mixed, share = mixing.cutmix(images, partner, mixing.cutmix_box(weight, row, column, (h, w)))
        own, other = (mixing.soft_targets(t, self.classes) for t in (labels, partner_labels))
        return mixed, *rest, mixing.mix(own, other, share)


def _mixing(classes: int, alpha: float | int) -> None:
    if classes < 2:
        raise ValueError(f"classes is {classes}; it must be 2 or more")
    if not 0 < alpha <= 10:
        raise ValueError(f"alpha is {alpha}; it must be in (0, 10]")
