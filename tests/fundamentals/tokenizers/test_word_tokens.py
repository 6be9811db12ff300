"""Words against the word-level trainer of `tokenizers`, and against what artifacts do with words."""

import pytest
from hypothesis import given
from tests.fundamentals.tokenizers.texts import ANY, NASTY, real_lines

from fathom.deployment.preprocessing import words as words_of_artifacts
from fathom.fundamentals.tokenizers.word_tokens import (
    UNKNOWN,
    Words,
    encode_words_by_hand,
    split_words,
    split_words_by_hand,
    train_words,
    train_words_by_hand,
)


def test_ten_thousand_lines_equal_tokenizers_and_our_own_hand() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    lines = real_lines()
    spaced = [" ".join(split_words(line)) for line in lines]
    made = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    settings = {"vocab_size": 3000, "min_frequency": 2, "special_tokens": [UNKNOWN], "show_progress": False}
    made.train_from_iterator(spaced, trainers.WordLevelTrainer(**settings))
    learned = train_words(lines, 3000)
    assert learned.places == made.get_vocab()
    for line, other in zip(lines, made.encode_batch(spaced), strict=True):
        assert learned.encode(line) == other.ids
    assert list(learned.vocabulary)[:300] == train_words_by_hand(lines, 300)
    for line in lines[:: len(lines) // 100]:
        assert learned.encode(line) == encode_words_by_hand(line, learned.vocabulary)


@given(ANY | NASTY)
def test_splitting_is_that_of_artifacts_and_of_the_plain_loop(text: str) -> None:
    assert split_words(text) == split_words_by_hand(text) == words_of_artifacts(text)


@given(NASTY)
def test_what_is_read_back_reads_the_same(text: str) -> None:
    known = train_words([text, "-"], 100, rarest=1)
    numbers = known.encode(text)
    assert 0 not in numbers and known.encode(known.decode(numbers)) == numbers


def test_rare_words_are_unknown_and_ties_are_in_order() -> None:
    known = train_words(["b a c", "a b A"], 10)
    assert known.vocabulary == (UNKNOWN, "a", "b")
    assert known.encode("a C b") == [1, 0, 2] and known.encode("") == []
    assert train_words(["b a"], 2, rarest=1).vocabulary == (UNKNOWN, "a")
    assert known.encode(UNKNOWN) == [0, 0, 0]  # typed, it is signs and a word as any other


def test_bad_input_is_refused() -> None:
    known = train_words(["a a"], 2)
    for wrong, words in (
        (lambda: train_words(["a"], 1), "size is 1, rarest is 2"),
        (lambda: train_words(["a"], 5, rarest=0), "rarest is 0"),
        (lambda: train_words(["a b"], 5), "texts hold no word 2 times or more"),
        (lambda: train_words([], 5), "texts hold no word"),
        (lambda: known.encode("\udfff"), "half of a sign"),
        (lambda: known.decode([2]), r"numbers holds 2; it must be in \[0, 2\)"),
        (lambda: Words(("a",)), "vocabulary begins with"),
        (lambda: Words((UNKNOWN, "a", "a")), "each word once"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
