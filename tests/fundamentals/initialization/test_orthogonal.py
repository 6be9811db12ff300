"""Orthogonal matrices against torch.nn.init, bit for bit; a recurrent network that remembers by one."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.initialization.orthogonal import orthogonal_, orthogonal_by_hand

SHAPES = ((5, 5), (9, 4), (4, 9), (3, 2, 3, 3), (16, 2, 2), (1, 1), (1, 6), (6, 1))


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def off(weight: Tensor, gain: float = 1.0) -> float:
    """How far the Gram matrix of the shorter side is from gain^2 I."""
    matrix = weight.double().flatten(1)
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    return float((gram - gain**2 * torch.eye(len(gram), dtype=torch.float64)).abs().max())


def test_draws_are_torchs() -> None:
    for shape in SHAPES:
        for dtype in (torch.float64, torch.float32):
            weight = torch.empty(shape, dtype=dtype)
            right = nn.init.orthogonal_(torch.empty_like(weight), 1.3, dice())
            assert orthogonal_(weight, 1.3, dice()) is weight
            assert torch.equal(weight, right)
        by_hand = orthogonal_by_hand(torch.empty(shape, dtype=torch.float64), 1.3, dice())
        right = nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), 1.3, dice())
        assert torch.allclose(by_hand, right, rtol=0, atol=1e-12)


def test_columns_or_rows_are_orthonormal() -> None:
    for shape in SHAPES:
        assert off(orthogonal_(torch.empty(shape), 2.0, dice()), 2.0) < 4e-6
        assert off(orthogonal_(torch.empty(shape, dtype=torch.float64), generator=dice())) < 1e-14
        assert off(orthogonal_by_hand(torch.empty(shape, dtype=torch.float64), generator=dice())) < 1e-14
    assert off(orthogonal_(torch.empty(256, 256), generator=dice())) < 1e-6


def test_half_precision_is_rounded_from_float32() -> None:
    whole = orthogonal_(torch.empty(6, 6), generator=dice())
    for dtype in (torch.float16, torch.bfloat16):
        half = orthogonal_(torch.empty(6, 6, dtype=dtype), generator=dice())
        assert half.dtype == dtype and torch.equal(half, whole.to(dtype))


def test_no_direction_is_preferred() -> None:
    """Over the uniform distribution each entry of a 2 x 2 matrix has mean 0 and mean square 1/2."""
    generator = dice()
    many = torch.stack(
        [orthogonal_(torch.empty(2, 2, dtype=torch.float64), generator=generator) for _ in range(2000)]
    )
    assert float(many.mean(0).abs().max()) < 0.07  # four deviations of a mean of 2000
    assert torch.allclose(many.square().mean(0), torch.tensor(0.5, dtype=torch.float64), atol=0.04)
    turns = float((torch.linalg.det(many) > 0).double().mean())
    assert 0.45 < turns < 0.55  # as many rotations as reflections


def test_lengths_survive_a_hundred_products() -> None:
    generator = dice()
    x = y = torch.randn(64, dtype=torch.float64, generator=generator)
    for _ in range(100):
        x = orthogonal_(torch.empty(64, 64, dtype=torch.float64), generator=generator) @ x
    gaussian = torch.randn(64, 64, dtype=torch.float64, generator=generator) / 8
    turn = orthogonal_(torch.empty(64, 64, dtype=torch.float64), generator=generator)
    assert float(x.norm()) == pytest.approx(float(y.norm()), rel=1e-12)
    values = torch.linalg.svdvals(torch.linalg.matrix_power(gaussian, 100))
    assert float(values[-1] / values[0]) < 1e-12  # most directions are lost
    assert torch.allclose(torch.linalg.svdvals(torch.linalg.matrix_power(turn, 100)), torch.ones(64).double())


def remembered(orthogonal: bool, seed: int, length: int = 100, steps: int = 100) -> list[float]:
    """Share of 16 symbols that a tanh network names ``length`` steps later, after each step of training."""
    generator, symbols, width = dice(seed), 16, 64
    network, head = nn.RNN(symbols, width, batch_first=True), nn.Linear(width, symbols)
    parameters = [*network.parameters(), *head.parameters()]
    with torch.no_grad():
        for parameter in parameters:
            parameter.zero_()
        network.weight_ih_l0.normal_(0, 0.5, generator=generator)
        head.weight.normal_(0, width**-0.5, generator=generator)
        if orthogonal:
            orthogonal_(network.weight_hh_l0, generator=generator)
        else:  # of the same mean square
            network.weight_hh_l0.normal_(0, width**-0.5, generator=generator)
    optimizer = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99))
    x, names, shares = torch.zeros(symbols, length, symbols), torch.arange(symbols), []
    x[:, 0] = torch.eye(symbols)
    for _ in range(steps):
        scores = head(network(x)[1][0])
        optimizer.zero_grad()
        F.cross_entropy(scores, names).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        shares.append(float((scores.argmax(1) == names).float().mean()))
    return shares


@pytest.mark.slow
def test_a_recurrent_network_remembers_where_a_gaussian_one_forgets() -> None:
    for seed in range(5):
        assert sum(remembered(True, seed)[-20:]) / 20 >= 0.95
        assert max(remembered(False, seed)) <= 0.75  # at its best; it never holds all


def test_empty_and_trainable_weights() -> None:
    for shape in ((0, 3), (3, 0)):
        assert orthogonal_(torch.empty(shape)).shape == shape
    layer = nn.Linear(3, 3)
    orthogonal_(layer.weight, generator=dice())
    assert layer.weight.requires_grad and off(layer.weight.detach()) < 1e-6


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tensor has shape \(3,\); it needs two axes or more"):
        orthogonal_(torch.empty(3))
    with pytest.raises(ValueError, match=r"tensor has dtype torch\.int64"):
        orthogonal_(torch.empty(2, 2, dtype=torch.int64))
    for gain in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"gain is {gain}; it must be positive and finite"):
            orthogonal_(torch.empty(2, 2), gain)
