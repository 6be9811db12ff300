"""Where scalars go: the file that is the truth, TensorBoard as a guest, and guests that break."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from fathom.architectures.convolutional import lenet
from fathom.training.track import Guarded, JsonLines, TensorBoard, read_rows
from fathom.verbs.train import train


def test_lines_are_kept_rewound_and_read(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    lines = JsonLines(file)
    for step in range(1, 6):
        lines.scalars(step, {"loss": 1 / step})
    lines.finish()
    with file.open("a") as handle:
        handle.write('{"step": 6, "lo')  # a crash in the middle of a line
    assert [r["step"] for r in read_rows(file)] == [1, 2, 3, 4, 5]
    again = JsonLines(file)
    again.rewind(3)
    again.scalars(4, {"loss": math.nan})
    again.finish()
    rows = read_rows(file)
    assert [r["step"] for r in rows] == [1, 2, 3, 4] and rows[-1]["loss"] == "nan"


class Broken:
    """A tracker whose server is gone."""

    calls = 0

    def scalars(self, step: int, values: Any) -> None:
        self.calls += 1
        raise ConnectionError("the server is gone")

    def settings(self, values: Any) -> None: ...

    def finish(self) -> None: ...


def test_a_broken_tracker_is_told_of_once_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    guest = Broken()
    guarded = Guarded([guest])
    for step in range(3):
        guarded.scalars(step, {"loss": 1.0})
    assert guest.calls == 1
    assert capsys.readouterr().err.count("the server is gone") == 1


def test_a_broken_tracker_stops_no_run(tmp_path: Path) -> None:
    experiment = dataclasses.replace(lenet.tiny(), steps=10)
    plain = train(experiment, out=tmp_path / "plain", export=False)
    tracked = train(experiment, out=tmp_path / "tracked", export=False, trackers=[Broken()])
    assert tracked.digest == plain.digest and len(tracked.rows) == 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tensorboard_holds_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    experiment = dataclasses.replace(lenet.tiny(), steps=10)
    board = TensorBoard(tmp_path / "board")
    run = train(experiment, out=tmp_path / "run", export=False, trackers=[board])
    stored = EventAccumulator(str(tmp_path / "board")).Reload()
    losses = {e.step: e.value for e in stored.Scalars("loss")}
    assert losses == pytest.approx({r["step"]: r["loss"] for r in run.rows}, rel=1e-6)


def test_metrics_of_a_run_have_every_step(tmp_path: Path) -> None:
    experiment = dataclasses.replace(lenet.tiny(), steps=12, evaluate_every=5)
    run = train(experiment, out=tmp_path / "run", export=False)
    assert [r["step"] for r in run.rows] == list(range(1, 13))
    assert [r["step"] for r in run.rows if "valid/accuracy" in r] == [5, 10, 12]
    for line in (run.folder / "metrics.jsonl").read_text().splitlines():
        assert {"loss", "grad_norm", "learning_rate"} <= set(json.loads(line))
