"""Batch normalisation against torch's, and what it does to small batches."""

import warnings

import pytest
import torch
from torch import nn

from fathom.fundamentals.normalization.batch_norm import (
    BatchNorm,
    SmallBatch,
    batch_norm,
    batch_norm_by_hand,
    batch_norm_gradient_by_hand,
    train_eval_gap,
)

SIZES = ((nn.BatchNorm1d, ()), (nn.BatchNorm1d, (7,)), (nn.BatchNorm2d, (3, 4)), (nn.BatchNorm3d, (2, 3, 2)))


def test_output_running_statistics_and_gradients_are_torchs() -> None:
    """Four batches in training, then one in use, for every number of axes and kind of memory."""
    for kind, size in SIZES:
        for momentum in (0.1, 0.4, None):
            ours = BatchNorm(5, momentum=momentum).double()
            theirs = kind(5, momentum=momentum).double()
            theirs.load_state_dict(ours.state_dict())
            for step in range(5):
                if step == 4:
                    ours.eval(), theirs.eval()
                x = torch.randn(9, 5, *size, dtype=torch.float64) * 3 + step
                a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
                g = torch.randn_like(x)
                ours(a).backward(g)
                theirs(b).backward(g)
                torch.testing.assert_close(ours(a), theirs(b), rtol=0, atol=1e-12)
                torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=1e-12)
            for (name, one), two in zip(ours.named_parameters(), theirs.parameters(), strict=True):
                torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-11, msg=name)
            torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-12)


def test_the_written_out_gradient_is_autograds() -> None:
    x = (torch.randn(6, 3, 4, dtype=torch.float64) * 2 + 5).requires_grad_()
    weight, bias = (torch.randn(3, dtype=torch.float64).requires_grad_() for _ in range(2))
    g = torch.randn(6, 3, 4, dtype=torch.float64)
    expected = torch.autograd.grad(
        nn.functional.batch_norm(x, None, None, weight, bias, True), (x, weight, bias), g
    )
    found = batch_norm_gradient_by_hand(g, x.detach(), weight.detach())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_training_and_use_differ_less_the_larger_the_batch() -> None:
    layer = BatchNorm(4, momentum=None)
    for _ in range(200):
        layer(torch.randn(64, 4) * 2 + 1)
    gaps = [float(train_eval_gap(layer, torch.randn(n, 4) * 2 + 1)) for n in (8, 64, 4096)]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]
    assert gaps[2] < 0.05


def test_a_small_batch_is_warned_about_once_and_only_in_training() -> None:
    layer = BatchNorm(3)
    with pytest.warns(SmallBatch, match="over 2 samples"):
        layer(torch.randn(2, 3, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.randn(2, 3, 8))
        BatchNorm(3).eval()(torch.randn(1, 3, 8))
        BatchNorm(3, smallest=2)(torch.randn(2, 3, 8))


def test_extremes() -> None:
    x = torch.randn(16, 2, dtype=torch.float64) * 1e4 + 1e4
    y = batch_norm(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-9)
    bias = torch.tensor([3.0, -1.0])
    assert torch.equal(batch_norm(torch.zeros(8, 2), torch.ones(2), bias), bias.expand(8, 2))
    same = torch.full((8, 2), 1e4, dtype=torch.float64)
    torch.testing.assert_close(batch_norm(same), torch.zeros_like(same), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype) -> None:
    x = torch.randn(16, 3, 4).to(kind)
    weight, bias, mean, variance = torch.randn(3), torch.randn(3), torch.zeros(3), torch.ones(3)
    y = batch_norm(x, weight.to(kind), bias.to(kind))
    expected, _, _ = batch_norm_by_hand(x.float(), weight, bias, mean, variance)
    torch.testing.assert_close(y.float(), expected, rtol=0.02, atol=0.02)


def test_bad_input_is_refused() -> None:
    x = torch.randn(8, 3)
    for wrong, words in (
        (lambda: batch_norm(torch.randn(8)), r"x has shape \(8,\)"),
        (lambda: batch_norm(torch.ones(8, 3, dtype=torch.int64)), "dtype torch.int64"),
        (lambda: batch_norm(torch.randn(1, 3)), "one value per channel"),
        (lambda: batch_norm(x, torch.ones(4)), r"weight has shape \(4,\)"),
        (lambda: batch_norm(x, training=False), "outside of training both are needed"),
        (lambda: batch_norm(x, momentum=1.0), r"momentum is 1.0; it must be in \[0, 1\)"),
        (lambda: batch_norm(x, epsilon=0.0), "epsilon is 0.0; it must be positive"),
        (lambda: BatchNorm(0), "features is 0"),
        (lambda: BatchNorm(3, momentum=-0.1), "momentum is -0.1"),
        (lambda: BatchNorm(4)(x), "x has 3 channels; this layer has features=4"),
        (lambda: train_eval_gap(BatchNorm(3, track=False), x), "no running statistics"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
