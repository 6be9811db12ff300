"""Choose by the right error.

You get training points, validation points, some degrees, and a function `fit`. Calling `fit(x, y, degree)`
fits a curve of that degree to points and returns a function, so that `fit(x, y, degree)(new_x)` are its
predictions at other places.

Return the degree whose curve has the smallest mean squared error on the validation points. Fit to the
training points only. Of equal errors take the smaller degree.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "For each degree: fit to the training points, predict at the validation points, measure.",
    "((fit(x, y, degree)(new_x) - new_y) ** 2).mean() is the error of one degree.",
    "min(degrees, key=...) returns the one with the smallest; keep the order of degrees from small to large.",
)
PASSED = "That is model selection: the same three lines choose a width, a decay or a learning rate."
Fit = Callable[[Tensor, Tensor, int], Callable[[Tensor], Tensor]]


def starter(
    fit: Callable[[Tensor, Tensor, int], Callable[[Tensor], Tensor]],
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    degrees: list[int],
) -> int:
    """The degree with the smallest error on validation (x, y), each fitted to train (x, y)."""
    raise NotImplementedError


def solution(
    fit: Callable[[Tensor, Tensor, int], Callable[[Tensor], Tensor]],
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    degrees: list[int],
) -> int:
    """The degree with the smallest error on validation (x, y), each fitted to train (x, y)."""
    x, y = validation

    def error(degree: int) -> float:
        return float(((fit(*train, degree)(x) - y) ** 2).mean())

    return min(sorted(degrees), key=error)


Pair = tuple[Tensor, Tensor]


def errors(fit: Fit, learned: Pair, asked: Pair, degrees: list[int]) -> list[float]:
    return [float(((fit(*learned, d)(asked[0]) - asked[1]) ** 2).mean()) for d in degrees]


def wrong_training_error(fit: Fit, train: Pair, validation: Pair, degrees: list[int]) -> int:
    """You chose by the error on the training points. It always likes the largest degree.

    Ask the other points.
    """
    found = errors(fit, train, train, degrees)
    return degrees[found.index(min(found))]


def wrong_fitted_to_all(fit: Fit, train: Pair, validation: Pair, degrees: list[int]) -> int:
    """You fitted to all points, so the validation points were learned from. Keep them out of the fit."""
    both = torch.cat([train[0], validation[0]]), torch.cat([train[1], validation[1]])
    found = errors(fit, both, validation, degrees)
    return degrees[found.index(min(found))]


def wrong_place(fit: Fit, train: Pair, validation: Pair, degrees: list[int]) -> int:
    """You returned the place in the list. The degree itself is wanted: degrees[place]."""
    found = errors(fit, train, validation, degrees)
    return found.index(min(found))


def wrong_swapped(fit: Fit, train: Pair, validation: Pair, degrees: list[int]) -> int:
    """You fitted to the validation points and measured on the training points: it is the other way round."""
    found = errors(fit, validation, train, degrees)
    return degrees[found.index(min(found))]


def wrong_no_square(fit: Fit, train: Pair, validation: Pair, degrees: list[int]) -> int:
    """Errors above and below cancel in your mean. Square them first."""
    means = [abs(float((fit(*train, d)(validation[0]) - validation[1]).mean())) for d in degrees]
    return degrees[means.index(min(means))]


def polynomial(x: Tensor, y: Tensor, degree: int) -> Callable[[Tensor], Tensor]:
    """Least squares, with a whisper of a penalty so that any number of points will do."""
    powers = torch.stack([x**k for k in range(degree + 1)], dim=1)
    square = powers.T @ powers + 1e-9 * torch.eye(degree + 1, dtype=x.dtype)
    weights = torch.linalg.solve(square, powers.T @ y)
    return lambda new: torch.stack([new**k for k in range(degree + 1)], dim=1) @ weights


def case(seed: int) -> tuple[Fit, Pair, Pair, list[int]]:
    dice = torch.Generator().manual_seed(seed)

    def draw(count: int) -> Pair:
        x = 2 * torch.rand(count, generator=dice, dtype=torch.float64) - 1
        return x, (3 * x).sin() + 0.35 * torch.randn(count, generator=dice, dtype=torch.float64)

    return polynomial, draw(12), draw(14), [1, 2, 3, 5, 7, 9]


def observe(answer: Answer, seed: int) -> list[int]:
    """What is chosen on ten drawings: on one alone two ways may agree by chance."""
    return [int(answer(*case(s))) for s in range(10)]


def check_one_of_them(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if isinstance(found, bool) or not isinstance(found, int):
        raise Fail(f"Return a degree, a whole number; yours is {described(found)}")
    if found not in (1, 2, 3, 5, 7, 9):
        raise Fail(f"{found} is none of the degrees that were given, 1, 2, 3, 5, 7 and 9.")


def check_choice(answer: Answer, seed: int) -> None:
    for drawing in range(10):
        found, wanted = answer(*case(drawing)), solution(*case(drawing))
        if found != wanted:
            fit, train, validation, _ = case(drawing)
            mine, best = errors(fit, train, validation, [found, wanted])
            told = f"You chose degree {found}, with {mine:.3f} on the validation points"
            raise Fail(f"{told}; degree {wanted} has {best:.3f}.")


def check_equal(answer: Answer, seed: int) -> None:
    _, train, validation, _ = case(seed)
    if answer(lambda x, y, degree: lambda new: 0 * new, train, validation, [4, 2, 3]) != 2:
        raise Fail("If all degrees are equally good, take the smallest one: it is the simplest.")
