"""The learner that most systems use: one model, one objective, one optimizer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from fathom.fundamentals.optimizers.gradient_clipping import clip_adaptive, clip_norm, total_norm
from fathom.fundamentals.optimizers.sharpness_aware import SharpnessAware
from fathom.fundamentals.optimizers.weight_averaging import WeightAverage, exponential
from fathom.training.adaptation import Adaptation, Whole
from fathom.training.guard import NonFinite
from fathom.training.loop import Metrics
from fathom.training.objectives import Objective
from fathom.training.optim import Live, OptimizerConfig
from fathom.training.parallel import Parallel
from fathom.training.precision import Arithmetic, Precision
from fathom.training.schedules import Constant, Plateau, Schedule
from fathom.training.unfreezing import Unfreezing


@dataclass(frozen=True, kw_only=True)
class GradientDescent:
    """How a model with one loss learns: everything but its sizes, its data and its length."""

    objective: Objective
    optimizer: OptimizerConfig
    schedule: Schedule = field(default_factory=Constant)
    adaptation: Adaptation = field(default_factory=Whole)  # what learns in the place of the weights
    unfreezing: Unfreezing = field(default_factory=Unfreezing)  # which parts move, and from when on
    # Clipped in this order: a unit with too long a gradient is cut before it shortens all the others.
    clip_adaptive: float | None = None  # longest gradient of a unit (row, kernel), as a share of its weights
    clip_norm: float | None = None  # longest gradient allowed, over all parameters together
    clip_value: float | None = None  # largest entry allowed
    accumulate: int = 1  # micro-batches a step; the batch, and so the result, stays the same
    average: float = 0.0  # decay of the moving average of weights that is evaluated; 0: none
    precision: Precision = field(default_factory=Precision)
    compile: bool = False

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"accumulate is {self.accumulate}; it must be 1 or more")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is {self.average}; it must be in [0, 1)")
        for name in ("clip_adaptive", "clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be positive, or None for no clipping")
        planned = isinstance(self.optimizer, Live) and self.optimizer.scheduler is not None
        if planned and isinstance(self.schedule, Plateau):
            raise ValueError(
                "schedule is Plateau, and the optimizer has a scheduler that sets the rate: leave one out"
            )
        if isinstance(self.optimizer, Live) and not isinstance(self.adaptation, Whole):
            raise ValueError(
                "adaptation adds weights that a live optimizer does not hold: apply it to the module first,"
                " and make the optimizer then"
            )
        if planned and self.unfreezing.stages:
            raise ValueError(
                "unfreezing parts the optimizer's groups, and its scheduler knows those it had: leave one out"
            )

    def learner(self, model: nn.Module, steps: int, parallel: Parallel) -> "GradientLearner":
        return GradientLearner(self, model, steps, parallel)


class GradientLearner:
    """Forward, backward, clip, step. ``update`` is the whole story."""

    def __init__(self, how: GradientDescent, model: nn.Module, steps: int, parallel: Parallel) -> None:
        self.how, self.steps, self.objective = how, steps, how.objective
        self.raw = model
        how.adaptation.apply(model)
        self.optimizer: Optimizer = how.optimizer.build(model)
        self.frozen = how.unfreezing.of(model)
        self.frozen.part(self.optimizer)
        self.scheduler = how.optimizer.scheduler if isinstance(how.optimizer, Live) else None
        self.plateau = how.schedule.memory() if isinstance(how.schedule, Plateau) else None
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
        self.arithmetic = Arithmetic(how.precision, parallel.device)
        # Warm: early on the average would remember the random start.
        self.average = WeightAverage(model, exponential(how.average, warm=True)) if how.average else None
        self.compiled: nn.Module = torch.compile(model) if how.compile else model  # type: ignore[assignment]
        self.parallel = parallel
        self.network, self.stage = self.compiled, -2  # of unfreezing, that the network was wrapped for
        with self.frozen.still(0.0):
            self.wrap(self.frozen.reached(0.0))
        self.modules = {"model": model} | ({"average": self.average.model} if self.average else {})
        self.optimizers = {"optimizer": self.optimizer}

    @property
    def model(self) -> nn.Module:
        """The model to evaluate and ship: the average where one is kept."""
        return self.average.model if self.average else self.raw

    def update(self, batch: Any, step: int) -> Metrics:
        if not self.raw.training:  # an evaluation came between
            self.raw.train()
        if self.scheduler is None:
            factor = self.how.schedule(step / self.steps)
            if self.plateau is not None:
                factor *= self.plateau.current
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * factor

        self.optimizer.zero_grad(set_to_none=True)
        aware = self.optimizer if isinstance(self.optimizer, SharpnessAware) else None
        with self.frozen.still(step / self.steps):
            self.wrap(self.frozen.reached(step / self.steps))
            loss, metrics = self.gradients_nearby(batch, aware) if aware else self.gradients(batch)
        self.arithmetic.unscale(self.optimizer)
        norm = self.clip()
        if self.arithmetic.scaler is None and not all(math.isfinite(v.item()) for v in (loss, norm)):
            raise NonFinite(step, batch)  # before the optimizer spoils the weights
        self.arithmetic.step(self.optimizer)
        if self.scheduler is not None:
            self.scheduler.step()
        if self.average:
            self.average.update(self.raw, step)

        # Tensors stay on the device: an observer that wants a float pays for the wait.
        rate = self.optimizer.param_groups[0]["lr"]
        return {"loss": loss, "grad_norm": norm, "learning_rate": rate, **metrics}

    def wrap(self, stage: int) -> None:
        """Exchange the gradients of what moves with other processes; of nothing else there are any."""
        if self.parallel.world > 1 and stage != self.stage:
            self.network, self.stage = DistributedDataParallel(self.compiled), stage

    def gradients(self, batch: Any) -> tuple[Tensor, Metrics]:
        """Add up the gradient of the mean loss over all targets of the batch, on all processes."""
        parts = split(batch, self.how.accumulate)
        if len(parts) == 1 and self.parallel.world == 1:
            with self.arithmetic.autocast():
                loss, metrics = self.objective(self.network, batch)
            self.arithmetic.backward(loss)
            return loss.detach(), metrics
        counts = [torch.as_tensor(self.objective.count(part)) for part in parts]
        mean = self.parallel.sum(torch.stack(counts).sum()) / self.parallel.world  # DDP averages over ranks
        shares = [count / mean for count in counts]
        total, gathered = torch.zeros((), device=self.parallel.device), {}
        for i, (part, share) in enumerate(zip(parts, shares, strict=True)):
            with self.parallel.later(self.network, last=i == len(parts) - 1):
                with self.arithmetic.autocast():
                    loss, metrics = self.objective(self.network, part)
                self.arithmetic.backward(loss * share)
            total = total + loss.detach() * share
            for name, value in metrics.items():
                gathered[name] = gathered.get(name, 0.0) + value * share
        return self.parallel.mean(total), {n: self.parallel.mean(v) for n, v in gathered.items()}

    def gradients_nearby(self, batch: Any, optimizer: SharpnessAware) -> tuple[Tensor, Metrics]:
        """SAM: gradients of the steepest place nearby; loss and metrics of the place where the weights are.

        Both passes draw the same random numbers, and so see one function. Gradients that are not finite
        stay as they are, for the check that every step makes.
        """
        device = self.parallel.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            loss, metrics = self.gradients(batch)
        if math.isfinite(float(self.norm())):
            optimizer.climb()
            try:
                optimizer.zero_grad(set_to_none=True)
                self.gradients(batch)
            finally:
                optimizer.back()
        return loss, metrics

    def norm(self) -> Tensor:
        return total_norm([p.grad for p in self.parameters if p.grad is not None])

    def clip(self) -> Tensor:
        """Clip as asked; the norm before clipping is always measured, and logged."""
        before = None
        if self.how.clip_adaptive is not None:
            before = self.norm()
            clip_adaptive(self.parameters, self.how.clip_adaptive)
        if self.how.clip_norm is not None:
            norm = clip_norm(self.parameters, self.how.clip_norm)  # measures what it clips
            before = norm if before is None else before
        elif before is None:
            before = self.norm()
        if self.how.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, self.how.clip_value)
        return before

    def observe(self, score: float) -> None:
        """Take the score of an evaluation; more is better. A plateau of them cuts the rate from now on."""
        if self.plateau is not None:
            self.plateau.observe(score)

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside modules and optimizers."""
        scaler, scheduler = self.arithmetic.scaler, self.scheduler
        return {
            "scaler": scaler.state_dict() if scaler else None,
            "scheduler": scheduler.state_dict() if scheduler else None,
            "rates": list(self.rates),
        } | ({"plateau": self.plateau.state()} if self.plateau else {})

    def load_state(self, state: dict[str, Any]) -> None:
        self.rates = state.get("rates", self.rates)  # a live optimizer given again holds a scheduled rate
        if self.arithmetic.scaler and state["scaler"]:
            self.arithmetic.scaler.load_state_dict(state["scaler"])
        if self.scheduler and state["scheduler"]:
            self.scheduler.load_state_dict(state["scheduler"])
        if self.plateau and "plateau" in state:
            self.plateau.load_state(state["plateau"])


def split(batch: Any, parts: int) -> Sequence[Any]:
    """``batch``, a tuple of tensors with the same first axis, in ``parts`` pieces."""
    if parts == 1:
        return [batch]
    pieces = [torch.tensor_split(column, parts) for column in batch]
    return [tuple(p) for p in zip(*pieces, strict=True) if len(p[0])]
