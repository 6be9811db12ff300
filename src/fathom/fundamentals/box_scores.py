"""How boxes are compared: overlap, suppression of doubles, average precision. In NumPy.

A box is (left, top, right, bottom) in pixels; its area is (right - left) * (bottom - top).
"""

import numpy as np


def overlap(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair: (a, 4), (b, 4) -> (a, b) in [0, 1]; 0 where both are empty."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    joint = areas(ours)[:, None] + areas(theirs)[None] - shared
    return np.divide(shared, joint, out=np.zeros_like(shared), where=joint > 0)


def areas(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    """The numbers of the boxes to keep, best score first: greedy non-maximum suppression.

    The best box stays and all that overlap it by more than ``limit`` go; then the best of the rest. Of
    equal scores the earlier box comes first.
    """
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
    overlap is at least ``limit`` and no better box has found it already (the rule of PASCAL VOC).
    """
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
    """(precision, recall) after each box, best first, where ``count`` true boxes are to be found."""
    order = np.argsort(-scores, kind="stable")
    done = np.cumsum(right[order])
    return done / np.arange(1, len(order) + 1), done / count


def average_precision(scores: np.ndarray, right: np.ndarray, count: int) -> float:
    """Area under the precision-recall curve, made to fall (Everingham et al. 2015, all points).

    The precision at a recall is the best that is reached at this recall or beyond. ``count`` is the number
    of true boxes, 1 or more.
    """
    if count < 1:
        raise ValueError(f"count is {count}; there must be at least one true box to find")
    precision, recall = precision_recall(scores, right, count)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum())
