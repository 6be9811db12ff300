"""Adadelta: a step whose length is learned from the lengths of the steps before it.

    s <- p s + (1 - p) g^2                                   line 4 of Algorithm 1
    d <- sqrt(u + e) / sqrt(s + e)  g                        line 5
    u <- p u + (1 - p) d^2                                   line 6
    w <- w - r d                                             line 7, where r = 1

A gradient has the unit of loss / weight, and a weight has the unit of weight: their difference mixes units,
and the learning rate hides it. Dividing by the root of the mean square of the gradients removes the
gradient's unit; multiplying by that of the recent steps puts the weight's unit back. Nothing is left to
tune but how fast to forget, p. The price: steps begin at about sqrt(e), so the first hundreds are tiny.

Source: Zeiler (2012), Algorithm 1. The factor r is torch's addition; 1 is the paper.

Legend: w parameter, g gradient, s, u mean squares of gradients and steps, p decay, e epsilon, r learning rate
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import not_negative, positive, twins_of, unit

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Adadelta",
    paper="https://arxiv.org/abs/1212.5701",
    year=2012,
    summary="Scales each step by the typical size of the last steps over that of the last gradients.",
    rows=("OP09",),
    builds_on=("sgd",),
    differs=("A learning rate multiplies the step, as in torch; 1, the default, is the paper.",),
    oracle="torch.optim.Adadelta over 1,000 steps in float64",
)


def adadelta(
    parameters: ParamsT,
    learning_rate: float = 1.0,
    smoothing: float = 0.9,
    epsilon: float = 1e-6,
    weight_decay: float = 0.0,
) -> torch.optim.Adadelta:
    """``torch.optim.Adadelta``, updating all tensors together.

    ``learning_rate`` and ``epsilon`` are positive (steps begin at the root of epsilon), ``smoothing`` (the
    paper's rho) lies in [0, 1), ``weight_decay`` (added to the gradient) is 0 or more. ValueError otherwise.
    """
    positive(learning_rate, "learning_rate")
    unit(smoothing, "smoothing")
    positive(epsilon, "epsilon")
    not_negative(weight_decay, "weight_decay")
    return torch.optim.Adadelta(
        parameters, lr=learning_rate, rho=smoothing, eps=epsilon, weight_decay=weight_decay, foreach=True
    )


def adadelta_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 1.0,
    smoothing: float = 0.9,
    epsilon: float = 1e-6,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, squares, steps = [], torch.zeros_like(parameter), torch.zeros_like(parameter)
    for gradient in gradients:
        gradient = gradient + weight_decay * parameter
        squares = smoothing * squares + (1 - smoothing) * gradient**2
        step = (steps + epsilon).sqrt() / (squares + epsilon).sqrt() * gradient
        steps = smoothing * steps + (1 - smoothing) * step**2
        parameter = parameter - learning_rate * step
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    yield from twins_of(
        adadelta, adadelta_by_hand, {"plain": {}, "decay": {"smoothing": 0.95, "weight_decay": 0.1}}
    )
