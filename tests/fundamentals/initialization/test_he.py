"""He against torch.nn.init, bit for bit; twenty layers of ReLU, where Xavier decays and He does not."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.initialization.he import (
    GAINS,
    gain,
    gain_by_hand,
    he_normal_,
    he_normal_by_hand,
    he_uniform_,
    he_uniform_by_hand,
)
from fathom.fundamentals.initialization.xavier import xavier_normal_

PAIRS = (
    (he_uniform_, he_uniform_by_hand, nn.init.kaiming_uniform_),
    (he_normal_, he_normal_by_hand, nn.init.kaiming_normal_),
)
CASES = (
    ("relu", 0.0, "fan_in"),
    ("leaky_relu", 0.2, "fan_out"),
    ("tanh", 0.0, "fan_in"),
    ("linear", 0.0, "fan_out"),
)


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("ours", "by_hand", "theirs"), PAIRS, ids=("uniform", "normal"))
def test_draws_are_torchs(
    ours: Callable[..., Tensor], by_hand: Callable[..., Tensor], theirs: Callable[..., Tensor]
) -> None:
    for shape in ((5, 3), (1, 1), (8, 4, 3, 3), (2, 3, 5), (100, 100)):
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            weight = torch.empty(shape, dtype=dtype)
            for name, slope, mode in CASES:
                right = theirs(torch.empty_like(weight), slope, mode, name, dice())
                assert ours(weight, name, slope, mode, dice()) is weight
                assert torch.equal(weight, right)
            if dtype == torch.float64:
                right = theirs(torch.empty_like(weight), generator=dice())
                assert torch.equal(
                    ours(weight, generator=dice()), right
                )  # torch's defaults are those of a ReLU
                assert torch.allclose(by_hand(weight, dice()), right, rtol=0, atol=1e-14)


def test_gains_are_torchs() -> None:
    for name in GAINS:
        if name != "identity":  # torch knows it as linear
            assert gain(name) == nn.init.calculate_gain(name)  # type: ignore[arg-type]
    for slope in (0.0, 0.01, 0.3, 1.0):
        assert gain("leaky_relu", slope) == nn.init.calculate_gain("leaky_relu", slope)
    assert gain("leaky_relu") == nn.init.calculate_gain("leaky_relu")


def test_which_gains_follow_from_the_mean_square() -> None:
    assert gain_by_hand(lambda z: z) == pytest.approx(gain("linear"), abs=1e-9)
    assert gain_by_hand(torch.relu) == pytest.approx(gain("relu"), abs=1e-9)
    assert gain_by_hand(nn.functional.selu) == pytest.approx(1, abs=1e-6)  # the table has 3/4, found by trial
    assert gain_by_hand(torch.tanh) == pytest.approx(1.59, abs=5e-3)  # the table has 5/3


def variances(fill: Callable[..., Tensor], nets: int = 64, width: int = 256, layers: int = 20) -> list[float]:
    """Variance of the outputs of each ReLU layer, the mean over ``nets`` random networks."""
    total = torch.zeros(layers)
    for seed in range(nets):  # many: the variance of one network makes a random walk
        generator = dice(seed)
        x = torch.randn(32, width, generator=generator)
        for layer in range(layers):
            x = torch.relu(x @ fill(torch.empty(width, width), generator=generator).T)
            total[layer] += x.var() / nets
    return total.tolist()


def test_he_keeps_variance_over_twenty_relu_layers_and_xavier_does_not() -> None:
    he = variances(he_normal_)
    assert all(0.5 <= v <= 2 for v in he)
    xavier = variances(xavier_normal_, nets=8)
    assert xavier[-1] < 1e-4 * xavier[0]  # 2^-19 is 2e-6
    assert all(0.3 < after / before < 0.8 for before, after in pairwise(xavier))  # near 1/2


def test_empty_and_trainable_weights() -> None:
    for fill in (he_uniform_, he_normal_):
        for shape in ((0, 3), (3, 0)):
            assert fill(torch.empty(shape)).shape == shape
        layer = nn.Conv2d(3, 3, 3)
        fill(layer.weight, generator=dice())
        assert layer.weight.requires_grad
    wide = he_normal_(torch.empty(400, 300, dtype=torch.float64), generator=dice())
    assert float(wide.std()) == pytest.approx(math.sqrt(2 / 300), rel=0.01)


def test_bad_input_is_refused() -> None:
    for fill in (he_uniform_, he_normal_):
        with pytest.raises(ValueError, match="mode is 'fan_sum'; it must be 'fan_in' or 'fan_out'"):
            fill(torch.empty(2, 2), mode="fan_sum")
        with pytest.raises(ValueError, match="name is 'rellu'; it must be one of conv1d, conv2d"):
            fill(torch.empty(2, 2), "rellu")
        with pytest.raises(ValueError, match="negative_slope is nan; it must be finite"):
            fill(torch.empty(2, 2), "leaky_relu", float("nan"))
        with pytest.raises(ValueError, match=r"tensor has shape \(3,\)"):
            fill(torch.empty(3))
        with pytest.raises(ValueError, match=r"tensor has dtype torch\.int32"):
            fill(torch.empty(2, 2, dtype=torch.int32))
