"""Token sampling: the filters of logits in one order, then a draw.

Filters do not commute: a temperature before a nucleus widens it, after it does not. The order here is the one
in which people's settings are meant, that of transformers: repetition penalty, temperature, top-k, nucleus,
min-p (Holtzman et al. 2020 compare them alone). A filter that is not asked for does not run.

Axes used below
    b  batch      v  vocabulary      t  time: tokens so far
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.decoding.greedy_decoding import greedy
from fathom.fundamentals.decoding.min_p_sampling import min_p
from fathom.fundamentals.decoding.nucleus_sampling import nucleus
from fathom.fundamentals.decoding.repetition_penalty import repetition_penalty
from fathom.fundamentals.decoding.temperature_sampling import draw, tempered
from fathom.fundamentals.decoding.top_k_sampling import top_k

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Token sampling",
    paper="https://arxiv.org/abs/1904.09751",
    year=2020,
    summary="Filters the logits of the next token in a fixed order and draws one.",
    rows=("NL08",),
    builds_on=(
        "greedy_decoding",
        "temperature_sampling",
        "top_k_sampling",
        "nucleus_sampling",
        "min_p_sampling",
        "repetition_penalty",
    ),
    oracle="generate of transformers with the same settings and seed: probabilities and tokens",
)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to choose a token. A temperature of 0 is greedy; None leaves a filter out."""

    temperature: float | int = 1.0
    top_k: int | None = None
    nucleus: float | int | None = None  # in (0, 1]
    min_p: float | int | None = None  # in [0, 1]
    repetition_penalty: float | int = 1.0

    def __post_init__(self) -> None:
        """Try them on two tokens, so that a wrong one is refused before a text is begun."""
        self.filtered(torch.zeros(1, 2), torch.zeros(1, 1, dtype=torch.int64))

    def filtered(self, logits: Float[Tensor, "b v"], tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b v"]:
        """``logits`` after ``tokens`` as they are drawn from. Raises ``ValueError`` as each filter does."""
        if self.repetition_penalty != 1:
            logits = repetition_penalty(logits, tokens, float(self.repetition_penalty))
        if self.temperature not in (0, 1):
            logits = tempered(logits, float(self.temperature))
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        if self.nucleus is not None:
            logits = nucleus(logits, float(self.nucleus))
        return logits if self.min_p is None else min_p(logits, float(self.min_p))

    def choose(
        self,
        logits: Float[Tensor, "b v"],
        tokens: Int[Tensor, "b t"],
        generator: torch.Generator | None = None,
    ) -> Int[Tensor, " b"]:
        """The next token of each text."""
        found = self.filtered(logits, tokens)
        return greedy(found) if self.temperature == 0 else draw(found, generator)


def filtered_by_hand(
    logits: Float[Tensor, "b v"], tokens: Int[Tensor, "b t"], sampling: Sampling
) -> Float[Tensor, "b v"]:
    """The same in the words of each filter, token by token, on logarithms of probabilities."""
    rows = []
    for row, text in zip(logits.tolist(), tokens.tolist(), strict=True):
        theta, heat = sampling.repetition_penalty, sampling.temperature or 1
        row = [(x * theta if x < 0 else x / theta) if i in text else x for i, x in enumerate(row)]
        row = [x / heat for x in row]
        for name in ("top_k", "nucleus", "min_p"):
            limit = getattr(sampling, name)
            if limit is not None:
                shares = torch.tensor(row, dtype=logits.dtype).softmax(0).tolist()
                row = [x if _stays(name, limit, shares, i) else -torch.inf for i, x in enumerate(row)]
        rows.append(row)
    return torch.tensor(rows, dtype=logits.dtype)


def _stays(name: str, limit: float | int, shares: list[float], i: int) -> bool:
    better = [p for p in shares if p > shares[i]]
    if name == "min_p":
        return shares[i] >= limit * max(shares)
    return len(better) < limit if name == "top_k" else not better or sum(better) < limit


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.linspace(0, 41, 60, dtype=torch.float64).sin().reshape(6, 10) * 4
    tokens = torch.arange(12).reshape(6, 2) % 10
    for sampling in (
        Sampling(),
        Sampling(temperature=0, repetition_penalty=1.3),
        Sampling(temperature=0.7, top_k=5, nucleus=0.9),
        Sampling(temperature=2.0, min_p=0.2, nucleus=0.8, repetition_penalty=0.9),
    ):
        yield Twin(
            str(sampling),
            lambda x, s=sampling: s.filtered(x, tokens).softmax(dim=-1),
            lambda x, s=sampling: filtered_by_hand(x, tokens, s).softmax(dim=-1),
            (logits,),
            gradients=False,
        )
