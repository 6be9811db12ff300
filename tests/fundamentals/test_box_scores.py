"""Overlap, suppression and average precision against plain loops and cases worked out by hand."""

import numpy as np
import pytest

from fathom.fundamentals.box_scores import average_precision, hits, overlap, precision_recall, suppress


def random_boxes(count: int, seed: int = 0) -> np.ndarray:
    dice = np.random.default_rng(seed)
    corner = dice.random((count, 2)) * 50
    return np.concatenate([corner, corner + 2 + dice.random((count, 2)) * 30], axis=1)


def single(a: np.ndarray, b: np.ndarray) -> float:
    """Overlap of two boxes, written out."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    joint = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - wide * high
    return wide * high / joint


def test_overlap_matches_a_loop() -> None:
    ours, theirs = random_boxes(13), random_boxes(7, seed=1)
    table = overlap(ours, theirs)
    for i, a in enumerate(ours):
        for j, b in enumerate(theirs):
            assert table[i, j] == pytest.approx(single(a, b))


def test_overlap_of_known_boxes() -> None:
    whole, half, apart, empty = [0, 0, 4, 4], [0, 0, 4, 2], [8, 8, 9, 9], [1, 1, 1, 1]
    table = overlap(np.array([whole], float), np.array([whole, half, apart, empty], float))
    assert table[0].tolist() == [1, 0.5, 0, 0]
    assert overlap(np.array([empty], float), np.array([empty], float)).tolist() == [[0]]
    assert overlap(np.zeros((0, 4)), np.zeros((3, 4))).shape == (0, 3)


def suppressed_by_loop(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    left, kept = list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        kept.append(best)
        left = [i for i in left if i != best and single(boxes[best], boxes[i]) <= limit]
    return kept


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_suppression_matches_a_loop(limit: float, seed: int) -> None:
    boxes = random_boxes(60, seed)
    scores = np.round(np.random.default_rng(seed).random(60), 1)  # with ties
    assert suppress(boxes, scores, limit).tolist() == suppressed_by_loop(boxes, scores, limit)


def test_suppression_of_nothing() -> None:
    assert suppress(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def test_a_box_that_was_suppressed_suppresses_none() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]], float)  # neighbours overlap by 3/7
    assert suppress(boxes, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_a_true_box_is_found_once_by_the_best() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], float)
    boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 24], [50, 50, 60, 60]], float)
    right, found = hits(boxes, truth, 0.5)
    assert right.tolist() == [True, False, False, False]
    assert found.tolist() == [True, False]


def test_overlap_at_the_limit_counts() -> None:
    right, _ = hits(np.array([[0, 0, 4, 2]], float), np.array([[0, 0, 4, 4]], float), 0.5)
    assert right.tolist() == [True]


def test_hits_without_boxes_or_truth() -> None:
    assert hits(np.zeros((0, 4)), random_boxes(2), 0.5)[1].tolist() == [False, False]
    assert hits(random_boxes(2), np.zeros((0, 4)), 0.5)[0].tolist() == [False, False]


@pytest.mark.parametrize(
    ("right", "count", "expected"),
    [
        ([True, True], 2, 1.0),
        ([False, False], 2, 0.0),
        ([True], 2, 0.5),
        ([False, True], 1, 0.5),
        # precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: the second half is found at 2/3
        ([True, False, True], 2, 0.5 + 0.5 * 2 / 3),
        # a later precision of 3/4 covers the dip to 1/2 before it
        ([True, False, True, True], 3, 1 / 3 + 2 / 3 * 3 / 4),
        ([], 3, 0.0),
    ],
)
def test_average_precision_of_known_cases(right: list[bool], count: int, expected: float) -> None:
    scores = np.linspace(0.9, 0.1, len(right))
    backwards = slice(None, None, -1)  # the order in which boxes are given does not matter
    assert average_precision(scores, np.array(right, bool), count) == pytest.approx(expected)
    assert average_precision(scores[backwards], np.array(right, bool)[backwards], count) == pytest.approx(
        expected
    )


def test_average_precision_matches_an_independent_implementation() -> None:
    """Where every true box is found, the plain step integral of a rising recall bounds the enveloped one."""
    from sklearn.metrics import average_precision_score

    dice = np.random.default_rng(0)
    scores, right = np.sort(dice.random(200))[::-1].copy(), dice.random(200) < 0.4
    precision, recall = precision_recall(scores, right, int(right.sum()))
    plain = float((np.diff(recall, prepend=0.0) * precision).sum())
    assert plain == pytest.approx(average_precision_score(right, scores))
    assert plain <= average_precision(scores, right, int(right.sum())) <= 1


def test_nothing_to_find_is_refused() -> None:
    with pytest.raises(ValueError, match="count is 0"):
        average_precision(np.zeros(0), np.zeros(0, bool), 0)
