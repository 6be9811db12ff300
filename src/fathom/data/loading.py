"""Batches: which rows make up the batch of a step, augmented and prepared for the model.

The batch of step k is a function of the seed and k: the order of an epoch is a permutation drawn
from (seed, epoch), each sample's augmentation is drawn from (seed, epoch, index). Nothing has to be
stored to go on after a crash, and neither the number of workers nor of processes changes a sample.

A row that is drawn several times in an epoch has a number for each visit: its own, plus the number of all
rows for every visit before. So each visit is augmented in its own way.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from fathom.data.split import Split, class_numbers
from fathom.errors import InputError
from fathom.fundamentals.regularization.class_balance import sampling_probabilities
from fathom.training.randomness import generator, permutation, uniform


@runtime_checkable
class Augment(Protocol):
    """A random change of a whole batch at once, driven by ``draws`` uniform numbers for each sample."""

    @property
    def draws(self) -> int: ...

    def __call__(self, batch: tuple[Any, ...], numbers: Tensor) -> tuple[Any, ...]:
        """``batch`` changed; ``numbers`` is float32 (b, draws) in [0, 1)."""
        ...


@runtime_checkable
class Mixing(Protocol):
    """A random change that needs another row for each: ``partners`` says which, of the whole split."""

    @property
    def draws(self) -> int: ...

    def partners(self, numbers: Tensor, count: int) -> Tensor:
        """Row numbers (b,) of a split of ``count`` rows."""
        ...

    def __call__(
        self, batch: tuple[Any, ...], numbers: Tensor, others: tuple[Any, ...]
    ) -> tuple[Any, ...]: ...


@dataclass(frozen=True, kw_only=True)
class Shuffled:
    """Every row once an epoch, in a new order each time; a last batch that is not full is left out.

    ``batch_size`` counts the rows of a step over all processes; each takes its slice. With fewer rows
    than ``batch_size`` a batch is the whole split (of a graph: its one row). With "balanced" ``sampling`` an
    epoch has as many rows, drawn with replacement: a class first, each equally often, then one of its rows.
    """

    split: Split
    batch_size: int
    seed: int = 0
    sampling: Literal["shuffled", "balanced"] = "shuffled"
    augment: Sequence[Augment | Mixing] = ()
    prepare: Callable[..., tuple[Any, ...]] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    rank: int = 0
    world: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be 1 or more")
        if not len(self.split):
            raise InputError("there is nothing to train on: the training split is empty")
        if self.size % self.world:
            raise InputError(f"batch_size {self.size} cannot be divided among {self.world} processes")
        if self.sampling == "balanced" and class_numbers(self.split) is None:
            raise InputError("sampling=balanced needs class numbers as targets; here are none")

    @property
    def size(self) -> int:
        return min(self.batch_size, len(self.split))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.split) // self.size

    @cached_property
    def chances(self) -> Tensor:
        """The probability of each row in a balanced draw, float64 (n,)."""
        labels = class_numbers(self.split)
        assert labels is not None
        return sampling_probabilities(labels, int(labels.max()) + 1)

    def order(self, epoch: int) -> Tensor:
        """The visits of an epoch, int64 (n,): a row's number, plus n for each visit that it had before."""
        rows = len(self.split)
        if self.sampling == "shuffled":
            return permutation(rows, self.seed, epoch)
        dice = generator(self.seed, "balanced", epoch)
        drawn = torch.multinomial(self.chances, rows, replacement=True, generator=dice)
        return drawn + rows * repeats(drawn)

    def places(self, start: int) -> Iterator[tuple[int, Tensor]]:
        """(epoch, visits) of this process for steps ``start``, ``start + 1``, ..."""
        size, per_epoch = self.size, self.steps_per_epoch
        share = size // self.world
        epoch, offset = divmod(start, per_epoch)
        while True:
            order = self.order(epoch)
            for first in range(offset * size + self.rank * share, per_epoch * size, size):
                yield epoch, order[first : first + share]
            epoch, offset = epoch + 1, 0

    def stream(self, learner: Any, start: int) -> Iterator[tuple[Any, ...]]:
        if self.workers:
            read: Iterator[tuple[int, Tensor, Any]] = iter(self._loader(start))
        else:
            read = ((e, visit, self.split.rows(self.rows(visit))) for e, visit in self.places(start))
        for epoch, index, batch in read:
            yield self.finish(epoch, index, batch)

    def rows(self, visit: Tensor) -> Tensor:
        """The row of each visit; in a plain shuffle every row has one."""
        return visit if self.sampling == "shuffled" else visit % len(self.split)

    def finish(self, epoch: int, index: Tensor, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        """Augment, move to the device, and bring the inputs into the form the model takes."""
        if self.augment:
            batch = self.changed(epoch, index, batch, len(self.augment))
        if self.device.type != "cpu":
            batch = tree_map(lambda v: v.to(self.device) if isinstance(v, Tensor) else v, batch)
        if self.prepare is not None:
            *inputs, target = batch
            batch = (*self.prepare(*inputs), target)
        return batch

    def changed(self, epoch: int, index: Tensor, batch: tuple[Any, ...], count: int) -> tuple[Any, ...]:
        """Visits ``index`` after the first ``count`` changes; a partner went through those before its own."""
        numbers, first = uniform(self.seed, epoch, index, sum(a.draws for a in self.augment)), 0
        for place, augment in enumerate(self.augment[:count]):
            own = numbers[:, first : first + augment.draws]
            if isinstance(augment, Mixing):
                partner = augment.partners(own, len(self.split))
                others = self.changed(epoch, partner, self.split.rows(partner), place)
                batch = augment(batch, own, others)
            else:
                batch = augment(batch, own)
            first += augment.draws
        return batch

    def _loader(self, start: int) -> torch.utils.data.DataLoader[Any]:
        return torch.utils.data.DataLoader(
            _Reader(self.split),
            sampler=_Places(self, start),
            batch_size=None,
            num_workers=self.workers,
            collate_fn=_as_it_is,
        )


def repeats(values: Tensor) -> Tensor:
    """How often each of ``values`` (n,) stands before its place: of 5 7 5 5 that is 0 0 1 2."""
    order = values.argsort(stable=True)
    together = values[order]
    made = torch.empty_like(values)
    made[order] = torch.arange(len(values)) - torch.searchsorted(together, together)
    return made


def _as_it_is(batch: Any) -> Any:
    """A reader makes whole batches; there is nothing to put together."""
    return batch


class _Reader(torch.utils.data.Dataset[Any]):
    """What a worker process does: read the rows of one batch."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __getitem__(self, place: tuple[int, Tensor]) -> tuple[int, Tensor, Any]:
        epoch, visit = place
        return epoch, visit, self.split.rows(visit % len(self.split))


class _Places(torch.utils.data.Sampler[Any]):
    def __init__(self, source: Shuffled, start: int) -> None:
        self.source, self.start = source, start

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        return self.source.places(self.start)
