r"""Measure a slope.

You get a function, a point $x$ and a small step $h$. Return the slope of the function at $x$, measured with a
step to **both** sides:

$$ f'(x) \approx \frac{f(x + h) - f(x - h)}{2h} $$
"""

import math
from collections.abc import Callable

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "Call the function twice: a step to the right of x, and a step to the left of it.",
    "How far apart are the two places? Divide the difference of the values by that.",
    "They are 2 h apart: h to the right and h to the left.",
)
PASSED = "With this you can check any slope that anybody claims, in two runs of the function."


def starter(function: Callable[[float], float], x: float, h: float) -> float:
    """The slope of function at x, from its values at x + h and x - h."""
    raise NotImplementedError


def solution(function: Callable[[float], float], x: float, h: float) -> float:
    """The slope of function at x, from its values at x + h and x - h."""
    return (function(x + h) - function(x - h)) / (2 * h)


def wrong_one_side(function: Callable[[float], float], x: float, h: float) -> float:
    """You took a step to one side only. It is a slope, but a less exact one: take x - h in place of x."""
    return (function(x + h) - function(x)) / h


def wrong_other_side(function: Callable[[float], float], x: float, h: float) -> float:
    """You took a step to the left only. It is a slope, but a less exact one: take x + h in place of x."""
    return (function(x) - function(x - h)) / h


def wrong_divided_by_h(function: Callable[[float], float], x: float, h: float) -> float:
    """Your slope is twice too large: the two places are 2 h apart, not h."""
    return (function(x + h) - function(x - h)) / h


def wrong_not_divided(function: Callable[[float], float], x: float, h: float) -> float:
    """You returned how much the value changes. A slope is the change for each unit of x: divide."""
    return function(x + h) - function(x - h)


def wrong_sign(function: Callable[[float], float], x: float, h: float) -> float:
    """The sign is wrong: the value at the right, x + h, comes first."""
    return (function(x - h) - function(x + h)) / (2 * h)


def wrong_precedence(function: Callable[[float], float], x: float, h: float) -> float:
    """You divided by 2 and then multiplied by h. Put parentheses around 2 * h."""
    return (function(x + h) - function(x - h)) / 2 * h


def wrong_divided_by_x(function: Callable[[float], float], x: float, h: float) -> float:
    """You divided by x. What matters is how far you moved, 2 h, not where you stand."""
    return (function(x + h) - function(x - h)) / (2 * x)


def cube(x: float) -> float:
    return x * x * x + math.exp(x)


def case(seed: int) -> tuple[Callable[[float], float], float, float]:
    return cube, 0.7 + 0.25 * seed, 0.1


def check_number(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Fail(f"Return a number; yours is {described(found)}")


def check_line(answer: Answer, seed: int) -> None:
    found = answer(lambda x: 3 * x + 1, 2.0 + seed, 0.1)
    if abs(found - 3) > 1e-6:
        raise Fail(f"The line 3 x + 1 has the slope 3 everywhere; you found {found:.4f}.")


def check_curve(answer: Answer, seed: int) -> None:
    function, x, h = case(seed)
    found, wanted = answer(function, x, h), solution(function, x, h)
    if abs(found - wanted) > 1e-9:
        raise Fail(f"At x = {x:g} with h = {h:g} both sides give {wanted:.5f}; you found {found:.5f}.")
