"""SAM and ASAM against slow loops in NumPy, and the kind of minimum they prefer."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.optimizers.lookahead import Lookahead
from fathom.fundamentals.optimizers.sgd import sgd
from fathom.fundamentals.optimizers.sharpness_aware import SharpnessAware, sharpness_aware_by_hand

CURVATURE = (0.5, 2.0, 5.0)
SHAPES = ((3,), (2, 2), (1,))


def slopes(tensors: list[Any], exp: Any) -> list[Any]:
    """Of sum over tensors of c log cosh(w)."""
    return [c * exp(w) for c, w in zip(CURVATURE, tensors, strict=True)]


def in_numpy(starts: list[np.ndarray], steps: int, radius: float, adaptive: bool) -> list[np.ndarray]:
    """The whole rule around SGD with momentum 0.9, number by number."""
    weights = [w.copy() for w in starts]
    velocity: list[np.ndarray] | None = None
    for _ in range(steps):
        here = slopes(weights, np.tanh)
        total = 0.0
        for w, g in zip(weights, here, strict=True):
            for a, b in zip(w.flat, g.flat, strict=True):
                total += (a * b) ** 2 if adaptive else b**2
        there = []
        for w, g in zip(weights, here, strict=True):
            moved = np.array([
                a + radius * (a * a * b if adaptive else b) / total**0.5
                for a, b in zip(w.flat, g.flat, strict=True)
            ])  # fmt: skip
            there.append(moved.reshape(w.shape))
        new = slopes(there, np.tanh)
        velocity = new if velocity is None else [0.9 * v + g for v, g in zip(velocity, new, strict=True)]
        weights = [w - 0.01 * v for w, v in zip(weights, velocity, strict=True)]
    return weights


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_thousand_steps_equal_the_loops(adaptive: bool) -> None:
    starts = [torch.randn(s, dtype=torch.float64) for s in SHAPES]
    parameters = [s.clone().requires_grad_() for s in starts]
    idle = torch.ones(2, dtype=torch.float64, requires_grad=True)
    optimizer = SharpnessAware(sgd([*parameters, idle], 0.01, momentum=0.9), 0.2, adaptive)

    def closure() -> None:
        for p, g in zip(parameters, slopes([p.detach() for p in parameters], torch.tanh), strict=True):
            p.grad = g

    for _ in range(1000):
        optimizer.step(closure)
    expected = in_numpy([s.numpy() for s in starts], 1000, 0.2, adaptive)
    for p, e in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), e, rtol=1e-12, atol=1e-12)
    assert torch.equal(idle.detach(), torch.ones(2, dtype=torch.float64))


def test_of_all_minima_it_finds_the_flattest() -> None:
    """(a b - 1)^2 is zero all along a b = 1, and curves by 2 (a^2 + b^2) across: least where a = b = 1."""

    def slope(w: Tensor) -> Tensor:
        return 2 * (w[0] * w[1] - 1) * w.flip(0)

    start = torch.tensor([2.5, 0.2], dtype=torch.float64)
    plain = sgd_by_hand_on(slope, start, 2000)
    aware = sharpness_aware_by_hand(start, slope, 2000, 0.02, radius=0.2)[-1]
    for end in (plain, aware):
        assert float(end.prod()) == pytest.approx(1, abs=0.05)
    assert float(plain.square().sum()) > 5
    assert float(aware.square().sum()) < 2.2


def sgd_by_hand_on(slope: Any, start: Tensor, steps: int) -> Tensor:
    for _ in range(steps):
        start = start - 0.02 * slope(start)
    return start


def test_the_weights_return_to_the_last_bit_before_the_step() -> None:
    weight = nn.Parameter(torch.randn(7))
    optimizer = SharpnessAware(sgd([weight], 1e-30), radius=3.0)
    before = weight.detach().clone()
    weight.grad = torch.randn(7)
    optimizer.climb()
    assert float((weight.detach() - before).norm()) == pytest.approx(3.0, rel=1e-5)
    optimizer.step()
    assert torch.equal(weight.detach(), before)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("adaptive", [False, True])
def test_zero_and_huge_gradients_stay_finite(kind: torch.dtype, adaptive: bool) -> None:
    for slope in (0.0, 100.0 if kind == torch.float16 else 1e4):
        weights = [nn.Parameter(torch.ones(s, dtype=kind)) for s in ((2, 2), (1,), (0,))]
        optimizer = SharpnessAware(sgd(weights, 1e-3), 0.05, adaptive)

        def closure(weights: Any = weights, slope: float = slope) -> None:
            for w in weights:
                w.grad = torch.full_like(w, slope)

        optimizer.step(closure)
        assert all(w.isfinite().all() and w.dtype == kind for w in weights)
        if slope == 0.0:
            assert all((w == 1).all() for w in weights)


def test_state_and_groups_are_the_inner_ones() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = SharpnessAware(sgd([weight], 0.1, momentum=0.9))
    optimizer.param_groups[0]["lr"] = 0.25
    assert optimizer.inner.param_groups[0]["lr"] == 0.25

    def closure() -> None:
        weight.grad = 2 * weight.detach()

    optimizer.step(closure)
    again = SharpnessAware(sgd([weight], 0.1, momentum=0.9))
    again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["lr"] == again.inner.param_groups[0]["lr"] == 0.25
    assert torch.equal(again.state[weight]["momentum_buffer"], optimizer.state[weight]["momentum_buffer"])


def test_it_goes_around_lookahead(course: Any) -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = SharpnessAware(Lookahead(sgd([weight], 0.1), every=3))

    def closure() -> None:
        weight.grad = 2 * weight.detach()

    for _ in range(60):
        optimizer.step(closure)
    assert weight.detach().abs().max() < 0.05
    assert set(optimizer.state_dict()) == {"inner", "slow", "steps"}


def test_bad_input_is_refused() -> None:
    weight = nn.Parameter(torch.ones(3))
    for radius in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match=f"radius is {radius}; it must be positive"):
            SharpnessAware(sgd([weight]), radius)
    with pytest.raises(ValueError, match="closure is None; SAM takes two gradients"):
        SharpnessAware(sgd([weight])).step()
