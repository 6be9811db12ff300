"""Windows tile their text, and counts are probabilities."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.data.windows import Counts, Windows, encode, parts, read_text, running_text
from fathom.errors import InputError
from fathom.training.objectives import IGNORE

TEXT = torch.arange(3, 26)  # 23 tokens, all different


def test_each_token_but_the_first_is_a_target_once() -> None:
    token, target = Windows(TEXT, 5).rows(torch.arange(len(Windows(TEXT, 5))))
    assert token.shape == target.shape == (5, 5)
    kept = target != IGNORE
    assert target[kept].tolist() == TEXT[1:].tolist()
    assert token[kept].tolist() == TEXT[:-1].tolist()
    assert token[~kept].eq(0).all()


def test_overlapping_windows_are_whole_and_in_any_order() -> None:
    split = Windows(TEXT, 8, 3)
    assert len(split) == 5  # the last begins at token 12 and is followed by token 20
    token, target = split.rows(torch.tensor([4, 0]))
    assert token[0].tolist() == TEXT[12:20].tolist() and target[0].tolist() == TEXT[13:21].tolist()
    assert token[1].tolist() == TEXT[:8].tolist()


@pytest.mark.parametrize("stride", [None, 8, 3])
def test_last_row_exists_and_the_one_after_does_not(stride: int | None) -> None:
    split = Windows(TEXT, 8, stride)
    step = stride or 8
    first = (len(split) - 1) * step
    assert first < len(TEXT) - 1
    spare = len(TEXT) - 1 - (first + step)  # targets left for one more row
    assert spare < 8 if stride == 3 else spare <= 0


def test_running_text_of_rows_is_the_text() -> None:
    from fathom.data.split import Part

    split = Windows(TEXT, 5)
    assert torch.equal(running_text(split), TEXT)
    assert torch.equal(running_text(Part(split, torch.arange(3))), TEXT[:16])
    assert torch.equal(running_text(Part(split, torch.arange(5))), TEXT)


@pytest.mark.parametrize(("length", "stride"), [(0, None), (5, 0), (5, 6), (23, 22)])
def test_windows_that_cannot_be_cut_are_refused(length: int, stride: int | None) -> None:
    with pytest.raises(InputError, match="windows"):
        Windows(TEXT, length, stride)


def test_a_text_of_one_token_is_refused() -> None:
    with pytest.raises(InputError, match="1 tokens"):
        Windows(TEXT[:1], 5)


def test_parts_follow_one_another() -> None:
    text = torch.arange(1000) % 7
    data = parts(text, 10, 5, {"source": "here"})
    assert data.valid is not None and data.test is not None
    joined = torch.cat([running_text(split) for split in (data.train, data.valid, data.test)])
    assert torch.equal(joined, text)
    assert data.facts == {"source": "here", "train": 900, "valid": 50, "test": 50}


@pytest.mark.parametrize("order", [0, 1, 2])
def test_counts_are_probabilities(order: int) -> None:
    dice = np.random.Generator(np.random.PCG64(0))
    counts = Counts(dice.integers(0, 4, 60), 4, order)
    for context in itertools.product(range(4), repeat=2):
        total = sum(counts.probability(np.array([*context, w]))[-1] for w in range(4))
        assert total == pytest.approx(1.0)


def test_counts_by_hand() -> None:
    counts = Counts(np.array([0, 1, 0, 1, 0]), 2, 1, strength=(1.0, 2.0))
    one = (2 + 1.0 * 0.5) / (5 + 1.0)  # of token 1, whatever came before
    after_zero = (2 + 2.0 * one) / (2 + 2.0)  # 0 was followed twice, by 1 both times
    assert counts.probability(np.array([0, 1]))[0] == pytest.approx(after_zero)


def test_first_tokens_lean_on_shorter_contexts() -> None:
    text = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    long, short = Counts(text, 3, 2), Counts(text, 3, 1)
    asked = np.array([2, 0, 1])
    assert long.probability(asked)[0] == short.probability(asked)[0]
    assert long.probability(asked)[1] > short.probability(asked)[1]


def test_longer_contexts_do_better_on_text_that_has_them() -> None:
    text = np.tile([0, 1, 0, 2], 50)
    losses = [-np.log(Counts(text, 3, order).probability(text)).mean() for order in range(3)]
    assert losses[0] > losses[1] > losses[2]
    assert losses[0] == pytest.approx(1.5 * math.log(2), abs=0.02)  # entropy of (1/2, 1/4, 1/4)


@pytest.mark.parametrize(("vocabulary", "order"), [(4, 3), (4, -1), (2**31, 1)])
def test_counts_that_cannot_be_made_are_refused(vocabulary: int, order: int) -> None:
    with pytest.raises(ValueError, match=r"order|vocabulary"):
        Counts(np.zeros(5, dtype=np.int64), vocabulary, order)


def test_unknown_characters_are_named() -> None:
    assert encode("aba", "ab").tolist() == [0, 1, 0]
    with pytest.raises(InputError, match="'z'"):
        encode("abz", "ab")


def test_texts_of_a_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"zwei\r\ndrei")
    (tmp_path / "a.txt").write_bytes("\ufeffeins".encode())
    (tmp_path / "note.md").write_text("not read")
    text, facts = read_text(tmp_path)
    assert text == "eins\nzwei\ndrei"
    assert (facts["files"], facts["characters"]) == (2, 14)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.txt").write_text("words")
    with pytest.raises(InputError, match=r"a\.txt is not UTF-8"):
        read_text(tmp_path)
    text, facts = read_text(tmp_path, skip_bad=True)
    assert text == "words" and facts["skipped_files"] == ["a.txt"]


def test_a_folder_without_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.txt file"):
        read_text(tmp_path)
