"""Views of the map: three tracks, and the orders of five roadmaps, spread over weeks.

There is one graph. A roadmap is a choice of its topics and a cut of its order into stages. Which topics a
roadmap has is not written here: the inventory says of every row which roadmaps ask for it, and a topic
belongs where its rows do, together with all that it needs. What is written here is how each of them cuts:
by level, by subject, in phases of weeks. Inside a stage stands the order of needs, and a topic whose needs
come later waits for them: no roadmap leads through the unknown.

A plan fills weeks with what is left to do, at the hours per week that a reader has.
"""

import csv
import importlib.resources
import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from fathom.errors import InputError, unknown
from fathom.learn.engine.curriculum import find, heads, needed_for
from fathom.learn.engine.topic import LEVELS, Head

ROWS = ("LP01", "LP02", "LP03", "LP04")  # of the inventory: tracks, weeks, six stages, eight parts
HOURS = (0.5, 80.0)  # per week
PROJECTS = "Projects"  # the lane of all of them


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of a roadmap: the topics of some groups, or of some levels, that no earlier stage has."""

    title: str
    groups: tuple[str, ...] = ()  # empty: all
    levels: tuple[str, ...] = LEVELS
    weeks: tuple[int, int] | None = None  # what the roadmap gives it; None: no length, or without end

    def takes(self, head: Head) -> bool:
        return (not self.groups or head.group in self.groups) and head.level in self.levels


@dataclass(frozen=True, kw_only=True)
class Roadmap:
    """A way through the map."""

    title: str
    stages: tuple[Stage, ...]


ROADMAPS = {
    "000": Roadmap(
        title="Three tracks",
        stages=(
            Stage(title="Beginner", levels=("beginner",)),
            Stage(title="Intermediate", levels=("intermediate",)),
            Stage(title="Advanced", levels=("advanced",)),
        ),
    ),
    "001": Roadmap(
        title="From a neuron to a service",
        stages=(
            Stage(title="Networks and how they learn", groups=("Mathematics", "First networks", "Training")),
            Stage(title="Networks that see", groups=("Vision",)),
            Stage(title="Networks that read and listen", groups=("Sequences",)),
            Stage(title="Networks that make and act", groups=("Generation", "Further ideas")),
            Stage(title="Networks in use", groups=("Systems", "Projects")),
        ),
    ),
    "002": Roadmap(
        title="Phases of weeks",
        stages=(
            Stage(title="Foundations", groups=("Mathematics", "First networks"), weeks=(3, 4)),
            Stage(title="Core", groups=("Training", "Vision"), levels=LEVELS[:2], weeks=(4, 6)),
            Stage(title="Depth", groups=("Training", "Vision", "Sequences", "Generation"), weeks=(6, 8)),
            Stage(title="Practice, ongoing", groups=("Further ideas", "Systems", "Projects")),
        ),
    ),
    "003": Roadmap(
        title="Eight parts",
        stages=(
            Stage(title="Networks", groups=("Mathematics", "First networks")),
            Stage(title="Training", groups=("Training",)),
            Stage(title="Vision", groups=("Vision",)),
            Stage(title="Language and sequences", groups=("Sequences",)),
            Stage(title="Generation", groups=("Generation",)),
            Stage(title="Further ideas", groups=("Further ideas",)),
            Stage(title="Systems", groups=("Systems",)),
            Stage(title="Projects", groups=("Projects",)),
        ),
    ),
    "004": Roadmap(
        title="Six stages",
        stages=(
            Stage(title="Foundation", groups=("Mathematics",)),
            Stage(title="Networks", groups=("First networks",)),
            Stage(title="Training", groups=("Training",)),
            Stage(title="Architectures", groups=("Vision", "Sequences")),
            Stage(title="Generation and other ways to learn", groups=("Generation", "Further ideas")),
            Stage(title="Advanced practice", groups=("Systems", "Projects")),
        ),
    ),
}  # fmt: skip


def members(code: str) -> dict[str, Head]:
    """The topics of a roadmap, by the inventory, and all that they need, in the order of learning."""
    rows = wanted_rows(code)
    asked = [head for head in heads().values() if rows & set(head.rows)]
    slugs = {head.slug for head in asked} | {other.slug for head in asked for other in needed_for(head.slug)}
    return {slug: head for slug, head in heads().items() if slug in slugs}


def wanted_rows(code: str) -> set[str]:
    """Ids of the inventory's rows that a roadmap asks for."""
    if code not in ROADMAPS:
        raise unknown("roadmap", code, ROADMAPS)
    return {row for row, roadmaps in asked_by().items() if code in roadmaps}


@cache
def asked_by() -> dict[str, str]:
    """The roadmaps that ask for each row of the inventory, as it writes them: "000 002 004"."""
    text = importlib.resources.files("fathom").joinpath("inventory.csv").read_text(encoding="utf-8")
    return {row["id"]: row["roadmaps"] for row in csv.DictReader(text.splitlines())}


def stages(code: str) -> list[tuple[Stage, list[Head]]]:
    """The stages of a roadmap with their topics, each in the first stage that takes it and has its needs."""
    left = members(code)
    waiting: list[Head] = []
    placed: set[str] = set()
    found = []
    for stage in ROADMAPS[code].stages:
        taken = []
        for head in (h for h in left.values() if stage.takes(h) or h in waiting):
            if placed.issuperset(head.needs):
                taken.append(head)
                placed.add(head.slug)
            elif head not in waiting:
                waiting.append(head)
        left = {slug: head for slug, head in left.items() if slug not in placed}
        found.append((stage, taken))
    if left:
        raise ValueError(f"roadmap {code}: no stage takes {', '.join(left)}")
    return found


@dataclass(frozen=True)
class Week:
    """What to do in a week; a topic that is longer than what is left of one goes on in the next."""

    number: int
    topics: tuple[tuple[Head, int], ...]  # with the minutes of this week


def plan(topics: Collection[Head], hours: float) -> list[Week]:
    """Spread topics over weeks of ``hours``, in the order given.

    Raises ``InputError`` for hours outside 0.5 to 80.
    """
    if not (math.isfinite(hours) and HOURS[0] <= hours <= HOURS[1]):
        raise InputError(f"{hours:g} hours a week; a plan can be made for {HOURS[0]:g} to {HOURS[1]:g}")
    room = whole = round(hours * 60)
    weeks: list[list[tuple[Head, int]]] = [[]]
    for head in topics:
        left = head.minutes
        while left:
            if not room:
                weeks.append([])
                room = whole
            now = min(left, room)
            weeks[-1].append((head, now))
            left, room = left - now, room - now
    return [Week(number, tuple(items)) for number, items in enumerate(weeks, 1) if items]


def track(level: str) -> list[Head]:
    """The topics of one level, in order."""
    if level not in LEVELS:
        raise unknown("track", level, LEVELS)
    return [head for head in heads().values() if head.level == level]


def lanes() -> list[tuple[str, list[Head]]]:
    """Everything: the topics of each level, and the projects, which stand on topics of all levels, last."""
    topics = [(level.capitalize(), [h for h in track(level) if h.kind == "topic"]) for level in LEVELS]
    return [*topics, (PROJECTS, [head for head in heads().values() if head.kind == "project"])]


def way_to(slug: str) -> list[Head]:
    """All that a topic needs, and the topic, in order: the shortest course that ends there."""
    return [*needed_for(slug), find(slug)]
