"""The rows of the inventory that ask for the curriculum itself: their criteria, one after the other.

A file of ``learn/`` that fulfils such a row names it in ``ROWS``; ``tests/test_catalog.py`` asks for a test
that begins with the row's id. That of LP05 is in the browser's lane, that of LP06 meets mutants.
"""

import ast
import re
from pathlib import Path

import pytest
from tests.learn.asking import Browser

from fathom import catalog
from fathom.cli.command import main
from fathom.learn.engine import curriculum, roadmaps
from fathom.learn.engine.figure import read_figures
from fathom.learn.engine.progress import Log
from fathom.learn.engine.topic import LEVELS, FigureBlock, Head

ITSELF = {f"LP0{n}" for n in range(1, 8)}  # no page is about these


def stands_on_what_came_before(listed: list[Head]) -> bool:
    """Whether every topic comes after all it needs, and only once."""
    slugs = [head.slug for head in listed]
    met = all(set(head.needs) <= set(slugs[:place]) for place, head in enumerate(listed))
    return met and len(set(slugs)) == len(slugs)


def whole(code: str) -> list[Head]:
    return [head for _, topics in roadmaps.stages(code) for head in topics]


def test_lp01_each_roadmap_is_an_order_and_every_row_can_be_reached(tmp_path: Path) -> None:
    """Each roadmap's order exists; needs make no circle; from the map one comes to every row."""
    asked = {code for codes in roadmaps.asked_by().values() for code in codes.split() if code.isdigit()}
    assert asked == set(roadmaps.ROADMAPS)
    assert all(stands_on_what_came_before(whole(code)) for code in asked)
    assert [len(roadmaps.track(level)) > 0 for level in LEVELS] == [True] * 3
    curriculum.depths(curriculum.heads())  # raises for a circle
    linked = set(re.findall(r'href="/topic/([^"?#]+)', Browser(tmp_path).get("/").text))
    assert linked == set(curriculum.heads())
    rows = {row for slug in linked for row in curriculum.find(slug).rows}
    assert rows | ITSELF == set(catalog.inventory())


def test_lp02_phases_are_planned_in_weeks_and_progress_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan spreads topics over weeks at so many hours; what was done is left out of the next one."""
    phases = [stage.weeks for stage in roadmaps.ROADMAPS["002"].stages]
    assert phases == [(3, 4), (4, 6), (6, 8), None]
    monkeypatch.setenv("FATHOM_LEARN", str(tmp_path))

    def weeks(hours: str) -> int:
        assert main(["learn", "list", "--roadmap", "002", "--hours", hours]) == 0
        return len(re.findall(r"^  week ", capsys.readouterr().out, re.MULTILINE))

    slow, fast = weeks("3"), weeks("6")
    assert slow > fast > len(phases) and abs(slow - 2 * fast) <= len(phases)  # each phase begins a week
    Log(tmp_path).append("skip", "digits")
    Log(tmp_path).append("skip", "attention")
    assert weeks("3") < slow


def test_lp03_six_stages_of_the_same_graph() -> None:
    view_of_the_graph("004", 6, "Foundation", "Advanced practice")


def test_lp04_eight_parts_of_the_same_graph() -> None:
    view_of_the_graph("003", 8, "Networks", "Projects")


def view_of_the_graph(code: str, count: int, first: str, last: str) -> None:
    """A roadmap of so many stages, none of them empty, that leads through topics of the one map in order."""
    stages = roadmaps.stages(code)
    titles = [stage.title for stage, _ in stages]
    assert len(stages) == count and (titles[0], titles[-1]) == (first, last)
    assert all(topics for _, topics in stages)
    assert stands_on_what_came_before(whole(code))
    assert {head.slug for head in whole(code)} <= set(curriculum.heads())


def test_lp07_twelve_figures_that_answer_and_run_the_library() -> None:
    """Each has controls, stands on a page, and calls what the library itself is made of."""
    found = [
        f"{slug}/{name}"
        for slug, topic in catalog.topics().items()
        for name, drawn in read_figures(topic.path).items()
        if drawn.controls and name in {block.name for block in curriculum.topic(slug).every(FigureBlock)}
        if runs_the_library(topic.path / "figure.py", name)
    ]
    assert len(found) >= 12, found


def runs_the_library(file: Path, name: str) -> bool:
    """Whether a function of a figure's file reaches something of the library, itself or through others."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    library = {
        alias.asname or alias.name
        for node in body
        if isinstance(node, ast.ImportFrom) and not str(node.module).startswith("fathom.learn")
        if str(node.module).startswith("fathom.")
        for alias in node.names
    }
    uses: dict[str, set[str]] = {}
    for node in body:
        names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            uses[node.name] = names
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            uses |= dict.fromkeys((n for n in names if n.isupper()), names)
    reached, waiting = set(), [name]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += uses.get(one, ())
    return bool(reached & library)
