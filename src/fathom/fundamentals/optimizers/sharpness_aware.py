"""Sharpness-aware minimisation: step by the gradient of the worst place nearby, not of the place itself.

    e = p g / |g|                  SAM, equation 2: uphill to the edge of a ball of radius p
    e = p w^2 g / ||w| g|          ASAM: a ball measured in units of each weight
    g' = gradient of the loss at w + e,   then the inner optimizer steps from w with g'

Of two minima that fit the training set equally well the one in a wide valley tends to do better on new data.
SAM minimises the largest loss within the ball, to first order: a narrow minimum has a high edge and is left.
Each step costs two gradients, so the loss is given as a closure. SAM's ball depends on how the weights are
scaled, which a ReLU network can change without changing its output; ASAM's does not.

Source: Foret et al. (2021), Algorithm 1, https://arxiv.org/abs/2010.01412; Kwon et al. (2021), equation 6,
with |w| for T_w.

Legend: w parameter, g gradient, p radius, e perturbation; |.| over all parameters together
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fathom.card import Card
from fathom.fundamentals.optimizers.lookahead import Around
from fathom.fundamentals.optimizers.sgd import evaluated, positive, sgd, with_gradients

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Sharpness-aware minimisation (SAM and ASAM)",
    paper="https://arxiv.org/abs/2010.01412",
    year=2021,
    summary="Takes each step with the gradient of the steepest point nearby, which leads to wide minima.",
    rows=("OP09",),
    builds_on=("sgd", "lookahead"),
    differs=(
        "Layers that keep running statistics see each batch twice.",
        "ASAM scales by |w| without the paper's added 0.01, so a weight of zero is not perturbed.",
    ),
    oracle="slow loops in NumPy around SGD with momentum, on three tensors",
)


class SharpnessAware(Around):
    """``inner`` with the gradient of the worst point within ``radius``; ``adaptive`` for ASAM.

    ``step`` needs a closure that zeroes the gradients, computes the loss and its gradients, and returns the
    loss; it is called twice. A loop that computes gradients itself calls ``climb`` after the first, and
    ``step`` without a closure after the second; ``back`` between them serves a loop that looks at gradients
    before it steps. ``radius`` is positive. ValueError otherwise, and for a step that has neither.
    """

    def __init__(self, inner: Optimizer, radius: float = 0.05, adaptive: bool = False) -> None:
        positive(radius, "radius")
        super().__init__(inner)
        self.radius, self.adaptive = radius, adaptive
        self.before: tuple[list[Tensor], list[Tensor]] | None = None  # what was moved, and where it stood

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update; the loss before it, where a closure is given."""
        loss = evaluated(closure)
        if closure is not None:
            self.climb()
            evaluated(closure)
        self.back()
        self.before = None
        self.inner.step()
        return loss

    @torch.no_grad()
    def back(self) -> None:
        """Put the parameters where ``climb`` found them, to the last bit, and leave the gradients."""
        if self.before is None:
            raise ValueError(
                "closure is None; SAM takes two gradients: give a function that computes one, or call climb"
                " between them"
            )
        parameters, before = self.before
        if parameters:
            torch._foreach_copy_(parameters, before)
        self.before = [], []  # there already: the step that follows has nothing to put back

    @torch.no_grad()
    def climb(self) -> None:
        """Move the parameters uphill along the gradients that they hold."""
        pairs = [with_gradients(group) for group in self.param_groups]
        parameters = [p for held, _ in pairs for p in held]
        directions = [g for _, held in pairs for g in held]
        self.before = parameters, [p.clone() for p in parameters]
        if not parameters:
            return
        sizes = torch._foreach_abs(parameters) if self.adaptive else None
        if sizes is not None:
            directions = torch._foreach_mul(directions, sizes)
        norm = nn.utils.get_total_norm(directions)
        if sizes is not None:
            directions = torch._foreach_mul(directions, sizes)
        # a gradient of zero has no direction and gives no perturbation, in any number format
        least = torch.finfo(norm.dtype).tiny * max(1.0, self.radius)
        torch._foreach_add_(parameters, torch._foreach_mul(directions, self.radius / norm.clamp(min=least)))


def sharpness_aware_by_hand(
    parameter: Tensor,
    gradient: Callable[[Tensor], Tensor],
    steps: int,
    learning_rate: float = 0.1,
    radius: float = 0.05,
    adaptive: bool = False,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``steps``, with plain gradient descent inside."""
    path = []
    for _ in range(steps):
        here = gradient(parameter)
        if adaptive:
            uphill = radius * parameter**2 * here / (parameter * here).square().sum().sqrt()
        else:
            uphill = radius * here / here.square().sum().sqrt()
        parameter = parameter - learning_rate * gradient(parameter + uphill)
        path.append(parameter)
    return path


def descent(start: Tensor, gradient: Callable[[Tensor], Tensor], steps: int, **settings: Any) -> list[Tensor]:
    """The path of the class above, with plain gradient descent inside, for a gradient that is a function."""
    parameter = start.detach().clone().requires_grad_()
    optimizer = SharpnessAware(sgd([parameter]), **settings)

    def closure() -> None:
        parameter.grad = gradient(parameter.detach())

    path = []
    for _ in range(steps):
        optimizer.step(closure)
        path.append(parameter.detach().clone())
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    start = torch.tensor([1.5, -0.7, 0.2], dtype=torch.float64)
    curvature = torch.tensor([1.0, 3.0, 0.3], dtype=torch.float64)
    both: tuple[tuple[str, dict[str, Any]], ...] = (
        ("sam", {"radius": 0.1}),
        ("asam", {"radius": 0.5, "adaptive": True}),
    )
    for name, settings in both:
        yield Twin(
            name,
            lambda start, c, s=settings: descent(start, lambda w: c * torch.tanh(w), 40, **s),
            lambda start, c, s=settings: sharpness_aware_by_hand(start, lambda w: c * torch.tanh(w), 40, **s),
            (start, curvature),
            gradients=False,
        )
