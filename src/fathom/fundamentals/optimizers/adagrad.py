"""AdaGrad: what has moved much moves less from now on; what was rarely touched keeps a large step.

    s <- s + g^2
    w <- w - r / (1 + (t - 1) f)  g / (sqrt(s) + e)

One learning rate for all weights is too large for some and too small for others: the embedding of a rare word
sees one gradient in ten thousand steps. AdaGrad divides each coordinate by the length of all the gradients it
has seen. Steps shrink like 1 / sqrt(t), which is what convex problems need, and what stops a long training
too early; RMSprop and Adadelta forget old gradients for that reason.

Source: Duchi, Hazan and Singer (2011), section 1.1, the update with diag(G_t). The decay f of the rate and
the place of e are those of torch.

Legend: w parameter, g gradient, s sum of squares, r learning rate, f its decay, e epsilon, t step from 1
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import not_negative, positive, twins_of

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="AdaGrad",
    paper="https://jmlr.org/papers/v12/duchi11a.html",
    year=2011,
    summary="Divides each weight's step by the length of all gradients that the weight has seen so far.",
    rows=("OP03",),
    builds_on=("sgd",),
    differs=("Epsilon is added outside the root, as in torch; the paper has delta I inside its matrix H.",),
    oracle="torch.optim.Adagrad over 1,000 steps in float64",
)


def adagrad(
    parameters: ParamsT,
    learning_rate: float = 0.01,
    learning_rate_decay: float = 0.0,
    initial_sum: float = 0.0,
    epsilon: float = 1e-10,
    weight_decay: float = 0.0,
) -> torch.optim.Adagrad:
    """``torch.optim.Adagrad``, updating all tensors together.

    ``learning_rate`` and ``epsilon`` are positive; ``learning_rate_decay``, ``initial_sum`` (where the sums
    of squares begin) and ``weight_decay`` (added to the gradient) are 0 or more. ValueError otherwise.
    """
    positive(learning_rate, "learning_rate")
    not_negative(learning_rate_decay, "learning_rate_decay")
    not_negative(initial_sum, "initial_sum")
    positive(epsilon, "epsilon")
    not_negative(weight_decay, "weight_decay")
    return torch.optim.Adagrad(
        parameters, lr=learning_rate, lr_decay=learning_rate_decay, weight_decay=weight_decay,
        initial_accumulator_value=initial_sum, eps=epsilon, foreach=True,
    )  # fmt: skip


def adagrad_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.01,
    learning_rate_decay: float = 0.0,
    initial_sum: float = 0.0,
    epsilon: float = 1e-10,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, total = [], torch.full_like(parameter, initial_sum)
    for step, gradient in enumerate(gradients, 1):
        gradient = gradient + weight_decay * parameter
        total = total + gradient**2
        rate = learning_rate / (1 + (step - 1) * learning_rate_decay)
        parameter = parameter - rate * gradient / (total.sqrt() + epsilon)
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    decays = {"learning_rate_decay": 0.01, "initial_sum": 0.1, "weight_decay": 0.1}
    yield from twins_of(adagrad, adagrad_by_hand, {"plain": {}, "decays": decays})
