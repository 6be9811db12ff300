"""``fathom new topic NAME``: a folder that passes all that is asked of a topic, and a map that knows it."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from fathom.cli.command import main
from fathom.errors import InputError
from fathom.learn.engine import curriculum, exercise, fences, figure, grade, source
from fathom.learn.engine.parse import read_topic
from fathom.verbs.new import new

COMING = """# to come

[tools]
title = "Tools"
level = "beginner"
group = "First networks"
minutes = 40
goal = "hold a hammer"
rows = ["MA13"]

[houses]
title = "Houses"
level = "beginner"
group = "First networks"
minutes = 50
needs = ["tools"]
goal = "build one"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    topics = tmp_path / "src" / "fathom" / "learn" / "topics"
    topics.mkdir(parents=True)
    (topics / "coming.toml").write_text(COMING, encoding="utf-8")
    return topics


def root(topics: Path) -> Path:
    return topics.parents[3]


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tools", "houses"])
def test_what_is_made_passes_all_that_is_asked_of_a_topic(checkout: Path, name: str) -> None:
    made = new("topic", name, root=root(checkout))
    assert all(path.is_file() for path in made)
    page = read_topic(checkout / name)
    assert fences.run(page) == 1
    assert source.complaints(page) == []
    assert list(fences.commands(page)) == [["explain", "gradient", "relu"]]
    for drawn in figure.load_figures(checkout / name).values():
        for settings in ({}, *drawn.head.extremes()):
            assert list(drawn.frames(settings))
    paths = sorted((checkout / name / "exercises").glob("*.py"))
    assert len(paths) == 2
    for path in paths:
        assert exercise.read(name, path).starter.count("raise NotImplementedError") == 1
        assert grade.selftest(loaded(path)) == 3


def test_the_entry_moves_from_what_is_to_come_into_the_page(checkout: Path) -> None:
    new("topic", "tools", root=root(checkout))
    heads = curriculum.ordered(curriculum.read_heads(checkout))
    assert list(heads) == ["tools", "houses"]
    assert heads["tools"].written and not heads["houses"].written
    assert (heads["tools"].goal, heads["tools"].rows) == ("hold a hammer", ("MA13",))
    new("topic", "houses", root=root(checkout))
    heads = curriculum.read_heads(checkout)
    assert heads["houses"].written and heads["houses"].needs == ("tools",)
    assert (checkout / "coming.toml").read_text(encoding="utf-8").strip() == "# to come"


def test_each_topic_to_come_can_be_begun(tmp_path: Path) -> None:
    """Of the real list: the head of the new page says what the list said."""
    topics = tmp_path / "src" / "fathom" / "learn" / "topics"
    topics.mkdir(parents=True)
    shutil.copy(curriculum.TOPICS / "coming.toml", topics)
    waiting = [head for head in curriculum.heads().values() if not head.written]
    for head in waiting:
        new("topic", head.slug, root=tmp_path)
    made = curriculum.read_heads(topics)
    for head in waiting:
        found = made[head.slug]
        assert found.written
        kept = ("title", "level", "group", "minutes", "goal", "needs", "rows", "paper", "read")
        assert {n: getattr(found, n) for n in kept} == {n: getattr(head, n) for n in kept}


def test_refusals(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"did you mean 'tools'.*gets an entry in"):
        new("topic", "toolz", root=root(checkout))
    new("topic", "tools", root=root(checkout))
    with pytest.raises(InputError, match="exists already"):
        new("topic", "tools", root=root(checkout))
    (checkout / "coming.toml").unlink()
    assert main(["new", "topic", "houses", "--root", str(root(checkout))]) == 2
    assert "no curriculum" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no checkout"):
        new("topic", "houses", root=tmp_path / "empty")


def test_on_the_command_line(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "topic", "tools", "--root", str(root(checkout))]) == 0
    said = capsys.readouterr().out
    assert "tools/topic.md" in said and "coming.toml" in said


def test_of_many_names_the_nearest_are_told(tmp_path: Path) -> None:
    """Nobody reads sixty names in a line."""
    topics = tmp_path / "src" / "fathom" / "learn" / "topics"
    topics.mkdir(parents=True)
    shutil.copy(curriculum.TOPICS / "coming.toml", topics)
    waiting = [head.slug for head in curriculum.heads().values() if not head.written]
    with pytest.raises(InputError, match=rf"the nearest of {len(waiting)}: ") as refused:
        new("topic", "x", root=tmp_path)
    told = str(refused.value).partition(": ")[2].partition(".")[0].split(", ")
    assert 3 <= len(told) <= 5 and set(told) <= set(waiting)


def test_of_few_names_all_are_told(checkout: Path) -> None:
    with pytest.raises(InputError, match="known: houses, tools"):
        new("topic", "x", root=root(checkout))
