"""Fine-tuning: ``fit`` from a model that was trained before, with what to train, when and how fast chosen.

A source is a run folder, a published size by its name, or a file of weights. It brings a system with its
sizes, weights under that system's names, and the pictures as it knows them: their size, how they are brought
to it, mean and deviation go into the task, and so into the artifact. The classes are those of the new data.
Encoders of texts, which bring their tokenizers, stand in ``encoders``.

How much may move depends on how much there is to learn from (Yosinski et al. 2014, section 4; Howard and
Ruder 2018, section 3). With ``FEW`` rows a class or more the head goes first, shortly, and then everything,
slower towards the stem. With fewer the body would be learned by heart: the head alone is a linear probe for
half of the run, then the last part joins it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fathom import catalog
from fathom.errors import InputError, unknown
from fathom.fundamentals.transfer import gradual_unfreezing
from fathom.settings import to_json
from fathom.task import Options, Task, task_name
from fathom.training import AdamW, Experiment, GradientDescent, Unfreezing, WarmupCosine
from fathom.training.transferred import Transferred

if TYPE_CHECKING:
    from fathom.data.split import Data

FILE = "start.safetensors"  # the weights that a run began from, in its folder
FEW = 50  # training rows a class below which the body stays as it is, but for its last part
PROBE, GREETING = 0.5, 0.1  # share of the run that the head has for itself, with few rows and with many
RATE, FALL = 1e-3, 0.7  # of the head; and from each layer to the one below it
GIVEN = (
    "a run folder, a published size such as resnet50 or minilm, a folder with safetensors and a tokenizer, or"
    " a .safetensors or .pth file"
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained model to begin from."""

    told: str  # what it is, for people
    system: str  # of the catalogue
    config: Any  # of the system, with the classes that it knows
    labels: tuple[str, ...] = ()  # of its classes, where they have names
    task: str | None = None  # the kind of task that it was trained for; None: whatever has such pictures
    fixed: Mapping[str, Any] = field(default_factory=dict)  # settings of the task that its weights decide
    state: Mapping[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def described(self) -> dict[str, Any]:
        """All but the weights, as JSON; ``kept`` reads it back."""
        return {f.name: to_json(getattr(self, f.name)) for f in fields(self) if f.repr}


def source(start: str | Path, size: str | None = None) -> Source:
    """What ``start`` names; ``size`` says which published size a file is, where its names do not.

    Raises ``InputError`` for what is not there, damaged, of another family, or of no system here.
    """
    from fathom.training.model_folder import CONFIG
    from fathom.verbs import encoders
    from fathom.verbs.recognising import sizes

    path, name = Path(start), str(start).partition(":")[0]
    if path.is_file():
        return from_file(path, size)
    if size is not None:
        raise InputError(f"--as {size} tells what a file is, and --from {start} is none; leave it out")
    if (path / CONFIG).is_file():
        return encoders.in_folder(path)
    if path.is_dir():
        return from_run(path)
    if name in sizes():
        return from_published(str(start), name)
    if name in encoders.starts():
        return encoders.named(str(start))
    if path.suffix or len(path.parts) > 1:
        raise InputError(f"there is no {start} to begin from: give {GIVEN}")
    known = {**sizes(), **encoders.starts()}
    raise InputError(f"{unknown('published size', name, known)}; to begin from, give {GIVEN}")


def from_run(folder: Path) -> Source:
    """The model of a run or artifact folder, with its weights and its way to look at data."""
    from fathom.deployment import artifact
    from fathom.training.weights import read_safetensors

    place = artifact.find(folder)
    description = artifact.describe(place)
    if not description["system"]:
        raise InputError(
            f"{folder} trained a module of its owner, which no file can build: fathom.fit(module, data)"
        )
    config = artifact.restore(catalog.system(description["system"]).load().Config, description["model"])
    asked = {"class", *(f.name for f in fields(Options))}  # columns are of the table, not of the weights
    settings = {n: tupled(v) for n, v in description["task"]["settings"].items() if n not in asked}
    found = Source(
        told=f"{description['name']}, {folder}",
        system=description["system"],
        config=config,
        labels=tuple(settings.pop("labels", ())),
        task=description["task"]["name"],
        fixed=settings,
        state=merged_state(place, description) or read_safetensors(place / "weights.safetensors").state,
    )
    whole(found, place / "weights.safetensors")
    return found


def merged_state(place: Path, description: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The weights of an adapted model with what was learned in them; empty for one that is not adapted."""
    from fathom.deployment.artifact import load_model
    from fathom.training.adaptation import merge

    if not description.get("adaptation"):
        return {}
    return merge(load_model(place, dict(description))).state_dict()


def whole(start: Source, file: Path) -> None:
    """Refuse weights that are not those of their own model, and such as hold no numbers."""
    from fathom.verbs.unreadable import refuse_numbers

    refuse_numbers(str(file), start.state)
    own = {name: tuple(t.shape) for name, t in shape(start.config).state_dict().items()}
    given = {name: tuple(t.shape) for name, t in start.state.items()}
    wrong = sorted(n for n in own.keys() | given.keys() if own.get(n) != given.get(n))
    if wrong:
        n = wrong[0]
        raise InputError(
            f"{file} does not fit its {start.system}: {len(wrong)} tensors differ, for instance {n}, which is"
            f" {given.get(n, 'absent')} in the file and {own.get(n, 'absent')} in the model"
        )


def from_published(given: str, size: str) -> Source:
    """``resnet50``, or with a name of weights ``resnet50:IMAGENET1K_V2``; the last of them otherwise."""
    from fathom.verbs.recognising import sizes

    module = sizes()[size].load()
    table = getattr(module, "WEIGHTS", {}).get(size, {})
    if not table:
        raise InputError(f"no weights of {size} are published here; give a file: --from FILE --as {size}")
    name = given.partition(":")[2] or list(table)[-1]
    return built(f"{size}, {name}", sizes()[size].name, getattr(module, size)(weights=name))


def from_file(file: Path, size: str | None) -> Source:
    """A file of Fathom's, torchvision's or timm's names, recognised by them, or what ``size`` says."""
    from fathom.verbs.importing import chosen, read
    from fathom.verbs.recognising import sizes

    match = chosen(file, read(file)[0].state, size)
    if match is None:
        raise InputError(f"{file} is no published size that is known by its names; say which with --as SIZE")
    make = getattr(sizes()[match.size].load(), match.size)
    model = make(weights=str(file), classes=match.classes, channels=match.channels)
    return built(f"{match.size}, {file}", match.entry.name, model)


def built(told: str, system: str, model: Any) -> Source:
    """A model of a published size with its weights, and how pictures are prepared for them."""
    cfg = model.cfg
    fixed = {"channels": cfg.channels, "height": cfg.image_size, "width": cfg.image_size} | prepared(model)
    return Source(told=told, system=system, config=cfg, fixed=fixed, state=model.state_dict())


def prepared(model: Any) -> dict[str, Any]:
    """How the task must prepare pictures for the weights of ``model``, as far as that is known."""
    how = getattr(model, "preprocessing", None)
    if not how:
        return {}
    side = {"channels": model.cfg.channels, "height": how["crop"], "width": how["crop"]}
    normal = {name: fitted(how[name], model.cfg.channels) for name in ("mean", "deviation")}
    return side | normal | {name: how[name] for name in ("resize", "interpolation", "ink") if name in how}


def fitted(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """A number for each of ``channels``: those of red, green and blue, or else the mean of them."""
    same = (sum(values) / len(values),) * channels
    return tuple(values) if len(values) == channels else same


def keep(start: Source, folder: Path) -> None:
    """Put the weights into the folder of the run that begins from them."""
    from fathom.verbs.importing import write

    write(folder / FILE, {n: t.detach().contiguous().clone() for n, t in start.state.items()}, {})


def kept(origin: Mapping[str, Any], folder: Path) -> Source:
    """The source of an earlier run, from its folder alone."""
    from fathom.deployment.artifact import restore
    from fathom.training.weights import read_safetensors

    if not (folder / FILE).is_file():
        raise InputError(f"{folder / FILE} is gone: the run began from it; put it back, or begin a new run")
    config = restore(catalog.system(origin["system"]).load().Config, origin["config"])
    fixed = {name: tupled(value) for name, value in origin["fixed"].items()}
    given = {**origin, "labels": tuple(origin["labels"]), "fixed": fixed, "config": config}
    return Source(**given, state=read_safetensors(folder / FILE).state)


def suited(start: Source, kind: str) -> None:
    """Refuse a kind of data that the weights know nothing of."""
    if start.task not in (None, kind):
        raise InputError(
            f"{start.told} was trained for {start.task}, and this is data for {kind}: leave --from out"
        )


def honoured(start: Source, task: Task) -> None:
    """Refuse data that cannot be brought to the form that the weights know."""
    for name, value in start.fixed.items():
        if getattr(task, name, None) != value:
            raise InputError(
                f"{start.told} knows data of another {name.replace('_', ' ')}, and {task_name(task)} does not"
                " bring this data to it: leave --from out"
            )


def begun(
    task: Any, data: "Data", start: Source, origin: Mapping[str, Any], say: Callable[[str], None]
) -> Experiment:
    """The run on ``data`` that begins from ``start``; ``origin`` is what ``fit`` was asked for."""
    from fathom.verbs import writers
    from fathom.verbs.choosing import learned_by

    seed = origin["seed"]
    if writers.writes(start):
        return writers.tuned(task, data, start, seed, say)
    proposed = learned_by(start.system, task.experiment(data, seed))
    return adapted(proposed, data, start, origin.get("time"), say, origin["settings"])


def adapted(
    experiment: Experiment,
    data: "Data",
    start: Source,
    seconds: float | None,
    say: Callable[[str], None],
    settings: Sequence[Sequence[str]] = (),
) -> Experiment:
    """``experiment`` with the model of ``start``, its head for the new classes, and a way to fine-tune it.

    ``seconds`` is the time for the whole run, or None. Of the ``settings`` that will be laid over it, an
    adaptation changes the plan.
    """
    from fathom.verbs import adapting, encoders
    from fathom.verbs.balance import tally

    honoured(start, experiment.task)
    counts, learning = tally(experiment, data), experiment.learning
    classes = getattr(experiment.model, "classes", None)
    if not counts or classes is None or not isinstance(learning, GradientDescent):
        raise InputError("--from chooses for data with classes, and here are none; leave it out")
    say(f"start: {start.told}")
    same = start.labels == getattr(experiment.task, "labels", None)
    new = () if same else grown(start.config)
    config = replace(start.config, classes=classes)
    state = {name: t for name, t in start.state.items() if not within(name, new)}
    if same:
        say("head: kept, for the classes are those it knows")
    else:
        say(f"head: drawn anew for {classes} classes; the {start.config.classes} it knew are others")
    say_how(start.fixed, say)
    rows, steps = min(counts.values()), experiment.steps
    beside = adapting.named(settings)
    if start.system in encoders.starts():
        still, how, steps = encoders.way(shape(config), new, experiment, data, rows, seconds, say, beside)
        config = replace(config, frozen=still)
    elif beside:
        how = adapting.way(beside, new, RATE, say)
    else:
        how = plan(shape(config), new, rows, say)
    return replace(
        experiment,
        steps=steps,
        model=Transferred(config=config, new=new, state=state),
        learning=replace(learning, schedule=WarmupCosine(), **how),
    )


def say_how(fixed: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Say how pictures are prepared, where the weights decide it."""
    if fixed.get("resize"):
        say(
            f"pictures: the shorter side to {fixed['resize']} pixels, {fixed['interpolation']}, then the"
            f" middle {fixed['height']}x{fixed['width']}, as these weights know them"
        )
    elif fixed.get("height"):
        kind = {1: "grey", 3: "colour"}.get(fixed.get("channels") or 0, "with channels")
        normal = "as these weights know them" if fixed.get("mean") else "mean and deviation measured on yours"
        say(f"pictures: {fixed['height']}x{fixed['width']}, {kind}, {normal}")


def plan(model: nn.Module, heads: tuple[str, ...], rows: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Optimizer and unfreezing for ``rows`` training rows of the rarest class, and why, said aloud."""
    ordered = isinstance(getattr(model, "body", None), nn.Sequential)
    rest = [
        n for n, part in model.named_children() if n not in heads and any(True for _ in part.parameters())
    ]
    if not heads:
        stages: tuple[Any, ...] = ()
        say("freezing: nothing, for the head fits the body already")
    elif rows >= FEW:
        stages = ((0.0, heads), (GREETING, tuple(n for n in rest if not within_any(heads, n))))
        say(
            f"freezing: the new head alone for the first {GREETING:.0%}, so that its random gradients do not"
            f" reach the body; then all of it, for {rows:,} rows a class are enough"
        )
    else:
        last = last_part(model, heads) if ordered else ()
        stages = ((0.0, heads), (PROBE, last)) if last else ((0.0, heads),)
        then = f" for the first {PROBE:.0%}, then {' and '.join(last)} too" if last else ""
        say(f"freezing: the new head alone{then}; {rows:,} rows a class are too few to move all of the body")
    fall = FALL if ordered and len(stages) != 1 else 1.0
    why = f", times {fall} from each layer to the one below it, which is the more general" if fall < 1 else ""
    say(f"rates: {RATE} in the head{why}")
    return {
        "optimizer": AdamW(learning_rate=RATE, layer_decay=fall),
        "unfreezing": Unfreezing(stages=stages),
    }


def last_part(model: nn.Module, heads: tuple[str, ...]) -> tuple[str, ...]:
    """What stands before the head: layers between it and the body, or else the last part of the body."""
    full = [n for n, part in model.named_children() if list(part.parameters())]
    between = tuple(n for n in full if n != "body" and n not in heads and not within_any(heads, n))
    if between:
        return between
    parts = [n for n, part in model.body.named_children() if list(part.parameters())]  # type: ignore[union-attr]
    return (f"body.{parts[-1]}",)


def grown(config: Any) -> tuple[str, ...]:
    """The parts of a model whose shapes depend on the number of classes: its head, and others like it."""
    one, other = (
        shape(replace(config, classes=n)).state_dict() for n in (config.classes, config.classes + 1)
    )
    names = [name for name, tensor in one.items() if tensor.shape != other[name].shape]
    return tuple(dict.fromkeys(name.rpartition(".")[0] or name for name in names))


def shape(config: Any) -> nn.Module:
    """The model without memory for its numbers."""
    from fathom.verbs.recognising import Undrawn

    with torch.device("meta"), Undrawn():
        return config.build()


def within(name: str, parts: tuple[str, ...]) -> bool:
    return any(gradual_unfreezing.within(name, part) for part in parts)


def within_any(names: tuple[str, ...], part: str) -> bool:
    """Whether one of ``names`` lies in ``part``: a head on the way has layers of its own before it."""
    return any(within(name, (part,)) for name in names)


def tupled(value: Any) -> Any:
    return tuple(map(tupled, value)) if isinstance(value, list | tuple) else value
