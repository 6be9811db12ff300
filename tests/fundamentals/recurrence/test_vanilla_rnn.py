"""The plain recurrent layer against torch's cell, and what it begins as."""

import pytest
import torch
from torch import nn

from fathom.fundamentals.recurrence.vanilla_rnn import RNN


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_outputs_and_gradients_are_those_of_torchs_cell(nonlinearity: str) -> None:
    ours, cell = RNN(3, 5, nonlinearity=nonlinearity), nn.RNNCell(3, 5, nonlinearity=nonlinearity)  # type: ignore[arg-type]
    for (name, mine), theirs in zip(ours.kernel.named_parameters(), cell.parameters(), strict=True):
        nn.init.normal_(mine, std=0.5)
        theirs.data.copy_(mine)
        assert name.removesuffix("_l0") in dict(cell.named_parameters())
    x, h = torch.randn(2, 7, 3), torch.randn(2, 5)
    outputs, (end,) = ours(x, None, (h,))
    expected = []
    for t in range(7):
        h = cell(x[:, t], h)
        expected.append(h)
    torch.testing.assert_close(outputs, torch.stack(expected, 1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(end, h, rtol=1e-5, atol=1e-5)
    goal = torch.randn(2, 7, 5)
    (outputs * goal).sum().backward()
    (torch.stack(expected, 1) * goal).sum().backward()
    for mine, theirs in zip(ours.parameters(), cell.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-4)


def test_a_fresh_layer_keeps_lengths() -> None:
    layer = RNN(8, 32)
    weights = dict(layer.kernel.named_parameters())
    torch.testing.assert_close(
        weights["weight_hh_l0"].T @ weights["weight_hh_l0"], torch.eye(32), rtol=0, atol=1e-5
    )
    assert not weights["bias_ih_l0"].any() and not weights["bias_hh_l0"].any()
    bound = (6 / (8 + 32)) ** 0.5
    assert 0.9 * bound < weights["weight_ih_l0"].abs().max() <= bound


def test_a_linear_layer_that_copies_counts() -> None:
    """ReLU, U = 1 and W = 1 add up what is read (Le, Jaitly and Hinton 2015, section 3)."""
    layer = RNN(1, 1, nonlinearity="relu")
    for name, weight in layer.kernel.named_parameters():
        nn.init.constant_(weight, float(name.startswith("weight")))
    outputs, _ = layer(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))
    assert outputs.flatten().tolist() == [1, 3, 6, 10]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_other_precisions(kind: torch.dtype) -> None:
    layer, x = RNN(3, 5), torch.randn(2, 6, 3)
    expected = layer(x, torch.tensor([4, 6]))[0]
    found = layer.to(kind)(x.to(kind), torch.tensor([4, 6]))[0]
    torch.testing.assert_close(found.float(), expected, rtol=0.03, atol=0.03)


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: RNN(0, 4), "inputs is 0"),
        (lambda: RNN(3, -1), "width is -1"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    with pytest.raises((ValueError, TypeError), match="nonlinearity"):
        RNN(3, 4, nonlinearity="sigmoid")  # type: ignore[arg-type]
