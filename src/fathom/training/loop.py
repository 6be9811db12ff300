"""The training loop. There is one, and this is all of it.

The loop counts steps and tells observers what happened. It does not know what a loss is: a
``Learner`` makes one update, in full view, in its own file. That is why the same few lines train a
classifier, a GAN with two optimizers, and an agent whose batches are episodes of a game.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.optim import Optimizer

from fathom.errors import RunError
from fathom.training.randomness import seed_step

Metrics = dict[str, Tensor | float]


@runtime_checkable
class Learner(Protocol):
    """What learns, what moves it, and how one step is made.

    Anything else that the next update reads is state: a learner, a batch source or an observer
    that keeps any (a replay buffer, a running average) also has ``state()``, which returns
    tensors, numbers and containers of them, and ``load_state(state)``.
    """

    @property
    def model(self) -> nn.Module:
        """The network that is evaluated, exported and served."""
        ...

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """All networks, by name: what a checkpoint saves."""
        ...

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """All optimizers, by name, saved too."""
        ...

    def update(self, batch: Any, step: int) -> Metrics:
        """Make step ``step`` (counted from 0) with ``batch``; return scalars, ``loss`` among them."""
        ...


@runtime_checkable
class BatchSource(Protocol):
    """Where batches come from. The batch of a step depends on the step alone (and the learner)."""

    def stream(self, learner: Learner, start: int) -> Iterator[Any]:
        """Batches of steps ``start``, ``start + 1``, ... without end."""
        ...


@dataclass
class Event:
    """``steps`` of ``total`` steps are made. An observer ends the run by setting ``stop`` to a reason."""

    steps: int
    metrics: Metrics
    learner: Learner
    batch: Any = None
    total: int | None = None  # steps of the whole run
    stop: str | None = None


Observer = Callable[[Event], None]  # logging, evaluation, early stopping and checkpoints


def train(
    learner: Learner,
    source: BatchSource,
    *,
    steps: int,
    start: int = 0,
    seed: int = 0,
    rank: int = 0,
    observers: Sequence[Observer] = (),
) -> Event | None:
    """Make steps ``start`` to ``steps - 1``, one batch each; return the last event.

    Raises ``RunError`` when the source ends before the run does.
    """
    batches, event = source.stream(learner, start), None
    for step in range(start, steps):
        try:
            batch = next(batches)
        except StopIteration:
            raise RunError(f"the batches ended at step {step} of {steps}; a source must not end") from None
        seed_step(seed, step, rank)
        event = Event(step + 1, learner.update(batch, step), learner, batch, steps)
        for observe in observers:
            observe(event)
        if event.stop:
            break
    return event
