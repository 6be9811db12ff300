"""An exercise on a page: what is asked, an editor for the learner's own file, and what the grader said."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from fathom.learn.engine.exercise import Exercise, answer_path
from fathom.learn.engine.verdict import Verdict
from fathom.learn.web import prose
from fathom.learn.web.code import fence

TALLEST = 30  # lines of the editor, where no script makes it fit
TOLD = 'role="status" tabindex="-1"'  # read out, and where the focus goes
LINE = re.compile(r"^Python cannot read line (\d+):|\(line (\d+): ")  # as a worker names one of the answer
Symbols = tuple[str, ...]


@dataclass(frozen=True)
class Bench:
    """What there is to show of an exercise now."""

    answer: str  # the text of the learner's file, or the starter
    base: str = ""  # digest of that file as it is
    solved: bool = False
    changed: bool = False  # since it was solved
    again: bool = False  # it is due: to be done once more
    hints: int = 0  # how many were asked for
    verdict: Verdict | None = None  # on this very text
    refusal: str = ""  # why it was not saved
    solution: bool = False  # it was asked for
    kept: Path | None = None  # where the earlier answer went, when it was begun anew


def exercise(
    made: Exercise, bench: Bench, home: Path, heading: str, brief: str, symbols: Symbols, onward: str
) -> str:
    """The exercise as a form; ``brief`` is what a milestone says besides, ``onward`` what comes after it."""
    address, key, name = f"/topic/{made.topic}/exercise/{made.name}", f"exercise-{made.name}", made.name
    height = min(max(bench.answer.count("\n") + 2, 10), TALLEST)
    buttons = "".join(
        f'<button class="quiet" formaction="{address}/{action}#{key}">{word}</button>'
        for action, word in actions(made, bench)
    )
    return (
        f'<learn-form id="{key}"><form class="exercise" method="post" action="{address}#{key}">'
        f"<h3>{escape(heading)} {state(bench)}</h3>{brief}{prose.blocks(made.statement, symbols)}"
        f'<input type="hidden" name="base" value="{bench.base}">'
        f'<label for="answer-{name}">Your answer</label><learn-editor>'
        f'<textarea id="answer-{name}" name="answer" rows="{height}" spellcheck="false" autocomplete="off"'
        ' autocapitalize="off"'
        f' aria-describedby="keys-{name}">\n{escape(bench.answer)}</textarea></learn-editor>'
        f'<p class="hint" id="keys-{name}">Tab indents while you type; Escape, then Tab leaves;'
        f" Ctrl and Enter check. Your file: <code>{escape(str(answer_path(home, made)))}</code></p>"
        f'<div class="buttons"><button>Check</button>{buttons}</div>{told(bench, symbols, onward)}'
        f"{hints(made.hints[: bench.hints], symbols)}{solution(made, bench)}</form></learn-form>"
    )


def title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def state(bench: Bench) -> str:
    changed = ' <span class="state due">changed since you solved it</span>' if bench.changed else ""
    if bench.again:
        return f'<span class="state due"><i aria-hidden="true">↻</i> once more, from nothing</span>{changed}'
    solved = '<span class="state done"><i aria-hidden="true">●</i> solved</span>' if bench.solved else ""
    return solved + changed


def actions(made: Exercise, bench: Bench) -> list[tuple[str, str]]:
    found = []
    if bench.hints < len(made.hints):
        found.append(("hint", "Another hint" if bench.hints else "A hint"))
    if not bench.solution:
        found.append(("solution", "Another way to do it" if bench.solved else "Show a solution"))
    if bench.answer != made.starter:
        found.append(("reset", "Begin anew"))
    return found


def told(bench: Bench, symbols: Symbols, onward: str) -> str:
    """What there is to say now: a refusal, that it was begun anew, or what the grader said."""
    if bench.refusal:
        return f'<div class="verdict bad" {TOLD}><b>Not saved.</b> {escape(bench.refusal)}</div>'
    if bench.kept is not None:
        place = escape(str(bench.kept))
        return (
            f'<div class="verdict note" {TOLD}><b>Begun anew.</b> What you wrote is kept in'
            f" <code>{place}</code>.</div>"
        )
    if bench.verdict is None:
        return f'<div class="verdict" {TOLD} hidden></div>'
    return verdict(bench.verdict, symbols, onward)


def verdict(found: Verdict, symbols: Symbols, onward: str) -> str:
    """Words of an author are Markdown; those of a check or of Python are plain. Below: what was printed."""
    kind, word = ("good", "Passed.") if found.passed else ("bad", "Not yet.")
    written = found.passed or bool(found.mistake)
    said = prose.line(found.message, symbols) if written else escape(found.message)
    more = ""
    if found.mistake:
        more = f"<small>This is the mistake <i>{escape(found.mistake.replace('_', ' '))}</i>.</small>"
    elif found.passed and onward:
        more = f"<p>{onward}</p>"
    printed = f"<p>Your code printed:</p>{fence(found.output, '')}" if found.output.strip() else ""
    return f'<div class="verdict {kind}" {TOLD}{at(found)}><p><b>{word}</b> {said}</p>{more}{printed}</div>'


def at(found: Verdict) -> str:
    """The line of the answer that a verdict names, for the editor to mark; "" where it names none."""
    line = None if found.passed or found.mistake else LINE.search(found.message)
    return f' data-line="{line[1] or line[2]}"' if line else ""


def hints(given: Sequence[str], symbols: Symbols) -> str:
    if not given:
        return ""
    items = "".join(f"<li>{prose.line(text, symbols)}</li>" for text in given)
    return f'<section class="hints" tabindex="-1"><h4>Hints</h4><ol>{items}</ol></section>'


def solution(made: Exercise, bench: Bench) -> str:
    if not bench.solution:
        return ""
    code = fence(made.solution, "python")
    return f'<section class="solution" tabindex="-1"><h4>One way to do it</h4>{code}</section>'
