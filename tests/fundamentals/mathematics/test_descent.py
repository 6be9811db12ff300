"""Descent on quadratics against the closed form, and on two famous surfaces against scipy."""

import math

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from fathom.fundamentals.mathematics import descent


def quadratic(eigenvalues: list[float]) -> tuple[Tensor, Tensor]:
    """A matrix with these eigenvalues, in a random orthonormal basis, and the basis."""
    dice = torch.Generator().manual_seed(len(eigenvalues))
    size = len(eigenvalues)
    basis = torch.linalg.qr(torch.randn(size, size, generator=dice, dtype=torch.float64)).Q
    matrix = basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T
    return (matrix + matrix.T) / 2, basis


def test_gradient_descent_meets_the_closed_form_rate_of_each_eigenvalue() -> None:
    """SGD of torch on a quadratic: error after k steps = (1 - a l)^k times the first, within 1e-6."""
    values = [0.05, 0.5, 1.0, 3.0]
    matrix, basis = quadratic(values)
    minimum = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    start = minimum + basis.sum(dim=1)  # an error of 1 along each eigenvector

    def surface(x: Tensor) -> Tensor:
        away = x - minimum
        return ((away @ matrix) * away).sum(dim=-1) / 2

    for rate in (0.1, 0.5, 0.65):
        path = descent.descend(surface, start, rate, 0.0, 60)
        errors = (path - minimum) @ basis
        for i, value in enumerate(values):
            predicted = (1 - rate * value) ** np.arange(61)
            np.testing.assert_allclose(errors[:, i], predicted, rtol=1e-6, atol=1e-12)
            measured = (errors[20, i] / errors[0, i]).abs() ** (1 / 20)
            expected = descent.convergence_rate(torch.tensor([value], dtype=torch.float64), rate)
            assert float(measured) == pytest.approx(float(expected), abs=1e-6)
        for solve in (descent.quadratic_descent, descent.quadratic_descent_by_hand):
            torch.testing.assert_close(solve(matrix, minimum, start, rate, 60), path, rtol=0, atol=1e-12)


def test_momentum_meets_its_rate() -> None:
    """The errors of heavy-ball descent shrink by the predicted factor, over many steps."""
    values = torch.tensor([0.01, 0.2, 1.0], dtype=torch.float64)
    best = descent.best_settings(0.01, 1.0, momentum=True)
    for momentum in (0.5, 0.9):
        surface = lambda x: (values * x**2).sum(dim=-1) / 2  # noqa: E731
        path = descent.descend(surface, torch.ones(3, dtype=torch.float64), 0.5, momentum, 400)
        expected = descent.convergence_rate(values, 0.5, momentum)
        envelope = path.abs()[200:400].amax(dim=0) / path.abs()[100:300].amax(dim=0)
        torch.testing.assert_close(envelope ** (1 / 100), expected, rtol=0.02, atol=0)
    assert descent.convergence_rate(values, best.learning_rate, best.momentum).max() == pytest.approx(
        best.rate, abs=1e-6
    )


def test_best_settings_are_the_best_of_a_scan() -> None:
    """Nothing on a grid beats (c - 1) / (c + 1), or with momentum (sqrt(c) - 1) / (sqrt(c) + 1)."""
    ends = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    plain, heavy = descent.best_settings(0.1, 10.0), descent.best_settings(0.1, 10.0, momentum=True)
    assert plain.rate == pytest.approx(99 / 101) and heavy.rate == pytest.approx(9 / 11)
    rates = np.linspace(0.01, 0.4, 400)
    worst = [float(descent.convergence_rate(ends, float(r)).max()) for r in rates]
    assert min(worst) >= plain.rate - 1e-12
    assert rates[int(np.argmin(worst))] == pytest.approx(plain.learning_rate, abs=1e-3)
    for momentum in np.linspace(0.3, 0.9, 25):
        for rate in np.linspace(0.05, 0.6, 25):
            assert (
                float(descent.convergence_rate(ends, float(rate), float(momentum)).max()) >= heavy.rate - 1e-9
            )


def test_descent_leaves_a_saddle_at_the_predicted_rate() -> None:
    matrix, basis = quadratic([1.0, -0.5])
    zero = torch.zeros(2, dtype=torch.float64)
    path = descent.quadratic_descent_by_hand(matrix, zero, 1e-6 * basis.sum(dim=1), 0.2, 100)
    errors = (path @ basis).abs()
    assert float(errors[100, 1] / 1e-6) == pytest.approx(1.1**100, rel=1e-6)
    assert float(errors[100, 0]) < 1e-12
    assert descent.stationary_kind(matrix) == "saddle"


def test_kinds_of_stationary_points() -> None:
    kinds = {"minimum": [1.0, 2.0], "maximum": [-1.0, -2.0], "saddle": [-1.0, 0.0, 2.0], "flat": [0.0, 1.0]}
    for kind, values in kinds.items():
        assert descent.stationary_kind(quadratic(values)[0]) == kind
    assert descent.stationary_kind(torch.zeros(2, 2)) == "flat"
    assert descent.condition_number(quadratic([0.5, 1.0, 20.0])[0]) == pytest.approx(40)
    assert descent.condition_number(torch.diag(torch.tensor([0.0, 1.0]))) == math.inf


def test_convexity() -> None:
    """Norms and log-sum-exp stay below every chord; Rosenbrock's and Beale's surfaces do not."""
    dice = torch.Generator().manual_seed(0)
    left, right = (3 * torch.randn(2000, 2, generator=dice, dtype=torch.float64) for _ in range(2))
    for convex in (lambda x: x.norm(dim=-1), lambda x: x.logsumexp(dim=-1), lambda x: (x**2).sum(dim=-1)):
        assert descent.convexity_gap(convex, left, right, 0.3).max() < 1e-12
    for surface in (descent.rosenbrock, descent.beale):
        assert descent.convexity_gap(surface, left, right).max() > 1


def test_rosenbrock_and_beale_equal_scipy() -> None:
    dice = np.random.default_rng(0)
    for size in (2, 3, 6):
        points = dice.normal(size=(10, size))
        x = torch.from_numpy(points).requires_grad_()
        values = descent.rosenbrock(x)
        (slopes,) = torch.autograd.grad(values.sum(), x)
        np.testing.assert_allclose(values.detach(), [optimize.rosen(p) for p in points], rtol=1e-12)
        np.testing.assert_allclose(slopes, [optimize.rosen_der(p) for p in points], rtol=1e-10, atol=1e-10)
    assert descent.rosenbrock(torch.ones(5)) == 0 and descent.beale(torch.tensor([3.0, 0.5])) == 0
    found = optimize.minimize(
        lambda p: float(descent.beale(torch.from_numpy(p))), np.array([1.0, 1.0]), tol=1e-12
    )
    np.testing.assert_allclose(found.x, [3, 0.5], atol=1e-4)
    assert torch.isfinite(descent.rosenbrock(torch.full((2,), 1e4)))
    assert descent.beale(torch.zeros(0, 2)).shape == (0,)
    assert descent.rosenbrock(torch.tensor([0.5, 0.25], dtype=torch.float16)) == 0.25


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=1e-3),
    "momentum": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, nesterov=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.5),
    "Adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=5e-3),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=1e-2),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.03),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.03, weight_decay=0.0),
    "AMSGrad": lambda p: torch.optim.Adam(p, lr=0.03, amsgrad=True),
    "AdaMax": lambda p: torch.optim.Adamax(p, lr=0.2),
    "Nadam": lambda p: torch.optim.NAdam(p, lr=0.03),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=5e-3),
    "L-BFGS": lambda p: torch.optim.LBFGS(p, max_iter=4, line_search_fn="strong_wolfe"),
}


@pytest.mark.slow
def test_race_of_optimizers_down_both_valleys() -> None:
    """Every optimizer of torch ends ten times lower than it began; L-BFGS at the one minimum."""
    for surface, start, minimum in (
        (descent.rosenbrock, [-1.2, 1.0], [1.0, 1.0]),
        (descent.beale, [1.0, 1.0], [3.0, 0.5]),
    ):
        paths = descent.race(surface, torch.tensor(start, dtype=torch.float64), OPTIMIZERS, 600)
        for name, path in paths.items():
            assert (
                path.points.shape == (601, 2) and path.points[0].tolist() == start and path.diverged is None
            )
            assert path.values[-1] < 0.1 * path.values[0], f"{name} on {surface.__name__}: {path.values[-1]}"
        assert paths["L-BFGS"].values[-1] < 1e-9
        assert (paths["L-BFGS"].points[-1] - torch.tensor(minimum)).norm() < 1e-3


def test_a_path_that_diverges_is_reported_and_stays_finite() -> None:
    path = descent.trajectory(
        descent.rosenbrock, torch.tensor([-1.2, 1.0]), lambda p: torch.optim.SGD(p, lr=1.0), 20
    )
    assert path.diverged is not None and path.diverged < 20
    assert torch.isfinite(path.points).all() and torch.isfinite(path.values).all() and len(path.points) == 21
    assert torch.equal(path.points[-1], path.points[path.diverged - 1])


@pytest.mark.parametrize("surface", [descent.rosenbrock, descent.beale])
def test_a_race_is_every_walk_alone(surface) -> None:
    """Whoever walks beside it, an optimizer takes the same steps and falls at the same one."""
    runners = OPTIMIZERS | {"too fast": lambda p: torch.optim.SGD(p, lr=1.0)}
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    together = descent.race(surface, start, runners, 30)
    assert together["too fast"].diverged is not None and together["L-BFGS"].diverged is None
    for name, make in runners.items():
        alone = walk_alone(surface, start, make, (together[name].diverged or 31) - 1)
        assert torch.allclose(together[name].points[: len(alone)], alone, rtol=1e-9, atol=1e-12), name


def walk_alone(surface, start: torch.Tensor, make, steps: int) -> torch.Tensor:
    x = start.clone().requires_grad_()
    engine, points = make([x]), [start]

    def closure() -> float:
        engine.zero_grad()
        value = surface(x)
        value.backward()
        return value.item()

    for _ in range(steps):
        engine.step(closure)
        points.append(x.detach().clone())
    return torch.stack(points)


A, Z = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: descent.quadratic_descent(torch.tensor([[1.0, 2.0], [0.0, 1.0]]), Z, Z, 0.1, 1),
            "equal its transpose",
        ),
        (
            lambda: descent.quadratic_descent(A, Z[:1], Z, 0.1, 1),
            r"minimum has shape \(1,\); it must have 2 entries",
        ),
        (lambda: descent.quadratic_descent(A, Z, Z, 0.0, 1), "learning_rate is 0.0"),
        (lambda: descent.quadratic_descent(A, Z, Z, 0.1, -1), "steps is -1"),
        (lambda: descent.convergence_rate(Z, 0.1, 1.0), r"momentum is 1.0; it must be in \[0, 1\)"),
        (lambda: descent.best_settings(0.0, 1.0), "smallest is 0.0"),
        (lambda: descent.best_settings(2.0, 1.0), "in order"),
        (lambda: descent.condition_number(torch.ones(2, 3)), r"matrix has shape \(2, 3\)"),
        (lambda: descent.stationary_kind(torch.ones(0, 0)), r"hessian has shape \(0, 0\)"),
        (lambda: descent.convexity_gap(descent.beale, A, A[:1]), r"right \(1, 2\)"),
        (lambda: descent.convexity_gap(descent.beale, A, A, 1.5), "weight is 1.5"),
        (lambda: descent.rosenbrock(torch.ones(3, 1)), "2 or more real numbers"),
        (lambda: descent.beale(torch.ones(3)), "holds 2 real numbers"),
        (lambda: descent.beale(torch.tensor([3, 1])), "torch.int64"),
        (lambda: descent.trajectory(descent.beale, A, OPTIMIZERS["SGD"], 3), "start has shape"),
        (lambda: descent.race(descent.beale, Z, {}, 3), "optimizers is empty"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
