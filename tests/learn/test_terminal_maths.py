"""What a terminal shows of a formula is text: in statements, questions, hints, verdicts and pages."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from fathom.learn.engine import curriculum, exercise
from fathom.learn.engine.plain_maths import plain
from fathom.learn.engine.standing import desk
from fathom.learn.engine.topic import Question
from fathom.learn.engine.verdict import Verdict
from fathom.learn.engine.worker import Worker
from fathom.learn.terminal import practice
from fathom.learn.terminal.page import Page
from fathom.learn.terminal.watching import Watch

WRITTEN = [slug for slug, head in curriculum.heads().items() if head.written]
TEX = re.compile(r"\$|\\[A-Za-z{}]")


def found(said: str) -> list[str]:
    """The lines that hold TeX; code keeps what it has."""
    return [line for line in re.sub(r"`[^`]*`", "", said).splitlines() if TEX.search(line)]


@pytest.mark.parametrize("slug", WRITTEN)
def test_watch_hints_and_verdicts(tmp_path: Path, slug: str) -> None:
    for name in exercise.exercises(slug):
        said: list[str] = []
        made = exercise.exercise(slug, name)
        Watch(Worker(), tmp_path, made.key, said.append)
        said += [practice.hint(tmp_path, made) for _ in made.hints]
        said += practice.report(Verdict(True, "", made.passed), made, tmp_path)
        for twin, message in made.mistakes.items():
            said += practice.report(Verdict(False, "value", message, twin), made, tmp_path)
        assert found("\n".join(said)) == []


@pytest.mark.parametrize("slug", WRITTEN)
def test_formulas_of_pages(slug: str) -> None:
    """No command of TeX is left as it was typed."""
    page = (curriculum.TOPICS / slug / "topic.md").read_text(encoding="utf-8")
    formulas = re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.sub(r"`[^`]*`", "", page), re.DOTALL)
    assert [t for pair in formulas for t in [plain("".join(pair))] if re.search(r"\\[A-Za-z]", t)] == []


@pytest.mark.parametrize(
    ("tex", "shown"),
    [
        (r"\left\lceil \frac{n}{s} \right\rceil", "⌈ n/s ⌉"),
        (r"\prod_n \bigl(1 + F_n\bigr)", "Πₙ (1 + Fₙ)"),
        (r"\underbrace{(a - b)^2}_{\text{bias}} + \cos x", "(a - b)² [bias] + cos x"),
    ],
)
def test_formulas_as_text(tex: str, shown: str) -> None:
    assert plain(tex) == shown


@pytest.mark.parametrize("slug", WRITTEN)
def test_quizzes(tmp_path: Path, slug: str) -> None:
    questions = list(curriculum.topic(slug).every(Question))
    for letter in "abc":
        said: list[str] = []
        answers = practice.from_answers(",".join(letter * len(questions)))
        practice.take_quiz(tmp_path / letter, slug, answers, said.append)
        assert found("\n".join(said)) == []


@pytest.mark.parametrize("slug", WRITTEN)
def test_pages(tmp_path: Path, slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and code left out; of quotes, the notes are read."""
    for other in ("figure", "code"):
        monkeypatch.setattr(Page, other, lambda page, block: None)
    shown = io.StringIO()
    console = Console(file=shown, width=100)
    Page(curriculum.topic(slug), desk(tmp_path), Worker(), console).print()
    lines = [line for line in shown.getvalue().splitlines() if "$" in line or re.search(r"\^ .*\\", line)]
    assert lines == []


def test_words_of_python_stay_as_they_are(tmp_path: Path) -> None:
    made = exercise.exercise("gradient-descent", "one_step")
    told = Verdict(False, "value", "Your code raised KeyError: '$a_1$'")
    assert "'$a_1$'" in next(practice.report(told, made, tmp_path))
