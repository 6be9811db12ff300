"""The engine: one loop for every paradigm. Names are loaded when asked for: run folders need no torch."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fathom.training.experiment import Expect, Experiment, Live
    from fathom.training.learner import GradientDescent, GradientLearner
    from fathom.training.loop import BatchSource, Event, Learner, Metrics, Observer, train
    from fathom.training.objectives import CrossEntropy, MeanSquaredError, NextToken, Reconstruction
    from fathom.training.optim import SGD, Adam, AdamW
    from fathom.training.parallel import Parallel
    from fathom.training.precision import Precision
    from fathom.training.schedules import Constant, Drops, OneCycle, Triangle, WarmupCosine

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "BatchSource",
    "Constant",
    "CrossEntropy",
    "Drops",
    "Event",
    "Expect",
    "Experiment",
    "GradientDescent",
    "GradientLearner",
    "Learner",
    "Live",
    "MeanSquaredError",
    "Metrics",
    "NextToken",
    "Observer",
    "OneCycle",
    "Parallel",
    "Precision",
    "Reconstruction",
    "Triangle",
    "WarmupCosine",
    "train",
]

_HOMES = {
    "Adam": "fathom.training.optim",
    "AdamW": "fathom.training.optim",
    "BatchSource": "fathom.training.loop",
    "Constant": "fathom.training.schedules",
    "CrossEntropy": "fathom.training.objectives",
    "Drops": "fathom.training.schedules",
    "Event": "fathom.training.loop",
    "Expect": "fathom.training.experiment",
    "Experiment": "fathom.training.experiment",
    "GradientDescent": "fathom.training.learner",
    "GradientLearner": "fathom.training.learner",
    "Learner": "fathom.training.loop",
    "Live": "fathom.training.experiment",
    "MeanSquaredError": "fathom.training.objectives",
    "Metrics": "fathom.training.loop",
    "NextToken": "fathom.training.objectives",
    "Observer": "fathom.training.loop",
    "OneCycle": "fathom.training.schedules",
    "Parallel": "fathom.training.parallel",
    "Precision": "fathom.training.precision",
    "Reconstruction": "fathom.training.objectives",
    "SGD": "fathom.training.optim",
    "Triangle": "fathom.training.schedules",
    "WarmupCosine": "fathom.training.schedules",
    "train": "fathom.training.loop",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fathom.training' has no attribute {name!r}")
