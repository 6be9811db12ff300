"""Runs learner code and live figures, each in a process of its own that is forked warm and shut in.

A fork server imports torch once, in about two seconds; every job then starts in milliseconds. A job is the
name of a function in ``jobs`` and arguments in JSON; what it reports comes back as JSON too, so that nothing
of a learner is ever unpickled here. The parent watches the clock and the folder, and ends the job with all
it started. One thread for each job: on a busy machine more of them make small steps fifteen times slower.

    >>> for message in Worker().run("grade_answer", exercise=..., answer=...):
    ...     message["kind"]              # "ready", then those of the job, and "end" at last
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from fathom.learn.engine.confine import MIB, Limits

PRELOADED = "fathom.learn.engine.jobs"
LATE = "torch._dynamo"  # torch imports it when a process makes its first optimizer, which takes seconds
LARGEST = 4 * MIB  # bytes of one message
PATIENCE = 120.0  # seconds until the fork server, which imports torch, must have started a job
GLANCE = 0.1  # seconds between looks at clock and folder
OUTPUT = "output.txt"
Message = dict[str, Any]


class Worker:
    """Starts jobs. The fork server lives as long as this process.

    For ``many`` jobs it also imports what jobs would import late, each anew; for a single one that is a loss.
    """

    def __init__(self, limits: Limits | None = None, *, many: bool = True) -> None:
        self.limits = limits or Limits()
        self.busy: set[Running] = set()  # jobs of ``run``
        self.forks = "forkserver" in multiprocessing.get_all_start_methods()
        self.context: Any = multiprocessing.get_context("forkserver" if self.forks else "spawn")
        if self.forks:
            # __main__ too, or else every job would import the script that was started.
            self.context.set_forkserver_preload(["__main__", PRELOADED] + [LATE] * many)

    def start(self, job: str, limits: Limits | None = None, **given: Any) -> "Running":
        """Begin a job; its messages are to be read from what is returned."""
        return Running(self.context, job, given, limits or self.limits)

    def run(self, job: str, limits: Limits | None = None, **given: Any) -> Iterator[Message]:
        """Begin a job and give its messages, up to its end."""
        running = self.start(job, limits, **given)
        self.busy.add(running)
        try:
            yield from running.messages()
        finally:
            self.busy.discard(running)
            running.stop()

    def halt(self) -> None:
        """End the jobs that run, from any thread: whoever waits for one is told so at once."""
        for running in list(self.busy):
            running.halted = True
            running.kill()

    def close(self) -> None:
        """End the jobs, and the fork server with them: nobody who leaves waits until torch is imported."""
        self.halt()
        if self.forks:
            from multiprocessing import forkserver

            # The standard library has no word for it: its server ends by itself, but only once it listens.
            pid = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def warm(self) -> None:
        """Have torch imported, so that the first job starts as fast as the others."""
        for _ in self.run("nothing"):
            pass


class Running:
    """A job that was started."""

    def __init__(self, context: Any, job: str, given: Message, limits: Limits) -> None:
        self.limits = limits
        self.folder = Path(tempfile.mkdtemp(prefix="fathom-learn-"))
        self.ours, theirs = context.Pipe()
        arguments = (theirs, job, json.dumps(given), limits, str(self.folder))
        self.process = context.Process(target=enter, args=arguments, daemon=True)
        with one_thread(), contextlib.suppress(EOFError, ConnectionError):  # the fork server may be gone
            self.process.start()
        theirs.close()
        self.deadline = time.monotonic() + PATIENCE
        self.started = self.halted = False
        self.reason = ""

    def send(self, message: Message) -> None:
        """Tell the job something: the new settings of a figure, say. A job that is gone does not mind."""
        with contextlib.suppress(OSError):
            self.ours.send_bytes(json.dumps(message).encode())

    def messages(self) -> Iterator[Message]:
        """All that the job reports; at last "end", with the reason if it was stopped, and what it printed."""
        while True:
            message = self.receive(GLANCE)
            if message is not None:
                yield message
                if message["kind"] == "end":
                    return

    def receive(self, seconds: float) -> Message | None:
        """The next message, None if there is none within ``seconds``, "end" when no more can come."""
        if not self.reason and wait([self.ours], timeout=seconds):
            message = self.read()
            if message is None:
                return self.end(self.what_happened())
            if message["kind"] == "ready":
                self.started, self.deadline = True, time.monotonic() + self.limits.seconds
            return self.end("") if message["kind"] == "end" else message
        complaint = self.complaint()
        return self.end(complaint) if complaint else None

    def read(self) -> Message | None:
        """A message; None where the job is gone or sends what is none."""
        try:
            message = json.loads(self.ours.recv_bytes(LARGEST))
        except (EOFError, OSError, ValueError, RecursionError):
            return None
        return message if isinstance(message, dict) and isinstance(message.get("kind"), str) else None

    def complaint(self) -> str:
        """Why the job must be stopped now, or ""."""
        if time.monotonic() > self.deadline:
            if not self.started:
                return f"The worker did not start within {PATIENCE:.0f} s; is the machine very busy?"
            return (
                f"Your code ran longer than {self.limits.seconds:g} s and was stopped."
                " Is there a loop that does not end?"
            )
        if size_of(self.folder) > self.limits.folder:
            return f"Your code wrote more than {self.limits.folder // MIB} MiB and was stopped."
        return ""

    def what_happened(self) -> str:
        """Why a job is gone that never said its last word."""
        if self.process.pid is None:
            return "This could not begin: fathom learn ended, or the system has no memory left for it."
        self.process.join(1.0)
        if self.halted:
            return "This was stopped before it could be checked, for fathom learn ended."
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
            if name in ("SIGXCPU", "SIGALRM"):
                return f"Your code used more than {self.limits.seconds:g} s and was stopped."
            if name == "SIGKILL":
                return "Your code was stopped by the system; it probably asked for too much memory."
            return f"Your code crashed the process it ran in ({name})."
        return (
            f"Your code ended its process (exit code {code}) before it could be checked."
            " Is there a call of exit in it?"
        )

    def end(self, reason: str) -> Message:
        self.reason = reason
        self.stop()
        return {"kind": "end", "reason": reason, "output": self.output}

    def stop(self) -> None:
        """End the job and everything it started, and remove its folder; what it printed is kept."""
        self.kill()
        if self.process.pid is not None:
            with contextlib.suppress(OSError, ValueError):
                self.process.join(5)
        self.ours.close()
        if not hasattr(self, "output"):
            self.output = printed(self.folder / OUTPUT, self.limits.output)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):
                os.killpg(self.process.pid, signal.SIGKILL)  # it leads a group of its own
            with contextlib.suppress(OSError, ValueError):
                self.process.kill()


def printed(file: Path, limit: int) -> str:
    """The beginning of what a job printed."""
    try:
        with file.open("rb") as opened:
            data = opened.read(limit + 1)
    except OSError:
        return ""
    text = data[:limit].decode("utf-8", "replace")
    return text + ("\n... (more was printed than is kept)" if len(data) > limit else "")


def size_of(folder: Path) -> int:
    """Bytes of the plain files in a folder; they may vanish meanwhile."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """The fork server inherits the environment it is started in."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def enter(connection: Connection, job: str, given: str, limits: Limits, folder: str) -> None:
    """The child: shut itself in, do the job, report."""
    from fathom.learn.engine import jobs

    jobs.child(connection, job, json.loads(given), limits, Path(folder))
    os._exit(0)  # an orderly end would stumble over streams that an answer closed, and print so
