"""A budget of time for a whole command: how many steps fit into it, fixed once before the first.

The length of a run must not depend on the clock while it runs, or the schedule of learning rates would.
So 20 steps are measured and undone, and the number of steps that follows is kept in run.json. Should the
machine become slower than it was then, the run is ended early, at the last step that leaves time for what
comes after training.
"""

import copy
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from fathom.task import Boundary
from fathom.training.learner import GradientDescent
from fathom.training.loop import Event, train
from fathom.training.parallel import Parallel
from fathom.training.state import gather, scatter

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.experiment import Experiment

WARM, PROBED = 5, 15  # steps that are made and undone to measure a step: 20 in all
MARGIN = 0.92  # share of the time for training that is planned with
LAST = 6.0  # seconds for export with its check and for the report


class Budget:
    """``seconds`` from now on until the command's last line. Called as an observer it ends a late run."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began = seconds, time.monotonic()
        self.ending = LAST  # seconds that are set aside for what follows the last step
        self.parallel = Parallel()

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)

    def steps(self, experiment: "Experiment", data: "Data", parallel: Parallel) -> int:
        """How many steps fit, at least 1 and at most those of the experiment."""
        self.parallel = parallel
        learner = moving(experiment).learner(parallel)
        untouched = copy.deepcopy(gather(learner, {"learner": learner}))  # a live module is trained itself
        stamps: list[float] = []
        source = experiment.source(data, parallel)
        train(learner, source, steps=WARM + PROBED, observers=[lambda event: stamps.append(time.monotonic())])
        step = (stamps[-1] - stamps[WARM - 1]) / PROBED
        start = time.monotonic()
        for split in (data.valid, data.test):
            if split is not None:
                experiment.task.evaluate(Boundary(experiment.task, learner.model), split)
        evaluation = time.monotonic() - start
        scatter(untouched, learner, {"learner": learner})
        if experiment.evaluate_every:
            step += evaluation / experiment.evaluate_every
        self.ending = 2 * evaluation + LAST
        return max(1, min(experiment.steps, int(MARGIN * (self.left - self.ending) / step)))

    def __call__(self, event: Event) -> None:
        if self.parallel.world > 1 and event.steps % 5:  # asking the others costs a message
            return
        if self.parallel.agree(self.left < self.ending) and not event.stop:
            event.stop = f"the time of {self.seconds:.0f} s is nearly up"


def moving(experiment: "Experiment") -> "Experiment":
    """``experiment`` with all parts moving that ever will: its last steps may cost more than its first."""
    if not isinstance(experiment.learning, GradientDescent):
        return experiment
    unfreezing = experiment.learning.unfreezing.at_once
    return replace(experiment, learning=replace(experiment.learning, unfreezing=unfreezing))
