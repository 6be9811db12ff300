"""Diagnosis of drawn curves and of small runs."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom.fundamentals.networks.learning_curves import (
    ADVICE,
    REGIMES,
    UNSTABLE,
    Diagnosis,
    Limits,
    diagnose,
    roughness,
    running_means,
)

BASE = math.log(10)
Points = list[tuple[int, float]]


def curve(shape: Callable[[np.ndarray], np.ndarray], count: int, noise: float = 0.0, seed: int = 0) -> Points:
    """``shape`` over a run of 1,000 steps at ``count`` places, with noise."""
    places = np.linspace(1, 1000, count).round().astype(int)
    values = shape(places / 1000) + noise * np.random.default_rng(seed).standard_normal(count)
    return [(int(step), float(value)) for step, value in zip(places, values, strict=True)]


def falls(to: float, speed: float = 8.0) -> Callable[[np.ndarray], np.ndarray]:
    return lambda t: to + (BASE - to) * np.exp(-speed * t)


SHAPES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "too simple": ("underfitting", falls(1.8), falls(1.85)),
    "hardly moves": ("underfitting", lambda t: BASE - 0.1 * t, lambda t: BASE - 0.1 * t),
    "stopped early": ("underfitting", lambda t: BASE - 0.9 * t, lambda t: BASE - 0.85 * t),
    "by heart": ("overfitting", falls(0.01), lambda t: falls(0.6)(t) + 1.5 * t**2),
    "far apart": ("overfitting", falls(0.3), falls(1.0)),
    "worse than chance": ("overfitting", falls(1.5), lambda t: BASE + 2 * t),
    "good": ("well fitted", falls(0.2), falls(0.3)),
    "good, with dropout": ("well fitted", falls(1.4), falls(0.4)),
    "language": ("well fitted", falls(0.95, 20), falls(1.05, 20)),
    "on its way": ("not converged", lambda t: BASE - 1.7 * t, lambda t: BASE - 1.65 * t),
    "run away": ("not converged", lambda t: falls(0.3)(t) + 3 * t**6, falls(0.4)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_regimes_are_told_apart_through_noise(name: str) -> None:
    """Forty draws of noise on a loss for each step and on twenty evaluations."""
    expected, training, validation = SHAPES[name]
    for seed in range(40):
        told = diagnose(
            curve(training, 500, 0.15, seed), curve(validation, 20, 0.03, seed + 100), baseline=BASE
        )
        assert told.regime == expected, (seed, told)


@pytest.mark.parametrize("count", [3, 5, 20, 200])
def test_noise_is_not_taken_for_a_rise(count: int) -> None:
    """Flat validation losses with much noise: hardly ever called overfitting for their course."""
    wrong = 0
    for seed in range(300):
        noisy = curve(falls(0.3, 30), count, 0.1, seed)
        told = diagnose(curve(falls(0.25, 30), 300, 0.1, seed), noisy, baseline=BASE, comparable=False)
        wrong += told.regime == "overfitting"
    assert wrong <= 6


def mixed(rows: int, seed: int, plain: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ten numbers a row; the label is whether the first two have the same sign, wrong in a tenth of rows.

    ``plain``: whether the first is above 0, and never wrong.
    """
    dice = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 10, generator=dice)
    wrong = torch.rand(rows, generator=dice) < 0.1
    return x, (x[:, 0] > 0).long() if plain else ((x[:, 0] * x[:, 1] > 0) ^ wrong).long()


def small_run(
    net: nn.Module, rows: int, rate: float, steps: int, seed: int, decay: float = 0.0, plain: bool = False
) -> Diagnosis:
    """A run of full batches, and what is told of it."""
    (x, y), (unseen, truth) = mixed(rows, seed, plain), mixed(500, seed + 1000, plain)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    losses: list[Points] = [[], [], [], []]
    for step in range(1, steps + 1):
        scores = net(x)
        loss = F.cross_entropy(scores, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses[0].append((step, loss.item()))
        losses[1].append((step, (scores.argmax(1) == y).float().mean().item()))
        if step % 10 == 0:
            with torch.no_grad():
                guess = net(unseen)
            losses[2].append((step, F.cross_entropy(guess, truth).item()))
            losses[3].append((step, (guess.argmax(1) == truth).float().mean().item()))
    return diagnose(
        losses[0], losses[2], baseline=math.log(2), chance=0.5,
        training_accuracy=losses[1], validation_accuracy=losses[3],
    )  # fmt: skip


def wide(seed: int, width: int = 64) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(10, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
    )


def test_both_regimes_are_flagged_ten_times_of_ten() -> None:
    torch.manual_seed(0)
    under = [
        small_run(nn.Linear(10, 2), 600, 0.05, 150, seed=0),  # a line cannot separate this
        small_run(wide(1, width=1), 600, 0.01, 150, seed=1),  # one unit cannot either
        small_run(wide(2), 600, 3e-3, 150, seed=2, decay=150.0),  # held back
        small_run(wide(3), 600, 3e-3, 10, seed=3),  # stopped after ten steps
        small_run(wide(4), 600, 1e-6, 150, seed=4),  # hardly moves
    ]
    over = [small_run(wide(seed), 40, 3e-3, 150, seed=seed) for seed in range(5, 10)]
    assert [told.regime for told in under] == ["underfitting"] * 5
    assert [told.regime for told in over] == ["overfitting"] * 5
    assert 0.1 < under[3].numbers["late_gain"] < 1
    assert "ended too early" in under[3].reason and "ended too early" not in under[0].reason
    fitted = [small_run(nn.Linear(10, 2), 1000, 0.1, 150, seed=seed, plain=True) for seed in range(10, 15)]
    assert [told.regime for told in fitted] == ["well fitted"] * 5


def test_what_is_told() -> None:
    told = diagnose(curve(falls(0.01), 200), curve(lambda t: falls(0.6)(t) + 1.5 * t**2, 20), baseline=BASE)
    assert told.advice == ADVICE["overfitting"] and set(ADVICE) == set(REGIMES)
    numbers = told.numbers
    assert numbers["training_loss"] == pytest.approx(0.01, abs=0.01) and numbers["baseline"] == BASE
    assert numbers["gap"] == pytest.approx((numbers["validation_loss"] - numbers["training_loss"]) / BASE)
    assert numbers["rise"] == pytest.approx(
        (numbers["validation_loss"] - numbers["best_validation_loss"]) / BASE
    )
    assert 200 < numbers["best_step"] < 600
    assert "has risen from" in told.reason and "above the training loss" in told.reason
    assert all(isinstance(v, float) for v in numbers.values())


def test_accuracies_are_heard() -> None:
    high, low, flat = (curve(lambda t, a=a: np.full_like(t, a), 50) for a in (0.99, 0.7, 0.97))
    soft = curve(falls(1.3), 100)  # a loss against softened labels does not get low
    given: dict[str, Any] = {"baseline": BASE, "comparable": False, "chance": 0.1}
    course = curve(falls(1.0), 20)
    assert diagnose(soft, course, **given).regime == "underfitting"
    told = diagnose(soft, course, training_accuracy=high, validation_accuracy=flat, **given)
    assert told.regime == "well fitted" and "gap" not in told.numbers and "cannot be compared" in told.reason
    told = diagnose(soft, course, training_accuracy=high, validation_accuracy=low, **given)
    assert told.regime == "overfitting" and "0.99, that of validation 0.7" in told.reason
    assert told.numbers["accuracy_gap"] == pytest.approx(0.29)
    assert told.numbers["error_excess"] == pytest.approx(29)
    risen = curve(lambda t: 0.2 + 0.6 * t, 20)
    told = diagnose(
        curve(falls(0.01), 100), risen, baseline=BASE, chance=0.1,
        training_accuracy=high, validation_accuracy=flat,
    )  # fmt: skip
    assert told.regime == "overfitting" and "more confident" in told.reason


def test_a_floor_of_noise_moves_the_level() -> None:
    """Targets with noise of variance 0.7 in 1: a loss of 0.72 is nearly all there is to have."""
    given = [(i, 0.72 + 0.28 * math.exp(-i / 5)) for i in range(100)]
    assert diagnose(given, given[::10], baseline=1.0).regime == "underfitting"
    assert diagnose(given, given[::10], baseline=1.0, floor=0.7).regime == "well fitted"


def test_without_a_baseline_the_first_loss_stands_for_it() -> None:
    told = diagnose(curve(falls(0.2), 100), curve(falls(0.3), 20))
    assert told.regime == "well fitted" and told.numbers["baseline"] == pytest.approx(BASE, rel=0.01)


def test_limits_move_the_borders() -> None:
    training, validation = curve(falls(0.3), 100), curve(falls(1.0), 20)
    assert diagnose(training, validation, baseline=BASE).regime == "overfitting"
    assert diagnose(training, validation, baseline=BASE, limits=Limits(gap=0.5)).regime == "well fitted"
    assert (
        diagnose(training, validation, baseline=BASE, limits=Limits(gap=0.5, level=0.1)).regime
        == "underfitting"
    )
    with pytest.raises(ValueError, match=r"level is 0.0; it must be positive"):
        Limits(level=0.0)
    with pytest.raises(ValueError, match="rise is nan"):
        Limits(rise=math.nan)


def test_losses_that_are_no_numbers() -> None:
    good = curve(falls(0.2), 50)
    for bad in (math.nan, math.inf):
        told = diagnose([*good, (2000, bad)], good)
        assert told == Diagnosis("not converged", "The training loss is not finite at step 2000.", UNSTABLE)
        assert "validation loss is not finite at step 7" in diagnose(good, [(7, bad)]).reason


def test_extremes() -> None:
    flat = [(i, 1.0) for i in range(5)]
    assert diagnose(flat, [(4, 1.0)]).regime == "underfitting"
    perfect = [(0, 1.0), *((i, 0.0) for i in range(1, 200))]
    assert diagnose(perfect, perfect[1:]).regime == "well fitted"
    huge = [(i, 1e4 * v) for i, v in curve(falls(0.2), 50)]
    assert diagnose(huge, huge[::5]).regime == "well fitted"
    bits = [(i, v - 5.0) for i, v in curve(falls(0.2), 50)]  # a log-likelihood, below zero
    assert diagnose(bits, bits[::5], baseline=BASE - 5, floor=-5.0).regime == "well fitted"
    assert roughness(np.array([1.0, 5.0])) == 0.0
    assert running_means(np.array([3.0]), 1).tolist() == [3.0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": [(i, 1.0) for i in range(4)]}, "training has 4 points; it must have 5 or more"),
        ({"validation": []}, "validation has 0 points; it must have 1 or more"),
        ({"validation": [(3, 1.0), (3, 0.9)]}, "validation has step 3 out of order; steps must rise"),
        ({"training_accuracy": [(0, 97.0)]}, r"training_accuracy has values outside \[0, 1\]"),
        ({"baseline": 0.5, "floor": 0.5}, "baseline is 0.5 and floor 0.5; the baseline must be above"),
        ({"baseline": math.nan}, "baseline is nan"),
        ({"chance": 1.0}, r"chance is 1.0; it must be in \[0, 1\)"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused(changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"training": [(i, 1.0) for i in range(9)], "validation": [(8, 1.0)]}
    with pytest.raises(ValueError, match=said):
        diagnose(**(given | changes))


def test_roughness_is_the_noise_on_a_smooth_curve() -> None:
    found = [roughness(np.array([v for _, v in curve(falls(0.2, 3), 400, 0.2, seed)])) for seed in range(50)]
    assert np.mean(found) == pytest.approx(0.2, rel=0.05)
    assert roughness(np.arange(50.0) ** 1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: running_means(np.zeros(3), 4), "window is 4"),
        (lambda: running_means(np.zeros(3), 0), "window is 0"),
        (lambda: running_means(np.zeros((3, 1)), 1), r"shape \(3, 1\)"),
        (lambda: roughness(np.zeros((4, 2))), r"values has shape \(4, 2\); it must be \(n,\)"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
