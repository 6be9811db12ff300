"""What a worker can be asked to do. Only this module, and what it imports, knows torch.

A job is a generator of messages: plain values under the key "kind". After a frame of a figure it waits until
the parent asks for more, so the parent sets the pace: it pauses, goes step by step, and never has to throw a
frame away. Imported by the fork server, this module must not run a backward pass or start a thread: a fork
would inherit half of it.
"""

import contextlib
import importlib.util
import json
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from fathom.learn.engine import project
from fathom.learn.engine.confine import Limits, confine, explain
from fathom.learn.engine.figure import LARGEST, load_figures
from fathom.learn.engine.forbidden import forbidden_word
from fathom.learn.engine.grade import Answer, grade, raised
from fathom.learn.engine.verdict import Verdict

Message = dict[str, Any]
Job = Generator[Message, Message | None, None]
ANSWER = "your answer"
ASKING = ("frame", "finished")  # after these a job waits to be told how to go on


def child(connection: Connection, job: str, given: Message, limits: Limits, folder: Path) -> None:
    """The life of a worker's process."""
    sys.dont_write_bytecode = True
    if hasattr(os, "setsid"):
        os.setsid()  # so that all it may start can be ended at once
    os.chdir(folder)
    torch.set_num_threads(1)
    catch_output(folder)
    confine(folder, limits)

    def tell(message: Message) -> None:
        with contextlib.suppress(OSError):
            connection.send_bytes(json.dumps(message).encode())

    tell({"kind": "ready"})
    try:
        follow(JOBS[job](limits, **given), connection, tell)
    except BaseException as error:
        tell({"kind": "error", "message": said(error, "", limits)})
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # learner code may have closed, replaced or filled it
            stream.flush()
    tell({"kind": "end"})


def follow(work: Job, connection: Connection, tell: Callable[[Message], None]) -> None:
    """Do a job to its end, or until nobody listens any more."""
    with contextlib.suppress(StopIteration, EOFError):
        message = next(work)
        while True:
            tell(message)
            waits = message["kind"] in ASKING
            message = work.send(json.loads(connection.recv_bytes()) if waits else None)


def catch_output(folder: Path) -> None:
    """What is printed goes to a file, whose size is limited as that of any other."""
    descriptor = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]


def nothing(limits: Limits) -> Job:
    """Start, and end."""
    yield {"kind": "done"}


def grade_answer(
    limits: Limits, exercise: str, answer: str, place: str = ANSWER, seed: int = 0, folder: str = ""
) -> Job:
    """The verdict on the text of an answer; ``exercise`` is the path of its file.

    ``folder`` is that of a project, whose files import each other.
    """
    module = load(Path(exercise))
    if folder:
        project.enter(folder)
    word, reason = forbidden_word(answer, getattr(module, "FORBIDDEN", {}))
    if word:
        rule = f"This exercise is to be done without {word}: {reason}"
        yield Verdict(False, "rules", rule).as_message()
        return

    def tell(error: BaseException) -> str:
        return said(error, place, limits, folder)

    try:
        function = run_answer(answer, place, module.__name__)
        verdict = grade(module, guarded(function, limits), seed, tell)
    except Exploded as error:
        verdict = Verdict(False, "runs", tell(error.cause))
    yield verdict.as_message()


def grade_twin(limits: Limits, exercise: str, twin: str, seed: int = 0, folder: str = "") -> Job:
    """The verdict on a function of the exercise itself: ``solution``, ``starter`` or a wrong twin."""
    module = load(Path(exercise))
    if folder:
        project.enter(folder)
    yield grade(module, getattr(module, twin), seed).as_message()


def run_figure(limits: Limits, folder: str, name: str, settings: Message) -> Job:
    """Frames of a figure. An answer with "settings" begins it anew; any other asks for the next frame."""
    shown = load_figures(Path(folder))[name]
    while True:
        asked = None
        for frame in shown.frames(settings):
            message = frame.as_message()
            if len(json.dumps(message)) > LARGEST:
                raise ValueError(f"a frame of {name} is larger than {LARGEST // 1024} KiB")
            asked = yield message
            if asked and "settings" in asked:
                break
        else:
            asked = yield {"kind": "finished"}
        if not asked or "settings" not in asked:
            return
        settings = asked["settings"]


class Exploded(BaseException):
    """Learner code raised something that decides the verdict by itself.

    No ``Exception``: no check may take it for an ordinary error, nor for a twin's behaviour.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def guarded(function: Answer, limits: Limits) -> Answer:
    """The learner's function; what a limit or an exit did to it ends the grading. A class stays itself."""

    def call(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except Exception as error:
            if explain(error, limits) is None:
                raise
            raise Exploded(error) from error
        except BaseException as error:
            raise Exploded(error) from error

    return function if isinstance(function, type) else call


def run_answer(text: str, place: str, name: str) -> Answer:
    """Run the learner's file and return what it defines under the name of the exercise."""
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise Exploded(
            SyntaxError("it holds a NUL character, which no program may; delete it", (place, line, 0, ""))
        )
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    module = ModuleType("answer")
    try:
        exec(compile(text, place, "exec"), vars(module))
    except BaseException as error:
        raise Exploded(error) from error
    if not hasattr(module, name):
        raise Exploded(NameError(f"the file defines no {name}; the grader looks for that name"))
    return getattr(module, name)


def said(error: BaseException, place: str, limits: Limits, folder: str = "") -> str:
    """An error in a sentence, with the line of the learner's file, or of one beside it, where it happened."""
    if isinstance(error, SyntaxError):
        where = f"line {error.lineno}" if error.lineno else "your answer"
        return f"Python cannot read {where}: {error.msg}"
    if isinstance(error, SystemExit):
        text = "Your code called exit; let it return a value instead"
    else:
        text = explain(error, limits) or raised(error)
    frames = traceback.extract_tb(error.__traceback__)
    near = [f for f in frames if f.filename == place or Path(f.filename).parent == Path(folder or place)]
    if not near:
        return text
    where = "" if near[-1].filename == place else f"{Path(near[-1].filename).name}, "
    return f"{text} ({where}line {near[-1].lineno}: {near[-1].line})"


def load(path: Path) -> ModuleType:
    """A file of a topic as a module; its folder need not be a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


JOBS: dict[str, Callable[..., Job]] = {
    "nothing": nothing,
    "grade_answer": grade_answer,
    "grade_twin": grade_twin,
    "run_figure": run_figure,
}
