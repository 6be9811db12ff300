"""Jacobians, Hessians and their products against torch.func, and the loss around a trained network."""

import math

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.mathematics import curvature as cu


def field(x: Tensor) -> Tensor:
    return torch.stack([x.sin().sum(), (x[0] * x[-1]).sum(), x.exp().mean() * x[0, 0]])


def bowl(x: Tensor) -> Tensor:
    return (field(x) ** 2).sum() + x.pow(3).sum()


def points(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A point, a direction and weights on the three outputs of ``field``."""
    dice = torch.Generator().manual_seed(seed)
    x, v = (torch.randn(3, 2, generator=dice, dtype=torch.float64) for _ in range(2))
    return x, v, torch.randn(3, generator=dice, dtype=torch.float64)


def test_jacobians_and_products_equal_torch_func() -> None:
    """On eight points: to 1e-12, where the row asks for 1e-6."""
    close = {"rtol": 1e-12, "atol": 1e-12}
    for seed in range(8):
        x, v, u = points(seed)
        y, pullback, *_ = torch.func.vjp(field, x)
        slopes = torch.func.jacrev(field)(x)
        bends = torch.func.jacrev(torch.func.grad(bowl))(x)
        push, bend = torch.tensordot(slopes, v, 2), torch.tensordot(bends, v, 2)
        for suffix in ("", "_by_hand"):
            torch.testing.assert_close(getattr(cu, f"jvp{suffix}")(field, x, v), (y, push), **close)
            torch.testing.assert_close(getattr(cu, f"vjp{suffix}")(field, x, u), (y, pullback(u)[0]), **close)
            torch.testing.assert_close(getattr(cu, f"hvp{suffix}")(bowl, x, v), bend, **close)
            torch.testing.assert_close(getattr(cu, f"jacobian{suffix}")(field, x), slopes, **close)
        torch.testing.assert_close(cu.hessian(bowl, x), bends, **close)
        torch.testing.assert_close(cu.hessian_by_hand(bowl, x), bends, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # loaded by torch.func.jvp itself
def test_products_equal_those_of_forward_mode() -> None:
    """Against dual numbers, which share nothing with our two backward passes."""
    for seed in range(20):
        x, v, _ = points(seed)
        found = (*cu.jvp(field, x, v), cu.hvp(bowl, x, v))
        wanted = (*torch.func.jvp(field, (x,), (v,)), torch.func.jvp(torch.func.grad(bowl), (x,), (v,))[1])
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_products_agree_with_each_other() -> None:
    """The two agree on u . (J v) = (J^T u) . v, and H is symmetric."""
    dice = torch.Generator().manual_seed(1)
    x, v, w = (torch.randn(2, 2, generator=dice, dtype=torch.float64) for _ in range(3))
    u = torch.randn(3, generator=dice, dtype=torch.float64)
    assert float(u @ cu.jvp(field, x, v)[1]) == pytest.approx(float((cu.vjp(field, x, u)[1] * v).sum()))
    assert float((w * cu.hvp(bowl, x, v)).sum()) == pytest.approx(float((v * cu.hvp(bowl, x, w)).sum()))


def test_functions_without_slopes() -> None:
    """Constants and linear functions: zeros of the right shapes, no error."""
    x, v = torch.ones(2, 2, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)
    assert not cu.hvp(lambda x: x.sum(), x, v).any() and not cu.hessian(lambda x: x.sum(), x).any()
    assert not cu.jvp(lambda x: torch.ones(3), x, v)[1].any()
    assert cu.jvp(lambda x: 2 * x, x, v)[1].tolist() == [[2, 2], [2, 2]]
    assert cu.jacobian(lambda x: torch.ones(3), x).shape == (3, 2, 2)
    assert cu.largest_curvature(lambda x: x.sum(), x)[0] == 0
    assert not cu.jvp(torch.sin, x, v)[0].requires_grad


def test_extremes() -> None:
    x = torch.tensor([1e4, -1e4, 0.0], dtype=torch.float64)
    assert cu.hvp(lambda x: (x**2).sum(), x, torch.ones_like(x)).tolist() == [2, 2, 2]
    assert cu.jacobian(torch.tanh, x).diagonal().tolist() == [0, 0, 1]
    assert cu.jacobian(torch.sin, x[:0]).shape == (0, 0)
    for dtype in (torch.float16, torch.bfloat16):
        half = torch.tensor([0.5, 2.0], dtype=dtype)
        assert cu.hvp(lambda x: (x**3).sum(), half, torch.ones_like(half)).tolist() == [3, 12]


def trained() -> tuple[nn.Module, cu.Function, Tensor]:
    """A network of 33 weights that has learned to tell points inside a ring from those outside."""
    torch.manual_seed(0)
    inputs = torch.randn(120, 2, dtype=torch.float64)
    targets = (inputs.norm(dim=1) > 1.1).double()[:, None]
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    objective = nn.functional.binary_cross_entropy_with_logits

    def loss() -> Tensor:
        decay = sum((p**2).sum() for p in model.parameters())
        return objective(model(inputs), targets) + 1e-2 * decay

    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return float(value.detach())

    optimizer.step(closure)
    plain, weights = cu.weights_function(model, objective, inputs, targets)
    return model, lambda w: plain(w) + 1e-2 * (w**2).sum(), weights


def test_curvature_around_a_trained_network() -> None:
    """At the minimum no curvature is negative; lines and planes say the same as the whole Hessian."""
    model, function, weights = trained()
    (slopes,) = torch.autograd.grad(function(leaf := weights.clone().requires_grad_()), leaf)
    assert slopes.norm() < 1e-4
    matrix = torch.func.jacrev(torch.func.grad(function))(weights)
    values = torch.linalg.eigvalsh(matrix)
    assert values.min() > 0 and values.max() / values.min() > 10

    sharpest, direction = cu.largest_curvature(function, weights)
    assert sharpest == pytest.approx(float(values.max()), rel=1e-6)
    assert direction @ matrix @ direction == pytest.approx(sharpest, rel=1e-6)

    distances = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64)
    line = cu.along_line(function, weights, direction, distances)
    assert line.values.argmin() == 5 and line.curvatures[5] == pytest.approx(sharpest, rel=1e-6)
    rough = cu.along_line_by_hand(function, weights, direction, distances)
    torch.testing.assert_close(tuple(line), tuple(rough), rtol=1e-5, atol=1e-5)

    first, second = cu.filter_direction(model, seed=1), cu.filter_direction(model, seed=2)
    grid = cu.over_plane(function, weights, first, second, distances, distances[:7])
    torch.testing.assert_close(
        grid, cu.over_plane_by_hand(function, weights, first, second, distances, distances[:7])
    )
    assert grid[5, 5] == grid.min() and grid[5, 5] == pytest.approx(float(function(weights)))


def test_filter_directions_have_the_lengths_of_the_weights() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(4, 5))
    parts = cu.filter_direction(model, seed=0).split([p.numel() for p in model.parameters()])
    for part, parameter in zip(parts, model.parameters(), strict=True):
        if parameter.ndim < 2:
            assert not part.any()
        else:
            rows = part.view_as(parameter).flatten(1).norm(dim=1)
            torch.testing.assert_close(rows, parameter.detach().flatten(1).norm(dim=1))
    assert torch.equal(cu.filter_direction(model, seed=0), cu.filter_direction(model, seed=0))


def test_weights_function_leaves_the_model_alone() -> None:
    model = nn.Linear(2, 1)
    before = [p.detach().clone() for p in model.parameters()]
    function, weights = cu.weights_function(model, nn.functional.mse_loss, torch.ones(3, 2), torch.ones(3, 1))
    assert function(weights) == nn.functional.mse_loss(model(torch.ones(3, 2)), torch.ones(3, 1))
    function(weights + 1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


X = torch.ones(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: cu.jvp(torch.sin, X, X[:1]),
            r"direction has shape \(1,\), torch.float64; it must have \(2,\)",
        ),
        (lambda: cu.jvp(torch.sin, X, X.float()), "direction has shape .* torch.float32"),
        (lambda: cu.vjp(torch.sum, X, X), r"weights has shape \(2,\)"),
        (lambda: cu.hvp(torch.sin, X, X), "second slopes are those of a single number"),
        (lambda: cu.hessian(torch.sin, X), "second slopes are those of a single number"),
        (lambda: cu.jacobian(torch.sin, torch.ones(2, dtype=torch.int64)), "x has dtype torch.int64"),
        (lambda: cu.jacobian(lambda x: x > 0, X), "it must return one floating-point tensor"),
        (lambda: cu.largest_curvature(torch.sum, X, steps=0), "steps is 0"),
        (lambda: cu.along_line(torch.sum, X, X, X[:0]), "distances has shape"),
        (lambda: cu.over_plane(torch.sum, X, X, X[:1], X, X), "second has shape"),
        (lambda: cu.over_plane(torch.sum, X, X, X, X, torch.tensor(math.pi)), "up has shape"),
        (lambda: cu.weights_function(nn.ReLU(), nn.functional.mse_loss, X, X), "a ReLU without parameters"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
