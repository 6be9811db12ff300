r"""Entry test, slopes: a function that uses its input twice.

You get an array $x$ of any shape, and two numbers $a$ and $b$. Return a pair, both of the shape of $x$: the
values of

$$ x \cdot \tanh(a x^2 + b) $$

and the slope in $x$ at each entry. The slope of $\tanh(u)$ is $1 - \tanh(u)^2$.
"""

import numpy as np

from fathom.learn.engine.grade import Answer, Fail
from fathom.learn.engine.warmup import as_tensor

HINTS = (
    "This is a test of what you know. If you need hints, the page on the chain rule is the better way.",
    "There are two ways from x to the value: the factor x itself, and the x inside tanh. Slopes of ways add.",
    "Along the second way multiply: x, the slope of tanh, and the slope of a x squared, which is 2 a x.",
)
PASSED = "Slopes along a way multiply, and ways add up: you know the chain rule."


def starter(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """For x of any shape return (the values, their slopes), both of that shape."""
    raise NotImplementedError


def solution(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """For x of any shape return (the values, their slopes), both of that shape."""
    bent = np.tanh(a * x**2 + b)
    return x * bent, bent + x * (1 - bent**2) * 2 * a * x


def wrong_one_way(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """You followed only the x inside tanh. The factor x is a second way: add its slope, which is tanh."""
    bent = np.tanh(a * x**2 + b)
    return x * bent, x * (1 - bent**2) * 2 * a * x


def wrong_other_way(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """You took tanh for a fixed number. It changes with x as well: a second way, whose slope is added."""
    bent = np.tanh(a * x**2 + b)
    return x * bent, bent


def wrong_inner(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """The inner slope is missing: behind the slope of tanh comes that of what is inside it, 2 a x."""
    bent = np.tanh(a * x**2 + b)
    return x * bent, bent + x * (1 - bent**2)


def wrong_square(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """The slope of a x squared is 2 a x. You left out the 2."""
    bent = np.tanh(a * x**2 + b)
    return x * bent, bent + x * (1 - bent**2) * a * x


def wrong_product(x: np.ndarray, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    """You multiplied the slopes of both factors. Of a product, each factor changes while the other waits."""
    bent = np.tanh(a * x**2 + b)
    return x * bent, (1 - bent**2) * 2 * a * x


def case(seed: int) -> tuple[np.ndarray, float, float]:
    dice = np.random.default_rng(seed)
    return dice.normal(size=(3, 4)), float(dice.uniform(0.3, 1.2)), float(dice.uniform(-1, 1))


def observe(answer: Answer, seed: int) -> list[object]:
    return [as_tensor(np.asarray(part)) for part in answer(*case(seed))]


def check_pair(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 2:
        raise Fail("Return a pair: (the values, their slopes).")
    for name, part in zip(("values", "slopes"), found, strict=True):
        if np.shape(part) != (3, 4):
            raise Fail(f"The {name} have the shape of x, (3, 4); yours have {np.shape(part)}.")


def check_values(answer: Answer, seed: int) -> None:
    x, a, b = case(seed)
    found, right = answer(x.copy(), a, b)[0], x * np.tanh(a * x**2 + b)
    if not np.allclose(found, right, 1e-9, 1e-12):
        raise Fail(f"At x = {x[0, 0]:.3f} the value is {right[0, 0]:.4f}; yours is {found[0, 0]:.4f}.")


def check_slopes(answer: Answer, seed: int) -> None:
    x, a, b = case(seed)
    step = 1e-6
    up, down = solution(x + step, a, b)[0], solution(x - step, a, b)[0]
    found, measured = answer(x.copy(), a, b)[1], (up - down) / (2 * step)
    gap = np.abs(found - measured)
    if not gap.max() < 1e-6:
        at = np.unravel_index(int(gap.argmax()), gap.shape)
        raise Fail(
            f"At x = {x[at]:.3f} a small step rises at the rate {measured[at]:.4f}; yours is {found[at]:.4f}."
        )
