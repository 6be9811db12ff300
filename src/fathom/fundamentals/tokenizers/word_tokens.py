"""Words as tokens: short texts, a large vocabulary, and always one word that is not in it.

Language models began with words (Bengio et al. 2003, section 4: the rare ones become one symbol). A word is
a run of letters and digits in lower case; any other sign but a space is a word of its own:

    "Don't stop!"  ->  don ' t stop !

The vocabulary holds the words of the training texts, the most frequent first, equal ones in the order of the
alphabet. By Zipf's law half of all different words occur once: they cost most of a vocabulary and teach
nothing, so those rarer than ``rarest`` are left unknown.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fathom.card import Card
from fathom.fundamentals.tokenizers.tokenizer import whole

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Words as tokens",
    paper="https://www.jmlr.org/papers/v3/bengio03a.html",
    year=2003,
    summary="Numbers the frequent words of a text and takes all others for one unknown word.",
    rows=("NL01",),
    builds_on=("tokenizer",),
    differs=("Words are written in lower case; the paper keeps capitals.",),
    oracle="WordLevel and its trainer of tokenizers on 10,000 lines",
)

UNKNOWN = "<unknown>"
WORD = re.compile(r"[^\W_]+|\S")  # a run of letters and digits, or one other sign that is no space


@dataclass(frozen=True)
class Words:
    """A vocabulary of words, which begins with the unknown one."""

    vocabulary: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.vocabulary[:1] != (UNKNOWN,) or len(set(self.vocabulary)) < len(self.vocabulary):
            raise ValueError(
                f"vocabulary begins with {self.vocabulary[:3]}; it must be {UNKNOWN!r}, then each word once"
            )

    @cached_property
    def places(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary)}

    def encode(self, text: str) -> list[int]:
        """The number of each word; 0 for one that is not known, nothing for an empty text."""
        places = self.places
        return [places.get(word, 0) for word in split_words(text)]

    def decode(self, numbers: Sequence[int]) -> str:
        """The words of ``numbers`` with single spaces. Raises ``ValueError`` for no place of it."""
        for n in numbers:
            if not 0 <= n < len(self.vocabulary):
                raise ValueError(f"numbers holds {n}; it must be in [0, {len(self.vocabulary)})")
        return " ".join(self.vocabulary[n] for n in numbers)


def split_words(text: str) -> list[str]:
    """The words of ``text``, in lower case."""
    return WORD.findall(whole(text).lower())


def train_words(texts: Iterable[str], size: int, *, rarest: int = 2) -> Words:
    """At most ``size`` words of ``texts``, the unknown one included; each occurs ``rarest`` times or more.

    Raises ``ValueError`` for a size below 2, a rarest below 1, and texts without any such word.
    """
    if size < 2 or rarest < 1:
        raise ValueError(f"size is {size}, rarest is {rarest}; they must be 2 or more, and 1 or more")
    counts = Counter(word for text in texts for word in split_words(text))
    kept = sorted((-n, word) for word, n in counts.items() if n >= rarest)[: size - 1]
    if not kept:
        raise ValueError(f"texts hold no word {rarest} times or more; give more texts, or a smaller rarest")
    return Words((UNKNOWN, *(word for _, word in kept)))


def split_words_by_hand(text: str) -> list[str]:
    """Sign by sign: a letter or digit lengthens the word before it, anything else ends it."""
    found: list[str] = []
    inside = False
    for sign in text.lower():
        if sign.isalnum() and inside:
            found[-1] += sign
        elif not sign.isspace():
            found.append(sign)
        inside = sign.isalnum()
    return found


def train_words_by_hand(texts: Iterable[str], size: int, rarest: int = 2) -> list[str]:
    """Count, then take the most frequent word that is left, again and again."""
    counts: dict[str, int] = {}
    for text in texts:
        for word in split_words_by_hand(text):
            counts[word] = counts.get(word, 0) + 1
    vocabulary = [UNKNOWN]
    while counts and len(vocabulary) < size:
        most = max(counts.values())
        if most < rarest:
            break
        word = min(word for word, n in counts.items() if n == most)
        vocabulary.append(word)
        del counts[word]
    return vocabulary


def encode_words_by_hand(text: str, vocabulary: Sequence[str]) -> list[int]:
    """Look through the vocabulary for each word."""
    words = split_words_by_hand(text)
    return [next((i for i, known in enumerate(vocabulary) if known == word), 0) for word in words]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    texts = ["To be, or not to be: that's it_", "", "Über-Größe 3½ ✓✓ not 3½", "be\tor\xa0not"]
    known = train_words(texts, 7)
    yield Twin(
        "train",
        lambda: list(map(ord, " ".join(train_words(texts, 9).vocabulary))),
        lambda: list(map(ord, " ".join(train_words_by_hand(texts, 9)))),
        (),
        gradients=False,
    )
    yield Twin(
        "encode",
        lambda: [known.encode(text) for text in texts],
        lambda: [encode_words_by_hand(text, known.vocabulary) for text in texts],
        (),
        gradients=False,
    )
