"""Bidirectional: one recurrent layer reads from the left, one from the right, and each step is shown by both.

A recurrent layer knows what came before a step and nothing of what follows. Where the whole sequence is at
hand, Schuster and Paliwal (1997) run a second layer, with weights of its own, from the end to the beginning,
and put the outputs of both at each step side by side:

    y_t = [ forward(x_1 .. x_t) ; backward(x_T .. x_t) ]

T is the end of each sequence, not that of the block it stands in: sequences are turned round within their
own lengths. The first output of the backward layer has read everything, as the last of the forward one has.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      r  outputs of both directions
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.recurrence.lstm import LSTM, lstm_by_hand
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, State, as_function, reverse
from fathom.fundamentals.recurrence.vanilla_rnn import RNN, rnn_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Bidirectional recurrent layer",
    paper="https://doi.org/10.1109/78.650093",
    year=1997,
    summary="Reads a sequence from both ends, so that each step is seen with what follows it too.",
    rows=("RR06",),
    builds_on=("padded_sequences", "vanilla_rnn", "lstm"),
    oracle="torch.nn.RNN, LSTM, GRU with bidirectional=True: outputs and states 1e-5, gradients 1e-4",
)


class Bidirectional(Recurrent):
    """``forwards`` and ``backwards``, two layers that read the same; their outputs and states in this order.

    There is no single step: the backward layer begins at the end. Raises ``ValueError`` for layers that take
    different inputs, and for one and the same layer twice.
    """

    def __init__(self, forwards: Recurrent, backwards: Recurrent) -> None:
        super().__init__()
        if forwards is backwards:
            raise ValueError("forwards and backwards are one layer; each direction has weights of its own")
        if forwards.inputs != backwards.inputs:
            raise ValueError(
                f"forwards takes {forwards.inputs} numbers a step and backwards {backwards.inputs};"
                " both read the same sequence"
            )
        self.forwards, self.backwards = forwards, backwards
        self.inputs, self.outputs = forwards.inputs, forwards.outputs + backwards.outputs
        self.widths = (*forwards.widths, *backwards.widths)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b r"], State]:
        raise ValueError("a bidirectional layer reads whole sequences; one that only reads forwards can step")

    def forward(
        self, x: Float[Tensor, "b t d"], lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "b t r"], State]:
        state = self.begin(x, lengths, state)
        here = len(self.forwards.widths)
        right, right_state = self.forwards(x, lengths, state[:here])
        left, left_state = self.backwards(reverse(x, lengths), lengths, state[here:])
        return torch.cat([right, reverse(left, lengths)], dim=2), (*right_state, *left_state)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: a plain layer to the right, an LSTM to the left."""
    from fathom.fundamentals.twin import Twin

    with torch.device("meta"):
        layer = Bidirectional(RNN(3, 4), LSTM(3, 2))
    sizes = ((2, 5, 3), (2, 4), (2, 2), (2, 2), *(tuple(weight.shape) for weight in layer.parameters()))
    dice = torch.Generator().manual_seed(0)
    inputs = tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    run, lengths = as_function(layer), (3, 5)
    yield Twin(
        "right and left", lambda *given: run(*given, lengths=torch.tensor(lengths)),
        lambda *given: bidirectional_by_hand(*given, lengths=lengths), inputs,
    )  # fmt: skip


def bidirectional_by_hand(
    x: Tensor, h: Tensor, left_h: Tensor, left_c: Tensor, *weights: Tensor, lengths: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """Sequence by sequence without its filling: each layer by hand, one of them on a mirror image."""
    outputs, states = [], []
    for k, length in enumerate(lengths):
        own = x[k : k + 1, :length]
        right, right_h = rnn_by_hand(own, h[k : k + 1], *weights[:4])
        left, *carried = lstm_by_hand(own.flip(1), left_h[k : k + 1], left_c[k : k + 1], *weights[4:])
        rows = [torch.cat([right[0, t], left[0, length - 1 - t]]) for t in range(length)]
        rows += [torch.zeros_like(rows[0])] * (x.shape[1] - length)
        outputs.append(torch.stack(rows))
        states.append((right_h, *carried))
    return torch.stack(outputs), *(torch.cat(part) for part in zip(*states, strict=True))
