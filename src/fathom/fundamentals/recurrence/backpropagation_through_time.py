"""Back-propagation through time: the gradient of a recurrent network, by hand, and cut off after some steps.

Unrolled over time a recurrent network is a deep one whose layers share their weights, so the chain rule runs
backwards through the steps and adds up what each of them says (Werbos 1990). For the plain network

    a_t = W x_t + b + U h_(t-1) + c,    h_t = tanh(a_t)

with s_t = dL/dh_t, what the loss says at step t directly, and e_t = dL/da_t:

    e_t = (1 - h_t^2) * (s_t + U^T e_(t+1))
    dW = sum_t e_t x_t^T      dU = sum_t e_t h_(t-1)^T      db = dc = sum_t e_t
    dx_t = W^T e_t            dh_0 = U^T e_1

All states must be kept, and nothing is learned before the end. Truncated, the sequence is run in windows:
states go on from one to the next, gradients do not, so U^T e_(t+1) is left out at each border (Williams and
Peng 1990). It costs memory for one window; what it cannot learn is a link longer than that.

Axes used below
    b  batch      t  time, in steps      d  numbers of one step      w  width of the state
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.recurrence.padded_sequences import Recurrent, State, as_function
from fathom.fundamentals.recurrence.vanilla_rnn import RNN

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Back-propagation through time, whole and truncated",
    paper="https://doi.org/10.1109/5.58337",
    year=1990,
    summary="Carries errors backwards step by step, to the beginning or as far as one window reaches.",
    rows=("RR02",),
    builds_on=("padded_sequences", "vanilla_rnn"),
    differs=(
        "Windows stand end to end: a loss in the first step of one reaches no step before it, where Williams"
        " and Peng let windows overlap.",
    ),
    oracle="autograd, whole and with states cut off between windows; torch.nn.RNN",
)


def windows(
    layer: Recurrent, x: Float[Tensor, "b t d"], length: int, state: State | None = None
) -> Iterator[tuple[slice, Float[Tensor, "b length r"], State]]:
    """Run ``layer`` over ``x`` in windows of ``length`` steps, the last one perhaps shorter.

    Gives for each the steps it covers, their outputs, and the states after them. The next window goes on from
    these states, and no gradient passes the border: call ``backward`` on the loss of each window, and its
    memory is free before the next one begins. Raises ``ValueError`` for a length below 1.
    """
    if length < 1:
        raise ValueError(f"length is {length}; a window has 1 step or more")
    for first in range(0, x.shape[1], length):
        steps = slice(first, min(first + length, x.shape[1]))
        outputs, ends = layer(x[:, steps], None, state)
        yield steps, outputs, ends
        state = tuple(part.detach() for part in ends)


def gradients_by_hand(
    x: Float[Tensor, "b t d"],
    h: Float[Tensor, "b w"],
    w: Float[Tensor, "w d"],
    u: Float[Tensor, "w w"],
    b: Float[Tensor, "w"],
    c: Float[Tensor, "w"],
    slopes: Float[Tensor, "b t w"],
    *,
    length: int | None = None,
) -> tuple[Tensor, ...]:
    """Of x, the first state h, W, U, b and c, where ``slopes`` holds s: dL/dh_t from the loss itself.

    Errors go back to the beginning of their window of ``length`` steps; None means all the way.
    """
    length = x.shape[1] if length is None else length
    states = [h]
    for t in range(x.shape[1]):
        states.append(torch.tanh(x[:, t] @ w.T + b + states[-1] @ u.T + c))

    dx, dw, du, db = (torch.zeros_like(part) for part in (x, w, u, b))
    arriving = torch.zeros_like(h)  # U^T e_(t+1)
    for t in reversed(range(x.shape[1])):
        if (t + 1) % length == 0:
            arriving = torch.zeros_like(h)
        error = (1 - states[t + 1] ** 2) * (slopes[:, t] + arriving)
        dw = dw + error.T @ x[:, t]
        du = du + error.T @ states[t]
        db = db + error.sum(dim=0)
        dx[:, t] = error @ w
        arriving = error @ u
    return dx, arriving, dw, du, db, db


def gradients_of_windows(
    x: Tensor, h: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor, slopes: Tensor, *, length: int
) -> tuple[Tensor, ...]:
    """The same from autograd, window after window, each let go of before the next."""
    layer = RNN(x.shape[2], h.shape[1]).to(x.dtype)
    with torch.no_grad():
        for weight, given in zip(layer.parameters(), (w, u, b, c), strict=True):
            weight.copy_(given)
    leaves = [x.clone().requires_grad_(), h.clone().requires_grad_(), *layer.parameters()]
    for steps, outputs, _ in windows(layer, leaves[0], length, (leaves[1],)):
        (outputs * slopes[:, steps]).sum().backward()
    return tuple(leaf.grad for leaf in leaves if leaf.grad is not None)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: the gradients are the values here."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    sizes = ((2, 7, 3), (2, 4), (4, 3), (4, 4), (4,), (4,), (2, 7, 4))
    inputs = tuple(0.7 * torch.randn(size, dtype=torch.float64, generator=dice) for size in sizes)
    with torch.device("meta"):
        run = as_function(RNN(3, 4))

    def whole(*given: Tensor) -> tuple[Tensor, ...]:
        leaves = [part.clone().requires_grad_() for part in given[:-1]]
        return torch.autograd.grad((run(*leaves)[0] * given[-1]).sum(), leaves)

    yield Twin("all the way", whole, gradients_by_hand, inputs, gradients=False)
    for length in (1, 3, 7):
        yield Twin(
            f"windows of {length}", lambda *given, n=length: gradients_of_windows(*given, length=n),
            lambda *given, n=length: gradients_by_hand(*given, length=n), inputs, gradients=False,
        )  # fmt: skip
