"""Fit: your own data, your own model or ours, a budget of time, and the same run folder as any recipe."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fathom import catalog
from fathom.errors import InputError, refuse_code
from fathom.settings import override_all
from fathom.task import Evaluation, Options, Sighting
from fathom.training.run import Run
from fathom.verbs import beside, passed_over
from fathom.verbs.own_loss import name_of, with_loss
from fathom.verbs.session import Session, conduct
from fathom.verbs.train import begin, clean_refusal, leads, set_threads

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.budget import Budget
    from fathom.training.experiment import Experiment
    from fathom.verbs.transfer import Source


def fit(
    model: Any,
    data: str | Path | None = None,
    *,
    start: str | Path | None = None,
    start_as: str | None = None,
    task: str | None = None,
    target: str | None = None,
    text: str | None = None,
    time: str | float | None = None,
    steps: int | None = None,
    optimizer: Any = None,
    loss: Callable[..., Any] | None = None,
    settings: Sequence[tuple[str, str]] = (),
    balance: str = "none",
    skip_bad: bool = False,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    observers: Sequence[Callable[[Any], None]] = (),
    export: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Train on the data at a path: ``fit("photos/")``, or ``fit(net, "photos/")`` with an ``nn.Module``.

    In place of a module may stand the name of a system that the task offers: ``fit("gpt2", "book.txt")``.
    ``time`` ("5m", "90s", seconds) bounds the whole call, the first import of torch excepted; ``steps``
    fixes the length instead. ``optimizer`` is a live ``torch.optim`` optimizer of the module, and
    ``loss(output, target)`` a function in the place of the task's loss. The task is recognised from the
    data where ``task`` does not name it ("sequence-to-sequence"); ``target`` and ``text`` name columns of a
    table. ``balance`` is for rare classes: "weights" or "logits" in the loss, a "sampler", "auto" to decide
    by the counts, or "none".
    ``start`` is a trained model to begin from: a run folder, a published size ("resnet50", "minilm", or
    "resnet50:IMAGENET1K_V2"), a folder with an encoder of texts and its tokenizer, or a file of weights, of
    which ``start_as`` says the size where its names do not. Which parts move, from when on and how fast is
    chosen by the number of rows, and said.
    """
    model, system, place = told_apart(model, data)
    import torch  # noqa: F401 - first, since the budget does not pay for it

    budget = bounded(time, steps)
    set_threads(threads)
    given = [*settings, *([("steps", str(steps))] if steps is not None else [])]
    options = Options(target=target, text=text, skip_bad=skip_bad, seed=seed)
    source = beginning(start, start_as, model or system, place)
    plan = propose(place, options, given, model, optimizer, balance, say, source, budget, task, system)
    run = begin(out, plan.name, {"origin": plan.origin | asked(loss, start, start_as), "extra": plan.extra})
    with clean_refusal(run):
        session = Session(
            run=run, experiment=with_loss(plan.experiment, loss), name=plan.name, device=device,
            observers=observers, export=export, say=say, budget=budget, extra=plan.extra,
        )  # fmt: skip
        carry_out(session, source, model, plan.found)
    return run


def asked(loss: Any, start: str | Path | None, start_as: str | None) -> dict[str, Any]:
    """What was asked for beside the data, in the words of the command."""
    return {"own_loss": name_of(loss), "from": None if start is None else str(start), "from_as": start_as}


def told_apart(model: Any, data: str | Path | None) -> tuple[Any, str | None, Path]:
    """A module, or the name of a system, and where the data is, which may stand alone in the first place."""
    if data is None:
        return None, None, Path(model)
    return (None, model, Path(data)) if isinstance(model, str) else (model, None, Path(data))


def carry_out(
    session: Session, source: "Source | None", model: Any, found: "Mapping[str, Evaluation]"
) -> None:
    """The run itself; what simple methods reached and the weights that it begins from go into its folder
    first, and how they landed is kept.
    """
    if leads():
        beside.keep(found, session.run.folder)
    if source is not None and leads():
        from fathom.verbs.transfer import keep

        keep(source, session.run.folder)
    conduct(session)
    session.run.load_report = getattr(session.extra.get("model", model), "load_report", None)


def bounded(time: str | float | None, steps: int | None) -> "Budget | None":
    """The budget that ``time`` gives, begun now; None where the length is fixed in steps."""
    from fathom.training.budget import Budget

    if time is not None and steps is not None:
        raise InputError("give time or steps, not both: the length of a run has one source")
    return Budget(seconds(time)) if time is not None else None


def beginning(start: str | Path | None, start_as: str | None, model: Any, data: Path) -> "Source | None":
    """The trained model that ``fit`` begins from, before any data is read."""
    if start is None:
        if start_as is not None:
            raise InputError(f"--as {start_as} tells what the file of --from is; give that too")
        return None
    if isinstance(model, str):
        raise InputError(
            f"give --model {model} or --from {start}, not both: what is trained brings its model"
        )
    if model is not None:
        raise InputError(
            "give a module or start, not both: weights of a module are loaded by its constructor"
        )
    from fathom.verbs.transfer import source

    existing(data)
    return source(start, start_as)


class Proposal(NamedTuple):
    """What is about to be trained on somebody's data."""

    name: str
    origin: dict[str, Any]  # how to build it again
    experiment: "Experiment"
    extra: dict[str, Any]  # for the report
    found: "dict[str, Evaluation]"  # what simple methods reach


def propose(
    data: Path,
    options: Options,
    settings: Sequence[tuple[str, str]],
    model: Any,
    optimizer: Any,
    balance: str,
    say: Callable[[str], None],
    source: "Source | None",
    budget: "Budget | None",
    kind: str | None,
    system: str | None,
) -> Proposal:
    """Recognise the data, where ``kind`` does not name the task, read it, and say what was seen."""
    import torch

    from fathom.verbs.balance import balance as decide
    from fathom.verbs.live_module import brought

    path = existing(data)
    task, sighting = named(kind, path, options) if kind else recognise(path, options)
    if source is not None:
        from fathom.verbs.transfer import suited

        suited(source, task)
    told: list[str] = []
    tell = noting(told, say)
    for line in sighting.saw:
        tell(line)
    origin = {
        "kind": "fit", "task": task, "path": str(path.resolve()), "time": budget and budget.seconds,
        "target": options.target, "text": options.text, "skip_bad": options.skip_bad, "seed": options.seed,
        "settings": [list(p) for p in settings], "start": source and source.described, "system": system,
        "own_model": model is not None, "module": None if model is None else brought(model),
    }  # fmt: skip
    experiment, loaded = build(origin, model, optimizer, source, tell)
    chosen = decide(balance, experiment, loaded, say)
    origin["settings"] += [list(p) for p in chosen]
    experiment = override_all(experiment, chosen)
    if isinstance(model, torch.nn.Module):
        suit(model, experiment, loaded)
    found = simple_methods(experiment, loaded, say)
    extra = {"baselines": beside.metrics_of(found), "saw": told}
    return Proposal(f"fit-{task}", origin, experiment, extra, found)


def noting(told: list[str], say: Callable[[str], None]) -> Callable[[str], None]:
    """``say``, which also keeps in ``told`` what was said."""

    def tell(line: str) -> None:
        told.append(line)
        say(line)

    return tell


def simple_methods(
    experiment: "Experiment", data: "Data", say: Callable[[str], None]
) -> "dict[str, Evaluation]":
    """What simple methods reach on the same held-out rows, said before the training starts."""
    found = beside.measure(experiment.task, data)
    for label, evaluation in found.items():
        say(f"baseline {label}: " + ", ".join(f"{n} {v:.4g}" for n, v in evaluation.metrics.items()))
    return found


def rebuild_fit(origin: dict[str, Any], model: Any, optimizer: Any, folder: Path) -> "Experiment":
    """The experiment of the ``fit`` in ``folder``, from its data; a live module is given again."""
    if origin["own_model"] and model is None:
        raise InputError(
            "this run trained a module of your own: fathom.resume(folder, module, optimizer=...)"
        )
    existing(Path(origin["path"]))
    return build(origin, model, optimizer, begun_from(origin, folder), lambda line: None)[0]


def reread(origin: dict[str, Any], folder: Path) -> "Data":
    """The data of the ``fit`` in ``folder``, read again as it was read then."""
    plain = {**origin, "own_model": False, "settings": []}
    return build(plain, None, None, begun_from(origin, folder), lambda line: None)[1]


def begun_from(origin: dict[str, Any], folder: Path) -> "Source | None":
    """What the run in ``folder`` began from, where it did not begin from nothing."""
    if not origin.get("start"):
        return None
    from fathom.verbs.transfer import kept

    return kept(origin["start"], folder)


def build(
    origin: dict[str, Any], model: Any, optimizer: Any, source: "Source | None", say: Callable[[str], None]
) -> "tuple[Experiment, Data]":
    """Read the data and let the task propose a run.

    A live module and optimizer take their places in it, or the model of a source does.
    """
    from fathom.verbs import writers
    from fathom.verbs.choosing import learned_by, sizes
    from fathom.verbs.live_module import decided, taken_up

    kind = catalog.task(origin["task"])
    chosen = sizes(origin.get("system"), origin["task"])
    fixed = kind.fixed_by(chosen) if chosen else source.fixed if source else decided(origin)
    fitting(fixed, "--from" if source else "the module")
    options = Options(
        target=origin["target"], text=origin["text"], skip_bad=origin["skip_bad"], seed=origin["seed"],
        fixed=fixed,
    )  # fmt: skip
    place, seed = Path(origin["path"]), origin["seed"]
    if source is not None and writers.writes(source):
        task, data = writers.read(kind, source, place, options)
    else:
        task, data = kind.read(place, options)
    for line in passed_over.said(origin["task"], place, data.facts):
        say(line)
    if source is not None:
        from fathom.verbs.transfer import begun

        experiment = begun(task, data, source, origin, say)
    else:
        experiment = task.proposed(chosen, data, seed) if chosen else task.experiment(data, seed)
        experiment = learned_by(origin.get("system"), experiment)
    if model is not None:
        experiment = taken_up(experiment, data, model, optimizer, origin, say)
    return override_all(experiment, origin["settings"]), data


def fitting(fixed: "Mapping[str, Any]", who: str) -> None:
    """Raise ``InputError`` where a model that is brought takes other channels than pictures have."""
    channels = fixed.get("channels")
    if channels not in (None, 1, 3):
        raise InputError(
            f"{who} takes pictures of {channels} channels; those that are read have 1 (grey) or 3 (colour):"
            " load the weights with channels=3, as in fathom.fit(resnet18(FILE, channels=3, classes=2), DATA)"
        )


def suit(model: Any, experiment: "Experiment", data: "Data") -> None:
    """Try a module on two rows before anything is trained, and say what does not fit."""
    import torch

    rows = data.train.rows(torch.arange(min(2, len(data.train))))
    *inputs, _ = rows
    prepared = experiment.task.prepare(*inputs)
    shapes = ", ".join(str(tuple(p.shape)) for p in prepared)
    model.eval()
    try:
        with torch.no_grad():
            made = experiment.task.finish(model(*prepared))
    except Exception as error:
        from fathom.verbs.live_module import larger

        refused = f"the module does not take this data, a batch of shape {shapes}: {error}"
        raise InputError(refused + larger(model, prepared)) from error
    for port, value in zip(experiment.task.outputs(), made, strict=True):
        wanted = tuple(len(prepared[0]) if n == "batch" else n for n in port.shape)
        fits = len(wanted) == value.ndim and all(
            isinstance(n, str) or n == m for n, m in zip(wanted, value.shape, strict=True)
        )
        if not fits:
            raise InputError(
                f"the module gives {tuple(value.shape)} for a batch of {len(prepared[0])}; this data needs"
                f" {wanted}: give its last layer that many outputs"
            )


def recognise(path: Path, options: Options) -> tuple[str, Sighting]:
    """The task that is surest about ``path``; every task is asked, none is known by name."""
    seen: list[tuple[float, str, Sighting]] = []
    try:
        for name in catalog.tasks():
            sighting = catalog.task(name).recognise(path, options)
            if sighting is not None:
                seen.append((sighting.confidence, name, sighting))
    except PermissionError as error:
        raise InputError(f"{error.filename or path} may not be read by this user") from error
    if not seen:
        from fathom.data.inspect import inspect

        inspect(path)  # says what is wrong with it, where something is
        raise InputError(
            f"{path} is no data that a task here knows: an image folder (a folder for each class), pictures"
            " and a table of their labels, a CSV or Parquet table, JSONL or CSV with a text column, or plain"
            " text; see: fathom data inspect"
        )
    _, name, sighting = max(seen, key=lambda s: s[0])
    return name, sighting


def named(kind: str, path: Path, options: Options) -> tuple[str, Sighting]:
    """The task that a person names, with hyphens or underscores, whatever the data looks like."""
    task = kind.replace("-", "_")
    sighting = catalog.task(task).recognise(path, options)
    return task, sighting or Sighting(1.0, (f"{path.name} is taken for {kind}, as asked",))


def existing(path: Path) -> Path:
    """``path``, if there is something; files that can hold code are refused with the way in."""
    refuse_code(path)
    if not path.exists():
        import difflib

        folder = path.parent if path.parent.is_dir() else Path()
        near = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], n=2)
        hint = f"; there is {' and '.join(str(folder / n) for n in near)}" if near else ""
        raise InputError(f"{path} does not exist (looked in {folder.resolve()}){hint}")
    return path


def seconds(text: str | float) -> float:
    """Seconds, from text such as 5m, 90s and 1.5h or from a number."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*(s|m|h|)\s*", str(text))
    try:
        value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise InputError(f"time {text!r} is no length of time; write 90s, 5m or 1h")
    return value
