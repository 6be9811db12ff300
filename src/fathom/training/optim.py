"""Optimizers by value: a recipe names one and its settings, ``build`` makes the torch optimizer.

The three that most recipes use are here, the others in ``more_optimizers``; ``choices`` lists all that a
setting can name. A ``layer_decay`` below 1 lets the rates of a model's layers fall by that factor from the
head to the stem (``layer_rates``). A live ``torch.optim.Optimizer``, with a live ``torch.optim.lr_scheduler``
if wanted, serves as well: ``Live(optimizer, scheduler)``.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fathom.fundamentals.optimizers.parameter_groups import layer_factors
from fathom.fundamentals.optimizers.sgd import not_negative, positive, unit
from fathom.training.layer_rates import fall


@runtime_checkable
class OptimizerConfig(Protocol):
    def build(self, model: nn.Module) -> Optimizer:
        """The optimizer of all parameters of ``model`` that require a gradient."""
        ...


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent, with (Nesterov) momentum; weight decay on matrices only."""

    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        positive(self.learning_rate, "learning_rate")
        unit(self.momentum, "momentum")
        not_negative(self.weight_decay, "weight_decay")
        layer_factors({}, self.layer_decay)

    def build(self, model: nn.Module) -> Optimizer:
        made = torch.optim.SGD(
            groups(model, self.weight_decay),
            lr=self.learning_rate,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,
            fused=True,
        )
        return fall(made, model, self.layer_decay)


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam (Kingma and Ba 2015), or AMSGrad (Reddi et al. 2018), without weight decay."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    amsgrad: bool = False
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        positive(self.learning_rate, "learning_rate")
        layer_factors({}, self.layer_decay)
        for beta in self.betas:
            unit(beta, "betas")

    def build(self, model: nn.Module) -> Optimizer:
        parameters = [p for p in model.parameters() if p.requires_grad]
        made = torch.optim.Adam(
            parameters,
            lr=self.learning_rate,
            betas=self.betas,
            eps=self.epsilon,
            amsgrad=self.amsgrad,
            fused=True,
        )
        return fall(made, model, self.layer_decay)


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), which spares vectors."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    epsilon: float = 1e-8
    amsgrad: bool = False
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        positive(self.learning_rate, "learning_rate")
        not_negative(self.weight_decay, "weight_decay")
        layer_factors({}, self.layer_decay)
        for beta in self.betas:
            unit(beta, "betas")

    def build(self, model: nn.Module) -> Optimizer:
        made = torch.optim.AdamW(
            groups(model, self.weight_decay),
            lr=self.learning_rate,
            betas=self.betas,
            eps=self.epsilon,
            amsgrad=self.amsgrad,
            fused=True,
        )
        return fall(made, model, self.layer_decay)


@dataclass(frozen=True, eq=False)
class Live:
    """A torch optimizer that already holds its parameters, and a scheduler stepped after each step."""

    optimizer: Optimizer = field(repr=False)
    scheduler: LRScheduler | None = field(default=None, repr=False)
    kind: str = field(default="", init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", type(self.optimizer).__name__)
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise ValueError(
                "optimizer is LBFGS, whose step asks a closure for the loss again and again; the engine gives"
                " one gradient a step: take another, or call its step in a loop of your own"
            )

    def build(self, model: nn.Module) -> Optimizer:
        own = {id(p) for p in model.parameters()}
        held = [p for g in self.optimizer.param_groups for p in g["params"]]
        if any(id(p) not in own for p in held):
            raise ValueError(
                "the optimizer holds parameters that are not the model's; make it from this model"
            )
        return self.optimizer


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and kernels; leave biases, norms and other vectors alone."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def choices() -> dict[str, type]:
    """Every optimizer that a setting can name: ``--set learning.optimizer=Lion``. The set is closed."""
    from fathom.training import more_optimizers as more

    return {
        kind.__name__: kind
        for kind in (
            SGD, Adam, AdamW, more.Adagrad, more.Adadelta, more.RMSprop, more.AdaMax, more.Nadam, more.RAdam,
            more.Lion, more.Lamb, more.Adafactor, more.Muon, more.Lookahead, more.SAM,
        )
    }  # fmt: skip
