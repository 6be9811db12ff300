"""L-BFGS against torch's, iteration by iteration, and against SciPy's at the minimum of convex problems."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from fathom.fundamentals.optimizers.lbfgs import descent, inverse_curvature, lbfgs, lbfgs_by_hand


def bowl(size: int, seed: int) -> tuple[Tensor, Tensor]:
    """A positive definite matrix with eigenvalues from 1 to 20, and a slope."""
    dice = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=dice))
    values = torch.linspace(1, 20, size, dtype=torch.float64)
    return basis @ torch.diag(values) @ basis.T, torch.randn(size, dtype=torch.float64, generator=dice)


@pytest.mark.parametrize("history", [100, 4])
def test_each_iteration_equals_that_of_torch_on_a_quadratic(history: int) -> None:
    for seed in range(5):
        matrix, slope = bowl(8, seed)
        start = torch.zeros(8, dtype=torch.float64)
        ours = lbfgs_by_hand(start, lambda w, a=matrix, b=slope: a @ w - b, 14, history=history)
        theirs = descent(start, lambda w, a=matrix, b=slope: a @ w - b, 14, history=history)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)


def logistic() -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(0)
    rows = torch.randn(80, 5, dtype=torch.float64, generator=dice)
    labels = (rows @ torch.linspace(-1, 1, 5, dtype=torch.float64) + 0.5 > 0).double()
    return rows, labels


def penalised(weights: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
    """The loss of logistic regression with a small penalty, which makes it strictly convex."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(rows @ weights, labels)
    return loss + 0.01 * weights.square().sum()


@pytest.mark.parametrize("line_search", [False, True])
def test_logistic_regression_ends_where_scipy_ends(line_search: bool) -> None:
    rows, labels = logistic()
    weights = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = lbfgs([weights], iterations=200, line_search=line_search, change_tolerance=1e-14)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = penalised(weights, rows, labels)
        loss.backward()
        return loss

    optimizer.step(closure)

    def value(w: np.ndarray) -> tuple[float, np.ndarray]:
        held = torch.tensor(w, requires_grad=True)
        loss = penalised(held, rows, labels)
        (slope,) = torch.autograd.grad(loss, held)
        return loss.item(), slope.numpy()

    found = optimize.minimize(
        value, np.zeros(5), jac=True, method="L-BFGS-B", options={"gtol": 1e-10, "ftol": 1e-15}
    )
    np.testing.assert_allclose(weights.detach().numpy(), found.x, rtol=1e-5, atol=1e-6)


def test_the_two_loops_invert_the_matrix_that_the_pairs_tell() -> None:
    """With as many conjugate pairs as a quadratic has dimensions, H y = s for all of them."""
    matrix, _ = bowl(4, 0)
    moves = torch.linalg.eigh(matrix).eigenvectors.T  # conjugate directions: no pair disturbs another
    pairs = [(s, matrix @ s) for s in moves]
    for moved, change in pairs:
        torch.testing.assert_close(inverse_curvature(change, pairs), moved, rtol=1e-10, atol=1e-12)


def test_pairs_without_curvature_are_passed_over() -> None:
    """On a plane, or where the slope falls along the step, plain steps go on."""
    flat = lbfgs_by_hand(torch.zeros(2, dtype=torch.float64), lambda w: torch.ones_like(w), 5, 0.1)
    assert all(p.isfinite().all() for p in flat)
    assert float((flat[-1] - flat[-2]).abs().max()) == pytest.approx(0.1)
    for a, b in zip(flat, descent_on_a_plane(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


def descent_on_a_plane() -> list[Tensor]:
    parameter = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = lbfgs([parameter], 0.1, iterations=1)

    def closure() -> float:
        parameter.grad = torch.ones(2, dtype=torch.float64)
        return 0.0

    path = []
    for _ in range(5):
        optimizer.step(closure)
        path.append(parameter.detach().clone())
    return path


def test_newton_like_steps_need_tens_where_descent_needs_thousands() -> None:
    matrix, slope = bowl(8, 3)
    answer = torch.linalg.solve(matrix, slope)
    fast = lbfgs_by_hand(torch.zeros(8, dtype=torch.float64), lambda w: matrix @ w - slope, 30)[-1]
    slow = torch.zeros(8, dtype=torch.float64)
    for _ in range(100):
        slow = slow - 0.05 * (matrix @ slow - slope)
    assert float((fast - answer).norm()) < 1e-8 < 1e-4 < float((slow - answer).norm())


def test_at_the_minimum_nothing_moves() -> None:
    parameter = torch.zeros(3, requires_grad=True)
    optimizer = lbfgs([parameter])

    def closure() -> float:
        parameter.grad = torch.zeros(3)
        return 0.0

    optimizer.step(closure)
    assert torch.equal(parameter.detach(), torch.zeros(3))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"iterations": 0}, "iterations is 0; it must be 1 or more"),
        ({"history": 0}, "history is 0; it must be 1 or more"),
        ({"gradient_tolerance": -1.0}, "gradient_tolerance is -1.0; it must be 0 or more"),
        ({"change_tolerance": -1.0}, "change_tolerance is -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        lbfgs([torch.zeros(1)], **settings)
