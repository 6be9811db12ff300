"""``--loss module:function``: typed by a person, checked first, and asked for again where a run goes on."""

import csv
import json
import random
from pathlib import Path

import pytest
import torch

import fathom
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.verbs.own_loss import named_loss

MODULE = """
import torch
import torch.nn.functional as F


def margin(output, target):
    right = output.gather(1, target[:, None])
    return (1 + output - right).relu().mean()


def softer(output, target):
    return F.cross_entropy(output, target, label_smoothing=0.2)


def cut(output, target):
    return (output.detach().argmax(1) != target).float().mean()


NUMBER = 3
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of two classes and a module of losses, both in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_losses_for_fit.py").write_text(MODULE)
    dice = random.Random(0)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "kind"])
        for _ in range(200):
            a, b = dice.gauss(0, 1), dice.gauss(0, 1)
            writer.writerow([round(a, 3), round(b, 3), "up" if a + b > 0 else "down"])
    return tmp_path / "rows.csv"


def fit(table: Path, loss: str, *more: str) -> int:
    command = ["fit", str(table), "--target", "kind", "--set", "steps=20", "--no-export", "--json"]
    return main([*command, "--loss", f"own_losses_for_fit:{loss}", "--out", "run", *more])


def test_fit_trains_with_it_and_the_run_says_so(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(table, "margin") == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["valid/accuracy"] > 0.6
    record = json.loads(Path("run/run.json").read_text())
    assert record["origin"]["own_loss"] == "margin"
    assert record["settings"]["learning.objective.loss"] == "margin"


def test_a_wrong_gradient_stops_it_before_step_0(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(table, "cut") == 2
    assert "the loss cut, checked before step 0" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_run_that_goes_on_asks_for_the_loss_it_had(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(table, "softer") == 0
    ended = json.loads(capsys.readouterr().out)
    again = ["train", "--resume", "run", "--no-export", "--json"]
    assert main(again) == 2
    assert "was trained with a loss of your own, softer: give it again" in capsys.readouterr().err
    assert main([*again, "--loss", "own_losses_for_fit:margin"]) == 2
    assert "was trained with softer, not with margin" in capsys.readouterr().err
    assert main([*again, "--loss", "own_losses_for_fit:softer"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == ended["digest"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("margin", "write module:function"),
        ("own_losses_for_fit:none_such", "there is no loss 'own_losses_for_fit:none_such'"),
        ("no_such_module_here:margin", "there is no loss 'no_such_module_here:margin'"),
        ("own_losses_for_fit:NUMBER", "is a int; it must be a function"),
    ],
)
def test_what_is_no_loss_is_refused(table: Path, path: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        named_loss(path)


def test_what_has_no_objective_takes_no_loss(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dqn_cartpole", "--loss", "own_losses_for_fit:margin", "--out", "run"]) == 2
    assert "has none: it updates the network in its own way" in capsys.readouterr().err
    assert not Path("run").exists()


def test_fit_leaves_no_folder_where_a_loss_cannot_be_one(table: Path) -> None:
    with pytest.raises(InputError, match="parameters nothing would train"):
        fathom.fit(table, target="kind", steps=5, loss=torch.nn.Linear(2, 1), out="run", export=False)
    assert not Path("run").exists()


def test_a_recipe_that_had_none_takes_none_later(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["fit", str(table), "--target", "kind", "--set", "steps=5", "--no-export", "--out", "run"]
    assert main(command) == 0
    assert main(["train", "--resume", "run", "--loss", "own_losses_for_fit:margin"]) == 2
    assert "was trained with the loss of its recipe, not with margin" in capsys.readouterr().err
