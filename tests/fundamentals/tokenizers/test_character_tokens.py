"""Characters against the sorted set, the word-level model of `tokenizers`, and texts of any kind."""

import pytest
from hypothesis import given
from tests.fundamentals.tokenizers.texts import ANY, real_lines

from fathom.fundamentals.tokenizers.character_tokens import (
    Characters,
    encode_characters_by_hand,
    train_characters,
    train_characters_by_hand,
)


def test_ten_thousand_lines_equal_tokenizers_and_our_own_hand() -> None:
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    lines = real_lines()
    learned = train_characters(lines)
    assert learned.vocabulary == tuple(sorted(set("".join(lines))))
    assert learned == train_characters(reversed(lines))
    assert list(learned.vocabulary) == train_characters_by_hand((*lines[::20], "".join(learned.vocabulary)))
    theirs = Tokenizer(models.WordLevel(learned.places, unk_token=learned.vocabulary[0]))
    theirs.pre_tokenizer = pre_tokenizers.Split(Regex("[\\s\\S]"), "isolated")
    for line, other in zip(lines, theirs.encode_batch(list(lines)), strict=True):
        assert learned.encode(line) == other.ids
        assert learned.decode(other.ids) == line
    for line in lines[:: len(lines) // 100]:
        assert learned.encode(line) == encode_characters_by_hand(line, learned.vocabulary)


def test_tiny_shakespeare_has_its_65_signs() -> None:
    from fathom.data.sets import tiny_shakespeare

    assert len(train_characters([tiny_shakespeare.read()]).vocabulary) == 65


@given(ANY)
def test_every_text_comes_back(text: str) -> None:
    known = train_characters([text, "-"])
    assert known.decode(known.encode(text)) == text


def test_what_is_unknown_has_a_number_or_is_refused() -> None:
    known = train_characters(["abc"], unknown="\0")
    assert known.vocabulary == ("\0", "a", "b", "c")
    assert known.encode("cab☃") == [3, 1, 2, 0] and known.encode("") == [] and known.decode([]) == ""
    with pytest.raises(ValueError, match="text holds '☃'; the vocabulary has 'a' 'b' 'c', and no number"):
        train_characters(["abc"]).encode("ab☃")


def test_bad_input_is_refused() -> None:
    known = train_characters(["abc"])
    for wrong, words in (
        (lambda: train_characters([]), "texts hold no sign"),
        (lambda: train_characters(["", ""]), "texts hold no sign"),
        (lambda: train_characters(["a\ud800b"]), r"holds '\\ud800' at place 1, half of a sign"),
        (lambda: known.decode([0, 3]), r"numbers holds 3; it must be in \[0, 3\)"),
        (lambda: known.decode([-1]), "numbers holds -1"),
        (lambda: Characters(()), "vocabulary has 0 entries"),
        (lambda: Characters(("a", "a")), "vocabulary has 2 entries, 1 different"),
        (lambda: Characters(("a",), unknown=1), "unknown is 1"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
