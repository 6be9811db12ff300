"""How well sets of labels are predicted: scores and report sections where an item may have several labels.

Average precision of a label: rank all items by its score; each item that has the label contributes the
precision down to it, the mean of these is the score (as scikit-learn's ``average_precision_score``; items of
equal score stand in one rank). The mean over labels is no mean over items, so it has no interval of itself.
It has one through its slope: let every item count w_i times. The score is a smooth function of these weights
and does not change when all grow alike, so the sum of its slopes at w = 1 is 0, and

    z_i = score + n d(score) / d(w_i)

are n numbers whose mean is the score, and whose spread is its uncertainty (the infinitesimal jackknife,
Jaeckel 1972; Efron 1982, chapter 6). Intervals and paired tests are made of them as of any other items.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fathom.errors import InputError
from fathom.report.blocks import Calibration, LineChart, Table
from fathom.report.classes import ratio
from fathom.report.page import Section
from fathom.task import Evaluation

DRAWN = 6  # labels whose curves are drawn: the hardest ones


def score_labels(
    probabilities: np.ndarray, truth: np.ndarray, names: Sequence[str], threshold: float
) -> Evaluation:
    """Mean average precision of ``probabilities`` (n, labels) against ``truth`` (n, labels) of 0 and 1.

    F1 is the mean over labels at ``threshold``, "exact" the share of items whose labels are all right. Labels
    that no item of ``truth`` has are left out of both means. Raises ``InputError`` where that is all of them.
    """
    true, said = truth > 0.5, probabilities >= threshold
    present = np.flatnonzero(true.any(axis=0))
    if not len(present):
        raise InputError("no item of this split has a label, so there is nothing to score")
    precisions = {k: average_precision(probabilities[:, k], true[:, k]) for k in present}
    balances = {k: f1(said[:, k], true[:, k]) for k in present}
    chosen = np.where(true, probabilities, 1 - probabilities).astype(np.float64)
    items = {
        "mean_average_precision": np.mean([slopes for _, slopes in precisions.values()], axis=0),
        "f1": np.mean([slopes for _, slopes in balances.values()], axis=0),
        "exact": (said == true).all(axis=1).astype(np.float64),
        "log_loss": -np.log(np.clip(chosen, 1e-12, 1.0)).mean(axis=1),
    }
    metrics = {
        "mean_average_precision": float(np.mean([value for value, _ in precisions.values()])),
        "f1": float(np.mean([value for value, _ in balances.values()])),
        "exact": float(items["exact"].mean()),
        "log_loss": float(items["log_loss"].mean()),
    }
    single = {str(names[int(k)]): value for k, (value, _) in precisions.items()}
    return Evaluation(
        metrics=metrics,
        headline="mean_average_precision",
        items=items,
        detail={"probabilities": probabilities, "truth": true, "average_precision": single},
    )


def average_precision(scores: np.ndarray, true: np.ndarray) -> tuple[float, np.ndarray]:
    """The average precision of ``scores`` (n,) for booleans (n,), at least one of them true; and z (n,)."""
    order = np.argsort(-scores, kind="stable")
    hit, ranked = true[order].astype(np.float64), scores[order]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])  # the ends of runs of equal scores
    run = np.searchsorted(last, np.arange(len(ranked)))  # the run that each item is in
    hits, seen = np.cumsum(hit)[last][run], (last + 1.0)[run]  # down to the end of its run
    total, precision = hit.sum(), hits / seen
    value = float((hit * precision).sum() / total)
    # What an item adds to the ranks from its run on: to hits, where it is one, and to what was seen.
    first = np.r_[0, last[:-1] + 1][run]
    gained, lost = (tail(hit / seen)[first], tail(hit * precision / seen)[first])
    slope = (hit * (precision + gained - value) - lost) / total
    z = np.empty_like(slope)
    z[order] = value + len(slope) * slope
    return value, z


def tail(values: np.ndarray) -> np.ndarray:
    """The sum from each place to the end."""
    return np.cumsum(values[::-1])[::-1]


def f1(said: np.ndarray, true: np.ndarray) -> tuple[float, np.ndarray]:
    """2 TP / (said + true) of booleans (n,), at least one true; and its z (n,)."""
    both, either = (said & true).astype(np.float64), said.astype(np.float64) + true
    total = either.sum()
    value = float(2 * both.sum() / total)
    return value, value + len(said) * (2 * both - value * either) / total


def label_sections(evaluation: Evaluation, names: Sequence[str], threshold: float) -> list[Section]:
    """A table of the labels, curves of the hardest of them, and whether probabilities can be believed."""
    shares, true = evaluation.detail["probabilities"], evaluation.detail["truth"]
    single: dict[str, float] = evaluation.detail["average_precision"]
    rows: list[list[Any]] = []
    for k, name in enumerate(map(str, names)):
        said, own = shares[:, k] >= threshold, true[:, k]
        hit, balance = (said & own).sum(), ratio(2 * (said & own).sum(), said.sum() + own.sum())
        rates = single.get(name), ratio(hit, said.sum()), ratio(hit, own.sum()), balance
        rows.append([name, int(own.sum()), *("-" if v is None else v for v in rates)])
    columns = ("label", "items", "average precision", "precision", "recall", "F1")
    table = Table(columns, rows, f"Each label by itself; the last three at a threshold of {threshold:g}.")
    hardest = sorted(single, key=single.__getitem__)[:DRAWN]
    curves = {
        name: curve(shares[:, k], true[:, k]) for k, name in enumerate(map(str, names)) if name in hardest
    }
    chart = LineChart(curves, "recall", "precision", "What is right among the surest, the hardest labels.")
    sure = Calibration(shares.ravel(), true.ravel(), "How often a label of a given probability is there.")
    return [Section("Labels", [table, chart]), Section("Calibration", [sure])]


def curve(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """(recall, precision) down to each rank, the surest first."""
    hits = np.cumsum(true[np.argsort(-scores, kind="stable")])
    return np.stack([hits / max(1, hits[-1]), hits / np.arange(1, len(hits) + 1)], axis=1)


def hardest_items(evaluation: Evaluation, count: int) -> list[int]:
    """The items with a wrong label that were told most wrongly, worst first."""
    wrong = np.flatnonzero(evaluation.items["exact"] == 0)
    loss = evaluation.items["log_loss"][wrong]
    return [int(i) for i in wrong[np.argsort(-loss, kind="stable")][:count]]
