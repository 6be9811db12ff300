"""Deduplication: of texts that say the same, and of texts that say nearly the same, one is kept.

What stands in a collection ten times is learned ten times, word for word, and what stands in its training and
in its held-out part makes a model look better than it is (Lee et al. 2022, section 1). Two nets:

    exact    texts that are equal once case, spaces and punctuation are gone: equal hashes
    near     texts that share most of their shingles, runs of w words

The resemblance of two texts is the Jaccard similarity of their sets of shingles A and B (Broder 1997), and to
compare all pairs of a collection takes too long. But let h be a hash that puts all shingles in a random
order. The least of A and B together is as likely to be any one of them as another, so

    P(min h(A) = min h(B)) = |A and B| / |A or B|

and the share of equal minima under k such hashes estimates it, with standard error sqrt(s (1 - s) / k). A
text is then k numbers, however long. Cut them into bands of r numbers: two texts meet where all of a band are
equal, which happens in at least one of b bands with probability

    1 - (1 - s^r)^b

a step from 0 to 1 near s = (1 / b)^(1 / r) (Leskovec, Rajaraman and Ullman 2014, section 3.4). Only texts
that meet are compared, and then exactly: what is no duplicate is never taken for one, and of the others as
many are missed as the formula says.

Axes used below
    n  texts      k  hashes: bands times rows
"""

import hashlib
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt64

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Deduplication of texts",
    paper="https://doi.org/10.1109/SEQUEN.1997.666900",
    year=1997,
    summary="Finds texts that repeat others, exactly or nearly, without comparing all pairs.",
    rows=("LM05",),
    differs=(
        "The least shingle under each of many hashes; the paper keeps the least few under one (the same"
        " authors have it as here in 1998).",
        "Shingles are of 3 words, for documents are sentences here; those of whole pages are longer.",
    ),
    oracle="no package of the tests has one; exact similarities of all pairs, the formula of the bands, and"
    " duplicates that were planted",
)

WORDS = 3  # of a shingle
BANDS, ROWS = 20, 5  # two texts of similarity 0.8 miss each other once in 2,800 times, of 0.5 every second
SIMILAR = 0.8
ALL = 2**64 - 1
MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))  # of SplitMix64 (Steele, Lea and Flood 2014)


@dataclass(frozen=True)
class Kept:
    """Which texts of a collection stay, by number, and how many repeated another one."""

    numbers: tuple[int, ...]
    exact: int
    near: int


def normalised(text: str) -> str:
    """The words of ``text`` in small letters, one space between them; no punctuation, one form of a sign."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def shingles(text: str, words: int = WORDS) -> frozenset[str]:
    """Runs of so many ``words`` of a text; one shorter than that is its only run.

    Raises ``ValueError`` for less than 1.
    """
    if words < 1:
        raise ValueError(f"words is {words}; a shingle has 1 or more")
    found = normalised(text).split()
    return frozenset(" ".join(found[i : i + words]) for i in range(max(1, len(found) - words + 1)))


def resemblance(one: Collection[str], other: Collection[str]) -> float:
    """Jaccard similarity of two sets of shingles."""
    shared = len(set(one) & set(other))
    return shared / (len(one) + len(other) - shared)


def min_hashes(
    shingled: Sequence[Collection[str]], count: int, seed: int = 0
) -> UInt64[np.ndarray, "n {count}"]:
    """The least hash of the shingles of each text, under each of ``count`` hashes that ``seed`` draws.

    Raises ``ValueError`` for a set without a shingle.
    """
    sizes = [len(one) for one in shingled]
    if not sizes or min(sizes) < 1:
        raise ValueError(
            f"shingled holds {len(sizes)} sets, the smallest of {min(sizes, default=0)} shingles; give one"
            " set or more, each of one or more, as shingles() makes them"
        )
    numbers = np.array([hashed(shingle) for one in shingled for shingle in one], dtype=np.uint64)
    firsts = np.cumsum([0, *sizes[:-1]])
    least = [np.minimum.reduceat(mixed(numbers ^ key), firsts) for key in keys(count, seed)]
    return np.stack(least, axis=1)


def keys(count: int, seed: int) -> UInt64[np.ndarray, "{count}"]:
    """One number for each hash: it decides the order that the hash puts shingles in."""
    return np.random.Generator(np.random.Philox(seed)).integers(0, ALL, count, np.uint64, endpoint=True)


def hashed(text: str) -> int:
    """64 bits of a text, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mixed(numbers: UInt64[np.ndarray, "*n"]) -> UInt64[np.ndarray, "*n"]:
    """Each number as another, one to one, in no order that can be told from a random one."""
    for shift, factor in MIXERS:
        numbers = (numbers ^ (numbers >> np.uint64(shift))) * np.uint64(factor)
    return numbers ^ (numbers >> np.uint64(31))


def standard_error(similarity: float, count: int) -> float:
    """Of an estimate from ``count`` hashes."""
    return math.sqrt(similarity * (1 - similarity) / count)


def chance_to_meet(similarity: float, bands: int = BANDS, rows: int = ROWS) -> float:
    """Probability that two texts of some similarity are compared at all."""
    return 1 - (1 - similarity**rows) ** bands


def exact_duplicates(texts: Sequence[str]) -> list[int]:
    """For each text the number of the first one that equals it once normalised; its own, if it is that."""
    first: dict[bytes, int] = {}
    return [
        first.setdefault(hashlib.sha256(normalised(text).encode()).digest(), number)
        for number, text in enumerate(texts)
    ]


def near_duplicates(
    texts: Sequence[str],
    threshold: float = SIMILAR,
    *,
    words: int = WORDS,
    bands: int = BANDS,
    rows: int = ROWS,
    seed: int = 0,
) -> list[int]:
    """For each text the first of its cluster: texts joined by pairs that resemble by ``threshold`` or more.

    Pairs are compared where they meet in one of ``bands`` bands of ``rows`` hashes of shingles of ``words``
    words. Raises ``ValueError`` for a threshold outside (0, 1], and bands, rows or words below 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must be in (0, 1]")
    if bands < 1 or rows < 1:
        raise ValueError(f"bands is {bands}, rows {rows}; both must be 1 or more")
    if not texts:
        return []
    shingled = [shingles(text, words) for text in texts]
    hashes = min_hashes(shingled, bands * rows, seed)
    clusters = Clusters(len(texts))
    for band in range(bands):
        met: defaultdict[bytes, list[int]] = defaultdict(list)
        for number, row in enumerate(np.ascontiguousarray(hashes[:, band * rows : (band + 1) * rows])):
            for other in met[row.tobytes()]:
                apart = clusters.first(number) != clusters.first(other)
                if apart and resemblance(shingled[number], shingled[other]) >= threshold:
                    clusters.join(number, other)
            met[row.tobytes()].append(number)
    return [clusters.first(number) for number in range(len(texts))]


def deduplicated(texts: Sequence[str], threshold: float = SIMILAR, *, seed: int = 0) -> Kept:
    """The first of each cluster of exact, then of near duplicates; other arguments as `near_duplicates`."""
    different = kept(exact_duplicates(texts))
    left = kept(near_duplicates([texts[i] for i in different], threshold, seed=seed))
    numbers = tuple(different[i] for i in left)
    return Kept(numbers, exact=len(texts) - len(different), near=len(different) - len(numbers))


def kept(firsts: Sequence[int]) -> list[int]:
    """The numbers that are the first of their cluster."""
    return [number for number, first in enumerate(firsts) if first == number]


class Clusters:
    """``count`` numbers, each alone until it is joined with others (Tarjan 1975)."""

    def __init__(self, count: int) -> None:
        self.above = list(range(count))  # a number of the same cluster that is nearer to its first

    def first(self, number: int) -> int:
        """The least number of its cluster."""
        while self.above[number] != number:
            self.above[number] = self.above[self.above[number]]
            number = self.above[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one cluster of the two that these lie in."""
        low, high = sorted((self.first(one), self.first(other)))
        self.above[high] = low


def exact_duplicates_by_hand(texts: Sequence[str]) -> list[int]:
    """Compare each text with those before it."""
    plain = [normalised(text) for text in texts]
    return [plain.index(text) for text in plain]


def near_duplicates_by_hand(
    texts: Sequence[str], threshold: float = SIMILAR, words: int = WORDS
) -> list[int]:
    """Compare all pairs, and let the least number spread over those that resemble until nothing changes."""
    shingled = [shingles(text, words) for text in texts]
    pairs = [
        (i, j) for j in range(len(texts)) for i in range(j)
        if resemblance(shingled[i], shingled[j]) >= threshold
    ]  # fmt: skip
    firsts = list(range(len(texts)))
    changed = True
    while changed:
        before = list(firsts)
        for i, j in pairs:
            firsts[i] = firsts[j] = min(firsts[i], firsts[j])
        changed = firsts != before
    return firsts


def min_hashes_by_hand(shingled: Sequence[Collection[str]], count: int, seed: int = 0) -> list[list[int]]:
    """Text by text and hash by hash, with whole numbers of Python cut to 64 bits."""

    def mixed_by_hand(number: int) -> int:
        for shift, factor in MIXERS:
            number = (number ^ (number >> shift)) * factor & ALL
        return number ^ (number >> 31)

    drawn = keys(count, seed).tolist()
    return [[min(mixed_by_hand(hashed(s) ^ key) for s in one) for key in drawn] for one in shingled]


PLANTED = (
    "A man in a blue shirt is standing on a ladder cleaning a window.",
    "Two dogs play in the snow.",
    "a man in a blue shirt is standing on a ladder, cleaning a window",
    "",
    "A man in a blue shirt is standing on a ladder cleaning a large window.",
    "Two cats play in the snow.",
    "TWO DOGS PLAY IN THE SNOW !",
    "A man in a blue shirt is standing on a ladder cleaning a large window today.",
    "...",
)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    shingled = [shingles(text) for text in PLANTED]
    yield Twin(
        "exact",
        lambda: exact_duplicates(PLANTED),
        lambda: exact_duplicates_by_hand(PLANTED),
        (),
        gradients=False,
    )
    for threshold in (0.3, 0.75, 1.0):
        yield Twin(
            f"near, from {threshold}",
            lambda threshold=threshold: near_duplicates(PLANTED, threshold, bands=60, rows=2),
            lambda threshold=threshold: near_duplicates_by_hand(PLANTED, threshold),
            (),
            gradients=False,
        )
    yield Twin(  # halves of 32 bits, which floating numbers hold exactly
        "least hashes",
        lambda: np.stack([min_hashes(shingled, 9, 3) >> 32, min_hashes(shingled, 9, 3) & 0xFFFFFFFF]),
        lambda: np.array(
            [[[h >> 32 for h in row] for row in min_hashes_by_hand(shingled, 9, 3)],
             [[h & 0xFFFFFFFF for h in row] for row in min_hashes_by_hand(shingled, 9, 3)]]
        ),
        (),
        gradients=False,
    )  # fmt: skip
