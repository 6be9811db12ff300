"""Reduce on plateau in a run: torch's rates, exact resume through kills and processes, trials, refusals."""

import dataclasses
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from tests.training.test_parallel import together
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau

from fathom.architectures.convolutional import lenet
from fathom.data.split import Data, Tensors
from fathom.errors import InputError
from fathom.settings import override, override_all
from fathom.task import Evaluation
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import (
    SGD,
    CrossEntropy,
    Experiment,
    GradientDescent,
    OneCycle,
    Parallel,
    Plateau,
    Warmup,
    schedule_table,
)
from fathom.training import Live as LiveModel
from fathom.training.loop import Event
from fathom.training.observers import Evaluate
from fathom.training.optim import Live
from fathom.training.parallel import join, leave
from fathom.training.run import Run
from fathom.training.schedules import choices
from fathom.training.trial import trial
from fathom.verbs.train import resume, train

CUTS = Plateau(factor=0.5, patience=1, threshold=0.01, cooldown=1, floor=0.05)


@dataclasses.dataclass(frozen=True)
class Noise:
    """Labels that nothing tells."""

    held_out: bool = True

    def load(self) -> Data:
        dice = torch.Generator().manual_seed(1)
        rows, labels = torch.randn(64, 8, generator=dice), torch.randint(2, (64,), generator=dice)
        valid = Tensors((rows[32:], labels[32:])) if self.held_out else None
        return Data(Tensors((rows[:32], labels[:32])), valid)


def noise(steps: int = 120, schedule: Any = CUTS, **changes: Any) -> Experiment:
    """A run whose score goes up and down, so that the rate is cut."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    settings: dict[str, Any] = {
        "model": LiveModel(model), "data": Noise(),
        "task": VectorClassification(labels=("a", "b"), inputs_count=8),
        "learning": GradientDescent(
            objective=CrossEntropy(), optimizer=SGD(learning_rate=0.3), schedule=schedule
        ),
        "batch_size": 16, "steps": steps, "evaluate_every": 5,
    }  # fmt: skip
    return Experiment(**settings | changes)


def by_torch(scores: dict[int, float], steps: int, inner: Any = lambda progress: 1.0) -> list[float]:
    """The rates of a run in which torch's scheduler is told ``scores``, by step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    theirs = ReduceLROnPlateau(
        optimizer, mode="max", factor=0.5, patience=1, threshold=0.01, threshold_mode="abs", cooldown=1,
        min_lr=0.05 * 0.3, eps=0,
    )  # fmt: skip
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"] * inner(step / steps))
        if step + 1 in scores:
            theirs.step(scores[step + 1])
    return rates


@pytest.mark.parametrize("inner", [None, Warmup(share=0.3), OneCycle()], ids=["alone", "warmup", "one cycle"])
def test_rates_of_a_run_equal_torch(inner: Any, tmp_path: Path) -> None:
    schedule = CUTS if inner is None else dataclasses.replace(CUTS, inner=inner)
    run = train(noise(schedule=schedule), out=tmp_path / "run", export=False)
    scores = {r["step"]: r["valid/accuracy"] for r in run.rows if "valid/accuracy" in r}
    assert list(scores) == list(range(5, 121, 5))
    rates = [r["learning_rate"] for r in run.rows]
    assert rates == pytest.approx(by_torch(scores, 120, inner or (lambda progress: 1.0)), rel=1e-12)
    cuts = rates[-1] / (0.3 * (inner(119 / 120) if inner else 1.0))
    assert cuts <= 0.125  # three cuts or more, or nothing was compared


def test_a_negative_score_that_gets_worse_is_no_better() -> None:
    """Scores of losses are negative; a threshold relative to them would count a worse one as better."""
    learner: Any = noise().learner()
    for score in (-2.0, -2.005, -2.005):  # within the threshold of 0.01, and worse
        learner.observe(score)
    learner.update((torch.zeros(4, 8), torch.zeros(4, dtype=torch.int64)), 0)
    assert learner.optimizers["optimizer"].param_groups[0]["lr"] == 0.15


def test_a_plateau_that_is_never_reached_changes_no_bit(tmp_path: Path) -> None:
    patient = dataclasses.replace(CUTS, patience=1000)
    watched = train(noise(schedule=patient), out=tmp_path / "watched", export=False)
    plain = train(noise(schedule=patient.inner), out=tmp_path / "plain", export=False)
    assert watched.digest == plain.digest
    assert watched.digest != train(noise(), out=tmp_path / "cut", export=False).digest


@pytest.mark.parametrize("stop", [5, 17, 40, 63])
def test_a_stopped_run_goes_on_with_the_same_bits(stop: int, tmp_path: Path) -> None:
    """Stopped at an evaluation and between two, before the first cut and within a cooldown."""
    twin = train(noise(), out=tmp_path / "twin", export=False)

    def interrupt(event: Event) -> None:
        if event.steps == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(noise(), out=tmp_path / "run", export=False, observers=[interrupt])
    run = resume(tmp_path / "run", experiment=noise(), export=False)
    assert run.digest == twin.digest
    assert [r["learning_rate"] for r in run.rows] == [r["learning_rate"] for r in twin.rows]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_killed_run_goes_on_with_the_same_bits(tmp_path: Path, in_child: Callable[..., int]) -> None:
    """Killed right after an evaluation was taken in and before it is saved, twice, and in between."""
    twin = train(noise(), out=tmp_path / "twin", export=False)
    folder, plain = tmp_path / "run", Evaluate.__call__

    def killed(step: int) -> None:
        def dying(self: Evaluate, event: Event) -> None:
            plain(self, event)
            if event.steps == step:
                os.kill(os.getpid(), signal.SIGKILL)

        Evaluate.__call__ = dying  # type: ignore[method-assign]
        if (folder / "run.json").exists():
            resume(folder, experiment=noise(), export=False)
        else:
            train(noise(), out=folder, export=False)

    for step in (35, 35, 52, 60, 120):
        assert in_child(lambda step=step: killed(step)) == -signal.SIGKILL
    run = resume(folder, experiment=noise(), export=False)
    assert run.digest == twin.digest
    rates = [r["learning_rate"] for r in run.rows]
    assert rates == [r["learning_rate"] for r in twin.rows] and rates[-1] < rates[0]


def test_a_checkpoint_of_a_run_without_a_plateau_still_loads() -> None:
    learner: Any = noise().learner()
    plain: Any = noise(schedule=OneCycle()).learner()
    state = learner.state()
    old = {name: value for name, value in state.items() if name != "plateau"}
    learner.load_state(old)
    assert "plateau" in state and "plateau" not in plain.state()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored(VectorClassification):
    """A task whose evaluations score better each time in the second process, and never in the first."""

    rises: bool = False
    seen: list[float] = dataclasses.field(default_factory=list)

    def evaluate(self, network: Any, split: Any) -> Evaluation:
        self.seen.append(0.1 * len(self.seen) if self.rises else 0.5)
        return Evaluation({"accuracy": self.seen[-1]}, "accuracy")


def scored(learner: Any, parallel: Parallel) -> list[float]:
    """The cuts after each of four evaluations in this process."""
    task, cuts = Scored(labels=("a", "b"), inputs_count=8, rises=not parallel.leads), []
    evaluate = Evaluate(task, Noise().load().valid, every=1, steps=9, parallel=parallel)
    for step in range(4):
        evaluate(Event(step + 1, {}, learner))
        cuts.append(learner.plateau.current if hasattr(learner, "plateau") else 1.0)
    assert len(task.seen) == 4
    return cuts


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_counts_is_the_score_of_the_leading_process(tmp_path: Path) -> None:
    def work(rank: int) -> None:
        parallel = join("cpu")
        (tmp_path / str(rank)).write_text(json.dumps(scored(noise().learner(), parallel)))
        leave()

    assert together(work) == [0, 0]
    assert [json.loads((tmp_path / r).read_text()) for r in "01"] == [[1.0, 1.0, 0.5, 0.5]] * 2
    assert scored(noise().learner(), Parallel(rank=1)) == [1.0] * 4  # where its own scores would count


def test_only_a_learner_that_watches_is_told() -> None:
    class Plain:
        """The least that a learner is."""

        model = nn.Linear(8, 2)
        modules: ClassVar[dict[str, nn.Module]] = {"model": model}
        optimizers: ClassVar[dict[str, Any]] = {}

        def update(self, batch: Any, step: int) -> Any: ...

    assert scored(Plain(), Parallel()) == [1.0] * 4


def test_a_trial_evaluates_where_the_schedule_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, plain = trial(noise()), trial(noise(schedule=CUTS.inner))
    assert watched.metrics["train/loss"] != plain.metrics["train/loss"]
    run_of = trial(noise(schedule=dataclasses.replace(CUTS, patience=1000)))
    assert run_of.metrics["train/loss"] == plain.metrics["train/loss"]
    monkeypatch.setattr(Evaluate, "__call__", lambda self, event: 1 / 0)
    assert trial(noise(schedule=CUTS.inner)).metrics["train/loss"] == plain.metrics["train/loss"]


def test_settings_of_a_recipe(tmp_path: Path) -> None:
    learning = dataclasses.replace(lenet.tiny().learning, schedule=Plateau())  # type: ignore[type-var]
    tiny = dataclasses.replace(lenet.tiny(), learning=learning, evaluate_every=8)
    settings = [("learning.schedule.patience", "0"), ("factor", "0.5"), ("floor", "0.25"), ("steps", "48")]
    assert override_all(tiny, settings).learning.schedule == Plateau(patience=0, factor=0.5, floor=0.25)
    run = train(tiny, settings=settings, out=tmp_path / "run", export=False)
    record = json.loads((run.folder / "run.json").read_text())
    assert record["settings"]["learning.schedule"] == "Plateau"
    rates = {r["learning_rate"] / 3e-3 for r in Run(run.folder).rows}
    assert rates <= {1.0, 0.5, 0.25} and len(rates) > 1
    assert tiny.canary().evaluate_every == 8 and lenet.tiny().canary().evaluate_every is None


def test_every_schedule_has_a_name() -> None:
    import fathom.training as engine

    for name, kind in choices().items():
        assert getattr(engine, name) is kind and name in engine.__all__
        assert callable(kind())


def test_the_table_says_when_cuts_are_made() -> None:
    schedule = dataclasses.replace(CUTS, inner=OneCycle())
    *rows, last = schedule_table(noise(schedule=schedule), rows=5).splitlines()
    assert rows == schedule_table(noise(schedule=OneCycle()), rows=5).splitlines()
    assert last == (
        "and times 0.5, never below 0.05 in all, whenever more than 1 evaluations in a row, one every 5"
        " steps, were no better"
    )


def scheduled() -> GradientDescent:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    return dataclasses.replace(noise().learning, optimizer=Live(optimizer, ExponentialLR(optimizer, 0.9)))  # type: ignore[type-var]


REFUSED = [
    (
        lambda: noise(evaluate_every=None),
        "schedule is Plateau, which watches evaluations: set evaluate_every",
    ),
    (
        lambda: trial(noise(data=Noise(held_out=False))),
        "watches the score on a validation split; this data has none",
    ),
    (scheduled, "the optimizer has a scheduler that sets the rate: leave one out"),
    (lambda: Plateau(factor=1.0), "factor is 1.0; it must be in (0, 1)"),
    (lambda: Plateau(patience=-1), "patience is -1; it must be 0 or more"),
    (lambda: Plateau(threshold=-0.1), "threshold is -0.1; it must be 0 or more"),
    (lambda: Plateau(cooldown=-2), "cooldown is -2; it must be 0 or more"),
    (lambda: Plateau(floor=1.5), "floor is 1.5; it must be in [0, 1]"),
    (lambda: Plateau(inner=Plateau()), "inner is Plateau; one around the other would cut twice"),
    (lambda: Warmup(then=Plateau()), "then is Plateau, which stands outside: Plateau(inner=Warmup(...))"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


def test_a_run_without_held_out_rows_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this data has none"):
        train(noise(data=Noise(held_out=False)), out=tmp_path / "run", export=False)
    assert not (tmp_path / "run").exists()


def test_a_setting_that_takes_the_evaluations_away_is_refused() -> None:
    with pytest.raises(InputError, match=r"--set evaluate_every=None: schedule is Plateau"):
        override(noise(), "evaluate_every", "None")
