"""Swish and SiLU against torch, for beta fixed and learned."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.activations.swish import Swish, silu, silu_by_hand, swish, swish_by_hand


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(silu, silu_by_hand, F.silu)
    contract(swish, lambda x: swish_by_hand(x, torch.ones((), dtype=x.dtype)), F.silu)
    for beta in (0.5, 2.0):
        contract(
            Swish(beta),
            lambda x, beta=beta: swish_by_hand(x, torch.tensor(beta, dtype=x.dtype)),
            lambda x, beta=beta: F.silu(beta * x) / beta,
        )


def test_gradient_of_beta() -> None:
    x = torch.linspace(-4, 4, 20, dtype=torch.float64, requires_grad=True)
    beta = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(swish, (x, beta))
    gate = torch.sigmoid(beta * x).detach()
    for function in (swish, swish_by_hand):
        (slope,) = torch.autograd.grad(function(x, beta).sum(), beta)
        assert slope.item() == pytest.approx(float((x.detach() ** 2 * gate * (1 - gate)).sum()), abs=1e-12)


def test_beta_is_learned() -> None:
    x = torch.linspace(-3, 3, 64)
    layer = Swish(learned=True)
    for _ in range(200):
        (slope,) = torch.autograd.grad(((layer(x) - swish(x, 2.5)) ** 2).mean(), list(layer.parameters()))
        layer.beta.data -= 10 * slope
    assert layer.beta.item() == pytest.approx(2.5, abs=1e-2)
    assert list(layer.state_dict()) == ["beta"] and not list(Swish(2.0).parameters())
    assert "learned=True" in repr(layer) and "beta=2, learned=False" in repr(Swish(2.0))


def test_between_a_line_and_a_relu() -> None:
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    assert torch.equal(swish(x, 0.0), x / 2)
    assert torch.allclose(swish(x, 1e4), torch.relu(x), atol=1e-12)
    fine = torch.linspace(-2, -1, 100_001, dtype=torch.float64)
    assert float(silu(fine).min()) == pytest.approx(-0.278, abs=1e-3)
    assert float(fine[silu(fine).argmin()]) == pytest.approx(-1.278, abs=1e-3)


def test_a_large_product_of_beta_and_x_does_no_harm() -> None:
    for dtype in (torch.float16, torch.float32):
        x = torch.tensor([-1e4, 1e4], dtype=dtype, requires_grad=True)
        y = swish(x, 100.0)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert y.tolist() == [0, 1e4] and slope.tolist() == [0, 1]


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(silu, swish)
    for beta in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"beta is {beta}; it must be finite"):
            swish(torch.zeros(2), beta)
        with pytest.raises(ValueError, match="beta is"):
            Swish(beta)
    with pytest.raises(ValueError, match=r"beta has shape \(3,\); it must hold one number"):
        swish(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"beta has dtype torch\.int64"):
        swish(torch.zeros(3), torch.tensor(1))
