"""The layer-norm LSTM against its equations unit by unit, and what it does not see."""

import numpy as np
import pytest
import torch
from torch import nn

from fathom.fundamentals.recurrence.layer_norm_lstm import LayerNormLSTM


def shaken(inputs: int, width: int, **settings: float) -> LayerNormLSTM:
    layer = LayerNormLSTM(inputs, width, **settings).double()
    for weight in layer.parameters():
        weight.data += 0.5 * torch.randn_like(weight)
    return layer


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def normal(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def test_outputs_are_the_equations_unit_by_unit() -> None:
    layer = shaken(3, 4)
    w = {name: weight.detach().numpy() for name, weight in layer.named_parameters()}
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    outputs, ends = layer(x)
    for row in range(2):
        h, c = np.zeros(4), np.zeros(4)
        for t in range(6):
            from_x = w["norm_x.weight"] * normal(w["weight_ih"] @ x[row, t].numpy())
            from_h = w["norm_h.weight"] * normal(w["weight_hh"] @ h)
            gates = (from_x + from_h + w["bias"]).reshape(4, 4)
            for k in range(4):
                c[k] = sigmoid(gates[1, k]) * c[k] + sigmoid(gates[0, k]) * np.tanh(gates[2, k])
            shown = w["norm_c.weight"] * normal(c) + w["norm_c.bias"]
            h = np.array([sigmoid(gates[3, k]) * np.tanh(shown[k]) for k in range(4)])
            np.testing.assert_allclose(outputs[row, t].detach().numpy(), h, atol=1e-12)
        np.testing.assert_allclose(ends[1][row].detach().numpy(), c, atol=1e-12)


def test_outputs_and_gradients_are_those_of_torchs_parts() -> None:
    layer = shaken(3, 4)
    parts = [nn.Linear(3, 16, bias=False), nn.Linear(4, 16, bias=False)]
    norms = [nn.LayerNorm(16), nn.LayerNorm(16, bias=False), nn.LayerNorm(4)]  # the first one's place is b
    theirs = nn.ModuleList([*parts, *norms]).double()
    with torch.no_grad():
        parts[0].weight.copy_(layer.weight_ih)
        parts[1].weight.copy_(layer.weight_hh)
        norms[0].bias.copy_(layer.bias)
        for norm, own in zip(norms, (layer.norm_x, layer.norm_h, layer.norm_c), strict=True):
            norm.weight.copy_(own.weight)
        norms[2].bias.copy_(layer.norm_c.bias)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    h = c = torch.zeros(2, 4, dtype=torch.float64)
    expected = []
    for t in range(6):
        i, f, g, o = (norms[0](parts[0](x[:, t])) + norms[1](parts[1](h))).chunk(4, 1)
        c = c * f.sigmoid() + i.sigmoid() * g.tanh()
        h = o.sigmoid() * norms[2](c).tanh()
        expected.append(h)
    outputs = layer(x)[0]
    torch.testing.assert_close(outputs, torch.stack(expected, 1), rtol=0, atol=1e-12)
    outputs.square().sum().backward()
    torch.stack(expected, 1).square().sum().backward()
    for own, other in (
        (layer.weight_ih, parts[0].weight), (layer.weight_hh, parts[1].weight), (layer.bias, norms[0].bias),
        (layer.norm_c.weight, norms[2].weight), (layer.norm_h.weight, norms[1].weight),
    ):  # fmt: skip
        torch.testing.assert_close(own.grad, other.grad, rtol=0, atol=1e-11)
    assert len(list(theirs.parameters())) == 7


def test_the_scale_of_the_weights_does_not_matter() -> None:
    layer = shaken(3, 8, epsilon=1e-12)
    x, state = torch.randn(2, 6, 3, dtype=torch.float64), torch.randn(2, 2, 8, dtype=torch.float64).unbind()
    before = layer(x, None, state)[0]
    layer.weight_ih.data *= 100
    layer.weight_hh.data *= 0.1
    torch.testing.assert_close(layer(x, None, state)[0], before, rtol=0, atol=1e-8)


def test_a_fresh_layer_forgets_little() -> None:
    layer = LayerNormLSTM(6, 16)
    for gate in layer.weight_hh.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(16), rtol=0, atol=1e-5)
    bias = layer.bias.reshape(4, 16)
    assert bias[1].eq(1).all() and not bias[[0, 2, 3]].any()
    assert sum(p.numel() for p in layer.parameters()) == 64 * (6 + 16 + 1) + 2 * 64 + 2 * 16


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: LayerNormLSTM(0, 4), "inputs is 0"),
        (lambda: LayerNormLSTM(3, 0), "width is 0"),
        (lambda: LayerNormLSTM(3, 4, epsilon=0.0), "epsilon is 0.0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
