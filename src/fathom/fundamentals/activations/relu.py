"""ReLU: negative numbers become zero, positive ones pass unchanged.

    relu(x) = max(0, x)               slope: 0 for x < 0, 1 for x > 0

Nair and Hinton (2010) put it in place of the sigmoid. Its slope does not shrink with depth, it costs one
comparison, and about half of a fresh layer's units are exactly zero.

At x = 0 there is no slope: any number in [0, 1] is a sub-gradient. Here, as in torch, it is 0. So a unit
whose inputs are all zero gets no gradient, and a layer that begins with weights and biases of zero never
starts.

The price of the flat side is death: a unit that is negative for every example has a gradient of zero for
every example, and nothing brings it back. `dead_units` counts them in a batch; `DeadUnitCounter` watches
all ReLUs of a model over as many batches as one likes.

Axes used below
    b  batch          c  units, or channels of a convolution (a channel is dead when it is zero at all places)
"""

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="ReLU",
    paper="https://icml.cc/Conferences/2010/papers/432.pdf",
    year=2010,
    summary="Sets negative numbers to zero and lets positive ones pass.",
    rows=("AC03",),
    differs=("No noise: the paper derives it as the mean of noisy binary units; all later work drops it.",),
    oracle="torch.nn.functional.relu, also at 0; values and gradients in float64. Dead units by loops",
)


def relu(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """max(0, x), with slope 0 at x = 0. NaN stays NaN. Raises ValueError unless x is floating-point."""
    _floating("x", x)
    return F.relu(x)


def dead_units(outputs: Shaped[Tensor, "b *shape"], axis: int = 1) -> int:
    """How many units are exactly zero for every example (and place) of ``outputs``.

    ``outputs`` is what a ReLU gave: (b, c) or (b, c, ...). ``axis`` is the axis of the units, not 0; in (b,
    t, c) it is -1. Raises ValueError for another axis, a batch without examples, or numbers that are not
    floats.
    """
    return int((~_alive(outputs, axis)).sum())


class DeadUnitCounter:
    """Watches every ReLU module of a model; a unit is dead if it was zero in all batches seen.

    >>> with DeadUnitCounter(model) as counter:
    ...     for image, _ in batches:
    ...         model(image)
    >>> counter.dead()
    {"features.1": (3, 64), "features.4": (0, 128)}

    ``kinds`` are the classes of modules to watch; ReLUs that a model calls as functions are not seen.
    ``axis`` is that of the units in their outputs. It draws nothing, and changes neither outputs nor
    gradients.
    """

    def __init__(
        self, model: nn.Module, axis: int = 1, kinds: tuple[type[nn.Module], ...] = (nn.ReLU,)
    ) -> None:
        self.axis = axis
        self.watched = {name: module for name, module in model.named_modules() if isinstance(module, kinds)}
        if not self.watched:
            known = ", ".join(kind.__name__ for kind in kinds)
            raise ValueError(f"model has no module of the kinds {known}; there is nothing to watch")
        self.alive: dict[str, Tensor] = {}
        self.hooks: list[Any] = []

    def __enter__(self) -> "DeadUnitCounter":
        for name, module in self.watched.items():
            self.hooks.append(module.register_forward_hook(lambda *call, name=name: self.see(name, call[-1])))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()

    def see(self, name: str, outputs: Tensor) -> None:
        """Take one batch of outputs of the module ``name`` into account."""
        alive = _alive(outputs.detach(), self.axis)
        self.alive[name] = alive | self.alive[name] if name in self.alive else alive

    def dead(self) -> dict[str, tuple[int, int]]:
        """By the name of the module: (dead units, all units). Modules that never ran are left out."""
        return {name: (int((~alive).sum()), len(alive)) for name, alive in self.alive.items()}


def relu_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Zero where x <= 0: this puts x = 0 on the flat side, where the slope is 0."""
    return torch.where(x <= 0, torch.zeros_like(x), x)


def dead_units_by_hand(outputs: Float[Tensor, "b c"]) -> int:
    """Unit by unit, example by example."""
    examples, units = outputs.shape
    count = 0
    for unit in range(units):
        if all(float(outputs[example, unit]) == 0 for example in range(examples)):
            count += 1
    return count


def _alive(outputs: Tensor, axis: int) -> Tensor:
    """(c,), true where some example is not zero."""
    _floating("outputs", outputs)
    if not -outputs.ndim < axis < outputs.ndim or axis == 0:
        raise ValueError(
            f"axis is {axis}; outputs of shape {tuple(outputs.shape)} have axes 1 to {outputs.ndim - 1}"
        )
    units = outputs.movedim(axis, 0).flatten(1)
    if not units.shape[1]:
        raise ValueError(f"outputs have shape {tuple(outputs.shape)}, without an example; give at least one")
    return (units != 0).any(dim=1)


def _floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"{name} has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.linspace(-5, 5, 32, dtype=torch.float64)  # an even number of points: the kink is not hit
    yield Twin("relu", relu, relu_by_hand, (x,))
    outputs = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]], dtype=torch.float64)
    yield Twin(
        "dead_units",
        lambda t: torch.tensor(dead_units(t)),
        lambda t: torch.tensor(dead_units_by_hand(t)),
        (outputs,),
        gradients=False,
    )
