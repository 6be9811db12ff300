"""``fathom learn list``: the map as lines, by track or roadmap, as a way to a topic, spread over weeks."""

from collections.abc import Iterator, Sequence
from typing import Any

from fathom.learn.engine import roadmaps
from fathom.learn.engine.curriculum import heads
from fathom.learn.engine.standing import Desk
from fathom.learn.engine.topic import Head

SIGNS = {
    "new": " ", "reading": ".", "practising": "~", "done": "x", "due": "!", "skipped": "-", "coming": " ",
}  # fmt: skip


def sections(track: str | None, roadmap: str | None, goal: str | None) -> list[tuple[str, list[Head]]]:
    """What to list, under headings."""
    if roadmap is not None:
        return [(stage_title(stage), topics) for stage, topics in roadmaps.stages(roadmap)]
    if goal is not None:
        return [(f"The way to {goal}", roadmaps.way_to(goal))]
    return roadmaps.lanes() if track is None else [(track.capitalize(), roadmaps.track(track))]


def stage_title(stage: roadmaps.Stage) -> str:
    if stage.weeks is None:
        return stage.title
    return f"{stage.title} ({stage.weeks[0]} to {stage.weeks[1]} weeks)"


def lines(desk: Desk, listed: Sequence[tuple[str, Sequence[Head]]]) -> Iterator[str]:
    """The map: a sign and a word for the state, so that neither colour nor shape is needed alone."""
    for title, topics in listed:
        minutes = sum(head.minutes for head in topics)
        yield f"{title}, {counted(topics)}, {minutes / 60:.0f} h"
        for head in topics:
            yield "  " + line(desk, head)
        yield ""
    yield f"{len(desk.done())} of {len(heads())} done or skipped; fathom learn next goes on"


def counted(listed: Sequence[Head]) -> str:
    """How many there are, in words: "9 projects" where there is nothing else."""
    kinds = {head.kind for head in listed}
    return f"{len(listed)} {kinds.pop() if len(kinds) == 1 else 'topic'}{'s' * (len(listed) != 1)}"


def line(desk: Desk, head: Head) -> str:
    state = desk.state(head.slug)
    passed, milestones = desk.milestones(head.slug)
    far = f", {passed} of {milestones} milestones" if milestones else ""
    return f"[{SIGNS[state]}] {state:<10} {head.slug:<28} {head.minutes:>4} min  {head.title}{far}"


def weeks(desk: Desk, listed: Sequence[tuple[str, Sequence[Head]]], hours: float) -> Iterator[str]:
    """A plan: what is left of each section, spread over weeks of ``hours``; what has no page yet says so."""
    number = 0
    for title, topics in listed:
        left = [head for head in topics if head.slug not in desk.done()]
        plan = roadmaps.plan(left, hours)
        many = f"{len(plan)} {'week' if len(plan) == 1 else 'weeks'} at {hours:g} h a week"
        yield f"{title}: {many}{f'; {written(left)}' if left else ''}"
        for week in plan:
            number += 1
            said = ", ".join(
                f"{head.slug} {minutes} min{'' if head.written else ' (coming)'}"
                for head, minutes in week.topics
            )
            yield f"  week {number:>2}  {said}"
        yield ""
    yield "What is done or skipped is left out; the plan is made anew each time."


def written(listed: Sequence[Head]) -> str:
    """How much of a plan can be studied today."""
    here = sum(head.minutes for head in listed if head.written)
    whole = sum(head.minutes for head in listed)
    return f"{here / 60:.1f} of these {whole / 60:.1f} h are written" if here < whole else "all is written"


def as_json(desk: Desk, listed: Sequence[tuple[str, Sequence[Head]]]) -> Iterator[dict[str, Any]]:
    """The same for machines."""
    for title, topics in listed:
        for head in topics:
            yield {
                "topic": head.slug, "title": head.title, "kind": head.kind, "level": head.level,
                "group": head.group, "milestones": list(desk.milestones(head.slug)),
                "section": title, "state": desk.state(head.slug), "minutes": head.minutes,
                "needs": list(head.needs), "goal": head.goal, "rows": list(head.rows),
            }  # fmt: skip
