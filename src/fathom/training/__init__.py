"""The engine: one loop for every paradigm."""

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
