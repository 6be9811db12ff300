"""Lion: every weight moves by the same amount, in the direction of the sign of a momentum.

    c <- b1 m + (1 - b1) g                     what is looked at: today's gradient counts much
    w <- w - r (sign(c) + d w)                 what is done
    m <- b2 m + (1 - b2) g                     what is remembered: a longer mean

A program found by searching through programs, not by reasoning; the reasons came later. It keeps one buffer
where Adam keeps two. All coordinates step by r exactly, so the whole step has length r sqrt(n), longer than
Adam's: the authors use a learning rate 3 to 10 times smaller than AdamW's and a weight decay that much
larger, which leaves their product alone. The sign is noise where the gradient is, so small batches suit it
less.

Source: Chen et al. (2023), Algorithm 2.

Legend: w parameter, g gradient, m momentum, b1, b2 betas, r learning rate, d weight decay, n weights
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import (
    buffers,
    evaluated,
    not_negative,
    positive,
    twins_of,
    unit_pair,
    with_gradients,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Lion",
    paper="https://arxiv.org/abs/2302.06675",
    year=2023,
    summary="Moves each weight by a fixed amount, in the direction of the sign of a momentum.",
    rows=("OP09",),
    builds_on=("sgd",),
    oracle="timm.optim.Lion, bit for bit over 1,000 steps in float64",
)


class Lion(Optimizer):
    """Lion on all tensors together, with decoupled weight decay.

    ``learning_rate`` is positive, both ``betas`` lie in [0, 1), ``weight_decay`` is 0 or more. ValueError
    otherwise.
    """

    def __init__(
        self,
        parameters: ParamsT,
        learning_rate: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        positive(learning_rate, "learning_rate")
        unit_pair(betas, "betas")
        not_negative(weight_decay, "weight_decay")
        super().__init__(parameters, {"lr": learning_rate, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every parameter that has a gradient; the loss of ``closure``, where given."""
        loss = evaluated(closure)
        for group in self.param_groups:
            parameters, gradients = with_gradients(group)
            if not parameters:
                continue
            looked_at, remembered = group["betas"]
            momenta = buffers(self, parameters, "momentum")
            directions = torch._foreach_lerp(momenta, gradients, 1 - looked_at)
            torch._foreach_sign_(directions)
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, directions, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1 - remembered)
        return loss


def lion_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, momentum = [], torch.zeros_like(parameter)
    for gradient in gradients:
        looked_at = betas[0] * momentum + (1 - betas[0]) * gradient
        parameter = parameter - learning_rate * (torch.sign(looked_at) + weight_decay * parameter)
        momentum = betas[1] * momentum + (1 - betas[1]) * gradient
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    decayed = {"weight_decay": 0.3, "learning_rate": 0.01, "betas": (0.8, 0.95)}
    yield from twins_of(Lion, lion_by_hand, {"plain": {}, "decay": decayed})
