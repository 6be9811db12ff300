"""The engine of single numbers against torch on random graphs, and against formulas."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fathom.fundamentals.scalar_autograd import Scalar, neuron_gradients

Step = tuple[Callable[..., Any], tuple[int, ...]]

# Each keeps values small, so that graphs of any depth stay finite. Scalars and torch tensors take them alike.
OPERATIONS: tuple[tuple[int, Callable[..., Any]], ...] = (
    (2, lambda a, b: a + b * 0.5),
    (2, lambda a, b: a - b),
    (2, lambda a, b: a * b.tanh()),
    (2, lambda a, b: a / (b * b + 1.0)),
    (1, lambda a: 1.0 - a),
    (1, lambda a: 2.0 / (a**2 + 2.0)),
    (1, lambda a: -a.tanh()),
    (1, lambda a: a.tanh().exp()),
    (1, lambda a: (a * a + 0.5).log()),
    (1, lambda a: a.sigmoid()),
    (1, lambda a: a.relu()),
    (1, lambda a: (a**2 + 0.1) ** 0.5),
)


def random_program(dice: np.random.Generator, leaves: int, steps: int) -> list[Step]:
    program: list[Step] = []
    for step in range(steps):
        takes, operation = OPERATIONS[dice.integers(len(OPERATIONS))]
        program.append((operation, tuple(int(i) for i in dice.integers(leaves + step, size=takes))))
    return program


def run(program: list[Step], values: list[Any]) -> Any:
    """The sum of tanh of every result, so that each counts."""
    values, total = list(values), 0.0
    for operation, places in program:
        values.append(operation(*(values[i] for i in places)))
        total = values[-1].tanh() + total
    return total


def test_random_graphs_have_the_gradients_of_torch() -> None:
    largest = 0
    for number in range(40):
        dice = np.random.default_rng(number)
        start = dice.normal(size=5)
        program = random_program(dice, leaves=5, steps=int(dice.integers(1, 50)))
        ours = [Scalar(v) for v in start]
        theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in start]
        result, expected = run(program, ours), run(program, theirs)
        result.backward()
        expected.backward()
        largest = max(largest, len(result.history()))
        assert result.value == pytest.approx(expected.item(), abs=1e-9, rel=1e-9)
        for a, b in zip(ours, theirs, strict=True):
            slope = 0.0 if b.grad is None else float(b.grad)
            assert a.grad == pytest.approx(slope, abs=1e-6, rel=1e-6), f"graph {number}"
    assert largest >= 150


def test_a_number_that_is_used_twice_adds_up_both_ways() -> None:
    x = Scalar(3.0)
    (x * x + x).backward()
    assert x.grad == 7.0
    (x * 2).backward()
    assert x.grad == 9.0  # over calls, too


def test_a_long_chain_needs_no_recursion() -> None:
    x = y = Scalar(1.0)
    for _ in range(5_000):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0 and y.value == 5_001


def test_powers_at_zero() -> None:
    for power, slope in ((0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (0.5, math.inf)):
        x = Scalar(0.0)
        (x**power).backward()
        assert x.grad == slope, power


def test_sigmoid_of_large_numbers_is_finite() -> None:
    assert Scalar(1e4).sigmoid().value == 1 and Scalar(-1e4).sigmoid().value == 0


def test_what_has_no_value_is_refused() -> None:
    for value in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="must be positive"):
            Scalar(value).log()
    with pytest.raises(ValueError, match="no finite real number"):
        Scalar(0.0) ** -1
    with pytest.raises(ValueError, match="no finite real number"):
        1 / Scalar(0.0)
    with pytest.raises(ValueError, match="no finite real number"):
        Scalar(-2.0) ** 0.5
    with pytest.raises(ValueError, match=r"weights \(2,\) and inputs \(3,\)"):
        neuron_gradients(np.ones(2), np.ones(3), np.ones(1))


def test_it_says_what_it_is() -> None:
    assert repr(Scalar(2.5)) == "Scalar(2.5, grad=0)"
