"""CTC: learn to write down a sequence without being told when each of its symbols happens.

A recogniser of speech or handwriting scores every symbol at every frame. The transcript says which symbols
come in which order, and not where. Graves et al. (2006) add a symbol, the blank, and let a path spell a
label by first merging repeats and then dropping blanks: both "aa-b" and "-abb" spell "ab". The loss is
minus the log probability of all paths that spell the label. There are exponentially many, but those that
agree from a frame on can be added up, as in a hidden Markov model. Put blanks around every symbol,

    l' = - l_1 - l_2 - ... l_n -           2 n + 1 states

    alpha_t(s) = p_t(l'_s) (alpha_(t-1)(s) + alpha_(t-1)(s-1) [+ alpha_(t-1)(s-2)])      equations 6 and 7
    beta_t(s) the same backwards, from the frame after t to the end                      equations 10 and 11
    P(label) = alpha_T(last) + alpha_T(last but one)                                     equation 8

where the jump by two is allowed onto a symbol that differs from the one before the blank. The product
alpha beta / P says how likely a path is in state s at frame t, and gives the gradient (equation 16):

    dL / dz_t(k) = softmax(z_t)(k) - sum over s with l'_s = k of alpha_t(s) beta_t(s) / P

All of it in logarithms: the probability of a path underflows after a hundred frames.

Axes used below
    t  frames      b  batch      c  classes, the blank among them      n  symbols of a label
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.losses.reduction import at_least_float32, check_floating, reduce_losses, require

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Connectionist temporal classification",
    paper="https://doi.org/10.1145/1143844.1143891",
    year=2006,
    summary="Learns to transcribe from transcripts alone, by adding up every way a label can be spelled.",
    rows=("LO09",),
    builds_on=("reduction",),
    differs=(
        "It takes logits, so that its gradient is the true one; torch's takes log probabilities and assumes"
        " that a log softmax stands before.",
        "beta leaves out the frame it stands at, so alpha beta needs no division by p.",
        "A label that does not fit into its frames is refused, where torch gives an infinite loss.",
    ),
    oracle="torch.nn.CTCLoss on 200 lattices, values and gradients; all paths, one by one, up to 5 frames",
)


def ctc_loss(
    logits: Tensor,
    target: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Float[Tensor, "..."]:
    """Minus the log probability of each label, in nats, from ``logits`` (t, b, c) before any softmax.

    ``target`` (b, n) holds classes that are not ``blank``, of which the first ``target_lengths`` (b,) count;
    of the frames the first ``input_lengths`` (b,), 1 to t, count. The mean is torch's: each loss over the
    length of its label (1 for an empty one), then over the batch. "none" gives (b,), undivided. An empty
    batch gives 0. With ``zero_infinity`` a label that does not fit into its frames has loss and gradient 0.

    Raises ``ValueError`` for other shapes and dtypes, lengths out of range, symbols of no class, the blank
    in a label, and labels that do not fit into their frames (n, and 1 more for each repeat).
    """
    check_floating(logits=logits)
    require(logits.ndim == 3, "logits.shape", tuple(logits.shape), "(frames, batch, classes)")
    frames, batch, classes = logits.shape
    require(0 <= blank < classes, "blank", blank, f"a class, 0 to {classes - 1}")
    label = target.long()
    require(target.ndim == 2 and len(target) == batch, "target.shape", tuple(target.shape), f"({batch}, n)")
    sizes = _lengths("target_lengths", target_lengths, batch, 0, target.shape[1])
    times = _lengths("input_lengths", input_lengths, batch, 1, frames)
    if batch == 0:
        return reduce_losses(logits.sum((0, 2)), reduction)
    _check_symbols(label, sizes, classes, blank)
    _check_room(label, sizes, times, zero_infinity)
    log_p = at_least_float32(logits).log_softmax(-1)
    losses = F.ctc_loss(log_p, label, times, sizes, blank, reduction="none", zero_infinity=zero_infinity)
    if reduction == "mean":
        losses = losses / sizes.clamp(min=1).to(losses)
    return reduce_losses(losses, reduction)


def _lengths(name: str, lengths: Tensor, batch: int, low: int, high: int) -> Tensor:
    integer = not lengths.is_floating_point() and lengths.dtype != torch.bool
    require(integer, f"{name}.dtype", lengths.dtype, "an integer type, as torch.int64")
    require(lengths.shape == (batch,), f"{name}.shape", tuple(lengths.shape), f"({batch},)")
    outside = (lengths < low) | (lengths > high)
    if bool(outside.any()):
        raise ValueError(f"{name} holds {lengths[outside][0].item()}; a length is {low} to {high} here")
    return lengths.long()


def _check_symbols(label: Tensor, sizes: Tensor, classes: int, blank: int) -> None:
    used = torch.arange(label.shape[1], device=label.device) < sizes.to(label.device).unsqueeze(1)
    stray = used & ((label < 0) | (label >= classes) | (label == blank))
    if bool(stray.any()):
        raise ValueError(
            f"target holds {label[stray][0].item()}; allowed are the classes 0 to {classes - 1} without the "
            f"blank, {blank}"
        )


def _check_room(label: Tensor, sizes: Tensor, times: Tensor, zero_infinity: bool) -> None:
    """A repeat takes one frame more: without a blank between them two equal symbols would be one."""
    sizes, times = sizes.to(label.device), times.to(label.device)
    second = torch.arange(1, max(1, label.shape[1]), device=label.device) < sizes.unsqueeze(1)
    need = sizes + ((label[:, 1:] == label[:, :-1]) & second).sum(1)
    short = need > times
    if not zero_infinity and bool(short.any()):
        i = int(short.nonzero()[0])
        raise ValueError(
            f"input_lengths is {times[i].item()} for sample {i}, whose label needs {need[i].item()} frames; "
            "give more frames, a shorter label, or zero_infinity=True to leave such samples out"
        )


def ctc_loss_by_hand(
    logits: Float[Tensor, "t b c"],
    target: Int[Tensor, "b n"],
    input_lengths: Int[Tensor, " b"],
    target_lengths: Int[Tensor, " b"],
    *,
    blank: int = 0,
) -> Float[Tensor, ""]:
    """The alpha recursion, sample by sample and state by state; None is a state that no path has reached."""
    losses = []
    for i in range(len(target)):
        time, size = int(input_lengths[i]), int(target_lengths[i])
        scores = logits[:time, i]
        log_p = scores - scores.exp().sum(-1, keepdim=True).log()
        states = _with_blanks(target[i, :size].tolist(), blank)

        alpha = [log_p[0, symbol] if s < 2 else None for s, symbol in enumerate(states)]
        for t in range(1, time):
            before, alpha = alpha, []
            for s, symbol in enumerate(states):
                came_from = [before[s]]
                if s >= 1:
                    came_from.append(before[s - 1])
                if _may_jump(states, s, blank):
                    came_from.append(before[s - 2])
                total = _log_sum(came_from)
                alpha.append(None if total is None else total + log_p[t, symbol])
        log_probability = _log_sum(alpha[-2:])
        assert log_probability is not None, "the label does not fit into its frames"
        losses.append(-log_probability / max(1, size))
    return torch.stack(losses).mean()


def ctc_gradient(
    logits: Float[Tensor, "t b c"],
    target: Int[Tensor, "b n"],
    input_lengths: Int[Tensor, " b"],
    target_lengths: Int[Tensor, " b"],
    *,
    blank: int = 0,
) -> Float[Tensor, "t b c"]:
    """The gradient of the summed ``ctc_loss`` with respect to ``logits``, by automatic differentiation."""
    leaf = logits.detach().requires_grad_()
    loss = ctc_loss(leaf, target, input_lengths, target_lengths, blank=blank, reduction="sum")
    return torch.autograd.grad(loss, leaf)[0]


@torch.no_grad()
def ctc_gradient_by_hand(
    logits: Float[Tensor, "t b c"],
    target: Int[Tensor, "b n"],
    input_lengths: Int[Tensor, " b"],
    target_lengths: Int[Tensor, " b"],
    *,
    blank: int = 0,
) -> Float[Tensor, "t b c"]:
    """The same by the forward-backward algorithm: probability minus how likely a path is there."""
    gradient = torch.zeros_like(logits)
    for i in range(len(target)):
        time, size = int(input_lengths[i]), int(target_lengths[i])
        log_p = logits[:time, i].log_softmax(-1)
        states = _with_blanks(target[i, :size].tolist(), blank)
        alpha, beta = _forward(log_p, states, blank), _backward(log_p, states, blank)
        log_probability = torch.logsumexp(alpha[-1, -2:], 0)
        present = (alpha + beta - log_probability).exp()  # (t, states): each row sums to 1
        gradient[:time, i] = log_p.exp().index_add(1, torch.tensor(states), present, alpha=-1)
    return gradient


def _forward(log_p: Tensor, states: list[int], blank: int) -> Tensor:
    """Log alpha (t, states)."""
    emitted = log_p[:, states]
    jump = torch.tensor([_may_jump(states, s, blank) for s in range(len(states))])
    alpha = torch.full_like(emitted, -torch.inf)
    alpha[0, :2] = emitted[0, :2]
    for t in range(1, len(log_p)):
        stay = alpha[t - 1]
        step, leap = _shifted(stay, 1), torch.where(jump, _shifted(stay, 2), -torch.inf)
        alpha[t] = torch.logsumexp(torch.stack([stay, step, leap]), 0) + emitted[t]
    return alpha


def _backward(log_p: Tensor, states: list[int], blank: int) -> Tensor:
    """Log beta (t, states): the forward recursion on frames and states reversed, before its emission."""
    alpha = _forward(log_p.flip(0), states[::-1], blank).flip(0, 1)
    return alpha - log_p[:, states]


def _shifted(row: Tensor, by: int) -> Tensor:
    """Each state sees the one ``by`` places before it."""
    return torch.cat([row.new_full((min(by, len(row)),), -torch.inf), row[: len(row) - by]])


def _with_blanks(label: list[int], blank: int) -> list[int]:
    states = [blank]
    for symbol in label:
        states += [symbol, blank]
    return states


def _may_jump(states: list[int], s: int, blank: int) -> bool:
    """Whether a path may come from two states before: onto a symbol, from another one."""
    return s >= 2 and states[s] != blank and states[s] != states[s - 2]


def _log_sum(terms: list[Tensor | None]) -> Tensor | None:
    """Log of the sum of exp of the terms that are there."""
    present = [term for term in terms if term is not None]
    return torch.logsumexp(torch.stack(present), 0) if present else None


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, 4, dtype=torch.float64, generator=dice)
    label = torch.tensor([[1, 1, 2], [3, 1, 0], [0, 0, 0]])
    times, sizes = torch.tensor([6, 4, 5]), torch.tensor([3, 2, 0])

    def ours(logits: Tensor) -> Tensor:
        return ctc_loss(logits, label, times, sizes)

    def by_hand(logits: Tensor) -> Tensor:
        return ctc_loss_by_hand(logits, label, times, sizes)

    yield Twin("CTC", ours, by_hand, (logits,))
    lattice = {"target": label, "input_lengths": times, "target_lengths": sizes}
    ours, by_hand = partial(ctc_gradient, **lattice), partial(ctc_gradient_by_hand, **lattice)
    yield Twin("gradient by forward-backward", ours, by_hand, (logits,), gradients=False)
