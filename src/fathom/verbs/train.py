"""Train: from an experiment to a finished run folder, and on from wherever a run was stopped."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom import catalog
from fathom.errors import InputError
from fathom.settings import override_all
from fathom.training.run import Run, create
from fathom.verbs.own_loss import given_again, name_of, with_loss
from fathom.verbs.session import Session, conduct

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment
    from fathom.training.loop import Event

Setting = tuple[str, str]


def train(
    recipe: "str | Experiment",
    *,
    settings: Sequence[Setting] = (),
    loss: Callable[..., Any] | None = None,
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

    ``settings`` are pairs of a dotted name and a value as text, as of ``--set``. ``loss(output, target)``, a
    function of yours, takes the place of the recipe's; its gradient is checked first. Raises
    ``InputError`` for what cannot be used, ``Interrupted`` after SIGTERM or Ctrl-C, ``RunError`` for a
    failed run.
    """
    changes = [*settings, *([("seed", str(seed))] if seed is not None else [])]
    name, origin = describe(recipe, changes)
    origin["own_loss"] = name_of(loss)
    run = begin(out, name, {"origin": origin})
    with clean_refusal(run):
        set_threads(threads)
        experiment = rebuild(origin) if isinstance(recipe, str) else override_all(recipe, changes)
        experiment = with_loss(experiment, loss)
        if tensorboard and leads():
            from fathom.training.track import TensorBoard

            trackers = [*trackers, TensorBoard(run.folder / "tensorboard")]
        session = Session(
            run=run, experiment=experiment, name=name, device=device, observers=observers,
            trackers=trackers, export=export, say=say,
        )  # fmt: skip
        return conduct(session)


def leads() -> bool:
    """Whether this process is the only one, or the first of those that ``torchrun`` started."""
    return int(os.environ.get("RANK", "0")) == 0


def begin(out: str | Path | None, name: str, facts: dict[str, Any]) -> Run:
    """The new run folder, which the first process makes for all."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and out is None:
        raise InputError("several processes need one folder: give --out")
    return create(Path(out) if out else None, name, facts) if leads() else Run(Path(out or "."))


@contextlib.contextmanager
def clean_refusal(run: Run) -> Iterator[None]:
    """What is refused before its first step leaves no folder behind."""
    try:
        yield
    except InputError:
        if leads() and run.record["state"] == "starting":
            shutil.rmtree(run.folder)
            if run.folder.parent == Path("runs"):  # ours, where this was the first; a folder of --out stays
                with contextlib.suppress(OSError):
                    run.folder.parent.rmdir()
        raise


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
        return override_all(load_function(origin["name"])(), origin["settings"])
    return override_all(catalog.recipe(origin["name"]).load()(), origin["settings"])


def load_function(name: str, what: str = "recipe") -> Any:
    """``module:function`` that the person at the keyboard named (never one that a file names)."""
    import importlib
    import sys

    module, _, function = name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(f"there is no {what} {name!r}: {error}") from error
    finally:
        sys.path.pop(0)


def resume(
    folder: str | Path,
    model: Any = None,
    *,
    optimizer: Any = None,
    experiment: "Experiment | None" = None,
    loss: Callable[..., Any] | None = None,
    device: str = "auto",
    threads: int | None = None,
    observers: Sequence[Callable[["Event"], None]] = (),
    trackers: Sequence[Any] = (),
    export: bool = True,
    say: Callable[[str], None] = lambda text: None,
) -> Run:
    """Go on with the run in ``folder`` where its last good checkpoint stands, or finish what is missing.

    Systems of the catalogue are rebuilt from run.json. A live ``model`` (with its ``optimizer``), an
    own ``experiment`` and an own ``loss`` are given again; keys and shapes must be those of the checkpoint.
    """
    run = Run(Path(folder))
    record = run.record
    set_threads(threads)
    origin = record["origin"]
    given_again(origin, loss, run.folder)
    rebuilt = with_loss(built_again(run, model, optimizer, experiment), loss)
    budget = None
    if record.get("steps") and origin["kind"] == "fit":  # fixed before step 0; the clock is not asked again
        rebuilt = replace(rebuilt, steps=record["steps"])
    elif origin.get("time"):  # stopped before that
        from fathom.training.budget import Budget

        budget = Budget(origin["time"])
    session = Session(
        run=run, experiment=rebuilt, name=record["name"], device=device, observers=observers,
        trackers=trackers, export=export, say=say, budget=budget, extra=record.get("extra") or {},
    )  # fmt: skip
    return conduct(session)


def built_again(run: Run, model: Any, optimizer: Any, experiment: "Experiment | None") -> "Experiment":
    """The experiment of ``run``: from its record, or from the live objects that are given again."""
    origin = run.record["origin"]
    if experiment is not None:
        return override_all(experiment, origin["settings"])
    if origin["kind"] == "recipe":
        return rebuild(origin)
    if origin["kind"] == "fit":
        from fathom.verbs.fit import rebuild_fit

        return rebuild_fit(origin, model, optimizer, run.folder)
    own = "its own recipe: fathom train module:function --resume RUN"
    what = own if origin["kind"] == "function" else "live objects: fathom.resume(folder, experiment=...)"
    raise InputError(f"{run.folder} was made from {what}")


def set_threads(threads: int | None) -> None:
    """Use ``threads`` processor threads; None keeps torch's choice (OMP_NUM_THREADS, or all cores)."""
    if threads is None:
        return
    if threads < 1:
        raise InputError(f"--threads {threads}: it must be 1 or more")
    import torch

    torch.set_num_threads(threads)
