"""The learning-rate range test of an experiment: the trial that sees the losses.

What the rates are, how losses are smoothed, when a trial ends and what is read off its curve stands in
``fundamentals/schedules/rate_range.py``; here an experiment makes one optimizer step with each rate. A loss
that is no number ends the trial as well.

The trial trains a model that it builds, or copies, for itself. Nothing of it is left: weights, optimizer
and the state of every generator are afterwards what they were, bit for bit.
"""

import contextlib
import copy
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from fathom.errors import InputError
from fathom.fundamentals.schedules.rate_range import (
    SKIPPED_LAST,
    Smoothing,
    exploded,
    suggested_rate,
    trial_rate,
)
from fathom.training import experiment as experiments
from fathom.training.experiment import Experiment
from fathom.training.guard import NonFinite
from fathom.training.learner import GradientDescent, GradientLearner
from fathom.training.loop import Event, train
from fathom.training.optim import Live
from fathom.training.parallel import Parallel


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """The schedule of the trial: from ``start`` by equal factors to ``end``, both times the base rate."""

    start: float
    end: float

    def __call__(self, progress: float) -> float:
        return trial_rate(progress, 1, self.start, self.end)


@dataclass(frozen=True)
class RangeTest:
    """What a trial saw: rates, losses, smoothed losses, one each a step; and what follows from it."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    planned: int  # steps of a trial that does not end early
    ended: str  # why it ended

    @property
    def suggestion(self) -> float | None:
        """The learning rate to try; None where the loss never fell, or exploded too soon."""
        return suggested_rate(self.rates, self.smooth, self.planned)

    def table(self, rows: int = 12) -> str:
        """About ``rows`` rows of learning rate, loss and smoothed loss, evenly spaced."""
        lines = [f"{'learning rate':>13}  {'loss':>10}  {'smoothed':>10}"]
        count = len(self.rates)
        for k in sorted({round(row * (count - 1) / (rows - 1)) for row in range(rows)}) if count else []:
            lines.append(f"{self.rates[k]:>13.3g}  {self.losses[k]:>10.4g}  {self.smooth[k]:>10.4g}")
        return "\n".join(lines)

    def draw(self, file: str | Path) -> Path:
        """The curve as a picture, ``.svg`` or ``.png``."""
        from matplotlib.figure import Figure

        file = Path(file)
        if file.suffix not in (".svg", ".png"):
            raise InputError(f"{file} is no picture that can be drawn; end its name in .svg or .png")
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="0.8", label="loss")
        axes.plot(self.rates, self.smooth, label="smoothed")
        if self.suggestion is not None:
            axes.axvline(self.suggestion, color="tab:red", label=f"suggested {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=f"Range test: {self.ended}")
        if len(self.smooth) > SKIPPED_LAST:  # the explosion would flatten all that is to be seen
            low, high = min(self.losses), max(self.smooth[:-SKIPPED_LAST])
            axes.set_ylim(low - 0.1 * (high - low) - 1e-9, high + 0.3 * (high - low) + 1e-9)
        axes.legend()
        try:
            figure.savefig(file, dpi=150)
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}") from error
        return file


def range_test(
    experiment: Experiment,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 100,
    parallel: Parallel | None = None,
) -> RangeTest:
    """Try ``steps`` (20 or more) learning rates between ``lowest`` and ``highest`` on ``experiment``.

    Batch size, augmentation, clipping and the optimizer's other settings are the experiment's; its own
    schedule plays no part. Rates of several parameter groups keep their ratio; those of the first are shown.
    Raises ``InputError`` for values outside the ranges, and for a way of learning that is no gradient
    descent on one loss.
    """
    if not 0 < lowest < highest < math.inf:
        raise InputError(f"lowest is {lowest} and highest is {highest}; they must be 0 < lowest < highest")
    if steps < 20:
        raise InputError(f"steps is {steps}; a range test needs at least 20")
    if not isinstance(experiment.learning, GradientDescent):
        kind = type(experiment.learning).__name__
        raise InputError(f"a range test needs one loss and one optimizer; {kind} learns in its own way")
    with generators_kept():
        trial = apart(experiment, experiment.learning, steps)
        data = trial.data.load()
        learner = trial.counted(data).learner(parallel)
        assert isinstance(learner, GradientLearner)
        base = learner.rates[0]
        if not base > 0:
            raise InputError(f"the optimizer's learning rate is {base}; it must be positive")
        learner.how = replace(learner.how, schedule=Ramp(start=lowest / base, end=highest / base))
        watch = Watch()
        with contextlib.suppress(NonFinite):  # too large a rate is what the trial is looking for
            source = trial.source(data, parallel)
            last = train(learner, source, steps=steps, seed=trial.seed, observers=[watch])
            watch.ended = (last and last.stop) or f"all {steps} rates were tried"
    return RangeTest(tuple(watch.rates), tuple(watch.losses), tuple(watch.smooth), steps, watch.ended)


def apart(experiment: Experiment, learning: GradientDescent, steps: int) -> Experiment:
    """``experiment`` for ``steps`` steps on a model and optimizer of its own, copied where live."""
    model, optimizer = experiment.model, learning.optimizer
    if isinstance(optimizer, Live) or isinstance(model, experiments.Live):
        module = model.module if isinstance(model, experiments.Live) else None
        held = optimizer.optimizer if isinstance(optimizer, Live) else None
        try:
            module, held = copy.deepcopy((module, held))  # together: the copy holds the copy's parameters
        except (RuntimeError, TypeError) as error:
            raise InputError(
                f"a live model is tried out on a copy, and it cannot be copied: {error}"
            ) from error
        model = experiments.Live(module) if module is not None else model
        optimizer = Live(held) if held is not None else optimizer
    learning = replace(learning, optimizer=optimizer, average=0.0, compile=False)
    return replace(experiment, model=model, learning=learning, steps=steps)


@dataclass
class Watch:
    """The observer: keeps the curve, and ends the trial when the loss has exploded."""

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smooth: list[float] = field(default_factory=list)
    smoothing: Smoothing = field(default_factory=Smoothing)
    ended: str = "the loss was no number any more"

    def __call__(self, event: Event) -> None:
        loss = float(event.metrics["loss"])
        if not math.isfinite(loss):  # the scaler of float16 lets it pass
            event.stop = self.ended
            return
        self.rates.append(float(event.metrics["learning_rate"]))
        self.losses.append(loss)
        self.smooth.append(self.smoothing(loss))
        if exploded(self.smooth):
            event.stop = f"the loss exploded at a learning rate of {self.rates[-1]:.2g}"


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Every generator that a model or its data may draw from is afterwards where it was."""
    plain, array, here = random.getstate(), np.random.get_state(), torch.get_rng_state()
    device = torch.get_device_module() if torch.accelerator.is_available() else None
    there = device.get_rng_state() if device is not None else None
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(array)
        torch.set_rng_state(here)
        if device is not None:
            device.set_rng_state(there)
