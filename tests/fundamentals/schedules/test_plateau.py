"""Reduce on plateau against torch's scheduler, after every evaluation."""

import random

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fathom.fundamentals.schedules.plateau import Plateau, plateau_by_hand


def sequence(dice: random.Random) -> list[float]:
    """Falling, flat and rising stretches, with noise, ties, NaN and infinity among them."""
    values, level = [], dice.uniform(-1, 3)
    for _ in range(dice.randint(5, 80)):
        level += dice.choice([-0.1, 0.0, 0.0, 0.02]) * dice.random()
        values.append(dice.choice([level, level, round(level, 1), level + dice.gauss(0, 0.1)]))
    for odd in (float("nan"), float("inf"), -0.0):
        values.insert(dice.randrange(1, len(values)), odd)
    return values


def test_equals_torch_on_random_sequences() -> None:
    dice, cuts = random.Random(0), 0
    for _ in range(200):
        settings = {
            "factor": dice.choice([0.1, 0.5, 0.9]), "patience": dice.randint(0, 6),
            "threshold": dice.choice([0.0, 1e-4, 0.05]), "cooldown": dice.choice([0, 0, 1, 4]),
            "mode": dice.choice(["min", "max"]),
        }  # fmt: skip
        relative, floor = dice.random() < 0.5, dice.choice([0.0, 0.01])
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        kind = "rel" if relative else "abs"
        theirs = ReduceLROnPlateau(optimizer, threshold_mode=kind, min_lr=floor, eps=0, **settings)
        ours = Plateau(relative=relative, floor=floor, **settings)
        for value in sequence(dice):
            theirs.step(value)
            assert ours.observe(value) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        cuts += ours.current < 1
    assert cuts > 100  # or nothing was compared


def test_plain_twin_equals_torch_too() -> None:
    dice = random.Random(1)
    for _ in range(20):
        values, patience, cooldown = sequence(dice), dice.randint(0, 5), dice.choice([0, 3])
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        theirs = ReduceLROnPlateau(optimizer, patience=patience, cooldown=cooldown, eps=0)
        found = []
        for value in values:
            theirs.step(value)
            found.append(optimizer.param_groups[0]["lr"])
        assert plateau_by_hand(values, patience=patience, cooldown=cooldown) == pytest.approx(
            found, rel=1e-12
        )


def test_state_goes_on_exactly() -> None:
    values = sequence(random.Random(2))
    straight, first = Plateau(0.5, 2, cooldown=1), Plateau(0.5, 2, cooldown=1)
    expected = [straight.observe(v) for v in values]
    begun = [first.observe(v) for v in values[:7]]
    second = Plateau(0.5, 2, cooldown=1)
    second.load_state(first.state())
    assert begun + [second.observe(v) for v in values[7:]] == expected


def test_what_is_refused() -> None:
    for factor in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"factor is .*; it must be in \(0, 1\)"):
            Plateau(factor)
    with pytest.raises(ValueError, match="patience is -1; it must be 0 or more"):
        Plateau(patience=-1)
    with pytest.raises(ValueError, match=r"threshold is -0.1"):
        Plateau(threshold=-0.1)
    with pytest.raises(ValueError, match="cooldown is -1"):
        Plateau(cooldown=-1)
    with pytest.raises(ValueError, match=r"floor is 2.0; it must be in \[0, 1\]"):
        Plateau(floor=2.0)
    with pytest.raises(ValueError, match="mode is 'best'; it must be 'min' or 'max'"):
        Plateau(mode="best")
