"""Lookahead: let any optimizer run ahead k steps, then go a part of the way it found, and start again there.

    fast:   k steps of the inner optimizer, from s to w
    slow:   s <- s + a (w - s),   w <- s                     Algorithm 1

The inner optimizer may be restless: what it gains along the valley it pays for in swings from wall to wall.
The end of k steps minus their start keeps the gain and averages the swings away, so the slow weights have
less variance at the same rate of progress (section 3.2), and a learning rate or momentum that alone would
be too large works inside. The cost is one more copy of the weights and one addition every k steps. The
inner optimizer keeps its momentum over the jump back.

Source: Zhang et al. (2019), Algorithm 1.

Legend: w fast weights, s slow weights, k steps between jumps, a slow step
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import sgd, twins_of

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Lookahead",
    paper="https://arxiv.org/abs/1907.08610",
    year=2019,
    summary="Every few steps, goes back part of the way that another optimizer has gone.",
    rows=("OP13",),
    builds_on=("sgd",),
    differs=("The slow weights begin as the first weights, as in the paper; timm's begin after k steps.",),
    oracle="timm.optim.Lookahead around SGD over 1,000 steps in float64; slow loops around AdamW",
)


class Around(Optimizer):
    """An optimizer around another: it shares the other's groups and state, and adds to its step."""

    def __init__(self, inner: Optimizer) -> None:
        if not isinstance(inner, Optimizer):
            raise ValueError(f"inner is a {type(inner).__name__}; it must be a torch.optim.Optimizer")
        self.inner = inner
        super().__init__(inner.param_groups, dict(inner.defaults))
        self.share()

    def share(self) -> None:
        """Hold the inner optimizer's groups and state, which loading replaces."""
        self.param_groups, self.state = self.inner.param_groups, self.inner.state

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.inner.load_state_dict(state_dict)
        self.share()

    @property
    def held(self) -> list[Tensor]:
        """Every parameter, in order."""
        return [p for group in self.param_groups for p in group["params"]]


class Lookahead(Around):
    """``inner`` with a jump back every ``every`` steps, to ``slow_step`` of the way it went.

    ``every`` is 1 or more and ``slow_step`` in (0, 1]. ValueError otherwise, and for an ``inner`` that is no
    optimizer.
    """

    def __init__(self, inner: Optimizer, every: int = 5, slow_step: float = 0.5) -> None:
        if every < 1:
            raise ValueError(f"every is {every}; it must be 1 or more")
        if not 0 < slow_step <= 1:
            raise ValueError(f"slow_step is {slow_step}; it must be in (0, 1]")
        super().__init__(inner)
        self.every, self.slow_step = every, slow_step
        self.steps = 0
        self.slow: list[Tensor] = []  # copied at the first step: weights may be loaded before it

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """A step of the inner optimizer, and the jump where it is due; the loss of ``closure``, if any."""
        fast = self.held
        self.slow += [p.detach().clone() for p in fast[len(self.slow) :]]
        loss = self.inner.step(closure)
        self.steps += 1
        if self.steps % self.every == 0:
            torch._foreach_lerp_(self.slow, fast, self.slow_step)
            torch._foreach_copy_(fast, self.slow)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """That of the inner optimizer under ``inner``, with ``slow`` and ``steps`` beside it."""
        return {"inner": super().state_dict(), "slow": list(self.slow), "steps": self.steps}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take ``state_dict`` up. ValueError where its slow weights are not those of these parameters."""
        saved, shapes = state_dict["slow"], [p.shape for p in self.held]
        if saved and [s.shape for s in saved] != shapes:
            raise ValueError(f"state_dict holds slow weights of other shapes; they must be {shapes}")
        super().load_state_dict(state_dict["inner"])
        self.steps = state_dict["steps"]
        self.slow = [torch.empty_like(p).copy_(s) for p, s in zip(self.held, saved, strict=False)]


def lookahead_by_hand(
    parameter: Tensor,
    gradients: Iterable[Tensor],
    learning_rate: float = 0.1,
    every: int = 5,
    slow_step: float = 0.5,
) -> list[Tensor]:
    """Where ``parameter`` stands after each of ``gradients``, with plain gradient descent inside."""
    path, slow = [], parameter
    for step, gradient in enumerate(gradients, 1):
        parameter = parameter - learning_rate * gradient
        if step % every == 0:
            slow = slow + slow_step * (parameter - slow)
            parameter = slow
        path.append(parameter)
    return path


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    cases: dict[str, dict[str, Any]] = {
        "every fifth": {},
        "every step": {"every": 1, "slow_step": 0.3},
        "the whole way": {"every": 7, "slow_step": 1.0},
    }
    yield from twins_of(lambda p, **settings: Lookahead(sgd(p), **settings), lookahead_by_hand, cases)
