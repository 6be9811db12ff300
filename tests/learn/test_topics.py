"""Pages cannot rot: fences run, quotes hold, figures draw at their extremes, exercises prove themselves."""

from pathlib import Path

import pytest

from fathom.cli.command import main, parser
from fathom.learn.engine import curriculum, fences, figure, source
from fathom.learn.engine.exercise import exercise, exercises

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
    folder = curriculum.TOPICS / slug
    read = figure.read_figures(folder)
    for name, drawn in figure.load_figures(folder).items():
        assert drawn.head.controls == read[name].controls
        for settings in ({}, *drawn.head.extremes()):
            frames = list(drawn.frames(settings))
            assert frames, f"{name} draws nothing for {settings}"


@pytest.mark.parametrize("slug", WRITTEN)
def test_two_exercises_at_least(slug: str) -> None:
    assert len(exercises(slug)) >= 2


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


@pytest.mark.slow
def test_every_exercise_proves_itself_also_in_the_sandbox(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "selftest"]) == 0
    told = capsys.readouterr().out
    for slug in WRITTEN:
        assert all(f"holds   {slug}/{name}" in told for name in exercises(slug))
