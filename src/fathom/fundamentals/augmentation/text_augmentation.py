"""Text augmentation: four small changes to a sentence that leave its meaning, and so its label, alone.

EDA, easy data augmentation (Wei and Zou 2019, section 2), makes more training sentences of few:

    synonym replacement    n words become one of their synonyms
    random insertion       n times a synonym of some word goes anywhere
    random swap            n times two words change places
    random deletion        each word goes with probability p; one always stays

with n = alpha * (number of words), at least 1, and p = alpha. No dictionary ships with it: ``synonyms`` is a
table that you give. Short as they are, these can turn a label round ("not bad" without its "not"), so
``protected`` words are never removed, replaced, or taken as a pattern. Where and what is decided by uniform
numbers that are given.

The plain functions take places; `easy_data_augmentation` draws them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Easy data augmentation of text",
    paper="https://arxiv.org/abs/1901.11196",
    year=2019,
    summary="Makes new training sentences by swapping, deleting, inserting and replacing a few words.",
    rows=("RN07",),
    differs=(
        "Synonyms come from a table that is given; the paper takes WordNet.",
        "Protected words stay; the paper spares stop words in replacement and insertion only.",
    ),
    oracle="no package of the tests has one; loops that move one word at a time; words, order, labels and"
    " protected words that must stay",
)

Word = TypeVar("Word")
OPERATIONS = ("replace", "insert", "swap", "delete")


def swap_words(words: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """``words`` with the words at each pair of places exchanged, one pair after the other."""
    made = list(words)
    for first, second in pairs:
        _check_places("pairs", (first, second), len(made))
        made[first], made[second] = made[second], made[first]
    return made


def delete_words(words: Sequence[str], kept: Sequence[bool]) -> list[str]:
    """The ``words`` that are ``kept``, in their order; the first one where none is."""
    if len(kept) != len(words):
        raise ValueError(f"kept has {len(kept)} entries; there are {len(words)} words")
    return [word for word, stays in zip(words, kept, strict=True) if stays] or list(words[:1])


def insert_words(words: Sequence[str], inserts: Sequence[tuple[int, str]]) -> list[str]:
    """``words`` with each (place, word) put before that place, one by one; the end is a place too."""
    made = list(words)
    for place, word in inserts:
        _check_places("inserts", (place,), len(made) + 1)
        made.insert(place, word)
    return made


def replace_words(words: Sequence[str], replacements: Mapping[int, str]) -> list[str]:
    """``words`` with other words at the places that ``replacements`` names."""
    _check_places("replacements", tuple(replacements), len(words))
    return [replacements.get(i, word) for i, word in enumerate(words)]


def easy_data_augmentation(
    words: Sequence[str],
    numbers: np.ndarray,
    operation: str,
    *,
    alpha: float | int = 0.1,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    protected: Collection[str] = (),
) -> list[str]:
    """One new sentence of ``words`` by ``operation``: "replace", "insert", "swap" or "delete".

    ``numbers`` are uniform in [0, 1); `numbers_needed` says how many. ``alpha`` in [0, 1] is the share of
    words to change. Words without an entry in ``synonyms`` are not replaced. Raises ``ValueError`` for an
    unknown operation, too few numbers or such outside [0, 1), alpha outside [0, 1], and an empty list of
    synonyms.
    """
    table = dict(synonyms or {})
    _check_settings(words, numbers, operation, alpha, table)
    draw = iter(numbers.tolist())
    free = [i for i, word in enumerate(words) if word not in protected]
    count = max(1, int(alpha * len(words))) if alpha > 0 else 0
    if operation == "delete":
        return delete_words(words, [next(draw) >= alpha or word in protected for word in words])
    if operation == "swap":
        if len(words) < 2:
            return list(words)
        return swap_words(words, [_pair(len(words), next(draw), next(draw)) for _ in range(count)])
    known = [i for i in free if words[i] in table]
    if not known:
        return list(words)
    if operation == "insert":
        made = list(words)
        for _ in range(count):
            word = _pick(table[words[_pick(known, next(draw))]], next(draw))
            made = insert_words(made, [(int(next(draw) * (len(made) + 1)), word)])
        return made
    changed: dict[int, str] = {}
    for _ in range(min(count, len(known))):
        place = known.pop(int(next(draw) * len(known)))
        changed[place] = _pick(table[words[place]], next(draw))
    return replace_words(words, changed)


def numbers_needed(words: int, alpha: float | int) -> int:
    """How many uniform numbers the hungriest operation takes for a sentence of ``words`` words."""
    return max(words, 3 * max(1, int(alpha * words)))


def augment_labelled(
    sentences: Sequence[tuple[Sequence[str], int]],
    numbers: np.ndarray,
    *,
    alpha: float | int = 0.1,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    protected: Collection[str] = (),
) -> list[tuple[list[str], int]]:
    """Each (words, label) and, for every operation, one new sentence with the same label.

    ``numbers`` (sentences, 4, n) are uniform in [0, 1).
    """
    if numbers.ndim != 3 or numbers.shape[:2] != (len(sentences), len(OPERATIONS)):
        raise ValueError(f"numbers has shape {numbers.shape}; it must be ({len(sentences)}, 4, n)")
    made: list[tuple[list[str], int]] = []
    for (words, label), row in zip(sentences, numbers, strict=True):
        made.append((list(words), label))
        for operation, drawn in zip(OPERATIONS, row, strict=True):
            new = easy_data_augmentation(
                words, drawn, operation, alpha=alpha, synonyms=synonyms, protected=protected
            )
            made.append((new, label))
    return made


def swap_words_by_hand(words: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Each time a new sentence, read word by word."""
    made = list(words)
    for first, second in pairs:
        made = [made[second if i == first else first if i == second else i] for i in range(len(made))]
    return made


def delete_words_by_hand(words: Sequence[str], kept: Sequence[bool]) -> list[str]:
    made: list[str] = []
    for i in range(len(words)):
        if kept[i]:
            made = [*made, words[i]]
    return made if made else [words[0]]


def insert_words_by_hand(words: Sequence[str], inserts: Sequence[tuple[int, str]]) -> list[str]:
    made = list(words)
    for place, word in inserts:
        made = [*made[:place], word, *made[place:]]
    return made


def replace_words_by_hand(words: Sequence[str], replacements: Mapping[int, str]) -> list[str]:
    made = list(words)
    for place, word in replacements.items():
        made = [*made[:place], word, *made[place + 1 :]]
    return made


def _pick(choices: Sequence[Word], number: float) -> Word:
    return choices[int(number * len(choices))]


def _pair(count: int, first: float, second: float) -> tuple[int, int]:
    """Two different places of ``count``."""
    place = int(first * count)
    return place, (place + 1 + int(second * (count - 1))) % count


def _check_places(name: str, places: Sequence[int], count: int) -> None:
    for place in places:
        if not 0 <= place < count:
            raise ValueError(f"{name} holds place {place}; it must be in [0, {count})")


def _check_settings(
    words: Sequence[str],
    numbers: np.ndarray,
    operation: str,
    alpha: float | int,
    table: Mapping[str, Sequence[str]],
) -> None:
    if operation not in OPERATIONS:
        raise ValueError(f"operation is {operation!r}; it must be one of {', '.join(OPERATIONS)}")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must be in [0, 1]")
    needed = numbers_needed(len(words), alpha)
    if numbers.ndim != 1 or len(numbers) < needed:
        raise ValueError(f"numbers has shape {numbers.shape}; {len(words)} words need {needed}")
    if len(numbers) and not (0 <= numbers.min() and numbers.max() < 1):
        raise ValueError("numbers holds one outside [0, 1)")
    for word, others in table.items():
        if not others:
            raise ValueError(f"synonyms has no words for {word!r}; leave it out, or give some")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares, with numbers for words."""
    from fathom.fundamentals.twin import Twin

    words = [str(i) for i in range(7)]
    cases = (
        ("swap", swap_words, swap_words_by_hand, [(0, 6), (6, 2), (3, 3)]),
        ("delete", delete_words, delete_words_by_hand, [True, False, False, True, True, False, True]),
        ("delete all", delete_words, delete_words_by_hand, [False] * 7),
        ("insert", insert_words, insert_words_by_hand, [(0, "10"), (8, "11"), (4, "12")]),
        ("replace", replace_words, replace_words_by_hand, {1: "10", 6: "11"}),
    )
    for name, ours, plain, how in cases:
        yield Twin(
            name,
            lambda f=ours, how=how: np.array([int(w) for w in f(words, how)]),
            lambda f=plain, how=how: np.array([int(w) for w in f(words, how)]),
            (),
            gradients=False,
        )
