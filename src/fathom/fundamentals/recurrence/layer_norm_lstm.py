"""Layer-norm LSTM: the sums that go into the gates are brought to one scale at every step.

What a recurrent layer sums up grows and shrinks over time, and the gates saturate. Statistics of a batch are
no cure: each step would need its own, and sequences differ in length. Ba, Kiros and Hinton (2016, supplement,
equations 20 to 22) normalise over the units of one step, with the same scales and places for all steps:

    (i, f, g, o) = LN(W x; a_x) + LN(U h; a_h) + b
    c' = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h' = sigmoid(o) * tanh(LN(c'; a_c))

What comes from the input and what comes from the state are normalised apart, each over all four gates; c' is
carried on as it is, and only what is shown of it is normalised. Scaling W or U then changes nothing.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      w  width of the cell and the output
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.normalization.layer_norm import LayerNorm
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, State, as_function
from fathom.fundamentals.recurrence.vanilla_rnn import require_sizes

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="LSTM with layer normalisation",
    paper="https://arxiv.org/abs/1607.06450",
    year=2016,
    summary="An LSTM whose gates see sums of one scale, however long the sequence and large the weights.",
    rows=("RR07",),
    builds_on=("padded_sequences", "layer_norm", "vanilla_rnn"),
    differs=(
        "The places of LN(W x) and LN(U h) are left out, since b does the same; torch's own example does so.",
        "Begins with orthogonal U and an open forget gate, as the other layers here.",
    ),
    oracle="the equations, one unit at a time in NumPy; without scales and with W, U scaled, itself",
)


class LayerNormLSTM(Recurrent):
    """One layer, run step by step. The states are the output h and the cell c, each (b, w).

    Gates stand in the order i, f, g, o. Raises ``ValueError`` for sizes below 1 and ``epsilon`` not positive.
    """

    def __init__(self, inputs: int, width: int, *, epsilon: float = 1e-5) -> None:
        super().__init__()
        require_sizes(inputs=inputs, width=width)
        self.inputs, self.outputs, self.widths = inputs, width, (width, width)
        self.weight_ih = nn.Parameter(torch.empty(4 * width, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * width, width))
        self.bias = nn.Parameter(torch.empty(4 * width))
        self.norm_x = LayerNorm(4 * width, epsilon=epsilon, bias=False)
        self.norm_h = LayerNorm(4 * width, epsilon=epsilon, bias=False)
        self.norm_c = LayerNorm(width, epsilon=epsilon)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """All initialisation in one place.

        W           Xavier uniform, each gate for itself
        U           orthogonal, each gate for itself
        b           zeros, but ones for the forget gate
        scales      ones, places zeros
        """
        for gate in self.weight_ih.chunk(4):
            nn.init.xavier_uniform_(gate)
        for gate in self.weight_hh.chunk(4):
            nn.init.orthogonal_(gate)
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.bias.chunk(4)[1])

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b w"], State]:
        h, c = state
        from_x, from_h = F.linear(x, self.weight_ih), F.linear(h, self.weight_hh)
        i, f, g, o = (self.norm_x(from_x) + self.norm_h(from_h) + self.bias).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * self.norm_c(c).tanh()
        return h, (h, c)


def layer_norm_lstm_by_hand(
    x: Float[Tensor, "b t d"],
    h: Float[Tensor, "b w"],
    c: Float[Tensor, "b w"],
    w: Float[Tensor, "w4 d"],
    u: Float[Tensor, "w4 w"],
    b: Float[Tensor, "w4"],
    scale_x: Float[Tensor, "w4"],
    scale_h: Float[Tensor, "w4"],
    scale_c: Float[Tensor, "w"],
    place_c: Float[Tensor, "w"],
    epsilon: float = 1e-5,
) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b w"], Float[Tensor, "b w"]]:
    """One sequence after the other, step by step."""

    def normal(sums: Tensor) -> Tensor:
        mean = sums.sum() / len(sums)
        variance = ((sums - mean) ** 2).sum() / len(sums)
        return (sums - mean) / torch.sqrt(variance + epsilon)

    outputs, states = [], []
    for sequence, shown, cell in zip(x, h, c, strict=True):
        made = []
        for now in sequence:
            gates = scale_x * normal(w @ now) + scale_h * normal(u @ shown) + b
            i, f, g, o = gates.reshape(4, -1)
            cell = cell / (1 + torch.exp(-f)) + torch.tanh(g) / (1 + torch.exp(-i))
            shown = torch.tanh(scale_c * normal(cell) + place_c) / (1 + torch.exp(-o))
            made.append(shown)
        outputs.append(torch.stack(made))
        states.append((shown, cell))
    shown, cell = (torch.stack(part) for part in zip(*states, strict=True))
    return torch.stack(outputs), shown, cell


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        layer = LayerNormLSTM(3, 4)
    sizes = ((2, 5, 3), (2, 4), (2, 4), *(tuple(weight.shape) for weight in layer.parameters()))
    inputs = tuple(torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    yield Twin("layer-norm lstm", as_function(layer), layer_norm_lstm_by_hand, inputs)
