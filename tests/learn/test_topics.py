"""Pages cannot rot: fences run, quotes hold, figures draw at their extremes, exercises prove themselves."""

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from fathom.cli.command import main, parser
from fathom.learn.engine import curriculum, fences, figure, source
from fathom.learn.engine.exercise import exercise, exercises
from fathom.learn.engine.topic import (
    PARTS,
    PARTS_OF_A_PROJECT,
    Block,
    Code,
    ExerciseBlock,
    FigureBlock,
    Formula,
    Milestone,
    Prediction,
    Prose,
    Question,
    SourceBlock,
)
from fathom.learn.terminal import proving
from fathom.learn.web import figures

WRITTEN = [slug for slug in curriculum.heads() if (curriculum.TOPICS / slug / "topic.md").is_file()]


def test_there_are_topics() -> None:
    assert "gradient-descent" in WRITTEN


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_fence_runs_and_keeps_its_promises(slug: str) -> None:
    assert fences.run(curriculum.topic(slug)) >= 1


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_quote_is_blessed(slug: str) -> None:
    assert source.complaints(curriculum.topic(slug)) == []


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_command_is_one(slug: str) -> None:
    for words in fences.commands(curriculum.topic(slug)):
        parser(words).parse_args(words)


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_figure_draws_at_its_start_and_its_extremes(slug: str) -> None:
    """No frame is larger than what a worker lets pass."""
    folder = curriculum.TOPICS / slug
    read = figure.read_figures(folder)
    assert figure.LARGEST == 64 * 1024
    for name, drawn in figure.load_figures(folder).items():
        assert drawn.head.controls == read[name].controls
        for settings in ({}, *drawn.head.extremes()):
            sizes = [len(json.dumps(frame.as_message())) for frame in drawn.frames(settings)]
            assert sizes, f"{name} draws nothing for {settings}"
            assert max(sizes) <= figure.LARGEST, f"{name} draws {max(sizes)} bytes for {settings}"


@pytest.mark.parametrize("slug", WRITTEN)
def test_the_program_below_a_figure_says_what_the_figure_says(slug: str) -> None:
    for name, drawn in figure.load_figures(curriculum.TOPICS / slug).items():
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(figures.script(drawn.head, drawn.head.settings({}), slug), {})
        assert said.getvalue().splitlines() == [frame.say for frame in drawn.frames()], name


# -- parts ---------------------------------------------------------------------------------------------
# What each part holds at least; "What you build" and the like are for projects.
HOLDS: dict[str, type[Block]] = {
    "Try it first": Code, "Predict": Prediction, "Intuition": FigureBlock, "The maths": Formula,
    "The real code": SourceBlock, "Exercises": ExerciseBlock, "Quiz": Question, "On your data": Code,
    "Pitfalls": Prose, "Further reading": Prose, "What you build": Prose, "The data": FigureBlock,
    "Your folder": Code, "Milestones": Milestone, "All together": Prose, "Show it": Code,
}  # fmt: skip
PRACTICE = {  # pages with another number of exercises than 2 to 4, and how many
    "tensors": 20,  # the warm-ups of the library, short ones; its entry test stands further up
    "digits": 7,  # the milestones of a project
}


def lacking(blocks: Sequence[Block], part: str) -> bool:
    return not any(isinstance(block, HOLDS[part]) for block in blocks)


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_page_has_all_its_parts(slug: str) -> None:
    page = curriculum.topic(slug)
    parts = page.parts()
    assert page.head.goal.strip()
    wanted = PARTS_OF_A_PROJECT if page.head.kind == "project" else PARTS
    assert tuple(parts)[1:] == wanted
    assert [part for part in wanted if lacking(parts[part], part)] == []
    assert sum(isinstance(block, Question) for block in parts["Quiz"]) >= 3
    assert any("http" in block.text for block in parts["Further reading"] if isinstance(block, Prose))


@pytest.mark.parametrize("slug", WRITTEN)
def test_exercises_are_few_and_know_three_mistakes_each(slug: str) -> None:
    parts = curriculum.topic(slug).parts()
    blocks = (*parts.get("Exercises", ()), *parts.get("Milestones", ()))
    count = sum(isinstance(block, ExerciseBlock | Milestone) for block in blocks)
    assert count == PRACTICE.get(slug, count) and (slug in PRACTICE or 2 <= count <= 4)
    for name in exercises(slug):
        messages = exercise(slug, name).mistakes.values()
        assert len(messages) >= 3 and all(messages) and len(set(messages)) == len(messages), name


def test_a_part_that_is_empty_is_found() -> None:
    text = Prose(line=1, text="Words.")
    assert lacking([text], "Quiz") and lacking([], "Pitfalls") and not lacking([text], "Pitfalls")


@pytest.mark.slow
def test_a_learner_from_the_first_page_to_the_first_green_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """List, next, a start that is not yet anything, the solution, and the progress that stays."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    name = exercises("gradient-descent")[0]
    assert main(["learn", "list", "--track", "beginner"]) == 0
    assert "gradient-descent" in capsys.readouterr().out
    assert main(["learn", "next", "gradient-descent"]) == 0
    assert "parameters" in capsys.readouterr().out
    assert main(["learn", "check", f"gradient-descent/{name}"]) == 1
    told = capsys.readouterr().out
    assert "Nothing here yet" in told
    answer = Path(next(line.split()[-1] for line in told.splitlines() if line.startswith("edit")))
    assert main(["learn", "check", f"gradient-descent/{name}", "--solution"]) in (0, 1)
    capsys.readouterr()
    made = exercise("gradient-descent", name)
    answer.write_text(made.solution, encoding="utf-8")
    assert main(["learn", "check", f"gradient-descent/{name}"]) == 0
    capsys.readouterr()
    assert main(["learn", "reset", f"gradient-descent/{name}"]) == 0
    assert "NotImplementedError" in answer.read_text(encoding="utf-8")


def test_notes_beside_code_are_many() -> None:
    pages = [curriculum.topic(slug) for slug in WRITTEN]
    assert sum(len(quote.margins) for page in pages for quote in page.every(SourceBlock)) > 80


def test_without_a_name_all_topics_prove_themselves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proving, "prove", lambda worker, slug: [(exercises(slug)[0], "")])
    assert main(["learn", "selftest"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"holds   {s}/{exercises(s)[0]}" for s in WRITTEN]


@pytest.mark.slow
@pytest.mark.parametrize("slug", WRITTEN)
def test_every_exercise_proves_itself_also_in_the_sandbox(
    capsys: pytest.CaptureFixture[str], slug: str
) -> None:
    assert main(["learn", "selftest", slug]) == 0
    told = capsys.readouterr().out
    assert all(f"holds   {slug}/{name}" in told for name in exercises(slug))
