"""Projects: milestones as files of one folder, on the map, on a page, in a terminal. Nothing trains here."""

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.learn import doubling
from tests.learn.asking import Browser
from tests.learn.test_parse import HEAD, page

from fathom.errors import InputError
from fathom.learn.engine import curriculum, exercise, fences, progress, project, roadmaps
from fathom.learn.engine.grade import Fail, grade, other
from fathom.learn.engine.parse import PageError, read_topic
from fathom.learn.engine.progress import Log
from fathom.learn.engine.standing import desk
from fathom.learn.engine.topic import PARTS_OF_A_PROJECT, Code, Milestone
from fathom.learn.engine.verdict import project_limits
from fathom.learn.terminal import listing, practice
from fathom.verbs.new import new

SLUG = "digits"
SEVEN = ["split", "baseline", "network", "train", "evaluate", "task", "card"]
PROJECT = HEAD.replace('"Vision"', '"Projects"')


# -- the page -------------------------------------------------------------------------------------
def test_a_project_has_parts_of_its_own(tmp_path: Path) -> None:
    made = page(tmp_path, "\n## The data\n\n## Milestones\n\n:::project load\nA brief.\n:::\n", PROJECT)
    assert made.head.kind == "project" and list(made.parts()) == ["", "The data", "Milestones"]
    with pytest.raises(PageError, match="there is no part of a page 'Intuition'"):
        page(tmp_path, "\n## Intuition\n", PROJECT)
    with pytest.raises(PageError, match="there is no part of a page 'Milestones'"):
        page(tmp_path, "\n## Milestones\n")


def test_a_fence_may_be_a_file_which_is_kept_and_not_run(tmp_path: Path) -> None:
    made = page(
        tmp_path, "\n```python project.py\nraise SystemExit\n```\n\n```python\n1  # -> 1\n```\n", PROJECT
    )
    assert [(code.language, code.file) for code in made.every(Code)] == [
        ("python", "project.py"), ("python", ""),
    ]  # fmt: skip
    assert fences.run(made) == 1
    for name in ("../project.py", "a/b.py", "run.sh", "two words.py", ".hidden.py"):
        with pytest.raises(PageError, match="may name a file such as project"):
            page(tmp_path, f"\n```python {name}\n1\n```\n", PROJECT)


@pytest.mark.slow  # a process of its own
def test_a_new_project_is_whole_at_once(tmp_path: Path) -> None:
    topics = tmp_path / "src" / "fathom" / "learn" / "topics"
    topics.mkdir(parents=True)
    entry = 'title = "Houses"\nlevel = "beginner"\ngroup = "Projects"\nminutes = 50\ngoal = "build one"\n'
    (topics / "coming.toml").write_text(f"[houses]\n{entry}", encoding="utf-8")
    new("topic", "houses", root=tmp_path)
    made = read_topic(topics / "houses")
    assert tuple(made.parts())[1:] == PARTS_OF_A_PROJECT and fences.run(made) == 1
    names = [block.name for block in made.every(Milestone)]
    read = [exercise.read("houses", topics / "houses" / "exercises" / f"{name}.py") for name in names]
    program = {f"{one.name}.py": one.solution for one in read}
    program |= {code.file: code.text + "\n" for code in made.every(Code) if code.file}
    assert project.run(tmp_path / "houses", program) == ""


# -- the folder -----------------------------------------------------------------------------------
def test_the_folder_is_a_program_in_files_of_one_function_each() -> None:
    begun, solved = exercise.project_files(SLUG), exercise.project_files(SLUG, solved=True)
    assert list(begun) == [*(f"{name}.py" for name in SEVEN), "project.py", "README.md"]
    assert exercise.milestones(SLUG) == SEVEN and exercise.milestones("overfitting") == []
    for name in SEVEN:
        assert f"def {name}(" in begun[f"{name}.py"] and "NotImplementedError" in begun[f"{name}.py"]
        assert f"def {name}(" in solved[f"{name}.py"] and "NotImplementedError" not in solved[f"{name}.py"]
        assert f"from {name} import {name}\n" in begun["project.py"]
    for name, text in (begun | {f"solved {name}": text for name, text in solved.items()}).items():
        assert "fathom.learn" not in text, f"{name} needs the curriculum"
        if name.endswith(".py"):
            compile(text, name, "exec")
            assert max(map(len, text.splitlines())) <= 112, name


def test_a_file_begins_with_the_imports_that_it_needs() -> None:
    begun = exercise.project_files(SLUG)
    assert "import ImageClassification" in begun["task.py"] and "numpy" not in begun["task.py"]
    assert "mnist" not in begun["train.py"] and "functional as F" in begun["train.py"]
    assert "import" not in begun["card.py"].split("def card")[0].split("\n\n\n")[0].replace("# ", "")


def test_the_first_milestone_that_is_begun_makes_the_whole_folder(tmp_path: Path) -> None:
    folder = tmp_path / "answers" / SLUG
    folder.mkdir(parents=True)
    (folder / "split.py").write_text("# mine\n", encoding="utf-8")
    place = exercise.begin(tmp_path, exercise.exercise(SLUG, "network"))
    assert place == folder / "network.py"
    assert sorted(file.name for file in folder.iterdir()) == sorted(exercise.project_files(SLUG))
    assert (folder / "split.py").read_text(encoding="utf-8") == "# mine\n", "what is there stays"
    alone = exercise.begin(tmp_path, exercise.exercise("overfitting", "standardize"))
    assert [file.name for file in alone.parent.iterdir()] == ["standardize.py"]


def test_a_milestone_may_take_ten_minutes_and_read_its_folder(tmp_path: Path) -> None:
    limits = project_limits(tmp_path)
    assert limits.seconds == 600 and limits.readable == (str(tmp_path.resolve()),)


# -- grading --------------------------------------------------------------------------------------
def test_what_a_check_measured_is_said_when_all_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubling, "check_speed", lambda answer, seed: "It took 3 steps.", raising=False)
    assert grade(doubling, doubling.solution).message == "Twice as much. It took 3 steps."
    assert grade(doubling, doubling.wrong_square).message == "You squared the numbers."


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is searched for modules first."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path


NEEDED = {
    "zz_absent": (None, "needs your zz_absent.py, which cannot be used: .*ModuleNotFoundError"),
    "zz_empty": (
        "def zz_empty():\n    raise NotImplementedError\n",
        "needs your zz_empty.py, which is not written",
    ),
    "zz_unnamed": ("x = 1\n", "needs your zz_unnamed.py, which cannot be used: .*zz_unnamed"),
    "zz_broken": ("1 / 0\n", "needs your zz_broken.py, which cannot be used: .*ZeroDivisionError"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_a_milestone_says_which_other_it_needs(files: Path, name: str) -> None:
    text, said = NEEDED[name]
    if text is not None:
        (files / f"{name}.py").write_text(text, encoding="utf-8")
    with pytest.raises(Fail, match=said):
        other(name)()


# -- where a learner stands -----------------------------------------------------------------------
def solved(home: Path, names: list[str], days: float = 0.0) -> None:
    """The log of somebody who passed these milestones, some days ago, and answered all questions."""
    then = (progress.now() - datetime.timedelta(days=days)).isoformat()
    told = [{"kind": "check", "item": name, "passed": True} for name in names]
    told += [{"kind": "quiz", "item": str(number), "passed": True, "answer": "a"} for number in range(1, 4)]
    lines = [json.dumps({"at": then, "topic": SLUG} | event) + "\n" for event in told]
    Log(home).file.write_text("".join(lines), encoding="utf-8")


def test_progress_counts_milestones_and_a_project_never_comes_back(tmp_path: Path) -> None:
    assert desk(tmp_path).milestones(SLUG) == (0, 7)
    assert desk(tmp_path).milestones("overfitting") == (0, 0), "a topic has none"
    solved(tmp_path, SEVEN[:3], days=30)
    here = desk(tmp_path)
    assert (here.state(SLUG), here.milestones(SLUG), here.left(SLUG)) == ("practising", (3, 7), SEVEN[3:])
    assert practice.chosen(SLUG, here) == (SLUG, "train")
    solved(tmp_path, SEVEN, days=30)
    assert desk(tmp_path).state(SLUG) == "done", "a re-do from nothing would take the program apart"


def test_projects_have_a_lane_of_their_own() -> None:
    *levels, (title, projects) = roadmaps.lanes()
    assert title == "Projects" and len(projects) == 9 and {h.kind for h in projects} == {"project"}
    assert all(head.kind == "topic" for _, heads in levels for head in heads)
    listed = [head.slug for _, heads in roadmaps.lanes() for head in heads]
    assert sorted(listed) == sorted(curriculum.heads())
    for place, slug in enumerate(listed):
        assert set(curriculum.find(slug).needs) <= set(listed[:place]), slug


def test_the_list_says_how_far_a_project_is(tmp_path: Path) -> None:
    solved(tmp_path, SEVEN[:2])
    here = desk(tmp_path)
    told = list(listing.lines(here, listing.sections(None, None, None)))
    assert any(line.startswith("Projects, 9 projects, ") for line in told)
    (line,) = [line for line in told if " digits " in line]
    assert "practising" in line and line.endswith("handwritten digits, 2 of 7 milestones")
    rows = {row["topic"]: row for row in listing.as_json(here, listing.sections(None, None, None))}
    assert (rows[SLUG]["kind"], rows[SLUG]["milestones"]) == ("project", [2, 7])
    assert (rows["overfitting"]["kind"], rows["overfitting"]["milestones"]) == ("topic", [0, 0])
    with pytest.raises(InputError, match="expert"):
        listing.sections("expert", None, None)


# -- pages ----------------------------------------------------------------------------------------
def test_the_map_shows_milestones(tmp_path: Path) -> None:
    solved(tmp_path, ["split"])
    browser = Browser(tmp_path)
    whole = browser.get("/").text
    assert whole.index(">Advanced</text>") < whole.index(">Projects</text>")
    box = whole.partition('data-slug="digits"')[2].partition("</a>")[0]
    assert "practising, 1 of 7 milestones" in re.sub("<[^>]+>", "", box)
    item = whole.partition('<ol class="milestones">')[2].partition("</ol>")[0]
    assert [f'href="/topic/digits#exercise-{name}"' in item for name in SEVEN] == [True] * 7
    assert item.count('class="state done"') == 1 and item.index("state done") < item.index(
        "#exercise-baseline"
    )
    assert "9 projects" in whole and whole.count('class="milestones"') == 1


def test_the_page_shows_milestones_with_their_number_and_the_files(tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    text = browser.get("/topic/digits").text
    for number, name in enumerate(SEVEN, 1):
        assert f"<h3>Milestone {number} of 7: {name.capitalize()} " in text
        assert str(tmp_path / "answers" / SLUG / f"{name}.py") in text
    assert "<summary><code>project.py</code></summary>" in text and 'aria-label="project.py"' in text
    assert "0 of 7 milestones, 0 of 3 questions" in text
    saved = browser.post("/topic/digits/exercise/split/save", {"answer": "# mine\n"}, x_part="1")
    assert saved.status == 200 and "Milestone 1 of 7" in saved.text
    assert (tmp_path / "answers" / SLUG / "project.py").is_file()
