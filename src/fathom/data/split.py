"""Data as the engine sees it: rows that can be asked for by number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from fathom.errors import InputError

BLOCK = 1000  # rows that are read at once


@runtime_checkable
class Split(Protocol):
    """Numbered rows, each ``(*inputs, target)``, raw: exactly what the input ports of the task describe."""

    def __len__(self) -> int: ...

    def rows(self, index: Tensor) -> tuple[Any, ...]:
        """The rows ``index`` (int64, any order) as one batch."""
        ...


@dataclass(frozen=True)
class Tensors:
    """Rows held in memory: columns of equal length, ``*inputs, target``."""

    columns: tuple[Tensor, ...]

    def __post_init__(self) -> None:
        if len({len(c) for c in self.columns}) != 1:
            raise InputError(f"columns have {[len(c) for c in self.columns]} rows; they must be equally long")

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def targets(self) -> Tensor:
        return self.columns[-1]

    def rows(self, index: Tensor) -> tuple[Tensor, ...]:
        return tuple(c.index_select(0, index) for c in self.columns)


@dataclass(frozen=True)
class Part:
    """Some rows of another split, in a given order."""

    whole: Split
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def rows(self, index: Tensor) -> tuple[Any, ...]:
        return self.whole.rows(self.index[index])


@dataclass(frozen=True)
class Data:
    """What a run learns from, what its settings are chosen on, and what it is scored on, once.

    ``train`` is a ``Split``, or, where batches are made rather than read (an environment to act in),
    a ``BatchSource``. ``facts`` go into run.json: where the data came from, hash, counts, rows skipped.
    """

    train: Any
    valid: Split | None = None
    test: Split | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def reduced(self, count: int) -> "Data":
        """The first ``count`` rows of each split: enough to see whether code still gives the same losses."""

        def first(split: Any) -> Any:
            if not isinstance(split, Split) or len(split) <= count:
                return split
            return Part(split, torch.arange(count))

        return Data(first(self.train), first(self.valid), first(self.test), self.facts)


def class_numbers(split: Any) -> Tensor | None:
    """The class of every row, int64 (n,); None where targets are of another kind.

    A split with ``targets``, those of all rows, is not read for it.
    """
    if isinstance(split, Part):
        whole = class_numbers(split.whole)
        return None if whole is None else whole[split.index]
    if not isinstance(split, Split) or not len(split):
        return None
    found = getattr(split, "targets", None)
    if found is None:
        found = [split.rows(index)[-1] for index in torch.arange(len(split)).split(BLOCK)]
        found = torch.cat(found) if all(isinstance(f, Tensor) for f in found) else None
    if found is None or found.dtype != torch.int64 or found.shape != (len(split),):
        return None  # a graph, say, has a row for many targets
    return found


@runtime_checkable
class DataConfig(Protocol):
    """Settings of a data set, as a frozen dataclass; ``load`` reads it."""

    def load(self) -> Data: ...


@dataclass(frozen=True)
class InMemory:
    """Data that is already there: the data config of ``tiny()`` runs and of live objects."""

    data: Data = field(repr=False)

    def load(self) -> Data:
        return self.data


def held_out(
    count: int, fraction: float, seed: int, labels: Sequence[Any] | None = None
) -> tuple[Tensor, Tensor]:
    """Indices of a training and a validation part; the same share of every label where labels are given."""
    from fathom.training.randomness import permutation

    order = permutation(count, seed, 0)
    if labels is None:
        cut = max(1, round(count * fraction))
        return order[cut:].sort().values, order[:cut].sort().values
    groups: dict[Any, list[int]] = {}
    for i in order.tolist():
        groups.setdefault(labels[i], []).append(i)
    valid = [i for g in groups.values() for i in g[: round(len(g) * fraction)]]
    if not valid:
        valid = [order[0].item()]
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.tensor(valid)] = True
    return (~chosen).nonzero()[:, 0], chosen.nonzero()[:, 0]
