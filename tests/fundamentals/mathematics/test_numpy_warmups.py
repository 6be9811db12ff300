"""The hidden tests of the twenty warm-ups: cases that the learner has not seen, and other libraries."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.spatial
import torch

from fathom.fundamentals.mathematics import numpy_warmups as nw


def test_there_are_twenty_and_their_answers_pass() -> None:
    assert len(nw.WARMUPS) == 20
    for name, (ours, by_hand, _) in nw.WARMUPS.items():
        assert ours.__name__ == name and by_hand.__name__ == f"{name}_by_hand"
        for answer in (ours, by_hand):
            assert nw.grade(name, answer, seed=7, cases=20) == nw.Grade(True), name


WRONG: dict[str, tuple[Callable, str]] = {
    "squares": (lambda count: np.arange(count) ** 3, "is right"),
    "every_second_backwards": (lambda values: values[::2], "gave"),
    "standardize": (lambda table: (table - table.mean()) / table.std(), "is right"),
    "one_hot": (lambda labels, classes: np.eye(classes)[:, labels], "gave shape"),
    "accuracy": (lambda scores, labels: (scores.argmax(axis=0) == labels).mean(), "raised"),
    "moving_average": (lambda values, width: np.convolve(values, np.ones(width) / width), "gave"),
    "running_maximum": (lambda values: np.maximum.accumulate(np.append(0, values))[1:], "is right"),
    "class_counts": (lambda labels, classes: np.bincount(labels), "gave shape"),
    "best_places": (lambda values, count: np.argsort(values)[::-1][:count], "is right"),
    "look_back": (lambda count: np.tril(np.ones((count, count))), "gave dtype float64 where bool"),
    "mirror": (lambda images: images[:, ::-1], "is right"),
    "channels_first": (lambda images: images.reshape(2, 3, 4, 5), "is right"),
}


def test_wrong_answers_fail_with_a_hint() -> None:
    for name, (answer, hint) in WRONG.items():
        found = nw.grade(name, answer)
        assert not found.passed and hint in found.hint, f"{name}: {found}"


def test_an_answer_that_changes_its_input_fails() -> None:
    def sneaky(values: np.ndarray, low: float, high: float) -> np.ndarray:
        values[:] = values.clip(low, high)
        return values

    assert "changed its input" in nw.grade("clip_outliers", sneaky, cases=20).hint


def test_answers_equal_other_libraries() -> None:
    dice = np.random.default_rng(0)
    left, right, row = dice.normal(size=(6, 3)), dice.normal(size=(4, 3)), dice.normal(size=11)
    labels, image = dice.integers(0, 4, size=9), dice.normal(size=(6, 8))
    np.testing.assert_allclose(nw.pairwise_distances(left, right), scipy.spatial.distance.cdist(left, right))
    np.testing.assert_allclose(nw.moving_average(row, 4), np.convolve(row, np.ones(4) / 4, mode="valid"))
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(labels), 5).numpy()
    assert (nw.one_hot(labels, 5) == one_hot).all() and (
        nw.class_counts(labels, 5) == one_hot.sum(axis=0)
    ).all()
    unfolded = torch.from_numpy(image).unfold(0, 2, 2).unfold(1, 2, 2).reshape(-1, 2, 2)
    assert (nw.tiles(image, 2) == unfolded.numpy()).all()
    assert (nw.running_maximum(row) == torch.from_numpy(row).cummax(dim=0).values.numpy()).all()
    table, tokens = dice.normal(size=(5, 2)), dice.integers(0, 5, size=(3, 4))
    embedded = torch.nn.functional.embedding(torch.from_numpy(tokens), torch.from_numpy(table)).numpy()
    assert (nw.look_up(table, tokens) == embedded).all()
    sums = torch.zeros(4, dtype=torch.float64).index_add(
        0, torch.from_numpy(labels), torch.from_numpy(row[:9])
    )
    np.testing.assert_allclose(nw.group_sums(row[:9], labels, 4), sums.numpy())
    np.testing.assert_allclose(nw.standardize(left), scipy.stats.zscore(left))
    assert (nw.best_places(row, 3) == torch.from_numpy(row).topk(3).indices.numpy()).all()
    assert (nw.look_back(4) == np.tri(4)).all()


def test_extremes() -> None:
    assert nw.squares(0).shape == (0,) and nw.look_back(0).shape == (0, 0)
    assert nw.batches(np.ones((3, 2)), 4).shape == nw.batches_by_hand(np.ones((3, 2)), 4).shape == (0, 4, 2)
    assert nw.one_hot(np.zeros(0, dtype=np.int64), 3).shape == (0, 3)
    assert not nw.standardize(np.full((3, 1), 1e4)).any()
    assert nw.running_mean(np.array([1e4, -1e4])).tolist() == [1e4, 0]
    assert nw.pairwise_distances(np.zeros((0, 2)), np.ones((1, 2))).shape == (0, 1)
    assert nw.mirror(np.ones((1, 1, 2), dtype=np.float16)).dtype == np.float16


ROW, LABELS = np.ones(4), np.array([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nw.squares(-1), "count is -1; it must be 0 or more"),
        (lambda: nw.every_second_backwards(np.ones((2, 2))), r"values has shape \(2, 2\)"),
        (lambda: nw.standardize(np.ones((0, 2))), "the first of 1 or more"),
        (lambda: nw.one_hot(LABELS, 3), "labels holds 0 to 3; each must be from 0 to 2"),
        (lambda: nw.one_hot(ROW, 3), "it must be one row of integers"),
        (lambda: nw.accuracy(np.ones((3, 4)), LABELS), "labels has 4 entries; it must have 3"),
        (lambda: nw.pairwise_distances(np.ones((2, 2)), np.ones((2, 3))), "it must have 2 columns"),
        (lambda: nw.moving_average(ROW, 5), "the first of 5 or more"),
        (lambda: nw.moving_average(ROW, 0), "width is 0"),
        (lambda: nw.clip_outliers(ROW, 1.0, 0.0), "low is 1.0 and high 0.0"),
        (lambda: nw.masked_mean(ROW, np.zeros(4, dtype=bool)), "mask has dtype bool"),
        (lambda: nw.masked_mean(ROW, ROW), "mask has dtype float64"),
        (lambda: nw.running_maximum(np.array(["a"])), "values has dtype <U1"),
        (lambda: nw.class_counts(LABELS - 1, 4), "labels holds -1 to 2"),
        (lambda: nw.best_places(ROW, 5), "the first of 5 or more"),
        (lambda: nw.batches(np.ones((4, 2)), 0), "size is 0"),
        (lambda: nw.tiles(np.ones((4, 5)), 2), "the image of 4 x 5 is not a multiple"),
        (lambda: nw.mirror(np.ones((2, 2))), "it must have 3 axes"),
        (lambda: nw.channels_first(np.ones((2, 2, 2))), "it must have 4 axes"),
        (lambda: nw.look_up(np.ones((3, 2)), np.array([[3]])), "tokens holds 3 to 3"),
        (lambda: nw.group_sums(ROW, LABELS[:3], 4), "groups has 3 entries; it must have 4"),
        (lambda: nw.running_mean(np.ones((2, 2))), "it must have 1 axes"),
        (lambda: nw.grade("cubes", np.ones), "name is 'cubes'"),
        (lambda: nw.grade("squares", np.ones, cases=0), "cases is 0"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
