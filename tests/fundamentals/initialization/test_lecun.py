"""LeCun initialisation against torch and timm, and the variance it keeps."""

import math

import pytest
import torch
from torch import nn

from fathom.fundamentals.initialization.lecun import (
    lecun_normal_,
    lecun_normal_by_hand,
    lecun_truncated_normal_,
    lecun_truncated_normal_by_hand,
    lecun_uniform_,
    lecun_uniform_by_hand,
)

FILLS = (lecun_normal_, lecun_uniform_, lecun_truncated_normal_)


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_draws_are_torchs_with_a_gain_of_one() -> None:
    for shape in ((5, 3), (8, 4, 3, 3), (1, 1), (100, 100)):
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            weight = torch.empty(shape, dtype=dtype)
            right = nn.init.kaiming_normal_(torch.empty_like(weight), nonlinearity="linear", generator=dice())
            assert lecun_normal_(weight, dice()) is weight and torch.equal(weight, right)
            right = nn.init.kaiming_uniform_(
                torch.empty_like(weight), nonlinearity="linear", generator=dice()
            )
            assert lecun_uniform_(weight, dice()) is weight and torch.equal(weight, right)
        weight = torch.empty(shape, dtype=torch.float64)
        for ours, by_hand, tolerance in (
            (lecun_normal_, lecun_normal_by_hand, 1e-14),
            (lecun_uniform_, lecun_uniform_by_hand, 1e-14),
            (
                lecun_truncated_normal_,
                lecun_truncated_normal_by_hand,
                1e-9,
            ),  # its deviation is a sum over strips
        ):
            assert torch.allclose(ours(weight, dice()), by_hand(weight, dice()), rtol=0, atol=tolerance)


@pytest.mark.slow
def test_truncated_draws_are_timms() -> None:
    from timm.layers.weight_init import lecun_normal_ as of_timm

    for dtype in (torch.float64, torch.float32):
        for shape in ((50, 30), (8, 4, 3, 3)):
            right = torch.empty(shape, dtype=dtype)
            torch.manual_seed(11)
            of_timm(right)
            torch.manual_seed(11)
            found = lecun_truncated_normal_(torch.empty(shape, dtype=dtype))
            assert torch.allclose(found, right, rtol=1e-6 if dtype == torch.float32 else 1e-13, atol=0)


@pytest.mark.parametrize("fill", FILLS)
def test_outputs_vary_as_inputs_do(fill: object) -> None:
    assert callable(fill)
    generator = dice()
    x = torch.randn(64, 900, generator=generator, dtype=torch.float64)
    weight = fill(torch.empty(600, 900, dtype=torch.float64), generator)
    assert float(weight.var()) * 900 == pytest.approx(1, rel=0.02)
    assert float((x @ weight.T).var()) == pytest.approx(1, rel=0.05)
    bound = {lecun_uniform_: math.sqrt(3 / 900), lecun_truncated_normal_: 2 / 0.8796 / 30}.get(fill)
    assert bound is None or 0.99 * bound < float(weight.abs().max()) <= bound * 1.0001


@pytest.mark.parametrize("fill", FILLS)
def test_empty_and_bad_input(fill: object) -> None:
    assert callable(fill)
    for shape in ((0, 3), (3, 0)):
        assert fill(torch.empty(shape)).shape == shape
    with pytest.raises(ValueError, match=r"tensor has shape \(3,\); fans need two axes or more"):
        fill(torch.empty(3))
    with pytest.raises(ValueError, match=r"tensor has dtype torch\.int64"):
        fill(torch.empty(2, 2, dtype=torch.int64))
