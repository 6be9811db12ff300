"""Take one step of gradient descent.

You stand at the parameters $w$ and know the gradient of the loss there, $g$. Return the parameters after
one step with learning rate $r$.

Leave the tensor that you were given as it is: whoever called you may still need it.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "The gradient points uphill. Which way do you want to go?",
    "The learning rate says how much of the gradient a step takes: multiply.",
    "One line: a minus, a times, and a return.",
)
PASSED = "That line is the heart of every training run, from a line through four points to a language model."


def starter(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """For w and gradient of one shape, any, return a new tensor of that shape."""
    raise NotImplementedError


def solution(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """For w and gradient of one shape, any, return a new tensor of that shape."""
    return w - rate * gradient


def wrong_uphill(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """You walk uphill: the gradient points to where the loss grows. Subtract it."""
    return w + rate * gradient


def wrong_no_rate(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """The learning rate is not used: you take the whole gradient as a step. Multiply it by the rate."""
    return w - gradient


def wrong_only_the_step(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """You returned the step, not the place where it ends. Begin at w."""
    return -rate * gradient


def wrong_divided(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """You divided by the learning rate. A small rate means a small step: multiply."""
    return w - gradient / rate


def wrong_scaled_weights(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """You scaled the weights as well: the rate belongs to the gradient alone. Mind the parentheses."""
    return rate * (w - gradient)


def wrong_in_place(w: Tensor, gradient: Tensor, rate: float) -> Tensor:
    """The result is right, but you changed the tensor that you were given (-= does). Make a new one."""
    return w.sub_(rate * gradient)


def case(seed: int, shape: tuple[int, ...] = (3, 2)) -> tuple[Tensor, Tensor, float]:
    dice = torch.Generator().manual_seed(seed)
    w, gradient = (torch.randn(shape, generator=dice, dtype=torch.float64) for _ in range(2))
    return w, gradient, 0.1 + 0.05 * seed


def observe(answer: Answer, seed: int) -> tuple[Tensor, Tensor]:
    """The result, and what became of the weights that were given."""
    w, gradient, rate = case(seed)
    return answer(w, gradient, rate), w


def check_shape(answer: Answer, seed: int) -> None:
    for shape in ((3, 2), (4,), ()):
        must_be_tensor(answer(*case(seed, shape)), shape, "The result")


def check_value(answer: Answer, seed: int) -> None:
    w, gradient, rate = case(seed, ())
    found, wanted = float(answer(*case(seed, ()))), float(w - rate * gradient)
    if abs(found - wanted) > 1e-9:
        raise Fail(
            f"At w = {float(w):.3f} with gradient {float(gradient):+.3f} and rate {rate:g} a step ends at"
            f" {wanted:.3f}; yours ends at {found:.3f}."
        )
    if not same(answer(*case(seed)), case(seed)[0] - case(seed)[2] * case(seed)[1]):
        raise Fail("For one number the step is right; for a matrix of them it is not.")


def check_untouched(answer: Answer, seed: int) -> None:
    if not same(observe(answer, seed)[1], case(seed)[0]):
        raise Fail("The tensor w that you were given has changed.")
