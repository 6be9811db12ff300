"""Reduction: how the losses of single elements become the one number that is minimised.

A loss first scores each element by itself: a pixel, a token, a value to predict. Three things then decide
what the optimizer sees: which elements count at all (an ignore index marks padding and pixels without a
label), how much each counts (a weight of its own, or that of its class), and whether the result is a mean,
a sum or every score.

    none  k_i w_i l_i
    sum   sum_i k_i w_i l_i
    mean  sum_i k_i w_i l_i / sum_i k_i s_i          k  kept: 0 or 1      w  weight      s  share

A share is what an element adds to the divisor. It is its weight, which makes a weighted mean, unless the
loss says otherwise: binary cross-entropy and Huber's loss divide by the number of elements, whatever
their weights (so do ``torch.nn.functional.binary_cross_entropy_with_logits`` and ``huber_loss``).

Every loss in this folder keeps three rules.
    Nothing to average (an empty batch, all labels ignored, all weights zero) gives 0 with a gradient of
    zeros. torch gives NaN, which spoils every parameter; a batch of padding should teach nothing.
    Half precision comes in and float32 goes out: a sum of float16 ends at 65,504.
    What cannot be meant is refused: shapes that would broadcast, labels of no class, negative weights.

Axes used below
    *s  any shape, of labels or elements      c  classes
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Loss reduction",
    paper="https://arxiv.org/abs/1912.01703",
    year=2019,
    summary="Turns the losses of single elements into one number: weighted, ignored, averaged or summed.",
    rows=("LO01",),
    differs=("The mean over nothing is 0, where torch gives NaN: a batch of padding should teach nothing.",),
    oracle="torch.nn.functional losses, every reduction, weight and ignore index, on 100 random cases",
)

REDUCTIONS = ("mean", "sum", "none")


def require(allowed: bool, name: str, value: object, rule: str) -> None:
    """Raise ``ValueError``, naming the argument, what was given and what is allowed, unless ``allowed``."""
    if not allowed:
        raise ValueError(f"{name} is {value}; it must be {rule}")


def check_floating(**tensors: Tensor) -> None:
    """Raise ``ValueError`` for a tensor whose dtype is not floating, by the name it is given under."""
    for name, tensor in tensors.items():
        require(tensor.is_floating_point(), f"{name}.dtype", tensor.dtype, "floating, as torch.float32")


def check_alike(**tensors: Tensor) -> None:
    """Raise ``ValueError`` unless all tensors are floating and of one shape: nothing broadcasts silently."""
    check_floating(**tensors)
    (first, model), *others = tensors.items()
    for name, tensor in others:
        shape = tuple(model.shape)
        require(
            tensor.shape == model.shape, f"{name}.shape", tuple(tensor.shape), f"that of {first}, {shape}"
        )


def check_weight(name: str, weight: Tensor, shape: torch.Size) -> None:
    """Raise ``ValueError`` unless ``weight`` is finite, not negative, and broadcasts to ``shape``."""
    check_floating(**{name: weight})
    given, sizes = tuple(weight.shape), tuple(shape)
    fits = len(given) <= len(sizes) and all(
        a in (1, b) for a, b in zip(given[::-1], sizes[::-1], strict=False)
    )
    require(fits, f"{name}.shape", given, f"{sizes}, or a shape that broadcasts to it")
    right = (weight >= 0) & (weight < torch.inf)
    if not bool(right.all()):
        bad = weight[~right][0].item()
        raise ValueError(f"{name} holds {bad}; every weight must be finite, and 0 or more")


def check_labels(
    name: str, label: Tensor, classes: int, ignore_index: int | None = None
) -> Bool[Tensor, "*s"]:
    """Which labels are scored: all but ``ignore_index``.

    ``label`` (*s) holds integers in [0, classes), and ``ignore_index`` where there is nothing to score.
    Anything else raises ``ValueError`` with the first label that names no class.
    """
    integer = not label.is_floating_point() and not label.is_complex() and label.dtype != torch.bool
    require(integer, f"{name}.dtype", label.dtype, "an integer type, as torch.int64")
    label = label.long()  # -100 would wrap around in uint8
    kept = torch.ones_like(label, dtype=torch.bool) if ignore_index is None else label != ignore_index
    stray = kept & ((label < 0) | (label >= classes))
    if bool(stray.any()):
        also = "" if ignore_index is None else f", and ignore_index {ignore_index}"
        raise ValueError(
            f"{name} holds {label[stray][0].item()}; allowed are the classes 0 to {classes - 1}{also}"
        )
    return kept


def check_probabilities(name: str, probability: Tensor, axis: int) -> None:
    """Raise ``ValueError`` unless entries are 0 or more and sum to 1 along ``axis``, up to rounding."""
    check_floating(**{name: probability})
    exact = at_least_float32(probability)
    if not bool((exact >= 0).all()):
        raise ValueError(f"{name} holds {exact[~(exact >= 0)][0].item()}; a probability is 0 or more")
    sums = exact.sum(axis)
    wrong = ~((sums - 1).abs() <= 5e-3)  # bfloat16 keeps 8 bits: it may be off by 0.002
    if bool(wrong.any()):
        raise ValueError(f"{name} sums to {sums[wrong][0].item():.6g} along axis {axis}; it must sum to 1")


def at_least_float32(x: Tensor) -> Tensor:
    """``x``, float16 and bfloat16 as float32; the gradient goes back in the dtype of ``x``."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def label_weights(
    label: Int[Tensor, "*s"], class_weight: Float[Tensor, " c"], kept: Bool[Tensor, "*s"]
) -> Float[Tensor, "*s"]:
    """The weight of each label's class, 0 where the label is not kept."""
    return torch.where(kept, class_weight[label.where(kept, 0)], 0.0)


def reduce_losses(
    losses: Tensor,
    reduction: str = "mean",
    *,
    weight: Tensor | None = None,
    kept: Tensor | None = None,
    share: Tensor | None = None,
) -> Float[Tensor, "..."]:
    """The losses of single elements (*s) as one number, or weighted and masked for "none".

    ``weight`` and ``share`` broadcast to (*s) and are 0 or more; without a share, the weight is the share,
    and without either each element counts 1. ``kept`` (*s) is boolean: what is not kept may be infinite
    or NaN, and has no part in value or gradient. A mean over nothing is 0.

    Raises ``ValueError`` for another reduction, losses that are not floating, a ``kept`` of another shape
    or dtype, and weights that are negative, not finite or of a shape that does not broadcast to (*s).
    """
    require(reduction in REDUCTIONS, "reduction", repr(reduction), "'mean', 'sum' or 'none'")
    check_floating(losses=losses)
    losses = at_least_float32(losses)
    if kept is not None:
        fits = kept.shape == losses.shape and kept.dtype == torch.bool
        require(fits, "kept", f"{kept.dtype} of shape {tuple(kept.shape)}", f"bool, {tuple(losses.shape)}")
        losses = torch.where(kept, losses, 0.0)  # a product with 0 would leave NaN of an infinity
    if weight is not None:
        check_weight("weight", weight, losses.shape)
        weight = weight.to(losses.dtype)
        losses = losses * weight
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / _divisor(losses, kept, weight if share is None else share)


def _divisor(losses: Tensor, kept: Tensor | None, share: Tensor | None) -> Tensor | int:
    """sum_i k_i s_i, and 1 where that is 0: the sum above it is 0 then."""
    if share is None and kept is None:
        return max(1, losses.numel())
    if share is None:
        assert kept is not None
        return kept.sum().clamp(min=1)
    shares = share.to(losses.dtype).expand(losses.shape)
    total = shares.sum() if kept is None else torch.where(kept, shares, 0.0).sum()
    return torch.where(total > 0, total, 1.0)


def label_weights_by_hand(
    label: Int[Tensor, "*s"], class_weight: Float[Tensor, " c"], kept: Bool[Tensor, "*s"]
) -> Float[Tensor, "*s"]:
    weights = [class_weight[y] if k else class_weight[0] * 0 for y, k in zip(label.flatten(), kept.flatten())]  # noqa: B905
    return torch.stack(weights).reshape(label.shape)


def reduce_losses_by_hand(
    losses: Float[Tensor, "*s"],
    reduction: str = "mean",
    *,
    weight: Float[Tensor, "*s"] | None = None,
    kept: Bool[Tensor, "*s"] | None = None,
    share: Float[Tensor, "*s"] | None = None,
) -> Float[Tensor, "..."]:
    """The equations above, element by element."""
    count = losses.numel()
    k = [True] * count if kept is None else kept.flatten().tolist()
    w = [1.0] * count if weight is None else list(weight.flatten())
    s = w if share is None else list(share.flatten())
    zero = losses.new_zeros(())

    scores = [w[i] * loss if k[i] else zero for i, loss in enumerate(losses.flatten())]
    if reduction == "none":
        return torch.stack(scores).reshape(losses.shape)
    total = sum(scores, zero)
    if reduction == "sum":
        return total
    divisor = sum((s[i] for i in range(count) if k[i]), zero)
    return total / divisor if divisor > 0 else zero


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    losses = torch.rand(2, 3, dtype=torch.float64, generator=dice)
    weight = torch.rand(2, 3, dtype=torch.float64, generator=dice) + 0.1
    kept = torch.tensor([[True, False, True], [True, True, False]])

    for reduction in REDUCTIONS:

        def ours(losses: Tensor, weight: Tensor, reduction: str = reduction) -> Tensor:
            return reduce_losses(losses, reduction, weight=weight, kept=kept)

        def by_hand(losses: Tensor, weight: Tensor, reduction: str = reduction) -> Tensor:
            return reduce_losses_by_hand(losses, reduction, weight=weight, kept=kept)

        yield Twin(reduction, ours, by_hand, (losses, weight))

    def mean_of_shares(losses: Tensor, share: Tensor) -> Tensor:
        return reduce_losses(losses, kept=kept, share=share)

    def mean_of_shares_by_hand(losses: Tensor, share: Tensor) -> Tensor:
        return reduce_losses_by_hand(losses, kept=kept, share=share)

    yield Twin("mean of shares", mean_of_shares, mean_of_shares_by_hand, (losses, weight))
    label = torch.tensor([[2, -100, 0], [1, 2, -100]])
    yield Twin(
        "label weights",
        lambda class_weight: label_weights(label, class_weight, kept),
        lambda class_weight: label_weights_by_hand(label, class_weight, kept),
        (weight[0],),
    )
