"""The highway layer against its equations written in NumPy, its limits, and patches cut out by torch."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.networks.highway import Highway, HighwayConvolution, highway

ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (torch.relu, torch.tanh, nn.Softplus())


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


def test_the_dense_layer_is_equation_3() -> None:
    for seed, activation in enumerate(ACTIVATIONS):
        torch.manual_seed(seed)
        layer = Highway(6, activation=activation, gate_bias=-1.0).double()
        x = torch.randn(2, 9, 6, dtype=torch.float64)
        w_h, b_h, w_t, b_t = (p.detach().numpy() for p in layer.parameters())
        h = activation(torch.from_numpy(x.numpy() @ w_h.T + b_h)).numpy()
        t = sigmoid(x.numpy() @ w_t.T + b_t)
        np.testing.assert_allclose(layer(x).detach().numpy(), h * t + x.numpy() * (1 - t), rtol=0, atol=1e-12)
        torch.testing.assert_close(layer(x[0, 0]), layer(x)[0, 0], rtol=0, atol=1e-14)


def test_the_convolution_is_the_dense_layer_on_every_patch() -> None:
    for size in (1, 3, 5):
        layer = HighwayConvolution(3, size, activation=torch.tanh, gate_bias=-0.5).double()
        x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
        patches = F.unfold(x, size, padding=size // 2)  # (b, c k k, places)
        h = (layer.transform.weight.flatten(1) @ patches + layer.transform.bias[:, None]).tanh()
        t = (layer.gate.weight.flatten(1) @ patches + layer.gate.bias[:, None]).sigmoid()
        expected = (h * t + x.flatten(2) * (1 - t)).reshape(x.shape)
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_gradients_of_all_weights_are_slopes() -> None:
    for layer, shape in ((Highway(3, activation=torch.tanh), (4, 3)), (HighwayConvolution(2), (1, 2, 4, 3))):
        layer = layer.double()
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        weights = [p.detach().clone().requires_grad_() for p in layer.parameters()]
        names = [name for name, _ in layer.named_parameters()]

        def run(x: Tensor, *given: Tensor, layer: nn.Module = layer, names: list[str] = names) -> Tensor:
            return torch.func.functional_call(layer, dict(zip(names, given, strict=True)), (x,))

        assert torch.autograd.gradcheck(run, (x, *weights))


def test_closed_gates_carry_and_open_gates_transform() -> None:
    """Equations 4 and 5: the output, and its Jacobian."""
    x = torch.randn(5, dtype=torch.float64)
    shut, open_ = (Highway(5, activation=torch.tanh, gate_bias=b).double() for b in (-800.0, 800.0))
    jacobian = torch.autograd.functional.jacobian
    assert torch.equal(shut(x), x)
    assert torch.equal(jacobian(shut, x), torch.eye(5, dtype=torch.float64))
    h = torch.tanh(open_.transform(x))
    assert torch.equal(open_(x), h)
    slope = (1 - h**2)[:, None] * open_.transform.weight
    torch.testing.assert_close(jacobian(open_, x), slope, rtol=0, atol=1e-12)


def test_gates_begin_nearly_closed() -> None:
    assert torch.equal(Highway(8).gate.bias, torch.full((8,), -2.0))
    assert torch.equal(HighwayConvolution(4, gate_bias=-3).gate.bias, torch.full((4,), -3.0))
    x = torch.randn(64, 16)
    assert (Highway(16)(x) - x).norm() < 0.25 * x.norm()


def stack(kind: str, depth: int, width: int) -> nn.Sequential:
    torch.manual_seed(0)
    if kind == "highway":
        return nn.Sequential(*(Highway(width) for _ in range(depth)), nn.Linear(width, 2))
    plain = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*plain, nn.Linear(width, 2))


def test_twenty_highway_layers_learn_what_twenty_plain_ones_do_not() -> None:
    """The sign of one input, 50 steps of Adam at the same rate; 0.66 is the entropy of the labels."""
    x = torch.randn(128, 8)
    label, loss = (x[:, 0] > 0).long(), {}
    for kind in ("highway", "plain"):
        net = stack(kind, depth=20, width=8)
        adam = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(50):
            adam.zero_grad()
            F.cross_entropy(net(x), label).backward()
            adam.step()
        loss[kind] = F.cross_entropy(net(x), label).item()
    assert loss["highway"] < 0.1 and loss["plain"] > 0.6


def test_extremes() -> None:
    big = torch.tensor([1e4, -1e4, 0.0])
    assert torch.equal(highway(big, -big, torch.full((3,), -1e4)), big)
    assert torch.equal(highway(big, -big, torch.full((3,), 1e4)), -big)
    assert highway(torch.empty(0), torch.empty(0), torch.empty(0)).shape == (0,)
    assert Highway(4)(torch.empty(0, 4)).shape == (0, 4)
    assert Highway(1)(torch.zeros(1)).shape == (1,)
    assert HighwayConvolution(1)(torch.ones(1, 1, 1, 1)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    x, h, g = torch.randn(3, 2, 4)
    close = {"rtol": 0.02, "atol": 0.02}
    made = highway(x.to(dtype), h.to(dtype), g.to(dtype))
    torch.testing.assert_close(made.float(), highway(x, h, g), **close)
    far = torch.tensor([60000.0], dtype=torch.float16)
    assert highway(far, -far, torch.zeros_like(far)).item() == 0  # and not infinite on the way
    layer = Highway(4)
    torch.testing.assert_close(layer.to(dtype)(x.to(dtype)).float(), layer.float()(x), **close)


def test_bad_input_is_refused() -> None:
    x = torch.zeros(2, 3)
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: highway(x, x[:1], x), r"transformed has shape \(1, 3\); it must be that of x, \(2, 3\)"),
        (lambda: highway(x, x, x[:, :1]), r"gate_logits has shape \(2, 1\)"),
        (lambda: highway(x.long(), x, x), "x has dtype torch.int64"),
        (lambda: highway(x, x, x > 0), "gate_logits has dtype torch.bool"),
        (lambda: Highway(0), "width is 0; it must be 1 or more"),
        (lambda: Highway(3, gate_bias=float("nan")), "gate_bias is nan; it must be finite"),
        (lambda: Highway(4)(x), r"x has shape \(2, 3\); its last axis must be width=4"),
        (lambda: Highway(3)(x.int()), "x has dtype torch.int32"),
        (lambda: Highway(3)(torch.tensor(1.0)), r"x has shape \(\)"),
        (lambda: Highway(3, activation=lambda h: h.sum(-1))(x), r"transformed has shape \(2,\)"),
        (lambda: HighwayConvolution(0), "channels is 0"),
        (lambda: HighwayConvolution(3, 2), "kernel_size is 2; it must be odd"),
        (lambda: HighwayConvolution(3, -1), "kernel_size is -1; it must be odd"),
        (lambda: HighwayConvolution(3)(x), r"it must be \(b, 3, h, w\)"),
        (lambda: HighwayConvolution(2)(torch.zeros(1, 3, 4, 4)), r"x has shape \(1, 3, 4, 4\)"),
        (lambda: HighwayConvolution(1)(torch.zeros(1, 1, 2, 2).long()), "x has dtype torch.int64"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
