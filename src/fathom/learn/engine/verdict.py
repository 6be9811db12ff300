"""Asking the grader: an answer goes to the worker, a verdict comes back and is written down.

No torch here: a server or a terminal asks, and the worker imports what grading needs.
"""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.learn.engine.exercise import Exercise, answer_path, begin
from fathom.learn.engine.progress import Log

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


def judge(worker: "Worker", exercise: Exercise, answer: str, seed: int = 0, place: str = "") -> Verdict:
    """The verdict on the text of an answer; what it costs is limited, and what it breaks is its own."""
    job = {"exercise": str(exercise.path), "answer": answer, "seed": seed}
    return outcome(list(worker.run("grade_answer", **job, place=place or f"{exercise.name}.py")))


def judge_twin(worker: "Worker", exercise: Exercise, twin: str, seed: int = 0) -> Verdict:
    """The same for a function of the exercise itself: ``solution``, ``starter``, or a wrong twin."""
    return outcome(list(worker.run("grade_twin", exercise=str(exercise.path), twin=twin, seed=seed)))


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
    """Grade the learner's file, made from the starter if it is not there, and write down what came of it."""
    begin(home, exercise)
    path = answer_path(home, exercise)
    answer = path.read_text(encoding="utf-8", errors="replace")
    verdict = judge(worker, exercise, answer, seed, path.name)
    Log(home).append(
        "check",
        exercise.topic,
        exercise.name,
        passed=verdict.passed,
        mistake=verdict.mistake,
        answer=hashlib.sha256(answer.encode()).hexdigest()[:16],
        exercise=exercise.digest,
    )
    return verdict
