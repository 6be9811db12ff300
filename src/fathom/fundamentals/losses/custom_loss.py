"""A loss of your own: any function of tensors, whose gradient is checked before it is trusted.

A wrong value shows; a wrong gradient trains, only worse, and nobody notices. It comes from a backward pass
written by hand, from ``.detach()`` or NumPy in the middle, from values changed in place. Finite differences
find it: move one entry x_i a little to both sides and see what the loss really does.

    slope_i = (L(x + h e_i) - L(x - h e_i)) / (2 h)        h about the cube root of the machine's precision

The error is of order h^2 from the curve and of order precision / h from rounding; that h makes both small
(Nocedal and Wright 2006, section 8.1). At a corner, as of |x| at 0, the two sides have different slopes, and
every gradient between them is accepted: that is what a subgradient is.

``CustomLoss`` takes the function, or its dotted path "module:function" so that a recipe can name it, and
checks it on the first batch that it sees.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Custom loss, with its gradient checked",
    paper="https://doi.org/10.1007/978-0-387-40065-5",
    year=2006,
    summary="Use any function as a loss: its gradient is checked by finite differences on the first batch.",
    rows=("LO06",),
    oracle="torch.autograd.gradcheck agrees on right and wrong losses; wrong entries are named",
)

STEP = torch.finfo(torch.float64).eps ** (1 / 3)


class WrongGradient(ValueError):
    """A loss whose gradient is missing, or is not the slope of its value; the message names the entry."""


@dataclass(frozen=True, kw_only=True)
class CustomLoss:
    """A loss function, or its path "module:function", checked by ``check_loss`` on the first batch it sees.

    The check costs two evaluations for each of ``entries`` entries of the prediction, once; ``check=False``
    leaves it out. It draws no random number that the run would have drawn.
    """

    loss: Callable[..., Tensor] | str
    check: bool = True
    entries: int = 64
    _seen: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _entries(self.entries)
        if isinstance(self.loss, str):
            load_loss(self.loss)  # a path that leads nowhere is refused here, not after an hour

    def __call__(self, *inputs: Any) -> Tensor:
        """The loss of ``inputs``; raises ``WrongGradient`` at the first call where the check fails."""
        loss = load_loss(self.loss) if isinstance(self.loss, str) else self.loss
        if self.check and not self._seen:
            check_loss(loss, *inputs, entries=self.entries)
            self._seen.append(True)
        return loss(*inputs)


def load_loss(path: str) -> Callable[..., Tensor]:
    """The function at "module:function"; ``ValueError`` where there is none."""
    module, colon, name = path.partition(":")
    if not colon:
        raise ValueError(f"loss is {path!r}; it must be 'module:function', as 'my_losses:weighted_error'")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"loss is {path!r}, which cannot be imported: {error}") from error
    if not callable(found):
        raise ValueError(f"loss is {path!r}, a {type(found).__name__}; it must be a function")
    return cast(Callable[..., Tensor], found)


def check_loss(loss: Callable[..., Any], *inputs: Any, entries: int = 64, tolerance: float = 1e-5) -> None:
    """Compare the gradient of ``loss(*inputs)`` with finite differences, in float64.

    Checked are the tensors among ``inputs`` that require a gradient, or the first floating one (the
    prediction) if none does: up to ``entries`` entries of each, evenly spread. ``tolerance`` is relative to
    the entry's gradient. The inputs and the state of torch's generator are left as they are.

    Raises ``WrongGradient``, naming the loss, the argument and the entry, where the gradient is absent, not
    finite, or not the slope; and where the loss is no finite number, or is another one when asked again.
    Raises ``ValueError`` where no input is floating, or the loss does not run in float64.
    """
    _entries(entries)
    title = getattr(loss, "__name__", type(loss).__name__)
    exact = [x.detach().double() if _floating(x) else x for x in inputs]
    chosen = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    chosen = chosen or [i for i, x in enumerate(inputs) if _floating(x)][:1]
    if not chosen:
        raise ValueError(f"inputs of {title} hold no floating tensor; a prediction must be one")
    names = _names(loss, len(inputs))
    devices = sorted({x.get_device() for x in exact if isinstance(x, Tensor) and x.is_cuda})
    with torch.random.fork_rng(devices=devices):
        value = _value(loss, exact, title)
        again = _value(loss, exact, title)
        if again != value:
            raise WrongGradient(f"{title} gives {value:.10g}, then {again:.10g} for the same inputs")
        for place in chosen:
            subject = f"{title}: its gradient with respect to {names[place]!r}"
            gradient = _gradient(loss, exact, place, subject)
            for entry in _spread(exact[place].shape, entries):
                given = gradient[entry].item()
                low, high = _slopes(loss, exact, place, entry, value)
                middle = (low + high) / 2
                slack = tolerance * max(abs(given), abs(middle)) + 1e-9 * max(1.0, abs(value))
                near = abs(given - middle) <= slack
                corner = min(low, high) - slack <= given <= max(low, high) + slack
                if not near and not corner:
                    raise WrongGradient(
                        f"{subject} at {list(entry)} is {given:.6g}; finite differences of its value give "
                        f"{middle:.6g}"
                    )


def loss_gradient(loss: Callable[..., Tensor], x: Tensor, *rest: Any) -> Float[Tensor, "..."]:
    """The gradient of ``loss(x, *rest)``, one number, with respect to ``x``, by automatic differentiation."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(loss(leaf, *rest), leaf)[0]


def loss_gradient_by_hand(loss: Callable[..., Tensor], x: Tensor, *rest: Any) -> Float[Tensor, "..."]:
    """The same by finite differences: two evaluations for each entry of ``x``."""
    flat, slopes = x.flatten(), []
    for i in range(len(flat)):
        step = torch.zeros_like(flat)
        step[i] = STEP
        right, left = (flat + step).reshape(x.shape), (flat - step).reshape(x.shape)
        slopes.append((loss(right, *rest) - loss(left, *rest)) / (2 * STEP))
    return torch.stack(slopes).reshape(x.shape)


def _entries(entries: int) -> None:
    if entries < 1:
        raise ValueError(f"entries is {entries}; it must be 1 or more")


def _floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _names(loss: Callable[..., Any], count: int) -> list[str]:
    """The names of the arguments, where the function tells them."""
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):
        return [f"argument {i}" for i in range(count)]
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [*named, *(f"argument {i}" for i in range(len(named), count))][:count]


def _evaluate(loss: Callable[..., Any], inputs: list[Any]) -> Any:
    """One evaluation; every one sees the same random numbers."""
    torch.manual_seed(0)
    return loss(*inputs)


def _value(loss: Callable[..., Any], inputs: list[Any], title: str) -> float:
    try:
        value = _evaluate(loss, inputs)
    except RuntimeError as error:
        raise ValueError(
            f"{title} does not run in float64, in which gradients are checked: {error}"
        ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        given = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"type {type(value).__name__}"
        raise WrongGradient(f"{title} gives a value of {given}; a loss is a tensor of one number")
    if not bool(torch.isfinite(value).all()):
        raise WrongGradient(f"{title} is {value.item()}; it must be finite on the inputs of the check")
    return value.item()


def _gradient(loss: Callable[..., Any], inputs: list[Any], place: int, subject: str) -> Tensor:
    leaf = inputs[place].clone().requires_grad_()
    with torch.enable_grad():
        value = _evaluate(loss, [*inputs[:place], leaf, *inputs[place + 1 :]])
        found = None
        if value.requires_grad:
            (found,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    if found is None:
        raise WrongGradient(
            f"{subject} is cut off; .detach(), .item(), argmax, comparisons, torch.no_grad and NumPy do that"
        )
    wrong = (~torch.isfinite(found)).nonzero()
    if len(wrong):
        entry = tuple(wrong[0].tolist())
        raise WrongGradient(f"{subject} at {list(entry)} is {found[entry].item()}; it must be finite")
    return found


def _slopes(
    loss: Callable[..., Any], inputs: list[Any], place: int, entry: tuple[int, ...], value: float
) -> tuple[float, float]:
    """The slope to the left and that to the right of one entry."""
    step = STEP * max(1.0, abs(inputs[place][entry].item()))
    around = []
    for shift in (-step, step):
        moved = inputs[place].clone()
        moved[entry] += shift
        around.append(_evaluate(loss, [*inputs[:place], moved, *inputs[place + 1 :]]).item())
    return (value - around[0]) / step, (around[1] - value) / step


def _spread(shape: torch.Size, limit: int) -> Iterator[tuple[int, ...]]:
    """Up to ``limit`` places in an array of ``shape``, at even distances."""
    count = shape.numel()
    for k in range(min(limit, count)):
        flat = torch.tensor(k * count // min(limit, count))
        yield tuple(int(i) for i in torch.unravel_index(flat, shape))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from functools import partial

    from fathom.fundamentals.twin import Twin

    def bent(x: Tensor, target: Tensor) -> Tensor:
        return ((x.sin() - target) ** 2).mean() + x.exp().sum().log()

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, dtype=torch.float64, generator=dice)
    target = torch.randn(3, 2, dtype=torch.float64, generator=dice)
    ours, by_hand = partial(loss_gradient, bent), partial(loss_gradient_by_hand, bent)
    yield Twin("gradient of a loss", ours, by_hand, (x, target), tolerance=1e-9, gradients=False)
