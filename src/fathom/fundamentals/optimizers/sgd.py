"""Stochastic gradient descent: go downhill a little at a time, with or without memory.

    plain      w <- w - r g                                        Robbins and Monro (1951)
    momentum   v <- m v + (1 - d) g,   w <- w - r v                Polyak (1964); v begins as the first g
    Nesterov   w <- w - r (g + m v)                                Sutskever et al. (2013), equations 3 and 4
    decay      g <- g + c w                                        the slope of (c / 2) |w|^2, added first

A gradient says where downhill is, not how far to go; r has to. In a narrow valley a plain step bounces from
wall to wall: momentum adds up what successive steps agree on and cancels what they do not, and travels up to
1 / (1 - m) times as far along the floor. Nesterov's variant looks at the slope where momentum is about to
carry it. Every other optimizer of this folder is this one with another idea of v, so what they share stands
here too: ``trajectory``, the checks of settings, and the plumbing of a multi-tensor update.

Legend: w parameter, g gradient, v velocity, r learning rate, m momentum, d dampening, c weight decay
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="SGD, momentum and Nesterov",
    paper="https://proceedings.mlr.press/v28/sutskever13.html",
    year=1951,
    summary="Moves every weight against its gradient, and lets steps that agree build up speed.",
    rows=("OP01", "OP02"),
    differs=(
        "The learning rate multiplies the velocity, as in torch; Sutskever et al. put it inside, which"
        " differs while the rate changes.",
        "The velocity begins as the first gradient, undamped, as in torch.",
    ),
    oracle="torch.optim.SGD, bit for bit over 1,000 steps in float64, plain, momentum, Nesterov, decay",
)


def sgd(
    parameters: ParamsT,
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> torch.optim.SGD:
    """``torch.optim.SGD``, updating all tensors together.

    ``learning_rate`` is positive, ``momentum`` in [0, 1), ``dampening`` in [0, 1), ``weight_decay`` 0 or more
    (added to the gradient); ``nesterov`` needs momentum and no dampening. ValueError otherwise.
    """
    positive(learning_rate, "learning_rate")
    unit(momentum, "momentum")
    unit(dampening, "dampening")
    not_negative(weight_decay, "weight_decay")
    if nesterov and (momentum == 0 or dampening != 0):
        raise ValueError(
            f"nesterov is True with momentum {momentum} and dampening {dampening};"
            " it needs momentum above 0 and dampening 0"
        )
    return torch.optim.SGD(
        parameters, lr=learning_rate, momentum=momentum, dampening=dampening, nesterov=nesterov,
        weight_decay=weight_decay, foreach=True,
    )  # fmt: skip


def sgd_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.1,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``."""
    path, velocity = [], None
    for gradient in gradients:
        # add with alpha rounds once; ``a + alpha * b`` rounds twice and would part from torch in the last bit
        gradient = torch.add(gradient, parameter, alpha=weight_decay)
        if velocity is None:
            velocity = gradient
        else:
            velocity = torch.add(momentum * velocity, gradient, alpha=1 - dampening)
        if momentum == 0:
            direction = gradient
        elif nesterov:
            direction = torch.add(gradient, velocity, alpha=momentum)
        else:
            direction = velocity
        parameter = torch.add(parameter, direction, alpha=-learning_rate)
        path.append(parameter)
    return path


def trajectory(
    make: Callable[[list[Tensor]], Optimizer], start: Tensor, gradients: Iterable[Tensor]
) -> list[Tensor]:
    """Where the optimizer that ``make`` builds puts ``start`` after each of ``gradients``."""
    parameter = start.detach().clone().requires_grad_()
    optimizer = make([parameter])
    path = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        path.append(parameter.detach().clone())
    return path


def example(steps: int = 100) -> tuple[Tensor, Tensor]:
    """A start of five numbers in float64 and the gradients of ``steps`` steps: for comparisons of paths."""
    dice = torch.Generator().manual_seed(0)
    start = torch.randn(5, dtype=torch.float64, generator=dice)
    scale = torch.tensor([1e-3, 0.1, 1.0, 1.0, 30.0], dtype=torch.float64)
    noise = torch.randn(steps, 5, dtype=torch.float64, generator=dice)
    return start, (noise + 0.5) * scale


def with_gradients(group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters of ``group`` that have a gradient, and these. ValueError if one is sparse or complex."""
    parameters = [p for p in group["params"] if p.grad is not None]
    for p in parameters:
        if p.grad.is_sparse or p.is_complex():
            kind = "sparse" if p.grad.is_sparse else "complex"
            raise ValueError(f"a gradient of shape {tuple(p.shape)} is {kind}; it must be dense and real")
    return parameters, [p.grad for p in parameters]


def buffers(optimizer: Optimizer, parameters: list[Tensor], name: str, start: float = 0.0) -> list[Tensor]:
    """The running tensor ``name`` of each parameter, from the optimizer's state; ``start`` at first."""
    for p in parameters:
        if name not in optimizer.state[p]:
            optimizer.state[p][name] = torch.full_like(p, start)
    return [optimizer.state[p][name] for p in parameters]


def evaluated(closure: Callable[[], Any] | None) -> Any:
    """The loss of a step's ``closure``, which may also fill the gradients; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def positive(value: float, name: str) -> None:
    """ValueError unless ``value`` is above 0 and finite."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value}; it must be positive and finite")


def not_negative(value: float, name: str) -> None:
    """ValueError unless ``value`` is 0 or more, and finite."""
    if not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value}; it must be 0 or more, and finite")


def unit(value: float, name: str) -> None:
    """ValueError unless ``value`` lies in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}; it must be in [0, 1)")


def unit_pair(values: tuple[float, ...], name: str) -> None:
    """ValueError unless ``values`` are two, each in [0, 1)."""
    if len(values) != 2:
        raise ValueError(f"{name} is {values}; it must hold two numbers in [0, 1)")
    for value in values:
        unit(value, name)


def twins_of(
    make: Callable[..., Optimizer],
    by_hand: Callable[..., list[Tensor]],
    cases: dict[str, dict[str, Any]],
    tolerance: float = 1e-12,
    inputs: tuple[Tensor, Tensor] | None = None,
) -> "Iterator[Twin]":
    """The path of ``make`` beside that of ``by_hand`` under the settings of each case."""
    from fathom.fundamentals.twin import Twin

    for name, settings in cases.items():
        yield Twin(
            name,
            lambda start, gradients, s=settings: trajectory(lambda p: make(p, **s), start, gradients),
            lambda start, gradients, s=settings: by_hand(start, gradients, **s),
            inputs or example(),
            tolerance=tolerance,
            gradients=False,
        )


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    damped = {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}
    nesterov = {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}
    cases: dict[str, dict[str, Any]] = {"plain": {}, "momentum": damped, "nesterov": nesterov}
    yield from twins_of(sgd, sgd_by_hand, cases, tolerance=0.0)
