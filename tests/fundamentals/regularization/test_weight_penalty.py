"""Weight penalties: torch's weight decay step for step, scikit-learn's Lasso along a path of strengths."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fathom.fundamentals.regularization.weight_penalty import (
    decay,
    l1_penalty,
    l2_penalty,
    soft_threshold,
    sparsify,
)


def problem(count: int = 60, features: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of correlated features of which four matter."""
    dice = np.random.default_rng(0)
    rows = dice.standard_normal((count, features))
    rows[:, 1:] += 0.5 * rows[:, :-1]
    truth = np.zeros(features)
    truth[[0, 3, 4, 9]] = [2.0, -1.0, 0.5, 3.0]
    return torch.from_numpy(rows), torch.from_numpy(rows @ truth + 0.3 * dice.standard_normal(count))


def trajectory(steps: int, move: Callable[[nn.Module, torch.Tensor], None]) -> torch.Tensor:
    torch.manual_seed(0)
    model, (rows, target) = nn.Linear(12, 1).double(), problem()
    found = []
    for _ in range(steps):
        model.zero_grad()
        move(model, (model(rows)[:, 0] - target).square().mean())
        found.append(torch.cat([p.detach().flatten().clone() for p in model.parameters()]))
    return torch.stack(found)


def with_optimizer(kind: type, penalty: Callable[[nn.Module], torch.Tensor | float], **settings: float):
    held: dict[str, torch.optim.Optimizer] = {}

    def move(model: nn.Module, loss: torch.Tensor) -> None:
        optimizer = held.setdefault("it", kind(model.parameters(), **settings))
        (loss + penalty(model)).backward()
        optimizer.step()

    return move


def test_l2_equals_weight_decay_of_sgd() -> None:
    for momentum in (0.0, 0.9):
        settings = {"lr": 0.02, "momentum": momentum}
        ours = with_optimizer(torch.optim.SGD, lambda m: l2_penalty(m.parameters(), 0.3), **settings)
        theirs = with_optimizer(torch.optim.SGD, lambda m: 0.0, weight_decay=0.3, **settings)
        torch.testing.assert_close(trajectory(300, ours), trajectory(300, theirs), rtol=1e-11, atol=1e-12)


def test_decay_equals_that_of_adamw_and_l2_does_not() -> None:
    def ours(model: nn.Module, loss: torch.Tensor) -> None:
        loss.backward()
        decay(model.parameters(), 0.01 * 0.2)
        optimizer = held.setdefault("it", torch.optim.Adam(model.parameters(), lr=0.01))
        optimizer.step()

    held: dict[str, torch.optim.Optimizer] = {}
    theirs = trajectory(300, with_optimizer(torch.optim.AdamW, lambda m: 0.0, lr=0.01, weight_decay=0.2))
    torch.testing.assert_close(trajectory(300, ours), theirs, rtol=1e-11, atol=1e-12)
    penalty = with_optimizer(torch.optim.Adam, lambda m: l2_penalty(m.parameters(), 0.2), lr=0.01)
    assert (trajectory(300, penalty) - theirs).abs().max() > 0.01


def lasso_path(strengths: list[float]) -> list[torch.Tensor]:
    """Full-batch gradient descent on half the mean squared error, a proximal step after each."""
    rows, target = problem()
    weight = torch.zeros(rows.shape[1], dtype=torch.float64)
    rate = 1 / float(torch.linalg.eigvalsh(rows.T @ rows / len(rows)).max())
    path = []
    for strength in strengths:  # each begins where the last one ended
        for _ in range(4000):
            weight -= rate * (rows.T @ (rows @ weight - target)) / len(rows)
            sparsify([weight], rate * strength)
        path.append(weight.clone())
    return path


@pytest.mark.slow
def test_sparsity_path_equals_lasso() -> None:
    from sklearn.linear_model import Lasso

    rows, target = problem()
    most = float((rows.T @ target / len(rows)).abs().max())  # from here on every weight is zero
    strengths = [most * share for share in (1.01, 0.8, 0.5, 0.3, 0.1, 0.03, 0.01, 0.001)]
    zeros = []
    for strength, ours in zip(strengths, lasso_path(strengths), strict=True):
        model = Lasso(alpha=strength, fit_intercept=False, tol=1e-14, max_iter=100_000)
        theirs = torch.from_numpy(model.fit(rows.numpy(), target.numpy()).coef_)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
        assert torch.equal(ours == 0, theirs == 0)
        zeros.append(int((ours == 0).sum()))
    assert zeros[0] == 12 and zeros == sorted(zeros, reverse=True) and zeros[-1] < 4


def test_the_path_ends_at_zero_and_the_penalty_alone_gives_no_zeros() -> None:
    rows, target = problem()
    most = float((rows.T @ target / len(rows)).abs().max())
    assert not lasso_path([most * 1.0001])[0].any()
    plain = with_optimizer(torch.optim.SGD, lambda m: l1_penalty(m.parameters(), 1.0), lr=0.02)
    assert (trajectory(300, plain)[-1] != 0).all()


def test_soft_threshold_is_the_answer_to_its_question() -> None:
    """No value on a fine grid does better on (v - w)^2 / 2 + amount |v|."""
    grid = torch.linspace(-4, 4, 8001, dtype=torch.float64)
    for weight in (-3.0, -0.5, 0.0, 0.2, 0.7, 2.5):
        best = grid[((grid - weight) ** 2 / 2 + 0.7 * grid.abs()).argmin()]
        found = soft_threshold(torch.tensor([weight], dtype=torch.float64), 0.7)
        assert found.item() == pytest.approx(best.item(), abs=1e-3)


def test_extremes_empty_and_half_precision() -> None:
    for strength in (0.0, 1e4):
        for p in (torch.full((2, 2), 1e4), torch.zeros(3), torch.zeros(0), torch.tensor(2.0)):
            assert l2_penalty([p], strength).isfinite() and l1_penalty([p], strength).isfinite()
    assert l1_penalty([torch.tensor([-1.0, 2.0]), torch.tensor(3.0)], 0.5).item() == 3.0
    for dtype in (torch.float16, torch.bfloat16):
        p = torch.tensor([-1.0, 0.25, 2.0], dtype=dtype)
        assert l2_penalty([p], 0.5).item() == pytest.approx(0.5 / 2 * 5.0625, rel=2e-2)
        q = copy.deepcopy(p)
        sparsify([q], 0.5)
        assert q.tolist() == [-0.5, 0.0, 1.5]


def test_in_place_and_parameters_that_need_gradients() -> None:
    model = nn.Linear(3, 3)
    before = model.weight.detach().clone()
    decay(model.parameters(), 0.25)
    torch.testing.assert_close(model.weight.detach(), 0.75 * before)
    sparsify(model.parameters(), 10.0)
    assert not model.weight.any() and model.weight.requires_grad


def test_what_is_refused() -> None:
    p = [torch.ones(2)]
    for strength in (-0.1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"strength is .*; it must be 0 or more, and finite"):
            l2_penalty(p, strength)
        with pytest.raises(ValueError, match="strength is"):
            l1_penalty(p, strength)
        with pytest.raises(ValueError, match="amount is"):
            soft_threshold(p[0], strength)
    for function in (l2_penalty, l1_penalty, sparsify, decay):
        with pytest.raises(ValueError, match="parameters is empty; give at least one tensor"):
            function([], 0.1)
        with pytest.raises(ValueError, match=r"parameters hold a tensor of torch.int64"):
            function([torch.ones(2, dtype=torch.int64)], 0.1)
    with pytest.raises(ValueError, match=r"amount is 1.5; it must be in \[0, 1\]"):
        decay(p, 1.5)
