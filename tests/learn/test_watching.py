"""``fathom learn watch`` as a learner starts it: a file is saved, a verdict comes, Ctrl-C ends it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

import pytest

from fathom.learn.engine.exercise import answer_path, exercise
from fathom.learn.engine.progress import Log
from fathom.learn.engine.verdict import Verdict
from fathom.learn.engine.worker import Worker
from fathom.learn.terminal import practice
from fathom.learn.terminal.watching import Watch

SLUG, FIRST = "gradient-descent", "one_step"
PATIENCE = 60.0  # seconds until a line must have come; the first verdict imports torch


class Told:
    """The lines of a process, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: Queue[str] = Queue()
        self.process = process
        self.reading = threading.Thread(target=self.read, daemon=True)
        self.reading.start()

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def until(self, beginning: str) -> str:
        """The next line that begins so; those before it are passed over."""
        end = time.monotonic() + PATIENCE
        seen = []
        while time.monotonic() < end:
            try:
                seen.append(self.lines.get(timeout=0.2))
            except Empty:
                assert self.process.poll() is None, f"it ended, after {seen}"
            else:
                if seen[-1].startswith(beginning):
                    return seen[-1]
        raise AssertionError(f"no line begins with {beginning!r}: {seen}")


@contextmanager
def watching(home: Path) -> Iterator[Told]:
    """The command without a terminal, so without keys; it must end by Ctrl-C, cleanly."""
    with subprocess.Popen(
        [sys.executable, "-m", "fathom", "learn", "watch", f"{SLUG}/{FIRST}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"FATHOM_LEARN": str(home)}, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # else a shell's & turns it off
    ) as process:  # fmt: skip
        told = Told(process)
        try:
            yield told
            process.send_signal(signal.SIGINT)
            process.wait(20)
        finally:
            process.kill()
            told.reading.join()
        assert process.stderr is not None
        complaints = process.stderr.read()
        assert process.returncode == 130 and not complaints, (process.returncode, complaints)


@pytest.mark.slow
def test_each_save_gets_its_verdict_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    made = exercise(SLUG, FIRST)
    place = answer_path(tmp_path, made)
    with watching(tmp_path) as told:
        assert told.until("edit") == f"edit  {place}"
        assert place.read_text(encoding="utf-8") == made.starter
        place.write_text(made.solution.replace("- rate", "+ rate"), encoding="utf-8")
        assert made.mistakes["uphill"] in told.until("not yet")
        place.write_text(made.solution, encoding="utf-8")
        assert made.passed in told.until("passed")
    events = [(event.kind, event.passed, event.mistake) for event in Log(tmp_path).events()]
    assert events == [("check", False, "uphill"), ("check", True, "")]


@pytest.mark.slow
def test_ctrl_c_also_ends_it_before_anything_was_graded(tmp_path: Path) -> None:
    with watching(tmp_path) as told:
        told.until("keys")


def test_keys_and_what_is_not_graded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A starter is no answer; h, s, r and n do what they say, q stops."""
    said: list[str] = []
    monkeypatch.setattr(practice, "grade", lambda *given: Verdict(True, "", "Well."))
    watch = Watch(Worker(), tmp_path, f"{SLUG}/{FIRST}", said.append)
    made = exercise(SLUG, FIRST)
    place = answer_path(tmp_path, made)
    assert not watch.look() and not watch.look()
    place.write_text("", encoding="utf-8")  # as most editors do before they write
    assert not watch.look()
    place.write_text("# mine\n", encoding="utf-8")
    assert [watch.look() for _ in range(3)] == [False, True, False]
    assert any(line.startswith("passed") for line in said)
    place.unlink()  # as some editors do for a moment
    assert not watch.look() and not watch.look()
    place.write_text("# mine\n", encoding="utf-8")
    said.clear()
    assert all(watch.press(key) for key in "hsr")
    assert said[0].startswith("hint 1 of") and said[1] == made.solution
    assert said[2] == f"begun anew; what you wrote is in {place.with_suffix('.1.txt')}"
    assert not watch.look() and not watch.look() and place.read_text(encoding="utf-8") == made.starter
    assert watch.press("n") and watch.exercise.key in said[3]
    assert not watch.press("q")
