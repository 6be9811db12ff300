"""What watches a run: logging, evaluation, early stopping, checkpoints, signals.

Each is a plain callable on an ``Event``; those that keep something the next steps depend on have
``state`` and ``load_state`` and are saved with the checkpoint. They are called in the order in which
``verbs.session`` lists them: measure, decide, log, save.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fathom.errors import InputError
from fathom.task import Boundary, Evaluation, Task
from fathom.training.checkpoint import CheckpointFolder, flatten
from fathom.training.guard import NonFinite
from fathom.training.loop import Event
from fathom.training.parallel import Parallel
from fathom.training.track import JsonLines, Tracker

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.experiment import Experiment


class Log:
    """Writes the scalars of every step. Tensors are read in bunches, so that a GPU is not waited for."""

    def __init__(self, lines: JsonLines, guests: Tracker, bunch: int = 50) -> None:
        self.lines, self.guests, self.bunch = lines, guests, bunch
        self.waiting: list[tuple[int, dict[str, Any]]] = []

    def __call__(self, event: Event) -> None:
        self.waiting.append((event.steps, event.metrics))
        if len(self.waiting) >= self.bunch:
            self.flush()

    def flush(self) -> None:
        for step, metrics in self.waiting:
            row = {name: float(value) for name, value in metrics.items()}
            self.lines.scalars(step, row)
            self.guests.scalars(step, row)
        self.waiting.clear()
        self.lines.flush()

    def close(self) -> None:
        self.flush()
        self.guests.finish()
        self.lines.finish()


@runtime_checkable
class Watchful(Protocol):
    """A learner whose next steps depend on how evaluations went."""

    def observe(self, score: float) -> None:
        """Take the score of an evaluation, the same in every process; more is better."""
        ...


class Evaluate:
    """Scores the model on the validation split every so often, and remembers the best score.

    A learner that is ``Watchful`` is told each score.
    """

    def __init__(
        self,
        task: Task,
        split: Any,
        *,
        every: int,
        steps: int,
        patience: int | None = None,
        parallel: Parallel | None = None,
    ) -> None:
        self.task, self.split, self.every, self.steps, self.patience = task, split, every, steps, patience
        self.parallel = parallel or Parallel()
        self.best = float("-inf")
        self.waited = 0
        self.score: float | None = None  # of this very step, for the checkpoint
        self.evaluation: Evaluation | None = None

    def __call__(self, event: Event) -> None:
        self.score = None
        if event.steps % self.every and event.steps < self.steps and not event.stop:
            return
        self.evaluation = self.task.evaluate(Boundary(self.task, event.learner.model), self.split)
        event.metrics |= {f"valid/{n}": v for n, v in self.evaluation.metrics.items()}
        self.score = self.parallel.lead(self.evaluation.score)  # batch statistics differ between processes
        if self.score > self.best:
            self.best, self.waited = self.score, 0
        else:
            self.waited += 1
        if self.patience is not None and self.waited >= self.patience and not event.stop:
            event.stop = f"no better {self.evaluation.headline} in {self.waited} evaluations"
        if isinstance(event.learner, Watchful):
            event.learner.observe(self.score)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


def evaluations(experiment: "Experiment", data: "Data", parallel: Parallel | None = None) -> Evaluate | None:
    """What scores ``experiment`` on its way; None where that is not asked for, or nothing is held out.

    Raises ``InputError`` where the schedule waits for scores that will not come.
    """
    if experiment.evaluate_every and data.valid is not None:
        return Evaluate(
            experiment.task, data.valid, every=experiment.evaluate_every, steps=experiment.steps,
            patience=experiment.patience, parallel=parallel,
        )  # fmt: skip
    if experiment.watches:
        raise InputError(
            "schedule is Plateau, which watches the score on a validation split; this data has none:"
            " hold some rows out, or take another schedule"
        )
    return None


SHARE = 0.002  # of the time, for checkpoints that are not due


class Checkpoints:
    """Saves the whole state: at least every 10 seconds, and every 50 steps where that costs under 0.2 %.

    A model of a few kilobytes that makes a thousand steps a second would otherwise spend its time on
    ``fsync``. Evaluated states are saved with their score, and the last step always is.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        collect: Callable[[Event], dict[str, Any]],
        *,
        steps: int,
        evaluate: Evaluate | None = None,
        every: int = 50,
        seconds: float = 10.0,
    ) -> None:
        self.folder, self.collect, self.steps, self.evaluate = folder, collect, steps, evaluate
        self.every, self.seconds = every, seconds
        self.saved, self.cost = time.perf_counter(), 0.0

    def __call__(self, event: Event) -> None:
        score = self.evaluate.score if self.evaluate else None
        passed = time.perf_counter() - self.saved
        cheap = event.steps % self.every == 0 and self.cost <= SHARE * passed
        if (
            score is None
            and not cheap
            and passed < self.seconds
            and event.steps < self.steps
            and not event.stop
        ):
            return
        began = time.perf_counter()
        tensors, facts = flatten(self.collect(event))
        self.folder.save(event.steps, tensors, {"state": facts}, score=score)
        self.saved = time.perf_counter()
        self.cost = self.saved - began


class Guard:
    """Stops learners that write their own update when their loss is no number any more.

    It stands before ``Checkpoints``, so what is on disk stays good. ``GradientLearner`` checks for itself,
    before the optimizer moves.
    """

    def __call__(self, event: Event) -> None:
        if not math.isfinite(float(event.metrics["loss"])):
            raise NonFinite(event.steps - 1, event.batch)


class Interrupt:
    """SIGTERM and Ctrl-C end the run after the step in hand, with a checkpoint; a second one at once."""

    def __init__(self, parallel: Parallel) -> None:
        self.parallel = parallel
        self.caught: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            for number in (signal.SIGTERM, signal.SIGINT):
                self.before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if self.caught is not None:
            raise KeyboardInterrupt
        self.caught = number
        told = f"\n{signal.Signals(number).name}: saving after this step; once more ends at once\n"
        os.write(2, told.encode())  # print is not reentrant, and may be what the signal interrupted

    def __call__(self, event: Event) -> None:
        if self.parallel.world > 1 and event.steps % 5:  # asking the others costs a message
            return
        if self.parallel.agree(self.caught is not None):
            self.caught = self.caught or signal.SIGTERM
            event.stop = event.stop or "interrupted"  # a run that early stopping ended has ended
