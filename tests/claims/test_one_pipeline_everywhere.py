"""What is compared would show a door that reads or answers otherwise; then the whole way is gone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fathom import catalog
from fathom.claim import promise
from fathom.claims import one_pipeline_everywhere as claim
from fathom.verbs.arms import judged

ANSWER = {"label": "good", "probabilities": {"bad": 0.25, "good": 0.75}}


def test_arrays_are_told_apart_by_every_byte_by_type_and_by_shape() -> None:
    tokens = np.arange(6)
    kinds = (
        {"tokens": tokens}, {"tokens": tokens.astype(np.int32)}, {"tokens": tokens.reshape(2, 3)},
        {"tokens": tokens + (tokens == 5)}, {"token": tokens},
    )  # fmt: skip
    assert len({claim.noted(arrays) for arrays in kinds}) == len(kinds)
    assert claim.noted({"tokens": tokens.copy()}) == claim.noted({"tokens": tokens})


def test_answers_that_differ_are_noticed() -> None:
    nearly = {"label": "good", "probabilities": {"bad": 0.25 + 1e-9, "good": 0.75}}
    other = {"label": "bad", "probabilities": {"bad": 0.75, "good": 0.25}}
    found = claim.apart([ANSWER] * 3, [ANSWER, nearly, other])
    assert found == {"answers": 2, "labels": 1, "probability": 0.5, "texts": 3}


def test_a_text_that_was_read_otherwise_or_not_at_all_is_noticed() -> None:
    read, texts = {"a": "1", "b": "2", "c": "3"}, ["a", "b", "c"]
    answers = [ANSWER] * 3
    for notes, differ in ((read, 0), (read | {"b": "9"}, 1), ({"a": "1"}, 2)):
        assert claim.compared(read, texts, answers, answers, notes)["tokens"] == differ
    assert claim.compared(read, texts[1:], answers, answers[1:], read)["texts"] == 2


def test_odd_texts_are_different_and_of_every_kind() -> None:
    assert len(set(claim.ODD)) == len(claim.ODD)
    whole = "".join(claim.ODD)
    assert "" in claim.ODD and max(map(len, claim.ODD)) >= 60_000
    assert {"\x00", "\n", "\u2028", "\u200d", "\u0301", "\u202e"} <= set(whole)
    assert any(ord(sign) > 0xFFFF for sign in whole)


def test_notes_are_taken_of_what_preprocessing_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fathom.cli import command
    from fathom.deployment import preprocessing

    operations = [{"operation": "tokens", "input": "tokens", "field": "text", "unit": "character",
                   "vocabulary": ["a", "b"], "length": None}]  # fmt: skip
    made: list[Any] = []

    def main(arguments: list[str]) -> int:
        made.extend(preprocessing.apply(operations, {"text": text}) for text in arguments)
        return 7

    monkeypatch.setattr(command, "main", main)
    monkeypatch.setattr(preprocessing, "apply", preprocessing.apply)  # put back afterwards
    assert claim.noting(tmp_path / "notes", ["ab", "ba"]) == 7
    assert claim.notes_of(tmp_path / "notes") == {
        text: claim.noted(arrays) for text, arrays in zip(["ab", "ba"], made, strict=True)
    }


def test_letters_are_written_as_they_are(tmp_path: Path) -> None:
    rows = [{"text": "\u2028é\n"}, {"text": "\x00"}]
    file = claim.written(tmp_path / "rows.jsonl", rows)
    text = file.read_text(encoding="utf-8")
    assert "é" in text and [json.loads(line) for line in text.split("\n") if line] == rows


@pytest.mark.slow
def test_one_pipeline_stands_behind_every_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer steps: what is compared does not depend on how good the model is."""
    monkeypatch.setattr(claim, "STEPS", 100)
    found = {arm: [told] for arm, told in claim.measure(100).items()}
    for text in catalog.claim("one_pipeline_everywhere").claim.expect:
        assert judged(promise(text), found)["met"], text
