"""A trial: one experiment run for its numbers alone, without a folder, checkpoints or an artifact.

Comparisons make many of them. A trial scores the last weights on the validation split, for a comparison is
there to choose by; the test split is for what was chosen. On its way it evaluates only where the schedule
waits for scores. A loss that is no longer a number ends it: that is a result, too.
"""

import time
from dataclasses import dataclass, replace
from functools import lru_cache

from fathom.data.split import Data, DataConfig
from fathom.task import Boundary
from fathom.training.experiment import Experiment
from fathom.training.guard import NonFinite
from fathom.training.loop import Event, Observer, train
from fathom.training.observers import evaluations

POINTS = 50  # of a kept learning curve


@dataclass(frozen=True)
class Outcome:
    """What came out of one trial.

    ``metrics``: ``train/loss`` over the last tenth of the steps, ``valid/...`` as the task measures them
    (``test/...`` where nothing is held out to choose by), ``diverged`` 0 or 1, ``steps`` made, ``seconds``.
    A trial that diverged has no ``train/loss`` and no scores.
    """

    metrics: dict[str, float]
    curve: list[tuple[int, float]]  # (steps made, mean loss since the point before)


def trial(experiment: Experiment, seed: int = 0) -> Outcome:
    """Train ``experiment`` from its start with ``seed``, and score it."""
    data = loaded(experiment.data)
    experiment = replace(experiment, seed=seed).counted(data)
    learner = experiment.learner()
    experiment.examine(learner, data)
    losses: list[float] = []

    def note(event: Event) -> None:
        losses.append(float(event.metrics["loss"]))

    watching: list[Observer] = [note]
    if experiment.watches and (on_the_way := evaluations(replace(experiment, patience=None), data)):
        watching.append(on_the_way)
    began, diverged = time.perf_counter(), False
    try:
        train(learner, experiment.source(data), steps=experiment.steps, seed=seed, observers=watching)
    except NonFinite:
        diverged = True
    metrics = {
        "diverged": float(diverged), "steps": float(len(losses)), "seconds": time.perf_counter() - began,
    }  # fmt: skip
    if not diverged:
        last = losses[-max(1, len(losses) // 10) :]
        name, split = ("valid", data.valid) if data.valid is not None else ("test", data.test)
        metrics["train/loss"] = sum(last) / len(last)
        if split is not None:
            scores = experiment.task.evaluate(Boundary(experiment.task, learner.model), split).metrics
            metrics |= {f"{name}/{k}": float(v) for k, v in scores.items()}
    return Outcome(metrics, curve(losses))


@lru_cache(maxsize=1)  # the arms of a comparison mostly share their data
def loaded(config: DataConfig) -> Data:
    return config.load()


def curve(losses: list[float]) -> list[tuple[int, float]]:
    """``losses`` as at most ``POINTS`` means of equally many neighbours."""
    wide = max(1, -(-len(losses) // POINTS))
    parts = [losses[i : i + wide] for i in range(0, len(losses), wide)]
    return [(min((i + 1) * wide, len(losses)), sum(p) / len(p)) for i, p in enumerate(parts)]
