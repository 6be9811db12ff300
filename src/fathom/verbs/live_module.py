"""A module of your own in ``fit``: what it decides about the data, and how it is trained.

A module of the catalogue knows how many channels its pictures have. One into which its constructor loaded
weights knows which of its parts are new, and maybe how pictures are prepared for these weights: it is
fine-tuned, as a source of ``--from`` is. What it decides is written into run.json, so that a run that goes on
is the same, whatever the module that is given again was made with.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fathom.data.pictures import SIZES
from fathom.settings import to_json
from fathom.training import Experiment, GradientDescent, Live, WarmupCosine
from fathom.training.optim import Live as LiveOptimizer
from fathom.verbs.transfer import plan, prepared, say_how, tupled

if TYPE_CHECKING:
    from fathom.data.split import Data

USUAL = max(SIZES)  # the side to which pictures of one's own are brought, where nothing else decides it
LARGER = (2, 4, 8, 16, 32)  # times the side of pictures that were refused, tried in turn


def brought(model: nn.Module) -> dict[str, Any]:
    """Settings of the task that ``model`` decides, and its parts that have no weights yet, as JSON.

    ``new`` is None where no weights were loaded: all of it is to be trained from where it stands.
    """
    cfg, new = getattr(model, "cfg", None), parts_without_weights(model)
    channels, side = getattr(cfg, "channels", None), getattr(cfg, "image_size", None)
    fixed: dict[str, Any] = {}
    if isinstance(channels, int):
        fixed["channels"] = channels
        if isinstance(side, int) and (new is not None or not takes(model, channels, USUAL)):
            fixed |= {"height": side, "width": side}
    return {"fixed": to_json(fixed | prepared(model)), "new": new}


def parts_without_weights(model: nn.Module) -> list[str] | None:
    """The layers that the weights of ``model`` did not fill; None where none were loaded."""
    report: Any = getattr(model, "load_report", None)
    if report is None:
        return None
    drawn = [name for name, _ in model.named_parameters() if name in report.new]  # counts of batches are none
    return list(dict.fromkeys(name.rpartition(".")[0] for name in drawn))


def decided(origin: dict[str, Any]) -> dict[str, Any]:
    """Settings of the task that the module of the run of ``origin`` decided; of earlier runs, none."""
    fixed = (origin.get("module") or {}).get("fixed", {})
    return {name: tupled(value) for name, value in fixed.items()}


def taken_up(
    experiment: Experiment,
    data: "Data",
    model: nn.Module,
    optimizer: Any,
    origin: dict[str, Any],
    say: Callable[[str], None],
) -> Experiment:
    """``experiment`` with ``model``: by its own ``optimizer``, or fine-tuned, or as the task proposes."""
    new = (origin.get("module") or {}).get("new")
    if optimizer is not None and isinstance(experiment.learning, GradientDescent):
        learning = replace(experiment.learning, optimizer=LiveOptimizer(optimizer))
        experiment = replace(experiment, learning=learning)
    elif new is not None:
        experiment = refined(experiment, data, model, new, say)
    return replace(experiment, model=Live(model), augment=())


def refined(
    experiment: Experiment, data: "Data", model: nn.Module, new: Sequence[str], say: Callable[[str], None]
) -> Experiment:
    """``experiment`` with a way to fine-tune ``model``, of whose parts ``new`` have no weights yet."""
    from fathom.verbs.balance import tally

    counts, learning = tally(experiment, data), experiment.learning
    if not counts or not isinstance(learning, GradientDescent):
        return experiment
    say(f"head: {' and '.join(new)} drawn anew" if new else "head: kept, for the weights brought it along")
    decided = ("channels", "resize", "height", "width", "interpolation")
    say_how({n: getattr(experiment.task, n, None) for n in decided}, say)
    how = plan(model, tuple(new), min(counts.values()), say)
    return replace(experiment, learning=replace(learning, schedule=WarmupCosine(), **how))


@torch.no_grad()
def takes(model: nn.Module, channels: int, side: int) -> bool:
    """Whether ``model`` takes a picture of ``side`` pixels on a side; tried without memory for numbers."""
    state = {name: t.to("meta") for name, t in (*model.named_parameters(), *model.named_buffers())}
    training = model.training
    try:
        torch.func.functional_call(
            model.eval(), state, (torch.empty(1, channels, side, side, device="meta"),)
        )
    except Exception:  # what a module of one's own raises is not known
        return False
    finally:
        model.train(training)
    return True


def larger(model: nn.Module, given: Sequence[Tensor]) -> str:
    """The end of the message about a ``model`` that refuses what it is given: the pictures that it takes.

    Empty where that is no picture, and where a larger one does not help.
    """
    if len(given) != 1 or given[0].ndim != 4:
        return ""
    channels, refused = given[0].shape[1], min(given[0].shape[-2:])
    taken = next((refused * n for n in LARGER if takes(model, channels, refused * n)), None)
    if taken is None or takes(model, channels, refused):
        return ""
    while taken - refused > 1:
        side = (refused + taken) // 2
        refused, taken = (refused, side) if takes(model, channels, side) else (side, taken)
    return (
        f"; the smallest pictures that it takes are of {taken}x{taken} pixels: give such, or a module that is"
        " made for small ones"
    )
