"""GRU: a recurrent layer with two gates and no second state.

Cho et al. (2014, section 2.3) get by with one state. An update gate z mixes the old state with a new one, and
where it stays open nothing is lost; a reset gate r says how much of the old state the new one may see.

    r = sigmoid(W_r x + b_r + U_r h + c_r)
    z = sigmoid(W_z x + b_z + U_z h + c_z)
    n = tanh   (W_n x + b_n + r * (U_n h + c_n))        or, as the paper has it,  U_n (r * h) + c_n
    h' = z * h + (1 - z) * n

The first n resets after the product with U, so that all products of a step can be made at once: cuDNN's form,
torch's only one, and Keras's by default (``reset_after``). The second resets before it. They differ where U_n
mixes units whose reset gates differ; neither is better by nature.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      w  width of the state
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, State, as_function, hide, last, scan
from fathom.fundamentals.recurrence.vanilla_rnn import begin_orthogonal, require_sizes

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="GRU layer",
    paper="https://arxiv.org/abs/1406.1078",
    year=2014,
    summary="A recurrent layer that at each step keeps a part of its state and renews the rest.",
    rows=("RR05",),
    builds_on=("padded_sequences", "vanilla_rnn"),
    differs=(
        "Resets after the product with U unless told otherwise: that is what fast kernels do.",
        "Has biases, which the paper leaves out of its equations.",
    ),
    oracle="torch.nn.GRU: outputs 1e-5, gradients 1e-4; keras.layers.GRU with reset_after on and off",
)


class GRU(Recurrent):
    """One layer. ``kernel`` holds the weights under torch's names, and runs sequences if ``reset_after``.

    The state is one tensor, the output of the last step. Raises ``ValueError`` for sizes below 1.
    """

    def __init__(self, inputs: int, width: int, *, reset_after: bool = True) -> None:
        super().__init__()
        require_sizes(inputs=inputs, width=width)
        self.inputs, self.outputs, self.widths, self.reset_after = inputs, width, (width,), reset_after
        self.kernel = nn.GRU(inputs, width, batch_first=True)
        begin_orthogonal(self.kernel, gates=3)

    def step(self, x: Float[Tensor, "b d"], state: State) -> tuple[Float[Tensor, "b w"], State]:
        (h,) = state
        w, u, b, c = self.kernel.parameters()
        gates = (2 * self.outputs, self.outputs)  # r and z, then n
        (u_gates, u_new), (c_gates, c_new) = u.split(gates), c.split(gates)
        x_gates, x_new = F.linear(x, w, b).split(gates, dim=-1)
        r, z = (x_gates + F.linear(h, u_gates, c_gates)).sigmoid().chunk(2, dim=-1)
        seen = r * F.linear(h, u_new, c_new) if self.reset_after else F.linear(r * h, u_new, c_new)
        h = z * h + (1 - z) * (x_new + seen).tanh()
        return h, (h,)

    def forward(
        self, x: Float[Tensor, "b t d"], lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Float[Tensor, "b t w"], State]:
        (h,) = self.begin(x, lengths, state)
        if not self.reset_after:  # torch has no kernel for this
            return scan(self.step, x, (h,), lengths)
        outputs = self.kernel(hide(x, lengths), h[None])[0]
        return hide(outputs, lengths), (last(outputs, lengths, h),)


def gru_by_hand(
    x: Float[Tensor, "b t d"],
    h: Float[Tensor, "b w"],
    w: Float[Tensor, "w3 d"],
    u: Float[Tensor, "w3 w"],
    b: Float[Tensor, "w3"],
    c: Float[Tensor, "w3"],
    *,
    reset_after: bool = True,
) -> tuple[Float[Tensor, "b t w"], Float[Tensor, "b w"]]:
    """One sequence after the other, step by step, each gate by itself. The gates' order is r, z, n."""
    (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n), (c_r, c_z, c_n) = (
        part.chunk(3) for part in (w, u, b, c)
    )
    outputs = []
    for sequence, state in zip(x, h, strict=True):
        made = []
        for now in sequence:
            r = 1 / (1 + torch.exp(-(w_r @ now + b_r + u_r @ state + c_r)))
            z = 1 / (1 + torch.exp(-(w_z @ now + b_z + u_z @ state + c_z)))
            seen = r * (u_n @ state + c_n) if reset_after else u_n @ (r * state) + c_n
            state = z * state + (1 - z) * torch.tanh(w_n @ now + b_n + seen)
            made.append(state)
        outputs.append(torch.stack(made))
    block = torch.stack(outputs)
    return block, block[:, -1]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    sizes = ((2, 5, 3), (2, 4), (12, 3), (12, 4), (12,), (12,))
    inputs = tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    for reset_after in (True, False):
        with torch.device("meta"):
            layer = GRU(3, 4, reset_after=reset_after)
        name = f"reset {'after' if reset_after else 'before'} the product"
        yield Twin(name, as_function(layer), partial(gru_by_hand, reset_after=reset_after), inputs)
