"""LSTM: a recurrent layer whose memory is added to, so that what it learned long ago is not worn away.

A plain recurrent network multiplies its state by a matrix at every step. Hochreiter and Schmidhuber (1997)
keep a second state, the cell c, which is only scaled by a gate and added to; gates, numbers between 0 and 1,
say what is written, kept and shown. The gate that forgets came with Gers, Schmidhuber and Cummins (2000).

    i = sigmoid(W_i x + U_i h [+ p_i * c])       how much is written
    f = sigmoid(W_f x + U_f h [+ p_f * c])       how much is kept
    g = tanh   (W_g x + U_g h)                   what is written
    c' = f * c + i * g
    o = sigmoid(W_o x + U_o h [+ p_o * c'])      how much is shown
    h' = [P] (o * tanh(c'))

each W x + U h with its biases b + c. In brackets, two options: peepholes let the gates look at the cell (Gers
and Schmidhuber 2000), a projection makes the output narrower than the cell (Sak, Senior and Beaufays 2014).
Along the cell an error comes back through factors f alone: where they are near 1 it arrives whole.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step
    w  width of the cell                 r  width of the output, that of the cell unless it is projected
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.padded_sequences import (
    Recurrent,
    State,
    as_function,
    hide,
    last,
    mask,
    scan,
)
from fathom.fundamentals.recurrence.vanilla_rnn import begin_orthogonal, require_sizes

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="LSTM layer",
    paper="https://doi.org/10.1162/neco.1997.9.8.1735",
    year=1997,
    summary="A recurrent layer with a memory that gates write to, keep and show.",
    rows=("RR04",),
    builds_on=("padded_sequences", "vanilla_rnn"),
    differs=(
        "Has forget gates, which the 1997 paper lacks: all later work has them (Gers et al. 2000).",
        "Gradients flow back through all steps; the paper cuts them off at the gates' inputs.",
    ),
    oracle="torch.nn.LSTM: outputs 1e-5, gradients 1e-4, stacked, two-way, projected; peepholes: NumPy",
)

SHUT = 1e4  # far beyond what sigmoid can tell from its limits, 0 and 1, in any precision


class LSTM(Recurrent):
    """One layer. ``kernel`` holds the weights under torch's names, and runs sequences without peepholes.

    The states are the output h (b, r) and the cell c (b, w). ``projection`` is r, below ``width``, or None.
    With ``peepholes`` there is a weight ``peephole`` (3, w), for i, f and o, which begins with zeros; the
    steps are then made one by one. Forget gates begin open, with a bias of 1. Raises ``ValueError`` for other
    sizes.
    """

    def __init__(
        self, inputs: int, width: int, *, projection: int | None = None, peepholes: bool = False
    ) -> None:
        super().__init__()
        require_sizes(inputs=inputs, width=width)
        if projection is not None and not 1 <= projection < width:
            raise ValueError(f"projection is {projection}; it must be below width {width}, or None for none")
        self.inputs, self.outputs, self.width = inputs, projection or width, width
        self.widths = (self.outputs, width)
        self.kernel = nn.LSTM(inputs, width, batch_first=True, proj_size=projection or 0)
        self.peephole = nn.Parameter(torch.zeros(3, width)) if peepholes else None
        begin_orthogonal(self.kernel, gates=4)
        _, _, bias, *_ = self.kernel.parameters()
        nn.init.ones_(bias.data[width : 2 * width])  # torch's order is i, f, g, o

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b r"], State]:
        h, c = state
        w, u, b, b2, *projection = self.kernel.parameters()
        i, f, g, o = (F.linear(x, w, b) + F.linear(h, u, b2)).chunk(4, dim=-1)
        if self.peephole is not None:
            i, f = i + self.peephole[0] * c, f + self.peephole[1] * c
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        if self.peephole is not None:
            o = o + self.peephole[2] * c
        h = o.sigmoid() * c.tanh()
        for narrow in projection:
            h = F.linear(h, narrow)
        return h, (h, c)

    def forward(
        self, x: Float[Tensor, "b t d"], lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "b t r"], State]:
        h, c = self.begin(x, lengths, state)
        if self.peephole is not None:  # torch has no kernel for these
            return scan(self.step, x, (h, c), lengths)
        if lengths is None:
            outputs, (h, c) = self.kernel(x, (h[None], c[None]))
            return outputs, (h[0], c[0])
        outputs, c = self._padded(hide(x, lengths), lengths, h, c)
        return hide(outputs, lengths), (last(outputs, lengths, h), c)

    def _padded(self, x: Tensor, lengths: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (b, t, r), and the cells (b, w) after each row's own steps, from torch's kernel.

        Of the cells it gives the last alone. So each step gets one number more, 1 where there is filling, and
        that number shuts the input gate and opens the forget gate: c' = 1 * c + 0 * g, the same bits.
        """
        w, *others = self.kernel.parameters()
        ended = ~mask(lengths, x.shape[1])
        gates = torch.tensor([-SHUT, SHUT, 0.0, 0.0], dtype=x.dtype, device=x.device)
        seeing = torch.cat([w, gates.repeat_interleave(self.width)[:, None]], dim=1)
        longer = torch.cat([x, ended[:, :, None].to(x)], dim=2)
        outputs, _, c = torch.lstm(
            longer, (h[None], c[None]), [seeing, *others], True, 1, 0.0, self.training, False, True
        )
        return outputs, c[0]


def lstm_by_hand(
    x: Float[Tensor, "b t d"],
    h: Float[Tensor, "b r"],
    c: Float[Tensor, "b w"],
    *weights: Tensor,
    peepholes: bool = False,
    projected: bool = False,
) -> tuple[Float[Tensor, "b t r"], Float[Tensor, "b r"], Float[Tensor, "b w"]]:
    """One sequence after the other, step by step, the equations above.

    ``weights``: [peephole (3, w),] W (4 w, d), U (4 w, r), their biases (4 w) [, P (r, w)]; gates i, f, g, o.
    """
    p = weights[0] if peepholes else torch.zeros(3, c.shape[1], dtype=x.dtype)
    w, u, b, b2 = weights[peepholes : peepholes + 4]
    outputs, states = [], []
    for sequence, shown, cell in zip(x, h, c, strict=True):
        made = []
        for now in sequence:
            i, f, g, o = (w @ now + b + u @ shown + b2).reshape(4, -1)
            kept = cell / (1 + torch.exp(-f - p[1] * cell))
            cell = kept + torch.tanh(g) / (1 + torch.exp(-i - p[0] * cell))
            shown = torch.tanh(cell) / (1 + torch.exp(-o - p[2] * cell))
            shown = weights[-1] @ shown if projected else shown
            made.append(shown)
        outputs.append(torch.stack(made))
        states.append((shown, cell))
    shown, cell = (torch.stack(part) for part in zip(*states, strict=True))
    return torch.stack(outputs), shown, cell


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)

    def draws(*sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
        return tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)

    for peepholes, projection in ((False, None), (True, None), (True, 2)):
        r = projection or 4
        with torch.device("meta"):
            layer = LSTM(3, 4, projection=projection, peepholes=peepholes)
        sizes = [tuple(weight.shape) for weight in layer.parameters()]

        def by_hand(
            *given: Tensor, peepholes: bool = peepholes, projected: bool = r < 4
        ) -> tuple[Tensor, Tensor, Tensor]:
            return lstm_by_hand(*given, peepholes=peepholes, projected=projected)

        name = f"lstm{' with peepholes' if peepholes else ''}{' and a projection' if projection else ''}"
        yield Twin(name, as_function(layer), by_hand, draws((2, 5, 3), (2, r), (2, 4), *sizes))

    with torch.device("meta"):
        layer = LSTM(3, 4)
    run, lengths = as_function(layer), (2, 5)

    def alone(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = [
            lstm_by_hand(x[k : k + 1, :n], h[k : k + 1], c[k : k + 1], *weights)
            for k, n in enumerate(lengths)
        ]
        outputs, shown, cell = zip(*rows, strict=True)
        return nn.utils.rnn.pad_sequence([o[0] for o in outputs], True), torch.cat(shown), torch.cat(cell)

    sizes = [tuple(weight.shape) for weight in layer.parameters()]
    yield Twin(
        "lstm on padded rows", lambda *given: run(*given, lengths=torch.tensor(lengths)), alone,
        draws((2, 5, 3), (2, 4), (2, 4), *sizes),
    )  # fmt: skip
