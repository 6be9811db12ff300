"""Leaky ReLU and PReLU against torch; the slope is learned."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.fundamentals.activations.leaky_relu import (
    LeakyReLU,
    PReLU,
    leaky_relu,
    leaky_relu_by_hand,
    prelu,
    prelu_by_hand,
)


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(leaky_relu, leaky_relu_by_hand, F.leaky_relu)
    contract(LeakyReLU(0.3), lambda x: leaky_relu_by_hand(x, 0.3), lambda x: F.leaky_relu(x, 0.3))
    slope = torch.tensor([0.25], dtype=torch.float64)
    contract(
        lambda x: prelu(x, slope),
        lambda x: prelu_by_hand(x, slope.to(x.dtype)),
        lambda x: F.prelu(x, slope.to(x.dtype)),
    )


def test_gradients_of_slopes_are_torchs() -> None:
    dice = torch.Generator().manual_seed(0)
    for shape, count in (((7, 3), 1), ((7, 3), 3), ((2, 3, 4, 5), 3), ((2, 3, 4, 5), 1), ((9,), 1)):
        x = torch.randn(shape, generator=dice, dtype=torch.float64, requires_grad=True)
        slope = torch.rand(count, generator=dice, dtype=torch.float64).requires_grad_()
        found = [
            torch.autograd.grad((f(x, slope) ** 2).sum(), [x, slope]) for f in (prelu, prelu_by_hand, F.prelu)
        ]
        for ours, theirs in zip(found[0] + found[1], found[2] * 2, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)
        assert torch.autograd.gradcheck(prelu, (x, slope))


def test_the_slope_is_learned() -> None:
    dice = torch.Generator().manual_seed(0)
    x = torch.randn(256, 2, generator=dice)
    wanted = torch.where(x > 0, x, torch.tensor([0.6, 0.1]) * x)
    layer = PReLU(channels=2)
    assert layer.weight.tolist() == [0.25, 0.25]
    for _ in range(60):
        (slope,) = torch.autograd.grad(((layer(x) - wanted) ** 2).mean(), layer.weight)
        layer.weight.data -= slope
    assert torch.allclose(layer.weight, torch.tensor([0.6, 0.1]), atol=1e-3)


def test_a_state_dict_of_torchs_layer_fits() -> None:
    theirs, ours = nn.PReLU(3, init=0.4), PReLU(channels=3)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 4)
    assert torch.equal(ours(x), theirs(x))
    assert ours(torch.zeros(0, 3)).shape == (0, 3)
    assert "channels=3" in repr(ours) and "negative_slope=0.2" in repr(LeakyReLU(0.2))


def test_no_unit_is_without_gradient() -> None:
    x = torch.tensor([-5.0, -1e4], requires_grad=True)
    (slope,) = torch.autograd.grad(leaky_relu(x).sum(), x)
    assert slope.tolist() == pytest.approx([0.01, 0.01])


def test_a_layer_of_float32_takes_other_precisions() -> None:
    y = PReLU()(torch.tensor([-4.0, 1.0], dtype=torch.bfloat16))
    assert y.dtype == torch.bfloat16 and y.tolist() == [-1, 1]


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(leaky_relu, lambda x: prelu(x, torch.zeros(1)))
    for slope in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"negative_slope is {slope}; it must be finite"):
            leaky_relu(torch.zeros(2), slope)
        with pytest.raises(ValueError, match="negative_slope is"):
            LeakyReLU(slope)
        with pytest.raises(ValueError, match=f"initial is {slope}"):
            PReLU(initial=slope)
    with pytest.raises(ValueError, match="channels is 0; it must be 1 or more"):
        PReLU(channels=0)
    with pytest.raises(ValueError, match=r"slope has dtype torch\.int64"):
        prelu(torch.zeros(2), torch.zeros(1, dtype=torch.int64))
    for shape in ((2,), (0,), (3, 1), ()):
        with pytest.raises(ValueError, match="slope has shape"):
            prelu(torch.zeros(5, 3), torch.zeros(shape))
    with pytest.raises(ValueError, match="slope has shape"):
        prelu(torch.zeros(3), torch.zeros(3))  # no second axis
