"""Class balance: when most examples are of one class, a network that always says so looks good.

Four remedies, all from the counts n_c of the training set, N examples in all, K classes:

    class weights      w_c = N / (K n_c): every class has the same say in the loss ("balanced")
    effective number   w_c ~ (1 - beta) / (1 - beta^n_c): examples overlap, so the n-th adds less than the
                       first (Cui et al. 2019); beta = 0 is no weighting, beta -> 1 the above
    sampling           P(example) ~ n_c^-q: q = 1 draws every class equally often, q = 1/2 half-way there
    logit adjustment   softmax(z + tau log pi), pi_c = n_c / N, in the loss: z then ranks classes as if all
                       were equally frequent (Menon et al. 2021, equation 10)

A weighted loss of a batch is divided by its rows, not by their weights: the weights are 1 on average over
the training set, and a batch that happens to hold no rare row must not count for more than others.

The focal loss, which weighs by difficulty instead of frequency, stands among the losses.

Axes used below
    n  examples      b  batch      k  classes
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Class balance",
    paper="https://arxiv.org/abs/2007.07314",
    year=2020,
    summary="Gives rare classes their due: weights in the loss, a fair sampler, or adjusted logits.",
    rows=("RN14",),
    oracle="sklearn.utils.class_weight.compute_class_weight and compute_sample_weight; the equations of the"
    " papers written out",
)


def class_counts(labels: Shaped[Tensor, "n"], classes: int) -> Shaped[Tensor, "k"]:
    """How many of ``labels`` (int64, in [0, classes)) are of each class; int64.

    Raises ``ValueError`` for labels outside the range or of another type.
    """
    if labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype}; they must hold class numbers as int64")
    if classes < 1:
        raise ValueError(f"classes is {classes}; it must be 1 or more")
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels hold {int(labels.min())} to {int(labels.max())}; they must be in [0, {classes})"
        )
    return torch.bincount(labels, minlength=classes)


def class_weights(counts: Shaped[Tensor, "k"]) -> Float[Tensor, "k"]:
    """Weights for the loss, float64, inverse to ``counts`` (1 or more each); their mean over examples is 1.

    Raises ``ValueError`` for a class without examples: no weight makes up for it.
    """
    _check_counts(counts)
    return counts.sum() / (len(counts) * counts.double())


def effective_number_weights(counts: Shaped[Tensor, "k"], beta: float = 0.999) -> Float[Tensor, "k"]:
    """Weights for the loss, float64, from the effective number of examples; they sum to the classes.

    ``beta`` is in [0, 1). Raises ``ValueError`` for other values and for classes without examples.
    """
    _check_counts(counts)
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta}; it must be in [0, 1)")
    # 1 - beta^n loses all digits when beta is close to 1; expm1 does not.
    rarity = (1 - beta) / -torch.expm1(counts.double() * torch.tensor(beta, dtype=torch.float64).log())
    return rarity * (len(counts) / rarity.sum())


def sampling_probabilities(
    labels: Shaped[Tensor, "n"], classes: int, power: float = 1.0
) -> Float[Tensor, "n"]:
    """The probability, float64, with which to draw each example; they sum to 1. For ``torch.multinomial``.

    ``power`` is in [0, 1]: 0 draws examples alike, 1 classes alike. Classes without examples are left out.
    Raises ``ValueError`` for values outside the ranges, and for no labels.
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power is {power}; it must be in [0, 1]")
    if not labels.numel():
        raise ValueError("labels is empty; there is nothing to draw from")
    rarity = class_counts(labels, classes)[labels].double() ** -power
    return rarity / rarity.sum()


def logit_adjustment(
    logits: Shaped[Tensor, "b k"], counts: Shaped[Tensor, "classes"], strength: float = 1.0
) -> Float[Tensor, "b k"]:
    """``logits`` plus ``strength`` times the log of each class's share of ``counts`` (1 or more each).

    Give the result to the cross-entropy while training, and evaluate the logits as they are; or, for a
    network trained without, adjust at evaluation with a negative ``strength``. Raises ``ValueError`` for
    classes without examples, and for logits that are not floating point or not of as many classes.
    """
    _check_counts(counts)
    if not logits.is_floating_point():
        raise ValueError(f"logits are {logits.dtype}; they must be floating point")
    if logits.shape[1] != len(counts):
        raise ValueError(f"logits are of {logits.shape[1]} classes and counts of {len(counts)}")
    shares = counts.double() / counts.sum()
    return logits + strength * shares.log().to(logits)


def logit_adjusted_cross_entropy(
    logits: Shaped[Tensor, "b k"],
    target: Shaped[Tensor, "b"],
    counts: Shaped[Tensor, "classes"],
    strength: float = 1.0,
) -> Float[Tensor, ""]:
    """The mean cross-entropy of adjusted ``logits``; ``target`` is int64, in [0, k)."""
    class_counts(target, len(counts))
    return F.cross_entropy(logit_adjustment(logits, counts, strength), target)


def balanced_cross_entropy(
    logits: Shaped[Tensor, "b k"],
    target: Shaped[Tensor, "b *classes"],
    counts: Shaped[Tensor, "k_counted"],
    how: str,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """The mean over rows of a cross-entropy balanced by class ``"weights"`` or adjusted ``"logits"``.

    ``target`` is int64 (b,), or shares (b, k) of rows that were mixed. ``counts`` may lie on the CPU whatever
    the device of the others. Raises ``ValueError`` for another ``how``, and as the functions above do.
    """
    if how not in ("weights", "logits"):
        raise ValueError(f"how is {how!r}; it must be 'weights' or 'logits'")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    if how == "logits":
        adjusted = logit_adjustment(logits, counts)
        return F.cross_entropy(adjusted, target, label_smoothing=label_smoothing)
    weight = class_weights(counts).to(logits)
    if logits.shape[1] != len(weight):
        raise ValueError(f"logits are of {logits.shape[1]} classes and counts of {len(weight)}")
    return F.cross_entropy(logits, target, weight, label_smoothing=label_smoothing, reduction="none").mean()


def class_counts_by_hand(labels: Tensor, classes: int) -> Tensor:
    """Look at each label once."""
    counts = [0] * classes
    for label in labels.tolist():
        counts[label] += 1
    return torch.tensor(counts)


def class_weights_by_hand(counts: Tensor) -> Tensor:
    """The count a class would have if all were equal, over the count it has."""
    fair = sum(counts.tolist()) / len(counts)
    return torch.tensor([fair / count for count in counts.tolist()], dtype=torch.float64)


def effective_number_weights_by_hand(counts: Tensor, beta: float = 0.999) -> Tensor:
    """Add up what each example still adds: 1, beta, beta^2, ..."""
    rarity = [1 / sum(beta**i for i in range(count)) for count in counts.tolist()]
    return torch.tensor([len(rarity) * r / sum(rarity) for r in rarity], dtype=torch.float64)


def sampling_probabilities_by_hand(labels: Tensor, classes: int, power: float = 1.0) -> Tensor:
    """Each class has a share of all draws, which its examples divide among them."""
    counts = class_counts_by_hand(labels, classes).tolist()
    shares = [count ** (1 - power) if count else 0.0 for count in counts]
    drawn = [shares[label] / sum(shares) / counts[label] for label in labels.tolist()]
    return torch.tensor(drawn, dtype=torch.float64)


def logit_adjustment_by_hand(logits: Tensor, counts: Tensor, strength: float = 1.0) -> Tensor:
    """Class by class."""
    total = float(counts.sum())
    moved = [logits[:, k] + strength * (counts[k].double().log() - torch.tensor(total).double().log())
             for k in range(len(counts))]  # fmt: skip
    return torch.stack(moved, dim=1)


def logit_adjusted_cross_entropy_by_hand(
    logits: Tensor, target: Tensor, counts: Tensor, strength: float = 1.0
) -> Tensor:
    """Menon et al., equation 10: a pairwise margin by the ratio of frequencies, log(1 + sum ...)."""
    losses = []
    for z, right in zip(logits, target.tolist(), strict=True):
        margins = [
            (counts[other].double() / counts[right]) ** strength * (z[other] - z[right]).exp()
            for other in range(len(counts))
            if other != right
        ]
        losses.append(torch.log1p(torch.stack(margins).sum()))
    return torch.stack(losses).mean()


def balanced_cross_entropy_by_hand(logits: Tensor, target: Tensor, counts: Tensor, how: str) -> Tensor:
    """Row by row: the loss of its class, and how much that class counts."""
    losses = []
    for z, right in zip(logits, target.tolist(), strict=True):
        if how == "logits":
            z, weight = z + (counts.double() / counts.sum()).log(), 1.0
        else:
            weight = float(counts.sum()) / (len(counts) * float(counts[right]))
        losses.append(weight * (z.exp().sum().log() - z[right]))
    return torch.stack(losses).mean()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    labels = torch.tensor([0] * 30 + [1] * 9 + [2] * 4 + [4])
    counts, target = torch.tensor([300, 40, 5]), torch.tensor([2, 0, 1, 0])
    logits = torch.linspace(-2, 3, 12, dtype=torch.float64).reshape(4, 3).roll(5)
    pairs = (
        (class_counts, class_counts_by_hand, (labels, 5)),
        (class_weights, class_weights_by_hand, (counts,)),
        (effective_number_weights, effective_number_weights_by_hand, (counts, 0.99)),
        (sampling_probabilities, sampling_probabilities_by_hand, (labels, 5)),
        (sampling_probabilities, sampling_probabilities_by_hand, (labels, 5, 0.5)),
    )
    for ours, by_hand, inputs in pairs:
        yield Twin(f"{ours.__name__}{inputs[2:]}", ours, by_hand, inputs, gradients=False)
    yield Twin(
        "logit adjustment",
        lambda z: logit_adjustment(z, counts, 1.5),
        lambda z: logit_adjustment_by_hand(z, counts, 1.5),
        (logits,),
    )
    yield Twin(
        "logit-adjusted cross-entropy",
        lambda z: logit_adjusted_cross_entropy(z, target, counts),
        lambda z: logit_adjusted_cross_entropy_by_hand(z, target, counts),
        (logits,),
    )
    for how in ("weights", "logits"):
        yield Twin(
            f"cross-entropy balanced by {how}",
            lambda z, how=how: balanced_cross_entropy(z, target, counts, how),
            lambda z, how=how: balanced_cross_entropy_by_hand(z, target, counts, how),
            (logits,),
        )


def _check_counts(counts: Tensor) -> None:
    if counts.is_floating_point() or counts.dtype == torch.bool:
        raise ValueError(f"counts are {counts.dtype}; they must be whole numbers")
    if not counts.numel():
        raise ValueError("counts is empty; give that of each class")
    if int(counts.min()) < 1:
        empty = (counts < 1).nonzero().flatten().tolist()
        raise ValueError(f"counts are below 1 for classes {empty}; each class needs an example")
