"""A session: one sitting at a run, from wherever it stands to its end.

Its parts are called in this order: data, learner, newest good checkpoint, loop, best weights, result,
export, report. Whatever is done already, by an earlier sitting, is not done again.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fathom.errors import InputError, RunError
from fathom.settings import to_json, whole
from fathom.training.run import Run, code_digest, now

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.task import Task
    from fathom.training.budget import Budget
    from fathom.training.checkpoint import CheckpointFolder, Loaded
    from fathom.training.experiment import Experiment
    from fathom.training.loop import Event, Learner
    from fathom.training.observers import Log
    from fathom.training.parallel import Parallel


class Interrupted(RunError):
    """The run was asked to stop, saved its state and can be resumed. ``signal`` is the reason's number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


@dataclass(kw_only=True)
class Session:
    """What to train, where, and who looks on."""

    run: Run
    experiment: "Experiment"
    name: str
    device: str = "auto"
    observers: Sequence[Callable[["Event"], None]] = ()
    trackers: Sequence[Any] = ()
    export: bool = True
    say: Callable[[str], None] = lambda text: None
    budget: "Budget | None" = None  # of a timed run whose steps are not fixed yet
    extra: dict[str, Any] = field(default_factory=dict)  # for the report: baselines, what was seen


def conduct(session: Session) -> Run:
    """Train what is not trained yet, then make what is missing: result, artifact, ONNX, report."""
    from fathom.training.disk import alone
    from fathom.training.parallel import join, leave
    from fathom.verbs.beside import fallen_short
    from fathom.verbs.finish import finish

    parallel = join(session.device)
    stack = contextlib.ExitStack()
    try:
        if parallel.leads:
            stack.enter_context(alone(session.run.folder))
        if "result" not in session.run.record:
            with deterministic(session.experiment.deterministic):
                fulfil(session, parallel)
        if parallel.leads:
            finish(session)
            if short := fallen_short(session.extra):
                session.say(short)
    except BaseException as error:
        if parallel.leads and not isinstance(error, InputError):
            stopped = isinstance(error, Interrupted | KeyboardInterrupt)
            session.run.update(
                state="interrupted" if stopped else "failed", error=f"{type(error).__name__}: {error}"
            )
        raise
    finally:
        stack.close()
        leave()
    return session.run


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Refuse operations whose result depends on timing, where that is asked for."""
    import torch

    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def fulfil(session: Session, parallel: "Parallel") -> None:
    """Train to the last step and write the result."""
    from fathom.training.checkpoint import CheckpointFolder, digest
    from fathom.training.state import identify, restore_best
    from fathom.verbs.finish import conclude
    from fathom.verbs.scarce import warning

    data = session.experiment.data.load()
    session.experiment = session.experiment.counted(data)
    if session.budget is not None:
        steps = parallel.lead(session.budget.steps(session.experiment, data, parallel))
        scarce = warning(session.budget, session.experiment, int(steps))
        if scarce and parallel.leads:
            session.say(scarce)
        session.experiment = replace(session.experiment, steps=int(steps))
    experiment = session.experiment
    learner = experiment.learner(parallel)
    fits(experiment.task, learner.model)
    experiment.examine(learner, data, parallel)
    best = experiment.keep_best if experiment.evaluate_every else 0
    identity = identify(session.name, learner)
    with contextlib.ExitStack() as stack:
        folder = CheckpointFolder(session.run.checkpoints, keep=2, keep_best=best, identity=identity)
        if parallel.leads:
            stack.enter_context(folder)
        sitting = Sitting(session, parallel, data, learner, folder)
        start = sitting.go_on()
        if parallel.leads:
            describe(session, learner, data, parallel)
        sitting.train(start)
        if parallel.leads:
            if experiment.keep == "best" and experiment.evaluate_every:
                restore_best(learner, folder)
            weights = {
                f"{m}.{n}": t for m, net in learner.modules.items() for n, t in net.state_dict().items()
            }
            result = {"seconds": sitting.seconds, "digest": digest(weights), "stopped": sitting.stopped}
            conclude(session, learner, data, result)


def fits(task: "Task", model: Any) -> None:
    """Try the model on the task's own examples: what it gives must be what is evaluated, exported, served."""
    from fathom.deployment.export import edge_cases
    from fathom.task import Boundary, collate

    samples, training = edge_cases(task)[:2], model.training
    try:
        made = Boundary(task, model)(collate(task, samples))
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(f"the model does not take what its task gives it: {error}") from error
    finally:
        model.train(training)
    for port in task.outputs():
        shape = made[port.name].shape
        alike = len(shape) == len(port.shape) and all(
            isinstance(n, str) or n == m for n, m in zip(port.shape, shape, strict=True)
        )
        if not alike:
            raise InputError(
                f"the model's {port.name} has the shape {shape}, the task's {port.shape}: a size of the model"
                " was changed and the task's was not, or the other way round"
            )


def describe(session: Session, learner: "Learner", data: "Data", parallel: "Parallel") -> None:
    """Complete run.json: what is about to be trained, on what, by which code."""
    import torch

    experiment = session.experiment
    session.run.update(
        state="running",
        experiment=to_json(experiment),
        settings=flat(experiment),
        steps=experiment.steps,
        seed=experiment.seed,
        threads=torch.get_num_threads(),
        device=str(parallel.device),
        processes=parallel.world,
        code=code_digest(),
        data=dict(data.facts),
        parameters=sum(p.numel() for p in learner.model.parameters()),
        learned=sum(p.numel() for p in {id(p): p for p in held(learner)}.values() if p.requires_grad),
    )


def held(learner: "Learner") -> list[Any]:
    """The parameters that the optimizers of ``learner`` move."""
    return [p for o in learner.optimizers.values() for group in o.param_groups for p in group["params"]]


def flat(experiment: "Experiment") -> dict[str, Any]:
    """Settings by dotted name, for run.json, trackers and the report."""
    return {name: to_json(value) for name, value in whole(experiment).items()}


class Sitting:
    """The loop with all that watches it, begun where the newest good checkpoint stands."""

    def __init__(
        self,
        session: Session,
        parallel: "Parallel",
        data: "Data",
        learner: "Learner",
        folder: "CheckpointFolder",
    ) -> None:
        from fathom.training.observers import evaluations

        self.session, self.parallel, self.learner, self.folder = session, parallel, learner, folder
        experiment = session.experiment
        self.source = experiment.source(data, parallel)
        self.evaluate = evaluations(experiment, data, parallel)
        self.keepers = {"learner": learner, "source": self.source, "evaluate": self.evaluate}
        self.before, self.began = 0.0, 0.0  # seconds of earlier sittings; when this one began
        self.stopped: str | None = None
        self.log: Log | None = None  # of the leader

    @property
    def seconds(self) -> float:
        """Time of training, over all sittings."""
        return self.before + self.now - self.began

    def train(self, start: int) -> None:
        """Make the steps from ``start`` on. ``seconds`` and ``stopped`` tell how it went."""
        from fathom.training.loop import train
        from fathom.training.observers import Interrupt

        run, experiment = self.session.run, self.session.experiment
        if self.stopped is not None:
            return
        if self.parallel.leads:
            self.log = self.open_log(start)
        with Interrupt(self.parallel) as interrupt:
            self.began = self.now = time.perf_counter()
            try:
                last = train(
                    self.learner, self.source, steps=experiment.steps, start=start, seed=experiment.seed,
                    rank=self.parallel.rank, observers=self.watchers(interrupt),
                )  # fmt: skip
            except RunError as error:
                from fathom.verbs.failure import explain

                raise explain(error, self.session, self.learner, self.folder) from error
            finally:
                if self.log is not None:
                    self.log.close()
            self.now = time.perf_counter()
        self.stopped = last.stop if last else None
        if interrupt.caught is not None and last is not None and last.steps < experiment.steps:
            raise Interrupted(
                f"stopped at step {last.steps} of {experiment.steps}; go on with:"
                f" fathom train --resume {run.folder}",
                interrupt.caught,
            )

    def open_log(self, start: int) -> "Log":
        """metrics.jsonl as it was after step ``start``, and whatever else follows the run."""
        from fathom.training.observers import Log
        from fathom.training.track import Guarded, JsonLines

        lines = JsonLines(self.session.run.folder / "metrics.jsonl")
        lines.rewind(start)
        guests = Guarded(list(self.session.trackers))
        guests.settings(flat(self.session.experiment))
        return Log(lines, guests)

    def go_on(self) -> int:
        """Load the newest good checkpoint, and return the step to go on with."""
        from fathom.training.checkpoint import read
        from fathom.training.state import scatter, unpack

        loaded = self.folder.load() if self.parallel.leads else None
        self.parallel.wait()  # the leader sets damaged checkpoints aside before the others look
        if not self.parallel.leads:
            loaded = read(self.session.run.checkpoints)
        self.parallel.wait()  # nobody writes a new one until everybody has read
        self.began = self.now = time.perf_counter()
        if loaded is None:
            return 0
        state = unpack(loaded)
        scatter(state, self.learner, self.keepers)
        self.before = state["elapsed"]
        if state["stop"] != "interrupted":  # early stopping had ended it already
            self.stopped = state["stop"]
        if self.parallel.leads:
            self.note(loaded)
        return loaded.step

    def note(self, loaded: "Loaded") -> None:
        """Say and record which checkpoint is used, and which were unusable."""
        run, say = self.session.run, self.session.say
        entry = {
            "at": now(), "step": loaded.step, "checkpoint": loaded.path.name,
            "rejected": [str(r) for r in loaded.rejected],
        }  # fmt: skip
        run.update(resumed=[*run.record.get("resumed", []), entry])
        say(f"resumed from {loaded.path.name}")
        for reason in entry["rejected"]:
            say(f"not used: {reason}")

    def watchers(self, interrupt: Any) -> list[Any]:
        """Who looks at each step, in order: measure, decide, log, save, and whoever else was asked in."""
        from fathom.training.learner import GradientLearner
        from fathom.training.observers import Checkpoints, Guard

        first: list[Any] = [self.session.budget] if self.session.budget is not None else []
        first += [] if isinstance(self.learner, GradientLearner) else [Guard()]
        listed: list[Any] = [*first, *([self.evaluate] if self.evaluate else []), interrupt]
        if self.log is None:
            return listed
        saving = Checkpoints(
            self.folder, self.collect, steps=self.session.experiment.steps, evaluate=self.evaluate
        )
        return [*listed, self.log, saving, *self.session.observers]

    def collect(self, event: "Event") -> dict[str, Any]:
        """All that a checkpoint holds. What was logged so far is on disk before it."""
        from fathom.training.state import gather

        if self.log is not None:
            self.log.flush()
        self.now = time.perf_counter()
        return gather(event.learner, self.keepers) | {"elapsed": self.seconds, "stop": event.stop}
