"""BLEU against sacrebleu, on drawn and real pairs, and against what must hold of it."""

import math
import random

import pytest
from hypothesis import given
from sacrebleu.metrics.bleu import BLEU
from tests.fundamentals.text_scores.pairs import drawn, real
from tests.fundamentals.tokenizers.texts import ANY, NASTY

from fathom.fundamentals.text_scores.bleu import (
    SIGNATURE,
    bleu_counts,
    bleu_of,
    corpus_bleu,
    corpus_bleu_by_hand,
    sentence_bleu,
    tokenize_13a,
    tokenize_13a_by_hand,
)

CORPUS, SENTENCE = BLEU(force=True), BLEU(force=True, effective_order=True)


def theirs(written: list[str], references: list[list[str]]) -> float:
    """Sacrebleu takes streams: the first references of all, the second of all, None where there is none."""
    deep = max(map(len, references))
    streams = [[one[k] if k < len(one) else None for one in references] for k in range(deep)]
    return CORPUS.corpus_score(written, streams).score  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(40))
def test_corpora_equal_sacrebleu(seed: int) -> None:
    """400 drawn pairs with one to three references, empty texts and odd signs among them."""
    written, references = drawn(seed, 10)
    assert corpus_bleu(written, references) == pytest.approx(theirs(written, references), abs=1e-9)
    assert corpus_bleu_by_hand(written, references) == pytest.approx(theirs(written, references), abs=1e-9)


@pytest.mark.parametrize("seed", range(40))
def test_sentences_equal_sacrebleu(seed: int) -> None:
    for text, known in zip(*drawn(seed, 10), strict=True):
        expected = SENTENCE.sentence_score(text, known).score
        assert sentence_bleu(text, known) == pytest.approx(expected, abs=1e-9)


def test_real_captions_equal_sacrebleu() -> None:
    written, references = real(400)
    found = corpus_bleu(written, references)
    assert 10 < found < 90
    assert found == pytest.approx(theirs(written, [[one] for one in references]), abs=1e-9)
    assert corpus_bleu_by_hand(written, [[one] for one in references]) == pytest.approx(found, abs=1e-9)
    for text, known in zip(written, references, strict=True):
        assert sentence_bleu(text, known) == pytest.approx(
            SENTENCE.sentence_score(text, [known]).score, abs=1e-9
        )


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("", "a b"),
        ("a b", ""),
        ("", ""),
        ("a", "a"),
        ("a b c", "a b c"),
        ("a b c", "c b a"),
        ("x " * 3000, "x y " * 2000),
        ("x " * 3000, "x"),
        ("x", "x " * 3000),
        ("a b c d", "a b c d"),
    ],
)
def test_short_empty_and_endless_texts_equal_sacrebleu(text: str, known: str) -> None:
    assert corpus_bleu([text], [known]) == pytest.approx(theirs([text], [[known]]), abs=1e-9)
    assert sentence_bleu(text, known) == pytest.approx(SENTENCE.sentence_score(text, [known]).score, abs=1e-9)


@given(ANY | NASTY)
def test_words_are_those_of_13a(text: str) -> None:
    assert tokenize_13a(text) == CORPUS.tokenizer(text.rstrip()).split() == tokenize_13a_by_hand(text)


def test_words_are_those_of_13a_where_signs_meet() -> None:
    dice = random.Random(0)
    signs = [*"ab19.,-'\"&;<> \n", "&quot;", "&amp;", "&lt;", "<skipped>", "½", "Ü", "-\n"]
    for _ in range(3000):
        text = "".join(dice.choices(signs, k=dice.randint(0, 14)))
        assert tokenize_13a(text) == CORPUS.tokenizer(text.rstrip()).split() == tokenize_13a_by_hand(text)


def test_the_signature_is_that_of_what_is_computed() -> None:
    theirs(["a"], [["a"]])
    assert str(CORPUS.get_signature()).startswith(SIGNATURE + "|version:")


def test_counts_of_parts_add_up_and_a_resample_is_a_corpus() -> None:
    written, references = drawn(5, 30)
    counts = bleu_counts(written, references)
    chosen = [3, 3, 17, 28, 0]
    again = corpus_bleu([written[i] for i in chosen], [references[i] for i in chosen])
    assert bleu_of(counts[chosen].sum(axis=0)) == again
    assert corpus_bleu(written[::-1], references[::-1]) == corpus_bleu(written, references)


def test_what_must_hold() -> None:
    text = "a dog runs over the grass ."
    assert corpus_bleu([text], [text]) == pytest.approx(100)
    assert corpus_bleu([text], [text.upper()]) < 100  # case counts
    assert corpus_bleu(["the the the the the"], ["the cat is on the mat"]) < 30  # a run is used once
    half = " ".join(text.split()[:4])
    assert corpus_bleu([half], [text]) == pytest.approx(100 * math.exp(1 - 7 / 4))  # short ones pay
    assert corpus_bleu([text], [["nothing", text]]) == pytest.approx(100)


def test_bad_input_is_refused() -> None:
    for call, words in (
        (lambda: corpus_bleu([], []), "0 texts and 0 references"),
        (lambda: corpus_bleu(["a"], ["a", "b"]), "1 texts and 2 references"),
        (lambda: corpus_bleu(["a", "b"], ["a", []]), r"references\[1\] is empty"),
        (lambda: sentence_bleu("a", []), r"references\[0\] is empty"),
        (lambda: corpus_bleu("a", ["a"]), "sentence_bleu"),
        (lambda: corpus_bleu(["a"], "a"), "sentence_bleu"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
