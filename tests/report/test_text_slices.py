"""Slices: what counts as a negation, how texts are parted by length, and what is told of few."""

import numpy as np
import pytest

from fathom.report.intervals import bootstrap_mean
from fathom.report.text_slices import NEGATION, slice_sections, thirds

SAID = (
    "not good", "Not so", "no .", "I don ' t", "we can't", "isn\u2019t it", "[?] ' t go", "NOBODY", "none",
    "neither , nor", "without end", "i cannot", "hardly", "never-ending", "nothing", "a no - go",
)  # fmt: skip
UNSAID = (
    "a notable one",
    "know",
    "nowhere near",
    "and a note",
    "it ' s",
    "another",
    "the t",
    "noon",
    "",
    "[?]",
)


@pytest.mark.parametrize("text", SAID)
def test_words_that_negate(text: str) -> None:
    assert NEGATION.search(text)


@pytest.mark.parametrize("text", UNSAID)
def test_words_that_do_not(text: str) -> None:
    assert not NEGATION.search(text)


def test_thirds_hold_each_text_once_and_keep_equal_lengths_together() -> None:
    dice = np.random.default_rng(0)
    for count in (1, 2, 3, 4, 50, 301):
        lengths = dice.integers(0, 40, count)
        parts = list(thirds(lengths))
        assert (sum(mask.astype(int) for _, _, mask in parts) == 1).all()
        ends = [end for low, high, _ in parts for end in (low, high)]
        assert ends == sorted(ends) and ends[0] == lengths.min() and ends[-1] == lengths.max()
        for low, high, mask in parts:
            assert (mask == ((lengths >= low) & (lengths <= high))).all()
    assert [int(mask.sum()) for _, _, mask in thirds(np.arange(30))] == [10, 10, 10]


def test_accuracy_of_each_slice_with_the_interval_of_the_house() -> None:
    texts = ["not so"] * 20 + ["so it is"] * 30 + ["so it is , really"] * 19
    right = np.array([1.0] * 5 + [0.0] * 15 + [1.0] * 49)
    (section,) = slice_sections(right, texts, [len(text.split()) for text in texts], "words")
    (table,) = section.blocks
    few = bootstrap_mean(right[:20])
    assert table.rows[1] == ["with a negation", 20, "0.250", f"{few.low:.3f} to {few.high:.3f}"]  # type: ignore[attr-defined]
    names = ["all", "with a negation", "without one", "length 2 to 3", "length 5"]
    assert [row[0] for row in table.rows] == names  # type: ignore[attr-defined]
    assert [row[1] for row in table.rows] == [69, 20, 49, 50, 19]  # type: ignore[attr-defined]
    assert table.rows[-1][1:] == [19, "fewer than 20 texts", "\u2013"]  # type: ignore[attr-defined]
    assert "never" in section.intro and "in words" in section.intro and "fewer than 20 texts" in table.html()


def test_negation_is_left_out_where_no_text_has_one() -> None:
    (section,) = slice_sections(np.ones(40), ["so"] * 20 + ["so it is"] * 20, [1] * 20 + [3] * 20, "words")
    (table,) = section.blocks
    assert [row[0] for row in table.rows] == ["all", "length 1", "length 3"]  # type: ignore[attr-defined]
    assert "never" not in section.intro


def test_texts_of_one_kind_have_no_slices() -> None:
    assert slice_sections(np.ones(40), ["so it is"] * 40, [3] * 40, "words") == []
