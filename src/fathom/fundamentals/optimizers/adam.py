"""Adam: momentum divided by the typical size of the gradient, both corrected for having begun at zero.

    m <- b1 m + (1 - b1) g            mean of recent gradients
    s <- b2 s + (1 - b2) g^2          mean of their squares
    w <- w - r (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + e)                     Algorithm 1
    w <- w - r (m / (1 - b1^t)) / u,   u <- max(b2 u, |g|)                       AdaMax, Algorithm 2
    AMSGrad: the largest s so far stands in the place of s                       Reddi et al., Algorithm 2

Means that begin at zero are too small at first: after t steps the weights of all gradients in m add up to
1 - b1^t only, so dividing by that makes m an honest mean from the first step on. Without it s, which forgets
more slowly, would be smaller still, and the first step (1 - b1) / sqrt(1 - b2) times, about three times, too
large. A step is about r in each weight, whatever the size of the gradient: r is in the unit of the weights.
AdaMax replaces the root of a mean of squares by a maximum that decays, which needs no correction. AMSGrad
mends a proof: where large gradients are rare, s forgets them and Adam can move the wrong way.

Source: Kingma and Ba (2015); Reddi, Kale and Kumar (2018) for AMSGrad, https://arxiv.org/abs/1904.09237.

Legend: w parameter, g gradient, m, s, u moments, b1, b2 betas, r learning rate, e epsilon, t step from 1
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import not_negative, positive, twins_of, unit_pair

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Adam, AMSGrad and AdaMax",
    paper="https://arxiv.org/abs/1412.6980",
    year=2015,
    summary="Steps along the mean of recent gradients, in units of their typical size.",
    rows=("OP05", "OP08"),
    builds_on=("sgd",),
    differs=(
        "AMSGrad corrects its largest second moment for bias, as in torch; its paper leaves bias alone.",
        "AdaMax adds epsilon to |g| before the maximum, as in torch, so that no weight divides by zero.",
    ),
    oracle="torch.optim.Adam (amsgrad off and on) and Adamax over 1,000 steps in float64",
)


def adam(
    parameters: ParamsT,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> torch.optim.Adam:
    """``torch.optim.Adam``, updating all tensors together; with ``amsgrad`` that variant.

    ``learning_rate`` and ``epsilon`` are positive, both ``betas`` in [0, 1), ``weight_decay`` 0 or more: it
    is added to the gradient, which is not what AdamW does. ValueError otherwise.
    """
    check(learning_rate, betas, epsilon, weight_decay)
    return torch.optim.Adam(
        parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay, amsgrad=amsgrad,
        foreach=True,
    )  # fmt: skip


def adamax(
    parameters: ParamsT,
    learning_rate: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.Adamax:
    """``torch.optim.Adamax``, updating all tensors together. Arguments and errors as of ``adam``."""
    check(learning_rate, betas, epsilon, weight_decay)
    return torch.optim.Adamax(
        parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay, foreach=True
    )


def check(learning_rate: float, betas: tuple[float, float], epsilon: float, weight_decay: float) -> None:
    """ValueError for a setting of Adam or one of its kin that is out of range."""
    positive(learning_rate, "learning_rate")
    unit_pair(betas, "betas")
    positive(epsilon, "epsilon")
    not_negative(weight_decay, "weight_decay")


def adam_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path = []
    mean, square, largest = (torch.zeros_like(parameter) for _ in range(3))
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + weight_decay * parameter
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        largest = torch.maximum(largest, square)
        honest_mean = mean / (1 - betas[0] ** step)
        honest_square = (largest if amsgrad else square) / (1 - betas[1] ** step)
        parameter = parameter - learning_rate * honest_mean / (honest_square.sqrt() + epsilon)
        path.append(parameter)
    return path


def adamax_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, mean, largest = [], torch.zeros_like(parameter), torch.zeros_like(parameter)
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + weight_decay * parameter
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        largest = torch.maximum(betas[1] * largest, gradient.abs() + epsilon)
        parameter = parameter - learning_rate * mean / (1 - betas[0] ** step) / largest
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    cases = {
        "adam": {},
        "adam with decay": {"weight_decay": 0.1, "betas": (0.8, 0.95)},
        "amsgrad": {"amsgrad": True, "betas": (0.9, 0.9)},
    }
    yield from twins_of(adam, adam_by_hand, cases)
    yield from twins_of(adamax, adamax_by_hand, {"adamax": {"weight_decay": 0.1}})
