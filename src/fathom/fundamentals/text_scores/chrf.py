"""chrF: how many runs of characters a translation shares with one that a person made.

BLEU gives nothing for "Hauses" where "Haus" was expected. Popovic (2015) compares runs of one to six
characters, without the spaces, so a part of a word counts as far as it goes, which suits languages that
build long words, and needs no rule of what a word is. With precision P and recall R, each averaged over the
lengths of runs,

    chrF = 100 (1 + b^2) P R / (b^2 P + R)             b = 2: recall counts twice as much (Popovic 2016)

chrF++ (Popovic 2017) adds runs of one and two words, of which signs at either end are cut off. Counts are
summed over all texts and only then divided; of several references each text is held to the one that it does
best against. Lengths of which the texts, or the references, have no runs are left out of the averages.

Axes used below
    n  texts      o  lengths of runs      3 counts: in the text, in the reference, in both
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fathom.card import Card
from fathom.fundamentals.text_scores.bleu import References, listed, runs

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="chrF and chrF++",
    paper="https://aclanthology.org/W15-3049/",
    year=2015,
    summary="Scores translations by the runs of up to six characters that they share with those of people.",
    rows=("NL06",),
    builds_on=("bleu",),
    differs=(
        "P and R are averaged over lengths before they are joined, as sacrebleu does; chrF++.py joins first.",
        "Only one sign is cut off a word, the last before the first: '(hi)' becomes '(hi' and ')', as there.",
    ),
    oracle="sacrebleu 2.6.0, chrF and chrF++, corpus and sentence, to 1e-9",
)

CHARACTERS = 6  # the longest runs of characters that are counted
SIGNATURE = "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no"  # as sacrebleu writes those of ``corpus_chrf``
SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def corpus_chrf(
    written: Sequence[str], references: References, *, words: int = 0, beta: float | int = 2.0
) -> float:
    """The chrF in [0, 100] of all texts together; with ``words`` 2, chrF++.

    ``references`` holds one text, or several, for each. Raises ``ValueError`` for no texts, for another
    number of references, for a text without any, for negative ``words``, and for a ``beta`` that is not
    above 0.
    """
    return chrf_of(chrf_counts(written, references, words=words, beta=beta).sum(axis=0), beta=beta)


def sentence_chrf(
    written: str, references: str | Sequence[str], *, words: int = 0, beta: float | int = 2.0
) -> float:
    """The chrF in [0, 100] of one text. Raises as ``corpus_chrf`` does."""
    return corpus_chrf([written], [references], words=words, beta=beta)


def chrf_counts(
    written: Sequence[str], references: References, *, words: int = 0, beta: float | int = 2.0
) -> np.ndarray:
    """int64 (n, o, 3): what of each text counts, held to its best reference. Sums are what ``chrf_of`` takes.

    Raises as ``corpus_chrf`` does.
    """
    if words < 0 or not 0 < beta < float("inf"):
        raise ValueError(f"words is {words}, beta is {beta}; they must be 0 or more, and above 0 and finite")
    rows = []
    for text, known in zip(written, listed(written, references), strict=True):
        ours = pieces(text, words)
        candidates = [shared(ours, pieces(one, words)) for one in known]
        rows.append(max(candidates, key=lambda counts: chrf_of(counts, beta=beta)))  # the first of equal ones
    return np.stack(rows)


def chrf_of(counts: np.ndarray, *, beta: float | int = 2.0) -> float:
    """The chrF in [0, 100] of ``counts`` (o, 3), summed over texts; 0 where nothing is shared."""
    kept = counts[(counts[:, 0] > 0) & (counts[:, 1] > 0)].astype(np.float64)
    if not kept[:, 2].any():
        return 0.0
    precision, recall = (kept[:, 2] / kept[:, 0]).mean(), (kept[:, 2] / kept[:, 1]).mean()
    return float(100 * (1 + beta**2) * precision * recall / (beta**2 * precision + recall))


def pieces(text: str, words: int) -> list[Counter[str] | Counter[tuple[str, ...]]]:
    """Runs of each length: of 1 to 6 characters without spaces, then of 1 to ``words`` words."""
    solid = "".join(text.split())
    cut: list[str] = [part for word in text.split() for part in without_sign(word)] if words else []
    found: list[Counter[str] | Counter[tuple[str, ...]]] = [
        Counter(solid[i : i + n] for i in range(len(solid) - n + 1)) for n in range(1, CHARACTERS + 1)
    ]
    return found + [runs(cut, n) for n in range(1, words + 1)]


def without_sign(word: str) -> list[str]:
    """A word and the sign at its end, or else the one at its beginning, apart."""
    if len(word) > 1 and word[-1] in SIGNS:
        return [word[:-1], word[-1]]
    if len(word) > 1 and word[0] in SIGNS:
        return [word[0], word[1:]]
    return [word]


def shared(ours: Sequence[Counter], theirs: Sequence[Counter]) -> np.ndarray:
    """int64 (o, 3). Runs of a length that the reference does not have are not held against the text."""
    return np.array(
        [
            [a.total() if b else 0, b.total(), sum(min(n, b[run]) for run, n in a.items() if run in b)]
            for a, b in zip(ours, theirs, strict=True)
        ],
        dtype=np.int64,
    )


def corpus_chrf_by_hand(
    written: Sequence[str], references: Sequence[str], words: int = 0, beta: float | int = 2.0
) -> float:
    """Run by run, against one reference each: strike out of the reference what is found there."""
    orders = CHARACTERS + words
    ours, theirs, both = [0] * orders, [0] * orders, [0] * orders
    for text, known in zip(written, references, strict=True):
        for k in range(orders):
            lists = []
            for one in (text, known):
                if k < CHARACTERS:
                    signs, size = [sign for sign in one if not sign.isspace()], k + 1
                else:
                    signs, size = cut_by_hand(one), k - CHARACTERS + 1
                lists.append([signs[i : i + size] for i in range(len(signs) - size + 1)])
            mine, other = lists
            ours[k] += len(mine) if other else 0
            theirs[k] += len(other)
            for run in mine:
                if run in other:
                    other.remove(run)
                    both[k] += 1
    precisions = [both[k] / ours[k] for k in range(orders) if ours[k] and theirs[k]]
    recalls = [both[k] / theirs[k] for k in range(orders) if ours[k] and theirs[k]]
    if sum(precisions) == 0:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 100 * (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def cut_by_hand(text: str) -> list[str]:
    """The words of a text, one sign of each apart: at the end if there is one, else at the beginning."""
    found: list[str] = []
    for word in text.split():
        if len(word) == 1:
            found.append(word)
        elif word[len(word) - 1] in SIGNS:
            found.extend((word[: len(word) - 1], word[len(word) - 1]))
        elif word[0] in SIGNS:
            found.extend((word[0], word[1:]))
        else:
            found.append(word)
    return found


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    written = ["des Hauses Dach ist rot.", "", "(ja) 'nein'", "aaaa b"]
    known = ["Das Dach des Hauses, rot!", "etwas", "ja nein", "aa b b"]
    for name, words, beta in (("chrF", 0, 2.0), ("chrF++", 2, 2.0), ("as much precision as recall", 1, 1.0)):
        yield Twin(
            name, lambda w=words, b=beta: [corpus_chrf(written, known, words=w, beta=b)],
            lambda w=words, b=beta: [corpus_chrf_by_hand(written, known, w, b)], (), gradients=False,
        )  # fmt: skip
