"""ReLU against torch, its slope at zero, and dead units against loops."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.fundamentals.activations.relu import (
    DeadUnitCounter,
    dead_units,
    dead_units_by_hand,
    relu,
    relu_by_hand,
)


def test_values_and_gradients_are_torchs(contract: Callable[..., None]) -> None:
    contract(relu, relu_by_hand, F.relu)


@pytest.mark.parametrize("function", [relu, relu_by_hand])
def test_slope_at_zero_is_zero(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.tensor([-1e-300, -0.0, 0.0, 1e-300], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    assert slope.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("function", [relu, relu_by_hand])
def test_nothing_is_hidden(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf])
    y = function(x)
    assert bool(y[0].isnan()) and y[1:].tolist() == [torch.inf, 0]


def test_dead_units_match_a_loop() -> None:
    dice = torch.Generator().manual_seed(0)
    for _ in range(30):
        outputs = torch.relu(torch.randn(3, 8, generator=dice))
        assert dead_units(outputs) == dead_units_by_hand(outputs)


def test_a_channel_is_dead_when_it_is_zero_everywhere() -> None:
    outputs = torch.zeros(2, 3, 4, 4)
    outputs[1, 2, 3, 3] = 1e-30
    assert dead_units(outputs) == 2
    assert dead_units(outputs.movedim(1, -1), axis=-1) == 2
    assert dead_units(torch.full((2, 3), torch.nan)) == 0  # broken is not dead


def test_the_counter_adds_up_batches_and_leaves_no_hook() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 0.0, 0.0, -1.0]))
        model[2].weight.fill_(1.0)
        model[2].bias.fill_(-100.0)
    with DeadUnitCounter(model) as counter:
        before = model(torch.tensor([[2.0, 0.0]]))
        assert counter.dead() == {"1": (3, 4), "3": (3, 3)}
        model(torch.tensor([[-2.0, 3.0]]))
    assert counter.dead() == {"1": (1, 4), "3": (3, 3)}
    assert torch.equal(model(torch.tensor([[2.0, 0.0]])), before)
    model(torch.tensor([[200.0, 0.0]]))
    assert counter.dead()["3"] == (3, 3)  # no longer watching


def test_a_dead_unit_gets_no_gradient_and_a_living_one_does() -> None:
    weight = torch.tensor([[-1.0], [1.0]], requires_grad=True)
    relu(torch.tensor([[1.0], [2.0]]) @ weight.T).sum().backward()
    assert weight.grad is not None and weight.grad.flatten().tolist() == [0, 3]


def test_bad_input_is_refused(refuses_integers: Callable[..., None]) -> None:
    refuses_integers(relu)
    with pytest.raises(ValueError, match=r"outputs has dtype torch\.int64"):
        dead_units(torch.zeros(2, 3, dtype=torch.int64))
    for axis in (0, 2, -2, -3):
        with pytest.raises(ValueError, match=f"axis is {axis}; outputs of shape"):
            dead_units(torch.zeros(2, 3), axis=axis)
    with pytest.raises(ValueError, match="without an example"):
        dead_units(torch.zeros(0, 3))
    with pytest.raises(ValueError, match="no module of the kinds ReLU"):
        DeadUnitCounter(nn.Linear(2, 2))
