"""RAdam: Adam that does not trust its second moment before enough gradients have been seen.

    p_inf = 2 / (1 - b2) - 1,    p_t = p_inf - 2 t b2^t / (1 - b2^t)
    p_t > 5:   w <- w - r  rho_t  (m / (1 - b1^t))  sqrt(1 - b2^t) / (sqrt(s) + e)
    else:      w <- w - r  (m / (1 - b1^t))
    rho_t = sqrt( (p_t - 4) (p_t - 2) p_inf / ((p_inf - 4) (p_inf - 2) p_t) )

After one step s is one squared gradient, so 1 / sqrt(s) has no finite variance: a gradient that happens to be
small makes a huge step. That is why Adam wants a warm-up. p_t counts how many squares s is worth by now; from
it follows how much too wild 1 / sqrt(s) is, and rho_t, which grows from 0 towards 1, takes exactly that away.
While p_t is below 5 there is no variance to correct, and the steps are those of plain momentum.

Source: Liu et al. (2020), Algorithm 2.

Legend: w parameter, m, s moments as in Adam, b1, b2 betas, r learning rate, e epsilon, t step from 1
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
    title="RAdam",
    paper="https://arxiv.org/abs/1908.03265",
    year=2020,
    summary="Adam with a built-in warm-up: steps are damped until the typical size of gradients is known.",
    rows=("OP09",),
    builds_on=("sgd", "adam"),
    differs=("Adaptive steps begin at p_t > 5, as in torch; Algorithm 2 says 4.",),
    oracle="torch.optim.RAdam over 1,000 steps in float64, with both kinds of weight decay",
)


def radam(
    parameters: ParamsT,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> torch.optim.RAdam:
    """``torch.optim.RAdam``, updating all tensors together.

    ``learning_rate`` and ``epsilon`` are positive, both ``betas`` in [0, 1), ``weight_decay`` 0 or more;
    with ``decoupled`` weights decay as in AdamW, otherwise the decay is added to the gradient. ValueError
    otherwise.
    """
    check(learning_rate, betas, epsilon, weight_decay)
    return torch.optim.RAdam(
        parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay,
        decoupled_weight_decay=decoupled, foreach=True,
    )  # fmt: skip


def radam_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, mean, square = [], torch.zeros_like(parameter), torch.zeros_like(parameter)
    longest = 2 / (1 - betas[1]) - 1
    for step, gradient in enumerate(gradients, 1):
        if decoupled:
            parameter = parameter - learning_rate * weight_decay * parameter
        else:
            gradient = gradient + weight_decay * parameter
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        direction = mean / (1 - betas[0] ** step)
        length = longest - 2 * step * betas[1] ** step / (1 - betas[1] ** step)
        if length > 5:
            trusted = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            direction = trusted**0.5 * direction * (1 - betas[1] ** step) ** 0.5 / (square.sqrt() + epsilon)
        parameter = parameter - learning_rate * direction
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    cases = {
        "plain": {},
        "added decay": {"weight_decay": 0.1, "betas": (0.8, 0.95)},
        "decoupled decay": {"weight_decay": 0.1, "decoupled": True},
    }
    yield from twins_of(radam, radam_by_hand, cases)
