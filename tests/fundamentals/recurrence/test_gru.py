"""The GRU against torch's cell and Keras's layer, which resets before the product or after it."""

import os

import numpy as np
import pytest
import torch
from torch import nn

from fathom.fundamentals.recurrence.gru import GRU

os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.mark.parametrize("reset_after", [True, False])
def test_outputs_and_gradients_are_those_of_keras(reset_after: bool) -> None:
    """Keras has the gates in the order z, r, n, weights lying, and one bias where it resets before."""
    import keras

    theirs = keras.layers.GRU(5, reset_after=reset_after, return_sequences=True)
    x = torch.randn(2, 7, 3)
    theirs.build((2, 7, 3))
    w, u = torch.randn(3, 15), torch.randn(5, 15)
    bias = torch.randn(2, 15) if reset_after else torch.randn(15)
    theirs.set_weights([part.numpy() for part in (w, u, bias)])

    def turned(weight: torch.Tensor) -> torch.Tensor:
        z, r, n = (weight.T if weight.ndim == 2 else weight).chunk(3)
        return torch.cat([r, z, n])

    ours = GRU(3, 5, reset_after=reset_after)
    b, c = bias if reset_after else (bias, torch.zeros(15))
    with torch.no_grad():
        for weight, given in zip(ours.parameters(), (w, u, b, c), strict=True):
            weight.copy_(turned(given))
    made, expected = ours(x)[0], theirs(x)
    torch.testing.assert_close(made, expected, rtol=1e-5, atol=1e-5)
    goal = torch.randn(2, 7, 5)
    (made * goal).sum().backward()
    (expected * goal).sum().backward()
    found = [p.grad for p in ours.parameters()]
    wanted = [v.value.grad for v in theirs.trainable_variables]
    wanted = [*wanted[:2], *(wanted[2] if reset_after else (wanted[2], wanted[2]))]
    if not reset_after:
        found[3] = found[2]  # its second bias is the first one again
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, turned(other), rtol=1e-4, atol=1e-4)


def test_steps_and_gradients_are_those_of_torchs_cell() -> None:
    ours, cell = GRU(3, 5), nn.GRUCell(3, 5)
    for mine, theirs in zip(ours.parameters(), cell.parameters(), strict=True):
        nn.init.normal_(mine, std=0.5)
        theirs.data.copy_(mine)
    x, h = torch.randn(2, 3), torch.randn(2, 5)
    output, (state,) = ours.step(x, (h,))
    expected = cell(x, h)
    assert output is state
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    mine = torch.autograd.grad(output.square().sum(), list(ours.parameters()))
    theirs = torch.autograd.grad(expected.square().sum(), list(cell.parameters()))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_where_one_resets_matters_unless_the_gates_agree() -> None:
    after, before = GRU(3, 5), GRU(3, 5, reset_after=False)
    for weight in after.parameters():
        nn.init.normal_(weight)
    before.load_state_dict(after.state_dict())
    x = torch.randn(2, 7, 3)
    assert not torch.allclose(after(x)[0], before(x)[0], atol=1e-2)
    for layer in (after, before):  # every reset gate wide open
        layer.kernel.weight_ih_l0.data[:5] = layer.kernel.weight_hh_l0.data[:5] = 0
        layer.kernel.bias_ih_l0.data[:5] = 50
    torch.testing.assert_close(after(x)[0], before(x)[0], rtol=1e-5, atol=1e-5)


def test_an_open_update_gate_keeps_the_state() -> None:
    for reset_after in (True, False):
        layer = GRU(3, 4, reset_after=reset_after)
        layer.kernel.bias_ih_l0.data[4:8] = 80
        h = torch.randn(2, 4)
        _, (end,) = layer(torch.randn(2, 200, 3), None, (h,))
        torch.testing.assert_close(end, h)


def test_a_fresh_layer_keeps_lengths() -> None:
    weights = dict(GRU(6, 32).kernel.named_parameters())
    for gate in weights["weight_hh_l0"].chunk(3):
        torch.testing.assert_close(gate @ gate.T, torch.eye(32), rtol=0, atol=1e-5)
    assert not np.any([weights[n].any().item() for n in ("bias_ih_l0", "bias_hh_l0")])


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="inputs is 0"):
        GRU(0, 4)
    with pytest.raises(ValueError, match="width is 0"):
        GRU(3, 0)
