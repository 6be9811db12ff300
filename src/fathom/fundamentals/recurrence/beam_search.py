"""Beam search: of all texts begun so far, keep the few that are likeliest, and go on with each of them.

A network that writes gives log p(next | what was written). The likeliest text of all would take a search over
every one there is; taking the likeliest token each time is cheap and may walk into a dead end, for a good
first word need not have good ones after it. A beam (Lowerre 1976; for translation
Sutskever, Vinyals and Le 2014, section 3.2) keeps the k best beginnings:

    extend   each beginning by every token: k v candidates, each with the sum of its log probabilities
    keep     of the k best candidates those that end are put aside as texts; the k best that do not, go on

With one beam it is greedy, with as many as there are candidates it is exhaustive. Sums fall with every token,
so short texts win; Wu et al. (2016, equation 14) divide what has ended by a length penalty

    lp = ((5 + length) / 6)^alpha            length counts the end; alpha = 0 leaves the sum as it is

A row is finished once none of its beginnings can come to rank among its k best, however it goes on: a sum
only falls, and lp is greatest at the length that is allowed at most.

Axes used below
    n  beginnings of all rows      t  tokens written      v  vocabulary      k  beams
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Beam search",
    paper="https://arxiv.org/abs/1409.3215",
    year=2014,
    summary="Writes several texts at a time and keeps those that are likeliest as a whole.",
    rows=("RR08",),
    differs=(
        "Stops a row when nothing better can come, where the paper's beam runs until it is empty.",
        "Texts that reach the greatest length without their end count as they are.",
    ),
    oracle="every text of a toy vocabulary scored one by one; transformers' generate with num_beams",
)

Score = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Hypothesis:
    """A text that has been written: its tokens without start and end, and how good it is."""

    tokens: tuple[int, ...]
    score: float  # the log probability over the length penalty
    ended: bool  # False: it was cut off at the greatest length


def length_penalty(length: int, alpha: float) -> float:
    """What the log probability of ``length`` tokens is divided by; 1 for one token, and for alpha 0."""
    return ((5 + length) / 6) ** alpha


def beam_search(
    score: Score, *, start: int, end: int, beams: int, longest: int, rows: int = 1, alpha: float = 0.0
) -> list[list[Hypothesis]]:
    """For each of ``rows`` at most ``beams`` texts, the best first, of at most ``longest`` tokens (with end).

    ``score(written, row, parent)`` gives the log probabilities (n, v) of what comes next: ``written`` (n, t)
    int64 holds the beginnings, ``start`` first; ``row`` (n,) says which row each belongs to, ``parent`` (n,)
    which of the beginnings in the call before it goes on from, so that states can be kept in step. A token of
    -inf is never written; a row in which everything is forbidden gets no text.

    Raises ``ValueError`` for ``beams``, ``longest`` or ``rows`` below 1, a negative ``alpha``, and for scores
    of another shape, above 0, or that are no numbers.
    """
    _check(beams=beams, longest=longest, rows=rows, alpha=alpha)
    done: list[list[Hypothesis]] = [[] for _ in range(rows)]
    written, total = torch.full((rows, 1), start), torch.zeros(rows, dtype=torch.float64)
    row = parent = torch.arange(rows)
    for length in range(1, longest + 1):
        sums = total[:, None] + _log_probabilities(score(written, row, parent), len(row), end)
        lines: list[tuple[int, int]] = []  # (beginning, token) of those that go on
        for r in row.unique().tolist():
            ranked = _best(sums, (row == r).nonzero()[:, 0], 2 * beams)  # at most half of them are ends
            for k, token in ranked[:beams]:
                if token == end or length == longest:
                    text = (*written[k, 1:].tolist(), *(() if token == end else (token,)))
                    value = float(sums[k, token]) / length_penalty(length, alpha)
                    done[r].append(Hypothesis(text, value, token == end))
            done[r] = sorted(done[r], key=lambda one: -one.score)[:beams]
            # A sum only falls from here on; what it is divided by grows up to the greatest length.
            bar = done[r][-1].score if len(done[r]) == beams else -math.inf
            least = bar * length_penalty(longest, alpha)
            going = [(k, token) for k, token in ranked if token != end][:beams]
            lines += [(k, token) for k, token in going if float(sums[k, token]) > least]
        if not lines or length == longest:
            break
        parent, token = torch.tensor(lines).unbind(dim=1)
        written, row = torch.cat([written[parent], token[:, None]], dim=1), row[parent]
        total = sums[parent, token]
    return done


def _best(sums: Tensor, own: Tensor, count: int) -> list[tuple[int, int]]:
    """The ``count`` likeliest (beginning, token) among the rows ``own``, the best first, none forbidden."""
    candidates = sums[own].flatten()
    value, place = candidates.topk(min(count, len(candidates)))
    size = sums.shape[1]
    pairs = zip(value.tolist(), place.tolist(), strict=True)
    return [(int(own[at // size]), at % size) for v, at in pairs if v > -math.inf]


def _check(*, beams: int, longest: int, rows: int, alpha: float) -> None:
    for name, value in (("beams", beams), ("longest", longest), ("rows", rows)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if not (alpha >= 0 and math.isfinite(alpha)):
        raise ValueError(f"alpha is {alpha}; it must be 0 or more, and finite")


def _log_probabilities(given: Tensor, count: int, end: int) -> Tensor:
    """``given`` in float64, after a check of its shape and range."""
    if given.ndim != 2 or len(given) != count or not 0 <= end < given.shape[1]:
        raise ValueError(f"score gave {tuple(given.shape)}; it must give ({count}, v), end {end} below v")
    if not bool((given <= 1e-6).all()):  # a NaN is not, either
        raise ValueError(f"score gave {given.max().item():g}; log probabilities are 0 or less")
    return given.double()


def beam_search_by_hand(
    score: Score, *, start: int, end: int, beams: int, longest: int, rows: int = 1, alpha: float = 0.0
) -> list[list[Hypothesis]]:
    """By brute force: every text there is, token by token; the ``beams`` best of each row."""
    found = []
    for r in range(rows):
        size = score(torch.tensor([[start]]), torch.tensor([r]), torch.tensor([0])).shape[1]
        tokens = [token for token in range(size) if token != end]
        texts = []
        for count in range(longest + 1):
            for text in product(tokens, repeat=count):
                whole = (*text, end) if count < longest else text
                total = 0.0
                for place, token in enumerate(whole):
                    before = torch.tensor([[start, *whole[:place]]])
                    total += float(score(before, torch.tensor([r]), torch.tensor([0]))[0, token])
                if total > -math.inf:
                    value = total / length_penalty(len(whole), alpha)
                    texts.append(Hypothesis(text, value, count < longest))
        found.append(sorted(texts, key=lambda one: -one.score)[:beams])
    return found


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: a beam as wide as a toy vocabulary has texts."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    table = torch.randn(2, 4, 4, 4, dtype=torch.float64, generator=dice)  # row, place, token before, token

    def searched(search, table: Tensor, alpha: float) -> list[Tensor]:
        def score(written: Tensor, row: Tensor, parent: Tensor) -> Tensor:
            return table[row, written.shape[1] - 1, written[:, -1]].log_softmax(dim=-1)

        found = search(score, start=0, end=3, beams=200, longest=4, rows=2, alpha=alpha)
        texts = [torch.tensor([[*one.tokens, *[-1] * (4 - len(one.tokens))] for one in row]) for row in found]
        return [*texts, *(torch.tensor([one.score for one in row]) for row in found)]

    for alpha in (0.0, 1.0):
        yield Twin(
            f"every text, length penalty {alpha:g}", lambda table, a=alpha: searched(beam_search, table, a),
            lambda table, a=alpha: searched(beam_search_by_hand, table, a), (table,), gradients=False,
        )  # fmt: skip
