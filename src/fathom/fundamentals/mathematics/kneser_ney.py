"""Kneser-Ney: what comes after a few words, from counts; what was never counted, by the company words keep.

An n-gram model predicts a word from the n - 1 before it. Most runs of n words never occur in a text, however
long, so a little is taken from each count (a discount) and handed out by the model of shorter runs. Kneser
and Ney (1995) saw that for those a count misleads: "Francisco" is frequent, but only after "San". A shorter
run should be worth as much as the number of different words that were seen before it:

    P(w | s) = (c(s w) - D(c(s w))) / c(s .)  +  left(s) P(w | s without its first word)
    left(s)  = sum over w of D(c(s w)) / c(s .)            what was taken, so that all sums to one

    c(r)     of the longest runs: how often r occurs; of shorter ones: how many different words were seen
             before r, |{v: v r occurs}|

Chen and Goodman (1999, sections 2.7 and 3) mix both models always, as above, and take three discounts, for
counts of one, of two and of more ("modified" Kneser-Ney, the best of all that they compared). How much is
told by the n_1 runs that occur once, the n_2 that occur twice and so on, for each length of run:

    D_k = k - (k + 1) Y n_(k+1) / n_k,  k = 1, 2, 3        Y = n_1 / (n_1 + 2 n_2)

Below single words stands the uniform distribution, so that no word is impossible. Learning is counting, once
through the text; networks that write have to be better than this to be worth their training.

Axes used below
    n, m  words of a text      v  vocabulary      r  runs of one length that occur      s  runs one shorter
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Kneser-Ney smoothing",
    paper="https://doi.org/10.1006/csla.1999.0128",
    year=1999,
    summary="Predicts the next word from counts; of rare runs it asks how many different words they follow.",
    rows=("NL07",),
    differs=(
        "Where a length has too few runs to tell its discounts, they are 0.5, 1 and 1.5, as in kenlm.",
        "One running text: no marks for the beginning and end of sentences; write them into it.",
    ),
    oracle="nltk's KneserNeyInterpolated: probabilities to 1e-9, perplexity; the sum over all words",
)

FALLBACK = (0.5, 1.0, 1.5)  # discounts of counts of one, two, three and more


@dataclass(frozen=True, eq=False)
class Level:
    """The runs of one length: what each gives its last word, and what their beginnings hand out.

    A run is known by its ``code``, v times the number of its beginning (its place among the runs shorter by
    one) and its last word.
    """

    codes: Int[Tensor, "r"]  # in order
    share: Float[Tensor, "r"]  # (c - D(c)) / c(s .)
    left: Float[Tensor, "s"]  # 1 for a beginning that was seen at the end of the text alone

    def find(self, codes: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
        """The number of the run of each code; -1 for those that never occur."""
        places = torch.searchsorted(self.codes, codes).clamp(max=len(self.codes) - 1)
        return torch.where(self.codes[places] == codes, places, -1)

    def mixed(
        self, begin: Int[Tensor, "n"], run: Int[Tensor, "n"], shorter: Float[Tensor, "n"]
    ) -> Float[Tensor, "n"]:
        """P of words whose runs, and the beginnings of those, are known by number or unknown, -1."""
        share = torch.where(run < 0, 0.0, self.share[run.clamp(min=0)])
        return share + torch.where(begin < 0, 1.0, self.left[begin.clamp(min=0)]) * shorter


@dataclass(frozen=True, eq=False)
class KneserNey:
    """Counts of runs of 1 to ``order`` words. Made by ``fit``; words are numbers in [0, ``vocabulary``)."""

    vocabulary: int
    levels: tuple[Level, ...]

    @classmethod
    def fit(
        cls, text: Int[Tensor, "n"], vocabulary: int, order: int, discount: float | None = None
    ) -> "KneserNey":
        """Count the runs of up to ``order`` >= 1 words in ``text``, which has ``order`` words or more.

        ``discount`` None takes three for each length, from the counts. A number in [0, 1] is taken from
        every count but those of single words, which is what Kneser and Ney had: a word that never follows
        another is impossible then. Raises ``ValueError`` for anything else.
        """
        check(text, vocabulary)
        if not 1 <= order <= len(text):
            raise ValueError(f"order is {order}; it must be between 1 and the {len(text)} words of the text")
        if discount is not None and not 0 <= discount <= 1:
            raise ValueError(
                f"discount is {discount}; it must be in [0, 1], or None to be told by the counts"
            )
        codes, names = runs(text, vocabulary, order)
        levels = []
        for length in range(order):  # of the beginning
            if length + 1 == order:
                counts = names[length].bincount()
            else:
                suffix = torch.empty_like(codes[length + 1])  # of each longer run, its last words
                suffix[names[length + 1]] = names[length][1:]
                counts = suffix.bincount(minlength=len(codes[length]))
            plain = None if discount is None else (discount if length else 0.0,) * 3
            beginnings = len(codes[length - 1]) if length else 1
            levels.append(level(codes[length], counts, vocabulary, beginnings, plain or discounts(counts)))
        return cls(vocabulary, tuple(levels))

    @property
    def order(self) -> int:
        return len(self.levels)

    def probability(self, text: Int[Tensor, "n"]) -> Float[Tensor, "n"]:
        """Of each word of ``text`` after the ``order - 1`` before it, or as many as there are; float64."""
        check(text, self.vocabulary)
        likely = torch.full((len(text),), 1 / self.vocabulary, dtype=torch.float64)
        begin = torch.zeros_like(text)
        for length, counted in enumerate(self.levels):
            run = counted.find(begin * self.vocabulary + text[length:])
            likely[length:] = counted.mixed(begin, run, likely[length:])
            begin = run[:-1]
        return likely

    def following(self, context: Int[Tensor, "n"]) -> Float[Tensor, "v"]:
        """Of every word, after ``context`` of any length; float64."""
        if len(context):
            check(context, self.vocabulary)
        likely = torch.full((self.vocabulary,), 1 / self.vocabulary, dtype=torch.float64)
        for length in range(min(self.order, len(context) + 1)):
            begin = torch.zeros(1, dtype=torch.int64)
            for counted, word in zip(self.levels, context[len(context) - length :], strict=False):
                begin = counted.find(begin * self.vocabulary + word)
            counted = self.levels[length]
            run = counted.find(begin * self.vocabulary + torch.arange(self.vocabulary))
            likely = counted.mixed(begin.expand_as(run), run, likely)
        return likely

    def loss(self, text: Int[Tensor, "n"]) -> float:
        """Nats a word of ``text``; infinite where it holds a word that is impossible."""
        return -float(self.probability(text).log().mean())

    def perplexity(self, text: Int[Tensor, "n"]) -> float:
        """As between how many equally likely words the model hesitates, on the geometric mean."""
        return math.exp(self.loss(text))


def runs(text: Int[Tensor, "n"], vocabulary: int, order: int) -> tuple[list[Tensor], list[Tensor]]:
    """For each length the codes of runs that occur, and the number of the run that begins at each place."""
    codes: list[Tensor] = []
    names = [torch.zeros(len(text) + 1, dtype=torch.int64)]  # the empty run stands everywhere
    for length in range(order):
        seen, name = torch.unique(names[-1][:-1] * vocabulary + text[length:], return_inverse=True)
        codes.append(seen)
        names.append(name)
    return codes, names[1:]


def level(
    codes: Int[Tensor, "r"],
    counts: Int[Tensor, "r"],
    vocabulary: int,
    beginnings: int,
    taken: Sequence[float],
) -> Level:
    """Shares and rests from the counts of runs, and what is ``taken`` from counts of one, two and more."""
    begin = codes // vocabulary
    cut = torch.tensor([0.0, *taken], dtype=torch.float64)[counts.clamp(max=len(taken))]
    total = begin.bincount(counts.double(), minlength=beginnings)
    rest = begin.bincount(cut, minlength=beginnings)
    share = (counts - cut) / total[begin].clamp(min=1)
    return Level(codes, share, torch.where(total > 0, rest / total.clamp(min=1), 1.0))


def discounts(counts: Int[Tensor, "r"]) -> tuple[float, ...]:
    """What to take from counts of one, of two and of more, by how many there are of each (section 3)."""
    n = counts.clamp(max=5).bincount(minlength=6).double().tolist()
    if not all(n[1:5]):
        return FALLBACK
    y = n[1] / (n[1] + 2 * n[2])
    told = tuple(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))
    return told if all(0 <= d <= k for k, d in enumerate(told, 1)) else FALLBACK


def check(text: Tensor, vocabulary: int) -> None:
    """Raise ``ValueError`` unless ``text`` is a row of words."""
    if vocabulary < 1:
        raise ValueError(f"vocabulary is {vocabulary}; it must be 1 or more")
    if text.ndim != 1 or text.dtype != torch.int64 or not len(text):
        raise ValueError(
            f"text has shape {tuple(text.shape)} and type {text.dtype}; it must be (n,), n >= 1, and int64"
        )
    low, high = int(text.min()), int(text.max())
    if low < 0 or high >= vocabulary:
        raise ValueError(f"text holds words {low} to {high}; they must lie in [0, {vocabulary})")


def kneser_ney_by_hand(
    text: Int[Tensor, "n"],
    query: Int[Tensor, "m"],
    vocabulary: int,
    order: int,
    discount: float | None = None,
) -> Float[Tensor, "m"]:
    """P of each word of ``query``, by walking through all of ``text`` for each count."""
    words, asked = text.tolist(), query.tolist()

    def occurring(length: int) -> list[tuple[int, ...]]:
        return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]

    def count(run: tuple[int, ...]) -> int:
        if len(run) == order:
            return occurring(order).count(run)
        return len({longer for longer in occurring(len(run) + 1) if longer[1:] == run})

    def cuts(length: int) -> tuple[float, ...]:
        if discount is not None:
            return (discount if length > 1 else 0.0,) * 3
        n = [0, 0, 0, 0, 0]
        for run in set(occurring(length)):
            if count(run) < 5:
                n[count(run)] += 1
        if 0 in n[1:]:
            return FALLBACK
        y = n[1] / (n[1] + 2 * n[2])
        found = (1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3])
        return found if all(0 <= found[k] <= k + 1 for k in range(3)) else FALLBACK

    taken = {length: cuts(length) for length in range(1, order + 1)}

    def probability(word: int, context: tuple[int, ...]) -> float:
        shorter = probability(word, context[1:]) if context else 1 / vocabulary
        counts = [count((*context, other)) for other in range(vocabulary)]
        if not sum(counts):
            return shorter
        cut = [taken[len(context) + 1][min(c, 3) - 1] if c else 0.0 for c in counts]
        return (counts[word] - cut[word] + sum(cut) * shorter) / sum(counts)

    likely = [probability(word, tuple(asked[max(0, i - order + 1) : i])) for i, word in enumerate(asked)]
    return torch.tensor(likely, dtype=torch.float64)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: a text of four words, with one that is never seen."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    text = torch.rand(60, generator=dice).square().mul(4).long()
    query = torch.cat([torch.tensor([4, 0, 3]), torch.randint(5, (12,), generator=dice)])
    for order in (1, 2, 3, 4):
        for discount in (None, 0.0, 0.75):

            def ours(
                text: Tensor, query: Tensor, order: int = order, discount: float | None = discount
            ) -> Tensor:
                return KneserNey.fit(text, 5, order, discount).probability(query)

            def by_hand(
                text: Tensor, query: Tensor, order: int = order, discount: float | None = discount
            ) -> Tensor:
                return kneser_ney_by_hand(text, query, 5, order, discount)

            name = f"order {order}, {'three discounts' if discount is None else f'discount {discount}'}"
            yield Twin(name, ours, by_hand, (text, query), gradients=False)
