"""The range test of an experiment: its trial, and not a bit left changed.

That it suggests what fastai does is tested beside the primitive, in ``tests/fundamentals/schedules``.
"""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.data.split import Data, InMemory, Tensors
from fathom.errors import InputError
from fathom.generative.gans import dcgan
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent, Live, Triangle
from fathom.training.optim import Live as LiveOptimizer
from fathom.training.rate_range import RangeTest, generators_kept, range_test
from fathom.verbs.find_rate import find_rate
from fathom.verbs.train import train

ROOT = Path(__file__).parents[2]


def small(model: nn.Module, **changes: Any) -> Experiment:
    dice = torch.Generator().manual_seed(1)
    rows, labels = torch.randn(64, 8, generator=dice), torch.randint(2, (64,), generator=dice)
    split = Tensors((rows, labels))
    settings: dict[str, Any] = {
        "model": Live(model), "data": InMemory(Data(split, split, split)),
        "task": VectorClassification(labels=("a", "b"), inputs_count=8),
        "learning": GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.3)),
        "batch_size": 16, "steps": 12,
    }  # fmt: skip
    return Experiment(**settings | changes)


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))


def snapshot(model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> Any:
    return (
        {n: (t.clone(), t.data_ptr()) for n, t in model.state_dict().items()},
        [p.grad is None for p in model.parameters()],
        [m.training for m in model.modules()],
        json.dumps(optimizer.state_dict(), default=lambda t: t.tolist()) if optimizer else "",
        (torch.get_rng_state().tolist(), repr(np.random.get_state())),  # beartype draws from Python's own
    )


def same(a: Any, b: Any) -> bool:
    weights = all(torch.equal(a[0][n][0], b[0][n][0]) and a[0][n][1] == b[0][n][1] for n in a[0])
    return weights and a[0].keys() == b[0].keys() and a[1:] == b[1:]


def test_live_weights_optimizer_and_generators_are_untouched() -> None:
    model = network().eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    model(torch.randn(4, 8)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    scheduler.step()
    how = GradientDescent(
        objective=CrossEntropy(), optimizer=LiveOptimizer(optimizer, scheduler), average=0.9, clip_norm=1.0
    )
    before, planned = snapshot(model, optimizer), scheduler.state_dict()
    found = range_test(small(model, learning=how), steps=30)
    assert len(found.rates) == 30 and found.rates[0] == pytest.approx(1e-7)
    assert len(set(found.losses)) > 20  # it did train
    assert same(before, snapshot(model, optimizer)) and scheduler.state_dict() == planned


def test_every_generator_is_put_back() -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), torch.rand(()).item()

    with generators_kept():
        inside = draw()
    assert draw() == inside
    with pytest.raises(KeyError), generators_kept():
        inside = draw()
        raise KeyError
    assert draw() == inside


def test_untouched_too_when_the_trial_fails() -> None:
    class Broken(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.rand(()) < 0.2:
                raise RuntimeError("broken")
            return super().forward(x)

    model = Broken(8, 2)
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="broken"):
        range_test(small(model), steps=100)
    assert same(before, snapshot(model))


@pytest.mark.parametrize("live", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_following_run_has_the_same_bits_with_and_without(live: bool, tmp_path: Path) -> None:
    def follow(folder: str, find: bool) -> tuple[str, Any]:
        model = network()
        if live:
            how = GradientDescent(
                objective=CrossEntropy(), schedule=Triangle(),
                optimizer=LiveOptimizer(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)),
            )  # fmt: skip
            experiment = small(model, learning=how)
        else:
            experiment = replace(lenet.tiny(), steps=8)
        if find:
            find_rate(experiment, steps=20)
        run = train(experiment, out=tmp_path / folder, export=False)
        return run.digest, [row["loss"] for row in run.rows]

    assert follow("with", True) == follow("without", False)


def test_explosions_and_numbers_that_are_none_end_it() -> None:
    model = nn.Linear(8, 2)
    found = range_test(small(model), highest=1e8, steps=200)
    assert "exploded" in found.ended and len(found.rates) < 200
    lowest = min(found.smooth)
    assert found.smooth[-1] > 4 * lowest and all(s <= 4 * lowest for s in found.smooth[:-1])
    dice = torch.Generator().manual_seed(0)
    rows = torch.randn(64, 8, generator=dice)
    rows[40:] = torch.nan
    split = Tensors((rows, torch.zeros(64, dtype=torch.int64)))
    found = range_test(small(model, data=InMemory(Data(split, split, split))))
    assert found.ended == "the loss was no number any more" and found.suggestion is None
    assert all(np.isfinite(found.losses))


def test_rates_of_groups_keep_their_ratio_and_the_schedule_plays_no_part() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters(), "lr": 0.2}]
    live = LiveOptimizer(torch.optim.SGD(groups))
    how = GradientDescent(objective=CrossEntropy(), optimizer=live, schedule=Triangle())
    found = range_test(small(model, learning=how), lowest=1e-5, highest=1e-1, steps=20)
    assert found.rates == pytest.approx([1e-5 * 1e4 ** (k / 20) for k in range(20)], rel=1e-12)
    assert [g["lr"] for g in live.optimizer.param_groups] == [0.1, 0.2]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"lowest": 0.0}, "lowest is 0.0 and highest is 10.0; they must be 0 < lowest < highest"),
    ({"lowest": 1.0, "highest": 0.1}, "lowest is 1.0 and highest is 0.1"),
    ({"highest": float("inf")}, "highest is inf"),
    ({"steps": 19}, "steps is 19; a range test needs at least 20"),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        range_test(small(nn.Linear(8, 2)), **settings)


def test_learners_of_their_own_and_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"one loss and one optimizer; .* learns in its own way"):
        range_test(dcgan.tiny())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="runs in one process"):
        find_rate(small(nn.Linear(8, 2)))


@pytest.mark.slow
def test_table_and_picture(tmp_path: Path) -> None:
    rates = tuple(1e-3 * 1.1**k for k in range(60))
    losses = tuple(2.0 - 0.02 * k for k in range(60))
    found = RangeTest(rates, losses, losses, 60, "all 60 rates were tried")
    assert found.suggestion == rates[6 + 49 // 3 + 49 // 6 - 1]  # half-way into losses 6 to 54
    head, *rows = found.table(rows=4).splitlines()
    assert head.split() == ["learning", "rate", "loss", "smoothed"] and len(rows) == 4
    assert float(rows[-1].split()[0]) == pytest.approx(rates[-1], rel=1e-2)
    for name in ("curve.svg", "curve.png"):
        assert found.draw(tmp_path / name).stat().st_size > 1000
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "curve.svg").read_text()
    with pytest.raises(InputError, match=r"end its name in .svg or .png"):
        found.draw(tmp_path / "curve.pdf")
    with pytest.raises(InputError, match="cannot be written"):
        found.draw(tmp_path / "nowhere" / "curve.svg")
    assert RangeTest((), (), (), 100, "").suggestion is None
    assert RangeTest((), (), (), 100, "").table().count("\n") == 0


@pytest.mark.slow
def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    recipe = "tests.cli.tiny_recipe:recipe"
    assert main(["train", recipe, "--find-lr", "--out", "a.svg", "--set", "batch_size=16"]) == 0
    said = capsys.readouterr().out
    assert f"fathom train {recipe} --set learning_rate=" in said and "learning rate" in said
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]  # no run folder
    assert main(["train", recipe, "--find-lr", "--json", "--seed", "3"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert set(told) == {"suggestion", "ended", "rates", "losses", "smooth"}
    assert 1e-7 < told["suggestion"] < 10 and len(told["rates"]) == len(told["losses"]) <= 100
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    for extra, reason in (
        (["--tensorboard"], "belong to a training run"),
        (["--out", "a"], "draws a picture"),
    ):
        assert main(["train", recipe, "--find-lr", *extra]) == 2
        assert reason in capsys.readouterr().err
    assert main(["train", "--find-lr"]) == 2
    assert "give a recipe" in capsys.readouterr().err


def test_nothing_falls_nothing_is_suggested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    flat: Callable[..., Any] = lambda *_, **__: RangeTest((1.0,) * 30, (2.0,) * 30, (2.0,) * 30, 30, "over")  # noqa: E731
    monkeypatch.setattr("fathom.verbs.find_rate.find_rate", flat)
    assert main(["train", "tests.cli.tiny_recipe:recipe", "--find-lr"]) == 1
    assert "no learning rate is suggested" in capsys.readouterr().err
