"""Early stopping: Keras, Lightning's rule written out again, the engine's observer, best weights, resume."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import math
import random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from fathom.fundamentals.regularization.early_stopping import EarlyStopping, stopping_point
from fathom.task import Evaluation
from fathom.tasks.vector_classification import VectorClassification
from fathom.training.loop import Event
from fathom.training.observers import Evaluate


class Lightning:
    """The rule of lightning.pytorch.callbacks.EarlyStopping, with its names, no thresholds."""

    def __init__(self, patience: int, min_delta: float, mode: str, check_finite: bool) -> None:
        self.monitor_op = torch.lt if mode == "min" else torch.gt
        self.min_delta = min_delta * (1 if mode == "max" else -1)
        self.patience, self.check_finite, self.wait_count = patience, check_finite, 0
        self.best_score = torch.tensor(math.inf if mode == "min" else -math.inf, dtype=torch.float64)

    def should_stop(self, value: float) -> bool:
        current = torch.tensor(value, dtype=torch.float64)
        if self.check_finite and not torch.isfinite(current):
            return True
        if self.monitor_op(current - self.min_delta, self.best_score):
            self.best_score, self.wait_count = current, 0
            return False
        self.wait_count += 1
        return self.wait_count >= self.patience


def sequence(dice: random.Random) -> list[float]:
    """Curves that fall, stand still, rise, repeat themselves and sometimes break."""
    level, values = dice.uniform(-2, 2), []
    for _ in range(dice.randint(1, 60)):
        level += dice.choice([-0.1, 0.0, 0.1]) * dice.random()
        values.append(dice.choice([level, level, round(level, 1), level + dice.gauss(0, 0.2)]))
    if dice.random() < 0.25:
        values.insert(dice.randrange(len(values) + 1), dice.choice([math.nan, math.inf, -math.inf]))
    return values


def test_equals_lightning_on_random_sequences() -> None:
    dice, stopped = random.Random(0), 0
    for _ in range(400):
        settings = (dice.randint(1, 8), dice.choice([0.0, 0.0, 0.05, 0.3]), dice.choice(["min", "max"]),
                    dice.random() < 0.7)  # fmt: skip
        ours, theirs = EarlyStopping(*settings), Lightning(*settings)
        for value in sequence(dice):
            answer = ours.observe(value)
            assert answer == theirs.should_stop(value)
            assert ours.best == float(theirs.best_score) and ours.waited == theirs.wait_count
            if answer:
                stopped += 1
                assert ours.reason
                break
    assert 100 < stopped < 400  # some ran through


class Net:
    """What Keras' callback asks of a model: weights to keep, and a place to say stop."""

    def __init__(self) -> None:
        self.weights, self.stop_training = [torch.zeros(1)], False

    def get_weights(self) -> list[torch.Tensor]:
        return [w.clone() for w in self.weights]

    def set_weights(self, weights: list[torch.Tensor]) -> None:
        self.weights = weights


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_equals_keras_on_random_sequences() -> None:
    """Sixty-fourths, so that float32 holds sums and ties exactly: a gain of just min_delta is none."""
    from keras.callbacks import EarlyStopping as Theirs

    dice, stopped, ties = random.Random(2), 0, 0
    for _ in range(400):
        patience, mode = dice.randint(1, 8), dice.choice(["min", "max"])
        delta = dice.choice([0.0, 0.0, 1 / 16, 1 / 4])
        ours = EarlyStopping(patience, delta, mode)
        theirs: Any = Theirs("score", delta, patience, mode=mode, restore_best_weights=True)
        theirs.set_model(Net())
        theirs.on_train_begin()
        mine = nn.Linear(1, 1)
        for epoch, value in enumerate(v for v in sequence(dice) if math.isfinite(v)):
            value = round(64 * value) / 64
            ties += delta > 0 and abs(value - ours.best) == delta
            theirs.model.weights = [torch.tensor([float(epoch)])]
            nn.init.constant_(mine.weight, epoch)
            theirs.on_epoch_end(epoch, {"score": value})
            answer = ours.observe(value, mine)
            assert answer == theirs.model.stop_training
            assert ours.waited == theirs.wait and ours.best == float(theirs.best)
            if answer:
                stopped += 1
                break
        if theirs.best is not None:
            theirs.on_train_end()
            ours.restore(mine)
            assert mine.weight.item() == theirs.model.weights[0].item() == theirs.best_epoch
    assert 100 < stopped < 400 and ties > 20


class Told(VectorClassification):
    """A task whose score is what it was told."""

    def evaluate(self, network: Any, split: Any) -> Evaluation:
        return Evaluation({"score": next(split)}, "score")


def test_equals_the_observer_of_the_engine() -> None:
    dice, stopped = random.Random(1), 0
    model = nn.Linear(1, 1)
    learner: Any = SimpleNamespace(model=model, modules={}, optimizers={}, update=print)
    for _ in range(30):
        values, patience = [v for v in sequence(dice) if math.isfinite(v)] or [1.0], dice.randint(1, 6)
        told, steps = Told(labels=("a", "b"), inputs_count=1), 0
        watch = Evaluate(told, iter(values), every=1, steps=10**6, patience=patience)
        for steps in range(1, len(values) + 1):
            event = Event(steps, {}, learner)
            watch(event)
            if event.stop:
                stopped += 1
                break
        assert steps == stopping_point(values, patience, mode="max")
    assert stopped > 10


def test_best_weights_come_back_bit_for_bit_and_the_state_goes_on() -> None:
    values = [3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1, 0.5]
    model, watch, kept, stopped = nn.BatchNorm1d(4), EarlyStopping(patience=3), {}, 0
    for step, value in enumerate(values):
        model(torch.randn(8, 4))
        with torch.no_grad():
            model.weight.add_(torch.randn(4))
        if value == 1.0:
            kept = {n: t.clone() for n, t in model.state_dict().items()}
        if step == 4:  # a crash in between
            state = watch.state()
            watch = EarlyStopping(patience=3)
            watch.load_state(state)
        if watch.observe(value, model):
            stopped = step
            break
    assert stopped == 6 and "no better than 1 in 3 evaluations" in watch.reason
    assert not torch.equal(model.weight, kept["weight"])
    watch.restore(model)
    assert all(torch.equal(t, kept[n]) for n, t in model.state_dict().items())


def test_ends() -> None:
    assert stopping_point([]) == 0
    assert stopping_point([1.0] * 10, patience=1) == 2
    assert stopping_point([1.0, 0.9, 0.8], patience=1, min_delta=0.2) == 2
    assert stopping_point([1.0, math.nan]) == 2
    assert stopping_point([1.0, math.nan, 0.5], check_finite=False) == 3
    assert stopping_point([1e4, -1e4, 1e4], patience=2) == 3


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="patience is 0; it must be 1 or more"):
        EarlyStopping(0)
    for delta in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match=r"min_delta is .*; it must be 0 or more, and finite"):
            EarlyStopping(min_delta=delta)
    with pytest.raises(ValueError, match="mode is 'best'; it must be 'min' or 'max'"):
        EarlyStopping(mode="best")
    with pytest.raises(ValueError, match="no weights were kept; give the model to observe"):
        EarlyStopping().restore(nn.Linear(1, 1))
