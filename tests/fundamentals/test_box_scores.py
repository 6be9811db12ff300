"""Overlap, suppression and average precision against plain loops and cases worked out by hand."""

from collections.abc import Callable

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


NONE, TWO = np.zeros((0, 4)), np.array([[0, 0, 4, 4], [1, 1, 3, 5]], float)
LOST = np.array([[0, 0, 4, 4], [0, 0, np.nan, 1]])
HALF, BOTH = np.array([0.9, 0.1]), np.array([True, True])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: overlap(TWO[0], TWO), r"ours has shape \(4,\); boxes are \(n, 4\), each \(left, top, right"),
        (lambda: overlap(TWO, TWO[:, :3]), r"theirs has shape \(2, 3\); .*as np\.zeros\(\(0, 4\)\)"),
        (lambda: overlap(TWO, np.zeros(0)), r"theirs has shape \(0,\)"),
        (lambda: overlap(TWO.astype(int), TWO), r"ours has dtype int64; it must be floating: ours\.astype"),
        (lambda: overlap(TWO, TWO.astype(np.uint8)), "theirs has dtype uint8; it must be floating"),
        (lambda: overlap(TWO, LOST), r"theirs holds the box \[0.0, 0.0, nan, 1.0\]; corners must be finite"),
        (lambda: overlap(np.full((1, 4), np.inf), TWO), r"ours holds the box .*drop such boxes"),
        (lambda: suppress(TWO.T[:3], HALF, 0.5), r"boxes has shape \(3, 2\)"),
        (lambda: suppress(TWO, HALF[:1], 0.5), r"scores has shape \(1,\); it must be \(2,\), one score for"),
        (lambda: suppress(TWO, HALF[:, None], 0.5), r"scores has shape \(2, 1\)"),
        (lambda: suppress(TWO, np.array([0.5, np.nan]), 0.5), "scores holds NaN, which has no rank"),
        (lambda: suppress(TWO, HALF, 1.5), r"limit is 1.5; an overlap is in \[0, 1\]: give 0.5"),
        (lambda: suppress(NONE, HALF[:0], np.nan), r"limit is nan; an overlap is in \[0, 1\]"),
        (lambda: hits(TWO[:, :2], TWO, 0.5), r"boxes has shape \(2, 2\)"),
        (lambda: hits(NONE, np.zeros((0, 5)), 0.5), r"truth has shape \(0, 5\)"),
        (lambda: hits(TWO, LOST, 0.5), "truth holds the box"),
        (lambda: hits(TWO, TWO, -0.1), r"limit is -0.1; an overlap is in \[0, 1\]"),
    ],
)  # fmt: skip
def test_boxes_that_are_none_are_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize("score", [precision_recall, average_precision])
@pytest.mark.parametrize(
    ("scores", "right", "count", "message"),
    [
        (HALF[:0], BOTH[:0], 0, "count is 0; there must be at least one true box to find: leave out a class"),
        (HALF, BOTH, -2, "count is -2"),
        (HALF, BOTH, 1, "right holds 2 hits and count is 1; a true box is found once: count them all"),
        (HALF, BOTH[:1], 2, r"scores has shape \(2,\); it must be \(1,\)"),
        (HALF[None], BOTH, 2, r"scores has shape \(1, 2\); it must be \(2,\)"),
        (HALF, BOTH[:, None], 2, r"right has dtype bool, shape \(2, 1\); it must hold a boolean for each"),
        (HALF, HALF, 2, r"right has dtype float64, shape \(2,\); .*as `hits` gives them"),
        (np.array([np.nan, 0.5]), BOTH, 2, "scores holds NaN"),
    ],
)  # fmt: skip
def test_hits_that_cannot_be_scored_are_refused(
    score: Callable[..., object], scores: np.ndarray, right: np.ndarray, count: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score(scores, right, count)
