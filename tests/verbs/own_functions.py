"""Functions of one's own, as a user would write them in a module beside the work: some right, some wrong."""

from typing import Any

import torch
from torch import Tensor, nn

CALLS: list[int] = []
NOT_A_FUNCTION = 3


def energy(x: Tensor, y: Tensor) -> Tensor:
    """Right, in both inputs."""
    return (x.tanh() @ y).square().sum() + x[0, 0] * y.exp().sum()


class _Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        wrong = 2 * x
        wrong[1, 2] = x[1, 2]  # half of the slope, in one entry
        return slopes[0] * wrong


def square(x: Tensor) -> Tensor:
    """Wrong in one entry."""
    return _Square.apply(x)


def cut_off(x: Tensor) -> Tensor:
    return x.detach().sin().sum()


def two_outputs(x: Tensor) -> dict[str, Tensor]:
    return {"double": 2 * x, "total": x.square().sum()}


def noisy(x: Tensor) -> Tensor:
    """Draws from torch's generator, as dropout does."""
    return nn.functional.dropout(x, 0.5, training=True).exp()


def changing(x: Tensor) -> Tensor:
    CALLS.append(0)
    return x * len(CALLS)


def rounded(x: Tensor) -> Tensor:
    return x.float().sin()


def places(x: Tensor) -> Tensor:
    return x.argmax()


def exploding(x: Tensor) -> Tensor:
    return x / 0
