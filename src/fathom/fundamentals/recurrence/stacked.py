"""Stacked: recurrent layers one above the other, each reading what the one below shows at every step.

A recurrent network is deep in time and, with one layer, flat at each step. Graves, Mohamed and Hinton (2013,
equation 11) put layer upon layer: the output of layer k at step t is the input of layer k + 1 at step t.

    h^k_t = layer_k(h^(k-1)_t, h^k_(t-1)),      h^0 = x

Between layers, and not between steps, values may be dropped while training (Zaremba, Sutskever and Vinyals
2014): what is carried through time stays whole.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      r  outputs of the top layer
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.gru import GRU, gru_by_hand
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, State, as_function
from fathom.fundamentals.recurrence.vanilla_rnn import RNN, rnn_by_hand
from fathom.fundamentals.regularization.dropout import Dropout

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Stacked recurrent layers",
    paper="https://arxiv.org/abs/1303.5778",
    year=2013,
    summary="Recurrent layers on top of each other: deep at each step as well as in time.",
    rows=("RR07",),
    builds_on=("padded_sequences", "vanilla_rnn", "gru", "dropout"),
    oracle="torch.nn.RNN, LSTM, GRU with num_layers=3: outputs and states 1e-5, gradients 1e-4",
)

Run = Callable[[Any, Tensor, State], tuple[Tensor, State]]  # a layer, its input and states


class Stacked(Recurrent):
    """``layers`` from the bottom to the top; the states of all of them, in this order.

    With ``dropout`` in [0, 1), that share of the values between layers is dropped while training. Raises
    ``ValueError`` for no layer, another rate, and a layer that does not take what the one below gives.
    """

    def __init__(self, layers: Sequence[Recurrent], dropout: float = 0.0) -> None:
        super().__init__()
        if not layers:
            raise ValueError("layers is empty; give one or more, the bottom one first")
        for below, above in pairwise(layers):
            if above.inputs != below.outputs:
                raise ValueError(
                    f"a layer that takes {above.inputs} numbers stands on one that gives {below.outputs};"
                    f" give the upper one inputs={below.outputs}"
                )
        self.layers, self.dropout = nn.ModuleList(layers), Dropout(dropout)
        self.inputs, self.outputs = layers[0].inputs, layers[-1].outputs
        self.widths = tuple(width for layer in layers for width in layer.widths)
        self.cuts = tuple(accumulate((len(layer.widths) for layer in layers), initial=0))

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b r"], State]:
        return self._climb(x, state, lambda layer, x, own: layer.step(x, own))

    def forward(
        self, x: Float[Tensor, "b t d"], lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "b t r"], State]:
        return self._climb(x, self.begin(x, lengths, state), lambda layer, x, own: layer(x, lengths, own))

    def _climb(self, x: Tensor, state: State, run: Run) -> tuple[Tensor, State]:
        """From the bottom to the top; ``run`` takes a layer, its input and its own states."""
        carried: State = ()
        for layer, (low, high) in zip(self.layers, pairwise(self.cuts), strict=True):
            x = self.dropout(x) if carried else x
            x, own = run(layer, x, state[low:high])
            carried += own
        return x, carried


def stacked_by_hand(x: Tensor, h1: Tensor, h2: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A GRU on a plain layer: the equations of the one on the outputs of the other."""
    below, h1 = rnn_by_hand(x, h1, *weights[:4])
    above, h2 = gru_by_hand(below, h2, *weights[4:])
    return above, h1, h2


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    with torch.device("meta"):
        layer = Stacked([RNN(3, 4), GRU(4, 2)])
    sizes = ((2, 5, 3), (2, 4), (2, 2), *(tuple(weight.shape) for weight in layer.parameters()))
    dice = torch.Generator().manual_seed(0)
    inputs = tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    yield Twin("a GRU on a plain layer", as_function(layer), stacked_by_hand, inputs)
