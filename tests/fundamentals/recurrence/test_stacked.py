"""Stacks against torch's own of several layers, weight for weight."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fathom.fundamentals.recurrence.bidirectional import Bidirectional
from fathom.fundamentals.recurrence.gru import GRU
from fathom.fundamentals.recurrence.lstm import LSTM
from fathom.fundamentals.recurrence.padded_sequences import Recurrent
from fathom.fundamentals.recurrence.stacked import Stacked
from fathom.fundamentals.recurrence.vanilla_rnn import RNN

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # torch says it is slow

Layer = Callable[[int, int], Recurrent]
KINDS: dict[str, tuple[Layer, type, dict[str, Any]]] = {
    "tanh": (RNN, nn.RNN, {}),
    "relu": (lambda d, w: RNN(d, w, nonlinearity="relu"), nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (LSTM, nn.LSTM, {}),
    "projected": (lambda d, w: LSTM(d, w, projection=4), nn.LSTM, {"proj_size": 4}),
    "gru": (GRU, nn.GRU, {}),
}


def pair(kind: str, depth: int, both: bool) -> tuple[Recurrent, Any]:
    """Our stack and torch's, of width 6 on 3 inputs, with the same random weights."""
    make, their_kind, settings = KINDS[kind]
    theirs = their_kind(3, 6, depth, batch_first=True, bidirectional=both, **settings)
    layers: list[Recurrent] = []
    for level in range(depth):
        inputs = layers[-1].outputs if layers else 3
        ways = [make(inputs, 6) for _ in range(2 if both else 1)]
        for way, end in zip(ways, ("", "_reverse"), strict=False):
            for name, weight in way.kernel.named_parameters():  # type: ignore[union-attr, operator]
                nn.init.normal_(weight, std=0.5)
                getattr(theirs, name.replace("_l0", f"_l{level}{end}")).data.copy_(weight)
        layers.append(Bidirectional(*ways) if both else ways[0])
    return Stacked(layers), theirs


def compare(kind: str, depth: int, both: bool, lengths: list[int] | None = None) -> None:
    ours, theirs = pair(kind, depth, both)
    x, goal = torch.randn(4, 9, 3), torch.randn(4, 9, ours.outputs)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    sizes = None if lengths is None else torch.tensor(lengths)
    outputs, ends = ours(a, sizes)
    if lengths is None:
        expected, their_ends = theirs(b)
    else:
        packed = nn.utils.rnn.pack_padded_sequence(b, torch.tensor(lengths), True, enforce_sorted=False)
        expected, their_ends = theirs(packed)
        expected, _ = nn.utils.rnn.pad_packed_sequence(expected, True, total_length=9)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-5)
    their_ends = their_ends if isinstance(their_ends, tuple) else (their_ends,)
    for one, other in zip(ends, [e for level in zip(*their_ends, strict=True) for e in level], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    (outputs * goal).sum().backward()
    (expected * goal).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4)
    mine = [weight.grad for weight in ours.parameters()]
    for one, other in zip(mine, theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_stack_is_torchs(kind: str, depth: int) -> None:
    compare(kind, depth, both=False)
    compare(kind, depth, both=False, lengths=[3, 9, 1, 6])


def test_a_deep_stack_of_both_directions_is_torchs() -> None:
    for kind in KINDS:
        compare(kind, 3, both=True, lengths=[3, 9, 1, 6])


def test_dropout_is_between_layers_in_training_only() -> None:
    layers = [RNN(3, 64), RNN(64, 8)]
    stack, x = Stacked(layers, dropout=0.5), torch.randn(2, 5, 3)
    assert not torch.equal(stack(x)[0], stack(x)[0])
    first, second = stack(x)[1][0], stack(x)[1][0]
    assert torch.equal(first, second)  # below the lowest layer and along time nothing is dropped
    one = Stacked(layers[:1], dropout=0.5)
    assert torch.equal(one(x)[0], layers[0](x)[0])  # nor above the highest
    stack.eval()
    assert torch.equal(stack(x)[0], layers[1](layers[0](x)[0])[0])


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: Stacked([]), "layers is empty"),
        (lambda: Stacked([RNN(3, 4), RNN(5, 4)]), r"takes 5 numbers .* gives 4; .* inputs=4"),
        (lambda: Stacked([RNN(3, 4)], dropout=1.0), "rate is 1.0"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
