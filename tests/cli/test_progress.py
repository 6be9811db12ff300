"""What a person sees of a run: a bar in a terminal, plain lines in a pipe, nothing beside ``--json``."""

import re
import sys

import pytest
import torch

from fathom.architectures.convolutional import lenet
from fathom.cli.progress import Progress
from fathom.training import Event


class Terminal:
    """A stream that says it is a terminal, and keeps what is written to it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def watched(progress: Progress, steps: int = 10) -> None:
    """Ten steps; at the fifth the held-out rows are scored."""
    learner = lenet.tiny().learner()
    for step in range(1, steps + 1):
        metrics = {"loss": torch.tensor(1.0 / step)} | ({"valid/accuracy": 0.875} if step == 5 else {})
        progress(Event(steps=step, metrics=metrics, learner=learner, total=steps))
    progress.close()


def test_in_a_pipe_plain_lines_tell_loss_metric_speed_and_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watched(Progress(every=0.0))
    shown = capsys.readouterr()
    assert not shown.out and "\x1b" not in shown.err
    last = shown.err.splitlines()[-1]
    assert re.fullmatch(r"step 10/10 loss 0\.1000 valid/accuracy 0\.8750 [\d.]+ steps/s 0 s left", last), last


def test_lines_are_seconds_apart_and_the_last_is_always_there(capsys: pytest.CaptureFixture[str]) -> None:
    watched(Progress(every=3600.0))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("step 10/10 ")


def test_in_a_terminal_a_bar_tells_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    watched(Progress())
    for part in ("loss 0.1000", "valid/accuracy 0.8750", "steps/s", "10/10", "0:00:00"):
        assert part in terminal.text, (part, terminal.text)


def test_beside_json_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    watched(Progress(quiet=True, every=0.0))
    shown = capsys.readouterr()
    assert not shown.out and not shown.err
