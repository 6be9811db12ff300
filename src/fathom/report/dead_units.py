"""Dead units in the report of a run: what a model's ReLUs keep at zero on every one of many held-out inputs.

A unit that is zero for every input gets no gradient, so nothing brings it back, and whatever reads it reads
nothing (``fundamentals.activations.relu`` tells why). The inputs are the first that the task's own evaluation
hands to the network, up to ``LIMIT`` rows of them; then the evaluation is left. Nothing is drawn, no gradient
is kept and no weight changes.

A model calls its ReLUs as modules or as functions. Both pass by a torch function mode, which also sees
whether a convolution or a linear layer came before: that tells which axis of (b, c, t) or (b, t, c) is the
units'.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fathom.fundamentals.activations.relu import dead_units
from fathom.report.blocks import Prose, Table
from fathom.report.page import Section
from fathom.task import Arrays, Boundary, Task

if TYPE_CHECKING:
    from types import TracebackType

LIMIT = 1024  # rows that are looked at
SHOWN = 40  # layers in the table
FLAT = frozenset({  # they give exactly zero, with slope zero, over a whole range
    torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu, F.relu_, F.relu6, F.hardswish,
})  # fmt: skip
UNITS_SECOND = frozenset({  # (b, c, ...)
    F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, F.batch_norm,
    F.group_norm, F.instance_norm,
})  # fmt: skip
UNITS_LAST = frozenset({  # (b, ..., c)
    F.linear, F.layer_norm, F.rms_norm, F.embedding, torch.matmul, torch.bmm, torch.baddbmm, torch.addmm,
    Tensor.matmul, Tensor.__matmul__,
})  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One place where a model cuts off what is negative."""

    name: str  # of the module that does it
    units: int
    dead: int  # zero for every input; a channel also at every place


class Enough(Exception):
    """As many rows were seen as are wanted."""


def cuts_off(func: Any, settings: Mapping[str, Any]) -> bool:
    """Whether ``func`` is a ReLU or one of its kind; torch's ReLU6 is a clamp from 0 to 6."""
    return func in FLAT or (func is F.hardtanh and settings.get("min_val") == 0)


class Watch(TorchFunctionMode):
    """Inside ``with``, the largest size of each unit in each call of the model; one call takes one batch."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.peaks: dict[str, list[Tensor]] = {}  # a tensor (c,) for each batch
        self.inside: list[str] = []
        self.calls: Counter[str] = Counter()
        self.axis = 1
        self.hooks: list[Any] = []

    def __enter__(self) -> "Watch":
        self.inside, self.calls, self.axis = [], Counter(), 1
        for name, module in self.model.named_modules():
            self.hooks.append(module.register_forward_pre_hook(lambda *_, n=name: self.inside.append(n)))
            self.hooks.append(module.register_forward_hook(lambda *_: self.leave()))
        return super().__enter__()

    def leave(self) -> None:
        self.inside.pop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        super().__exit__(kind, error, trace)
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in UNITS_LAST:
            self.axis = -1
        elif func in UNITS_SECOND:
            self.axis = 1
        elif cuts_off(func, kwargs or {}) and made.ndim > 1 and made.numel():
            self.see(made.detach())
        return made

    def see(self, outputs: Tensor) -> None:
        name = (self.inside[-1] if self.inside else "") or type(self.model).__name__
        self.calls[name] += 1
        if self.calls[name] > 1:  # the same module once more
            name = f"{name} ({self.calls[name]})"
        largest = outputs.movedim(self.axis, 0).flatten(1).abs().amax(dim=1)
        self.peaks.setdefault(name, []).append(largest.cpu())

    def layers(self) -> list[Layer]:
        """In the order of the model; a place whose number of units varies between calls is none."""
        steady = {n: p for n, p in self.peaks.items() if len({len(peak) for peak in p}) == 1}
        return [Layer(n, len(p[0]), dead_units(torch.stack(p))) for n, p in steady.items()]


def dead_by_layer(task: Task, model: nn.Module, split: Any, limit: int = LIMIT) -> tuple[list[Layer], int]:
    """The ReLUs of ``model`` and how many rows of ``split`` they have seen; no layer where it has none."""
    network, watch, seen = Boundary(task, model), Watch(model), 0
    divisible = not hasattr(task, "collate")  # the rows of a graph are no inputs of their own

    def watched(arrays: Arrays) -> Arrays:
        nonlocal seen
        rows = len(next(iter(arrays.values())))
        if seen and seen + rows > limit:
            raise Enough
        if rows > limit and divisible:
            arrays, rows = {name: array[:limit] for name, array in arrays.items()}, limit
        with watch:
            made = network(arrays)
        seen += rows
        if seen >= limit or not watch.peaks:
            raise Enough
        return made

    with torch.random.fork_rng(devices=[]), suppress(Enough):  # a judge may be built, with first weights
        task.evaluate(watched, split)
    return watch.layers(), seen


def dead_unit_sections(layers: Sequence[Layer], rows: int) -> list[Section]:
    """How many units are dead, in a sentence and by layer; nothing for a model without ReLUs."""
    if not layers:
        return []
    dead, units = sum(layer.dead for layer in layers), sum(layer.units for layer in layers)
    where = "in one place" if len(layers) == 1 else f"in {len(layers)} places"
    if dead:
        verb = "is" if dead == 1 else "are"
        told = f"Of {units:,} units behind ReLUs, {where}, {dead:,} ({percent(dead, units)}) {verb}"
    else:
        told = f"None of {units:,} units behind ReLUs, {where}, is"
    told += f" zero on each of {rows:,} held-out inputs."
    if dead:
        told += " Such a unit learns nothing from inputs like these and tells nothing of them."
    shown = list(layers) if len(layers) <= SHOWN else sorted(layers, key=lambda y: -y.dead / y.units)[:SHOWN]
    body = [(y.name, y.units, y.dead, percent(y.dead, y.units)) for y in shown]
    caption = "Each layer by itself."
    if len(layers) > SHOWN:
        caption = f"The {SHOWN} layers of {len(layers)} with the largest share."
    table = Table(("layer", "units", "dead", "share"), body, caption)
    return [Section("Dead units", [Prose(told), table])]


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
