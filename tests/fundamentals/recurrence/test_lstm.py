"""The LSTM against torch's cell and the equations of peepholes; what its cell keeps. Stacks: test_stacked."""

import numpy as np
import pytest
import torch
from torch import nn

from fathom.fundamentals.recurrence.lstm import LSTM

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch says it is slow


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("projection", [None, 2])
def test_peepholes_are_the_equations_unit_by_unit(projection: int | None) -> None:
    """Gers and Schmidhuber (2000): i and f see the old cell, o the new one."""
    layer = LSTM(3, 4, peepholes=True, projection=projection).double()
    for weight in layer.parameters():
        nn.init.normal_(weight)
    w = {name.removeprefix("kernel."): weight.detach().numpy() for name, weight in layer.named_parameters()}
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    outputs, ends = layer(x)
    for row in range(2):
        h, c = np.zeros(projection or 4), np.zeros(4)
        for t in range(6):
            gates = w["weight_ih_l0"] @ x[row, t].numpy() + w["bias_ih_l0"] + w["weight_hh_l0"] @ h
            gates, shown = (gates + w["bias_hh_l0"]).reshape(4, 4), np.zeros(4)
            for k in range(4):
                p = w["peephole"][:, k]
                i, f = sigmoid(gates[0, k] + p[0] * c[k]), sigmoid(gates[1, k] + p[1] * c[k])
                c[k] = f * c[k] + i * np.tanh(gates[2, k])
                shown[k] = sigmoid(gates[3, k] + p[2] * c[k]) * np.tanh(c[k])
            h = w["weight_hr_l0"] @ shown if projection else shown
            np.testing.assert_allclose(outputs[row, t].detach().numpy(), h, atol=1e-12)
        for found, wanted in zip(ends, (h, c), strict=True):
            np.testing.assert_allclose(found[row].detach().numpy(), wanted, atol=1e-12)


def test_steps_and_gradients_are_those_of_torchs_cell() -> None:
    ours, cell = LSTM(3, 5), nn.LSTMCell(3, 5)
    for mine, theirs in zip(ours.parameters(), cell.parameters(), strict=True):
        nn.init.normal_(mine, std=0.5)
        theirs.data.copy_(mine)
    x, state = torch.randn(2, 3), (torch.randn(2, 5), torch.randn(2, 5))
    output, made = ours.step(x, state)
    expected = cell(x, state)
    assert output is made[0]
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    mine = torch.autograd.grad(made[0].sum() + made[1].square().sum(), list(ours.parameters()))
    theirs = torch.autograd.grad(expected[0].sum() + expected[1].square().sum(), list(cell.parameters()))
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_without_weight_peepholes_change_nothing() -> None:
    plain, seeing = LSTM(3, 4), LSTM(3, 4, peepholes=True)
    seeing.load_state_dict(plain.state_dict(), strict=False)
    x, lengths = torch.randn(3, 6, 3), torch.tensor([2, 6, 4])
    for one, other in zip(plain(x, lengths), seeing(x, lengths), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_the_cell_of_a_row_that_has_ended_keeps_its_bits(kind: torch.dtype) -> None:
    """However large the weights are: the gates are shut and opened far beyond them."""
    layer = LSTM(3, 16).to(kind)
    for weight in layer.parameters():
        nn.init.normal_(weight, std=3.0)
    state = tuple(torch.randn(4, 16).to(kind) for _ in range(2))
    _, ends = layer(torch.randn(4, 30, 3).to(kind), torch.tensor([0, 30, 0, 7]), state)
    for one, other in zip(ends, state, strict=True):
        assert torch.equal(one[[0, 2]], other[[0, 2]]) and not torch.equal(one[3], other[3])


def test_a_cell_with_shut_gates_keeps_value_and_gradient_for_a_thousand_steps() -> None:
    """The constant error carousel (1997, section 3.2): what a plain state would lose."""
    layer = LSTM(1, 1)
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    layer.kernel.bias_ih_l0.data.copy_(torch.tensor([-50.0, 50.0, 0.3, 0.0]))  # nothing in, everything kept
    first = torch.tensor([[0.7]], requires_grad=True)
    _, (_, c) = layer(torch.randn(1, 1000, 1), None, (torch.zeros(1, 1), first))
    c.sum().backward()
    assert c.item() == pytest.approx(0.7)
    assert first.grad is not None and first.grad.item() == pytest.approx(1.0)


def test_a_fresh_layer_forgets_little() -> None:
    weights = dict(LSTM(6, 32).kernel.named_parameters())
    for gate in weights["weight_hh_l0"].chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(32), rtol=0, atol=1e-5)
    bias = (weights["bias_ih_l0"] + weights["bias_hh_l0"]).reshape(4, 32)
    assert bias[1].eq(1).all() and not bias[[0, 2, 3]].any()


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: LSTM(0, 4), "inputs is 0"),
        (lambda: LSTM(3, 0), "width is 0"),
        (lambda: LSTM(3, 4, projection=4), "projection is 4; it must be below width 4"),
        (lambda: LSTM(3, 4, projection=0), "projection is 0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
