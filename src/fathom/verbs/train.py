"""Train: from an experiment to a finished run folder, and on from wherever a run was stopped."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom import catalog
from fathom.errors import InputError, RunError
from fathom.settings import flatten as flat_settings
from fathom.settings import override, to_json
from fathom.training.run import Run, code_digest, create, now

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.checkpoint import Loaded
    from fathom.training.experiment import Experiment
    from fathom.training.loop import Event, Learner
    from fathom.training.parallel import Parallel

Setting = tuple[str, str]


class Interrupted(RunError):
    """The run was asked to stop, saved its state and can be resumed. ``signal`` is the reason's number."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


@dataclass(kw_only=True)
class Session:
    """One run at work: what to train, where, and who looks on."""

    run: Run
    experiment: "Experiment"
    name: str
    device: str = "auto"
    observers: Sequence[Callable[["Event"], None]] = ()
    trackers: Sequence[Any] = ()
    export: bool = True
    say: Callable[[str], None] = lambda text: None
    deadline: Callable[["Experiment", "Data"], int] | None = None  # fixes the steps of a timed run
    extra: dict[str, Any] = field(default_factory=dict)  # for the report: baselines, what was seen


def train(
    recipe: "str | Experiment",
    *,
    settings: Sequence[Setting] = (),
    out: str | Path | None = None,
    seed: int | None = None,
    device: str = "auto",
    threads: int | None = None,
    observers: Sequence[Callable[["Event"], None]] = (),
    trackers: Sequence[Any] = (),
    tensorboard: bool = False,
    export: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Train ``recipe``: a name of the catalogue, ``module:function`` of yours, or an ``Experiment``.

    ``settings`` are pairs of a dotted name and a value as text, as of ``--set``. Raises ``InputError``
    for what cannot be used, ``Interrupted`` after SIGTERM or Ctrl-C, ``RunError`` for a failed run.
    """
    changes = [*settings, *([("seed", str(seed))] if seed is not None else [])]
    name, origin = describe(recipe, changes)
    leads = int(os.environ.get("RANK", "0")) == 0
    run = create(Path(out) if out else None, name, {"origin": origin}) if leads else Run(Path(out or "."))
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and out is None:
        raise InputError("several processes need one folder: give --out")
    try:
        set_threads(threads)
        experiment = rebuild(origin) if isinstance(recipe, str) else apply(recipe, changes)
    except InputError:
        (run.folder / "run.json").unlink(missing_ok=True)  # nothing was run: leave nothing behind
        with contextlib.suppress(OSError):
            run.folder.rmdir()
        raise
    if tensorboard and leads:
        from fathom.training.track import TensorBoard

        trackers = [*trackers, TensorBoard(run.folder / "tensorboard")]
    session = Session(
        run=run, experiment=experiment, name=name, device=device, observers=observers, trackers=trackers,
        export=export, say=say,
    )  # fmt: skip
    return conduct(session)


def describe(recipe: Any, settings: Sequence[Setting]) -> tuple[str, dict[str, Any]]:
    """The name of a run, and how to build its experiment again."""
    listed = [list(pair) for pair in settings]
    if not isinstance(recipe, str):
        return type(recipe.model).__module__.rpartition(".")[-1], {"kind": "live", "settings": listed}
    if ":" in recipe:
        return recipe.rpartition(":")[2], {"kind": "function", "name": recipe, "settings": listed}
    return recipe, {"kind": "recipe", "name": catalog.recipe(recipe).name, "settings": listed}


def rebuild(origin: dict[str, Any]) -> "Experiment":
    """The experiment of a run whose recipe is in the catalogue, or was named on this command line."""
    if origin["kind"] == "function":
        return apply(load_function(origin["name"])(), origin["settings"])
    return apply(catalog.recipe(origin["name"]).load()(), origin["settings"])


def load_function(name: str) -> Any:
    """``module:function`` that the person at the keyboard named (never one that a file names)."""
    import importlib
    import sys

    module, _, function = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"there is no recipe {name!r}: {error}") from error
    finally:
        sys.path.pop(0)


def apply(experiment: "Experiment", settings: Sequence[Sequence[str]]) -> "Experiment":
    """``experiment`` with each setting changed."""
    for name, text in settings:
        experiment = override(experiment, name, text)
    return experiment


def resume(
    folder: str | Path,
    model: Any = None,
    *,
    optimizer: Any = None,
    experiment: "Experiment | None" = None,
    device: str = "auto",
    threads: int | None = None,
    observers: Sequence[Callable[["Event"], None]] = (),
    trackers: Sequence[Any] = (),
    export: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Go on with the run in ``folder`` where its last good checkpoint stands, or finish what is missing.

    Systems of the catalogue are rebuilt from run.json. A live ``model`` (with its ``optimizer``) or an
    own ``experiment`` is given again; keys and shapes must be those of the checkpoint.
    """
    run = Run(Path(folder))
    record = run.record
    set_threads(threads)
    origin = record["origin"]
    if experiment is not None:
        rebuilt = apply(experiment, origin["settings"])
    elif origin["kind"] == "recipe":
        rebuilt = rebuild(origin)
    elif origin["kind"] == "fit":
        from fathom.verbs.fit import rebuild_fit

        rebuilt = rebuild_fit(origin, model, optimizer)
    else:
        what = "its own recipe: fathom train module:function --resume RUN" if origin["kind"] == "function" else (
            "live objects: fathom.resume(folder, experiment=...)"
        )  # fmt: skip
        raise InputError(f"{run.folder} was made from {what}")
    if record.get("steps") and origin["kind"] == "fit":  # fixed before step 0; the clock is not asked again
        rebuilt = replace(rebuilt, steps=record["steps"])
    session = Session(
        run=run, experiment=rebuilt, name=record["name"], device=device, observers=observers, trackers=trackers,
        export=export, say=say, extra=record.get("extra") or {},
    )  # fmt: skip
    return conduct(session)


def set_threads(threads: int | None) -> None:
    """Use ``threads`` processor threads; None keeps torch's choice (OMP_NUM_THREADS, or all cores)."""
    if threads is None:
        return
    if threads < 1:
        raise InputError(f"--threads {threads}: it must be 1 or more")
    import torch

    torch.set_num_threads(threads)


def conduct(session: Session) -> Run:
    """Train what is not trained yet, then make what is missing: result, artifact, ONNX, report."""
    from fathom.training.parallel import join, leave

    parallel = join(session.device)
    try:
        if not session.run.folder.is_dir() or "result" not in session.run.record:
            with deterministic(session.experiment.deterministic):
                fulfil(session, parallel)
        if parallel.leads:
            from fathom.verbs.finish import finish

            finish(session)
    except BaseException as error:
        if (
            parallel.leads
            and (session.run.folder / "run.json").is_file()
            and not isinstance(error, InputError)
        ):
            state = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
            session.run.update(state=state, error=f"{type(error).__name__}: {error}")
        raise
    finally:
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
    """Train to the last step (from the newest good checkpoint) and write the result."""
    import torch

    from fathom.training.checkpoint import CheckpointFolder, digest

    run, experiment = session.run, session.experiment
    data = experiment.data.load()
    if session.deadline is not None:
        experiment = session.experiment = replace(experiment, steps=session.deadline(experiment, data))
        session.deadline = None
    learner = experiment.learner(parallel)
    if parallel.leads:
        run.update(
            state="running", experiment=to_json(experiment), settings=flat(experiment), steps=experiment.steps,
            seed=experiment.seed, threads=torch.get_num_threads(), device=str(parallel.device),
            processes=parallel.world, code=code_digest(), data=dict(data.facts),
            parameters=sum(p.numel() for p in learner.model.parameters()),
        )  # fmt: skip
    identity = identify(session.name, learner)
    keep = max(experiment.keep_best, 1) if experiment.evaluate_every else 0
    with contextlib.ExitStack() as stack:
        folder = CheckpointFolder(run.checkpoints, keep=2, keep_best=keep, identity=identity)
        if parallel.leads:
            stack.enter_context(folder)
        parallel.wait()
        seconds, reason = advance(session, parallel, data, learner, folder)
        if parallel.leads and experiment.keep == "best" and experiment.evaluate_every:
            restore_best(learner, folder)
        if parallel.leads:
            weights = {
                f"{m}.{n}": t for m, net in learner.modules.items() for n, t in net.state_dict().items()
            }
            result = {"seconds": seconds, "digest": digest(weights), "stopped": reason}
            from fathom.verbs.finish import conclude

            conclude(session, learner, data, result)


def advance(
    session: Session, parallel: "Parallel", data: "Data", learner: "Learner", folder: Any
) -> tuple[float, str | None]:
    """Make the steps that are left; return seconds of training over all sittings, and why it stopped early."""
    from fathom.training import observers as watching
    from fathom.training.checkpoint import read
    from fathom.training.learner import GradientLearner
    from fathom.training.loop import train as loop
    from fathom.training.track import Guarded, JsonLines

    run, experiment = session.run, session.experiment
    source = experiment.source(data, parallel)
    evaluate = None
    if experiment.evaluate_every and data.valid is not None:
        evaluate = watching.Evaluate(
            experiment.task, data.valid, every=experiment.evaluate_every, steps=experiment.steps,
            patience=experiment.patience,
        )  # fmt: skip
    keepers = {"learner": learner, "source": source, "evaluate": evaluate}
    began = time.perf_counter()
    before = 0.0

    def collect(learner: "Learner") -> dict[str, Any]:
        log.flush()
        elapsed = before + time.perf_counter() - began
        return gather(learner, keepers) | {"elapsed": elapsed, "stop": stopped.stop if stopped else None}

    loaded = folder.load() if parallel.leads else None
    parallel.wait()  # the leader sets damaged checkpoints aside before the others look
    if not parallel.leads:
        loaded = read(run.checkpoints)
    start, stopped = 0, None
    if loaded is not None:
        state = unpack(loaded)
        scatter(state, learner, keepers)
        start, before = loaded.step, state["elapsed"]
        if state["stop"] and state["stop"] != "interrupted":  # early stopping had ended it already
            return before, state["stop"]
    if parallel.leads:
        note_resumption(session, loaded)
    lines = JsonLines(run.folder / ("metrics.jsonl" if parallel.leads else f".metrics-{parallel.rank}.jsonl"))
    lines.rewind(start)
    guests = Guarded(list(session.trackers))
    guests.settings(flat(experiment))
    log = watching.Log(lines, guests)
    with watching.Interrupt(parallel) as interrupt:
        watchers: list[Any] = [interrupt]
        if evaluate:
            watchers.insert(0, evaluate)
        if not isinstance(learner, GradientLearner):
            watchers.insert(0, watching.Guard())

        def remember(event: "Event") -> None:
            nonlocal stopped
            stopped = event

        watchers.append(remember)
        if parallel.leads:
            saving = watching.Checkpoints(folder, collect, steps=experiment.steps, evaluate=evaluate)
            watchers += [log, saving, *session.observers]
        began = time.perf_counter()
        try:
            last = loop(
                learner, source, steps=experiment.steps, start=start, seed=experiment.seed, rank=parallel.rank,
                observers=watchers,
            )  # fmt: skip
        except RunError as error:
            from fathom.verbs.failure import explain

            raise explain(error, session, learner, folder) from error
        seconds = before + time.perf_counter() - began
        log.flush()
        guests.finish()
        lines.finish()
        if interrupt.caught is not None and last is not None and last.steps < experiment.steps:
            raise Interrupted(
                f"stopped at step {last.steps} of {experiment.steps}; go on with: fathom train --resume {run.folder}",
                interrupt.caught,
            )
    return seconds, last.stop if last else None


def note_resumption(session: Session, loaded: "Loaded | None") -> None:
    """Say and record from which checkpoint a run goes on, and which were unusable."""
    if loaded is None:
        return
    run, earlier = session.run, session.run.record.get("resumed", [])
    entry = {
        "at": now(),
        "step": loaded.step,
        "checkpoint": loaded.path.name,
        "rejected": list(loaded.rejected),
    }
    run.update(resumed=[*earlier, entry])
    session.say(f"resumed from {loaded.path.name}")
    for reason in loaded.rejected:
        session.say(f"not used: {reason}")


def gather(learner: "Learner", keepers: dict[str, Any]) -> dict[str, Any]:
    """Everything that the next update reads, nested."""
    return {
        "modules": {n: m.state_dict() for n, m in learner.modules.items()},
        "optimizers": {n: o.state_dict() for n, o in learner.optimizers.items()},
        "keepers": {n: k.state() for n, k in keepers.items() if hasattr(k, "state")},
    }


def scatter(state: dict[str, Any], learner: "Learner", keepers: dict[str, Any]) -> None:
    """Put back what ``gather`` took."""
    for name, module in learner.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimizer in learner.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    for name, keeper in keepers.items():
        if hasattr(keeper, "load_state") and name in state["keepers"]:
            keeper.load_state(state["keepers"][name])


def unpack(loaded: "Loaded") -> dict[str, Any]:
    from fathom.training.checkpoint import unflatten

    return unflatten(loaded.tensors, loaded.facts["state"])


def restore_best(learner: "Learner", folder: Any) -> None:
    """Put the best evaluated weights back."""
    best = folder.load_best()
    if best is None:
        return
    state = unpack(best)
    for name, module in learner.modules.items():
        module.load_state_dict(state["modules"][name])


def identify(name: str, learner: "Learner") -> str:
    """A hash of the recipe's name and of all keys and shapes: whose checkpoint is this?"""
    from fathom.training.randomness import key

    shapes = [
        f"{m}.{n}:{tuple(t.shape)}"
        for m, net in sorted(learner.modules.items())
        for n, t in net.state_dict().items()
    ]
    return f"{name}-{key(*shapes):016x}"


def flat(experiment: "Experiment") -> dict[str, Any]:
    """Settings by dotted name, for run.json, trackers and the report."""
    return {name: to_json(value) for name, value in flat_settings(experiment).items()}
