"""Whole graphs as rows: a batch of several is one graph whose parts are not linked."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fathom.data.split import Data, InMemory
from fathom.errors import InputError
from fathom.training.randomness import generator

IGNORE = -100  # the label of a node that is not learned from, or not scored
Graph = tuple[Tensor, Tensor, Tensor]  # features (nodes, f), links int64 (2, e), labels int64 (nodes,)


@dataclass(frozen=True)
class Graphs:
    """A split whose rows are graphs. They differ in size, so they are joined, not stacked."""

    graphs: tuple[Graph, ...]

    def __post_init__(self) -> None:
        for i, (features, edges, label) in enumerate(self.graphs):
            if edges.ndim != 2 or len(edges) != 2:
                raise InputError(f"graph {i}: links have shape {tuple(edges.shape)}; they are (2, links)")
            if len(features) != len(label):
                raise InputError(f"graph {i} has {len(features)} nodes but {len(label)} labels")
            if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < len(features):
                raise InputError(
                    f"graph {i}: links name the nodes {int(edges.min())} to {int(edges.max())};"
                    f" it has nodes 0 to {len(features) - 1}"
                )

    def __len__(self) -> int:
        return len(self.graphs)

    def rows(self, index: Tensor) -> Graph:
        return union([self.graphs[i] for i in index.tolist()])


def union(graphs: Sequence[Graph]) -> Graph:
    """One graph of all nodes; the nodes of each part are numbered on from those before it."""
    starts = [0]
    for features, _, _ in graphs:
        starts.append(starts[-1] + len(features))
    edges = [e + start for (_, e, _), start in zip(graphs, starts, strict=False)]
    return torch.cat([g[0] for g in graphs]), torch.cat(edges, dim=1), torch.cat([g[2] for g in graphs])


def communities(
    *, nodes: int, features: int, classes: int, train: int, valid: int, seed: int = 0
) -> InMemory:
    """Drawn graphs: nodes of a class are linked more often, and share noisy features. Half are labelled."""
    splits: list[Graphs] = []
    for name, count in (("train", train), ("valid", valid)):
        made: list[Graph] = []
        for i in range(count):
            dice = generator(seed, "communities", name, i)
            label = torch.arange(nodes) % classes
            chance = torch.where(label[:, None] == label, 0.5, 0.05)
            upper = torch.rand(nodes, nodes, generator=dice).triu(1)
            upper = (upper > 0) & (upper < chance)
            edges = (upper | upper.T).nonzero().T.contiguous()
            signal = (torch.arange(features) % classes == label[:, None]).float()
            noise = torch.rand(nodes, features, generator=dice)
            hidden = torch.rand(nodes, generator=dice) < 0.5
            made.append((signal + noise, edges, label.masked_fill(hidden, IGNORE)))
        splits.append(Graphs(tuple(made)))
    return InMemory(Data(splits[0], splits[1], splits[1], facts={"source": "drawn communities"}))


@dataclass(frozen=True, kw_only=True)
class Citations:
    """Cora: papers, the words they hold, which cites which, and seven topics; the usual split of its nodes.

    All three splits are the same graph; each shows its own labels. 140 nodes teach, 500 serve to choose
    settings, 1,000 are the test.
    """

    def load(self) -> Data:
        from fathom.data.sets import cora

        found = cora.read()
        features = torch.from_numpy(found.features).float()
        edges, label = torch.from_numpy(found.edges).long(), torch.from_numpy(found.labels).long()
        splits: list[Graphs] = []
        for chosen in (found.train, found.valid, found.test):
            shown = torch.full_like(label, IGNORE)
            index = torch.from_numpy(chosen)  # numbers of nodes, or a mask over them
            shown[index] = label[index]
            splits.append(Graphs(((features, edges, shown),)))
        return Data(*splits, facts={"source": "cora", "nodes": len(label), "links": edges.shape[1]})
