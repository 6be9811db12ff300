"""How well labels are predicted: the scores and report sections that all classifiers share."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fathom.report.blocks import Calibration, Heatmap, Table
from fathom.report.markup import Block
from fathom.report.page import Section
from fathom.task import Evaluation


def score_classes(probabilities: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> Evaluation:
    """Accuracy, log loss and balanced accuracy of ``probabilities`` (n, classes) against ``labels`` (n,)."""
    count = len(labels)
    guess = probabilities.argmax(axis=1)
    right = (guess == labels).astype(np.float64)
    chosen = probabilities[np.arange(count), labels].astype(np.float64)
    surprise = -np.log(np.clip(chosen, 1e-12, 1.0))
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (labels, guess), 1)
    present = confusion.sum(axis=1) > 0
    recall = confusion.diagonal()[present] / confusion.sum(axis=1)[present]
    metrics = {
        "accuracy": float(right.mean()),
        "log_loss": float(surprise.mean()),
        "balanced_accuracy": float(recall.mean()),
    }
    return Evaluation(
        metrics=metrics,
        headline="accuracy",
        items={"accuracy": right, "log_loss": surprise},
        detail={"confusion": confusion, "probabilities": probabilities, "labels": labels},
    )


def class_sections(evaluation: Evaluation, names: Sequence[str]) -> list[Section]:
    """Confusion matrix, per-class table and calibration curve."""
    confusion = evaluation.detail["confusion"]
    rows: list[list[Any]] = []
    for i, name in enumerate(names):
        true, guessed, hit = confusion[i].sum(), confusion[:, i].sum(), confusion[i, i]
        precision, recall = ratio(hit, guessed), ratio(hit, true)
        balance = ratio(2 * hit, true + guessed)
        rows.append([str(name), int(true), *("-" if v is None else v for v in (precision, recall, balance))])
    table: Block = Table(("class", "items", "precision", "recall", "F1"), rows, "Each class by itself.")
    matrix: Block = Heatmap(
        list(names), list(names), confusion, "Where predictions go.", row_title="true",
        column_title="predicted", by_row=True,
    )  # fmt: skip
    shares = evaluation.detail["probabilities"]
    right = shares.argmax(axis=1) == evaluation.detail["labels"]
    curve: Block = Calibration(
        shares.max(axis=1), right, "How often a prediction of a given confidence is right."
    )
    return [
        Section("Confusion", [matrix]),
        Section("Classes", [table]),
        Section("Calibration", [curve]),
    ]


def worst(evaluation: Evaluation, count: int) -> list[int]:
    """The items that were most confidently wrong, worst first."""
    shares, labels = evaluation.detail["probabilities"], evaluation.detail["labels"]
    wrong = np.flatnonzero(shares.argmax(axis=1) != labels)
    confidence = shares[wrong].max(axis=1)
    return [int(i) for i in wrong[np.argsort(-confidence, kind="stable")][:count]]


def majority(train: np.ndarray, valid: np.ndarray, names: Sequence[str]) -> Evaluation:
    """Always the most frequent class of the training labels, with its frequency as confidence."""
    shares = np.bincount(train, minlength=len(names)) / len(train)
    return score_classes(np.repeat(shares[None], len(valid), axis=0), valid, names)


def ratio(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None
