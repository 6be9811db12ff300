"""Characters as tokens: the smallest vocabulary, the longest texts, and no word that is unknown.

A character model needs no decision about what a word is, and can spell what it has never read; the price is
texts some five times as long as in words, over which it has to remember (Al-Rfou et al. 2019). The
vocabulary is every sign that occurs in the training text, in the order of its code point, which makes it the
same whatever the order of the texts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fathom.card import Card
from fathom.fundamentals.tokenizers.tokenizer import whole

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Characters as tokens",
    paper="https://arxiv.org/abs/1808.04444",
    year=2019,
    summary="Numbers each sign of a text, so that nothing is unknown and everything is long.",
    rows=("NL01",),
    builds_on=("tokenizer",),
    differs=("A token is a code point of Unicode; the paper takes bytes.",),
    oracle="WordLevel of tokenizers over single signs; the sorted set of all signs of a text",
)


@dataclass(frozen=True)
class Characters:
    """A vocabulary of signs. ``unknown`` is the number for any other; None refuses it."""

    vocabulary: tuple[str, ...]
    unknown: int | None = None

    def __post_init__(self) -> None:
        if not self.vocabulary or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(
                f"vocabulary has {len(self.vocabulary)} entries, {len(set(self.vocabulary))} different;"
                " it must hold each sign once, and one or more"
            )
        if self.unknown is not None and not 0 <= self.unknown < len(self.vocabulary):
            raise ValueError(f"unknown is {self.unknown}; it must be in [0, {len(self.vocabulary)}), or None")

    @cached_property
    def places(self) -> dict[str, int]:
        return {sign: i for i, sign in enumerate(self.vocabulary)}

    def encode(self, text: str) -> list[int]:
        """The number of each sign. Raises ``ValueError`` with the first that has none."""
        places = self.places
        try:
            return [places[sign] for sign in text]
        except KeyError as error:
            if self.unknown is None:
                raise ValueError(
                    f"text holds {error.args[0]!r}; the vocabulary has {brief(self.vocabulary)}, and no"
                    " number for others"
                ) from None
            return [places.get(sign, self.unknown) for sign in text]

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of ``numbers``. Raises ``ValueError`` for one that is no place of the vocabulary."""
        for n in numbers:
            if not 0 <= n < len(self.vocabulary):
                raise ValueError(f"numbers holds {n}; it must be in [0, {len(self.vocabulary)})")
        return "".join(self.vocabulary[n] for n in numbers)


def train_characters(texts: Iterable[str], unknown: str | None = None) -> Characters:
    """Every sign of ``texts``, in order; before them, where it is given, the name of an ``unknown`` one.

    Raises ``ValueError`` where there is no sign at all, or no valid Unicode.
    """
    seen = set().union(*(set(whole(text)) for text in texts))
    if not seen:
        raise ValueError("texts hold no sign; give at least one text that is not empty")
    first = () if unknown is None else (unknown,)
    return Characters((*first, *sorted(seen - set(first))), None if unknown is None else 0)


def brief(signs: Sequence[str]) -> str:
    """Some of the vocabulary, for a message."""
    return " ".join(map(repr, signs[:20])) + (f" and {len(signs) - 20} more" if len(signs) > 20 else "")


def train_characters_by_hand(texts: Iterable[str]) -> list[str]:
    """Each new sign is put where it belongs among those seen before."""
    vocabulary: list[str] = []
    for text in texts:
        for sign in text:
            if sign not in vocabulary:
                smaller = sum(other < sign for other in vocabulary)
                vocabulary.insert(smaller, sign)
    return vocabulary


def encode_characters_by_hand(text: str, vocabulary: Sequence[str], unknown: int | None = None) -> list[int]:
    """Look through the vocabulary for each sign."""
    found: list[int] = []
    for sign in text:
        here = [i for i, known in enumerate(vocabulary) if known == sign]
        found.append(here[0] if here or unknown is None else unknown)
    return found


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    texts = ["to be, or not to be", "", "Ünïcode ✓ 𝄞"]
    known = train_characters(texts[:1], unknown="\0")
    yield Twin(
        "train",
        lambda: [ord(sign) for sign in train_characters(texts).vocabulary],
        lambda: [ord(sign) for sign in train_characters_by_hand(texts)],
        (),
        gradients=False,
    )
    yield Twin(
        "encode",
        lambda: [known.encode(text) for text in texts],
        lambda: [encode_characters_by_hand(text, known.vocabulary, 0) for text in texts],
        (),
        gradients=False,
    )
