"""Symbolic differentiation: a formula is a tree, and calculus is a walk over it with one rule a kind of node.

Leaves are numbers and variables; nodes are sums, products, powers and named functions. The derivative of a
node is built from its parts and their derivatives:

    (u + v)' = u' + v'      (u v)' = u' v + u v'      (u^a)' = a u^(a-1) u'      f(u)' = f'(u) u'

The last rule is the chain rule. The result is a formula again: exact, but it grows with each rule, and there
must be a formula to begin with. Autograd applies the same rules to the numbers of one run instead.

Source: Baydin, Pearlmutter, Radul and Siskind, Automatic Differentiation in Machine Learning: a Survey
(2018), section 2.2.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Symbolic differentiation",
    paper="https://arxiv.org/abs/1502.05767",
    year=2018,
    summary="Turns a formula into the formula of its slope, by four rules.",
    rows=("MA03",),
    oracle="sympy, torch.autograd and finite differences on 30 functions; in float64",
)


class Expression:
    """A formula as a tree. Arithmetic on expressions builds larger ones; ``str`` writes it out."""

    def __add__(self, other: "Expression | float | int") -> "Expression":
        return _sum(self, _expression(other))

    def __radd__(self, other: float | int) -> "Expression":
        return _sum(_expression(other), self)

    def __neg__(self) -> "Expression":
        return _product(Constant(-1.0), self)

    def __sub__(self, other: "Expression | float | int") -> "Expression":
        return self + -_expression(other)

    def __rsub__(self, other: float | int) -> "Expression":
        return _expression(other) + -self

    def __mul__(self, other: "Expression | float | int") -> "Expression":
        return _product(self, _expression(other))

    def __rmul__(self, other: float | int) -> "Expression":
        return _product(_expression(other), self)

    def __truediv__(self, other: "Expression | float | int") -> "Expression":
        return self * _expression(other) ** -1

    def __rtruediv__(self, other: float | int) -> "Expression":
        return other * self**-1

    def __pow__(self, exponent: "Expression | float | int") -> "Expression":
        if isinstance(exponent, Expression):
            return exp(exponent * log(self))
        return _power(self, float(exponent))

    def __rpow__(self, base: float | int) -> "Expression":
        return exp(self * math.log(base))


@dataclass(frozen=True)
class Constant(Expression):
    value: float

    def __str__(self) -> str:
        return f"({self.value!r})" if self.value < 0 else repr(self.value)


@dataclass(frozen=True)
class Variable(Expression):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Sum(Expression):
    left: Expression
    right: Expression

    def __str__(self) -> str:
        return f"({self.left} + {self.right})"


@dataclass(frozen=True)
class Product(Expression):
    left: Expression
    right: Expression

    def __str__(self) -> str:
        return f"{self.left}*{self.right}"


@dataclass(frozen=True)
class Power(Expression):
    base: Expression
    exponent: float

    def __str__(self) -> str:
        return f"({self.base})**{Constant(self.exponent)}"


@dataclass(frozen=True)
class Call(Expression):
    function: str
    argument: Expression

    def __str__(self) -> str:
        return f"{self.function}({self.argument})"


def call(function: str, argument: Expression) -> Expression:
    """A named function of an expression; the names are those of ``RULES``. ValueError for another name."""
    if function not in RULES:
        raise ValueError(f"function is {function!r}; it must be one of {', '.join(RULES)}")
    return Call(function, argument)


exp, log, sin, cos, tan = (partial(call, name) for name in ("exp", "log", "sin", "cos", "tan"))
asin, atan, sinh, cosh, tanh = (partial(call, name) for name in ("asin", "atan", "sinh", "cosh", "tanh"))
erf, sqrt = partial(call, "erf"), partial(call, "sqrt")

RULES: dict[str, Callable[[Expression], Expression]] = {
    "exp": exp,
    "log": lambda u: 1 / u,
    "sqrt": lambda u: 0.5 / sqrt(u),
    "sin": cos,
    "cos": lambda u: -sin(u),
    "tan": lambda u: 1 + tan(u) ** 2,
    "asin": lambda u: (1 - u**2) ** -0.5,
    "atan": lambda u: 1 / (1 + u**2),
    "sinh": cosh,
    "cosh": sinh,
    "tanh": lambda u: 1 - tanh(u) ** 2,
    "erf": lambda u: 2 / math.sqrt(math.pi) * exp(-(u**2)),
}


def differentiate(expression: Expression, variable: str) -> Expression:
    """The (partial) derivative as a formula; all other variables are held still."""
    match expression:
        case Variable(name):
            return Constant(1.0 if name == variable else 0.0)
        case Sum(left, right):
            return differentiate(left, variable) + differentiate(right, variable)
        case Product(left, right):
            return differentiate(left, variable) * right + left * differentiate(right, variable)
        case Power(base, exponent):
            return exponent * base ** (exponent - 1) * differentiate(base, variable)
        case Call(function, argument):
            return RULES[function](argument) * differentiate(argument, variable)
        case _:
            return Constant(0.0)


def evaluate(expression: Expression, **values: Tensor) -> Tensor:
    """The value of the formula, entry by entry, where each variable has the tensor of its name.

    ValueError for a variable without a value.
    """
    match expression:
        case Constant(value):
            return torch.tensor(value, dtype=torch.float64)
        case Variable(name):
            if name not in values:
                raise ValueError(f"variable {name!r} has no value; values were given for {sorted(values)}")
            return values[name]
        case Sum(left, right):
            return evaluate(left, **values) + evaluate(right, **values)
        case Product(left, right):
            return evaluate(left, **values) * evaluate(right, **values)
        case Power(base, exponent):
            return evaluate(base, **values) ** exponent
        case Call(function, argument):
            return getattr(torch, function)(evaluate(argument, **values))
    raise ValueError(
        f"expression is a {type(expression).__name__}; it must be built from the nodes of this file"
    )


def slope(expression: Expression, x: Tensor) -> Tensor:
    """The derivative by ``x`` at each entry of ``x``, by autograd on one evaluation of the formula."""
    point = x if x.requires_grad else x.detach().requires_grad_()
    value = evaluate(expression, x=point)
    if not value.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(value.sum(), point, create_graph=x.requires_grad)[0]


def slope_by_hand(expression: Expression, x: Tensor) -> Tensor:
    """The same by symbols: differentiate first, put numbers in last."""
    return evaluate(differentiate(expression, "x"), x=x).expand_as(x)


def examples() -> dict[str, tuple[Expression, float | int, float | int]]:
    """Thirty formulas in x, each with an interval on which it is smooth."""
    x = Variable("x")
    wave = sin(3 * x)
    sigmoid = 1 / (1 + exp(-x))
    return {
        "square": (x**2, -3, 3),
        "cubic": (x**3 - 2 * x + 1, -3, 3),
        "reciprocal": (1 / x, 0.2, 4),
        "root": (sqrt(x), 0.1, 9),
        "cube root": (x ** (1 / 3), 0.1, 9),
        "rational": ((x**2 + 1) / (x - 4), -3, 3),
        "exponential": (exp(x), -4, 4),
        "power of two": (2**x, -4, 4),
        "self power": (x**x, 0.2, 3),
        "logarithm": (log(x), 0.05, 20),
        "entropy": (-x * log(x) - (1 - x) * log(1 - x), 0.05, 0.95),
        "sine": (sin(x), -6, 6),
        "cosine": (cos(x) ** 2, -6, 6),
        "tangent": (tan(x), -1.3, 1.3),
        "arc sine": (asin(x), -0.9, 0.9),
        "arc tangent": (atan(x), -5, 5),
        "hyperbolic sine": (sinh(x), -3, 3),
        "hyperbolic cosine": (log(cosh(x)), -3, 3),
        "tanh": (tanh(x), -3, 3),
        "error function": (erf(x), -2, 2),
        "sigmoid": (sigmoid, -6, 6),
        "softplus": (log(1 + exp(x)), -6, 6),
        "swish": (x * sigmoid, -6, 6),
        "gelu": (0.5 * x * (1 + erf(x / math.sqrt(2))), -3, 3),
        "bell": (exp(-(x**2) / 2) / math.sqrt(2 * math.pi), -3, 3),
        "cauchy": (1 / (math.pi * (1 + x**2)), -4, 4),
        "damped wave": (exp(-x / 2) * wave, 0, 5),
        "chirp": (sin(x**2), -3, 3),
        "nested": (exp(sin(x**2 + wave)), -2, 2),
        "squashed": (x / sqrt(1 + x**2), -4, 4),
    }


def _expression(value: "Expression | float | int") -> Expression:
    return value if isinstance(value, Expression) else Constant(float(value))


def _sum(left: Expression, right: Expression) -> Expression:
    match left, right:
        case Constant(a), Constant(b):
            return Constant(a + b)
        case Constant(0.0), _:
            return right
        case _, Constant(0.0):
            return left
    return Sum(left, right)


def _product(left: Expression, right: Expression) -> Expression:
    match left, right:
        case Constant(a), Constant(b):
            return Constant(a * b)
        case (Constant(0.0), _) | (_, Constant(0.0)):
            return Constant(0.0)
        case Constant(1.0), _:
            return right
        case _, Constant(1.0):
            return left
    return Product(left, right)


def _power(base: Expression, exponent: float) -> Expression:
    if exponent == 0:
        return Constant(1.0)
    return base if exponent == 1 else Power(base, exponent)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    for name, (expression, low, high) in examples().items():
        x = torch.linspace(low, high, 7, dtype=torch.float64)
        yield Twin(name, partial(slope, expression), partial(slope_by_hand, expression), (x,))
