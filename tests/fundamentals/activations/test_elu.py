"""ELU, CELU and SELU against torch; SELU's constants and its fixed point."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.activations.elu import (
    CELU,
    ELU,
    SELU_ALPHA,
    SELU_SCALE,
    celu,
    celu_by_hand,
    elu,
    elu_by_hand,
    self_normalizing_constants,
    selu,
    selu_by_hand,
)


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(elu, elu_by_hand, F.elu)
    contract(ELU(0.4), lambda x: elu_by_hand(x, 0.4), lambda x: F.elu(x, 0.4))
    contract(celu, celu_by_hand, F.celu)
    contract(CELU(2.0), lambda x: celu_by_hand(x, 2.0), lambda x: F.celu(x, 2.0))
    contract(selu, selu_by_hand, F.selu)
    assert "alpha=0.4" in repr(ELU(0.4)) and "alpha=2.5" in repr(CELU(2.5))


def test_slope_of_celu_is_right_where_torchs_is_rounded() -> None:
    """1 / 2 is exact in float32, and so torch serves as oracle above; 1 / 0.7 is not."""
    x = torch.linspace(-3, 3, 12, dtype=torch.float64, requires_grad=True)
    right = torch.where(x > 0, torch.ones_like(x), torch.exp(x / 0.7)).detach()
    for function in (celu, celu_by_hand):
        y = function(x, 0.7)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert torch.allclose(slope, right, rtol=0, atol=1e-12)
        assert torch.allclose(y, F.celu(x, 0.7), rtol=0, atol=1e-12)
    assert torch.autograd.gradcheck(lambda t: celu(t, 0.7), x)
    single = x.detach().float().requires_grad_()
    for ours, theirs in zip(
        *[torch.autograd.grad(f(single, 0.7).sum(), single) for f in (celu, F.celu)], strict=True
    ):
        assert torch.equal(ours, theirs)


def test_constants_of_selu_solve_its_two_conditions() -> None:
    scale, alpha = self_normalizing_constants()
    assert scale == pytest.approx(SELU_SCALE, abs=1e-14) and alpha == pytest.approx(SELU_ALPHA, abs=1e-14)
    z = torch.linspace(-12, 12, 240_001, dtype=torch.float64)
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    assert float((selu(z) * density).sum()) == pytest.approx(0, abs=1e-8)
    assert float((selu(z) ** 2 * density).sum()) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.3, 1.2)])
def test_fifty_layers_of_selu_normalise_themselves(mean: float, std: float) -> None:
    dice = torch.Generator().manual_seed(0)
    width = 512
    x = torch.randn(128, width, generator=dice) * std + mean
    worst = 0.0
    for layer in range(50):
        weight = torch.randn(width, width, generator=dice) / math.sqrt(width)
        x = selu(x @ weight.T)
        if layer >= 20:
            worst = max(worst, abs(float(x.mean())), abs(float(x.var()) - 1))
    assert worst < 0.1


def test_fifty_layers_of_relu_with_the_same_weights_do_not() -> None:
    dice = torch.Generator().manual_seed(0)
    x = torch.randn(16, 256, generator=dice)
    for _ in range(50):
        x = torch.relu(x @ torch.randn(256, 256, generator=dice) / 16)
    assert float(x.var()) < 1e-10


def test_celu_is_smooth_at_zero_for_every_alpha_and_elu_for_one() -> None:
    x = torch.tensor([-1e-9, 1e-9], dtype=torch.float64, requires_grad=True)
    for alpha in (0.5, 1.0, 3.0):
        for function, below in ((celu, 1.0), (elu, alpha)):
            (slope,) = torch.autograd.grad(function(x, alpha).sum(), x)
            assert slope.tolist() == pytest.approx([below, 1.0])


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(elu, celu, selu)
    for alpha in (0.0, -1.0, float("nan"), float("inf")):
        for function in (elu, celu):
            with pytest.raises(ValueError, match=f"alpha is {alpha}; it must be positive and finite"):
                function(torch.zeros(2), alpha)
        for layer in (ELU, CELU):
            with pytest.raises(ValueError, match="alpha is"):
                layer(alpha)
