"""Asking the grader: an answer goes to the worker, a verdict comes back and is written down.

No torch here: a server or a terminal asks, and the worker imports what grading needs.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.learn.engine import curriculum
from fathom.learn.engine.confine import MIB, Limits
from fathom.learn.engine.exercise import Exercise, answer_path, begin
from fathom.learn.engine.progress import Log
from fathom.learn.engine.standing import place

if TYPE_CHECKING:
    from fathom.learn.engine.worker import Worker


@dataclass(frozen=True)
class Verdict:
    """What came of an answer."""

    passed: bool
    check: str  # what decided: a check, without "check_", or "runs", "rules", "limits"; "" when all passed
    message: str
    mistake: str = ""  # the name of the twin that the answer behaves like, without "wrong_"
    output: str = ""  # what the answer printed

    def as_message(self) -> dict[str, Any]:
        return {"kind": "verdict"} | asdict(self)


def judge(
    worker: "Worker", exercise: Exercise, answer: str, seed: int = 0, place: str = "",
    folder: Path | None = None,
) -> Verdict:  # fmt: skip
    """The verdict on the text of an answer; what it costs is limited, and what it breaks is its own.

    ``folder`` is that of a milestone, whose other files it may import.
    """
    job = {"answer": answer, "place": place or f"{exercise.name}.py"}
    return ask(worker, "grade_answer", exercise, seed, folder, **job)


def judge_twin(
    worker: "Worker", exercise: Exercise, twin: str, seed: int = 0, folder: Path | None = None
) -> Verdict:
    """The same for a function of the exercise itself: ``solution``, ``starter``, or a wrong twin."""
    return ask(worker, "grade_twin", exercise, seed, folder, twin=twin)


def ask(
    worker: "Worker", job: str, exercise: Exercise, seed: int, folder: Path | None, **given: str
) -> Verdict:
    limits = project_limits(folder) if exercise.milestone and folder else None
    place = str(folder) if limits else ""
    return outcome(
        list(worker.run(job, limits, exercise=str(exercise.path), seed=seed, folder=place, **given))
    )


def project_limits(folder: Path) -> Limits:
    """What a milestone may use: ten minutes, for it trains, and the folder whose files it imports."""
    readable = (str(folder.resolve()),)
    return Limits(seconds=600.0, memory=4096 * MIB, file=64 * MIB, folder=256 * MIB, readable=readable)


def outcome(messages: list[dict[str, Any]]) -> Verdict:
    """One verdict of all that a worker told."""
    end = messages[-1]
    for message in messages:
        if message["kind"] == "verdict":
            fields = {name: message[name] for name in ("passed", "check", "message", "mistake")}
            return Verdict(**fields, output=end["output"])
        if message["kind"] == "error":
            return Verdict(False, "runs", message["message"], output=end["output"])
    reason = end["reason"] or "The worker ended without a verdict."
    return Verdict(False, "limits", reason, output=end["output"])


def check(worker: "Worker", home: Path, exercise: Exercise, seed: int = 0) -> Verdict:
    """Grade the learner's file, made from the starter if it is not there, and write down what came of it.

    A passed entry test also takes topics as known, and the verdict says which.
    """
    begin(home, exercise)
    path = answer_path(home, exercise)
    answer = path.read_text(encoding="utf-8", errors="replace")
    verdict = judge(worker, exercise, answer, seed, path.name, path.parent)
    Log(home).append(
        "check",
        exercise.topic,
        exercise.name,
        passed=verdict.passed,
        mistake=verdict.mistake,
        answer=hashlib.sha256(answer.encode()).hexdigest()[:16],
        exercise=exercise.digest,
    )
    known = place(home, exercise) if verdict.passed else []
    if known:
        titles = " and ".join(curriculum.find(slug).title for slug in known)
        return replace(verdict, message=f"{verdict.message} Taken as known from now on: {titles}.")
    return verdict
