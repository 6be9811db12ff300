"""Xavier against torch.nn.init, bit for bit, and what it does to signals through twenty layers of tanh."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.initialization.xavier import (
    fans,
    fans_by_hand,
    xavier_normal_,
    xavier_normal_by_hand,
    xavier_uniform_,
    xavier_uniform_by_hand,
)

SHAPES = ((5, 3), (1, 1), (8, 4, 3, 3), (2, 3, 5), (2, 3, 2, 2, 2), (100, 100))
PAIRS = (
    (xavier_uniform_, xavier_uniform_by_hand, nn.init.xavier_uniform_),
    (xavier_normal_, xavier_normal_by_hand, nn.init.xavier_normal_),
)


def dice(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("ours", "by_hand", "theirs"), PAIRS, ids=("uniform", "normal"))
def test_draws_are_torchs(
    ours: Callable[..., Tensor], by_hand: Callable[..., Tensor], theirs: Callable[..., Tensor]
) -> None:
    for shape in SHAPES:
        for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
            for gain in (1.0, 5 / 3):
                weight = torch.empty(shape, dtype=dtype)
                right = theirs(torch.empty_like(weight), gain, generator=dice())
                assert ours(weight, gain, dice()) is weight
                assert torch.equal(weight, right)
                if dtype == torch.float64:
                    assert torch.allclose(by_hand(weight, gain, dice()), right, rtol=0, atol=1e-14)
    torch.manual_seed(5)
    right = theirs(torch.empty(4, 3))
    torch.manual_seed(5)
    assert torch.equal(ours(torch.empty(4, 3)), right)  # the global generator where none is given


def test_bounds_and_deviation_are_the_formulas() -> None:
    weight = xavier_uniform_(torch.empty(300, 500, dtype=torch.float64), gain=2.0, generator=dice())
    bound = 2 * math.sqrt(6 / 800)
    assert 0.999 * bound < float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    normal = xavier_normal_(torch.empty(300, 500, dtype=torch.float64), generator=dice())
    assert float(normal.std()) == pytest.approx(math.sqrt(2 / 800), rel=0.01)


def test_fans_are_what_layers_do() -> None:
    """With all ones, an output is fan_in, and the gradient of an input is fan_out."""
    for layer, x in (
        (nn.Linear(7, 4, bias=False), torch.ones(1, 7)),
        (nn.Conv1d(3, 5, 3, bias=False), torch.ones(1, 3, 9)),
        (nn.Conv2d(3, 5, (3, 2), bias=False), torch.ones(1, 3, 9, 9)),
        (nn.Conv3d(2, 4, 2, bias=False), torch.ones(1, 2, 5, 5, 5)),
    ):
        layer.weight.data.fill_(1)
        x.requires_grad_()
        y = layer(x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        inside = (0, 0, *[size // 2 for size in x.shape[2:]]) if x.ndim > 2 else (0, 0)
        assert fans(layer.weight) == fans_by_hand(layer.weight) == (int(y.max()), int(gradient[inside]))
        assert fans(layer.weight) == nn.init._calculate_fan_in_and_fan_out(layer.weight)
    assert fans(nn.ConvTranspose2d(3, 5, 2).weight) == (20, 12)  # exchanged, as documented


def scales(gain: float, seed: int, width: int = 512, layers: int = 20) -> tuple[list[float], list[float]]:
    """Variances of what goes into each tanh and of what comes out, through ``layers`` layers."""
    generator = dice(seed)
    x = torch.tanh(torch.randn(64, width, generator=generator))  # begun as a layer's output, not as raw data
    into, out = [], []
    for _ in range(layers):
        z = x @ xavier_normal_(torch.empty(width, width), gain, generator).T
        x = torch.tanh(z)
        into.append(float(z.var()))
        out.append(float(x.var()))
    return into, out


def test_variance_stays_over_twenty_tanh_layers() -> None:
    for seed in range(3):
        into, out = scales(5 / 3, seed)
        assert all(0.5 <= v <= 2 for v in into)
        assert all(0.5 <= v / out[0] <= 2 for v in out)
        # Without the gain, tanh takes a little at each layer, and more than nine tenths in all.
        assert scales(1.0, seed)[1][-1] < 0.1 * out[-1]


def test_the_gain_that_keeps_signals_lets_gradients_grow() -> None:
    """Both are mild: over twenty layers a factor of a hundred in mean square, up with 5/3 and down with 1."""
    for gain, low, high in ((1.0, 0.01, 1.0), (5 / 3, 1.0, 100.0)):
        generator, width = dice(), 512
        first = torch.tanh(torch.randn(64, width, generator=generator)).requires_grad_()
        x = first
        for _ in range(20):
            x = torch.tanh(x @ xavier_uniform_(torch.empty(width, width), gain, generator).T)
        (gradient,) = torch.autograd.grad(x, first, torch.randn(x.shape, generator=generator))
        assert low < float(gradient.square().mean()) < high


def test_empty_and_trainable_weights() -> None:
    for shape in ((0, 0), (0, 3), (3, 0), (3, 2, 0)):
        assert xavier_uniform_(torch.empty(shape)).shape == xavier_normal_(torch.empty(shape)).shape == shape
    layer = nn.Linear(3, 3)
    xavier_uniform_(layer.weight, generator=dice())
    assert layer.weight.requires_grad and layer.weight.grad_fn is None


def test_bad_input_is_refused() -> None:
    for fill in (xavier_uniform_, xavier_normal_):
        for gain in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match=f"gain is {gain}; it must be positive and finite"):
                fill(torch.empty(2, 2), gain)
        with pytest.raises(ValueError, match=r"tensor has shape \(3,\); fans need two axes or more"):
            fill(torch.empty(3))
        with pytest.raises(
            ValueError, match=r"tensor has dtype torch\.int64; weights must be floating-point"
        ):
            fill(torch.empty(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"tensor has shape \(\)"):
        fans(torch.tensor(1.0))
