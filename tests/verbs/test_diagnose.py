"""``fathom explain curves``: small runs of the engine, five that underfit and five that overfit; refusals."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fathom.applications.tabular import house_prices
from fathom.cli.command import main
from fathom.data.split import Data, InMemory, Tensors
from fathom.errors import InputError
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent
from fathom.training.experiment import Live
from fathom.training.randomness import generator
from fathom.training.run import Run
from fathom.verbs.diagnose import diagnose
from fathom.verbs.train import train


def rows(count: int, seed: int, part: str) -> Tensors:
    """Ten numbers a row; the label is in which quadrant the first two lie, and wrong in a tenth of rows."""
    dice = generator(seed, "quadrants", part)
    x = torch.randn(count, 10, generator=dice)
    label = (x[:, 0] > 0).long() + 2 * (x[:, 0] * x[:, 1] > 0).long()
    anything = torch.randint(4, (count,), generator=dice)
    return Tensors((x, torch.where(torch.rand(count, generator=dice) < 0.1, anything, label)))


def net(seed: int, width: int = 128, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    hidden = (nn.Linear(10, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
    return nn.Sequential(*hidden, nn.Dropout(dropout), nn.Linear(width, 4))


def experiment(seed: int, model: nn.Module, count: int, steps: int = 120, **how: Any) -> Experiment:
    optimizer = AdamW(**({"learning_rate": 3e-3} | how))
    return Experiment(
        model=Live(model),
        data=InMemory(Data(train=rows(count, seed, "train"), valid=rows(300, seed, "valid"))),
        task=VectorClassification(labels=("a", "b", "c", "d"), inputs_count=10),
        learning=GradientDescent(objective=CrossEntropy(), optimizer=optimizer),
        batch_size=32,
        steps=steps,
        seed=seed,
        evaluate_every=max(1, steps // 12),
    )


def ran(made: Experiment, folder: Path) -> Run:
    return train(made, out=folder, export=False)


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return ran(experiment(5, net(5), 48), tmp_path_factory.mktemp("runs") / "over")


@pytest.mark.slow
def test_runs_that_underfit_are_flagged_five_times_of_five(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = {
        "too small": experiment(0, nn.Sequential(nn.Linear(10, 1), nn.Linear(1, 4)), 600),
        "held back": experiment(1, net(1), 600, weight_decay=150.0),
        "dropped out": experiment(2, net(2, width=8, dropout=0.97), 600),
        "too few steps": experiment(3, net(3), 600, steps=6),
        "too slow": experiment(4, net(4), 600, learning_rate=1e-6),
    }
    for name, example in made.items():
        told = diagnose(ran(example, tmp_path / name).folder)
        assert told["regime"] == "underfitting", (name, told)
        assert told["numbers"]["baseline"] == pytest.approx(math.log(4))


@pytest.mark.slow
def test_runs_that_overfit_are_flagged_five_times_of_five(tmp_path: Path, overfitted: Run) -> None:
    runs = [ran(experiment(seed, net(seed), 48), tmp_path / str(seed)) for seed in range(6, 10)]
    for run in (overfitted, *runs):
        told = diagnose(run)
        assert told["regime"] == "overfitting", told
        assert told["measured"] == {"training": "loss", "validation": "valid/log_loss"}
        assert told["numbers"]["rise"] > 0.05 and told["numbers"]["accuracy_gap"] > 0.1


@pytest.mark.slow
def test_a_run_that_fits_well_is_left_in_peace(tmp_path: Path) -> None:
    run = ran(experiment(10, net(10, width=32), 4000, steps=500), tmp_path / "good")
    assert diagnose(run)["regime"] == "well fitted"


@pytest.mark.slow
def test_the_command_prints_words_or_json(overfitted: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "curves", str(overfitted.folder)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("overfitting\n") and "has risen from" in shown
    assert "try next\n  - Keep the weights of the best validation loss" in shown
    assert "accuracy gap" in shown
    assert main(["explain", "curves", str(overfitted.folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(diagnose(overfitted)))
    assert set(told) == {"run", "regime", "reason", "advice", "numbers", "measured"}
    assert main(["explain", "curves", str(overfitted.folder), "--baseline", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["numbers"]["baseline"] == 3
    assert main(["explain", "curves", str(overfitted.folder), "--floor", "9"]) == 2
    assert "the baseline must be above the floor" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_scored_only_at_its_end_has_one_point(tmp_path: Path) -> None:
    run = ran(replace(experiment(5, net(5), 48), evaluate_every=None), tmp_path / "end")
    told = diagnose(run)
    assert told["regime"] == "overfitting"
    assert told["numbers"]["validation_loss"] == pytest.approx(run.metrics["valid/log_loss"])


@pytest.mark.slow
def test_softened_labels_are_not_compared(tmp_path: Path) -> None:
    made = experiment(5, net(5), 48)
    soft = GradientDescent(objective=CrossEntropy(label_smoothing=0.1), optimizer=AdamW(learning_rate=3e-3))
    told = diagnose(ran(replace(made, learning=soft), tmp_path / "soft"))
    assert "gap" not in told["numbers"] and told["regime"] == "overfitting"  # by accuracies and the course


@pytest.mark.slow
def test_a_regression_is_told_by_its_course(tmp_path: Path) -> None:
    made = house_prices.tiny()
    run = ran(replace(made, evaluate_every=5), tmp_path / "houses")
    told = diagnose(run)
    assert told["measured"]["validation"] == "valid/rmse" and "gap" not in told["numbers"]
    with pytest.raises(InputError, match="recorded valid/rmse 1 times, and its course needs 3"):
        diagnose(ran(made, tmp_path / "once"))


def written(folder: Path, lines: list[dict[str, Any]], **record: Any) -> Run:
    """A run folder with these rows, made by hand."""
    folder.mkdir()
    run = Run(folder)
    run.update(name="own", state="interrupted", **record)
    text = "".join(json.dumps(row) + "\n" for row in lines)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    return run


def test_what_cannot_be_diagnosed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no run folder"):
        diagnose(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"recorded no training loss yet; .*--resume"):
        diagnose(written(tmp_path / "empty", []))
    losses = [{"step": i, "loss": 1 / i} for i in range(1, 9)]
    with pytest.raises(InputError, match=r"recorded nothing on validation data, .*evaluate_every"):
        diagnose(written(tmp_path / "unscored", losses))
    scored = [*losses, {"step": 9, "valid/return": 3.0}]
    with pytest.raises(InputError, match="recorded only return on validation data"):
        diagnose(written(tmp_path / "game", scored))
    short = [{"step": 1, "loss": 1.0, "valid/loss": 1.0}]
    with pytest.raises(InputError, match="cannot be diagnosed: training has 1 points"):
        diagnose(written(tmp_path / "short", short))


def test_an_unfinished_run_and_one_that_diverged(tmp_path: Path) -> None:
    falling = [{"step": i, "loss": 3 * 0.9**i, "valid/loss": 3 * 0.9**i} for i in range(1, 60)]
    assert diagnose(written(tmp_path / "going", falling))["regime"] == "well fitted"
    broken = [*falling, {"step": 60, "loss": "nan"}]
    told = diagnose(written(tmp_path / "broken", broken))
    assert told["regime"] == "not converged" and "not finite at step 60" in told["reason"]
