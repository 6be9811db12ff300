"""AdamW: Adam with weight decay that is a decay of weights, not a part of the gradient.

    w <- w - r c w - r (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + e)             Algorithm 2, line 12

For plain SGD it does not matter whether c w is added to the gradient (an L2 penalty) or taken off the weight.
For Adam it does: what is added to the gradient is divided by sqrt(s) with it, so weights whose gradients are
large are hardly decayed at all, and multiplying the loss by ten changes how strong the penalty is. Taken off
the weight directly, the decay is the same r c for every weight, and r and c can be tuned almost separately.

Source: Loshchilov and Hutter (2019). Their schedule multiplier eta_t is the learning-rate schedule here,
which also scales the decay, as in torch.

Legend: w parameter, m, s moments as in Adam, b1, b2 betas, r learning rate, c weight decay, e epsilon
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.adam import check
from fathom.fundamentals.optimizers.sgd import twins_of

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="AdamW",
    paper="https://arxiv.org/abs/1711.05101",
    year=2019,
    summary="Adam whose weight decay shrinks every weight by the same factor.",
    rows=("OP06",),
    builds_on=("sgd", "adam"),
    differs=("The decay is multiplied by the learning rate as well as by the schedule, as in torch.",),
    oracle="torch.optim.AdamW over 1,000 steps in float64; a test that Adam with L2 is another rule",
)


def adamw(
    parameters: ParamsT,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    amsgrad: bool = False,
) -> torch.optim.AdamW:
    """``torch.optim.AdamW``, updating all tensors together; with ``amsgrad`` that variant.

    ``learning_rate`` and ``epsilon`` are positive, both ``betas`` in [0, 1), ``weight_decay`` 0 or more.
    ValueError otherwise.
    """
    check(learning_rate, betas, epsilon, weight_decay)
    return torch.optim.AdamW(
        parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay, amsgrad=amsgrad,
        foreach=True,
    )  # fmt: skip


def adamw_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, mean, square = [], torch.zeros_like(parameter), torch.zeros_like(parameter)
    for step, gradient in enumerate(gradients, 1):
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        honest_mean, honest_square = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
        direction = honest_mean / (honest_square.sqrt() + epsilon)
        parameter = parameter - learning_rate * weight_decay * parameter - learning_rate * direction
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    strong = {"weight_decay": 0.5, "learning_rate": 0.05, "betas": (0.8, 0.95)}
    yield from twins_of(adamw, adamw_by_hand, {"plain": {}, "strong decay": strong})
