"""Node classification: a whole graph in, one label for each of its nodes out.

An item is a graph, ``{"features": [[...], ...], "edges": [[from, ...], [to, ...]]}``: a row of numbers for
each node, and for each link the numbers of the nodes it leads from and to (an undirected link stands there
twice). Graphs differ in size, so a batch of several is one graph whose parts are not linked: ``collate``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fathom.data.graphs import IGNORE
from fathom.errors import InputError
from fathom.report.blocks import BarChart
from fathom.report.classes import class_sections, majority, score_classes
from fathom.report.page import Section
from fathom.task import Arrays, Evaluation, Network, Options, Port, Sighting

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training import Experiment

DEGREES = (1, 2, 3, 5, 10, 1_000_000)  # numbers of links that the report tells apart
ROUNDS = 50  # of label propagation, the baseline that looks at links only


@dataclass(frozen=True, kw_only=True)
class NodeClassification:
    """Nodes with ``features`` numbers each and one label of ``labels``."""

    labels: tuple[str, ...]
    features: int
    shares: bool = True  # scale the features of each node to sum to 1, as is usual for counts of words

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise ValueError(f"labels has {len(self.labels)} classes; a classifier needs at least two")
        if self.features < 1:
            raise ValueError(f"features is {self.features}; it must be 1 or more")

    # -- its own data ---------------------------------------------------------------------------
    @staticmethod
    def recognise(path: Path, options: Options) -> Sighting | None:
        return None

    @classmethod
    def read(cls, path: Path, options: Options) -> "tuple[NodeClassification, Data]":
        raise InputError(f"{path}: files of graphs are not read; build fathom.data.graphs.Graphs in Python")

    def read_labelled(self, path: Path, options: Options) -> "Data":
        raise InputError(f"{path}: files of graphs are not read; build fathom.data.graphs.Graphs in Python")

    def experiment(self, data: "Data", seed: int) -> "Experiment":
        from fathom.architectures.graphs import gcn
        from fathom.data.split import InMemory
        from fathom.training import Adam, Experiment, GradientDescent

        return Experiment(
            model=gcn.Config(features=self.features, classes=len(self.labels)),
            data=InMemory(data),
            task=self,
            learning=GradientDescent(objective=gcn.LabelledNodes(), optimizer=Adam(learning_rate=0.01)),
            steps=200,
            seed=seed,
        )

    # -- the network's boundary -------------------------------------------------------------------
    def inputs(self) -> tuple[Port, ...]:
        return (
            Port("features", "float32", ("nodes", self.features)),
            Port("edges", "int64", (2, "edges")),
        )

    def outputs(self) -> tuple[Port, ...]:
        return (Port("probabilities", "float32", ("nodes", len(self.labels))),)

    def preprocessing(self) -> list[dict[str, Any]]:
        values = {"dtype": "float32", "shape": ["nodes", self.features]}
        links = {"dtype": "int64", "shape": [2, "edges"], "low": 0}
        return [
            {"operation": "array", "input": "features", "field": "features", **values},
            {"operation": "array", "input": "edges", "field": "edges", **links},
        ]

    def prepare(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        features, edges = inputs
        if self.shares:
            features = features / features.sum(dim=1, keepdim=True).clamp(min=1e-6)
        return features, edges

    def finish(self, output: Tensor) -> tuple[Tensor, ...]:
        return (output.float().softmax(dim=-1),)

    # -- answers -------------------------------------------------------------------------------------
    def collate(self, items: Sequence[Arrays]) -> Arrays:
        """Several graphs as one. Raises ``InputError`` for a link to a node that is not there."""
        edges: list[np.ndarray] = []
        start = 0
        for item in items:
            nodes, links = len(item["features"]), item["edges"]
            if links.size and links.max() >= nodes:
                raise InputError(
                    f"a link names node {links.max()}, but the graph has {nodes} nodes, 0 to {nodes - 1}"
                )
            edges.append(links + start)
            start += nodes
        features = np.concatenate([item["features"] for item in items])
        return {"features": features, "edges": np.concatenate(edges, axis=1)}

    def respond(self, network: Network, items: Sequence[Arrays]) -> list[dict[str, Any]]:
        shares = network(self.collate(items))["probabilities"]
        ends = np.cumsum([len(item["features"]) for item in items])
        return [self.answer(part) for part in np.split(shares, ends[:-1])]

    def answer(self, shares: np.ndarray) -> dict[str, Any]:
        """The surest label of each node, and the probability of each label."""
        named = [{n: float(p) for n, p in zip(self.labels, row, strict=True)} for row in shares]
        return {"labels": [self.labels[i] for i in shares.argmax(axis=1)], "probabilities": named}

    def examples(self) -> list[Any]:
        ramp = np.linspace(0, 1, 3 * self.features).reshape(3, self.features).round(3)
        path = {"features": ramp.tolist(), "edges": [[0, 1, 1, 2], [1, 0, 2, 1]]}
        loose = {"features": ramp.tolist(), "edges": [[0, 0, 1], [1, 1, 1]]}  # one way, twice, to itself
        alone = {"features": [[0.0] * self.features], "edges": [[], []]}
        return [path, loose, alone]

    def page(self) -> str:
        return "<json-input></json-input><json-output></json-output>"

    # -- how good ------------------------------------------------------------------------------------
    def evaluate(self, network: Network, split: Any) -> Evaluation:
        shares, labels, degrees = [], [], []
        for i in range(len(split)):
            features, edges, label = split.rows(torch.tensor([i]))
            made = network({"features": features.numpy(), "edges": edges.numpy()})["probabilities"]
            known = (label != IGNORE).numpy()
            shares.append(made[known])
            labels.append(label.numpy()[known])
            degrees.append(np.bincount(edges[1].numpy(), minlength=len(label))[known])
        if not sum(map(len, labels)):
            raise InputError("no node of this split has a label, so there is nothing to score")
        evaluation = score_classes(np.concatenate(shares), np.concatenate(labels), self.labels)
        evaluation.detail["degrees"] = np.concatenate(degrees)
        return evaluation

    def baselines(self, data: "Data") -> dict[str, Evaluation]:
        if data.valid is None:
            return {}
        rows = torch.arange(len(data.train)), torch.arange(len(data.valid))
        train, (_, edges, label) = data.train.rows(rows[0])[-1].numpy(), data.valid.rows(rows[1])
        known = (label != IGNORE).numpy()
        scored = label.numpy()[known]
        found = {"most frequent class": majority(train[train != IGNORE], scored, self.labels)}
        if len(train) == len(label):  # the same graph, other labels hidden
            shares = propagate_labels(train, edges.numpy(), len(self.labels))
            found["label propagation"] = score_classes(shares[known], scored, self.labels)
        return found

    def sections(self, evaluation: Evaluation, split: Any) -> list[Section]:
        right, degrees = evaluation.items["accuracy"], evaluation.detail["degrees"]
        names, values, low = [], [], 0
        for high in DEGREES:
            chosen = (degrees >= low) & (degrees < high)
            if chosen.any():
                names.append(
                    f"{low} to {high - 1} ({chosen.sum()})" if high < DEGREES[-1] else f"{low} or more"
                )
                values.append(float(right[chosen].mean()))
            low = high
        chart = BarChart(names, values, caption="Accuracy by the number of links that lead to a node.")
        return [*class_sections(evaluation, self.labels), Section("Links", [chart])]


def propagate_labels(label: np.ndarray, edges: np.ndarray, classes: int) -> np.ndarray:
    """Class shares (nodes, classes) when known labels flow along links (Zhu and Ghahramani 2002).

    Each round every node takes the mean of its neighbours' shares, and known labels are put back.
    """
    known = label != IGNORE
    fixed = np.eye(classes)[np.where(known, label, 0)]
    shares = np.where(known[:, None], fixed, 1 / classes)
    degree = np.maximum(np.bincount(edges[1], minlength=len(label)), 1)[:, None]
    for _ in range(ROUNDS):
        heard = np.zeros_like(shares)
        np.add.at(heard, edges[1], shares[edges[0]])
        alone = heard.sum(axis=1, keepdims=True) == 0
        shares = np.where(known[:, None], fixed, np.where(alone, 1 / classes, heard / degree))
    return shares / shares.sum(axis=1, keepdims=True)


TASK = NodeClassification
