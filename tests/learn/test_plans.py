"""Plans spread hours over weeks, and say which of them lead to pages that are there."""

import re
from pathlib import Path

import pytest
from tests.learn.asking import Browser

from fathom.learn.engine import curriculum, roadmaps
from fathom.learn.engine.progress import Log
from fathom.learn.engine.standing import desk
from fathom.learn.terminal import listing


def hours(text: str) -> tuple[float, float]:
    found = re.search(r"([\d.]+) of these ([\d.]+) h are written", text)
    assert found, text
    return float(found[1]), float(found[2])


def test_a_terminal_marks_each_topic_that_is_still_to_come(tmp_path: Path) -> None:
    topics = roadmaps.track("beginner")
    title, *weeks = listing.weeks(desk(tmp_path), [("Beginner", topics)], 5.0)
    here, whole = hours(title)
    assert here == pytest.approx(sum(h.minutes for h in topics if h.written) / 60, abs=0.06)
    assert whole == pytest.approx(sum(h.minutes for h in topics) / 60, abs=0.06)
    told = re.findall(r"([a-z][a-z0-9-]+) \d+ min( \(coming\))?", "\n".join(weeks))
    assert {slug for slug, mark in told if mark} == {h.slug for h in topics if not h.written} != set()
    assert {slug for slug, mark in told if not mark} == {h.slug for h in topics if h.written}


def test_what_is_done_counts_for_neither(tmp_path: Path) -> None:
    before = hours(next(listing.weeks(desk(tmp_path), [("All", roadmaps.track("beginner"))], 5.0)))
    Log(tmp_path).append("skip", "digits")
    after = hours(next(listing.weeks(desk(tmp_path), [("All", roadmaps.track("beginner"))], 5.0)))
    assert before[0] - after[0] == pytest.approx(curriculum.find("digits").minutes / 60, abs=0.11)
    assert before[1] - after[1] == pytest.approx(curriculum.find("digits").minutes / 60, abs=0.11)
    all_there = [curriculum.find("tensors")]
    assert next(listing.weeks(desk(tmp_path), [("One", all_there)], 5.0)).endswith("; all is written")
    assert next(listing.weeks(desk(tmp_path), [("None", [])], 5.0)) == "None: 0 weeks at 5 h a week"


def test_a_page_marks_them_as_well(tmp_path: Path) -> None:
    text = Browser(tmp_path).get("/?track=beginner&hours=5").text
    plan = text.partition('class="plan"')[2].partition("</section>")[0]
    hours(plan)
    items = re.findall(
        r'<a href="/topic/([^"]+)">[^<]+</a> <small>[^<]+</small>( <span class="state coming">)?', plan
    )
    assert len(items) > 10
    for slug, mark in items:
        assert bool(mark) != curriculum.find(slug).written, slug
