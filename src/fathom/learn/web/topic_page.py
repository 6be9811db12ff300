"""The page of a topic: every block of it, in its order, with what this learner did so far."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from fathom.learn.engine import confine, curriculum
from fathom.learn.engine.exercise import exercise as read_exercise
from fathom.learn.engine.exercise import exercises, milestones
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
)  # fmt: skip
from fathom.learn.web import prose
from fathom.learn.web.code import fence
from fathom.learn.web.exercises import exercise, title
from fathom.learn.web.figures import figure
from fathom.learn.web.questions import prediction, question
from fathom.learn.web.quotes import quoted
from fathom.learn.web.shell import chip, length, link, page
from fathom.learn.web.study import Study, asked

MANY = 8  # exercises of a page, whose mistakes are still one list
GRADED = ("Exercises", "Milestones")  # parts where the learner's code runs


class TopicPage:
    """Writes a page; ``query`` are the settings of its figures."""

    def __init__(self, topic: Topic, study: Study, query: Mapping[str, str]) -> None:
        self.topic, self.study, self.query = topic, study, query
        self.head = topic.head
        self.symbols = tuple(self.head.symbols)
        self.met: set[str] = set()  # symbols that a formula already explained
        self.questions = self.predictions = 0
        self.write: dict[type[Block], Callable[[Any], str]] = {
            Heading: self.heading, Prose: self.prose, Formula: self.formula, Code: self.code,
            FigureBlock: self.figure, ExerciseBlock: self.exercise, Milestone: self.milestone,
            SourceBlock: self.source, Question: self.question, Prediction: self.prediction, Note: self.note,
        }  # fmt: skip

    def html(self) -> str:
        blocks = []
        for block in self.topic.blocks:
            blocks.append(self.write[type(block)](block))
            if isinstance(block, Heading) and block.text in GRADED:
                blocks.append(f'<p class="hint" id="walls">{confine.describe()}</p>')
            elif isinstance(block, Heading) and block.text == "Pitfalls":
                blocks.append(self.pitfalls())
        body = (
            f'<div class="columns">{self.contents()}<article>{self.opening()}{"".join(blocks)}{self.ending()}'
            f"</article></div>{self.notes()}"
        )
        return page(self.head.title, body, kind="topic")

    def part(self, wanted: Block) -> tuple[str, str]:
        """The anchor and the HTML of one form of the page."""
        html = ""
        for block in self.topic.blocks:  # questions are numbered as they come
            if isinstance(block, Question | Prediction) or block is wanted:
                html = self.write[type(block)](block)
            if block is wanted:
                break
        return html.partition('id="')[2].partition('"')[0], html

    # -- around the text --------------------------------------------------------------------------
    def opening(self) -> str:
        head = self.head
        needs = "".join(
            f"<li>{link(other)} {chip(self.study.desk.state(other.slug))}</li>"
            for other in map(curriculum.find, head.needs)
        )
        needed = f'<div class="needs"><b>You need</b><ul>{needs}</ul></div>' if needs else ""
        return (
            f'<p class="where"><a href="/?track={head.level}">{head.level.capitalize()}</a> · {head.group} ·'
            f' {length(head.minutes)} <span id="standing">{standing(self.study, head)}</span></p>'
            f"<h1>{escape(head.title)}</h1>"
            f'<p class="goal">After this page you can <b>{prose.line(head.goal, self.symbols)}</b>.</p>'
            f"{needed}"
        )

    def contents(self) -> str:
        """Links to the parts; it stays in view on a wide screen."""
        parts = [b.text for b in self.topic.blocks if isinstance(b, Heading) and b.level == 2]
        links = "".join(f'<li><a href="#{anchor(part)}">{part}</a></li>' for part in parts)
        symbols = "".join(
            f"<dt>{prose.formula(tex)}</dt><dd>{prose.line(said)}</dd>"
            for tex, said in self.head.symbols.items()
        )
        listed = (
            f"<details><summary>Symbols of this page</summary><dl>{symbols}</dl></details>" if symbols else ""
        )
        return f'<nav class="contents" aria-label="On this page"><ul>{links}</ul>{listed}</nav>'

    def ending(self) -> str:
        """What comes after this page."""
        follow = [h for h in curriculum.heads().values() if self.head.slug in h.needs]
        items = "".join(f"<li>{link(head)} {chip(self.study.desk.state(head.slug))}</li>" for head in follow)
        onward = f"<h2>What needs this</h2><ul>{items}</ul>" if items else ""
        known = self.study.desk.state(self.head.slug) == "skipped"
        action, word = ("read", "Take it up again") if known else ("skip", "I know this: take it as known")
        return (
            f'{onward}<form method="post" action="/topic/{self.head.slug}/{action}">'
            f'<button class="quiet">{word}</button></form>'
        )

    def notes(self) -> str:
        """What the symbols mean, for the script that shows it beside them."""
        items = "".join(f"<li>{prose.line(said)}</li>" for said in self.head.symbols.values())
        return f'<ol id="symbols" hidden>{items}</ol>'

    # -- blocks -----------------------------------------------------------------------------------
    def heading(self, block: Heading) -> str:
        tag = f"h{block.level}"
        return f'<{tag} id="{anchor(block.text)}">{prose.line(block.text, self.symbols)}</{tag}>'

    def prose(self, block: Prose) -> str:
        return prose.blocks(block.text, self.symbols)

    def formula(self, block: Formula) -> str:
        """A formula, and what the symbols in it mean that no formula above it had."""
        shown = prose.formula(block.tex, self.symbols, display=True)
        places = [n for n in range(len(self.symbols)) if f'data-symbol="{n}"' in shown]
        new = [self.symbols[n] for n in places if self.symbols[n] not in self.met]
        self.met.update(new)
        words = "".join(
            f"<div><dt>{prose.formula(tex, self.symbols)}</dt><dd>{prose.line(said)}</dd></div>"
            for tex, said in self.head.symbols.items()
            if tex in new
        )
        listed = f'<dl class="where">{words}</dl>' if words else ""
        return f'<div class="formula"><div class="scroll" tabindex="0">{shown}</div>{listed}</div>'

    def code(self, block: Code) -> str:
        return fence(block.text, block.language, block.file)

    def source(self, block: SourceBlock) -> str:
        return quoted(block, self.symbols)

    def figure(self, block: FigureBlock) -> str:
        return figure(self.head, block.name, self.query)

    def exercise(self, block: ExerciseBlock) -> str:
        return self.form(block.name, title(block.name))

    def milestone(self, block: Milestone) -> str:
        """A milestone has its number, so that nobody wonders how far it is; and a brief."""
        names = milestones(self.head.slug)
        number = f"Milestone {names.index(block.name) + 1} of {len(names)}"
        return self.form(block.name, f"{number}: {title(block.name)}", prose.blocks(block.text, self.symbols))

    def form(self, name: str, heading: str, brief: str = "") -> str:
        made = read_exercise(self.head.slug, name)
        bench = self.study.bench(made)
        return exercise(made, bench, self.study.home, heading, brief, self.symbols, self.onward())

    def onward(self) -> str:
        """Where to go after an exercise."""
        solved = self.study.standing(self.head.slug).passed
        left = [name for name in exercises(self.head.slug) if name not in solved]
        if left:
            return f'Next: <a href="#exercise-{left[0]}">{escape(title(left[0]))}</a>'
        questions = self.study.desk.open_questions(self.head.slug)
        return f'Next: <a href="#quiz-{questions[0]}">question {questions[0]}</a>' if questions else ""

    def question(self, block: Question) -> str:
        self.questions += 1
        chosen = self.study.chosen("quiz", self.head.slug, str(self.questions))
        return question(self.head.slug, self.questions, block, chosen, self.symbols)

    def prediction(self, block: Prediction) -> str:
        self.predictions += 1
        chosen = self.study.chosen("predict", self.head.slug, str(self.predictions))
        return prediction(self.head.slug, self.predictions, block, chosen, self.symbols)

    def note(self, block: Note) -> str:
        inside = prose.blocks(block.text, self.symbols)
        return f'<aside class="note"><h4>{prose.line(block.title, self.symbols)}</h4>{inside}</aside>'

    def pitfalls(self) -> str:
        """The messages of all wrong twins of the page, in the words of the grader.

        Of many exercises they would be a wall of words: then each has its own list, folded behind its name.
        """
        lists = {name: self.messages(name) for name in exercises(self.head.slug)}
        if len(lists) <= MANY:
            return f'<ul class="pitfalls">{"".join(lists.values())}</ul>' if lists else ""
        return "".join(
            f'<details><summary>{escape(title(name))}</summary><ul class="pitfalls">{items}</ul></details>'
            for name, items in lists.items()
        )

    def messages(self, name: str) -> str:
        """The items of a list: what is said to whoever makes one of the mistakes of an exercise."""
        said = read_exercise(self.head.slug, name).mistakes.values()
        return "".join(f"<li>{prose.line(message, self.symbols)}</li>" for message in said)


def standing(study: Study, head: Head) -> str:
    """Where the learner stands with a topic."""
    solved, exercises, right, questions = asked(study, head.slug)
    asks = "milestones" if head.kind == "project" else "exercises"
    counted = f"{solved} of {exercises} {asks}, {right} of {questions} questions"
    return f"{chip(study.desk.state(head.slug))} <small>{counted}</small>"


def anchor(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower()).strip("-")
