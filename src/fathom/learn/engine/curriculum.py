"""The map: every topic, what it needs, and in which order they can be learned.

Nothing is registered. A topic is a folder of ``topics/`` with a ``topic.md``; those that are not written yet
are entries of ``topics/coming.toml``. Edges are the ``needs`` of the heads. From them follow

    depth      the longest chain of needs below a topic: 0 for those that need nothing
    order      by depth inside the order of needs, so that whoever follows it never meets the unknown
    next       topics whose needs are all done

Only heads are read, so the map of eighty topics takes a few milliseconds and no torch.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fathom import catalog
from fathom.errors import unknown
from fathom.learn.engine.parse import make_head, read_head_of, read_topic
from fathom.learn.engine.topic import GROUPS, LEVELS, Head, Topic

TOPICS = Path(__file__).parents[1] / "topics"
COMING = "coming.toml"
Heads = Mapping[str, Head]


class MapError(ValueError):
    """Heads that make no map: a mistake of the authors, found by the tests."""


@cache
def heads() -> dict[str, Head]:
    """The head of every topic by its slug, in the order of learning."""
    return ordered(read_heads(TOPICS))


@cache
def topic(slug: str) -> Topic:
    """The page of a written topic; ``InputError`` for one that does not exist or is still to come."""
    head = find(slug)
    if head.folder is None:
        written = [name for name, other in heads().items() if other.written]
        raise unknown("page yet for", slug, written)
    return read_topic(head.folder)


def find(slug: str) -> Head:
    """The head of a topic; an unknown name raises ``InputError`` with the nearest ones."""
    if slug not in heads():
        raise unknown("topic", slug, heads())
    return heads()[slug]


def read_heads(folder: Path) -> dict[str, Head]:
    """Heads of the pages in ``folder`` and of what is to come; ``MapError`` for a name that is both."""
    found = {file.parent.name: read_head_of(file.parent) for file in sorted(folder.glob("*/topic.md"))}
    coming = folder / COMING
    listed = tomllib.loads(coming.read_text(encoding="utf-8")) if coming.is_file() else {}
    for slug, given in listed.items():
        if slug in found:
            raise MapError(f"{slug} is written; take it out of {COMING}")
        found[slug] = make_head(slug, given, COMING)
    return found


def depths(found: Heads) -> dict[str, int]:
    """The longest chain of needs below each topic; ``MapError`` for a circle or a name that is missing."""
    known: dict[str, int] = {}

    def depth(slug: str, path: tuple[str, ...]) -> int:
        if slug in path:
            raise MapError(f"a circle of needs: {' -> '.join((*path, slug))}")
        if slug not in found:
            raise MapError(f"{path[-1]} needs {slug!r}, which does not exist")
        if slug not in known:
            below = [depth(other, (*path, slug)) for other in found[slug].needs]
            known[slug] = 1 + max(below, default=-1)
        return known[slug]

    for slug in found:
        depth(slug, ())
    return known


def ordered(found: Heads) -> dict[str, Head]:
    """The heads so that each stands behind all it needs; where needs leave a choice, groups decide.

    ``MapError`` where a topic needs one of a later level, for then no track could be followed by itself, and
    where an entry test vouches for a topic that does not exist.
    """
    below = depths(found)
    for head in found.values():
        for other in head.needs:
            if LEVELS.index(found[other].level) > LEVELS.index(head.level):
                raise MapError(f"{head.slug} is {head.level} and needs {other}, {found[other].level}")
        for name, known in head.entry.items():
            for other in set(known) - set(found):
                raise MapError(
                    f"{head.slug}: the entry test {name} vouches for {other!r}, which does not exist"
                )

    def place(head: Head) -> tuple[int, int, int, str]:
        return LEVELS.index(head.level), GROUPS.index(head.group), below[head.slug], head.slug

    waiting = sorted(found.values(), key=place)
    result: dict[str, Head] = {}
    while waiting:  # the first, in that order, of those whose needs stand already
        head = next(h for h in waiting if all(other in result for other in h.needs))
        waiting.remove(head)
        result[head.slug] = head
    return result


def ready(done: Collection[str]) -> list[Head]:
    """Written topics that are not done and whose needs are; a need that is still to come holds up nobody."""
    found = heads()
    return [
        head
        for slug, head in found.items()
        if head.written
        and slug not in done
        and all(other in done or not found[other].written for other in head.needs)
    ]


def needed_for(slug: str) -> list[Head]:
    """All that a topic stands on, directly or not, in the order of learning; the topic itself left out."""
    wanted: set[str] = set()
    stack = list(find(slug).needs)
    while stack:
        other = stack.pop()
        if other not in wanted:
            wanted.add(other)
            stack += heads()[other].needs
    return [head for name, head in heads().items() if name in wanted]


def files(head: Head) -> list[catalog.Entry]:
    """The files of the library that a topic teaches: those of its rows, and those that it names."""
    rows, read = set(head.rows), set(head.read)
    found = catalog.entries().values()
    return [entry for entry in found if entry.name in read or rows & set(entry.card.rows)]


@dataclass(frozen=True)
class Paper:
    """Where something comes from."""

    title: str  # with its year
    address: str


def papers(head: Head) -> list[Paper]:
    """Where a topic comes from: its own paper, and those of its files, oldest first, each once.

    Cards know the address and the year of a paper, and the title of what it brought.
    """
    listed: dict[str, str] = {}
    if head.paper:
        title, _, address = head.paper.removesuffix(">").rpartition(" <")
        listed[address] = title or address
    for card in sorted((entry.card for entry in files(head)), key=lambda card: card.year):
        listed.setdefault(card.paper, f"{card.title} ({card.year})")
    return [Paper(title, address) for address, title in listed.items()]
