"""NAdam: Adam with Nesterov's look ahead, by using the next step's momentum today.

    m <- b1 m + (1 - b1) g,   s <- b2 s + (1 - b2) g^2                           as in Adam
    u_t = b1 (1 - 0.96^(t d) / 2)                                                momentum of step t, growing
    n = (1 - u_t) g / (1 - u_1 ... u_t)  +  u_{t+1} m / (1 - u_1 ... u_{t+1})
    w <- w - r n / (sqrt(s / (1 - b2^t)) + e)

Momentum moves by the old direction and then by the new gradient; Nesterov's insight is that the old direction
is known in advance, so the part of it that the next step will add can be added now. Adam's mean is rewritten
in that way: today's gradient counts with weight 1 - u_t, and tomorrow's momentum already stands in the sum.
The momentum grows from b1 / 2 towards b1 over some thousands of steps.

Source: Dozat (2016), the algorithm NAdam; 0.96 and d = 0.004 are the schedule of momentum that he proposes.

Legend: w parameter, g gradient, m, s moments, u momentum, d momentum decay, r learning rate, e epsilon
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.adam import check
from fathom.fundamentals.optimizers.sgd import not_negative, twins_of

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="NAdam",
    paper="https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
    year=2016,
    summary="Adam that already adds the part of the next step that momentum makes certain.",
    rows=("OP07",),
    builds_on=("sgd", "adam"),
    differs=("The mean m uses b1 itself, as in torch; only the look ahead uses the growing momentum.",),
    oracle="torch.optim.NAdam over 1,000 steps in float64, with both kinds of weight decay",
)


def nadam(
    parameters: ParamsT,
    learning_rate: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled: bool = False,
) -> torch.optim.NAdam:
    """``torch.optim.NAdam``, updating all tensors together.

    ``learning_rate`` and ``epsilon`` are positive, both ``betas`` in [0, 1), ``weight_decay`` and
    ``momentum_decay`` (how fast momentum grows) 0 or more; with ``decoupled`` weights decay as in AdamW,
    otherwise the decay is added to the gradient. ValueError otherwise.
    """
    check(learning_rate, betas, epsilon, weight_decay)
    not_negative(momentum_decay, "momentum_decay")
    return torch.optim.NAdam(
        parameters, lr=learning_rate, betas=betas, eps=epsilon, weight_decay=weight_decay,
        momentum_decay=momentum_decay, decoupled_weight_decay=decoupled, foreach=True,
    )  # fmt: skip


def nadam_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled: bool = False,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, mean, square, product = [], torch.zeros_like(parameter), torch.zeros_like(parameter), 1.0
    for step, gradient in enumerate(gradients, 1):
        if decoupled:
            parameter = parameter - learning_rate * weight_decay * parameter
        else:
            gradient = gradient + weight_decay * parameter
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        today = betas[0] * (1 - 0.5 * 0.96 ** (step * momentum_decay))
        tomorrow = betas[0] * (1 - 0.5 * 0.96 ** ((step + 1) * momentum_decay))
        product = product * today
        ahead = (1 - today) * gradient / (1 - product) + tomorrow * mean / (1 - product * tomorrow)
        honest_square = square / (1 - betas[1] ** step)
        parameter = parameter - learning_rate * ahead / (honest_square.sqrt() + epsilon)
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    cases = {
        "plain": {},
        "added decay": {"weight_decay": 0.1},
        "decoupled decay": {"weight_decay": 0.1, "decoupled": True, "momentum_decay": 0.1},
    }
    # torch multiplies the momenta up in a float32 number
    yield from twins_of(nadam, nadam_by_hand, cases, tolerance=1e-9)
