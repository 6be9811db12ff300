"""Unigram pieces against `tokenizers` and sentencepiece on 10,000 lines, and on any text."""

import io
import itertools
import math
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fundamentals.tokenizers.texts import ANY, real_lines

from fathom.fundamentals.tokenizers.unigram import (
    UNKNOWN,
    Unigrams,
    best_cut_by_hand,
    decode_unigrams_by_hand,
    digamma,
    encode_unigrams_by_hand,
    expected_uses_by_hand,
    split_by_hand,
    train_unigrams,
    train_unigrams_by_hand,
)

END = "</s>"


@cache
def learned() -> Unigrams:
    return train_unigrams(real_lines(), 2000, special=(END,))


def close(ours: Unigrams, theirs: Unigrams) -> None:
    assert set(ours.pieces) == set(theirs.pieces)
    scores = dict(zip(theirs.pieces, theirs.scores, strict=True))
    for piece, score in zip(ours.pieces, ours.scores, strict=True):
        assert score == pytest.approx(scores[piece], rel=0, abs=1e-6), piece


def test_training_on_ten_thousand_lines_equals_tokenizers() -> None:
    """The package alone leaves rescued signs in any order; through our face they have one."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    by_hand = train_unigrams_by_hand(real_lines(), 2000, (END,))
    close(by_hand, learned())
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(
        vocab_size=1999, special_tokens=[UNKNOWN], unk_token=UNKNOWN, show_progress=False
    )
    made.train_from_iterator([line for line in real_lines() if line], trainer)
    theirs = made.get_vocab()
    assert {*theirs, END} == set(by_hand.pieces) and len(by_hand.pieces) == 2000


def test_the_same_is_learned_again_in_any_order() -> None:
    assert train_unigrams(tuple(reversed(real_lines())), 2000, special=(END,)) == learned()


def test_ten_thousand_lines_are_encoded_as_by_tokenizers_and_come_back() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = learned()
    model = models.Unigram(list(zip(known.pieces, known.scores, strict=True)), unk_id=0)
    theirs = Tokenizer(model)
    theirs.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    for line, other in zip(real_lines(), theirs.encode_batch(list(real_lines())), strict=True):
        assert encode_unigrams_by_hand(line, known) == known.encode(line)
        if not line.startswith(" "):  # theirs takes a space at the beginning for its own
            assert known.encode(line) == other.ids
        assert decode_unigrams_by_hand(other.ids, known) == line == known.decode(other.ids)


def test_ten_thousand_lines_are_encoded_as_by_sentencepiece() -> None:
    """With a vocabulary that it learned itself; it adds scores in float32, so a tie may fall otherwise."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(real_lines()), model_writer=model, vocab_size=2000, model_type="unigram",
        normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1, minloglevel=2,
        character_coverage=0.9995,
    )  # fmt: skip
    theirs: Any = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = tuple(theirs.id_to_piece(i) for i in range(theirs.get_piece_size()))
    known = Unigrams(pieces, tuple(theirs.get_score(i) for i in range(len(pieces))), ("<s>", "</s>"))
    scores = dict(zip(known.pieces, known.scores, strict=True))
    ties = 0
    for line in real_lines():
        ours, other = encode_unigrams_by_hand(line, known), theirs.encode(line)
        if ours != other:
            ties += 1
            gap = sum(scores[pieces[n]] for n in ours) - sum(scores[pieces[n]] for n in other)
            assert 0 <= gap < 1e-4, line
    assert ties <= 5


@settings(deadline=None)
@given(st.text(st.sampled_from("abcde TheÄß. ,é日\n"), max_size=30))
def test_texts_of_known_signs_come_back(text: str) -> None:
    known = learned()
    numbers = encode_unigrams_by_hand(text, known)
    assert numbers == known.encode(text)
    if 0 not in numbers:
        assert known.decode(numbers) == decode_unigrams_by_hand(numbers, known) == text


@settings(deadline=None)
@given(ANY)
def test_any_text_is_encoded_alike(text: str) -> None:
    assert encode_unigrams_by_hand(text, learned()) == learned().encode(text)


@given(st.text("abc", min_size=1, max_size=7))
def test_cuts_and_uses_are_those_of_all_cuts(word: str) -> None:
    """Against every cut of the word, written out."""
    pieces = ["a", "b", "c", "ab", "bc", "abc", "cab", "aa", "bb"]
    scores = {piece: -1.0 - math.sqrt(7 * i + 2) for i, piece in enumerate(pieces)}  # no ties
    cuts = []
    for edges in itertools.product([False, True], repeat=len(word) - 1):
        places = [0, *(i + 1 for i, edge in enumerate(edges) if edge), len(word)]
        cut = [word[a:b] for a, b in itertools.pairwise(places)]
        if all(piece in scores for piece in cut):
            cuts.append((sum(scores[piece] for piece in cut), cut))
    assert best_cut_by_hand(word, scores) == max(cuts)[1]
    total = sum(math.exp(score) for score, _ in cuts)
    uses = expected_uses_by_hand({word: 3}, scores)
    for piece in pieces:
        wanted = sum(3 * math.exp(score) / total * cut.count(piece) for score, cut in cuts)
        assert uses[piece] == pytest.approx(wanted, abs=1e-12)


def test_digamma_is_scipys() -> None:
    from scipy.special import digamma as theirs

    for x in (1e-3, 0.5, 1.0, 3.7, 25.0, 1e6):
        assert digamma(x) == pytest.approx(float(theirs(x)), rel=1e-13, abs=1e-13)


def test_marks_and_unknown_signs() -> None:
    """The mark is a piece of the vocabulary with the best score of all; typed, it is still letters."""
    signs = ("▁", "a", *"</s>")
    known = Unigrams((UNKNOWN, END, *signs), (0.0, 0.0, *(-1.0 for _ in signs)), (END,))
    typed = known.encode(f"a{END}")
    assert 1 not in typed and known.decode(typed) == f"a{END}"
    assert typed == encode_unigrams_by_hand(f"a{END}", known)
    assert known.tokenizer.encode(f"a{END}", interpret=True)[-1] == 1
    known = learned()
    assert known.encode("☃☃☃") == [known.pieces.index("▁"), 0] == encode_unigrams_by_hand("☃☃☃", known)
    assert known.encode("") == [] == split_by_hand("")
    assert split_by_hand("  a b ") == ["▁", "▁", "▁a", "▁b", "▁"]


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: train_unigrams(["ab"], 3), "size is 3; marks and single signs alone take 4"),
        (lambda: train_unigrams([""], 30), "nothing but spaces"),
        (lambda: learned().encode("\ud800"), "half of a sign"),
        (lambda: Unigrams(("a",), (0.0,)), "pieces begin with"),
        (lambda: Unigrams((UNKNOWN, "a", "a"), (0.0, 1.0, 2.0)), "each piece once"),
        (lambda: Unigrams((UNKNOWN, "a"), (0.0,)), "scores has 1 entries for 2 pieces"),
        (lambda: Unigrams((UNKNOWN, "a"), (0.0, math.nan)), "one finite number for each"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
