"""Tabular classification: a row of a table in, one label of a fixed set out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from fathom.data import columns as encoding
from fathom.data import rows
from fathom.data.split import Data
from fathom.report.classes import class_sections, majority, score_classes, worst
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting, one_shot, over_split
from fathom.tasks.tabular_regression import importance_sections, suitable

if TYPE_CHECKING:
    from fathom.report.page import Section
    from fathom.training.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class TabularClassification:
    """The columns that are read, the one that is predicted, and its labels by name, in order."""

    labels: tuple[str, ...]
    columns: tuple[dict[str, Any], ...]
    target: str
    beside_simple_methods: ClassVar[bool] = True  # in every report, whatever made the run

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a classifier needs at least two")
        if not self.columns:
            raise ValueError("columns is empty; a prediction needs at least one column")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        goal = rows.glance(path, options)
        if goal is None or rows.is_quantity(goal):
            return None
        return Sighting(0.8, (*goal.saw, f"{goal.target!r} holds few different values: labels"))

    @classmethod
    def read(cls, path: Path, options: Options) -> tuple["TabularClassification", Data]:
        goal = rows.read(path, options)
        names, wanted = rows.labels(goal.wanted, goal.target)
        split = rows.parts(goal.sheet, options.seed, wanted.tolist())
        fitted = encoding.fit(goal.take(split["train"]), goal.features)
        task = cls(labels=names, columns=tuple(fitted), target=goal.target)
        return task, rows.data(goal, fitted, wanted, split)

    def read_labelled(self, path: Path, options: Options) -> Data:
        goal = rows.read_like(path, options, self.target)
        _, wanted = rows.labels(goal.wanted, self.target, self.labels)
        return rows.test_data(goal, self.columns, wanted)

    def experiment(self, data: Data, seed: int) -> "Experiment":
        return suitable(self, data, outputs=len(self.labels), seed=seed)

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (Port("row", "float32", ("batch", len(encoding.feature_names(self.columns)))),)

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probabilities", "float32", ("batch", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        return [{"operation": "table", "input": "row", "columns": list(self.columns)}]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return inputs

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        """Logits (b, classes) or (b, members, classes) -> the mean of the members' probabilities."""
        shares = output.float().softmax(dim=-1)
        return (shares.mean(dim=1) if output.ndim == 3 else shares,)

    # -- answers -------------------------------------------------------------------------------------
    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        return one_shot(network, items, self.answer)

    def answer(self, outputs: Arrays) -> dict[str, Any]:
        """The surest label, and the probability of each."""
        shares = outputs["probabilities"]
        named = {label: float(p) for label, p in zip(self.labels, shares, strict=True)}
        return {"label": self.labels[int(shares.argmax())], "probabilities": named}

    def examples(self) -> list[Any]:
        return encoding.examples(self.columns)

    def page(self) -> str:
        return "<row-input></row-input><label-output></label-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        outputs, targets = over_split(network, self, split)
        return self.score(outputs["probabilities"], np.concatenate(targets), network)

    def score(self, shares: np.ndarray, truth: np.ndarray, network: Network | None = None) -> Evaluation:
        """What all classifiers report and, of two classes, the area under the curve."""
        made = score_classes(shares, truth, self.labels)
        made.detail["network"] = network
        if len(self.labels) == 2 and 0 < truth.sum() < len(truth):
            made.metrics["auc"] = area_under_curve(shares[:, 1], truth)
        return made

    def baselines(self, data: Data) -> dict[str, Evaluation]:
        """The most frequent class, logistic regression, neighbours, a forest and boosted trees."""
        from fathom.data.baselines import LARGEST, classifiers

        assert data.valid is not None
        (known, classes), (unseen, truth) = rows.arrays(data.train, LARGEST), rows.arrays(data.valid)
        found = {"most frequent class": majority(classes, truth, self.labels)}
        for name, method in classifiers(len(self.labels)).items():
            found[name] = self.score(method(known, classes)(unseen), truth)
        return found

    def sections(self, evaluation: Evaluation, split: Any) -> "list[Section]":
        from fathom.report.page import Section
        from fathom.report.tables import row_table

        shares, truth = evaluation.detail["probabilities"], evaluation.detail["labels"]
        grown = self.importance(evaluation, split)
        sections = [*class_sections(evaluation, self.labels), *importance_sections(grown, "log loss")]
        missed = worst(evaluation, 10)
        if missed:
            given, _ = rows.arrays(split)
            first = [self.mistake(shares[i], int(truth[i])) for i in missed]
            readable = [encoding.decode(self.columns, given[i], list(grown)) for i in missed]
            caption = "Wrong predictions, the most confident first."
            sections.append(Section("Worst errors", [row_table(readable, first, caption)]))
        return sections

    def mistake(self, shares: np.ndarray, truth: int) -> dict[str, Any]:
        """The first cells of a wrong prediction in the report."""
        guess = int(shares.argmax())
        return {"true": self.labels[truth], "predicted": f"{self.labels[guess]} ({shares[guess]:.0%})"}

    def importance(self, evaluation: Evaluation, split: Any) -> dict[str, float]:
        """What shuffling each column adds to the log loss; empty where the network is not at hand."""
        from fathom.report.tables import importance

        network = evaluation.detail.get("network")
        if network is None:
            return {}
        given, truth = rows.arrays(split, rows.ENOUGH)

        def surprise(changed: np.ndarray) -> float:
            chosen = network({"row": changed})["probabilities"][np.arange(len(truth)), truth]
            return float(-np.log(chosen.clip(1e-12)).mean())

        return importance(self.columns, given, surprise)


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """The share of (positive, negative) pairs in the right order, ties half (Hanley and McNeil 1982)."""
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(size) - (size - 1) / 2)[place]
    several = int(positive.sum())
    total = ranks[positive.astype(bool)].sum() - several * (several + 1) / 2
    return float(total / (several * (len(scores) - several)))


TASK = TabularClassification
