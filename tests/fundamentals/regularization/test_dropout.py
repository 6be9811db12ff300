"""Dropout, DropPath and DropBlock: means, evaluation, and torch's and timm's results from the same dice."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.fundamentals.regularization.dropout import (
    DropBlock,
    Dropout,
    DropPath,
    drop_block,
    drop_path,
    dropout,
)

LAYERS = [Dropout(0.3), DropPath(0.3), DropBlock(0.3, 3), DropBlock(0.3, 4, per_channel=True)]
EVERY = pytest.mark.parametrize("layer", LAYERS, ids=str)


def maps(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*(shape or (4, 3, 9, 8)), generator=torch.Generator().manual_seed(1)).to(dtype)


@EVERY
def test_evaluation_and_rate_zero_change_nothing(layer: nn.Module) -> None:
    x = maps()
    assert layer.train(False)(x) is x
    still = copy.deepcopy(layer).train()
    still.rate = 0.0
    before = torch.get_rng_state()
    assert torch.equal(still(x), x)
    assert torch.equal(torch.get_rng_state(), before)  # no dice are thrown for nothing


@EVERY
def test_training_keeps_the_mean(layer: nn.Module) -> None:
    x = torch.ones(4000, 2, 6, 6, dtype=torch.float64)
    assert layer.train()(x).mean().item() == pytest.approx(1.0, abs=0.03)
    if not isinstance(layer, DropBlock):  # which is exact on the batch as a whole
        torch.testing.assert_close(layer(x).mean(0), x.mean(0), rtol=0, atol=0.06)


@pytest.mark.parametrize("rate", [0.1, 0.25])
def test_the_share_that_is_dropped(rate: float) -> None:
    x = torch.ones(2000, 2, 12, 12)
    for made in (dropout(x, rate), drop_path(x, rate)):
        assert (made == 0).double().mean().item() == pytest.approx(rate, abs=0.02)
    gone = (drop_block(x, rate, 3) == 0).double()
    gamma = rate * 144 / (9 * 100)
    middle, corner = gone[..., 1:-1, 1:-1].mean().item(), gone[..., 0, 0].mean().item()
    assert middle == pytest.approx(1 - (1 - gamma) ** 9, abs=0.01)  # any of nine seeds takes it away
    assert corner == pytest.approx(1 - (1 - gamma) ** 4, abs=0.02)
    assert gone.mean().item() == pytest.approx(rate, rel=0.3)


def test_dropout_equals_torch() -> None:
    x = maps()
    for rate in (0.1, 0.5, 0.9):
        torch.manual_seed(7)
        ours = Dropout(rate).train()(x)
        torch.manual_seed(7)
        assert torch.equal(ours, F.dropout(x, rate, True))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drop_path_equals_timm(dtype: torch.dtype) -> None:
    from timm.layers import DropPath as TheirDropPath

    for shape in ((16, 5), (16, 3, 4, 4), (16,)):
        x = maps(*shape, dtype=dtype)
        for rate in (0.0, 0.1, 0.7):
            ours, theirs = same_dice(DropPath(rate), TheirDropPath(rate), x)
            assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_drop_block_equals_timm(dtype: torch.dtype) -> None:
    from timm.layers import DropBlock2d

    tolerance = 1e-6  # timm counts what is kept in float32
    for shape in ((4, 3, 9, 8), (2, 2, 5, 13), (1, 1, 1, 1), (3, 2, 4, 4)):
        x = maps(*shape, dtype=dtype)
        for block in (1, 2, 3, 4, 7):
            for per_channel in (False, True):
                theirs = DropBlock2d(0.3, block, couple_channels=not per_channel)
                ours, expected = same_dice(DropBlock(0.3, block, per_channel), theirs, x)
                for a, b in zip(ours, expected, strict=True):
                    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
                    assert torch.equal(a == 0, b == 0)


def same_dice(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> Any:
    """Values and gradients of both, each from the same dice."""
    found = []
    for layer in (ours, theirs):
        torch.manual_seed(11)
        leaf = x.clone().requires_grad_()
        made = layer.train()(leaf)
        (slope,) = torch.autograd.grad((made * torch.arange(made.numel()).reshape(made.shape)).sum(), leaf)
        found.append((made.detach(), slope))
    return found


def test_drop_block_takes_whole_squares() -> None:
    torch.manual_seed(0)
    gone = drop_block(torch.ones(200, 1, 11, 11), 0.05, 3)[:, 0] == 0
    lonely = 0
    for image in gone:
        for row, column in image.nonzero().tolist():
            if 0 < row < 10 and 0 < column < 10:  # away from the border each lies in a square of three
                corners = [(r, c) for r in range(row - 2, row + 1) for c in range(column - 2, column + 1)]
                whole = [image[max(r, 0) : r + 3, max(c, 0) : c + 3].all() for r, c in corners]
                lonely += not any(whole)
    assert gone.any() and not lonely


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(layer: nn.Module, dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    full = layer.train()(maps())
    torch.manual_seed(2)
    half = layer(maps(dtype=dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), full, rtol=2e-2, atol=2e-2)


def test_half_precision_counts_beyond_its_range() -> None:
    made = drop_block(torch.ones(8, 1, 128, 128, dtype=torch.float16), 0.1, 3)  # 131,072 values
    assert made.isfinite().all() and made.float().mean().item() == pytest.approx(1.0, abs=1e-2)


@EVERY
def test_extremes_and_empty(layer: nn.Module) -> None:
    for x in (maps() * 1e4, torch.zeros(2, 2, 3, 3), torch.ones(1, 1, 1, 1), torch.ones(0, 2, 3, 3)):
        made = layer.train()(x)
        assert made.shape == x.shape and made.isfinite().all()
    torch.manual_seed(0)
    everything = [drop_block(torch.ones(1, 1, 3, 3), 0.99, 3) for _ in range(20)]
    assert any(not made.any() for made in everything) and all(made.isfinite().all() for made in everything)


def test_what_is_refused() -> None:
    x = maps()
    for rate in (-0.1, 1.0, float("nan")):
        for layer in (Dropout, DropPath, DropBlock):
            with pytest.raises(ValueError, match=r"rate is .*; it must be in \[0, 1\)"):
                layer(rate)
        for function in (dropout, drop_path, drop_block):
            with pytest.raises(ValueError, match="rate is"):
                function(x, rate)
    for function in (dropout, drop_path, drop_block):
        with pytest.raises(ValueError, match=r"x is torch.int64; it must be floating point"):
            function(torch.ones(2, 2, 3, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="x is a single number; drop path needs a batch axis"):
        drop_path(torch.tensor(1.0))
    with pytest.raises(ValueError, match="block is 0; it must be 1 or more"):
        drop_block(x, 0.1, 0)
    with pytest.raises(ValueError, match="block is -1"):
        DropBlock(0.1, -1)
