r"""Find slopes on paper.

A neuron takes an input $x$, has a weight $w$ and a bias $b$, and answers

$$ y = \tanh(w x + b) $$

The function tanh bends a line into an S; in code it is `torch.tanh(z)`. Its slope at a point $z$ is
$1 - \tanh(z)^2$. Return the slopes of $y$ in $w$, in $x$ and in $b$. Each number is a tensor of shape `()`.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, slope

HINTS = (
    "Give the number in between a name: z = w x + b, and y = tanh(z).",
    "The slope of y in z is 1 - y squared. How fast does z grow with w? With x? With b?",
    "z grows x times as fast as w, w times as fast as x, and just as fast as b.",
)
PASSED = "All three agree with small steps of the neuron itself."
FORBIDDEN = {
    "autograd": "the point is to find the slopes yourself",
    "backward": "the point is to find the slopes yourself",
}


def starter(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For three numbers, shape () each, return the slopes of tanh(w x + b) in w, in x and in b."""
    raise NotImplementedError


def solution(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For three numbers, shape () each, return the slopes of tanh(w x + b) in w, in x and in b."""
    outer = 1 - torch.tanh(w * x + b) ** 2
    return outer * x, outer * w, outer


def wrong_no_inner(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """You stopped at z. The way goes on: multiply by how fast z grows with w, with x and with b."""
    outer = 1 - torch.tanh(w * x + b) ** 2
    return outer, outer, outer


def wrong_no_outer(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """These are the slopes of z = w x + b. The tanh comes after it: multiply by its slope."""
    return x, w, torch.ones_like(b)


def wrong_swapped(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weight and input are exchanged: when w grows, z grows x times as fast."""
    outer = 1 - torch.tanh(w * x + b) ** 2
    return outer * w, outer * x, outer


def wrong_square_of_z(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """You squared z. The slope of tanh is 1 - tanh(z) squared: square the answer, not the input."""
    outer = 1 - (w * x + b) ** 2
    return outer * x, outer * w, outer


def wrong_not_squared(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """You used 1 - tanh(z). The slope of tanh is 1 - tanh(z) squared."""
    outer = 1 - torch.tanh(w * x + b)
    return outer * x, outer * w, outer


def wrong_without_bias(w: Tensor, x: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """You took the slope of tanh at w x. It must be taken where the neuron is: at w x + b."""
    outer = 1 - torch.tanh(w * x) ** 2
    return outer * x, outer * w, outer


def case(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    w, x, b = torch.rand(3, generator=dice, dtype=torch.float64) * 0.8 + 0.2
    return w, x + 0.5, b


def neuron(w: Tensor, x: Tensor, b: Tensor) -> Tensor:
    return torch.tanh(w * x + b)


def check_three(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 3:
        raise Fail("Return three slopes: in w, in x and in b.")
    for value, name in zip(found, "wxb", strict=True):
        must_be_tensor(value, (), f"The slope in {name}")


def check_slopes(answer: Answer, seed: int) -> None:
    w, x, b = case(seed)
    wanted = (
        slope(lambda t: neuron(t, x, b), w),
        slope(lambda t: neuron(w, t, b), x),
        slope(lambda t: neuron(w, x, t), b),
    )
    for found, right, name in zip(answer(w, x, b), wanted, "wxb", strict=True):
        if abs(float(found - right)) > 1e-6:
            raise Fail(
                f"Move {name} a little and the answer changes at the rate {float(right):+.4f};"
                f" your slope says {float(found):+.4f}."
            )
