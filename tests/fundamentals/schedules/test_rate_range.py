"""The range test against scipy's descents and fastai's rule, written out again, on curves and three nets."""

import itertools
import random
from typing import Any

import numpy as np
import pytest
from scipy.sparse.csgraph import bellman_ford
from torch import nn

from fathom.applications.language import text_cnn
from fathom.architectures.convolutional import lenet
from fathom.architectures.recurrent import char_lstm
from fathom.fundamentals.schedules.rate_range import (
    Smoothing,
    exploded,
    smoothed,
    suggested_rate,
    trial_rate,
    valley,
)
from fathom.training import Experiment
from fathom.training.randomness import seed_step
from fathom.training.rate_range import range_test


def valley_of_fastai(losses: list[float]) -> int:
    """For each loss the longest descent that ends there, by comparing it with all before it."""
    lengths, end, start = [1] * len(losses), 0, 0
    for i in range(1, len(losses)):
        for j in range(i):
            if losses[i] < losses[j] and lengths[i] < lengths[j] + 1:
                lengths[i] = lengths[j] + 1
            if lengths[end] < lengths[i]:
                end = i
                start = end - lengths[end]
    third = (end - start) / 3
    return start + int(third) + int(third / 2)


def range_test_of_fastai(experiment: Experiment) -> tuple[list[float], list[float], float]:
    """Plain torch: 100 steps from 1e-7 to 10, a debiased running mean, a stop at four times the lowest."""
    how: Any = experiment.learning
    model = experiment.build()
    optimizer = how.optimizer.build(model)
    source: Any = experiment.source(experiment.data.load())
    batches = source.stream(None, 0)
    rates, losses, mean, best = [], [], 0.0, float("inf")
    for step in range(100):
        rates.append(1e-7 * (10 / 1e-7) ** (step / 100))
        for group in optimizer.param_groups:
            group["lr"] = rates[-1]
        seed_step(experiment.seed, step)
        loss, _ = how.objective(model, next(batches))
        optimizer.zero_grad()
        loss.backward()
        if how.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), how.clip_norm)
        optimizer.step()
        mean = loss.item() + 0.98 * (mean - loss.item())
        losses.append(mean / (1 - 0.98 ** (step + 1)))
        best = min(best, losses[-1])
        if losses[-1] > 4 * best:
            break
    return rates, losses, rates[10:-5][valley_of_fastai(losses[10:-5])]


@pytest.mark.parametrize("system", [lenet, char_lstm, text_cnn], ids=lambda m: m.__name__.rpartition(".")[2])
def test_suggestion_is_that_of_fastai(system: Any) -> None:
    experiment = system.tiny()
    found = range_test(experiment)
    rates, losses, suggestion = range_test_of_fastai(experiment)
    assert found.suggestion is not None and 0.5 <= found.suggestion / suggestion <= 2  # the promise
    assert found.suggestion == pytest.approx(suggestion, rel=1e-6)  # the same batches, so more than that
    assert found.rates == pytest.approx(rates, rel=1e-12)
    assert found.smooth[:50] == pytest.approx(losses[:50], rel=1e-5)  # later ones are chaos, larger each step


def test_valley_equals_the_slow_one() -> None:
    dice, fell = random.Random(0), 0
    for _ in range(300):
        count = dice.randint(6, 90)
        losses = [
            round(dice.gauss(0, 1) - 0.03 * i * dice.random(), dice.choice([1, 9])) for i in range(count)
        ]
        found = valley(losses)
        if found is not None:
            fell += 1
            assert found == max(0, valley_of_fastai(losses))
    assert fell > 290
    assert valley([1.0, 1.0, 2.0, 3.0]) is None and valley([]) is None and valley([1.0]) is None
    assert valley([5.0, 4.0, 3.0, 2.0, 1.0, 0.0]) == 2


def longest_descent(losses: list[float]) -> tuple[int, int]:
    """How many values the longest descent has, and where the first of that length ends, by scipy.

    Every fall from an earlier loss to a later one is a way of length -1, from a start before all of them too;
    the shortest way to a loss is the longest descent that ends there.
    """
    falls = np.tril(np.subtract.outer(losses, losses) < 0, -1).T  # [earlier, later]
    ways = np.zeros((len(losses) + 1, len(losses) + 1))
    ways[1:, 1:], ways[0, 1:] = -1.0 * falls, -1.0
    lengths = -bellman_ford(ways, indices=0)[1:]
    return int(lengths.max()), int(lengths.argmax())


def test_the_longest_descent_is_that_of_scipy() -> None:
    """And the place is a third and a sixth of its values after where it would begin, were they neighbours."""
    dice, fell = np.random.default_rng(1), 0
    for count in (2, 3, 7, 40, 90):
        for digits in (0, 1, 9):
            for _ in range(15):
                losses = np.round(dice.normal(size=count) - 0.03 * np.arange(count), digits).tolist()
                longest, end = longest_descent(losses)
                if longest == 1:
                    assert valley(losses) is None
                    continue
                fell += 1
                assert valley(losses) == max(0, end - longest + longest // 3 + longest // 6)
    assert fell > 180


def test_rates_grow_by_equal_factors_from_end_to_end() -> None:
    rates = [trial_rate(k, 40, 1e-5, 1.0) for k in range(41)]
    assert rates[0] == pytest.approx(1e-5) and rates[40] == 1.0
    assert [b / a for a, b in itertools.pairwise(rates)] == pytest.approx([10 ** (5 / 40)] * 40)
    assert trial_rate(0.5, 1, 1e-4, 1.0) == pytest.approx(1e-2)  # a share of the trial serves as well


def test_a_constant_loss_stays_itself_and_a_jump_fades_in() -> None:
    assert smoothed([3.0] * 50) == pytest.approx([3.0] * 50)
    steps = smoothed([0.0] * 10 + [1.0] * 400, decay=0.9)
    assert steps[10] == pytest.approx(0.1 / (1 - 0.9**11)) and steps[-1] == pytest.approx(1.0)
    assert smoothed([2.0, 7.0], decay=0.0) == [2.0, 7.0] and smoothed([]) == []


def test_what_an_explosion_is() -> None:
    assert exploded([2.0, 0.5, 2.01]) and not exploded([2.0, 0.5, 2.0])
    assert exploded([-1.0, 2.1]) and not exploded([-1.0, 1.9])  # three times its size above the lowest
    assert not exploded([7.0])


def test_first_tenth_and_last_five_are_not_looked_at() -> None:
    rates = [float(k) for k in range(60)]
    falling = [2.0 - 0.02 * k for k in range(60)]
    assert suggested_rate(rates, falling, 60) == 6 + 49 // 3 + 49 // 6 - 1  # half-way into losses 6 to 54
    assert suggested_rate(rates, falling, 100) == 10 + 45 // 3 + 45 // 6 - 1  # the trial ended early
    only_at_the_start = [2.0 - 0.1 * k for k in range(6)] + [5.0 + k for k in range(54)]
    assert suggested_rate(rates, only_at_the_start, 60) is None
    assert suggested_rate(rates, only_at_the_start[::-1], 60) is not None
    assert suggested_rate([], [], 100) is None and suggested_rate(rates[:12], falling[:12], 100) is None


def test_values_outside_the_ranges_are_refused() -> None:
    for lowest, highest in ((0.0, 1.0), (1.0, 0.1), (-1.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="they must be 0 < lowest <= highest"):
            trial_rate(0, 10, lowest, highest)
    with pytest.raises(ValueError, match="steps is 0; it must be positive"):
        trial_rate(0, 0, 0.1, 1.0)
    with pytest.raises(ValueError, match="step is -1; it must be 0 or more"):
        trial_rate(-1, 10, 0.1, 1.0)
    for decay in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"decay is .*; it must be in \[0, 1\)"):
            Smoothing(decay)
    nan = float("nan")
    for losses in ([nan], [3.0, nan, 1.0], [3.0, 2.0, nan]):
        with pytest.raises(ValueError, match="losses holds nan; give numbers: a trial ends before"):
            valley(losses)
    with pytest.raises(ValueError, match="losses holds nan"):
        suggested_rate([1.0] * 20, [2.0] * 14 + [nan] * 6, 20)
    falling = [4.0, 3.0, 2.0, 1.0, 0.5, 0.2]  # an infinity has its place among numbers
    assert valley([float("inf"), *falling]) == valley([5.0, *falling]) == 2
    for rates, losses, planned in (([1.0], [], 100), ([1.0] * 3, [1.0] * 3, 2)):
        with pytest.raises(ValueError, match="give one of each a step"):
            suggested_rate(rates, losses, planned)
