"""Information: how many nats a message carries, and how many more it costs to expect the wrong ones.

An event of probability p surprises by -log p: a sure thing not at all, a rare one much, and the surprises of
independent events add. All else is a mean of surprises (Shannon 1948, sections 6 and 20).

    entropy             H(p)     = -sum p log p                   the mean surprise
    cross-entropy       H(p, q)  = -sum p log q                   ... of one who expects q where p happens
    KL divergence       D(p||q)  =  sum p log(p / q)              the excess: H(p, q) = H(p) + D(p||q)
    Jensen-Shannon      J(p, q)  =  D(p||m)/2 + D(q||m)/2         with m = (p + q) / 2; symmetric, <= log 2
    mutual information  I(x; y)  =  D(p(x, y) || p(x) p(y))       what knowing x tells about y

D is 0 only where p = q (Kullback and Leibler 1951), and infinite where p happens and q says never; J is
always finite (Lin 1991). Minimising cross-entropy over q minimises D, because H(p) does not depend
on q: that is why classifiers are trained with it. 0 log 0 counts as 0, its limit. The unit is the nat; with
base=2 it is the bit.

Axes: k  outcomes     x, y  outcomes of two variables; all others are batch axes.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Entropy, cross-entropy, divergences, mutual information",
    paper="https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
    year=1948,
    summary="Measures surprise, and the cost of expecting one distribution where another one happens.",
    rows=("MA11",),
    oracle="scipy.stats.entropy, scipy.spatial.distance.jensenshannon, sklearn mutual_info_score, float64",
)


def entropy(p: Tensor, *, base: float | int = math.e) -> Float[Tensor, "..."]:
    """The mean surprise of ``p`` (..., k), between 0 and log k."""
    distribution("p", p)
    return torch.special.entr(p).sum(-1) / _unit(base)


def cross_entropy(p: Tensor, q: Tensor, *, base: float | int = math.e) -> Float[Tensor, "..."]:
    """The mean surprise of one who expects ``q`` (..., k) where ``p`` (..., k) happens; at least H(p)."""
    _pair(p, q)
    return -_expected_log(p, q).sum(-1) / _unit(base)


def kl_divergence(p: Tensor, q: Tensor, *, base: float | int = math.e) -> Float[Tensor, "..."]:
    """The excess surprise of expecting ``q`` (..., k) where ``p`` (..., k) happens: 0 or more."""
    _pair(p, q)
    return (torch.xlogy(p, p) - _expected_log(p, q)).sum(-1) / _unit(base)


def js_divergence(p: Tensor, q: Tensor, *, base: float | int = math.e) -> Float[Tensor, "..."]:
    """Jensen-Shannon: how far ``p`` and ``q`` (..., k) are from their mean, between 0 and log 2.

    Its square root is a distance.
    """
    _pair(p, q)
    middle = (p + q) / 2
    return 0.5 * (kl_divergence(p, middle, base=base) + kl_divergence(q, middle, base=base))


def mutual_information(joint: Tensor, *, base: float | int = math.e) -> Float[Tensor, "..."]:
    """What one variable tells about the other, from their ``joint`` probabilities (..., x, y): 0 or more.

    0 says independent; a table of counts is divided by its sum first.
    """
    if joint.ndim < 2:
        raise ValueError(f"joint has shape {tuple(joint.shape)}; it must be (..., x, y)")
    distribution("joint", joint.flatten(-2))
    product = joint.sum(-1, keepdim=True) * joint.sum(-2, keepdim=True)
    return (torch.xlogy(joint, joint) - _expected_log(joint, product)).sum((-2, -1)) / _unit(base)


def distribution(name: str, p: Tensor) -> None:
    """Raise ValueError unless the last axis of ``p`` holds probabilities that sum to 1.

    The sum may be off by 1e-5 in float64, by 1e-4 in float32, and by 2 units in the last place below that.
    """
    if not p.is_floating_point():
        raise ValueError(f"{name} is of type {p.dtype}; probabilities are floating-point numbers")
    if p.ndim < 1 or p.shape[-1] < 1:
        raise ValueError(f"{name} has shape {tuple(p.shape)}; it must be (..., k), k >= 1")
    if not p.numel():
        return
    if not bool((p >= 0).all()):
        raise ValueError(f"{name} holds {float(p.detach().min())}; probabilities are 0 or more")
    slack = 1e-5 if p.dtype == torch.float64 else 1e-4 + 2 * torch.finfo(p.dtype).eps
    worst = p.detach().double().sum(-1).flatten()
    worst = worst[(worst - 1).abs().argmax()]
    if not abs(float(worst) - 1) <= slack:
        raise ValueError(f"{name} sums to {float(worst)}; probabilities sum to 1")


def _pair(p: Tensor, q: Tensor) -> None:
    distribution("p", p)
    distribution("q", q)
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(f"p and q have {p.shape[-1]} and {q.shape[-1]} outcomes; they must have the same")
    try:
        torch.broadcast_shapes(p.shape, q.shape)
    except RuntimeError as error:
        shapes = f"{tuple(p.shape)} and {tuple(q.shape)}"
        raise ValueError(f"p and q have shapes {shapes}; their batch axes must broadcast") from error


def _expected_log(p: Tensor, q: Tensor) -> Tensor:
    """The products p log q: 0, with gradients of 0, for an outcome that both call impossible."""
    return torch.xlogy(p, torch.where((p > 0) | (q > 0), q, 1))


def _unit(base: float | int) -> float:
    if not (base > 0 and base != 1 and math.isfinite(base)):
        raise ValueError(f"base is {base}; it must be positive, finite and not 1: e for nats, 2 for bits")
    return math.log(base)


def entropy_by_hand(p: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    total = torch.zeros((), dtype=p.dtype)
    for chance in p:
        if chance > 0:
            total = total + chance * -torch.log(chance)
    return total


def cross_entropy_by_hand(p: Float[Tensor, "k"], q: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    total = torch.zeros((), dtype=p.dtype)
    for happens, expected in zip(p, q, strict=True):
        if happens > 0:
            total = total + happens * -torch.log(expected)
    return total


def kl_divergence_by_hand(p: Float[Tensor, "k"], q: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    total = torch.zeros((), dtype=p.dtype)
    for happens, expected in zip(p, q, strict=True):
        if happens > 0:
            total = total + happens * torch.log(happens / expected)
    return total


def js_divergence_by_hand(p: Float[Tensor, "k"], q: Float[Tensor, "k"]) -> Float[Tensor, ""]:
    """The other way to say it: the entropy of the mixture less the mean entropy of its parts."""
    return entropy_by_hand((p + q) / 2) - (entropy_by_hand(p) + entropy_by_hand(q)) / 2


def mutual_information_by_hand(joint: Float[Tensor, "x y"]) -> Float[Tensor, ""]:
    """Entropy apart less entropy together."""
    apart = entropy_by_hand(joint.sum(0)) + entropy_by_hand(joint.sum(1))
    return apart - entropy_by_hand(joint.flatten())


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares; a table is divided by its sum, also where it is perturbed."""
    from fathom.fundamentals.twin import Twin

    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    q = torch.tensor([0.25, 0.05, 0.6, 0.1], dtype=torch.float64)
    joint = torch.tensor([[0.1, 0.2, 0.05], [0.3, 0.05, 0.3]], dtype=torch.float64)
    yield Twin("entropy", entropy, entropy_by_hand, (p,))
    yield Twin("cross entropy", cross_entropy, cross_entropy_by_hand, (p, q))
    yield Twin("kl divergence", kl_divergence, kl_divergence_by_hand, (p, q))
    yield Twin("js divergence", js_divergence, js_divergence_by_hand, (p, q))
    yield Twin("mutual information", lambda table: mutual_information(table / table.sum()),
               lambda table: mutual_information_by_hand(table / table.sum()), (joint,))  # fmt: skip
