"""The map: all topics are there, needs make no circle, and every roadmap can be followed."""

import re
from pathlib import Path

import pytest

from fathom import catalog
from fathom.errors import InputError
from fathom.learn.engine import curriculum, roadmaps
from fathom.learn.engine.curriculum import MapError
from fathom.learn.engine.topic import LEVELS, Head

HEADS = curriculum.heads()


def head(slug: str, *needs: str, level: str = "beginner", minutes: int = 30) -> Head:
    return Head(
        slug=slug, title=slug, level=level, group="Training", goal="x", minutes=minutes, needs=needs,
        folder=Path(slug),
    )  # fmt: skip


def test_seventy_one_topics_and_nine_projects() -> None:
    projects = [h for h in HEADS.values() if h.group == "Projects"]
    assert (len(HEADS) - len(projects), len(projects)) == (71, 9)
    assert {h.level for h in projects} == set(LEVELS)


def test_whoever_follows_the_order_never_meets_the_unknown() -> None:
    met: set[str] = set()
    for topic in HEADS.values():
        assert met.issuperset(topic.needs), topic.slug
        met.add(topic.slug)


def test_every_row_of_the_inventory_is_taught_somewhere() -> None:
    """But for the rows of the curriculum itself."""
    taught = {row for topic in HEADS.values() for row in topic.rows}
    itself = {f"LP0{n}" for n in range(1, 8)}
    assert set(catalog.inventory()) - taught == itself
    assert taught <= set(catalog.inventory())


def test_what_is_to_come_says_where_to_read_meanwhile() -> None:
    """A file of the library, or a paper by its title and year: an address alone tells a reader nothing."""
    for topic in HEADS.values():
        assert topic.goal and not topic.goal.endswith("."), topic.slug
        assert set(topic.read) <= set(catalog.entries()), topic.slug
        if topic.written:
            continue
        if topic.paper:
            assert re.fullmatch(r"[A-Z].{5,} \((18|19|20)\d\d\) <https://\S+>", topic.paper), topic.slug
        assert topic.paper or curriculum.files(topic), f"{topic.slug} has neither a file nor a paper"
        for paper in curriculum.papers(topic):
            assert paper.address.startswith("https://") and "://" not in paper.title, topic.slug
            assert re.search(r" \(\d{4}\)$", paper.title), topic.slug
    dense = {entry.name for entry in curriculum.files(HEADS["mlp"])}
    assert {"dense", "deep_mlp"} <= dense


@pytest.mark.parametrize("code", list(roadmaps.ROADMAPS))
def test_each_roadmap_is_whole_and_in_order(code: str) -> None:
    listed = [topic.slug for _, topics in roadmaps.stages(code) for topic in topics]
    assert len(set(listed)) == len(listed)
    for place, slug in enumerate(listed):
        assert set(HEADS[slug].needs) <= set(listed[:place]), f"{code}: {slug}"
    wanted = roadmaps.wanted_rows(code)
    here = {row for slug in listed for row in HEADS[slug].rows}
    assert wanted and wanted <= here | {f"LP0{n}" for n in range(1, 8)}


def test_all_topics_are_on_some_roadmap() -> None:
    listed = {topic.slug for code in roadmaps.ROADMAPS for _, ts in roadmaps.stages(code) for topic in ts}
    assert listed == set(HEADS)


def test_circles_gaps_and_wrong_levels_are_refused() -> None:
    a, b = head("a", "b"), head("b", "a")
    with pytest.raises(MapError, match=r"a circle of needs: a -> b -> a"):
        curriculum.ordered({"a": a, "b": b})
    with pytest.raises(MapError, match="a needs 'b', which does not exist"):
        curriculum.ordered({"a": a})
    late = head("b", level="advanced")
    with pytest.raises(MapError, match="a is beginner and needs b, advanced"):
        curriculum.ordered({"a": a, "b": late})


def test_a_topic_is_written_or_to_come_not_both(tmp_path: Path) -> None:
    entry = 'title = "T"\nlevel = "beginner"\ngroup = "Vision"\ngoal = "g"\nminutes = 10\n'
    (tmp_path / "coming.toml").write_text(f"[net]\n{entry}")
    assert not curriculum.read_heads(tmp_path)["net"].written
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "topic.md").write_text(f"+++\n{entry}+++\n")
    with pytest.raises(MapError, match="net is written"):
        curriculum.read_heads(tmp_path)


def test_plans_spread_minutes_over_weeks() -> None:
    weeks = roadmaps.plan([head("a", minutes=50), head("b", minutes=100), head("c", minutes=30)], 1.0)
    assert [[(t.slug, m) for t, m in week.topics] for week in weeks] == [
        [("a", 50), ("b", 10)], [("b", 60)], [("b", 30), ("c", 30)],
    ]  # fmt: skip
    assert roadmaps.plan([], 3.0) == []
    for hours in (0.0, -1.0, 81.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="hours a week"):
            roadmaps.plan([], hours)


def test_ways_and_unknown_names() -> None:
    way = [topic.slug for topic in roadmaps.way_to("backprop")]
    assert way[-1] == "backprop" and {"chain-rule", "mlp", "activations"} <= set(way)
    with pytest.raises(InputError, match="did you mean 'backprop'"):
        roadmaps.way_to("backprob")
    with pytest.raises(InputError, match="no roadmap '005'"):
        roadmaps.stages("005")
    with pytest.raises(InputError, match="no track 'expert'"):
        roadmaps.track("expert")
    coming = next(topic.slug for topic in HEADS.values() if not topic.written)
    with pytest.raises(InputError, match=f"no page yet for '{coming}'"):
        curriculum.topic(coming)
