"""LAMB: Adam's direction, with a step for each layer that is in proportion to the layer's own length.

    m, s, and their corrections                  as in Adam
    u = (m / (1 - b1^t)) / (sqrt(s / (1 - b2^t)) + e) + d w
    w <- w - r (|w| / |u|) u                     |.| over one tensor; the ratio is 1 where either is zero

With batches of tens of thousands few steps are left, so each must be large, and one layer is always the
first to break: that whose update is large beside its weights. LAMB divides the length of the update out and
puts the length of the weights in, so each tensor turns by about the same angle r a step, and BERT trains
with batches of 32,768. Biases and the weights of normalisation begin near zero and would hardly move, so
what is not decayed is not adapted either, as in the authors' code.

Source: You et al. (2020), Algorithm 2, with phi(z) = z.

Legend: w parameter, m, s moments, u update, b1, b2 betas, r learning rate, d weight decay, e epsilon, t step
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.adam import check
from fathom.fundamentals.optimizers.sgd import buffers, evaluated, twins_of, with_gradients

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="LAMB",
    paper="https://arxiv.org/abs/1904.00962",
    year=2020,
    summary="Adam whose step in each layer is in proportion to the length of the layer's weights.",
    rows=("OP09",),
    builds_on=("sgd", "adam"),
    differs=(
        "Tensors without weight decay take Adam's step unless adapt_undecayed is set: the paper adapts all.",
        "Steps are counted for a group, not for a tensor, as in timm: one count corrects all moments of it.",
        "Gradients are not clipped here, as timm's are: the learner or gradient_clipping does that.",
    ),
    oracle="timm.optim.Lamb over 1,000 steps in float64, with and without decay and adaptation",
)


class Lamb(Optimizer):
    """LAMB on all tensors together.

    ``learning_rate`` and ``epsilon`` are positive, both ``betas`` lie in [0, 1), ``weight_decay`` is 0 or
    more. Groups with a decay of 0 are adapted only with ``adapt_undecayed``. ValueError otherwise.
    """

    def __init__(
        self,
        parameters: ParamsT,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-6,
        weight_decay: float = 0.01,
        adapt_undecayed: bool = False,
    ) -> None:
        check(learning_rate, betas, epsilon, weight_decay)
        settings = {
            "lr": learning_rate, "betas": betas, "epsilon": epsilon, "weight_decay": weight_decay,
            "adapt_undecayed": adapt_undecayed, "step": 0,
        }  # fmt: skip
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every parameter that has a gradient; the loss of ``closure``, where given."""
        loss = evaluated(closure)
        for group in self.param_groups:
            group["step"] += 1
            parameters, gradients = with_gradients(group)
            if not parameters:
                continue
            (beta, beta_of_squares), count = group["betas"], group["step"]
            means, squares = (buffers(self, parameters, name) for name in ("means", "squares"))
            torch._foreach_lerp_(means, gradients, 1 - beta)
            torch._foreach_mul_(squares, beta_of_squares)
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta_of_squares)
            roots = torch._foreach_sqrt(squares)
            torch._foreach_div_(roots, math.sqrt(1 - beta_of_squares**count))
            torch._foreach_add_(roots, group["epsilon"])
            # The mean's correction is one number: it scales what is added and the step, not every tensor.
            correction = 1 - beta**count
            updates = torch._foreach_div(means, roots)
            if group["weight_decay"]:
                torch._foreach_add_(updates, parameters, alpha=group["weight_decay"] * correction)
            if group["weight_decay"] or group["adapt_undecayed"]:
                steps = trust(parameters, updates, correction) * (-group["lr"] / correction)
                torch._foreach_addcmul_(parameters, updates, steps.unbind())
            else:
                torch._foreach_add_(parameters, updates, alpha=-group["lr"] / correction)
        return loss


def trust(parameters: list[Tensor], updates: Iterable[Tensor], correction: float) -> Tensor:
    """|w| / |u| of each tensor, where u is the update over ``correction``; 1 where one of them is zero."""
    lengths = torch.stack(torch._foreach_norm(parameters))
    sizes = torch.stack(torch._foreach_norm(list(updates))) / correction
    return torch.where((lengths > 0) & (sizes > 0), lengths / sizes, 1.0)


def lamb_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-6,
    weight_decay: float = 0.01,
    adapt_undecayed: bool = False,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, mean, square = [], torch.zeros_like(parameter), torch.zeros_like(parameter)
    for step, gradient in enumerate(gradients, 1):
        mean = betas[0] * mean + (1 - betas[0]) * gradient
        square = betas[1] * square + (1 - betas[1]) * gradient**2
        honest_mean, honest_square = mean / (1 - betas[0] ** step), square / (1 - betas[1] ** step)
        update = honest_mean / (honest_square.sqrt() + epsilon) + weight_decay * parameter
        length, size = parameter.square().sum().sqrt(), update.square().sum().sqrt()
        adapted = (weight_decay > 0 or adapt_undecayed) and length > 0 and size > 0
        parameter = parameter - learning_rate * (length / size if adapted else 1.0) * update
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    cases = {
        "decay": {"learning_rate": 0.01, "weight_decay": 0.1},
        "no decay": {"weight_decay": 0.0},
        "all adapted": {"weight_decay": 0.0, "adapt_undecayed": True},
    }
    yield from twins_of(Lamb, lamb_by_hand, cases)
