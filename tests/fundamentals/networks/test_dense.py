"""The dense layer against torch's, forwards and backwards."""

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.networks.dense import (
    Dense,
    dense,
    dense_backward,
    dense_backward_by_hand,
    dense_by_hand,
    dense_forward,
)
from fathom.fundamentals.networks.neuron import neuron

BATCHES = ((), (1,), (5,), (2, 3), (2, 1, 4), (0,), (3, 0))


def far(ours: Tensor | None, theirs: Tensor | None) -> float:
    """The largest difference, relative to values above 1."""
    assert ours is not None and theirs is not None and ours.shape == theirs.shape
    ours, theirs = ours.detach().double(), theirs.detach().double()
    gap = (ours - theirs).abs() / theirs.abs().clamp(min=1)
    assert bool(gap.isfinite().all())
    return float(gap.max()) if gap.numel() else 0.0


def gap_to_linear(inputs: int, outputs: int, batch: tuple[int, ...], bias: bool, dtype: torch.dtype) -> float:
    ours = Dense(inputs, outputs, bias=bias).to(dtype)
    theirs = nn.Linear(inputs, outputs, bias=bias, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(*batch, inputs, dtype=dtype)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    one, two = ours(a), theirs(b)
    g = torch.randn_like(two)
    one.backward(g)
    two.backward(g)
    gaps = [far(one, two), far(a.grad, b.grad)]
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        gaps.append(far(p.grad, q.grad))
    return max(gaps)


def test_values_and_gradients_are_torchs() -> None:
    for batch in BATCHES:
        for inputs, outputs in ((1, 1), (3, 5), (40, 7)):
            for bias in (True, False):
                assert gap_to_linear(inputs, outputs, batch, bias, torch.float64) <= 1e-12
                assert gap_to_linear(inputs, outputs, batch, bias, torch.float32) <= 1e-6


def test_a_large_layer_in_single_precision_is_torchs() -> None:
    assert gap_to_linear(784, 256, (64,), True, torch.float32) <= 1e-6
    assert gap_to_linear(784, 256, (64,), True, torch.float64) <= 1e-12


def test_by_hand_is_torchs() -> None:
    for batch in ((), (4,), (2, 3)):
        x, w, b = torch.randn(*batch, 3).double(), torch.randn(2, 3).double(), torch.randn(2).double()
        assert far(dense_by_hand(x, w, b), nn.functional.linear(x, w, b)) <= 1e-12
    x, w = torch.randn(4, 3).double().requires_grad_(), torch.randn(2, 3).double().requires_grad_()
    b, g = torch.randn(2).double().requires_grad_(), torch.randn(4, 2).double()
    theirs = torch.autograd.grad(nn.functional.linear(x, w, b), (x, w, b), g)
    found = dense_backward_by_hand(x.detach(), w.detach(), g)
    written = dense_backward(dense_forward(x.detach(), w.detach(), b.detach())[1], g)
    for one, two, three in zip(found, written, theirs, strict=True):
        assert max(far(one, three), far(two, three)) <= 1e-12


def test_finite_differences_and_strides() -> None:
    layer = Dense(3, 2).double()
    x = torch.randn(4, 2, 3, dtype=torch.float64).transpose(0, 1).requires_grad_()  # not contiguous
    assert torch.autograd.gradcheck(dense, (x, layer.weight, layer.bias))
    assert torch.autograd.gradcheck(dense, (x[0, 0].detach(), layer.weight))


def test_a_layer_is_neurons_side_by_side() -> None:
    layer = Dense(4, 3).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    one_by_one = [neuron(x, w, b, lambda z: z) for w, b in zip(layer.weight, layer.bias, strict=True)]
    assert far(torch.stack(one_by_one, -1), layer(x)) <= 1e-12


def test_it_learns_in_a_network_as_torchs_layers_do() -> None:
    """Twenty steps of gradient descent through two layers: the same losses."""

    def losses(make: type[nn.Module]) -> list[float]:
        torch.manual_seed(1)
        net = nn.Sequential(make(6, 16), nn.Tanh(), make(16, 1)).double()
        x = torch.randn(32, 6, dtype=torch.float64)
        y, seen = (x[:, :1] * x[:, 1:2]).sin(), []
        for _ in range(20):
            loss = (net(x) - y).square().mean()
            slopes = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(net.parameters(), slopes, strict=True):
                    parameter -= 0.1 * slope
            seen.append(loss.item())
        return seen

    ours, theirs = losses(Dense), losses(nn.Linear)
    assert ours[-1] < 0.9 * ours[0]
    assert ours == pytest.approx(theirs, abs=1e-6)  # their draws differ by a rounding in single precision


def test_begins_as_torchs_layer_does() -> None:
    torch.manual_seed(3)
    theirs = nn.Linear(9, 4)
    ours = Dense(9, 4, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-7)
    assert Dense(2, 3, bias=False).bias is None


def test_extremes_and_half_precision() -> None:
    large = torch.tensor([[1e4, -1e4], [0.0, 0.0]], dtype=torch.float64)
    out = dense(large, large, large[0])
    assert out.tolist() == [[2e8 + 1e4, -1e4], [1e4, -1e4]]
    for dtype in (torch.float16, torch.bfloat16):
        layer = Dense(4, 3).to(dtype)
        x = torch.randn(5, 4).to(dtype).requires_grad_()
        out = layer(x)
        assert out.dtype == dtype
        rounding = 8 * torch.finfo(dtype).eps
        assert layer.bias is not None
        true = x.detach().double() @ layer.weight.double().T + layer.bias.double()
        assert far(out, true) <= rounding
        out.backward(torch.ones_like(out))
        assert x.grad is not None and x.grad.dtype == dtype
        assert far(x.grad, layer.weight.double().sum(0).expand(5, 4)) <= rounding


def test_gradients_that_nobody_asked_for_are_left_out() -> None:
    layer = Dense(3, 2)
    layer(torch.randn(4, 3)).sum().backward()
    assert layer.weight.grad is not None
    with torch.no_grad():
        assert not layer(torch.randn(4, 3)).requires_grad
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(dense(x, x[:2].detach()).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_bad_input_is_refused() -> None:
    x, w, b = torch.ones(4, 3), torch.ones(2, 3), torch.ones(2)
    cases = [
        (lambda: dense(x, w[0]), r"weight has shape \(3,\); it must be \(outputs, inputs\)"),
        (lambda: dense(x, w[:0]), r"weight has shape \(0, 3\)"),
        (lambda: dense(x.T, w), r"x has shape \(3, 4\); weight asks for \(\.\.\., 3\)"),
        (lambda: dense(x[0, 0], w), r"x has shape \(\); weight asks for"),
        (lambda: dense(x, w, b[:1]), r"bias has shape \(1,\); weight asks for \(2,\)"),
        (lambda: dense(x.long(), w), "x has dtype torch.int64; it must hold floating-point"),
        (lambda: dense(x.double(), w), "weight has dtype torch.float32; x has torch.float64"),
        (lambda: dense(x, w, b.double()), "bias has dtype torch.float64; x has torch.float32"),
        (lambda: Dense(0, 2), "inputs is 0; it must be 1 or more"),
        (lambda: Dense(2, -1), "outputs is -1; it must be 1 or more"),
        (lambda: Dense(2, 3)(x), r"x has shape \(4, 3\); weight asks for \(\.\.\., 2\)"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
