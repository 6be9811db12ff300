"""Back-propagation through time by hand against autograd and torch.nn.RNN; and how far a window reaches."""

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.recurrence.backpropagation_through_time import (
    gradients_by_hand,
    gradients_of_windows,
    windows,
)
from fathom.fundamentals.recurrence.lstm import LSTM
from fathom.fundamentals.recurrence.stacked import Stacked
from fathom.fundamentals.recurrence.vanilla_rnn import RNN


def draws(steps: int = 12) -> tuple[Tensor, ...]:
    sizes = ((3, steps, 2), (3, 5), (5, 2), (5, 5), (5,), (5,), (3, steps, 5))
    return tuple(0.6 * torch.randn(size, dtype=torch.float64) for size in sizes)


def test_gradients_by_hand_are_those_of_torchs_network() -> None:
    x, h, *weights, slopes = draws()
    net = nn.RNN(2, 5, batch_first=True).double()
    with torch.no_grad():
        for weight, given in zip(net.parameters(), weights, strict=True):
            weight.copy_(given)
    leaves = [x.clone().requires_grad_(), h.clone().requires_grad_(), *net.parameters()]
    wanted = torch.autograd.grad((net(leaves[0], leaves[1][None])[0] * slopes).sum(), leaves)
    for one, other in zip(gradients_by_hand(x, h, *weights, slopes), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("length", [1, 2, 5, 11])
def test_a_window_cuts_off_what_came_before_and_nothing_else(length: int) -> None:
    given = draws()
    whole, cut = gradients_by_hand(*given), gradients_by_hand(*given, length=length)
    assert not torch.allclose(whole[3], cut[3], atol=1e-3)
    for one, other in zip(gradients_of_windows(*given, length=length), cut, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)
    last = (12 - 1) // length * length  # a loss at the end alone reaches the steps of the last window
    end = torch.zeros_like(given[-1])
    end[:, -1] = 1.0
    dx = gradients_by_hand(*given[:-1], end, length=length)[0]
    assert not dx[:, :last].any() and dx[:, last:].any(dim=0).all()


def test_one_window_is_the_whole() -> None:
    given = draws()
    for one, other in zip(gradients_by_hand(*given), gradients_by_hand(*given, length=12), strict=True):
        assert torch.equal(one, other)


def test_windows_carry_states_on_and_cover_every_step() -> None:
    layer, x = Stacked([LSTM(2, 4), RNN(4, 3)]), torch.randn(2, 11, 2)
    whole, ends = layer(x)
    found, state = [], ()  # type: ignore[var-annotated]
    for steps, outputs, state in windows(layer, x, 4):  # noqa: B007
        assert outputs.shape[1] == steps.stop - steps.start
        found.append(outputs)
    torch.testing.assert_close(torch.cat(found, dim=1), whole)
    for one, other in zip(state, ends, strict=True):
        torch.testing.assert_close(one, other)


def test_it_learns_with_the_memory_of_one_window() -> None:
    """A lag of 2 is learned with windows of 4, and not with windows of 1, whose errors reach no further."""
    losses = {}
    for length in (4, 1):
        torch.manual_seed(3)
        layer, head = RNN(1, 8), nn.Linear(8, 1)
        adam = torch.optim.Adam([*layer.parameters(), *head.parameters()], 0.02)
        for _ in range(60):
            x = torch.randn(16, 20, 1)
            goal, total = torch.roll(x, 2, dims=1), 0.0
            adam.zero_grad()
            for steps, outputs, _ in windows(layer, x, length):
                loss = (head(outputs) - goal[:, steps]).square().mean()
                loss.backward()
                total += loss.item() * (steps.stop - steps.start) / 20
            adam.step()
            losses[length] = total
    assert losses[4] < 0.6 * losses[1]


def test_a_window_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="length is 0; a window has 1 step or more"):
        next(windows(RNN(2, 3), torch.zeros(1, 4, 2), 0))
