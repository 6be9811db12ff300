"""RMSprop: divide the gradient by the typical size it had lately.

    s <- a s + (1 - a) g^2
    w <- w - r g / (sqrt(s) + e)                   torch: epsilon outside the root, s begins at 0
    w <- w - r g / sqrt(s + e)                     TensorFlow: epsilon inside the root, s begins at 1

Only the sign of a gradient can be trusted across layers whose gradients differ a thousandfold; over one
batch even the sign is noise. A running mean of squares gives each weight its own unit, over a window of
about 1 / (1 - a) steps, so unlike AdaGrad it never comes to rest. ``centered`` divides by the standard
deviation instead. With momentum torch adds up g / sqrt(s) and multiplies by r at the end; TensorFlow adds
up r g / sqrt(s), so a change of r acts slowly. Networks published with RMSprop (Inception, MobileNet,
EfficientNet) used TensorFlow's, and do not train as published with torch's.

Source: Hinton, lecture 6e (2012), slide 29; centered: Graves (2013), equations 38 to 41.

Legend: w parameter, g gradient, s mean square, a smoothing, r learning rate, e epsilon
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import (
    buffers,
    evaluated,
    not_negative,
    positive,
    twins_of,
    unit,
    with_gradients,
)

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="RMSprop",
    paper="https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
    year=2012,
    summary="Divides each weight's gradient by the root of the mean of its recent squares.",
    rows=("OP04",),
    builds_on=("sgd",),
    differs=("RMSpropTF takes a variance that rounding made negative for zero; TensorFlow returns NaN.",),
    oracle="torch.optim.RMSprop and timm.optim.RMSpropTF over 1,000 steps in float64",
)


def rmsprop(
    parameters: ParamsT,
    learning_rate: float = 0.01,
    smoothing: float = 0.99,
    momentum: float = 0.0,
    centered: bool = False,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.RMSprop:
    """``torch.optim.RMSprop``, updating all tensors together.

    ``learning_rate`` and ``epsilon`` are positive; ``smoothing`` (torch's alpha) and ``momentum`` lie in
    [0, 1); ``weight_decay`` (added to the gradient) is 0 or more. ValueError otherwise.
    """
    check(learning_rate, smoothing, momentum, epsilon, weight_decay)
    return torch.optim.RMSprop(
        parameters, lr=learning_rate, alpha=smoothing, eps=epsilon, weight_decay=weight_decay,
        momentum=momentum, centered=centered, foreach=True,
    )  # fmt: skip


class RMSpropTF(Optimizer):
    """RMSprop as TensorFlow had it: epsilon inside the root, squares that begin at 1, rate inside momentum.

    Arguments and errors as of ``rmsprop``.
    """

    def __init__(
        self,
        parameters: ParamsT,
        learning_rate: float = 0.01,
        smoothing: float = 0.9,
        momentum: float = 0.0,
        centered: bool = False,
        epsilon: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        check(learning_rate, smoothing, momentum, epsilon, weight_decay)
        settings = {
            "lr": learning_rate, "smoothing": smoothing, "momentum": momentum, "centered": centered,
            "epsilon": epsilon, "weight_decay": weight_decay,
        }  # fmt: skip
        super().__init__(parameters, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update of every parameter that has a gradient; the loss of ``closure``, where given."""
        loss = evaluated(closure)
        for group in self.param_groups:
            parameters, gradients = with_gradients(group)
            if not parameters:
                continue
            smoothing, rate = group["smoothing"], group["lr"]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
            squares = buffers(self, parameters, "squares", start=1.0)
            torch._foreach_mul_(squares, smoothing)
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - smoothing)
            roots = squares
            if group["centered"]:
                means = buffers(self, parameters, "means")
                torch._foreach_lerp_(means, gradients, 1 - smoothing)
                roots = torch._foreach_addcmul(squares, means, means, value=-1)
                torch._foreach_clamp_min_(roots, 0.0)
            roots = torch._foreach_add(roots, group["epsilon"])
            torch._foreach_sqrt_(roots)
            if group["momentum"]:
                velocities = buffers(self, parameters, "velocities")
                torch._foreach_mul_(velocities, group["momentum"])
                torch._foreach_addcdiv_(velocities, gradients, roots, value=rate)
                torch._foreach_sub_(parameters, velocities)
            else:
                torch._foreach_addcdiv_(parameters, gradients, roots, value=-rate)
        return loss


def check(
    learning_rate: float, smoothing: float, momentum: float, epsilon: float, weight_decay: float
) -> None:
    """ValueError for a setting of either variant that is out of range."""
    positive(learning_rate, "learning_rate")
    unit(smoothing, "smoothing")
    unit(momentum, "momentum")
    positive(epsilon, "epsilon")
    not_negative(weight_decay, "weight_decay")


def rmsprop_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.01,
    smoothing: float = 0.99,
    momentum: float = 0.0,
    centered: bool = False,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``, as torch has it."""
    path = []
    square, mean, velocity = (torch.zeros_like(parameter) for _ in range(3))
    for gradient in gradients:
        gradient = gradient + weight_decay * parameter
        square = smoothing * square + (1 - smoothing) * gradient**2
        mean = smoothing * mean + (1 - smoothing) * gradient
        variance = square - mean**2 if centered else square
        velocity = momentum * velocity + gradient / (variance.sqrt() + epsilon)
        parameter = parameter - learning_rate * velocity
        path.append(parameter)
    return path


def rmsprop_tf_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.01,
    smoothing: float = 0.9,
    momentum: float = 0.0,
    centered: bool = False,
    epsilon: float = 1e-10,
    weight_decay: float = 0.0,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``, as TensorFlow has it."""
    path = []
    square, mean, velocity = torch.ones_like(parameter), torch.zeros_like(parameter), 0.0
    for gradient in gradients:
        gradient = gradient + weight_decay * parameter
        square = square + (1 - smoothing) * (gradient**2 - square)
        mean = mean + (1 - smoothing) * (gradient - mean)
        variance = square - mean**2 if centered else square
        velocity = momentum * velocity + learning_rate * gradient / (variance + epsilon).sqrt()
        parameter = parameter - velocity
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    variants = {
        "": {},
        " with momentum": {"momentum": 0.9, "weight_decay": 0.1},
        " centered": {"centered": True, "momentum": 0.5},
    }
    yield from twins_of(rmsprop, rmsprop_by_hand, {f"torch{n}": s for n, s in variants.items()})
    yield from twins_of(RMSpropTF, rmsprop_tf_by_hand, {f"tensorflow{n}": s for n, s in variants.items()})
