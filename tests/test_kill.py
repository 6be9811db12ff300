"""kill -9 at any moment: the resumed run ends in the bits of the undisturbed one.

Children are forked, so torch is imported once; each is killed without warning after a random time, and
started again, with another number of loader workers, until it gets through. The pieces of a run that
was interrupted in an evaluation, at the edge of an epoch or twice inside one are among the moments hit,
and each of those is also aimed at directly.
"""

import dataclasses
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fathom import catalog
from fathom.training import Experiment
from fathom.training import observers as watching
from fathom.training.run import Run
from fathom.verbs.train import resume, train

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]

FAMILIES = {"lenet": 500, "dcgan": 160, "char_lstm": 200, "dqn_cartpole": 400}
KILLS = 5  # a family, and as many again over two processes: at least 20 in all, should one of five be late


def longer(name: str, **changes: Any) -> Experiment:
    """The system's tiny run, long enough to be killed several times."""
    experiment = catalog.system(name).load().tiny()
    return dataclasses.replace(experiment, steps=FAMILIES[name], **changes)


def forked(work: Callable[[], Any], **environment: str) -> int:
    """Run ``work`` in a child with its own process group; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        os.environ.update(environment)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        work()
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.stderr)
    finally:
        os._exit(code)


def go(folder: Path, experiment: Experiment) -> None:
    """Begin the run, or go on with it."""
    if (folder / "run.json").exists():
        resume(folder, experiment=experiment, export=False)
    else:
        train(experiment, out=folder, export=False)


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is imported at the first step is imported before the first fork."""
    go(
        tmp_path_factory.mktemp("warm") / "run",
        dataclasses.replace(longer("lenet"), steps=2, evaluate_every=1),
    )


@pytest.fixture(autouse=True)
def eager_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save every few steps, so that a run of two seconds has many states to be killed between."""
    plain = watching.Checkpoints.__init__

    def often(self: Any, *given: Any, **named: Any) -> None:
        plain(self, *given, **named | {"every": 7, "seconds": 0.05})
        self.cost = 0.0

    monkeypatch.setattr(watching.Checkpoints, "__init__", often)


def finished(folder: Path) -> Run | None:
    run = Run(folder)
    return run if (folder / "run.json").exists() and run.record["state"] == "finished" else None


def newest(folder: Path) -> int:
    """The step of the newest checkpoint, -1 without one."""
    steps = [int(p.name[5:]) for p in (folder / "checkpoints").glob("step-????????")]
    return max(steps, default=-1)


def progressed(folder: Path, before: int, child: int) -> bool:
    """Wait for a checkpoint newer than ``before``; False when the child ended first."""
    while newest(folder) <= before:
        status = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if status is not None:
            return False
        time.sleep(0.005)
    return True


@pytest.mark.parametrize("name", FAMILIES)
def test_killed_runs_end_in_the_same_bits(name: str, tmp_path: Path) -> None:
    dice = random.Random(f"kill {name}")
    began = time.monotonic()
    assert wait(forked(lambda: go(tmp_path / "twin", longer(name)))) == 0
    whole = time.monotonic() - began
    twin = finished(tmp_path / "twin")
    assert twin is not None

    kills, folder = 0, tmp_path / "killed"
    for attempt in range(60):
        workers = attempt % 3 if name == "lenet" else 0
        before = newest(folder)
        child = forked(lambda workers=workers: go(folder, longer(name, workers=workers)))
        if kills < KILLS and progressed(folder, before, child):
            time.sleep(dice.uniform(0.0, 0.1) * whole)
            kills += finished(folder) is None
            os.killpg(child, signal.SIGKILL)
        if wait(child) == 0:
            break
    done = finished(folder)
    assert done is not None and kills >= KILLS - 1
    assert done.digest == twin.digest
    assert done.metrics == twin.metrics
    assert [r["step"] for r in done.rows if "loss" in r] == [r["step"] for r in twin.rows if "loss" in r]
    assert [r.get("loss") for r in done.rows] == [r.get("loss") for r in twin.rows]


def test_two_processes_killed_together_end_in_the_same_bits(tmp_path: Path) -> None:
    dice = random.Random("kill two")
    experiment = longer("lenet")

    def start(folder: Path) -> list[int]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        return [
            forked(lambda: go(folder, experiment), RANK=str(r), LOCAL_RANK=str(r), **common) for r in (0, 1)
        ]

    began = time.monotonic()
    assert [wait(c) for c in start(tmp_path / "twin")] == [0, 0]
    whole = time.monotonic() - began
    twin = finished(tmp_path / "twin")
    assert twin is not None and twin.record["processes"] == 2
    folder, kills = tmp_path / "killed", 0
    for _ in range(30):
        before = newest(folder)
        children = start(folder)
        if kills < KILLS and progressed(folder, before, children[0]):
            time.sleep(dice.uniform(0.0, 0.1) * whole)
            kills += finished(folder) is None
            for child in children:
                os.killpg(child, signal.SIGKILL)
        if [wait(c) for c in children] == [0, 0]:
            break
    done = finished(folder)
    assert done is not None and kills >= KILLS - 1
    assert done.digest == twin.digest


class Stop:
    """An observer that ends its process the moment ``step`` is made: a kill at a chosen place."""

    def __init__(self, step: int) -> None:
        self.step = step

    def __call__(self, event: Any) -> None:
        if event.steps == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("evaluate_every", [None, 16])
def test_second_and_third_resumption_in_one_epoch_and_at_its_edge(
    evaluate_every: int | None, tmp_path: Path
) -> None:
    """Epochs of tiny LeNet have 8 steps: killed at 10, 12, 14 (inside one), 16 (its edge), and at the end."""
    experiment = dataclasses.replace(longer("lenet"), steps=40, evaluate_every=evaluate_every)
    assert wait(forked(lambda: go(tmp_path / "twin", experiment))) == 0
    folder = tmp_path / "killed"
    for step in (10, 12, 14, 16, 39, 40):

        def killed(step: int = step) -> None:
            if (folder / "run.json").exists():
                resume(folder, experiment=experiment, export=False, observers=[Stop(step)])
            else:
                train(experiment, out=folder, export=False, observers=[Stop(step)])

        assert wait(forked(killed)) == -signal.SIGKILL
    assert wait(forked(lambda: go(folder, experiment))) == 0
    assert Run(folder).digest == Run(tmp_path / "twin").digest
    assert len(Run(folder).record["resumed"]) >= 3


def test_killed_during_an_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = dataclasses.replace(longer("lenet"), steps=40, evaluate_every=16)
    assert wait(forked(lambda: go(tmp_path / "twin", experiment))) == 0
    folder = tmp_path / "killed"

    def killed() -> None:
        kind = type(experiment.task)
        plain, calls = kind.evaluate, [0]

        def evaluate(self: Any, network: Any, split: Any) -> Any:
            calls[0] += 1
            if calls[0] == 2:
                plain(self, network, split)
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(self, network, split)

        kind.evaluate = evaluate  # type: ignore[method-assign]
        go(folder, experiment)

    assert wait(forked(killed)) == -signal.SIGKILL
    assert wait(forked(lambda: go(folder, experiment))) == 0
    assert Run(folder).digest == Run(tmp_path / "twin").digest
    assert Run(folder).record["result"]["metrics"] == Run(tmp_path / "twin").record["result"]["metrics"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_stop(number: signal.Signals, tmp_path: Path) -> None:
    """The run stops after the step in hand with a checkpoint, says how to go on, and the rest is the same."""
    experiment = longer("lenet")
    assert wait(forked(lambda: go(tmp_path / "twin", experiment))) == 0
    folder = tmp_path / "stopped"

    def stopped() -> None:
        from fathom.verbs.session import Interrupted

        def send(event: Any) -> None:
            if event.steps == 30:
                os.kill(os.getpid(), number)

        try:
            train(experiment, out=folder, export=False, observers=[send])
        except Interrupted as error:
            assert error.signal == number
            assert "--resume" in str(error)
            os._exit(42)

    assert wait(forked(stopped)) == 42
    assert Run(folder).record["state"] == "interrupted"
    assert wait(forked(lambda: go(folder, experiment))) == 0
    assert Run(folder).digest == Run(tmp_path / "twin").digest


def test_a_run_killed_before_its_first_checkpoint_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = dataclasses.replace(longer("lenet"), steps=12)
    assert wait(forked(lambda: go(tmp_path / "twin", experiment))) == 0

    def killed() -> None:
        train(experiment, out=tmp_path / "killed", export=False, observers=[Stop(1)])

    monkeypatch.setattr(watching.Checkpoints, "__call__", lambda self, event: None)
    assert wait(forked(killed)) == -signal.SIGKILL
    monkeypatch.undo()
    assert not list((tmp_path / "killed" / "checkpoints").glob("step-*"))
    assert wait(forked(lambda: go(tmp_path / "killed", experiment))) == 0
    assert Run(tmp_path / "killed").digest == Run(tmp_path / "twin").digest
