"""What one learner did, as a page needs it; and what the server keeps in mind until it ends."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from fathom.learn.engine import exercise
from fathom.learn.engine.exercise import Exercise, answer_path, keep
from fathom.learn.engine.progress import Event, Log, Standing
from fathom.learn.engine.standing import Desk, asked_of, desk
from fathom.learn.engine.verdict import Verdict
from fathom.learn.engine.worker import Worker
from fathom.learn.terminal import practice
from fathom.learn.web.exercises import Bench

LONGEST = 256 * 1024  # bytes of an answer


@dataclass
class Memory:
    """Not written down: the last verdicts, and what was asked to be shown."""

    verdicts: dict[str, tuple[str, Verdict]] = field(default_factory=dict)  # exercise -> answer, verdict
    solutions: set[str] = field(default_factory=set)
    kept: dict[str, Path] = field(default_factory=dict)
    refusals: dict[str, tuple[str, str]] = field(default_factory=dict)  # why, and the text; said once


@dataclass(frozen=True)
class Study:
    """The learner whose progress lies in ``home``, at this moment."""

    home: Path
    memory: Memory
    desk: Desk
    events: list[Event]

    def standing(self, slug: str) -> Standing:
        return self.desk.standings.get(slug, Standing())

    def chosen(self, kind: str, slug: str, item: str) -> str:
        """The letter of the last answer to a question, and of the first guess; "" without any."""
        if kind == "predict":
            return self.standing(slug).guesses.get(item, "")
        told = (e for e in reversed(self.events) if (e.kind, e.topic, e.item) == (kind, slug, item))
        return next((event.answer for event in told), "")

    def bench(self, made: Exercise) -> Bench:
        """What there is to show of an exercise."""
        standing, answer = self.standing(made.topic), text_of(self.home, made)
        seen, verdict = self.memory.verdicts.get(made.key, ("", None))
        reason, refused = self.memory.refusals.pop(made.key, ("", ""))
        mine = [e.kind for e in self.events if (e.topic, e.item) == (made.topic, made.name)]
        since = mine[len(mine) - mine[::-1].index("reset") :] if "reset" in mine else mine
        due = self.desk.state(made.topic) == "due" and self.desk.left(made.topic) == [made.name]
        return Bench(
            answer=refused if reason else answer,
            base=digest(answer),
            solved=made.name in standing.passed,
            changed=standing.passed.get(made.name, made.digest) != made.digest,
            hints=min(since.count("hint"), len(made.hints)),
            verdict=verdict if seen == answer else None,
            refusal=reason,
            solution=made.key in self.memory.solutions,
            kept=self.memory.kept.get(made.key),
            again=due,
        )


def study(home: Path, memory: Memory) -> Study:
    return Study(home, memory, desk(home), Log(home).events())


def text_of(home: Path, made: Exercise) -> str:
    """The learner's file, or what it would begin with."""
    path = answer_path(home, made)
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else made.starter


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def save(home: Path, made: Exercise, answer: str, base: str) -> str:
    """Write an answer to the learner's file; why not, or "".

    ``base`` is the digest of the text that the page began with: what another program wrote since is kept.
    """
    if len(answer.encode()) > LONGEST:
        return f"An answer has at most {LONGEST // 1024} KiB."
    present = text_of(home, made)
    if present == answer:
        return ""
    if base and base != digest(present):
        return (
            "Your file was changed elsewhere since this page showed it. Press Check again to replace it by"
            " what stands here, or load the page again to see it."
        )
    path = answer_path(home, made)
    try:
        keep(path, answer)
    except OSError as error:
        return (
            f"{path} could not be written: {error.strerror or error}. What it held is still there. Make room,"
            " or let this user write there, and press Check again."
        )
    return ""


def check(worker: Worker, study: Study, made: Exercise) -> Verdict:
    """Grade the learner's file and remember what came of it."""
    memory = study.memory
    memory.kept.pop(made.key, None)
    verdict = practice.grade(worker, study.home, made, study.desk)
    memory.verdicts[made.key] = (text_of(study.home, made), verdict)
    return verdict


def begin_anew(study: Study, made: Exercise) -> None:
    kept = practice.reset(study.home, made)
    study.memory.verdicts.pop(made.key, None)
    study.memory.solutions.discard(made.key)
    if kept is not None:
        study.memory.kept[made.key] = kept


def asked(study: Study, slug: str) -> tuple[int, int, int, int]:
    """Of a topic: exercises solved, exercises, questions answered rightly, questions."""
    standing = study.standing(slug)
    names = asked_of(slug).exercises
    questions = len(study.desk.open_questions(slug)) + len(standing.answered)
    return len(standing.passed.keys() & set(names)), len(names), len(standing.answered), questions


def mistakes(study: Study) -> list[tuple[str, str, int]]:
    """Which known mistakes were made, how often: exercise, message, times; the most frequent first."""
    found = []
    for slug, standing in study.desk.standings.items():
        for key, times in standing.mistakes.items():
            name, _, twin = key.partition("/")
            if name in exercise.exercises(slug):
                message = exercise.exercise(slug, name).mistakes.get(twin)
                if message:
                    found.append((f"{slug}/{name}", message, times))
    return sorted(found, key=lambda row: -row[2])
