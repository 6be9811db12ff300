"""``fathom learn watch``: save the file in your editor, read the verdict a moment later.

Keys: h the next hint, s the solution, n the next exercise, r begin anew, q quit. Where there is no terminal
to read keys from, it only watches.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fathom.errors import InputError
from fathom.learn.engine import exercise, plain_maths
from fathom.learn.engine.exercise import Exercise
from fathom.learn.engine.standing import desk
from fathom.learn.terminal import practice

if TYPE_CHECKING:
    from fathom.learn.engine.worker import Worker

GLANCE = 0.1  # seconds between looks at the file
KEYS = "keys: h hint, s solution, n next, r reset, q quit"


class Watch:
    """One exercise at a time, graded whenever its file changes."""

    def __init__(self, worker: "Worker", home: Path, name: str | None, say: Callable[[str], None]) -> None:
        self.worker, self.home, self.say = worker, home, say
        self.exercise: Exercise
        self.seen: tuple[int, int, int] | None = None
        self.settling: tuple[int, int, int] | None = None
        self.go_to(name)

    def onward(self) -> str | None:
        """What n means: what is left of this topic, from the present exercise on; None: of any other."""
        here, slug = desk(self.home), self.exercise.topic
        names, left = exercise.exercises(slug), here.left(slug)
        at = names.index(self.exercise.name)
        others = (name for name in names[at + 1 :] + names[:at] if name in left)
        return next((f"{slug}/{name}" for name in others), None)

    def go_to(self, name: str | None) -> None:
        """Turn to an exercise; without a name, to the next that is not solved."""
        slug, inner = practice.chosen(name, desk(self.home))
        if inner == practice.QUIZ:
            raise InputError(f"the exercises of {slug} are solved; now: fathom learn check {slug}/quiz")
        self.exercise = exercise.exercise(slug, inner)
        path = exercise.begin(self.home, self.exercise)
        untouched = path.read_text(encoding="utf-8", errors="replace") == self.exercise.starter
        self.seen = facts_of(path) if untouched else None  # what nobody wrote yet is not graded
        asked = plain_maths.text(self.exercise.statement)
        self.say(f"\n{self.exercise.key}\n\n{asked}\n\nedit  {path}\n{KEYS}")

    def look(self) -> bool:
        """Grade the file if it changed and has come to rest; True if it was graded.

        Many editors empty a file before they fill it, so what has just changed is graded at the next look,
        when it is still the same.
        """
        now = facts_of(exercise.answer_path(self.home, self.exercise))
        rests, self.settling = now == self.settling, now
        if now is None or now == self.seen or not rests:
            return False
        self.seen = now
        verdict = practice.grade(self.worker, self.home, self.exercise, desk(self.home))
        self.say("")
        for line in practice.report(verdict, self.exercise, self.home):
            self.say(line)
        if verdict.passed:
            self.say("n goes on to the next, s shows another way")
        return True

    def press(self, key: str) -> bool:
        """Do what a key says; False when it says to stop."""
        if key == "h":
            self.say(practice.hint(self.home, self.exercise))
        elif key == "s":
            self.say(practice.solution(self.home, self.exercise))
        elif key == "r":
            kept = practice.reset(self.home, self.exercise)
            self.seen = facts_of(exercise.answer_path(self.home, self.exercise))
            self.say("begun anew" + (f"; what you wrote is in {kept}" if kept else ""))
        elif key == "n":
            try:
                self.go_to(self.onward())
            except InputError as done:
                self.say(str(done))
                return False
        return key != "q"


def facts_of(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is saved; None while an editor puts a new one in its place."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def watch(worker: "Worker", home: Path, name: str | None) -> None:
    """Watch until q, Ctrl-C, or the end of the exercises."""
    watching = Watch(worker, home, name, lambda text: print(text, flush=True))
    with single_keys() as keys:
        while True:
            watching.look()
            key = keys(GLANCE)
            if key and not watching.press(key):
                return


@contextlib.contextmanager
def single_keys() -> Iterator[Callable[[float], str]]:
    """A function that waits some seconds for a key, and returns "" when there was none."""
    if not sys.stdin.isatty() or os.name == "nt":

        def none(seconds: float) -> str:
            time.sleep(seconds)
            return ""

        yield none
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)  # keys come without Return, and Ctrl-C still ends

    def one(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return os.read(descriptor, 1).decode("ascii", "replace").lower() if ready else ""

    try:
        yield one
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
