"""Running text as rows: windows of equal length, each with the same window one token later as its target.

Also the models of text that need no network: counts of tokens after their last few predecessors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.errors import InputError
from fathom.training.objectives import IGNORE


@dataclass(frozen=True)
class Windows:
    """Rows (tokens int64 (b, length), next tokens int64 (b, length)) of one ``text``, int64 (n,).

    Row k begins at token ``k * stride``. Where ``stride`` equals ``length`` (the default) each token is
    a target in exactly one row, but for the very first; the last row is filled up with token 0 and the
    target ``IGNORE``. A smaller stride gives overlapping rows for training, whole ones only.
    """

    text: Tensor
    length: int
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.length < 1 or (self.stride is not None and not 1 <= self.stride <= self.length):
            raise InputError(
                f"windows of {self.length} tokens every {self.stride}: the length must be 1 or more, and the"
                " stride between 1 and the length"
            )
        needed = 2 if self.stride in (None, self.length) else self.length + 1
        if len(self.text) < needed:
            raise InputError(
                f"the text has {len(self.text)} tokens; windows of {self.length} tokens need {needed} or more"
            )

    def __len__(self) -> int:
        if self.stride in (None, self.length):
            return math.ceil((len(self.text) - 1) / self.length)
        return (len(self.text) - 1 - self.length) // self.stride + 1

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        first = index[:, None] * (self.stride or self.length)
        place = first + torch.arange(self.length)
        last = len(self.text) - 1
        token = torch.where(place < last, self.text[place.clamp(max=last)], 0)
        target = torch.where(place < last, self.text[(place + 1).clamp(max=last)], IGNORE)
        return token, target


def running_text(split: Any) -> Tensor:
    """The tokens of ``split`` in order: its text where it has one, else its rows one after the other."""
    if isinstance(split, Windows):
        return split.text
    token, target = split.rows(torch.arange(len(split)))
    kept = target != IGNORE
    return torch.cat([token[kept], target[kept][-1:]])


class Counts:
    """Probabilities of the next token after the last ``order`` tokens, counted in ``text``.

    Each order leans on the one below it as a Dirichlet prior (MacKay and Peto 1995, eq. 16 with a fixed
    strength): P_k(w | s) = (n(s, w) + a P_{k-1}(w | shorter s)) / (n(s) + a), down to the uniform one.
    ``strength`` is a, in tokens.
    """

    def __init__(
        self, text: np.ndarray, vocabulary: int, order: int, strength: Sequence[float] = (1, 5, 20)
    ) -> None:
        if not 0 <= order < len(strength):
            raise ValueError(f"order is {order}; it must be between 0 and {len(strength) - 1}")
        if vocabulary ** (order + 1) >= 2**62:
            raise ValueError(f"vocabulary is {vocabulary}; it is too large for order {order}")
        self.vocabulary, self.order, self.strength = vocabulary, order, strength
        self.tables: list[tuple[Table, Table]] = []
        for k in range(order + 1):  # the last token of the text is no context: nothing follows it
            contexts = counted(text[:-1] if k else text, vocabulary, k)
            self.tables.append((contexts, counted(text, vocabulary, k + 1)))

    def probability(self, text: np.ndarray) -> np.ndarray:
        """Of each token of ``text`` but the first, given those before it: float64 (n - 1,)."""
        likely = np.full(len(text) - 1, 1.0 / self.vocabulary)
        for k, (contexts, sequences) in enumerate(self.tables):
            first = max(k, 1)  # the first token that has k tokens before it, and is to be predicted
            seen = look_up(sequences, coded(text, self.vocabulary, k + 1)[first - k :])
            total = look_up(contexts, coded(text[:-1], self.vocabulary, k)[first - k :])
            shorter = likely[first - 1 :]
            likely[first - 1 :] = (seen + self.strength[k] * shorter) / (total + self.strength[k])
        return likely


Table = tuple[np.ndarray, np.ndarray]  # codes of sequences, sorted, and how often each was seen


def coded(text: np.ndarray, vocabulary: int, length: int) -> np.ndarray:
    """One number for each run of ``length`` tokens: int64 (n - length + 1,)."""
    count = len(text) - length + 1
    code = np.zeros(max(count, 0), dtype=np.int64)
    for k in range(length):
        code = code * vocabulary + text[k : k + count]
    return code


def counted(text: np.ndarray, vocabulary: int, length: int) -> Table:
    """How often each run of ``length`` tokens occurs; of length 0, how many tokens there are."""
    if not length:
        return np.zeros(1, dtype=np.int64), np.array([len(text)])
    codes, counts = np.unique(coded(text, vocabulary, length), return_counts=True)
    return codes, counts


def look_up(table: Table, codes: np.ndarray) -> np.ndarray:
    """The counts of ``codes``; 0 for those that were never seen."""
    places = np.searchsorted(table[0], codes).clip(max=len(table[0]) - 1)
    return np.where(table[0][places] == codes, table[1][places], 0)
