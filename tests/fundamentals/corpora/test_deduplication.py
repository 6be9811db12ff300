"""Duplicates planted in real text, exact similarities of all pairs, and what theory says of hashes."""

import math
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.fundamentals.corpora.deduplication import (
    Clusters,
    chance_to_meet,
    deduplicated,
    exact_duplicates,
    exact_duplicates_by_hand,
    hashed,
    min_hashes,
    near_duplicates,
    near_duplicates_by_hand,
    normalised,
    resemblance,
    shingles,
    standard_error,
)


def captions(count: int) -> list[str]:
    from fathom.data.sets import multi30k

    return [english for english, _ in multi30k.read("en", "de").train[:count]]


def planted() -> tuple[list[str], list[int]]:
    """200 long captions; copies of them in other letters, and with a word at their end; their originals."""
    different = [text for text in captions(1500) if len(text.split()) > 13]
    originals = [different[i] for i in near_kept(different)][:200]
    copies = [(i, originals[i].upper().replace(".", " !")) for i in range(0, 200, 5)]
    longer = [(i, f"{originals[i]} Today") for i in range(1, 200, 7)]
    texts = originals + [text for _, text in copies + longer]
    return texts, [*range(200), *(i for i, _ in copies + longer)]


def near_kept(texts: list[str]) -> list[int]:
    return [i for i, first in enumerate(near_duplicates_by_hand(texts, 0.5)) if first == i]


def test_planted_duplicates_and_no_others_are_found() -> None:
    texts, originals = planted()
    assert len(texts) > 260
    assert near_duplicates(texts) == near_duplicates_by_hand(texts) == originals
    found = deduplicated(texts)
    assert found.numbers == tuple(range(200))
    assert (found.exact, found.near) == (40, len(texts) - 240)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_clusters_of_real_text_are_those_of_all_pairs(threshold: float) -> None:
    """With bands in which hardly a pair is missed; what the usual ones find is never wrong."""
    texts = captions(400)
    exact = near_duplicates_by_hand(texts, threshold)
    assert near_duplicates(texts, threshold, bands=300, rows=1) == exact
    for number, first in enumerate(near_duplicates(texts, threshold)):
        assert exact[number] == exact[first], "two texts of different clusters were joined"


def test_exact_duplicates_are_equal_words() -> None:
    full_width = "\uff34\uff57\uff4f men and a dog"
    texts = [*captions(300), "Two  MEN, and a dog!", "two men and a dog", full_width, "two men and dog"]
    found = exact_duplicates(texts)
    assert found == exact_duplicates_by_hand(texts)
    assert found[300:] == [300, 300, 300, 303]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30))
def test_to_normalise_twice_changes_nothing_that_counts(text: str) -> None:
    once = normalised(text)
    assert once == " ".join(once.split()) and exact_duplicates([text, f"  {text}\n"]) == [0, 0]


def pair(shared: int, own: int, name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Two sets of shingles with ``shared`` in common and ``own`` to each."""
    both = {f"{name} both {i}" for i in range(shared)}
    one, other = ({f"{name} {which} {i}" for i in range(own)} for which in "ab")
    return frozenset(both | one), frozenset(both | other)


@pytest.mark.parametrize(("shared", "own"), [(4, 18), (10, 10), (30, 10), (38, 1)])
def test_estimates_lie_within_their_standard_error(shared: int, own: int) -> None:
    """Over 300 draws of hashes: no bias, and a spread as the formula has it."""
    one, other = pair(shared, own, "x")
    similarity, count = shared / (shared + 2 * own), 50
    assert resemblance(one, other) == pytest.approx(similarity)
    estimates = []
    for seed in range(300):
        first, second = min_hashes([one, other], count, seed)
        estimates.append(float((first == second).mean()))
    expected = standard_error(similarity, count)
    assert abs(statistics.fmean(estimates) - similarity) < 3.5 * expected / math.sqrt(300)
    assert 0.85 < statistics.stdev(estimates) / expected < 1.15
    assert sum(abs(e - similarity) <= 2 * expected for e in estimates) > 0.9 * 300


def test_equal_sets_agree_everywhere_and_strangers_nowhere() -> None:
    one, other = pair(0, 20, "x")
    first, second, third = min_hashes([one, other, one], 200)
    assert (first == third).all() and not (first == second).any()
    assert not (min_hashes([one], 200, 0) == min_hashes([one], 200, 1)).any()


@pytest.mark.parametrize(("shared", "own", "bands", "rows"), [(14, 3, 6, 4), (20, 10, 8, 3), (8, 1, 20, 5)])
def test_bands_meet_as_often_as_the_formula_says(shared: int, own: int, bands: int, rows: int) -> None:
    pairs = [one for i in range(500) for one in pair(shared, own, str(i))]
    hashes = min_hashes(pairs, bands * rows).reshape(500, 2, bands, rows)
    met = (hashes[:, 0] == hashes[:, 1]).all(axis=2).any(axis=1).mean()
    chance = chance_to_meet(shared / (shared + 2 * own), bands, rows)
    assert abs(met - chance) <= 4 * standard_error(chance, 500) + 1e-9


def test_hashes_are_the_same_on_every_machine() -> None:
    assert hashed("a man in") == GOLDEN[0]
    assert min_hashes([frozenset(["a man in", "man in a"])], 2, 7).tolist() == [list(GOLDEN[1:])]


GOLDEN = (952151377243194932, 4816846310860354482, 1758419000101505203)


def test_shingles_are_runs_of_words() -> None:
    assert shingles("A man, in a hat.") == {"a man in", "man in a", "in a hat"}
    assert shingles("Hello!") == {"hello"} and shingles("", 2) == {""}
    assert shingles("a b a b a b", 2) == {"a b", "b a"}


def test_similar_texts_join_through_a_third() -> None:
    """The ends of a chain may be far apart; the least number names the cluster, in whatever order."""
    words = [f"w{i}" for i in range(30)]
    chain = [" ".join(words[i : i + 20]) for i in (10, 0, 5)]
    assert resemblance(shingles(chain[0]), shingles(chain[1])) < 0.5
    assert near_duplicates(chain, 0.5, bands=60, rows=2) == [0, 0, 0] == near_duplicates_by_hand(chain, 0.5)
    clusters = Clusters(6)
    for one, other in ((5, 4), (1, 2), (4, 2), (3, 3)):
        clusters.join(one, other)
    assert [clusters.first(i) for i in range(6)] == [0, 1, 1, 3, 1, 1]


def test_a_large_collection_takes_seconds() -> None:
    """And finds what a comparison of equal sets of shingles finds at least."""
    texts = captions(6000)
    found = deduplicated(texts)
    assert len(found.numbers) + found.exact + found.near == 6000
    assert len(found.numbers) <= len({shingles(text) for text in texts})
    assert list(found.numbers) == sorted(set(found.numbers))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: near_duplicates(["a"], 0.0), "threshold is 0.0"),
        (lambda: near_duplicates(["a"], 1.5), "threshold is 1.5"),
        (lambda: near_duplicates(["a"], bands=0), "bands is 0, rows 5"),
        (lambda: near_duplicates(["a"], rows=0), "rows 0"),
        (lambda: shingles("a b", 0), "words is 0"),
        (lambda: min_hashes([], 3), "holds 0 sets"),
        (lambda: min_hashes([frozenset("a"), frozenset()], 3), "smallest of 0 shingles"),
    ],
)
def test_what_cannot_be_compared_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_nothing_has_no_duplicates() -> None:
    assert near_duplicates([]) == [] == exact_duplicates([])
    assert deduplicated([]).numbers == () and deduplicated(["one"]).numbers == (0,)
    assert np.isclose(chance_to_meet(0.0), 0) and chance_to_meet(1.0) == 1
