r"""Find the gradient of a loss by hand.

A line $y = w x + b$ is to go through points. Its loss is the mean squared error over the $n$ points,

$$ L = \frac{1}{n} \sum_{i=1}^{n} (w x_i + b - y_i)^2 $$

Return the slope of $L$ in $w$ and the slope of $L$ in $b$, from the formula you derive on paper.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, slope

HINTS = (
    "Write e = w x + b - y for the errors. The loss is the mean of e squared. How fast does it grow with e?",
    "The slope of e squared is 2 e, times how fast e grows: x times as fast as w, and just as fast as b.",
    "The mean of 2 e x, and the mean of 2 e.",
)
PASSED = (
    "Both slopes agree with small steps of your own loss: this is the check that every gradient must pass."
)
FORBIDDEN = {
    "autograd": "the point is to derive the slope yourself",
    "backward": "the point is to derive the slope yourself",
}


def starter(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """For w and b, shape () each, and x and y, shape (n,), return (slope in w, slope in b), shape () each."""
    raise NotImplementedError


def solution(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """For w and b, shape () each, and x and y, shape (n,), return (slope in w, slope in b), shape () each."""
    error = w * x + b - y
    return 2 * (error * x).mean(), 2 * error.mean()


def wrong_sign(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both slopes have the wrong sign: the error is prediction minus target, w x + b - y."""
    in_w, in_b = solution(w, b, x, y)
    return -in_w, -in_b


def wrong_no_two(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both slopes are half of what they should be: the slope of e squared is 2 e."""
    in_w, in_b = solution(w, b, x, y)
    return in_w / 2, in_b / 2


def wrong_sum(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both slopes are n times too large: the loss is a mean, so its slope is a mean as well."""
    in_w, in_b = solution(w, b, x, y)
    return in_w * len(x), in_b * len(x)


def wrong_no_x(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The slope in w lacks the factor x: when w grows by one, the prediction grows by x."""
    _, in_b = solution(w, b, x, y)
    return in_b, in_b


def wrong_separate_means(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """You multiplied the mean error by the mean x. Multiply point by point first, and take the mean then."""
    error = w * x + b - y
    return 2 * error.mean() * x.mean(), 2 * error.mean()


def wrong_swapped(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both numbers are right, in the wrong order: first the slope in w, then the one in b."""
    in_w, in_b = solution(w, b, x, y)
    return in_b, in_w


def case(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice, dtype=torch.float64)

    return draw(), draw(), draw(5) + 1, draw(5)


def loss(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((w * x + b - y) ** 2).mean()


def check_pair(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return a pair: (slope in w, slope in b).")
    for value, name in zip(found, "wb", strict=True):
        must_be_tensor(value, (), f"The slope in {name}")


def check_slopes(answer: Answer, seed: int) -> None:
    w, b, x, y = case(seed)
    wanted = slope(lambda t: loss(t, b, x, y), w), slope(lambda t: loss(w, t, x, y), b)
    for found, right, name in zip(answer(w, b, x, y), wanted, "wb", strict=True):
        if abs(float(found - right)) > 1e-6:
            raise Fail(
                f"Move {name} a little and the loss changes at the rate {float(right):+.4f};"
                f" your slope says {float(found):+.4f}."
            )
