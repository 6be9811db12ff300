"""Gradient clipping: keep the direction of a gradient that is too long, and make it shorter.

    norm       g <- g min(1, c / |g|)                      |.| over all tensors; Pascanu et al., Algorithm 1
    value      g <- min(max(g, -c), c)                     each number by itself; this turns the direction
    adaptive   G_i <- G_i min(1, c max(|W_i|, e) / |G_i|)  each unit i by itself; Brock et al., equation 3

A recurrent network multiplies gradients along time. Where the product grows, the loss has walls, and one
step at a wall throws the weights far away. The direction at a wall is still downhill; only the length is
wrong. A bound on the norm costs nothing where gradients are small and makes the length of any step at most
r c. Adaptive clipping needs no c in the unit of the gradient: a unit (a row of a matrix, a kernel of a
convolution) may change by at most the fraction c of its length, at rate 1. It should leave the last layer
alone (section 4.1).

Source: Pascanu, Mikolov and Bengio (2013); Brock et al. (2021), https://arxiv.org/abs/2102.06171.

Legend: g all gradients, G_i, W_i gradient and weights of unit i, c bound, e least length, r learning rate
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import positive

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Gradient clipping: norm, value, adaptive",
    paper="https://arxiv.org/abs/1211.5063",
    year=2013,
    summary="Shortens gradients that are too long, so that one bad step cannot undo a training.",
    rows=("OP10",),
    builds_on=("sgd",),
    oracle="torch.nn.utils.clip_grad_norm_ and clip_grad_value_, timm.utils.adaptive_clip_grad, bit for bit",
)

LEAST = 1e-6  # added to a length before it divides, as in torch; and the shortest one clipped, as in timm


@torch.no_grad()
def clip_norm(
    parameters: Iterable[Tensor], maximum: float, order: float = 2.0, refuse: bool = False
) -> Tensor:
    """Shorten the gradients, all together, to a norm of at most ``maximum``; return the norm before.

    ``maximum`` and ``order`` (2; inf for the largest entry) are positive. Where the norm is not finite the
    gradients become useless; with ``refuse`` that is a ValueError instead.
    """
    positive(maximum, "maximum")
    check_order(order)
    held = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in held if p.grad is not None]
    together = alike(gradients)
    norm = multi_tensor_norm(gradients, order) if together else nn.utils.get_total_norm(gradients, order)
    if refuse and not norm.isfinite():
        raise ValueError(f"the norm of the gradients is {float(norm)}; it must be finite to be clipped")
    if together:
        torch._foreach_mul_(gradients, (maximum / (norm + LEAST)).clamp(max=1.0))
    else:
        nn.utils.clip_grads_with_norm_(held, maximum, norm)
    return norm


def total_norm(gradients: list[Tensor], order: float = 2.0) -> Tensor:
    """The norm of all ``gradients`` together: torch's bits, without its sorting where they are alike.

    ``order`` is positive (2; inf for the largest entry). ValueError otherwise.
    """
    check_order(order)
    if not alike(gradients):
        return nn.utils.get_total_norm(gradients, order)
    return multi_tensor_norm(gradients, order)


def check_order(order: float) -> None:
    if not order > 0:
        raise ValueError(f"order is {order}; it must be positive, or infinity: 2.0 is the length")


def multi_tensor_norm(gradients: list[Tensor], order: float) -> Tensor:
    """The norm of gradients that are ``alike``."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients, order)), order)


def alike(gradients: list[Tensor]) -> bool:
    """Whether one multi-tensor call can take them all: the same device and type, and none sparse."""
    return len({(g.device, g.dtype, g.layout) for g in gradients}) == 1 and not gradients[0].is_sparse


def clip_value(parameters: Iterable[Tensor], maximum: float) -> None:
    """Move each entry of the gradients into [-maximum, maximum]. ``maximum`` is positive."""
    positive(maximum, "maximum")
    held = [p for p in parameters if p.grad is not None]
    if held:
        nn.utils.clip_grad_value_(held, maximum)


@torch.no_grad()
def clip_adaptive(parameters: Iterable[Tensor], fraction: float = 0.01, least: float = 1e-3) -> None:
    """Shorten the gradient of each unit to ``fraction`` of the unit's length, or of ``least``.

    A unit is what one output depends on: a row of a matrix, a kernel of a convolution, a whole vector. Both
    numbers are positive. ValueError otherwise.
    """
    positive(fraction, "fraction")
    positive(least, "least")
    held = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in held if p.grad is not None]
    if not held:
        return
    bounds = [unit_norm(p).clamp_(min=least).mul_(fraction) for p in held]
    norms = [unit_norm(g) for g in gradients]
    factors = [torch.where(n < b, 1.0, b / n.clamp(min=LEAST)) for n, b in zip(norms, bounds, strict=True)]
    torch._foreach_mul_(gradients, factors)


def unit_norm(x: Tensor) -> Tensor:
    """The length of each unit, with its axes kept; of a vector or a number, the whole length."""
    return x.norm(2.0) if x.ndim <= 1 else x.norm(2.0, dim=tuple(range(1, x.ndim)), keepdim=True)


def clip_norm_by_hand(gradients: list[Tensor], maximum: float) -> list[Tensor]:
    length = sum(float(g.square().sum()) for g in gradients) ** 0.5
    return [g * min(1.0, maximum / (length + 1e-6)) for g in gradients]


def clip_value_by_hand(gradients: list[Tensor], maximum: float) -> list[Tensor]:
    return [torch.where(g > maximum, maximum, torch.where(g < -maximum, -maximum, g)) for g in gradients]


def clip_adaptive_by_hand(weight: Tensor, gradient: Tensor, fraction: float, least: float) -> Tensor:
    clipped = []
    for row, slope in zip(weight, gradient, strict=True):
        bound = fraction * max(float(row.square().sum()) ** 0.5, least)
        length = float(slope.square().sum()) ** 0.5
        clipped.append(slope * min(1.0, bound / max(length, LEAST)))
    return torch.stack(clipped)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weight, gradient = (torch.randn(4, 3, 2, dtype=torch.float64, generator=dice) for _ in range(2))
    weight[1], gradient[2] = 0.0, 1e-4 * gradient[2]

    def clipped(weight: Tensor, gradient: Tensor, how: str) -> Tensor:
        held = nn.Parameter(weight.clone())
        held.grad = gradient.clone()
        if how == "norm":
            clip_norm([held], 0.5)
        elif how == "value":
            clip_value([held], 0.5)
        else:
            clip_adaptive([held], 0.1)
        return held.grad

    by_hand = {
        "norm": lambda w, g: clip_norm_by_hand([g], 0.5)[0],
        "value": lambda w, g: clip_value_by_hand([g], 0.5)[0],
        "adaptive": lambda w, g: clip_adaptive_by_hand(w, g, 0.1, 1e-3),
    }
    for how, plain in by_hand.items():
        yield Twin(how, lambda w, g, h=how: clipped(w, g, h), plain, (weight, gradient), gradients=False)
