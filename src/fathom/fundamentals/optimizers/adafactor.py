"""Adafactor: Adam's second moment of an n x m matrix, kept as n + m numbers.

    v_t = 1 - t^d                                        the part that is kept; it grows, so no correction
    is needed R <- v R + (1 - v) mean over columns of g^2          n numbers C <- v C + (1 - v) mean over
    rows of g^2             m numbers S = R C / mean(R)                                    the best product
    of a column and a row, in divergence u = g / sqrt(S),   u <- u / max(1, rms(u) / k)       updates larger
    than k are scaled back w <- w - c r w - max(e2, rms(w)) min(r, 1 / sqrt(t)) u

Adam doubles the memory of momentum: a matrix of squares as large as the weights. Their row and column means
say nearly as much. There is no momentum either, so a matrix costs n + m numbers in place of 2 n m. Vectors
keep their squares whole. The step is relative to the size of the weights, so r is a fraction, not a length.

Source: Shazeer and Stern (2018), Algorithms 4 to 6, means in place of sums.

Legend: w parameter, g gradient, R, C factors, S their product, u update, r learning rate, c weight decay,
        d decay exponent (-0.8), k clipping threshold, e2 the smallest scale, t step from 1
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import example, not_negative, positive, twins_of

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Adafactor",
    paper="https://arxiv.org/abs/1804.04235",
    year=2018,
    summary="Adam without momentum that keeps only row and column means of the squared gradients.",
    rows=("OP09",),
    builds_on=("sgd",),
    differs=(
        "The first epsilon guards the division instead of being added to the squares, as in torch.",
        "Weight decay is decoupled, as in torch; the paper has none.",
        "Kernels of convolutions are factored over their last two axes, as in torch; this saves little.",
    ),
    oracle="torch.optim.Adafactor, the plain loop, over 1,000 steps in float64",
)


def adafactor(
    parameters: Iterable[Any],
    learning_rate: float = 0.01,
    decay_exponent: float = -0.8,
    epsilons: tuple[float | None, float] = (None, 1e-3),
    clipping: float = 1.0,
    weight_decay: float = 0.0,
) -> torch.optim.Adafactor:
    """``torch.optim.Adafactor``, updating all tensors together.

    ``learning_rate`` is positive; ``decay_exponent`` lies in (-inf, 0]; ``epsilons`` are the least second
    moment's root (None: the smallest step of the number format) and the least scale of a tensor, each 0 or
    more; ``clipping`` is 1 or more; ``weight_decay`` 0 or more. Tensors must not be empty. ValueError
    otherwise.
    """
    positive(learning_rate, "learning_rate")
    if not float("-inf") < decay_exponent <= 0:
        raise ValueError(f"decay_exponent is {decay_exponent}; it must be 0 or less, and finite")
    for epsilon in epsilons:
        if epsilon is not None:
            not_negative(epsilon, "epsilons")
    if not 1 <= clipping < float("inf"):
        raise ValueError(f"clipping is {clipping}; it must be 1 or more, and finite")
    not_negative(weight_decay, "weight_decay")
    optimizer = torch.optim.Adafactor(
        parameters, lr=learning_rate, beta2_decay=decay_exponent, eps=epsilons, d=clipping,
        weight_decay=weight_decay, foreach=True,
    )  # fmt: skip
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        if parameter.numel() == 0:
            raise ValueError(
                f"parameters hold one of shape {tuple(parameter.shape)}; an empty tensor has no scale"
            )
    return optimizer


def adafactor_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.01,
    decay_exponent: float = -0.8,
    epsilons: tuple[float | None, float] = (None, 1e-3),
    clipping: float = 1.0,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    least = torch.finfo(parameter.dtype).eps if epsilons[0] is None else epsilons[0]
    path, rows, columns, whole = [], torch.tensor(0.0), torch.tensor(0.0), torch.zeros_like(parameter)
    for step, gradient in enumerate(gradients, 1):
        new = step**decay_exponent
        if parameter.ndim > 1:
            rows = (1 - new) * rows + new * gradient.square().mean(-1, keepdim=True)
            columns = (1 - new) * columns + new * gradient.square().mean(-2, keepdim=True)
            squares = rows * columns / rows.mean(-2, keepdim=True).clamp(min=least)
        else:
            squares = whole = (1 - new) * whole + new * gradient.square()
        update = gradient / squares.clamp(min=least**2).sqrt()
        update = update / max(1.0, root_mean_square(update) / clipping)
        scale = max(epsilons[1], root_mean_square(parameter)) * min(learning_rate, step**-0.5)
        parameter = parameter - learning_rate * weight_decay * parameter - scale * update
        path.append(parameter)
    return path


def root_mean_square(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    start, gradients = example()
    matrix, slopes = start.outer(start.flip(0)), gradients[:, :, None] * gradients.flip(0)[:, None]
    decayed = {"weight_decay": 0.1, "decay_exponent": -0.5, "clipping": 2.0}
    yield from twins_of(adafactor, adafactor_by_hand, {"vector": {}})
    yield from twins_of(
        adafactor, adafactor_by_hand, {"matrix": {}, "matrix, decay": decayed}, inputs=(matrix, slopes)
    )
