"""Put local slopes together.

A number reaches the result in some ways. A way is a list of local slopes, one for each arrow on it. Return
the slope of the result in that number.

`[[2.0, 3.0], [5.0]]` means: one way over two arrows, with the local slopes 2 and 3, and one way over a single
arrow with the local slope 5. With no way at all the slope is 0. A way without an arrow leads from the result
to itself, and its slope is 1.
"""

import math

import torch

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "Begin with a single way of two arrows. A euro buys 1.10 dollars, a dollar buys 150 yen.",
    "Multiply along a way, add over the ways.",
    "math.prod multiplies all numbers of a list, and sum adds them.",
)
PASSED = "That is the chain rule, whole. All that is left is to do it without walking a way twice."


def starter(ways: list[list[float]]) -> float:
    """The slope of the result, for ways that are lists of local slopes."""
    raise NotImplementedError


def solution(ways: list[list[float]]) -> float:
    """The slope of the result, for ways that are lists of local slopes."""
    return sum(math.prod(way) for way in ways)


def wrong_added_along(ways: list[list[float]]) -> float:
    """You added along a way. Rates along a way are multiplied: euros to dollars to yen."""
    return sum(sum(way) for way in ways)


def wrong_multiplied_ways(ways: list[list[float]]) -> float:
    """You multiplied the ways with each other. Each of them has its own effect, and effects are added."""
    return math.prod(math.prod(way) for way in ways)


def wrong_swapped(ways: list[list[float]]) -> float:
    """It is the other way round: multiply along a way, add over the ways."""
    return math.prod(sum(way) for way in ways)


def wrong_first_way(ways: list[list[float]]) -> float:
    """You followed the first way only. Every way from the number to the result counts."""
    return math.prod(ways[0]) if ways else 0.0


def wrong_last_way(ways: list[list[float]]) -> float:
    """Only the last way is left: each way replaced what was there. Add to it instead."""
    return math.prod(ways[-1]) if ways else 0.0


def wrong_mean(ways: list[list[float]]) -> float:
    """You took the mean over the ways. A number with two ways to act acts twice: add them."""
    return sum(math.prod(way) for way in ways) / len(ways) if ways else 0.0


def wrong_empty_way(ways: list[list[float]]) -> float:
    """A way without an arrow leads from the result to itself. Its slope is 1: they move together."""
    return sum(math.prod(way) for way in ways if way)


def case(seed: int) -> tuple[list[list[float]]]:
    dice = torch.Generator().manual_seed(seed)
    numbers = (torch.rand(6, generator=dice, dtype=torch.float64) + 0.5).tolist()
    return ([numbers[:3], numbers[3:5], numbers[5:]],)


def observe(answer: Answer, seed: int) -> tuple[float, float]:
    """A number with three ways, and the result itself."""
    return float(answer(*case(seed))), float(answer([[]]))


def check_one_way(answer: Answer, seed: int) -> None:
    found = answer([[1.1, 150.0]])
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Fail(f"Return a number; yours is {described(found)}")
    if abs(found - 165) > 1e-9:
        raise Fail(f"One way with the slopes 1.1 and 150 has the slope 165; you found {found:g}.")


def check_several_ways(answer: Answer, seed: int) -> None:
    (ways,) = case(seed)
    found, wanted = answer([list(way) for way in ways]), solution(ways)
    if abs(found - wanted) > 1e-9:
        told = "; ".join(", ".join(f"{slope:.2f}" for slope in way) for way in ways)
        raise Fail(f"Three ways with the slopes {told} make {wanted:.4f}; you found {found:.4f}.")


def check_ends(answer: Answer, seed: int) -> None:
    if answer([]) != 0:
        raise Fail("With no way to the result nothing happens to it: the slope is 0.")
    if answer([[]]) != 1:
        raise Fail("The slope of a result in itself is 1: one way without an arrow.")
