"""The other optimizers by value: one for each rule of ``fundamentals/optimizers`` that a recipe can name.

Each is built by its primitive, which also checks the settings. Weight decay spares biases, norms and other
vectors, as everywhere in the engine.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from fathom.fundamentals.optimizers import (
    adadelta,
    adafactor,
    adagrad,
    adam,
    lamb,
    lion,
    lookahead,
    muon,
    nadam,
    radam,
    rmsprop,
    sharpness_aware,
)
from fathom.fundamentals.optimizers.parameter_groups import layer_factors
from fathom.training.layer_rates import fall
from fathom.training.optim import AdamW, OptimizerConfig, groups


class Rule:
    """What the configs below share. Settings are refused by building: the primitive knows its ranges."""

    weight_decay: float
    layer_decay: float

    def __post_init__(self) -> None:
        self.make([torch.zeros(1)])
        layer_factors({}, self.layer_decay)

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        """The optimizer of these parameters or groups."""
        raise NotImplementedError

    def build(self, model: nn.Module) -> Optimizer:
        return fall(self.make(groups(model, self.weight_decay)), model, self.layer_decay)


@dataclass(frozen=True, kw_only=True)
class Adagrad(Rule):
    """AdaGrad (Duchi, Hazan and Singer 2011): steps shrink with all the gradients that were seen."""

    learning_rate: float = 0.01
    epsilon: float = 1e-10
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return adagrad.adagrad(
            parameters, self.learning_rate, epsilon=self.epsilon, weight_decay=self.weight_decay
        )


@dataclass(frozen=True, kw_only=True)
class Adadelta(Rule):
    """Adadelta (Zeiler 2012): steps in proportion to the steps before."""

    learning_rate: float = 1.0
    smoothing: float = 0.9
    epsilon: float = 1e-6
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return adadelta.adadelta(
            parameters, self.learning_rate, self.smoothing, self.epsilon, self.weight_decay
        )


@dataclass(frozen=True, kw_only=True)
class RMSprop(Rule):
    """RMSprop (Hinton 2012), torch's, or TensorFlow's with the epsilon inside the root."""

    learning_rate: float = 1e-3
    smoothing: float = 0.99
    momentum: float = 0.0
    centered: bool = False
    epsilon: float = 1e-8
    epsilon_inside: bool = False
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        kind = rmsprop.RMSpropTF if self.epsilon_inside else rmsprop.rmsprop
        return kind(
            parameters, self.learning_rate, self.smoothing, self.momentum, self.centered, self.epsilon,
            self.weight_decay,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AdaMax(Rule):
    """AdaMax (Kingma and Ba 2015): Adam with a decaying maximum; its decay is added to the gradient."""

    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return adam.adamax(parameters, self.learning_rate, self.betas, self.epsilon, self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class Nadam(Rule):
    """NAdam (Dozat 2016): Adam with Nesterov's look ahead; its decay is decoupled."""

    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return nadam.nadam(
            parameters, self.learning_rate, self.betas, self.epsilon, self.weight_decay,
            self.momentum_decay, decoupled=True,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RAdam(Rule):
    """RAdam (Liu et al. 2020): Adam with a warm-up of its own; its decay is decoupled."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return radam.radam(
            parameters, self.learning_rate, self.betas, self.epsilon, self.weight_decay, decoupled=True
        )


@dataclass(frozen=True, kw_only=True)
class Lion(Rule):
    """Lion (Chen et al. 2023): equal steps in every weight. Its rate is a third to a tenth of AdamW's."""

    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return lion.Lion(parameters, self.learning_rate, self.betas, self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class Lamb(Rule):
    """LAMB (You et al. 2020): Adam with a step for each layer, in proportion to its weights."""

    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return lamb.Lamb(parameters, self.learning_rate, self.betas, self.epsilon, self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class Adafactor(Rule):
    """Adafactor (Shazeer and Stern 2018): row and column means in place of Adam's squares, no momentum."""

    learning_rate: float = 0.01
    decay_exponent: float = -0.8
    clipping: float = 1.0
    weight_decay: float = 0.0
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return adafactor.adafactor(
            parameters, self.learning_rate, self.decay_exponent, clipping=self.clipping,
            weight_decay=self.weight_decay,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Muon(Rule):
    """Muon (Jordan et al. 2024) for matrices and kernels; AdamW for vectors and tables of embeddings."""

    learning_rate: float = 0.02
    momentum: float = 0.95
    nesterov: bool = True
    weight_decay: float = 0.0
    scale: Literal["original", "match_rms_adamw"] = "original"
    fallback_learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.95)
    layer_decay: float = 1.0

    def make(self, parameters: Iterable[Any]) -> Optimizer:
        return muon.Muon(
            parameters, self.learning_rate, self.momentum, self.nesterov, self.weight_decay, self.scale,
            fallback_learning_rate=self.fallback_learning_rate, betas=self.betas,
        )  # fmt: skip

    def build(self, model: nn.Module) -> Optimizer:
        tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim >= 2 and p.numel() and id(p) not in tables]
        turned = {id(p) for p in matrices}
        rest = [p for p in trained if id(p) not in turned]
        made = self.make(
            [
                {"params": matrices, "rule": "muon"},
                {"params": rest, "rule": "adamw", "weight_decay": 0.0},
            ]
        )
        return fall(made, model, self.layer_decay)


@dataclass(frozen=True, kw_only=True)
class Lookahead:
    """Lookahead (Zhang et al. 2019) around another optimizer."""

    inner: OptimizerConfig = field(default_factory=AdamW)
    every: int = 5  # steps between jumps
    slow_step: float = 0.5  # how much of the way is kept

    def __post_init__(self) -> None:
        if isinstance(self.inner, SAM):
            raise ValueError("inner is SAM, which needs the learner beside it; put SAM around Lookahead")
        self.around(torch.optim.SGD([torch.zeros(1)]))

    def around(self, inner: Optimizer) -> Optimizer:
        return lookahead.Lookahead(inner, self.every, self.slow_step)

    def build(self, model: nn.Module) -> Optimizer:
        return self.around(self.inner.build(model))


@dataclass(frozen=True, kw_only=True)
class SAM:
    """SAM (Foret et al. 2021) around another optimizer: each step takes two gradients, and twice the time."""

    inner: OptimizerConfig = field(default_factory=AdamW)
    radius: float = 0.05
    adaptive: bool = False  # ASAM: the ball is measured in units of each weight

    def __post_init__(self) -> None:
        if isinstance(self.inner, SAM):
            raise ValueError("inner is SAM; two of them would leave the place that the first looks around")
        self.around(torch.optim.SGD([torch.zeros(1)]))

    def around(self, inner: Optimizer) -> Optimizer:
        return sharpness_aware.SharpnessAware(inner, self.radius, self.adaptive)

    def build(self, model: nn.Module) -> Optimizer:
        return self.around(self.inner.build(model))
