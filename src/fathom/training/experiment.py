"""An experiment: everything needed to train one system, as one value.

A recipe is a function that returns an ``Experiment``; a variant calls it and changes one thing, and
``fathom.settings.diff`` of the two is the caption of their curves. The length of a run stands in
``steps`` alone.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import nn

from fathom.data.split import Data, DataConfig, InMemory, class_numbers
from fathom.errors import InputError
from fathom.fundamentals.regularization.class_balance import class_counts
from fathom.task import Task
from fathom.training.loop import BatchSource, Learner
from fathom.training.objectives import Examining
from fathom.training.parallel import Parallel
from fathom.training.randomness import key
from fathom.training.schedules import Plateau


@runtime_checkable
class ModelConfig(Protocol):
    """Sizes of a model, as a frozen dataclass."""

    def build(self) -> nn.Module: ...


@runtime_checkable
class Learning(Protocol):
    """How a model learns, as a frozen dataclass: ``GradientDescent``, or a system's own."""

    def learner(self, model: Any, steps: int, parallel: Parallel, /) -> Learner:
        """The learner of ``model``, which already lies on ``parallel.device``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What a recipe promises. ``fathom verify`` reads thresholds from here only."""

    metric: str  # "test/accuracy"
    at_least: float | int | None = None
    at_most: float | int | None = None
    seeds: int = 1  # the threshold holds for the mean over this many seeds ...
    passing: int | None = None  # ... or, where set, for at least this many of them
    minutes: float | int | None = None  # longest training time allowed, in CPU minutes

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"expect {self.metric}: give at_least or at_most, one of them")

    def holds(self, value: float) -> bool:
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0.0)


@dataclass(frozen=True)
class Live:
    """A module that already exists, as a model config. Its class is not in the catalogue."""

    module: nn.Module = field(repr=False)

    def build(self) -> nn.Module:
        return self.module


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Model, data, task, way of learning, length and promise of one run."""

    model: ModelConfig
    data: DataConfig
    task: Task
    learning: Learning
    steps: int
    batch_size: int = 64
    augment: tuple[Any, ...] = ()
    sampling: Literal["shuffled", "balanced"] = "shuffled"  # balanced: rows of every class equally often
    seed: int = 0
    evaluate_every: int | None = None  # steps between evaluations on the validation split; None: at the end
    patience: int | None = None  # evaluations without a better one before the run stops
    keep: str = "last"  # which weights are shipped: "last" or "best" on the validation split
    keep_best: int = 1  # checkpoints kept for their score
    workers: int = 0
    deterministic: bool = False
    expect: tuple[Expect, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        for name, known in (("keep", ("last", "best")), ("sampling", ("shuffled", "balanced"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {known}")
        for name in ("evaluate_every", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be 1 or more, or None")
        if self.patience and not self.evaluate_every:
            raise ValueError("patience counts evaluations: set evaluate_every too")
        if self.keep == "best" and not self.evaluate_every:
            raise ValueError("keep='best' compares evaluations: set evaluate_every too")
        if self.watches and not self.evaluate_every:
            raise ValueError("schedule is Plateau, which watches evaluations: set evaluate_every first")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}; it must be 0 or more")

    @property
    def watches(self) -> bool:
        """Whether the learning rate depends on evaluations that are made on the way."""
        return isinstance(getattr(self.learning, "schedule", None), Plateau)

    def build(self) -> nn.Module:
        """The model with its initial weights, a function of the seed alone."""
        torch.default_generator.manual_seed(key(self.seed, "model"))
        return self.model.build()

    def counted(self, data: Data | None = None) -> "Experiment":
        """The same experiment, its objective told how many training rows each class has, if it must know.

        ``data`` is what ``self.data`` loads. Raises ``InputError`` where there are no classes, or one of them
        has no training row.
        """
        objective: Any = getattr(self.learning, "objective", None)
        if getattr(objective, "balance", "none") == "none" or getattr(objective, "counts", True):
            return self
        found = class_numbers((data or self.data.load()).train)
        if found is None:
            raise InputError(f"balance={objective.balance} needs class numbers as targets; here are none")
        labels = getattr(self.task, "labels", None) or range(int(found.max()) + 1)
        counts = class_counts(found, len(labels)).tolist()
        empty = [str(label) for label, count in zip(labels, counts, strict=True) if not count]
        if empty:
            raise InputError(
                f"balance={objective.balance} needs a training row of each class; there is none of"
                f" {', '.join(empty[:8])}"
            )
        told: Any = replace(self.learning, objective=replace(objective, counts=tuple(counts)))  # type: ignore[type-var]
        return replace(self, learning=told)

    def learner(self, parallel: Parallel | None = None) -> Learner:
        """A fresh learner on the device of ``parallel`` (by default: alone, on the CPU)."""
        parallel, how = parallel or Parallel(), self.counted().learning
        model = self.build().to(parallel.device)
        torch.default_generator.manual_seed(key(self.seed, "learner"))
        return how.learner(model, self.steps, parallel)

    def source(self, data: Data, parallel: Parallel | None = None) -> BatchSource:
        """Where the batches of this run come from."""
        from fathom.data.loading import Shuffled

        if isinstance(data.train, BatchSource):  # an environment to act in makes its own
            if self.sampling != "shuffled":
                raise InputError(f"sampling={self.sampling} chooses among rows; this data makes batches")
            return data.train
        parallel = parallel or Parallel()
        return Shuffled(
            split=data.train,
            batch_size=self.batch_size,
            seed=self.seed,
            sampling=self.sampling,
            augment=self.augment,
            prepare=self.task.prepare,
            device=parallel.device,
            rank=parallel.rank,
            world=parallel.world,
            workers=self.workers,
        )

    def examine(self, learner: Learner, data: Data, parallel: Parallel | None = None) -> None:
        """Show an objective that wants to see it the first batch, the same in every process.

        Raises ``InputError`` for what it finds.
        """
        objective = getattr(self.learning, "objective", None)
        if isinstance(objective, Examining):
            alone = Parallel(device=(parallel or Parallel()).device)
            first = replace(self, workers=0).source(data, alone).stream(learner, 0)
            objective.examine(learner.model, next(first))

    def canary(self) -> "Experiment":
        """The same experiment, 20 steps long on little data: do today's losses equal the recorded ones?"""
        rows, data = max(64, min(512, 4 * self.batch_size)), self.data.load()
        return replace(
            self.counted(data), data=InMemory(data.reduced(rows)), steps=20, workers=0, keep="last",
            batch_size=min(self.batch_size, 32), patience=None,
            evaluate_every=self.evaluate_every if self.watches else None,
        )  # fmt: skip
