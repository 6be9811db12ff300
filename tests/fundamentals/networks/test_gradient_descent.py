"""Gradient descent beside torch's SGD, bit for bit, and the noise of mini-batches beside its formula."""

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.networks.gradient_descent import (
    batches,
    expected_noise,
    gradient_descent,
    gradient_noise,
    per_example_gradients,
    per_example_gradients_by_hand,
)


def problem(rows: int = 48, dtype: torch.dtype = torch.float64) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
    """Start and data of a network with one hidden layer that tells three classes apart."""
    dice = torch.Generator().manual_seed(1)
    sizes = ((8, 5), (8,), (3, 8), (3,))
    start = [0.5 * torch.randn(size, generator=dice, dtype=torch.float64).to(dtype) for size in sizes]
    inputs = torch.randn(rows, 5, generator=dice, dtype=torch.float64).to(dtype)
    return start, (inputs, torch.randint(3, (rows,), generator=dice))


def network_loss(held: Sequence[Tensor], x: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(torch.tanh(x @ held[0].T + held[1]) @ held[2].T + held[3], label)


def squares(held: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return ((x @ held[0] - y) ** 2).mean()


def by_torch(
    start: list[Tensor], parts: list[tuple[Tensor, ...]], rate: float, foreach: bool
) -> list[list[Tensor]]:
    """Where torch.optim.SGD goes, one step for each of ``parts``."""
    held = [p.clone().requires_grad_() for p in start]
    optimizer, path = torch.optim.SGD(held, lr=rate, foreach=foreach), [[p.clone() for p in start]]
    for part in parts:
        optimizer.zero_grad()
        network_loss(held, *part).backward()
        optimizer.step()
        path.append([p.detach().clone() for p in held])
    return path


def test_a_thousand_full_batch_steps_equal_those_of_torch_to_the_last_bit() -> None:
    start, data = problem()
    ours = gradient_descent(network_loss, start, data, 0.3, 1000)
    for foreach in (False, True):
        theirs = by_torch(start, [data] * 1000, 0.3, foreach)
        for i, points in enumerate(ours.points):
            assert points.shape == (1001, *start[i].shape) and points.dtype == torch.float64
            assert torch.equal(points, torch.stack([held[i] for held in theirs]))
    assert ours.losses[-1] < 0.2 * ours.losses[0]  # it went somewhere


@pytest.mark.parametrize("size", [1, 7, 16])
def test_mini_batches_equal_torch_on_the_same_batches(size: int) -> None:
    start, data = problem()
    order = islice(batches(48, size, torch.Generator().manual_seed(5)), 200)
    parts = [tuple(column[rows] for column in data) for rows in order]
    theirs = by_torch(start, parts, 0.1, False)
    ours = gradient_descent(
        network_loss, start, data, 0.1, 200, batch_size=size, generator=torch.Generator().manual_seed(5)
    )
    for i, points in enumerate(ours.points):
        assert torch.equal(points, torch.stack([held[i] for held in theirs]))
    first = network_loss(start, *parts[0])
    assert float(ours.losses[0]) == float(first) and ours.losses.shape == (200,)


def test_an_epoch_visits_every_row_once_in_a_new_order() -> None:
    stream = batches(10, 4, torch.Generator().manual_seed(0))
    epochs = [[next(stream) for _ in range(3)] for _ in range(4)]
    assert [len(b) for b in epochs[0]] == [4, 4, 2]
    orders = [torch.cat(epoch).tolist() for epoch in epochs]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    whole = batches(10, 10)
    before = torch.get_rng_state()
    assert next(whole).tolist() == next(whole).tolist() == list(range(10))
    assert torch.equal(torch.get_rng_state(), before)  # nothing was drawn


def test_the_generator_decides_the_path_and_the_start_is_left_alone() -> None:
    start, data = problem()
    kept = [p.clone() for p in start]

    def end(seed: int) -> Tensor:
        dice = torch.Generator().manual_seed(seed)
        return gradient_descent(network_loss, start, data, 0.1, 20, 8, dice).points[0][-1]

    assert torch.equal(end(0), end(0)) and not torch.equal(end(0), end(1))
    assert all(torch.equal(p, k) and not p.requires_grad for p, k in zip(start, kept, strict=True))


def test_small_batches_rattle_around_the_minimum_that_the_full_batch_reaches() -> None:
    dice = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=dice, dtype=torch.float64)
    y = x @ torch.ones(3, dtype=torch.float64) + torch.randn(60, generator=dice, dtype=torch.float64)
    best = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]

    def far(size: int) -> float:
        order = torch.Generator().manual_seed(1)
        path = gradient_descent(squares, [torch.zeros(3).double()], (x, y), 0.05, 600, size, order).points[0]
        return float((path[-200:] - best).square().sum(dim=1).mean().sqrt())

    distances = [far(size) for size in (1, 6, 60)]
    assert distances[0] > 1.5 * distances[1] > 0.01 and distances[2] < 1e-9


def test_measured_noise_follows_the_formula() -> None:
    """Within four standard errors for every batch size; none at all for the batch of everything."""
    start, data = problem(rows=64)
    sizes = [1, 2, 4, 8, 16, 32, 48, 64]
    found = gradient_noise(network_loss, start, data, sizes, 300, torch.Generator().manual_seed(2))
    assert found.batch_sizes == sizes
    single = per_example_gradients_by_hand(network_loss, start, data)
    sigma = float((single - single.mean(dim=0)).square().sum(dim=1).mean())
    for i, size in enumerate(sizes):
        theory = sigma / size * (1 - (size - 1) / 63)
        assert float(found.expected[i]) == pytest.approx(theory, rel=1e-9, abs=1e-15)
        assert abs(float(found.measured[i]) - theory) <= 4 * float(found.errors[i]) + 1e-25, size
    assert float(found.measured[-1]) < 1e-25
    assert torch.all(found.errors[:-1] < 0.1 * found.measured[:-1])  # sharp enough to tell a wrong formula


def test_per_example_gradients_average_to_the_full_gradient() -> None:
    start, data = problem()
    single = per_example_gradients(network_loss, start, data)
    assert single.shape == (48, sum(p.numel() for p in start))
    held = [p.clone().requires_grad_() for p in start]
    full = torch.cat([g.flatten() for g in torch.autograd.grad(network_loss(held, *data), held)])
    torch.testing.assert_close(single.mean(dim=0), full, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        single, per_example_gradients_by_hand(network_loss, start, data), rtol=0, atol=1e-13
    )


def test_extremes() -> None:
    one = [torch.zeros(2, dtype=torch.float64)]
    x, y = torch.ones(1, 2, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    stays = gradient_descent(squares, one, (x, y), 0.1, 0)
    assert stays.points[0].shape == (1, 2) and stays.losses.shape == (0,)
    assert gradient_descent(squares, one, (x, y), 0.1, 3, 1).points[0].isfinite().all()
    assert float(expected_noise(torch.ones(1, 4), 1)) == 0
    far = gradient_descent(squares, one, (1e4 * x, -1e4 * y), 1e-9, 50)
    assert far.points[0].isfinite().all() and far.losses[-1] < far.losses[0]
    with pytest.raises(ValueError, match=r"the loss of step \d+ is (inf|nan); lower learning_rate 10.0"):
        gradient_descent(squares, one, (x, y), 10.0, 1000)
    with pytest.raises(ValueError, match="the loss of step 0 is nan"):
        gradient_descent(squares, one, (x * math.nan, y), 0.1, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_dtype_and_comes_near(dtype: torch.dtype) -> None:
    x, y = torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    start = [torch.zeros(3, dtype=torch.float64)]
    exact = gradient_descent(squares, start, (x, y), 0.5, 10).points[0]
    half = gradient_descent(squares, [start[0].to(dtype)], (x.to(dtype), y.to(dtype)), 0.5, 10).points[0]
    assert half.dtype == dtype
    torch.testing.assert_close(half.double(), exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be positive"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"steps": -1}, "steps is -1; it must be 0 or more"),
        ({"batch_size": 0}, "batch_size is 0; with 4 examples it must be in 1 to 4"),
        ({"batch_size": 5}, "batch_size is 5"),
        ({"parameters": []}, "give one or more"),
        ({"parameters": [torch.zeros(2, dtype=torch.int64)]}, "torch.int64.*floating-point"),
        ({"data": (torch.ones(4, 2), torch.ones(3))}, r"columns of \[4, 3\] rows"),
        ({"data": (torch.ones(0, 2), torch.ones(0))}, r"columns of \[0, 0\] rows; .* 1 or more"),
        ({"data": ()}, r"columns of \[\] rows"),
        ({"data": (torch.tensor(1.0),)}, r"columns of \[0\] rows"),
        (
            {"loss": lambda held, x, y: (x @ held[0] - y) ** 2},
            r"loss has shape \(4,\); it must be one number",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {
        "loss": squares, "parameters": [torch.zeros(2)], "data": (torch.ones(4, 2), torch.ones(4)),
        "learning_rate": 0.1, "steps": 2,
    }  # fmt: skip
    gradient_descent(**given)
    with pytest.raises(ValueError, match=said):
        gradient_descent(**(given | changes))


def test_noise_of_nothing_is_refused() -> None:
    given: Any = (squares, [torch.zeros(2)], (torch.ones(4, 2), torch.ones(4)))
    with pytest.raises(ValueError, match="draws is 1; it must be 2 or more"):
        gradient_noise(*given, [1], draws=1)
    with pytest.raises(ValueError, match="batch_sizes is empty"):
        gradient_noise(*given, [])
    with pytest.raises(ValueError, match="batch_size is 9"):
        gradient_noise(*given, [9])
    with pytest.raises(ValueError, match="batch_size is 0"):
        expected_noise(torch.ones(3, 2), 0)
