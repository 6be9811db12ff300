"""Sessions: early stopping, best weights, guards that stop, damaged checkpoints, two writers, full disks."""

import dataclasses
import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.data.split import Data, InMemory, Tensors
from fathom.errors import InputError, RunError
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import SGD, CrossEntropy, Experiment, GradientDescent, Live
from fathom.training.checkpoint import CheckpointError, CheckpointFolder, read
from fathom.training.run import Run
from fathom.verbs.train import resume, train


def overfitting(**changes: Any) -> Experiment:
    """Random labels on the training rows: the validation score soon only falls."""
    dice = torch.Generator().manual_seed(1)
    rows, labels = torch.randn(64, 8, generator=dice), torch.randint(2, (64,), generator=dice)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
    train_split, valid = Tensors((rows[:32], labels[:32])), Tensors((rows[32:], labels[32:]))
    settings: dict[str, Any] = {
        "model": Live(model), "data": InMemory(Data(train_split, valid, valid)),
        "task": VectorClassification(labels=("a", "b"), inputs_count=8),
        "learning": GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.3)),
        "batch_size": 16, "steps": 200, "evaluate_every": 5,
    }  # fmt: skip
    return Experiment(**settings | changes)


def test_patience_stops_and_the_best_weights_come_back(tmp_path: Path) -> None:
    run = train(overfitting(patience=6, keep="best"), out=tmp_path / "run", export=False)
    scores = {r["step"]: r["valid/accuracy"] for r in run.rows if "valid/accuracy" in r}
    assert run.record["result"]["stopped"].startswith("no better accuracy in 6 evaluations")
    assert max(scores) < 200
    assert run.metrics["valid/accuracy"] == max(scores.values())
    kept = run.folder / "checkpoints"
    best = min(s for s, v in scores.items() if v == max(scores.values()))
    assert (kept / f"step-{best:08d}").is_dir()


def test_last_weights_are_kept_unless_best_is_asked_for(tmp_path: Path) -> None:
    run = train(overfitting(steps=60), out=tmp_path / "run", export=False)
    scores = [r["valid/accuracy"] for r in run.rows if "valid/accuracy" in r]
    assert run.metrics["valid/accuracy"] == scores[-1]


class Trouble(nn.Module):
    """Fine until its weight grows past a bound; then its logarithm is none."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 2)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.count += 1
        return self.second(self.inner(self.first(x)))

    def inner(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x.abs() - 100) if self.count > 30 else x


def test_nan_stops_with_a_cause_a_capsule_and_a_good_state(tmp_path: Path) -> None:
    experiment = overfitting(model=Live(Trouble()), evaluate_every=10)
    with pytest.raises(RunError) as caught:
        train(experiment, out=tmp_path / "run", export=False)
    said = str(caught.value)
    assert "not finite at step 30" in said and "aten.log" in said and "last good state is step 30" in said
    capsule = tmp_path / "run" / "capsule-step-30"
    assert json.loads((capsule / "capsule.json").read_text())["step"] == 30
    assert (capsule / "batch.safetensors").is_file() and (capsule / "weights.safetensors").is_file()
    assert Run(tmp_path / "run").record["state"] == "failed"
    good = read(tmp_path / "run" / "checkpoints")
    assert good is not None and good.step == 30
    assert all(t.isfinite().all() for t in good.tensors.values() if t.is_floating_point())


def finished(tmp_path: Path, steps: int = 30) -> Path:
    """A run that was interrupted, with two checkpoints."""
    experiment = dataclasses.replace(lenet.tiny(), steps=steps, evaluate_every=10)

    def stop(event: Any) -> None:
        if event.steps == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(experiment, out=tmp_path / "run", export=False, observers=[stop])
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 2
    return tmp_path / "run"


@pytest.mark.parametrize("damage", ["truncated", "bit", "missing", "manifest"])
def test_a_damaged_checkpoint_is_found_said_and_the_one_before_used(damage: str, tmp_path: Path) -> None:
    experiment = dataclasses.replace(lenet.tiny(), steps=30, evaluate_every=10)
    twin = train(experiment, out=tmp_path / "twin", export=False)
    folder = finished(tmp_path)
    newest = folder / "checkpoints" / "step-00000020"
    state = newest / "state.safetensors"
    data = bytearray(state.read_bytes())
    if damage == "truncated":
        state.write_bytes(data[: len(data) // 2])
    elif damage == "bit":
        data[len(data) // 2] ^= 4
        state.write_bytes(data)
    elif damage == "missing":
        state.unlink()
    else:
        (newest / "manifest.json").write_text("{}")
    said: list[str] = []
    run = resume(folder, experiment=experiment, export=False, say=said.append)
    assert run.digest == twin.digest
    (entry,) = run.record["resumed"]
    assert entry["step"] == 10 and "step-00000020" in entry["rejected"][0]
    assert any("not used" in s for s in said)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = finished(tmp_path)
    other = dataclasses.replace(
        lenet.tiny(), model=lenet.Config(image_size=16, classes=4, sparse=True), steps=30
    )
    with pytest.raises(CheckpointError):
        resume(folder, experiment=other, export=False)


def test_two_runs_in_one_folder_the_second_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished(tmp_path)
    with CheckpointFolder(folder / "checkpoints"), pytest.raises(InputError, match="another process"):
        resume(folder, experiment=dataclasses.replace(lenet.tiny(), steps=30), export=False)
    assert main(["train", "lenet", "--out", str(folder)]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_a_full_disk_leaves_older_checkpoints_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no room is left the save is skipped and said; when there is room again, saving goes on."""
    from fathom.training import disk

    experiment = dataclasses.replace(lenet.tiny(), steps=40, evaluate_every=5)
    twin = train(experiment, out=tmp_path / "twin", export=False)
    plain = disk.write_file
    full = {"now": False, "hit": 0}

    def write(*given: Any, **named: Any) -> Any:
        if full["now"]:
            full["hit"] += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(*given, **named)

    def watch(event: Any) -> None:
        full["now"] = 10 <= event.steps < 30
        if event.steps == 25:
            loaded = read(tmp_path / "run" / "checkpoints")
            assert loaded is not None and loaded.step == 10

    monkeypatch.setattr(disk, "write_file", write)
    run = train(experiment, out=tmp_path / "run", export=False, observers=[watch])
    assert full["hit"] and run.digest == twin.digest


def test_run_record_tells_how_it_was_made(tmp_path: Path) -> None:
    run = train(dataclasses.replace(lenet.tiny(), steps=5), out=tmp_path / "run", export=False)
    record = run.record
    assert record["state"] == "finished" and record["steps"] == 5 and record["processes"] == 1
    assert record["settings"]["learning.optimizer.learning_rate"] == 3e-3
    assert {"python", "torch", "numpy"} <= set(record["versions"])
    assert set(record["result"]) >= {"metrics", "intervals", "seconds", "digest", "memory"}
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!DOCTYPE html>")
