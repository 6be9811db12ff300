"""The plain recurrent network: a state that at each step is mixed with what is read, and squashed.

Elman (1990) gave a network a copy of its own hidden layer as a further input, so that it could find
structure in time: what it does with a word depends on the words before.

    h_t = tanh(W x_t + b + U h_(t-1) + c),      h_0 = 0

The same W and U serve at every step, so sequences may have any length. That is also its weakness: an error
comes back through one factor U^T diag(1 - h^2) a step, and over many steps their product shrinks to nothing
or grows without bound (Bengio, Simard and Frasconi 1994). U begins orthogonal here, which keeps lengths;
with ReLU and U = 1 it is the network of Le, Jaitly and Hinton (2015).

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      w  width of the state
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, State, as_function, hide, last

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Plain recurrent network",
    paper="https://doi.org/10.1207/s15516709cog1402_1",
    year=1990,
    summary="Reads one vector after another and keeps a state that each of them changes.",
    rows=("RR02",),
    builds_on=("padded_sequences",),
    differs=(
        "Gradients go all the way back; Elman's copies are inputs, through which none flows.",
        "tanh where the paper's units are logistic, and two biases, as torch has them, which add up to one.",
    ),
    oracle="torch.nn.RNN: outputs 1e-5, gradients 1e-4, also stacked and in both directions",
)

SQUASH = {"tanh": torch.tanh, "relu": torch.relu}


class RNN(Recurrent):
    """One layer, ``width`` wide. ``kernel`` holds the weights under torch's names and runs whole sequences.

    The state is one tensor, the output of the last step. Raises ``ValueError`` for sizes below 1 and for
    another ``nonlinearity`` than "tanh" and "relu".
    """

    def __init__(self, inputs: int, width: int, *, nonlinearity: Literal["tanh", "relu"] = "tanh") -> None:
        super().__init__()
        require_sizes(inputs=inputs, width=width)
        if nonlinearity not in SQUASH:
            raise ValueError(f"nonlinearity is {nonlinearity!r}; it must be 'tanh' or 'relu'")
        self.inputs, self.outputs, self.widths, self.nonlinearity = inputs, width, (width,), nonlinearity
        self.kernel = nn.RNN(inputs, width, nonlinearity=nonlinearity, batch_first=True)
        begin_orthogonal(self.kernel, gates=1)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b w"], State]:
        w, u, b, c = self.kernel.parameters()
        h = SQUASH[self.nonlinearity](F.linear(x, w, b) + F.linear(state[0], u, c))
        return h, (h,)

    def forward(
        self, x: Float[Tensor, "b t d"], lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "b t w"], State]:
        (h,) = self.begin(x, lengths, state)
        # A row reads what fills it up after all that is its own, so its own outputs are right.
        outputs = self.kernel(hide(x, lengths), h[None])[0]
        return hide(outputs, lengths), (last(outputs, lengths, h),)


def require_sizes(**sizes: int) -> None:
    """Raise ``ValueError`` for sizes below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be 1 or more")


@torch.no_grad()
def begin_orthogonal(kernel: nn.RNNBase, gates: int) -> None:
    """The first weights of a kernel of torch, each of its ``gates`` for itself.

    W (from inputs)      Xavier uniform
    U (from states)      orthogonal: a state keeps its length
    P (projection)       Xavier uniform
    biases               zeros
    """
    for name, weight in kernel.named_parameters():
        if name.startswith("bias"):
            weight.zero_()
        elif name.startswith("weight_hr"):
            nn.init.xavier_uniform_(weight)
        else:
            for gate in weight.chunk(gates):
                (nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_)(gate)


def rnn_by_hand(
    x: Float[Tensor, "b t d"],
    h: Float[Tensor, "b w"],
    w: Float[Tensor, "w d"],
    u: Float[Tensor, "w w"],
    b: Float[Tensor, "w"],
    c: Float[Tensor, "w"],
    *,
    squash: str = "tanh",
) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b w"]]:
    """One sequence after the other, step by step, unit by unit."""
    outputs = []
    for sequence, state in zip(x, h, strict=True):
        made = []
        for now in sequence:
            sums = [w[k] @ now + b[k] + u[k] @ state + c[k] for k in range(len(b))]
            state = torch.stack([SQUASH[squash](total) for total in sums])
            made.append(state)
        outputs.append(torch.stack(made))
    block = torch.stack(outputs)
    return block, block[:, -1]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    sizes = ((2, 4, 3), (2, 5), (5, 3), (5, 5), (5,), (5,))
    inputs = tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    for squash in ("tanh", "relu"):
        with torch.device("meta"):
            ours = as_function(RNN(3, 5, nonlinearity=squash))
        yield Twin(squash, ours, partial(rnn_by_hand, squash=squash), inputs)
