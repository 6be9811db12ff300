"""Contrastive search: of the likely next tokens, the one whose state resembles the text so far the least.

Greedy text repeats itself, and the states of a model that repeats look alike. Su et al. (2022, equation 5)
take the k likeliest tokens, run the model one step on for each, and weigh the confidence of the model
against the likeness of the new state to all before:

    s(v) = (1 - alpha) p(v | text) - alpha max_j cos(h_v, h_j)

alpha = 0 is greedy decoding; the paper uses k between 4 and 8 and alpha 0.6. There are no dice. Every token
costs a step of the model for each candidate: the price of looking one token ahead.

Axes used below
    b  batch      k  candidates      t  time: tokens so far      d  width of a state      v  vocabulary
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.decoding.greedy_decoding import checked_logits

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Contrastive search",
    paper="https://arxiv.org/abs/2202.06417",
    year=2022,
    summary="Chooses among the likely tokens the one that repeats the text so far the least.",
    rows=("NL08",),
    builds_on=("greedy_decoding",),
    oracle="equation 5 written out, candidate by candidate; alpha 0 is greedy; a loop that repeats is left",
)

Read = Callable[[Tensor], tuple[Tensor, Tensor]]  # texts (b, t) -> logits (b, t, v), states (b, t, d)


def contrastive_scores(
    shares: Float[Tensor, "b k"],
    candidates: Float[Tensor, "b k d"],
    states: Float[Tensor, "b t d"],
    alpha: float,
    mask: Bool[Tensor, "b t"] | None = None,
) -> Float[Tensor, "b k"]:
    """How good each candidate is (equation 5).

    ``shares`` are the model's probabilities of the candidates, ``candidates`` its states after each of them,
    ``states`` those of the text so far; where ``mask`` is false they are padding. Raises ``ValueError`` for
    an ``alpha`` outside [0, 1], a text without states, and scores that are not numbers.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must be in [0, 1]")
    if not states.shape[1] or (mask is not None and not bool(mask.any(dim=1).all())):
        raise ValueError(f"states has shape {tuple(states.shape)}; each text must have one or more")
    likeness = F.normalize(candidates, dim=-1) @ F.normalize(states, dim=-1).transpose(1, 2)
    if mask is not None:
        likeness = likeness.masked_fill(~mask[:, None], -torch.inf)
    scores = (1 - alpha) * shares - alpha * likeness.amax(dim=-1)
    if not bool(torch.isfinite(scores).all()):
        raise ValueError(
            "shares or states hold NaN or an infinity; the model has overflowed or its weights are damaged:"
            " try float32, or an earlier checkpoint"
        )
    return scores


def contrastive_choice(
    shares: Float[Tensor, "b k"],
    candidates: Float[Tensor, "b k d"],
    states: Float[Tensor, "b t d"],
    alpha: float,
    mask: Bool[Tensor, "b t"] | None = None,
) -> Int[Tensor, " b"]:
    """The place, of k, of the best candidate; arguments and errors as in `contrastive_scores`."""
    return contrastive_scores(shares, candidates, states, alpha, mask).argmax(dim=-1)


def contrastive_search(
    read: Read, prompt: Int[Tensor, "b t"], *, longest: int, count: int = 4, alpha: float = 0.6
) -> Int[Tensor, "b s"]:
    """``prompt`` and ``longest`` tokens more, each the best of ``count`` candidates.

    ``read`` gives, for each place of texts (n, t), the logits of what comes next and the state they are made
    of. Texts of a batch are of equal length, one token or more. Raises ``ValueError`` for numbers below 1 and
    for what `contrastive_scores` and `checked_logits` refuse.
    """
    if longest < 1 or count < 1 or not prompt.shape[1]:
        raise ValueError(
            f"longest is {longest}, count {count}, prompt {tuple(prompt.shape)}; give 1 or more of each"
        )
    text, rows = prompt, len(prompt)
    for _ in range(longest):
        logits, states = read(text)
        shares = checked_logits(logits[:, -1]).softmax(dim=-1)
        shares, tokens = shares.topk(min(count, shares.shape[-1]), dim=-1)
        tried = torch.cat([text.repeat_interleave(tokens.shape[1], 0), tokens.reshape(-1, 1)], dim=1)
        after = read(tried)[1][:, -1].unflatten(0, (rows, -1))
        chosen = contrastive_choice(shares, after, states, alpha)
        text = torch.cat([text, tokens.gather(1, chosen[:, None])], dim=1)
    return text


def contrastive_scores_by_hand(
    shares: Float[Tensor, "b k"],
    candidates: Float[Tensor, "b k d"],
    states: Float[Tensor, "b t d"],
    alpha: float,
) -> Float[Tensor, "b k"]:
    """Candidate by candidate, state by state."""
    rows = []
    for share, after, before in zip(shares, candidates, states, strict=True):
        row = []
        for p, h in zip(share, after, strict=True):
            likeness = [(h @ other) / (h.norm() * other.norm()) for other in before]
            row.append((1 - alpha) * p - alpha * torch.stack(likeness).amax())
        rows.append(torch.stack(row))
    return torch.stack(rows)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    shares = torch.linspace(0.1, 0.9, 6, dtype=torch.float64).reshape(2, 3)
    candidates = torch.linspace(1, 30, 24, dtype=torch.float64).sin().reshape(2, 3, 4)
    states = torch.linspace(3, 50, 40, dtype=torch.float64).sin().reshape(2, 5, 4)
    for alpha in (0.0, 0.6):
        yield Twin(
            f"alpha {alpha}",
            lambda p, h, s, a=alpha: contrastive_scores(p, h, s, a),
            lambda p, h, s, a=alpha: contrastive_scores_by_hand(p, h, s, a),
            (shares, candidates, states),
        )
