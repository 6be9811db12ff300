"""Byte-level byte-pair encoding: the most frequent neighbours become one unit, until there are enough units.

Sennrich, Haddow and Birch (2016, section 3.2) start from single signs and join, again and again, the pair of
units that stands side by side most often; a text is cut by joining in the order that was learned. Radford et
al. (2019, section 2.2) start from the 256 bytes of UTF-8, so that no text is unknown, and never join across
the edge of a word: a text is first split into runs of letters, of digits, of other signs (each with one space
before it), and of spaces.

    train    repeat: (a, b) = argmax over pairs of its count; every "a b" in a word becomes "ab"
    encode   in each word: join the pair that was learned first, until no learned pair is left

In a vocabulary bytes are shown as printable signs: those that print stand for themselves, the others for the
code points from 256 on, in turn. A space is thus "Ġ".
"""

import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fathom.card import Card
from fathom.fundamentals.tokenizers.tokenizer import Tokenizer, tokenizers_package, whole

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Byte-level byte-pair encoding",
    paper="https://arxiv.org/abs/1508.07909",
    year=2016,
    summary="Builds subwords from bytes by joining the most frequent pair, so that no text is unknown.",
    rows=("NL01",),
    builds_on=("tokenizer",),
    differs=(
        "Over bytes, and words split as by GPT-2 (Radford et al. 2019); the paper joins signs and marks the"
        " end of a word.",
        "Of pairs that are equally frequent the one whose parts were learned first is joined; the paper does"
        " not say.",
    ),
    oracle="BPE, its trainer and ByteLevel of tokenizers: vocabulary, merges and numbers of 10,000 lines",
    extra="text",
)

PRINTS = {*range(33, 127), *range(161, 173), *range(174, 256)}  # bytes that are shown as what they are


def shown_bytes() -> tuple[str, ...]:
    """The sign that each of the 256 bytes is shown as."""
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in PRINTS else next(others)) for byte in range(256))


SHOWN = shown_bytes()


@dataclass(frozen=True)
class BytePairs:
    """A vocabulary, each entry in signs for bytes, and the merges in the order they were learned.

    ``special`` are the marks among the vocabulary.
    """

    vocabulary: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]
    special: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = set(self.vocabulary)
        absent = [byte for byte in SHOWN if byte not in known] + [m for m in self.special if m not in known]
        if absent or len(known) < len(self.vocabulary):
            raise ValueError(
                f"vocabulary has {len(self.vocabulary)} entries, {len(known)} different, without"
                f" {absent[:5]}; it must hold all 256 bytes and every mark, each once"
            )
        for first, second in self.merges:
            if not {first, second, first + second} <= known:
                raise ValueError(
                    f"merges joins {first!r} and {second!r}, and not all three are in vocabulary"
                )

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Of each entry of the vocabulary."""
        return {token: i for i, token in enumerate(self.vocabulary)}

    @cached_property
    def ranks(self) -> dict[tuple[str, str], int]:
        """Of each merge: how early it was learned."""
        return {pair: i for i, pair in enumerate(self.merges)}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The same, run by the `tokenizers` package. Raises ``MissingExtra``."""
        library = tokenizers_package()
        made = library.Tokenizer(library.models.BPE(self.numbers, list(self.merges)))
        made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = library.decoders.ByteLevel()
        made.add_special_tokens(list(self.special))
        return Tokenizer(made.to_str())

    def encode(self, text: str) -> list[int]:
        """The numbers of ``text``; marks in it are letters. Raises ``ValueError`` for no valid Unicode."""
        return self.tokenizer.encode(text)

    def decode(self, numbers: Sequence[int]) -> str:
        """The text of ``numbers`` without marks; bytes that are no UTF-8 show as the sign for that."""
        return self.tokenizer.decode(numbers)


def train_byte_pairs(
    texts: Iterable[str], size: int, *, special: Sequence[str] = (), rarest: int = 2
) -> BytePairs:
    """``size`` units learned of ``texts``: marks, 256 bytes, then joins of pairs that occur ``rarest`` times.

    Fewer where no pair is left. Raises ``ValueError`` for a size without room for the bytes, a rarest below
    1, and no text at all.
    """
    library = tokenizers_package()
    check_training(size, 256 + len(special), rarest)
    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = library.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=rarest,
        special_tokens=list(special),
        initial_alphabet=list(SHOWN),
        show_progress=False,
    )
    made.train_from_iterator(counted(texts), trainer)
    learned = model_of(made)
    vocabulary = tuple(sorted(learned["vocab"], key=learned["vocab"].__getitem__))
    return BytePairs(vocabulary, tuple(tuple(pair) for pair in learned["merges"]), tuple(special))


def model_of(tokenizer: object) -> dict:
    """The part of a tokenizer's own description that was learned."""
    import json

    return json.loads(tokenizer.to_str())["model"]  # type: ignore[attr-defined]


def counted(texts: Iterable[str]) -> Iterator[str]:
    """``texts``, checked one by one; ``ValueError`` where they hold nothing to learn from."""
    found = False
    for text in texts:
        found = found or bool(text.strip())
        yield whole(text)
    if not found:
        raise ValueError("texts hold nothing but spaces; give at least one text to learn from")


def check_training(size: int, least: int, rarest: int) -> None:
    if size < least:
        raise ValueError(f"size is {size}; marks and single signs alone take {least}, so give that or more")
    if rarest < 1:
        raise ValueError(f"rarest is {rarest}; it must be 1 or more")


CONTRACTED = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def kind_of(sign: str) -> str:
    """What GPT-2's rule takes a sign for."""
    if sign in SPACES:
        return "space"
    return {"L": "letter", "N": "digit"}.get(unicodedata.category(sign)[0], "other")


def split_by_hand(text: str) -> list[str]:
    """Words as GPT-2 splits them: contractions, runs of one kind with a space before, other spaces."""
    found: list[str] = []
    place = 0
    while place < len(text):
        contracted = [c for c in CONTRACTED if text.startswith(c, place)]
        begin = place + (text[place] == " " and place + 1 < len(text) and kind_of(text[place + 1]) != "space")
        end = begin
        while end < len(text) and kind_of(text[end]) == kind_of(text[begin]):
            end += 1
        if contracted:
            end = place + len(contracted[0])
        elif kind_of(text[begin]) == "space" and end < len(text) and end - begin > 1:
            end -= 1  # the last of several spaces goes with the word after it
        found.append(text[place:end])
        place = end
    return found


def train_byte_pairs_by_hand(
    texts: Iterable[str], size: int, special: Sequence[str] = (), rarest: int = 2
) -> BytePairs:
    """Count words, spell them in bytes, then join pair after pair."""
    words = Counter(word for text in texts for word in split_by_hand(text))
    spelled = [[SHOWN[byte] for byte in word.encode()] for word in words]
    vocabulary = [*special, *sorted(SHOWN)]
    merges = join_pairs_by_hand(spelled, list(words.values()), vocabulary, size, rarest, str.__add__)
    return BytePairs(tuple(vocabulary), tuple(merges), tuple(special))


def join_pairs_by_hand(
    words: list[list[str]],
    times: Sequence[int],
    vocabulary: list[str],
    size: int,
    rarest: int,
    join: Callable[[str, str], str],
) -> list[tuple[str, str]]:
    """Let ``vocabulary`` grow to ``size`` by joins of the most frequent pair; return them in order.

    ``words``, each in units, occur so many ``times``. Where each pair occurs is kept, so that a join visits
    only the words that it changes.
    """
    number = {token: i for i, token in enumerate(vocabulary)}
    counts: Counter[tuple[str, str]] = Counter()
    places: defaultdict[tuple[str, str], set[int]] = defaultdict(set)

    def count(i: int, sign: int) -> None:
        for pair in zip(words[i], words[i][1:], strict=False):
            counts[pair] += sign * times[i]
            places[pair].add(i)
            if not counts[pair]:
                del counts[pair]

    for i in range(len(words)):
        count(i, +1)
    merges: list[tuple[str, str]] = []
    while counts and len(vocabulary) < size:
        best = max(counts, key=lambda pair: (counts[pair], -number[pair[0]], -number[pair[1]]))
        if counts[best] < rarest:
            break
        merges.append(best)
        new = join(*best)
        if new not in number:
            number[new] = len(vocabulary)
            vocabulary.append(new)
        for i in places.pop(best):
            count(i, -1)
            words[i] = joined_by_hand(words[i], best, new)
            count(i, +1)
    return merges


def joined_by_hand(units: Sequence[str], pair: tuple[str, str], new: str) -> list[str]:
    """``units`` with every ``pair`` of neighbours, from the left, replaced by ``new``."""
    found: list[str] = []
    place = 0
    while place < len(units):
        here = tuple(units[place : place + 2]) == pair
        found.append(new if here else units[place])
        place += 2 if here else 1
    return found


def encode_byte_pairs_by_hand(text: str, pairs: BytePairs) -> list[int]:
    """In each word, join the pair that was learned first, until there is none."""
    found: list[int] = []
    for word in split_by_hand(text):
        units = [SHOWN[byte] for byte in word.encode()]
        while learned := [pair for pair in itertools.pairwise(units) if pair in pairs.ranks]:
            first = min(learned, key=pairs.ranks.__getitem__)
            units = joined_by_hand(units, first, first[0] + first[1])
        found += [pairs.numbers[unit] for unit in units]
    return found


def decode_byte_pairs_by_hand(numbers: Sequence[int], pairs: BytePairs) -> str:
    """Signs back to bytes, bytes back to text; marks say nothing."""
    byte = {sign: i for i, sign in enumerate(SHOWN)}
    units = [pairs.vocabulary[n] for n in numbers]
    signs = "".join(unit for unit in units if unit not in pairs.special)
    return bytes(byte[sign] for sign in signs).decode("utf-8", errors="replace")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    texts = ["low lower lowest, newer and the newest", "aaaa aaa aa  a\n\n it's 1984's ", "Größe ✓ 𝄞", ""]
    mark = "<|end|>"

    def numbers(learned: BytePairs) -> list[int]:
        return list(map(ord, " ".join((*learned.vocabulary, *(a + b for a, b in learned.merges)))))

    known = train_byte_pairs_by_hand(texts, 290, (mark,))
    asked = [0, 200, 100, *range(257, len(known.vocabulary))]  # a mark, bytes that are no UTF-8, pairs
    yield Twin(
        "train",
        lambda: numbers(train_byte_pairs(texts, 290, special=(mark,))),
        lambda: numbers(known),
        (),
        gradients=False,
    )
    yield Twin(
        "encode",
        lambda: [known.encode(text + mark) for text in texts],
        lambda: [encode_byte_pairs_by_hand(text + mark, known) for text in texts],
        (),
        gradients=False,
    )
    yield Twin(
        "decode",
        lambda: [ord(sign) for sign in known.decode(asked)],
        lambda: [ord(sign) for sign in decode_byte_pairs_by_hand(asked, known)],
        (),
        gradients=False,
    )
