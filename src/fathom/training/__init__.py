"""The engine: one loop for every paradigm. Names are loaded when asked for: run folders need no torch."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fathom.training.experiment import Expect, Experiment, Live
    from fathom.training.learner import GradientDescent, GradientLearner
    from fathom.training.loop import BatchSource, Event, Learner, Metrics, Observer, train
    from fathom.training.more_optimizers import (
        SAM,
        Adadelta,
        Adafactor,
        Adagrad,
        AdaMax,
        Lamb,
        Lion,
        Lookahead,
        Muon,
        Nadam,
        RAdam,
        RMSprop,
    )
    from fathom.training.objectives import (
        CrossEntropy,
        Custom,
        Focal,
        MeanSquaredError,
        NextToken,
        Reconstruction,
    )
    from fathom.training.optim import SGD, Adam, AdamW
    from fathom.training.parallel import Parallel
    from fathom.training.precision import Precision
    from fathom.training.schedules import (
        Constant,
        CosineRestarts,
        Drops,
        Exponential,
        InverseSquareRoot,
        OneCycle,
        Plateau,
        Polynomial,
        Triangle,
        Warmup,
        WarmupCosine,
        WarmupStableDecay,
        schedule_table,
    )
    from fathom.training.unfreezing import Unfreezing

__all__ = [
    "SAM",
    "SGD",
    "AdaMax",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "BatchSource",
    "Constant",
    "CosineRestarts",
    "CrossEntropy",
    "Custom",
    "Drops",
    "Event",
    "Expect",
    "Experiment",
    "Exponential",
    "Focal",
    "GradientDescent",
    "GradientLearner",
    "InverseSquareRoot",
    "Lamb",
    "Learner",
    "Lion",
    "Live",
    "Lookahead",
    "MeanSquaredError",
    "Metrics",
    "Muon",
    "Nadam",
    "NextToken",
    "Observer",
    "OneCycle",
    "Parallel",
    "Plateau",
    "Polynomial",
    "Precision",
    "RAdam",
    "RMSprop",
    "Reconstruction",
    "Triangle",
    "Unfreezing",
    "Warmup",
    "WarmupCosine",
    "WarmupStableDecay",
    "schedule_table",
    "train",
]

_HOMES = {
    "AdaMax": "fathom.training.more_optimizers",
    "Adadelta": "fathom.training.more_optimizers",
    "Adafactor": "fathom.training.more_optimizers",
    "Adagrad": "fathom.training.more_optimizers",
    "Adam": "fathom.training.optim",
    "AdamW": "fathom.training.optim",
    "BatchSource": "fathom.training.loop",
    "Constant": "fathom.training.schedules",
    "CosineRestarts": "fathom.training.schedules",
    "CrossEntropy": "fathom.training.objectives",
    "Custom": "fathom.training.objectives",
    "Drops": "fathom.training.schedules",
    "Event": "fathom.training.loop",
    "Expect": "fathom.training.experiment",
    "Experiment": "fathom.training.experiment",
    "Exponential": "fathom.training.schedules",
    "Focal": "fathom.training.objectives",
    "GradientDescent": "fathom.training.learner",
    "GradientLearner": "fathom.training.learner",
    "InverseSquareRoot": "fathom.training.schedules",
    "Lamb": "fathom.training.more_optimizers",
    "Learner": "fathom.training.loop",
    "Lion": "fathom.training.more_optimizers",
    "Live": "fathom.training.experiment",
    "Lookahead": "fathom.training.more_optimizers",
    "MeanSquaredError": "fathom.training.objectives",
    "Metrics": "fathom.training.loop",
    "Muon": "fathom.training.more_optimizers",
    "Nadam": "fathom.training.more_optimizers",
    "NextToken": "fathom.training.objectives",
    "Observer": "fathom.training.loop",
    "OneCycle": "fathom.training.schedules",
    "Parallel": "fathom.training.parallel",
    "Plateau": "fathom.training.schedules",
    "Polynomial": "fathom.training.schedules",
    "Precision": "fathom.training.precision",
    "RAdam": "fathom.training.more_optimizers",
    "RMSprop": "fathom.training.more_optimizers",
    "Reconstruction": "fathom.training.objectives",
    "SAM": "fathom.training.more_optimizers",
    "SGD": "fathom.training.optim",
    "Triangle": "fathom.training.schedules",
    "Unfreezing": "fathom.training.unfreezing",
    "Warmup": "fathom.training.schedules",
    "WarmupCosine": "fathom.training.schedules",
    "WarmupStableDecay": "fathom.training.schedules",
    "schedule_table": "fathom.training.schedules",
    "train": "fathom.training.loop",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fathom.training' has no attribute {name!r}")
