"""What a second reading found: order of writes, several processes, live objects, Windows."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.cli.train import announce
from fathom.data.split import Data, InMemory, Tensors
from fathom.errors import InputError
from fathom.settings import flatten, override
from fathom.tasks.tabular_regression import TabularRegression
from fathom.tasks.vector_classification import VectorClassification
from fathom.training import (
    SGD,
    CrossEntropy,
    Experiment,
    GradientDescent,
    Live,
    Parallel,
    WarmupCosine,
    importing,
)
from fathom.training.budget import LAST, Budget
from fathom.training.checkpoint import CheckpointError, CheckpointFolder
from fathom.training.guard import locate
from fathom.training.loop import Event
from fathom.training.observers import Evaluate, Interrupt
from fathom.training.optim import Live as LiveOptimizer
from fathom.training.run import Run
from fathom.verbs.fit import suit
from fathom.verbs.importing import import_file
from fathom.verbs.report import repeat, shortened
from fathom.verbs.train import resume, train

ROOT = Path(__file__).parents[2]


def small(model: nn.Module, **changes: Any) -> Experiment:
    dice = torch.Generator().manual_seed(1)
    rows, labels = torch.randn(64, 8, generator=dice), torch.randint(2, (64,), generator=dice)
    split = Tensors((rows, labels))
    settings: dict[str, Any] = {
        "model": Live(model), "data": InMemory(Data(split, split, split)),
        "task": VectorClassification(labels=("a", "b"), inputs_count=8),
        "learning": GradientDescent(objective=CrossEntropy(), optimizer=SGD(learning_rate=0.3)),
        "batch_size": 16, "steps": 12, "evaluate_every": 4,
    }  # fmt: skip
    return Experiment(**settings | changes)


def in_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_run_json_is_written_before_torch_is_imported(tmp_path: Path) -> None:
    code = f"""
import sys
import fathom.verbs.train as verb
plain = verb.create
def create(*given):
    run = plain(*given)
    print("torch" in sys.modules, (run.folder / "run.json").is_file())
    raise SystemExit(0)
verb.create = create
from fathom.cli.command import main
main(["train", "lenet", "--out", {str(tmp_path / "run")!r}, "--json"])
"""
    done = in_python(code)
    assert done.stdout == "False True\n", done.stderr


def test_runs_are_listed_without_torch(tmp_path: Path) -> None:
    listing = f"main(['list', '--runs', {str(tmp_path)!r}])"
    done = in_python(
        f"import sys; from fathom.cli.command import main; {listing}; print('torch' in sys.modules)"
    )
    assert done.stdout == "False\n" and "there are no runs" in done.stderr


def test_systems_without_resource_and_fcntl_can_import_the_verbs() -> None:
    code = """
import sys
sys.modules["resource"] = sys.modules["fcntl"] = None
import fathom.verbs.importing, fathom.verbs.train, fathom.verbs.fit, fathom.verbs.session
from fathom.verbs.finish import peak_memory
print(peak_memory())
"""
    done = in_python(code)
    assert done.stdout == "None\n", done.stderr


def test_a_signal_does_not_hide_that_early_stopping_ended_the_run() -> None:
    interrupt = Interrupt(Parallel())
    interrupt.caught = signal.SIGTERM
    learner = small(nn.Linear(8, 2)).learner()
    ended, going = Event(4, {}, learner, stop="no better accuracy"), Event(4, {}, learner)
    interrupt(ended)
    interrupt(going)
    assert (ended.stop, going.stop) == ("no better accuracy", "interrupted")


def test_the_leaders_score_counts_in_every_process() -> None:
    class Follower(Parallel):
        def lead(self, value: float) -> float:
            return 0.25

    experiment = small(nn.Linear(8, 2))
    learner, valid = experiment.learner(), experiment.data.load().valid
    watch = Evaluate(experiment.task, valid, every=1, steps=9, parallel=Follower(1))
    watch(Event(1, {}, learner))
    assert watch.score == watch.best == 0.25


def test_measuring_steps_leaves_a_live_module_and_its_optimizer_as_they_were() -> None:
    net = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
    how = GradientDescent(
        objective=CrossEntropy(), optimizer=LiveOptimizer(optimizer), schedule=WarmupCosine(warmup=0.5)
    )
    experiment = small(net, learning=how, steps=1000)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    assert Budget(60.0).steps(experiment, experiment.data.load(), Parallel()) > 1
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert optimizer.param_groups[0]["lr"] == 0.5 and not optimizer.state


def test_a_run_that_becomes_slow_ends_before_its_time_is_up() -> None:
    budget = Budget(LAST + 60.0)
    event = Event(10, {}, small(nn.Linear(8, 2)).learner())
    budget(event)
    assert event.stop is None
    budget.began -= 61.0
    budget(event)
    assert event.stop == "the time of 66 s is nearly up"
    event.stop = "no better accuracy"
    budget(event)
    assert event.stop == "no better accuracy"


def test_one_sitting_at_a_time(tmp_path: Path) -> None:
    """What follows the training is guarded too: a second process must not export or report meanwhile."""
    run = train(small(nn.Linear(8, 2)), out=tmp_path / "run", export=False)
    script = (
        "import sys; from pathlib import Path; from fathom.training.disk import alone\n"
        "with alone(Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(run.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None and other.stdout.readline() == b"mine\n"
    try:
        with pytest.raises(InputError, match=rf"another process writes this folder \(pid {other.pid}\)"):
            resume(run.folder, experiment=small(nn.Linear(8, 2)))
    finally:
        other.communicate(b"")
    assert resume(run.folder, experiment=small(nn.Linear(8, 2)), export=False).digest == run.digest


def test_a_model_that_does_not_suit_its_task_is_refused_before_the_first_step(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a size of the model was changed"):
        train(small(nn.Linear(8, 3)), out=tmp_path / "wide")
    with pytest.raises(InputError, match="does not take what its task gives it"):
        train(small(nn.Linear(7, 2)), out=tmp_path / "narrow")
    assert not (tmp_path / "wide").exists() and not (tmp_path / "narrow").exists()
    with pytest.raises(InputError, match="states of shapes"):
        train("char_lstm", settings=[("model.width", "64")], out=tmp_path / "lstm")


def test_a_live_optimizer_given_again_after_a_stop_keeps_its_rate(tmp_path: Path) -> None:
    def made() -> Experiment:
        torch.manual_seed(3)
        net = nn.Linear(8, 2)
        optimizer = LiveOptimizer(torch.optim.SGD(net.parameters(), lr=0.5))
        how = GradientDescent(objective=CrossEntropy(), optimizer=optimizer, schedule=WarmupCosine())
        return small(net, learning=how)

    def stop(event: Event) -> None:
        if event.steps == 8:
            raise KeyboardInterrupt

    twin = train(made(), out=tmp_path / "twin", export=False)
    same = made()
    with pytest.raises(KeyboardInterrupt):
        train(same, out=tmp_path / "run", export=False, observers=[stop])
    assert resume(tmp_path / "run", experiment=same, export=False).digest == twin.digest


@pytest.mark.parametrize(("outputs", "fits"), [((2,), True), ((2, 1), False)])
def test_a_module_may_answer_with_one_number_a_row(outputs: tuple[int, ...], fits: bool) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 0].reshape(outputs)

    class Task:
        def prepare(self, *inputs: Any) -> Any:
            return inputs

        def finish(self, output: Any) -> Any:
            return (output,)

        outputs = TabularRegression.outputs

    experiment = small(Net())
    object.__setattr__(experiment, "task", Task())
    if fits:
        suit(Net(), experiment, experiment.data.load())
        return
    with pytest.raises(InputError, match=r"gives \(2, 1\) for a batch of 2; this data needs \(2,\)"):
        suit(Net(), experiment, experiment.data.load())


def test_a_refused_resumption_leaves_run_json_alone(tmp_path: Path) -> None:
    run = train(small(nn.Linear(8, 2)), out=tmp_path / "run", export=False)
    record = {k: v for k, v in run.record.items() if k != "result"}
    (run.folder / "run.json").write_text(json.dumps(record))
    before = (run.folder / "run.json").read_bytes()
    with CheckpointFolder(run.checkpoints), pytest.raises(InputError, match="another process"):
        resume(run.folder, experiment=small(nn.Linear(8, 2), steps=99), export=False)
    assert (run.folder / "run.json").read_bytes() == before
    with pytest.raises(CheckpointError):
        resume(run.folder, experiment=small(nn.Sequential(nn.Linear(8, 2)), steps=99), export=False)
    assert run.record["steps"] == 12


def test_a_finished_run_of_an_own_module_makes_its_report_again(tmp_path: Path) -> None:
    run = train(small(nn.Linear(8, 2)), out=tmp_path / "run", export=False)
    run.report.unlink()
    again = resume(run.folder, experiment=small(nn.Linear(8, 2)), export=False)
    assert again.report.is_file() and again.digest == run.digest
    run.report.unlink()
    with pytest.raises(InputError, match="not the one that"):
        resume(run.folder, experiment=small(nn.Sequential(nn.Linear(8, 2))), export=False)


def test_running_statistics_spoiled_by_the_failing_step_are_not_blamed() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(torch.log(x - 100)))

    net, x = Net(), torch.rand(8, 4)
    net(x)
    assert net.norm.running_mean is not None and net.norm.running_mean.isnan().all()
    origin = locate(net, lambda: net(x).sum(), (x, x[:, 0]))
    assert origin is not None and (origin.operation, origin.phase) == ("aten.log", "forward")


def test_keeping_the_best_needs_evaluations() -> None:
    with pytest.raises(ValueError, match="evaluate_every"):
        small(nn.Linear(8, 2), keep="best", evaluate_every=None)
    assert small(nn.Linear(8, 2), keep="best").canary().keep == "last"


def test_settings_inside_a_tuple_can_be_changed() -> None:
    @dataclasses.dataclass(frozen=True)
    class Part:
        size: int = 2

    @dataclasses.dataclass(frozen=True)
    class Whole:
        parts: tuple[Any, ...] = (Part(), Part(3))

    assert flatten(override(Whole(), "parts.1.size", "5")) == {"parts.0.size": 2, "parts.1.size": 5}
    with pytest.raises(InputError, match="takes int"):
        override(Whole(), "parts.0.size", "many")


def test_only_the_first_of_several_processes_prints_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(tmp_path)
    run.update(name="x", state="running")
    monkeypatch.setenv("RANK", "1")
    announce(run, as_json=True)
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_torchrun_trains_and_prints_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "fathom",
    ]
    command += ["train", "tests.cli.tiny_recipe:recipe", "--out", str(folder), "--no-export", "--json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["digest"] == Run(folder).digest
    assert not list(folder.glob(".metrics*"))


def test_listing_survives_a_damaged_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("bad", "{"), ("good", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    (tmp_path / "good" / "run.json").unlink()
    Run(tmp_path / "good").update(name="lenet", state="interrupted", started="2026-01-02T03:04:05+0000")
    assert main(["list", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "left out" in shown.err
    (line,) = shown.out.splitlines()
    assert "lenet" in line and "2026-01-02T03:04" in line and line.endswith("interrupted, resumable")
    assert main(["list", "--prune"]) == 2


@pytest.mark.parametrize(
    "command", [["train", "a.pt"], ["train", "--resume", "a.pth"], ["evaluate", "x", "a.pkl"]]
)
def test_files_that_hold_code_are_shown_the_door(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    assert f"fathom import {command[-1]}" in capsys.readouterr().err


def test_predict_shows_the_door_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(lenet.tiny(), out=tmp_path / "run", export=False, settings=[("steps", "2")])
    assert main(["predict", str(run.folder), "a.pth"]) == 2
    assert "fathom import a.pth" in capsys.readouterr().err


def test_the_importing_child_opens_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "x.pt")
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        knock = f"import socket; socket.create_connection({door.getsockname()!r})\nstate ="
        monkeypatch.setattr(importing, "CHILD", importing.CHILD.replace("state =", knock, 1))
        with pytest.raises(InputError, match="PermissionError"):
            import_file(tmp_path / "x.pt")


def test_the_command_that_makes_a_fit_again_is_whole() -> None:
    origin = {
        "kind": "fit", "own_model": False, "path": "my data/a.csv", "target": None, "text": "said",
        "skip_bad": True, "seed": 3, "settings": [["steps", "5"]],
    }  # fmt: skip
    assert repeat(origin) == "fathom fit 'my data/a.csv' --set steps=5 --text said --skip-bad --seed 3"
    assert repeat(origin | {"own_model": True}) == ""


def test_a_long_setting_is_shortened_on_the_page() -> None:
    """A vocabulary of thousands of words would be most of a report."""
    assert shortened([0.9, 0.999]) == [0.9, 0.999] and shortened("x" * 500) == "x" * 500
    assert shortened(list(range(30))) == list(range(30))
    said = shortened([f"w{i}" for i in range(5210)])
    assert said.startswith("['w0', 'w1', ") and said.endswith(
        "'w29', ... and 5,180 more, which run.json lists]"
    )
