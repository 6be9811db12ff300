"""L-BFGS: Newton's method, with the curvature guessed from how the gradient changed over the last steps.

    s_k = w_{k+1} - w_k,   y_k = g_{k+1} - g_k,   rho_k = 1 / (y_k . s_k)
    d = -H g,   where H is the matrix nearest to a multiple of the identity with H y_k = s_k, last pairs
    w <- w + t d

Newton's step is H g with H the inverse of the matrix of second derivatives: n^2 numbers and n^3 operations.
But along a step that was taken, the change of the gradient already tells the curvature. BFGS keeps the
least matrix that agrees with those observations; the limited-memory form never builds it, and gets H g from
the last pairs in two loops of dot products. On smooth problems without noise it needs tens of steps where
gradient descent needs thousands. With batches y_k is mostly noise, so it belongs to small, exact problems.

Source: Liu and Nocedal (1989); Nocedal and Wright (2006), Algorithms 7.4 and 7.5, start gamma = s.y / y.y in
equation 7.20. As in torch, the first step has length min(1, 1 / |g|_1) of the rate.

Legend: w parameters in one vector, g gradient, s, y differences, d direction, t step length
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import not_negative, positive

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="L-BFGS",
    paper="https://doi.org/10.1007/BF01589116",
    year=1989,
    summary="Newton's method that infers the curvature from the last steps and their gradients.",
    rows=("OP12",),
    builds_on=("sgd",),
    oracle="torch.optim.LBFGS step by step, and scipy's L-BFGS-B at the minimum, on convex problems",
)


def lbfgs(
    parameters: Iterable[Tensor],
    learning_rate: float = 1.0,
    iterations: int = 20,
    history: int = 100,
    line_search: bool = False,
    gradient_tolerance: float = 1e-7,
    change_tolerance: float = 1e-9,
) -> torch.optim.LBFGS:
    """``torch.optim.LBFGS``: ``step(closure)`` makes up to ``iterations`` iterations.

    ``learning_rate`` is positive: the length of a step in units of Newton's, or where the strong Wolfe
    ``line_search`` begins. ``iterations`` and ``history`` (pairs kept) are 1 or more. It ends where no
    entry of the gradient exceeds ``gradient_tolerance`` or nothing moves by ``change_tolerance``.
    ValueError otherwise.
    """
    positive(learning_rate, "learning_rate")
    for name, value in (("iterations", iterations), ("history", history)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    not_negative(gradient_tolerance, "gradient_tolerance")
    not_negative(change_tolerance, "change_tolerance")
    return torch.optim.LBFGS(
        parameters, lr=learning_rate, max_iter=iterations, tolerance_grad=gradient_tolerance,
        tolerance_change=change_tolerance, history_size=history,
        line_search_fn="strong_wolfe" if line_search else None,
    )  # fmt: skip


def lbfgs_by_hand(
    parameter: Float[Tensor, " n"],
    gradient: Callable[[Tensor], Tensor],
    steps: int,
    learning_rate: float = 1.0,
    history: int = 100,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``steps``, without a line search."""
    path: list[Tensor] = []
    pairs: list[tuple[Tensor, Tensor]] = []
    here = gradient(parameter)
    for step in range(steps):
        direction = -inverse_curvature(here, pairs)
        length = learning_rate if step else learning_rate * min(1.0, 1.0 / float(here.abs().sum()))
        parameter = parameter + length * direction
        there = gradient(parameter)
        moved, change = length * direction, there - here
        if moved @ change > 1e-10:  # only a curvature above zero keeps d downhill
            pairs = [*pairs, (moved, change)][-history:]
        here = there
        path.append(parameter)
    return path


def inverse_curvature(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """H g, by the two loops of Algorithm 7.4."""
    if not pairs:
        return gradient
    q, weights = gradient, []
    for moved, change in reversed(pairs):
        weights.append((moved @ q) / (moved @ change))
        q = q - weights[-1] * change
    moved, change = pairs[-1]
    r = (moved @ change) / (change @ change) * q
    for (moved, change), weight in zip(pairs, reversed(weights), strict=True):
        r = r + (weight - (change @ r) / (moved @ change)) * moved
    return r


def descent(
    start: Tensor, gradient: Callable[[Tensor], Tensor], steps: int, history: int = 100
) -> list[Tensor]:
    """The path of ``torch.optim.LBFGS``, one iteration a step."""
    parameter = start.detach().clone().requires_grad_()
    optimizer = lbfgs(
        [parameter], iterations=1, history=history, gradient_tolerance=0.0, change_tolerance=0.0
    )

    def closure() -> float:
        parameter.grad = gradient(parameter.detach())
        return 0.0

    path = []
    for _ in range(steps):
        optimizer.step(closure)
        path.append(parameter.detach().clone())
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    start = torch.linspace(-2, 2, 7, dtype=torch.float64)
    curvature = torch.linspace(0.5, 5, 7, dtype=torch.float64)
    for history in (100, 3):
        yield Twin(
            f"history {history}",
            lambda start, c, h=history: descent(start, lambda w: c * w + w**3, 12, history=h),
            lambda start, c, h=history: lbfgs_by_hand(start, lambda w: c * w + w**3, 12, history=h),
            (start, curvature),
            gradients=False,
        )
