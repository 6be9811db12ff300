"""How boxes are compared: overlap, suppression of doubles, average precision. In NumPy.

A box is (left, top, right, bottom) in pixels; its area is (right - left) * (bottom - top). Several of
them are (n, 4), none (0, 4). Every function raises ``ValueError`` for boxes of another shape, not floating or
not finite, for scores that are not one a box or hold NaN, and for numbers outside the range that it names.
"""

import numpy as np


def overlap(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: (a, 4), (b, 4) -> (a, b) in [0, 1]; 0 where both are empty."""
    _check_boxes(ours=ours, theirs=theirs)
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    joint = _areas(ours)[:, None] + _areas(theirs)[None] - shared
    return np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0)


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    """The numbers of the boxes to keep, best score first: greedy non-maximum suppression.

    The best box stays and all that overlap it by more than ``limit`` go; then the best of the rest. Of
    equal scores the earlier box comes first. ``limit`` is in [0, 1].
    """
    _check_boxes(boxes=boxes)
    _check_scores(scores, len(boxes))
    _check_limit(limit)
    order = np.argsort(-scores, kind="stable")
    alike = overlap(boxes[order], boxes[order]) > limit
    alive = np.ones(len(order), dtype=bool)
    for place in range(len(order)):
        if alive[place]:
            alive[place + 1 :] &= ~alike[place, place + 1 :]
    return order[alive]


def hits(boxes: np.ndarray, truth: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """Which boxes of one picture are right, and which true boxes they found.

    ``boxes`` are sorted, best first. Each goes to the true box that it overlaps most; it is right when that
    overlap is at least ``limit``, in [0, 1], and no better box has found it already (the rule of PASCAL VOC).
    """
    _check_boxes(boxes=boxes, truth=truth)
    _check_limit(limit)
    right, found = np.zeros(len(boxes), dtype=bool), np.zeros(len(truth), dtype=bool)
    if not len(boxes) or not len(truth):
        return right, found
    table = overlap(boxes, truth)
    chosen = table.argmax(axis=1)
    close = np.flatnonzero(table.max(axis=1) >= limit)
    taken, first = np.unique(chosen[close], return_index=True)
    right[close[first]] = True
    found[taken] = True
    return right, found


def precision_recall(scores: np.ndarray, right: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) after each box, best first, where ``count`` true boxes are to be found.

    ``right`` says of each box whether it is a hit. There are no more hits than ``count``, which is 1 or more.
    """
    _check_scores(scores, len(right))
    if right.shape != scores.shape or (right.size and right.dtype != bool):
        raise ValueError(
            f"right has dtype {right.dtype}, shape {right.shape}; it must hold a boolean for each of"
            f" {len(scores)} scores, as `hits` gives them"
        )
    if count < 1:
        raise ValueError(
            f"count is {count}; there must be at least one true box to find: leave out a class that has none"
        )
    if right.sum() > count:
        raise ValueError(
            f"right holds {right.sum()} hits and count is {count}; a true box is found once: count them all,"
            " found or not"
        )
    order = np.argsort(-scores, kind="stable")
    done = np.cumsum(right[order])
    return done / np.arange(1, len(order) + 1), done / count


def average_precision(scores: np.ndarray, right: np.ndarray, count: int) -> float:
    """Area under the precision-recall curve, made to fall (Everingham et al. 2015, all points).

    The precision at a recall is the best that is reached at this recall or beyond. ``count`` is the number
    of true boxes, 1 or more.
    """
    precision, recall = precision_recall(scores, right, count)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())


def _areas(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


def _check_boxes(**given: np.ndarray) -> None:
    for name, boxes in given.items():
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(
                f"{name} has shape {boxes.shape}; boxes are (n, 4), each (left, top, right, bottom): give no"
                " boxes as np.zeros((0, 4))"
            )
        if boxes.dtype.kind != "f":  # differences of unsigned numbers would wrap around
            raise ValueError(f"{name} has dtype {boxes.dtype}; it must be floating: {name}.astype(float)")
        finite = np.isfinite(boxes).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"{name} holds the box {boxes[~finite][0].tolist()}; corners must be finite: drop such boxes"
            )


def _check_scores(scores: np.ndarray, count: int) -> None:
    if scores.shape != (count,):
        raise ValueError(f"scores has shape {scores.shape}; it must be ({count},), one score for each box")
    if np.isnan(scores).any():
        raise ValueError("scores holds NaN, which has no rank; drop such boxes")


def _check_limit(limit: float) -> None:
    if not 0 <= limit <= 1:
        raise ValueError(f"limit is {limit}; an overlap is in [0, 1]: give 0.5, as PASCAL VOC does")
