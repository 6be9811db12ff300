"""Running text as rows: windows of equal length, each with the same window one token later as its target.

It is read from files as characters; the order of the text is kept, its end held out. Also the models of
text that need no network: counts of tokens after their last few predecessors.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.split import Data
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


def read_text(path: Path, skip_bad: bool = False) -> tuple[str, dict[str, Any]]:
    """The text of a file, or of the .txt files of a folder in the order of their names, and facts on it.

    Lines end with a line feed, whatever they ended with. A file that is not UTF-8 raises ``InputError``;
    with ``skip_bad`` it is left out and named in the facts.
    """
    files = sorted(f for f in path.iterdir() if f.suffix.lower() == ".txt") if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} holds no .txt file; give a text file or a folder of such")
    texts: list[str] = []
    bad: list[str] = []
    for file in files:
        try:
            read = file.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            if not skip_bad:
                raise InputError(
                    f"{file} is not UTF-8 text ({error.reason} at byte {error.start}); convert it, or leave"
                    " such files out with --skip-bad"
                ) from error
            bad.append(file.name)
            continue
        texts.append(read.replace("\r\n", "\n").replace("\r", "\n"))
    text = "\n".join(texts)
    facts = {"source": path.name, "files": len(texts), "skipped_files": bad, "characters": len(text)}
    return text, {**facts, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def encode(text: str, vocabulary: Sequence[str]) -> Tensor:
    """int64 (n,): the number of each character. One that is not in ``vocabulary`` raises ``InputError``."""
    numbers = {c: i for i, c in enumerate(vocabulary)}
    strange = sorted(set(text) - set(numbers))
    if strange:
        raise InputError(
            f"the text holds {' '.join(map(repr, strange[:10]))}, which is not in the vocabulary of"
            f" {len(numbers)} characters; leave such characters out"
        )
    return torch.tensor([numbers[c] for c in text], dtype=torch.int64)


def parts(text: Tensor, length: int, stride: int, facts: dict[str, Any]) -> Data:
    """Windows of the first 90 % of ``text``, of the next 5 % and of the last 5 %.

    Windows to train on overlap, ``stride`` characters apart, so that a character is met at many places.
    """
    cuts = round(0.9 * len(text)), round(0.95 * len(text))
    train, valid, test = text[: cuts[0]], text[cuts[0] : cuts[1]], text[cuts[1] :]
    sizes = {"train": len(train), "valid": len(valid), "test": len(test)}
    return Data(
        Windows(train, length, stride), Windows(valid, length), Windows(test, length), {**facts, **sizes}
    )


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
