"""Cross-entropy: the surprise, in nats, of the truth under the model's probabilities.

A classifier gives scores, the logits. Softmax makes them probabilities of classes that exclude each other,
the sigmoid makes each one the probability of a yes. The loss is minus the logarithm of what the true answer
was given; its gradient with respect to the logits is simply probability minus truth (Bishop 2006, equations
4.91 and 4.109). Probabilities are never formed: log softmax and log sigmoid are computed from logits, so
that logits of 10,000 give a loss of 10,000, and not the logarithm of zero.

    categorical  l = - sum_c w_c q_c log softmax(z)_c
                 q = (1 - epsilon) truth + epsilon / c         label smoothing, Szegedy et al. 2016, section 7
                 mean over labels: sum_i l_i / sum_i w_(y_i)
    binary       l = - (p y log sigmoid(z) + (1 - y) log sigmoid(-z))       p weighs the positives

The truth is a label, or a probability for each class (a soft target: mixup, distillation, several raters).

Axes used below
    b  batch      c  classes      *d  positions, none or any number: pixels, tokens      *s  any shape
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.losses.reduction import (
    at_least_float32,
    check_alike,
    check_floating,
    check_labels,
    check_probabilities,
    check_weight,
    label_weights,
    reduce_losses,
    require,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Cross-entropy",
    paper="https://arxiv.org/abs/1512.00567",
    year=2016,
    summary="The surprise of the truth under the model's probabilities: the usual loss of classification.",
    rows=("LO04",),
    builds_on=("reduction",),
    differs=("Where every label is ignored the mean is 0, where torch gives NaN.",),
    oracle="torch.nn.functional.cross_entropy and binary_cross_entropy_with_logits, every setting",
)

IGNORE_INDEX = -100  # torch's: a label that is not scored


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    class_weight: Tensor | None = None,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Categorical cross-entropy in nats, of ``logits`` (b, c, *d).

    ``target`` is one of two: integer labels (b, *d) in [0, c), where ``ignore_index`` is not scored; or
    probabilities (b, c, *d) that sum to 1 over the classes. ``class_weight`` (c,) is 0 or more; over labels
    the mean is weighted by it, over probabilities it divides by the number of positions, as torch's does.
    ``label_smoothing`` in [0, 1) mixes the uniform distribution into the truth. "none" gives (b, *d).

    Raises ``ValueError`` for labels of no class, probabilities that are negative or do not sum to 1, shapes
    that do not match, weights that are negative, and settings out of range.
    """
    check_floating(logits=logits)
    require(logits.ndim >= 2, "logits.shape", tuple(logits.shape), "(batch, classes, ...)")
    classes = logits.shape[1]
    require(classes >= 1, "logits.shape", tuple(logits.shape), "of one class or more")
    require(0 <= label_smoothing < 1, "label_smoothing", label_smoothing, "in [0, 1)")
    z = at_least_float32(logits)
    if class_weight is not None:
        given = tuple(class_weight.shape)
        require(given == (classes,), "class_weight.shape", given, f"{(classes,)}")
        check_weight("class_weight", class_weight, torch.Size((classes,)))
        class_weight = class_weight.to(z.dtype)
    if target.is_floating_point():
        require(ignore_index == IGNORE_INDEX, "ignore_index", ignore_index, "left out with probabilities")
        check_alike(logits=logits, target=target)
        check_probabilities("target", target, axis=1)
        losses = F.cross_entropy(
            z, target.to(z.dtype), class_weight, reduction="none", label_smoothing=label_smoothing
        )
        return reduce_losses(losses, reduction)
    positions = (len(logits), *logits.shape[2:])
    require(target.shape == positions, "target.shape", tuple(target.shape), f"{positions}")
    kept = check_labels("target", target, classes, ignore_index)
    losses = F.cross_entropy(
        z, target.long(), class_weight, ignore_index=ignore_index, reduction="none",
        label_smoothing=label_smoothing,
    )  # fmt: skip
    share = None if class_weight is None else label_weights(target, class_weight, kept)
    return reduce_losses(losses, reduction, kept=kept, share=share)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Float[Tensor, "..."]:
    """Binary cross-entropy in nats, of ``logits`` (*s) and ``target`` (*s), the probability of yes.

    ``target`` is in [0, 1]. ``weight`` and ``pos_weight`` broadcast to (*s) and are 0 or more; the second
    weighs only the yes, to balance rare positives. The mean divides by the number of elements, as torch's
    does. Raises ``ValueError`` for shapes that differ, dtypes not floating, targets outside [0, 1] and
    negative weights.
    """
    check_alike(logits=logits, target=target)
    if not bool(((target >= 0) & (target <= 1)).all()):
        low, high = target.min().item(), target.max().item()
        raise ValueError(f"target holds values from {low} to {high}; a probability is in [0, 1]")
    z = at_least_float32(logits)
    if pos_weight is not None:
        check_weight("pos_weight", pos_weight, logits.shape)
        pos_weight = pos_weight.to(z.dtype)
    losses = F.binary_cross_entropy_with_logits(
        z, target.to(z.dtype), pos_weight=pos_weight, reduction="none"
    )
    return reduce_losses(losses, reduction, weight=weight, share=z.new_ones(()))


def cross_entropy_by_hand(
    logits: Float[Tensor, "b c *d"],
    target: Int[Tensor, "b *d"] | Float[Tensor, "b c *d"],
    *,
    class_weight: Float[Tensor, " c"] | None = None,
    ignore_index: int = IGNORE_INDEX,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    z = logits.movedim(1, -1)
    classes = z.shape[-1]
    shifted = z - z.amax(-1, keepdim=True)  # softmax is the same for any shift: now no exponent overflows
    log_probability = shifted - shifted.exp().sum(-1, keepdim=True).log()

    labels = not target.is_floating_point()
    number = torch.arange(classes)
    truth = (target[..., None] == number).to(z.dtype) if labels else target.movedim(1, -1)
    q = (1 - label_smoothing) * truth + label_smoothing / classes
    w = torch.ones(classes, dtype=z.dtype) if class_weight is None else class_weight
    losses = -(w * q * log_probability).sum(-1)

    if not labels:
        return losses.mean()
    kept = target != ignore_index
    return losses[kept].sum() / w[target[kept]].sum()


def binary_cross_entropy_with_logits_by_hand(
    logits: Float[Tensor, "*s"],
    target: Float[Tensor, "*s"],
    *,
    pos_weight: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, ""]:
    def log_sigmoid(z: Tensor) -> Tensor:
        # -log(1 + exp(-z)), with the exponent kept at 0 or below
        return torch.where(z < 0, z, 0.0) - (1 + (-torch.where(z < 0, -z, z)).exp()).log()

    p = 1.0 if pos_weight is None else pos_weight
    return -(p * target * log_sigmoid(logits) + (1 - target) * log_sigmoid(-logits)).mean()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4, 3, 2, dtype=torch.float64, generator=dice)
    soft = torch.randn(4, 3, 2, dtype=torch.float64, generator=dice).softmax(1)
    label = torch.tensor([[0, 2], [1, -100], [2, 2], [-100, 0]])
    weight = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    for name, settings in (
        ("plain", {}),
        ("smoothed", {"label_smoothing": 0.1}),
        ("weighted", {"class_weight": weight}),
        ("weighted and smoothed", {"class_weight": weight, "label_smoothing": 0.2}),
    ):
        ours, by_hand = partial(cross_entropy, **settings), partial(cross_entropy_by_hand, **settings)
        yield Twin(f"labels, {name}", ours, by_hand, (logits, label))
        yield Twin(f"probabilities, {name}", ours, by_hand, (logits, soft))

    yes = torch.rand(4, 3, 2, dtype=torch.float64, generator=dice) * 0.9 + 0.05
    weight = weight[:, None]
    ours, by_hand = binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_by_hand
    yield Twin("binary", ours, by_hand, (logits, yes))
    ours, by_hand = partial(ours, pos_weight=weight), partial(by_hand, pos_weight=weight)
    yield Twin("binary, weighted positives", ours, by_hand, (logits, yes))
