"""Byte pairs against `tokenizers`: training, encoding and decoding of 10,000 lines, and of any text."""

import json
from functools import cache

import pytest
from hypothesis import given, settings
from tests.fundamentals.tokenizers.texts import ANY, NASTY, real_lines

from fathom.errors import MissingExtra
from fathom.fundamentals.tokenizers import byte_pair_encoding as own
from fathom.fundamentals.tokenizers.byte_pair_encoding import (
    SHOWN,
    BytePairs,
    decode_byte_pairs_by_hand,
    encode_byte_pairs_by_hand,
    split_by_hand,
    train_byte_pairs,
    train_byte_pairs_by_hand,
)

END = "<|endoftext|>"


@cache
def learned() -> BytePairs:
    return train_byte_pairs(real_lines(), 2000, special=(END,))


def test_training_on_ten_thousand_lines_equals_tokenizers() -> None:
    """Our plain trainer, and the package's own with its usual settings, not through our face."""
    from tokenizers import ByteLevelBPETokenizer

    theirs = ByteLevelBPETokenizer(add_prefix_space=False)
    theirs.train_from_iterator(real_lines(), vocab_size=2000, special_tokens=[END], show_progress=False)
    model = json.loads(theirs.to_str())["model"]
    by_hand = train_byte_pairs_by_hand(real_lines(), 2000, (END,))
    assert {token: i for i, token in enumerate(by_hand.vocabulary)} == model["vocab"]
    assert [list(pair) for pair in by_hand.merges] == model["merges"]
    assert by_hand == learned() and len(by_hand.vocabulary) == 2000


def test_ten_thousand_lines_are_encoded_as_by_tokenizers_and_come_back() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    known = learned()
    places = {token: i for i, token in enumerate(known.vocabulary)}
    theirs = Tokenizer(models.BPE(places, list(known.merges)))
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    for line, other in zip(real_lines(), theirs.encode_batch(list(real_lines())), strict=True):
        assert encode_byte_pairs_by_hand(line, known) == other.ids == known.encode(line)
        assert decode_byte_pairs_by_hand(other.ids, known) == line == known.decode(other.ids)


def test_the_signs_for_bytes_are_gpt2s() -> None:
    from tokenizers import pre_tokenizers

    assert set(SHOWN) == set(pre_tokenizers.ByteLevel.alphabet()) and len(SHOWN) == 256
    assert SHOWN[32] == "Ġ" and SHOWN[10] == "Ċ" and SHOWN[ord("a")] == "a" and SHOWN[255] == "ÿ"


@settings(deadline=None)
@given(ANY | NASTY)
def test_every_text_comes_back_and_both_ways_agree(text: str) -> None:
    known = learned()
    numbers = encode_byte_pairs_by_hand(text, known)
    assert "".join(split_by_hand(text)) == text
    assert known.encode(text) == numbers
    assert known.decode(numbers) == decode_byte_pairs_by_hand(numbers, known) == text


def test_marks_are_letters_unless_they_are_asked_for() -> None:
    known = learned()
    typed = f"a{END}b"
    assert 0 not in known.encode(typed) and known.decode(known.encode(typed)) == typed
    asked = known.tokenizer.encode(typed, interpret=True)
    assert asked.count(0) == 1 and known.decode(asked) == "ab"
    assert known.tokenizer.decode(asked, marks=True) == typed


def test_bytes_that_are_no_text_show_as_that() -> None:
    known = learned()
    half = [known.vocabulary.index(SHOWN[0xC3])]
    assert known.decode(half) == decode_byte_pairs_by_hand(half, known) == "\ufffd"


def test_training_stops_where_nothing_repeats() -> None:
    few = train_byte_pairs(["abab"], 1000)
    assert few.merges == (("a", "b"),) and few == train_byte_pairs_by_hand(["abab"], 1000)
    all_joined = train_byte_pairs(["abab"], 1000, rarest=1)
    assert all_joined.merges == (("a", "b"), ("ab", "ab"))
    assert all_joined == train_byte_pairs_by_hand(["abab"], 1000, rarest=1)


def test_bad_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong, words in (
        (lambda: train_byte_pairs(["a"], 255), "size is 255; marks and single signs alone take 256"),
        (lambda: train_byte_pairs(["a"], 256, special=("x",)), "alone take 257"),
        (lambda: train_byte_pairs(["a"], 300, rarest=0), "rarest is 0"),
        (lambda: train_byte_pairs([], 300), "nothing but spaces"),
        (lambda: train_byte_pairs(["", " \n"], 300), "nothing but spaces"),
        (lambda: train_byte_pairs(["\ud83d"], 300), "half of a sign"),
        (lambda: learned().encode("\ud83d"), "half of a sign"),
        (lambda: learned().decode([2000]), "numbers holds 2000; the tokenizer gives 0 to 1999"),
        (lambda: BytePairs(("a",), ()), "it must hold all 256 bytes"),
        (lambda: BytePairs(SHOWN, (), special=("</s>",)), "it must hold all 256 bytes and every mark"),
        (lambda: BytePairs(SHOWN, (("a", "b"),)), "merges joins 'a' and 'b'"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'fathom-dl\[text\]'"):
        own.train_byte_pairs(["a"], 300)
