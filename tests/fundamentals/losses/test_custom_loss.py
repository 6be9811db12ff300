"""Losses of one's own: right ones pass, wrong ones are named by argument and entry."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from fathom.fundamentals.losses.custom_loss import CustomLoss, WrongGradient, check_loss, load_loss
from fathom.settings import override, to_json


class Doubled(torch.autograd.Function):
    """A square whose backward pass forgets, at one entry, that there is a factor of 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        slope = 2 * x
        slope[1, 0] = x[1, 0]
        return grads[0] * slope


def wrong_square(prediction: Tensor, target: Tensor) -> Tensor:
    return Doubled.apply(prediction - target).mean()  # type: ignore[union-attr]


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    return ((prediction - target) ** 2).mean()


def half_detached(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction * (prediction - target).detach()).sum()


def cut(prediction: Tensor, target: Tensor) -> Tensor:
    return ((prediction.detach() - target) ** 2).sum()


def accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction.argmax(1) == target.argmax(1)).double().mean()


P = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.2, -0.7]])
T = torch.tensor([[0.3, 1.0], [2.0, -1.0], [0.4, 0.1]])


@pytest.mark.parametrize(
    "loss",
    [
        squared,
        F.mse_loss,
        F.l1_loss,
        lambda p, t: F.huber_loss(p, t, reduction="sum"),
        lambda p, t: F.cross_entropy(p, t.softmax(1)),
        lambda p, t: p.norm() + (p * t).relu().sum(),
        torch.nn.SmoothL1Loss(),
        lambda p, t: (F.dropout(p, 0.5) - t).square().sum(),
    ],
)
def test_right_losses_pass_here_and_in_torch(loss: Any) -> None:
    check_loss(loss, P, T)
    both = [x.double().requires_grad_() for x in (P, T)]
    check_loss(loss, *both)
    if not isinstance(loss, torch.nn.Module) and "dropout" not in loss.__code__.co_names:
        assert torch.autograd.gradcheck(loss, both)


def test_a_corner_takes_any_slope_between_its_sides() -> None:
    check_loss(lambda p: p.relu().sum() + p.abs().sum(), torch.zeros(3))
    with pytest.raises(WrongGradient, match=r"at \[0\] is 2; .* give 0$"):
        check_loss(lambda p: p.abs().detach().sum() + 2 * (p - p.detach()).sum(), torch.zeros(3))


def test_a_wrong_entry_is_named() -> None:
    with pytest.raises(WrongGradient) as caught:
        check_loss(wrong_square, P, T)
    assert str(caught.value) == (
        "wrong_square: its gradient with respect to 'prediction' at [1, 0] is -0.25; finite differences of "
        "its value give -0.5"
    )
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(wrong_square, (P.double().requires_grad_(), T.double()))


def test_a_wrong_argument_is_named() -> None:
    with pytest.raises(
        WrongGradient, match=r"half_detached: .* 'prediction' at \[0, 0\] is 0.7; .* give 1.7$"
    ):
        check_loss(half_detached, P, T)
    with pytest.raises(WrongGradient, match=r"half_detached: .* 'target' is cut off; .detach"):
        check_loss(half_detached, P, T.clone().requires_grad_())
    with pytest.raises(WrongGradient, match=r"respect to 'target' at \[1, 0\]"):
        check_loss(lambda prediction, target: wrong_square(target, prediction), P, T.clone().requires_grad_())
    with pytest.raises(WrongGradient, match=r"partial: .* 'argument 0' at \[0, 0\]|'prediction' at \[0, 0\]"):
        from functools import partial

        check_loss(partial(half_detached), P, T)
    with pytest.raises(WrongGradient, match=r"respect to 'argument 0' at \[0, 0\]"):
        check_loss(lambda *all: half_detached(*all), P, T)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (cut, "cut: its gradient with respect to 'prediction' is cut off; .detach()"),
        (accuracy, "accuracy: its gradient with respect to 'prediction' is cut off; .*argmax"),
        (lambda p, t: (p - t) ** 2, r"gives a value of shape \(3, 2\); a loss is a tensor of one number"),
        (lambda p, t: 1.0, "gives a value of type float"),
        (lambda p, t: (p - p).sum() / 0, "is nan; it must be finite"),
        (lambda p, t: (p - p).abs().sqrt().sum(), r"'p' at \[0, 0\] is nan; it must be finite"),
    ],
)
def test_other_failures_are_named(loss: Any, message: str) -> None:
    with pytest.raises(WrongGradient, match=message):
        check_loss(loss, P, T)


def test_a_loss_that_changes_is_named() -> None:
    calls: list[int] = []

    def moody(p: Tensor) -> Tensor:
        calls.append(1)
        return p.sum() * len(calls)

    with pytest.raises(WrongGradient, match="moody gives 2, then 4 for the same inputs"):
        check_loss(moody, torch.ones(2))


def test_what_cannot_be_checked_is_refused() -> None:
    weight = torch.ones(2)
    with pytest.raises(ValueError, match="does not run in float64, in which gradients are checked"):
        check_loss(lambda p, t: (p @ weight).sum(), P, T)
    with pytest.raises(ValueError, match="hold no floating tensor"):
        check_loss(lambda p: p.sum(), torch.ones(2, dtype=torch.long))
    with pytest.raises(ValueError, match="entries is 0; it must be 1 or more"):
        check_loss(squared, P, T, entries=0)


def test_large_and_small_values() -> None:
    for scale in (1e4, 1e-3):
        check_loss(squared, scale * P, scale * T)
    check_loss(lambda z: F.cross_entropy(z, torch.tensor([0, 1, 1])), 1e4 * P)
    check_loss(squared, torch.tensor(3.0), torch.tensor(1.0))
    check_loss(lambda p: p.sum(), torch.zeros(0))
    for dtype in (torch.float16, torch.bfloat16):
        check_loss(squared, P.to(dtype), T.to(dtype))


def test_only_some_entries_are_tried() -> None:
    calls: list[int] = []

    def counted(p: Tensor) -> Tensor:
        calls.append(1)
        return p.square().sum()

    check_loss(counted, torch.randn(1000), entries=10)
    assert len(calls) == 2 + 1 + 2 * 10


def test_the_check_is_automatic_and_happens_once() -> None:
    calls: list[int] = []

    def counted(p: Tensor, t: Tensor) -> Tensor:
        calls.append(1)
        return squared(p, t)

    loss = CustomLoss(loss=counted)
    before = torch.get_rng_state()
    assert loss(P, T) == squared(P, T)
    assert torch.equal(before, torch.get_rng_state())
    checked = len(calls)
    assert checked > 10
    loss(P, T)
    assert len(calls) == checked + 1
    wrong = CustomLoss(loss=wrong_square)
    for _ in range(2):  # a failed check does not count as one
        with pytest.raises(WrongGradient, match="wrong_square"):
            wrong(P, T)
    assert CustomLoss(loss=wrong_square, check=False)(P, T) == squared(P, T)
    with pytest.raises(ValueError, match="entries is 0"):
        CustomLoss(loss=squared, entries=0)


def test_a_loss_by_its_path() -> None:
    loss = CustomLoss(loss="torch.nn.functional:mse_loss")
    assert loss(P, T) == F.mse_loss(P, T)
    assert to_json(loss) == {
        "class": "CustomLoss", "loss": "torch.nn.functional:mse_loss", "check": True, "entries": 64,
    }  # fmt: skip
    assert override(loss, "loss", "torch.nn.functional:l1_loss")(P, T) == F.l1_loss(P, T)
    for path, message in (
        ("mse_loss", "it must be 'module:function'"),
        ("no_such_module:loss", "cannot be imported: No module named 'no_such_module'"),
        ("torch.nn.functional:no_such_loss", "cannot be imported: module 'torch.nn.functional' has no"),
        ("math:pi", "a float; it must be a function"),
    ):
        with pytest.raises(ValueError, match=message):
            load_loss(path)
        with pytest.raises(ValueError, match=message):
            CustomLoss(loss=path)
