"""Weight penalties: among models that fit the data equally well, prefer the one with small weights.

    L2 (ridge)     loss + strength / 2 sum w^2      gradient strength w: each step shrinks all in proportion
    L1 (lasso)     loss + strength sum |w|          gradient strength sign(w): each step takes the same off
    weight decay   w <- w - amount w                the shrinking alone, apart from the gradient

For plain SGD weight decay of rate * strength is the L2 penalty; for Adam it is not, because Adam would divide
the penalty's gradient by its size (Loshchilov and Hutter 2019). An L1 penalty wants weights that are exactly
zero, but its gradient jumps there and descent steps over it. The proximal step does what the penalty means:
it solves  min_v  (v - w)^2 / 2 + amount |v|  exactly, whose answer is soft thresholding (Tibshirani 1996;
Daubechies et al. 2004):

    v = sign(w) max(|w| - amount, 0)        after each gradient step, amount = rate * strength

Axes used below
    w  any weights
"""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="L2, L1 and weight decay",
    paper="https://doi.org/10.1111/j.2517-6161.1996.tb02080.x",
    year=1996,
    summary="Adds the size of the weights to the loss, or shrinks them after each step.",
    rows=("RN02",),
    differs=("strength is torch's weight_decay and scikit-learn's alpha of Lasso, so L2 carries the half.",),
    oracle="torch.optim.SGD(weight_decay) and AdamW, step for step; sklearn.linear_model.Lasso along a path"
    " of strengths",
)


def l2_penalty(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """``strength / 2`` times the sum of squares of all ``parameters``, any shapes; to be added to the loss.

    ``strength`` is 0 or more. Raises ``ValueError`` otherwise, and for no or integer parameters.
    """
    held = _checked(parameters, "strength", strength)
    return strength / 2 * torch.stack([p.square().sum() for p in held]).sum()


def l1_penalty(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """``strength`` times the sum of absolute values of all ``parameters``; to be added to the loss.

    ``strength`` is 0 or more. Raises ``ValueError`` otherwise, and for no or integer parameters.
    """
    held = _checked(parameters, "strength", strength)
    return strength * torch.stack([p.abs().sum() for p in held]).sum()


def soft_threshold(x: Tensor, amount: float) -> Tensor:
    """``x`` moved towards zero by ``amount`` (0 or more), and not beyond it."""
    _checked([x], "amount", amount)
    return x.sign() * (x.abs() - amount).clamp(min=0)


@torch.no_grad()
def sparsify(parameters: Iterable[Tensor], amount: float) -> None:
    """Soft-threshold ``parameters`` in place: call it after the optimizer's step with rate * strength."""
    for parameter in _checked(parameters, "amount", amount):
        parameter.copy_(soft_threshold(parameter, amount))


@torch.no_grad()
def decay(parameters: Iterable[Tensor], amount: float) -> None:
    """Shrink ``parameters`` in place by the share ``amount``, in [0, 1]: rate * weight decay of AdamW."""
    held = _checked(parameters, "amount", amount)
    if amount > 1:
        raise ValueError(f"amount is {amount}; it must be in [0, 1]: more would turn the weights round")
    for parameter in held:
        parameter.mul_(1 - amount)


def l2_penalty_by_hand(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """Weight by weight."""
    total = torch.zeros((), dtype=torch.float64)
    for parameter in parameters:
        for weight in parameter.flatten():
            total = total + strength * weight * weight / 2
    return total


def l1_penalty_by_hand(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """Weight by weight, each with its sign."""
    total = torch.zeros((), dtype=torch.float64)
    for parameter in parameters:
        for weight in parameter.flatten():
            total = total + strength * (weight if weight > 0 else -weight)
    return total


def soft_threshold_by_hand(x: Tensor, amount: float) -> Tensor:
    """Three cases: right of the gap, left of it, inside."""
    moved = [w - amount if w > amount else w + amount if w < -amount else w * 0 for w in x.flatten()]
    return torch.stack(moved).reshape(x.shape)


def sparsify_by_hand(parameters: Iterable[Tensor], amount: float) -> list[Tensor]:
    """What ``sparsify`` leaves, as new tensors."""
    return [soft_threshold_by_hand(parameter.detach(), amount) for parameter in parameters]


def decay_by_hand(parameters: Iterable[Tensor], amount: float) -> list[Tensor]:
    """What ``decay`` leaves, as new tensors."""
    return [parameter.detach() - amount * parameter.detach() for parameter in parameters]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.tensor([[-2.0, -0.3, 0.1], [0.7, 1.5, -0.9]], dtype=torch.float64)
    y = torch.linspace(0.1, 3, 5, dtype=torch.float64)

    def in_place(change):
        def run(*parameters: Tensor) -> list[Tensor]:
            copies = [p.detach().clone() for p in parameters]
            change(copies, 0.4)
            return copies

        return run

    yield Twin("L2", lambda *p: l2_penalty(p, 0.3), lambda *p: l2_penalty_by_hand(p, 0.3), (x, y))
    yield Twin("L1", lambda *p: l1_penalty(p, 0.3), lambda *p: l1_penalty_by_hand(p, 0.3), (x, y))
    yield Twin(
        "soft threshold", lambda x: soft_threshold(x, 0.5), lambda x: soft_threshold_by_hand(x, 0.5), (x,)
    )
    yield Twin("sparsify", in_place(sparsify), lambda *p: sparsify_by_hand(p, 0.4), (x, y), gradients=False)
    yield Twin("decay", in_place(decay), lambda *p: decay_by_hand(p, 0.4), (x, y), gradients=False)


def _checked(parameters: Iterable[Tensor], name: str, value: float) -> list[Tensor]:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; it must be 0 or more, and finite")
    held = list(parameters)
    if not held:
        raise ValueError("parameters is empty; give at least one tensor")
    for parameter in held:
        if not parameter.is_floating_point():
            raise ValueError(f"parameters hold a tensor of {parameter.dtype}; all must be floating point")
    return held
