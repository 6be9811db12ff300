"""The chrF and chrF++ against sacrebleu, on drawn and real pairs, and against what must hold of them."""

import pytest
from hypothesis import given
from sacrebleu.metrics.chrf import CHRF
from tests.fundamentals.text_scores.pairs import drawn, real
from tests.fundamentals.tokenizers.texts import ANY, NASTY

from fathom.fundamentals.text_scores.chrf import (
    SIGNATURE,
    chrf_counts,
    chrf_of,
    corpus_chrf,
    corpus_chrf_by_hand,
    cut_by_hand,
    sentence_chrf,
    without_sign,
)

THEIRS = {words: CHRF(word_order=words) for words in (0, 2)}
EITHER = pytest.mark.parametrize("words", [0, 2])


def theirs(written: list[str], references: list[list[str]], words: int) -> float:
    deep = max(map(len, references))
    streams = [[one[k] if k < len(one) else None for one in references] for k in range(deep)]
    return THEIRS[words].corpus_score(written, streams).score  # type: ignore[arg-type]


@EITHER
@pytest.mark.parametrize("seed", range(40))
def test_corpora_equal_sacrebleu(seed: int, words: int) -> None:
    written, references = drawn(seed, 10)
    found = corpus_chrf(written, references, words=words)
    assert found == pytest.approx(theirs(written, references, words), abs=1e-9)


@EITHER
@pytest.mark.parametrize("seed", range(40))
def test_sentences_equal_sacrebleu(seed: int, words: int) -> None:
    for text, known in zip(*drawn(seed, 10), strict=True):
        expected = THEIRS[words].sentence_score(text, known).score
        assert sentence_chrf(text, known, words=words) == pytest.approx(expected, abs=1e-9)


@EITHER
def test_real_captions_equal_sacrebleu_and_our_own_hand(words: int) -> None:
    written, references = real(400)
    found = corpus_chrf(written, references, words=words)
    assert 10 < found < 95
    assert found == pytest.approx(theirs(written, [[one] for one in references], words), abs=1e-9)
    assert corpus_chrf_by_hand(written[:100], references[:100], words) == pytest.approx(
        corpus_chrf(written[:100], references[:100], words=words), abs=1e-9
    )


@EITHER
@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("", "a b"),
        ("a b", ""),
        ("", ""),
        ("a", "a"),
        ("ab", "abcdefgh"),
        ("x" * 3000, "xy" * 2000),
        ("x " * 3000, "x"),
        ("...", "(hi)"),
    ],
)
def test_short_empty_and_endless_texts_equal_sacrebleu(text: str, known: str, words: int) -> None:
    assert corpus_chrf([text], [known], words=words) == pytest.approx(
        theirs([text], [[known]], words), abs=1e-9
    )


@pytest.mark.parametrize("beta", [1, 3])
def test_other_weights_of_recall_equal_sacrebleu(beta: int) -> None:
    written, references = drawn(11, 20)
    single = [known[0] for known in references]
    expected = CHRF(beta=beta).corpus_score(written, [single]).score
    assert corpus_chrf(written, single, beta=beta) == pytest.approx(expected, abs=1e-9)
    assert corpus_chrf_by_hand(written, single, beta=beta) == pytest.approx(expected, abs=1e-9)


@given(ANY | NASTY)
def test_words_are_cut_as_there(text: str) -> None:
    ours = [part for word in text.split() for part in without_sign(word)]
    assert ours == THEIRS[2]._remove_punctuation(text) == cut_by_hand(text)


def test_the_signature_is_that_of_what_is_computed() -> None:
    theirs(["a"], [["a"]], 0)
    assert str(THEIRS[0].get_signature()).startswith(SIGNATURE + "|version:")


def test_counts_of_parts_add_up() -> None:
    written, references = drawn(5, 30)
    counts = chrf_counts(written, references, words=2)
    chosen = [3, 3, 17, 28, 0]
    again = corpus_chrf([written[i] for i in chosen], [references[i] for i in chosen], words=2)
    assert chrf_of(counts[chosen].sum(axis=0)) == again


def test_what_must_hold() -> None:
    assert sentence_chrf("des Hauses", "des Hauses") == pytest.approx(100)
    assert sentence_chrf("das Haus", "dasHaus") == pytest.approx(100)  # spaces do not count ...
    assert sentence_chrf("das Haus", "dasHaus", words=2) < 100  # ... but words do
    assert 0 < sentence_chrf("Hauses", "Haus") < 100  # a part of a word counts
    assert sentence_chrf("Haus", "Hauses") < sentence_chrf("Hauses", "Haus")  # what is missing counts more


def test_bad_input_is_refused() -> None:
    for call, words in (
        (lambda: corpus_chrf([], []), "0 texts"),
        (lambda: corpus_chrf(["a"], ["a"], words=-1), "words is -1"),
        (lambda: corpus_chrf(["a"], ["a"], beta=0), "beta is 0"),
        (lambda: sentence_chrf("a", []), "is empty"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
