"""``fathom learn next``: a page of the curriculum, printed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.text import Text

from fathom.learn.engine import curriculum
from fathom.learn.engine.draw_text import lines
from fathom.learn.engine.exercise import exercise, exercises, milestones
from fathom.learn.engine.figure import read_figures
from fathom.learn.engine.plain_maths import plain, prose, text
from fathom.learn.engine.source import quote
from fathom.learn.engine.standing import Desk
from fathom.learn.engine.still import last_frame
from fathom.learn.engine.topic import (
    Block,
    Code,
    ExerciseBlock,
    FigureBlock,
    Formula,
    Head,
    Heading,
    Milestone,
    Note,
    Prediction,
    Prose,
    Question,
    SourceBlock,
    Topic,
)

if TYPE_CHECKING:
    from fathom.learn.engine.worker import Worker


class Page:
    """Prints the blocks of a topic one after the other."""

    def __init__(self, topic: Topic, desk: Desk, worker: "Worker", console: Console) -> None:
        self.topic, self.desk, self.worker, self.console = topic, desk, worker, console
        self.questions = 0
        self.show: dict[type[Block], Callable] = {
            Heading: self.heading,
            Prose: self.prose,
            Formula: self.formula,
            Code: self.code,
            FigureBlock: self.figure,
            ExerciseBlock: self.exercise,
            Milestone: self.milestone,
            SourceBlock: self.source,
            Question: self.question,
            Prediction: self.prediction,
            Note: self.note,
        }

    def print(self) -> None:
        head = self.topic.head
        self.console.rule(head.title)
        self.console.print(f"{head.level}, {head.minutes} min, {self.desk.state(head.slug)}", style="dim")
        self.console.print(f"After this page you can {text(head.goal)}.", style="bold")
        self.needs(head)
        for block in self.topic.blocks:
            self.console.print()
            self.show[type(block)](block)
            if isinstance(block, Heading) and block.text == "Pitfalls":
                self.pitfalls()

    def needs(self, head: Head) -> None:
        for slug in head.needs:
            other = curriculum.find(slug)
            self.console.print(f"You need: {other.title} ({slug}, {self.desk.state(slug)})", style="dim")

    def heading(self, block: Heading) -> None:
        if block.level == 2:
            self.console.rule(block.text, align="left", style="dim")
        else:
            self.console.print(text(block.text), style="bold underline")

    def prose(self, block: Prose) -> None:
        self.console.print(Markdown(prose(block.text)))

    def formula(self, block: Formula) -> None:
        for line in plain(block.tex).splitlines():
            self.console.print(Text(f"    {line}", style="bold"))

    def code(self, block: Code) -> None:
        if block.file:
            self.console.print(f"{block.file}:", style="bold")
        self.console.print(Syntax(block.text, block.language or "text", background_color="default"))

    def figure(self, block: FigureBlock) -> None:
        folder = self.topic.head.folder
        assert folder is not None
        head = read_figures(folder)[block.name]
        last = last_frame(self.worker, folder, block.name, {})
        self.console.print(f"Figure: {head.title.splitlines()[0]}", style="bold")
        for line in lines(last) if last else ["(it could not be drawn)"]:
            self.console.print(Text(line), soft_wrap=True)

    def exercise(self, block: ExerciseBlock) -> None:
        self.asked(f"Exercise {block.name}", block.name)

    def milestone(self, block: Milestone) -> None:
        names = milestones(self.topic.head.slug)
        title = f"Milestone {names.index(block.name) + 1} of {len(names)}: {block.name}"
        self.asked(title, block.name, block.text)

    def asked(self, title: str, name: str, brief: str = "") -> None:
        made = exercise(self.topic.head.slug, name)
        standing = self.desk.standings.get(made.topic)
        solved = standing is not None and name in standing.passed
        self.console.print(title + (" (solved)" if solved else ""), style="bold")
        self.console.print(Markdown(prose(f"{brief}\n\n{made.statement}".strip())))
        self.console.print(f"fathom learn check {made.key}", style="dim")

    def source(self, block: SourceBlock) -> None:
        found = quote(block.reference)
        self.console.print(f"{found.place}, line {found.first}", style="dim")
        notes = {found.line_of(margin.anchor): margin.text for margin in block.margins}
        for number, line in enumerate(found.text.splitlines()):
            self.console.print(Text(line), soft_wrap=True)
            if number in notes:
                indent = " " * (len(line) - len(line.lstrip()))
                self.console.print(Text(f"{indent}^ {text(notes[number])}", style="italic"), soft_wrap=True)

    def question(self, block: Question) -> None:
        self.questions += 1
        self.console.print(Markdown(f"**{self.questions}.** {prose(block.text)}"))
        self.options(block)
        self.console.print(f"fathom learn check {self.topic.head.slug}/quiz", style="dim")

    def prediction(self, block: Prediction) -> None:
        self.console.print(Markdown(prose(block.text)))
        self.options(block)

    def options(self, block: Question | Prediction) -> None:
        for letter, option in zip("abcdefgh", block.options, strict=False):
            self.console.print(Markdown(f"{letter}) {prose(option.text)}"))

    def note(self, block: Note) -> None:
        self.console.print(text(block.title), style="bold")
        self.console.print(Markdown(prose(block.text)))

    def pitfalls(self) -> None:
        """The messages of all wrong twins of the page: what goes wrong, in the words of the grader."""
        for name in exercises(self.topic.head.slug):
            self.console.print(name.replace("_", " "), style="bold")
            for message in exercise(self.topic.head.slug, name).mistakes.values():
                self.console.print(Markdown(f"- {prose(message)}"))


def coming(head: Head, console: Console) -> None:
    """What there is to say of a topic that is not written yet."""
    console.rule(head.title)
    console.print("This page is still to come. It will teach you to " + head.goal + ".")
    for entry in curriculum.files(head):
        console.print(f"  read    {entry.path}  ({entry.card.title})", soft_wrap=True)
    for paper in curriculum.papers(head):
        console.print(f"  source  {paper.title} {paper.address}", soft_wrap=True)
