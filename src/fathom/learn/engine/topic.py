"""A topic as data: its head, which makes the map, and its page, a list of blocks.

A page has parts in a fixed order. Whole game before pieces: the reader uses the finished thing, guesses, and
only then reads why. All of it is plain text and literals, so reading a topic runs nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

LEVELS = ("beginner", "intermediate", "advanced")
GROUPS = (
    "Mathematics",
    "First networks",
    "Training",
    "Vision",
    "Sequences",
    "Generation",
    "Further ideas",
    "Systems",
    "Projects",
)
PARTS = (
    "Try it first",
    "Predict",
    "Intuition",
    "The maths",
    "The real code",
    "Exercises",
    "Quiz",
    "On your data",
    "Pitfalls",
    "Further reading",
)
PARTS_OF_A_PROJECT = (
    "What you build",
    "The data",
    "Your folder",
    "Milestones",
    "All together",
    "Show it",
    "Quiz",
    "Pitfalls",
    "Further reading",
)


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the map knows about a topic; the front matter of its page."""

    slug: str  # the name of its folder: "gradient-descent"
    title: str
    level: str  # one of LEVELS
    group: str  # one of GROUPS; a topic of "Projects" is a project
    goal: str  # what the reader can do afterwards; it continues "After this page you can"
    minutes: int
    needs: tuple[str, ...] = ()  # slugs of topics to know first
    rows: tuple[str, ...] = ()  # ids of the inventory that it teaches
    symbols: dict[str, str] = field(default_factory=dict)  # TeX -> what it stands for, with its shape
    use: str = ""  # one command that does it on the reader's own data
    entry: dict[str, tuple[str, ...]] = field(default_factory=dict)  # exercise -> topics that it vouches for
    paper: str = ""  # where it comes from, when no file of the library says so: title (year) <address>
    read: tuple[str, ...] = ()  # files of the library to read, besides those of its rows
    folder: Path | None = None  # None: not written yet, it says "coming"

    @property
    def written(self) -> bool:
        return self.folder is not None

    @property
    def kind(self) -> str:
        """A "topic", or a "project": its answers are files of one folder that works by itself."""
        return "project" if self.group == "Projects" else "topic"


@dataclass(frozen=True, kw_only=True)
class Block:
    """A piece of a page."""

    line: int  # where it begins in topic.md


@dataclass(frozen=True, kw_only=True)
class Heading(Block):
    """A part of the page (level 2), or a heading inside one (level 3)."""

    level: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Prose(Block):
    """Markdown: paragraphs, lists, emphasis, `code` and $formulas$; no HTML."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Formula(Block):
    """A formula on a line of its own, in TeX."""

    tex: str


@dataclass(frozen=True, kw_only=True)
class Code(Block):
    """A fence. Those of Python run in order, in one namespace for the page; those of sh are commands.

    One with the name of a ``file`` is that file, whole: a project brings it along, and it runs there.
    """

    language: str
    text: str
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class FigureBlock(Block):
    """A figure of the topic's ``figure.py``, by the name of its function."""

    name: str


@dataclass(frozen=True, kw_only=True)
class ExerciseBlock(Block):
    """An exercise: ``exercises/<name>.py``."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A note beside a line of quoted code."""

    anchor: str  # a piece of the code that occurs exactly once in it
    text: str


@dataclass(frozen=True, kw_only=True)
class SourceBlock(Block):
    """Code of the library, by reference: ``fathom.module:Qualified.name``."""

    reference: str
    margins: tuple[Margin, ...]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One answer of a question, and what there is to say about it."""

    text: str
    why: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class Question(Block):
    """A question of the quiz; exactly one option is right."""

    text: str
    options: tuple[Option, ...]


@dataclass(frozen=True, kw_only=True)
class Prediction(Block):
    """A guess before the figure moves. It is not graded, and no option is marked right."""

    text: str
    options: tuple[Option, ...]


@dataclass(frozen=True, kw_only=True)
class Note(Block):
    """An aside with a title."""

    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Milestone(Block):
    """A step of a project: a graded check, named like an exercise, with its brief."""

    name: str
    text: str


Kind = TypeVar("Kind", bound=Block)


@dataclass(frozen=True)
class Topic:
    """A whole page."""

    head: Head
    blocks: tuple[Block, ...]

    def every(self, kind: type[Kind]) -> Iterator[Kind]:
        """All blocks of one kind, in order."""
        return (block for block in self.blocks if isinstance(block, kind))

    def parts(self) -> dict[str, tuple[Block, ...]]:
        """The blocks below each heading of level 2; what stands above the first is under ""."""
        found: dict[str, list[Block]] = {"": []}
        name = ""
        for block in self.blocks:
            if isinstance(block, Heading) and block.level == 2:
                name = block.text
                found[name] = []
            else:
                found[name].append(block)
        return {part: tuple(blocks) for part, blocks in found.items()}
