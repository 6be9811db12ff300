"""Symbolic slopes against sympy, autograd and finite differences, on thirty functions."""

import math

import pytest
import torch

from fathom.fundamentals.mathematics import derivatives
from fathom.fundamentals.mathematics.symbolic import (
    Constant,
    Variable,
    call,
    cos,
    differentiate,
    evaluate,
    examples,
    exp,
    slope,
    slope_by_hand,
)


def test_three_derivatives_of_thirty_functions_agree() -> None:
    """Relative error at most 1e-5 in float64, asked for by the row; found: about 1e-8 at most."""
    table = examples()
    assert len(table) == 30
    for name, (expression, low, high) in table.items():
        x = torch.linspace(low, high, 50, dtype=torch.float64)
        exact, automatic = slope_by_hand(expression, x), slope(expression, x)
        (rough,) = derivatives.gradient_by_hand(lambda v, e=expression: evaluate(e, x=v).sum(), x)
        size = exact.abs().clamp(min=1e-3)
        assert ((automatic - exact).abs() / size).max() < 1e-10, name
        assert ((rough - exact).abs() / size).max() < 1e-5, name


@pytest.mark.slow
def test_derivatives_equal_those_of_sympy() -> None:
    import sympy

    x = sympy.Symbol("x")
    for name, (expression, low, high) in examples().items():
        theirs = sympy.diff(sympy.sympify(str(expression), locals={"x": x}), x)
        for share in (0.13, 0.5, 0.86):
            point = low + share * (high - low)
            ours = float(slope_by_hand(expression, torch.tensor(point, dtype=torch.float64)))
            assert ours == pytest.approx(float(theirs.subs(x, point)), rel=1e-11, abs=1e-13), name


def test_partial_derivatives() -> None:
    """Of f = x^2 y + cos(y) / x: the other variable is held still."""
    x, y = Variable("x"), Variable("y")
    formula = x**2 * y + cos(y) / x
    at = {"x": torch.tensor(1.5, dtype=torch.float64), "y": torch.tensor(0.4, dtype=torch.float64)}
    assert float(evaluate(differentiate(formula, "x"), **at)) == pytest.approx(
        2 * 1.5 * 0.4 - math.cos(0.4) / 2.25
    )
    assert float(evaluate(differentiate(formula, "y"), **at)) == pytest.approx(2.25 - math.sin(0.4) / 1.5)
    assert differentiate(formula, "z") == Constant(0.0)


def test_second_derivatives_come_by_walking_twice() -> None:
    x = Variable("x")
    twice = differentiate(differentiate(exp(-(x**2)), "x"), "x")
    at = torch.tensor([0.0, 0.7], dtype=torch.float64)
    torch.testing.assert_close(evaluate(twice, x=at), (4 * at**2 - 2) * torch.exp(-(at**2)))


def test_formulas_stay_short() -> None:
    """Sums with 0 and products with 0 or 1 vanish as they are built."""
    x = Variable("x")
    assert 0 * x + 0.0 == Constant(0.0) and 1 * x == x * 1 == x + 0 == x**1 == x
    assert x**0 == Constant(1.0) and 2 * Constant(3.0) + 1 == Constant(7.0)
    assert str(differentiate(x**3, "x")) == "3.0*(x)**2.0"
    assert str(1 - x) == "(1.0 + (-1.0)*x)"
    assert slope(Constant(2.0), torch.ones(3, dtype=torch.float64)).tolist() == [0, 0, 0]
    assert slope_by_hand(3 * x, torch.ones(2, dtype=torch.float64)).tolist() == [3, 3]


def test_extremes() -> None:
    x = Variable("x")
    big = torch.tensor([-1e4, 0.0, 1e4], dtype=torch.float64)
    assert slope(x**2, big).tolist() == [-2e4, 0, 2e4]
    assert slope(call("tanh", x), big).tolist() == [0, 1, 0]
    assert slope(exp(x), torch.zeros(0, dtype=torch.float64)).shape == (0,)
    half = torch.tensor([0.5], dtype=torch.float16)
    assert float(slope(x * x, half)) == pytest.approx(1.0, abs=1e-3)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="function is 'sine'; it must be one of exp, log"):
        call("sine", Variable("x"))
    with pytest.raises(ValueError, match=r"variable 'y' has no value; values were given for \['x'\]"):
        evaluate(Variable("x") * Variable("y"), x=torch.ones(1))
