"""The engine's schedules: the curves of the primitives, torch's rates, accumulation, resume, the table."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from fathom.architectures.convolutional import lenet
from fathom.errors import InputError
from fathom.fundamentals.schedules.schedule_composition import in_sequence
from fathom.reinforcement import dqn_cartpole
from fathom.settings import flatten, override, override_all
from fathom.training import (
    SGD,
    AdamW,
    Constant,
    CosineRestarts,
    CrossEntropy,
    Drops,
    Exponential,
    GradientDescent,
    InverseSquareRoot,
    OneCycle,
    Parallel,
    Plateau,
    Polynomial,
    Triangle,
    Warmup,
    WarmupCosine,
    WarmupStableDecay,
    schedule_table,
)
from fathom.training.optim import Live
from fathom.training.schedules import choices
from fathom.training.state import gather, scatter

STEPS = 60
EVERY = [
    Constant(),
    CosineRestarts(cycles=2, stretch=2.0, decay=0.5, floor=0.1),
    Drops(),
    Exponential(),
    InverseSquareRoot(),
    OneCycle(),
    Plateau(inner=Drops()),
    Polynomial(power=2.0),
    Triangle(),
    Warmup(then=CosineRestarts(), share=0.3, shape="exponential"),
    WarmupCosine(warmup=0.3),
    WarmupStableDecay(shape="square_root"),
]


def learner(schedule: Any, steps: int = STEPS, accumulate: int = 1) -> Any:
    torch.manual_seed(0)
    how = GradientDescent(
        objective=CrossEntropy(), optimizer=AdamW(learning_rate=0.1), schedule=schedule, accumulate=accumulate
    )
    return how.learner(nn.Linear(4, 3), steps, Parallel())


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3


def written_out(schedule: Any, p: float) -> float:
    """The factors of the schedules of version 0.1.0 as they stood there."""

    def cosine(start: float, end: float, done: float) -> float:
        return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    s = schedule
    if isinstance(s, WarmupCosine):
        if p < s.warmup:
            return p / s.warmup
        done = (p - s.warmup) / (1 - s.warmup)
        return s.floor + (1 - s.floor) * 0.5 * (1 + math.cos(math.pi * done))
    if isinstance(s, OneCycle):
        return (
            cosine(s.start, 1.0, p / s.peak)
            if p < s.peak
            else cosine(1.0, s.end, (p - s.peak) / (1 - s.peak))
        )
    if isinstance(s, Triangle):
        if p < s.peak:
            return s.start + (1 - s.start) * p / s.peak
        return 1 + (s.end - 1) * (p - s.peak) / (1 - s.peak)
    return s.factor ** sum(p >= a for a in s.at)


@pytest.mark.parametrize(
    "schedule",
    [
        WarmupCosine(), WarmupCosine(warmup=0.1, floor=0.2), WarmupCosine(warmup=0.0), OneCycle(),
        OneCycle(peak=0.0, start=0.3, end=0.01), Triangle(), Triangle(peak=0.2, start=0.05, end=0.1), Drops(),
        Drops(at=(0.75, 0.3, 0.3), factor=0.3),
    ],
)  # fmt: skip
def test_old_schedules_have_not_moved_by_a_bit(schedule: Any) -> None:
    for steps in (1, 3, 20, 938, 2000):
        for step in range(steps + 1):
            p = step / steps
            assert schedule(p) == written_out(schedule, p), (steps, step)


def follow(make: Any, steps: int = STEPS) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def wsd(step: int) -> float:
    return min(1.0, step / 6, (STEPS - step) / 12)


def cosine(floor: float, steps: int) -> Any:
    return lambda o: lr_scheduler.CosineAnnealingLR(o, steps, 0.1 * floor)


IN_TORCH = [
    (Constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    (Drops(at=(0.5, 0.75)), lambda o: lr_scheduler.MultiStepLR(o, [30, 45])),
    (Exponential(end=0.01), lambda o: lr_scheduler.ExponentialLR(o, 0.01 ** (1 / STEPS))),
    (Polynomial(power=2.0), lambda o: lr_scheduler.PolynomialLR(o, STEPS, 2.0)),
    (WarmupCosine(warmup=0.0, floor=0.1), cosine(0.1, STEPS)),
    (CosineRestarts(cycles=3, floor=0.1), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 20, 1, 0.01)),
    (CosineRestarts(cycles=2, stretch=2.0), lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 20, 2)),
    (Triangle(peak=0.5, start=0.1), lambda o: lr_scheduler.LambdaLR(o, lambda k: min(
        0.1 + 0.9 * k / 30, (STEPS - k) / 30))),
    (InverseSquareRoot(warmup=0.1), lambda o: lr_scheduler.LambdaLR(o, lambda k: min(
        k / 6, math.sqrt(6 / max(1, k))))),
    (WarmupStableDecay(warmup=0.1, decay=0.2), lambda o: lr_scheduler.LambdaLR(o, wsd)),
    (Warmup(then=WarmupCosine(warmup=0.0), share=0.25, start=0.1), lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 15), cosine(0.0, 45)(o)], [15])),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:The epoch parameter")  # SequentialLR of torch calls itself so
@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize(("schedule", "make"), IN_TORCH, ids=lambda v: type(v).__name__)
def test_rates_of_a_run_equal_torch_with_and_without_accumulation(
    schedule: Any, make: Any, accumulate: int
) -> None:
    ours, data = learner(schedule, accumulate=accumulate), batch()
    rates = [ours.update(data, step)["learning_rate"] for step in range(STEPS)]
    assert rates == pytest.approx(follow(make), rel=1e-9, abs=1e-12)


def test_one_cycle_equals_torch_up_to_the_step_at_which_it_ends() -> None:
    settings = {"pct_start": 19 / (STEPS + 1), "final_div_factor": 1e9, "cycle_momentum": False}
    theirs = follow(lambda o: lr_scheduler.OneCycleLR(o, 0.1, STEPS + 1, **settings))
    ours = [0.1 * OneCycle(peak=0.3)(step / STEPS) for step in range(STEPS)]
    assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("schedule", EVERY, ids=lambda v: type(v).__name__)
def test_a_run_stopped_in_its_warmup_goes_on_with_the_same_bits(schedule: Any) -> None:
    straight = learner(schedule)
    rates = [straight.update(batch(), step)["learning_rate"] for step in range(STEPS)]
    first = learner(schedule)
    begun = [first.update(batch(), step)["learning_rate"] for step in range(7)]  # of 18 steps of the warm-up
    second = learner(schedule)
    scatter(gather(first, {"learner": first}), second, {"learner": second})
    begun += [second.update(batch(), step)["learning_rate"] for step in range(7, STEPS)]
    assert begun == rates
    for a, b in zip(straight.raw.parameters(), second.raw.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("schedule", EVERY, ids=lambda v: type(v).__name__)
def test_every_schedule_is_positive_at_most_one_and_has_settings(schedule: Any) -> None:
    factors = [schedule(step / 997) for step in range(997)]
    assert all(0 <= f <= 1 for f in factors) and max(factors) > 0.99
    for name, value in flatten(schedule).items():
        assert override(schedule, name, str(value)) == schedule


def test_a_warmup_is_followed_by_the_whole_of_the_other_schedule() -> None:
    both, then = Warmup(then=Polynomial(), share=0.25, start=0.2), Polynomial()
    for step in range(200):
        parts = [lambda k: 0.2 + 0.8 * k / 50, lambda k: then(k / 150)]
        assert both(step / 200) == pytest.approx(in_sequence(step, parts, [50]), rel=1e-12)


REFUSED = [
    (lambda: Drops(at=(0.5, 1.5)), "at is 1.5; it is a fraction in"),
    (lambda: Drops(factor=0.0), "factor is 0.0; it must be in (0, 1]"),
    (lambda: Exponential(end=0.0), "end is 0.0; it must be in (0, 1]"),
    (lambda: Polynomial(power=0.0), "power is 0.0; it must be positive"),
    (lambda: Polynomial(end=1.0), "end is 1.0; it is a fraction"),
    (lambda: CosineRestarts(cycles=0), "cycles is 0; it must be 1 or more"),
    (lambda: CosineRestarts(stretch=0.5), "stretch is 0.5; it must be 1 or more"),
    (lambda: CosineRestarts(decay=0.0), "decay is 0.0; it must be in (0, 1]"),
    (lambda: InverseSquareRoot(warmup=0.0), "warmup is 0.0; it is a fraction in (0, 1)"),
    (lambda: WarmupStableDecay(warmup=0.6, decay=0.5), "more than the whole run"),
    (lambda: WarmupStableDecay(floor=1.0), "floor is 1.0; it is a fraction"),
    (lambda: Warmup(share=1.0), "share is 1.0; it is a fraction"),
    (lambda: Warmup(start=0.0, shape="exponential"), "start is 0.0; it must be in (0, 1]"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


def test_shapes_are_refused_by_the_command_line() -> None:
    for schedule in (WarmupStableDecay(), Warmup()):
        with pytest.raises(InputError, match="shape"):
            override(schedule, "shape", "round")


def test_a_setting_puts_another_schedule_there_with_its_own_defaults() -> None:
    experiment = override_all(lenet.tiny(), [("learning.schedule", "OneCycle"), ("peak", "0.5")])
    assert experiment.learning.schedule == OneCycle(peak=0.5)
    assert override(experiment, "schedule", "OneCycle") == experiment  # what is there already stays as it is
    settings = [
        ("evaluate_every", "8"), ("schedule", "Plateau"), ("factor", "0.5"), ("inner", "Warmup"),
        ("then", "Drops"),
    ]  # fmt: skip
    wanted = Plateau(factor=0.5, inner=Warmup(then=Drops()))
    assert override_all(lenet.tiny(), settings).learning.schedule == wanted
    for kind in choices().values():
        given = override_all(lenet.tiny(), [("evaluate_every", "8"), ("schedule", kind.__name__)])
        assert given.learning.schedule == kind()
    refused = [
        ("Cosine", "there is no schedule 'Cosine'; did you mean 'WarmupCosine'"),
        ("os.system", "there is no schedule 'os.system'"),
        ("Plateau", "--set schedule=Plateau: schedule is Plateau, which watches evaluations: set"),
    ]
    for name, said in refused:
        with pytest.raises(InputError, match=re.escape(said)):
            override(lenet.tiny(), "schedule", name)


def test_table_before_training() -> None:
    experiment = lenet.tiny()
    how = replace(
        experiment.learning, schedule=Triangle(peak=0.37, start=0.1), optimizer=SGD(learning_rate=0.2)
    )
    head, *rows = schedule_table(replace(experiment, learning=how, steps=1000), rows=5).splitlines()
    assert head.split() == ["step", "done", "factor", "learning", "rate"]
    found = {int(row.split()[0]): float(row.split()[-1]) for row in rows}
    assert list(found) == [0, 250, 370, 500, 749, 999]
    assert found[0] == pytest.approx(0.02) and found[370] == pytest.approx(0.2)
    assert "37.0%" in rows[2]
    live = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    shown = schedule_table(replace(experiment, learning=replace(how, optimizer=Live(live)), steps=10))
    assert shown.splitlines()[1].split()[-1] == "0.05"
    planned = Live(live, lr_scheduler.ExponentialLR(live, 0.9))
    with pytest.raises(InputError, match="set by a scheduler of torch"):
        schedule_table(replace(experiment, learning=replace(how, optimizer=planned)))
    with pytest.raises(InputError, match="there is no schedule to show"):
        schedule_table(dqn_cartpole.tiny())
