"""When a loss or gradient stops being a number: say where it began, and keep what replays it.

The learner checks loss and gradient norm before the optimizer moves the weights, so the weights are
still good when ``NonFinite`` is raised. ``locate`` then makes the step once more, watching every
operation, and names the first one that turned finite numbers into NaN or infinity.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fathom.errors import RunError

# Operations whose output is uninitialised memory, or a deliberate infinity (attention masks).
SILENT = (
    "empty",
    "new_empty",
    "full",
    "new_full",
    "masked_fill",
    "fill_",
    "scalar_tensor",
    "_to_copy",
    "tril",
    "triu",
)


class NonFinite(RunError):
    """A loss or gradient is NaN or infinite; the optimizer has not moved."""

    def __init__(self, step: int, batch: Any) -> None:
        super().__init__(f"the loss or its gradient is not finite at step {step}")
        self.step, self.batch = step, batch


@dataclass(frozen=True)
class Origin:
    """The first operation that made a number that is none."""

    layer: str  # "blocks.3.attention", or "the objective" outside every layer
    operation: str  # "aten.log"
    phase: str  # "input", "weights", "forward" or "backward"
    rows: tuple[int, ...]  # rows of the batch that hold it, where the first axis is the batch

    def __str__(self) -> str:
        rows = f", in rows {', '.join(map(str, self.rows[:8]))} of the batch" if self.rows else ""
        if self.phase in ("input", "weights"):
            return f"{self.operation} already held NaN or infinity before the step{rows}"
        return f"{self.operation} in layer {self.layer} ({self.phase}){rows}"


class Watch(TorchDispatchMode):
    """Looks at each operation's inputs and outputs, and remembers the first offence."""

    def __init__(self, place: Callable[[], str], rows: int) -> None:
        super().__init__()
        self.place, self.rows, self.phase = place, rows, "forward"
        self.found: Origin | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = None if self.found else all(finite(t) for t in tree_leaves((args, kwargs)))
        out = func(*args, **(kwargs or {}))
        name = func.name().split("::")[-1].split(".")[0]
        if before and name not in SILENT:
            bad = [t for t in tree_leaves(out) if isinstance(t, Tensor) and not finite(t)]
            if bad:
                self.found = Origin(self.place(), f"aten.{name}", self.phase, bad_rows(bad[0], self.rows))
        return out


def locate(model: nn.Module, step: Callable[[], Tensor], batch: Any) -> Origin | None:
    """Where ``step()``, which returns the loss of ``batch``, first leaves the finite numbers.

    The caller seeds the step as the loop did. Gradients of ``model`` are overwritten; weights are not.
    Returns None when the step is finite after all (a kernel that is not deterministic, say).
    """
    rows = len(batch[0]) if isinstance(batch, tuple | list) and isinstance(batch[0], Tensor) else 0
    for i, column in enumerate(tree_leaves(batch)):
        if not finite(column):
            return Origin("", f"input {i}", "input", bad_rows(column, rows))
    for name, tensor in model.named_parameters():
        if not finite(tensor):
            return Origin(name.rpartition(".")[0], name, "weights", ())
    with following(model) as place, Watch(place, rows) as watch, torch.enable_grad():
        loss = step()
        watch.phase = "backward"
        loss.backward()
    if watch.found is None:  # last: the failing step itself may have spoiled running statistics
        for name, tensor in model.named_buffers():
            if not finite(tensor):
                return Origin(name.rpartition(".")[0], name, "weights", ())
    return watch.found


@contextmanager
def following(model: nn.Module) -> Iterator[Callable[[], str]]:
    """Tell which layer is at work: on the way there by nesting, on the way back by its last visit."""
    inside: list[str] = []
    behind: list[str] = []
    hooks: list[Any] = []
    seen: list[Tensor] = []
    for name, module in model.named_modules():
        if not name:
            continue

        def leave(module: nn.Module, given: Any, made: Any, name: str = name) -> None:
            inside.pop()
            for out in tree_leaves(made):  # its gradient is there: what follows is this layer's way back
                if isinstance(out, Tensor) and out.requires_grad and not any(out is o for o in seen):
                    seen.append(out)  # the innermost layer that returns it comes first
                    out.register_hook(lambda gradient: behind.append(name))

        hooks += [
            module.register_forward_pre_hook(lambda m, a, name=name: inside.append(name)),
            module.register_forward_hook(leave),
        ]
    try:
        yield lambda: (inside or behind or ["the objective"])[-1]
    finally:
        for hook in hooks:
            hook.remove()


def finite(value: Any) -> bool:
    if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
        return True
    return bool(value.isfinite().all())


def bad_rows(value: Tensor, rows: int) -> tuple[int, ...]:
    if value.ndim == 0 or len(value) != rows:
        return ()
    bad = ~value.isfinite().reshape(rows, -1).all(dim=1)
    return tuple(int(i) for i in bad.nonzero()[:, 0])
