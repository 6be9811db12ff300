"""Reading ``topic.md``: a head in TOML between two lines ``+++``, then Markdown with seven directives.

    :::figure NAME                          a figure of figure.py
    :::exercise NAME                        an exercise of exercises/
    :::source fathom.module:Name            code of the library; inside, lines "piece of the code | note"
    :::quiz                                 a question; inside, options "+ right | why" and "- wrong | why"
    :::predict                              a guess; inside, options "- guess | what to look at"
    :::note TITLE                           an aside; inside, Markdown
    :::project NAME                         a milestone of a project; inside, its brief

The last five end at a line ``:::``. A fence names its language and, where it is a file that a project brings
along, that file: ``python project.py``. Whatever is none of these, no heading or ``$$`` formula, is prose and
stays as it is written. The same tree is shown, printed in a terminal, and tested.

A head may have a table ``[entry]``: exercises of the page that place the learner, each with the topics that
passing it takes as known. Nobody must solve them to be done with the page.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

from fathom.errors import InputError, unknown
from fathom.learn.engine.topic import (
    GROUPS,
    LEVELS,
    PARTS,
    PARTS_OF_A_PROJECT,
    Block,
    Code,
    ExerciseBlock,
    FigureBlock,
    Formula,
    Head,
    Heading,
    Margin,
    Milestone,
    Note,
    Option,
    Prediction,
    Prose,
    Question,
    SourceBlock,
    Topic,
)

BRIEF = ("figure", "exercise")  # directives of one line
LONG = ("source", "quiz", "predict", "note", "project")
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NAME = re.compile(r"[a-z][a-z0-9_]*")
GIVEN = re.compile(r"[A-Za-z][A-Za-z0-9_]*\.(py|md|txt)")  # a file that a project brings along
REFERENCE = re.compile(r"fathom(\.\w+)+:\w+(\.\w+)*")
FIELDS = {
    "title": str, "level": str, "group": str, "goal": str, "minutes": int, "needs": list, "rows": list,
    "symbols": dict, "use": str, "paper": str, "read": list, "entry": dict,
}  # fmt: skip
REQUIRED = ("title", "level", "group", "goal", "minutes")


class PageError(InputError):
    """A topic that cannot be read as it is written."""

    def __init__(self, place: str, line: int, text: str) -> None:
        super().__init__(f"{place}, line {line}: {text}")


def read_topic(folder: Path) -> Topic:
    """The page in ``folder``; ``PageError`` says line and mistake."""
    text = (folder / "topic.md").read_text(encoding="utf-8")
    written, first = split(text, f"{folder.name}/topic.md")
    head = read_head(written, folder)
    parts = PARTS_OF_A_PROJECT if head.kind == "project" else PARTS
    return Topic(head, Reader(folder.name, text.splitlines(), first, parts).blocks())


def read_head_of(folder: Path) -> Head:
    """The head alone, for the map."""
    file = folder / "topic.md"
    return read_head(split(file.read_text(encoding="utf-8"), f"{folder.name}/topic.md")[0], folder)


def split(text: str, place: str) -> tuple[str, int]:
    """The TOML of the head, and the number of lines that it takes."""
    lines = text.splitlines()
    if not lines or lines[0] != "+++" or "+++" not in lines[1:]:
        raise PageError(place, 1, "a topic begins with its head, in TOML between two lines +++")
    end = lines.index("+++", 1)
    return "\n".join(lines[1:end]), end + 1


def read_head(text: str, folder: Path) -> Head:
    place = f"{folder.name}/topic.md"
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PageError(place, 1, f"the head is no TOML: {error}") from None
    return make_head(folder.name, given, place, folder)


def make_head(slug: str, given: dict[str, Any], place: str, folder: Path | None = None) -> Head:
    """A head of checked fields; ``PageError`` for one that is missing, unknown, or of another kind."""
    if not SLUG.fullmatch(slug):
        raise PageError(place, 1, f"the name {slug!r} must be lower-case words joined by hyphens: chain-rule")
    for name, value in given.items():
        if name not in FIELDS:
            raise PageError(place, 1, str(unknown("field of a head", name, FIELDS)))
        if not isinstance(value, FIELDS[name]) or isinstance(value, bool):
            raise PageError(place, 1, f"{name} is {value!r}; it must be {FIELDS[name].__name__}")
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        raise PageError(place, 1, f"the head of {slug} lacks {', '.join(missing)}")
    for name, allowed in (("level", LEVELS), ("group", GROUPS)):
        if given[name] not in allowed:
            raise PageError(place, 1, f"{name} is {given[name]!r}; it must be one of {', '.join(allowed)}")
    if not 5 <= given["minutes"] <= 1200:
        raise PageError(place, 1, f"minutes is {given['minutes']}; it must be in 5 to 1200")
    fields: dict[str, Any] = given | {name: tuple(given.get(name, ())) for name in ("needs", "rows", "read")}
    fields["entry"] = read_entry(given.get("entry", {}), place)
    return Head(slug=slug, folder=folder, **fields)


def read_entry(given: dict[str, Any], place: str) -> dict[str, tuple[str, ...]]:
    """The entry test of a page: each of its exercises, and the topics that passing it takes as known."""
    for name, slugs in given.items():
        if not isinstance(slugs, list) or not slugs or not all(isinstance(slug, str) for slug in slugs):
            raise PageError(place, 1, f"entry.{name} is {slugs!r}; it must be a list of topics, one or more")
    return {name: tuple(slugs) for name, slugs in given.items()}


class Reader:
    """Goes through the lines of a page once."""

    def __init__(self, place: str, lines: list[str], first: int, allowed: tuple[str, ...] = PARTS) -> None:
        self.place, self.lines, self.at, self.allowed = f"{place}/topic.md", lines, first, allowed
        self.parts: list[str] = []

    def fail(self, text: str, line: int | None = None) -> PageError:
        return PageError(self.place, (self.at if line is None else line) + 1, text)

    def blocks(self) -> tuple[Block, ...]:
        found: list[Block] = []
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip():
                self.at += 1
            elif line.startswith(":::"):
                found.append(self.directive())
            elif line.startswith("```"):
                found.append(self.fence())
            elif line.startswith("$$"):
                found.append(self.formula())
            elif line.startswith("#"):
                found.append(self.heading())
            else:
                found.append(self.prose())
        return tuple(found)

    def heading(self) -> Heading:
        marks, _, text = self.lines[self.at].partition(" ")
        level = len(marks)
        if marks not in ("##", "###") or not text.strip():
            raise self.fail("a heading is ## (a part) or ### (inside one), and a text")
        if level == 2:
            if text not in self.allowed:
                raise self.fail(str(unknown("part of a page", text, self.allowed)))
            if self.parts and self.allowed.index(text) <= self.allowed.index(self.parts[-1]):
                raise self.fail(f"the part {text!r} stands behind {self.parts[-1]!r}; the order is fixed")
            self.parts.append(text)
        self.at += 1
        return Heading(line=self.at, level=level, text=text)

    def prose(self) -> Prose:
        """All lines up to the next block: paragraphs belong together."""
        start = self.at
        while self.at < len(self.lines) and not self.lines[self.at].startswith((":::", "```", "$$", "#")):
            self.at += 1
        return Prose(line=start + 1, text="\n".join(self.lines[start : self.at]).strip())

    def fence(self) -> Code:
        start, (language, _, file) = self.at, self.lines[self.at][3:].strip().partition(" ")
        if file and not GIVEN.fullmatch(file):
            raise self.fail(f"a fence names a language, and may name a file such as project.py; not {file!r}")
        inside = self.until("```", "this fence does not end")
        return Code(line=start + 1, language=language, text="\n".join(inside), file=file)

    def formula(self) -> Formula:
        start, line = self.at, self.lines[self.at]
        if len(line) > 4 and line.endswith("$$"):
            self.at += 1
            return Formula(line=start + 1, tex=line[2:-2].strip())
        if line != "$$":
            raise self.fail("a formula stands between $$ on one line, or between two lines $$")
        return Formula(line=start + 1, tex="\n".join(self.until("$$", "this formula does not end")))

    def until(self, end: str, complaint: str) -> list[str]:
        """The lines after this one up to ``end``, which is passed."""
        start = self.at
        self.at += 1
        while self.at < len(self.lines) and self.lines[self.at] != end:
            self.at += 1
        if self.at == len(self.lines):
            raise self.fail(complaint, start)
        self.at += 1
        return self.lines[start + 1 : self.at - 1]

    def directive(self) -> Block:
        start = self.at
        name, _, argument = self.lines[start][3:].partition(" ")
        argument = argument.strip()
        if name in BRIEF:
            if not NAME.fullmatch(argument):
                raise self.fail(f":::{name} takes a name in lower case; it has {argument!r}")
            self.at += 1
            kind = FigureBlock if name == "figure" else ExerciseBlock
            return kind(line=start + 1, name=argument)
        if name not in LONG:
            raise self.fail(str(unknown("directive", name, (*BRIEF, *LONG))))
        inside = self.until(":::", f":::{name} does not end; close it with :::")
        return getattr(self, name)(start, argument, inside)

    def source(self, start: int, reference: str, inside: list[str]) -> SourceBlock:
        if not REFERENCE.fullmatch(reference):
            raise self.fail(f"{reference!r} is no reference; write fathom.module:Name.part", start)
        margins = []
        for number, line in enumerate(inside, start + 1):
            anchor, bar, text = line.rpartition(" | ")
            if not bar:
                raise self.fail("a margin is: piece of the code | note", number)
            margins.append(Margin(anchor=anchor.strip(), text=text.strip()))
        return SourceBlock(line=start + 1, reference=reference, margins=tuple(margins))

    def quiz(self, start: int, argument: str, inside: list[str]) -> Question:
        text, options = self.options(start, inside)
        if sum(option.right for option in options) != 1:
            raise self.fail("a question has exactly one right option, marked +", start)
        return Question(line=start + 1, text=text, options=options)

    def predict(self, start: int, argument: str, inside: list[str]) -> Prediction:
        text, options = self.options(start, inside)
        if any(option.right for option in options):
            raise self.fail("a prediction is not graded; mark every option with -", start)
        return Prediction(line=start + 1, text=text, options=options)

    def options(self, start: int, inside: list[str]) -> tuple[str, tuple[Option, ...]]:
        """The text of a question and its options; lines that begin with two spaces continue an option."""
        text: list[str] = []
        listed: list[str] = []
        for line in inside:
            if line.startswith(("+ ", "- ")):
                listed.append(line)
            elif listed and line.startswith("  "):
                listed[-1] += " " + line.strip()
            elif listed and line.strip():
                raise self.fail(
                    "behind the first option come only options, and lines that continue them", start
                )
            else:
                text.append(line)
        options = []
        for line in listed:
            answer, bar, why = line[2:].rpartition(" | ")
            if not bar or not why.strip():
                raise self.fail(f"the option {line!r} has no explanation; write: answer | why", start)
            options.append(Option(text=answer.strip(), why=why.strip(), right=line.startswith("+")))
        if len(options) < 2 or not "".join(text).strip():
            raise self.fail("a question has a text and two options or more", start)
        return "\n".join(text).strip(), tuple(options)

    def note(self, start: int, title: str, inside: list[str]) -> Note:
        if not title:
            raise self.fail(":::note takes a title", start)
        return Note(line=start + 1, title=title, text="\n".join(inside).strip())

    def project(self, start: int, name: str, inside: list[str]) -> Milestone:
        if not NAME.fullmatch(name):
            raise self.fail(f":::project takes the name of a milestone; it has {name!r}", start)
        return Milestone(line=start + 1, name=name, text="\n".join(inside).strip())
