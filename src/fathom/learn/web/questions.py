"""Predictions and quizzes: forms whose answer stays on the page, with what there is to say about it."""

from html import escape

from fathom.learn.engine.topic import Option, Prediction, Question
from fathom.learn.web import prose

LETTERS = "abcdefgh"


def question(slug: str, number: int, block: Question, chosen: str, symbols: tuple[str, ...]) -> str:
    """A question of the quiz; ``chosen`` is the letter that was answered last, or ""."""
    option = option_of(block, chosen)
    told = ""
    if option is not None:
        kind, word = ("good", "Right.") if option.right else ("bad", "No.")
        told = (
            f'<div class="verdict {kind}" role="status" tabindex="-1"><b>{word}</b>'
            f" {prose.line(option.why, symbols)}</div>"
        )
    title = f"Question {number}"
    return form(slug, f"quiz/{number}", title, block, chosen, told, "Answer", symbols)


def prediction(slug: str, number: int, block: Prediction, chosen: str, symbols: tuple[str, ...]) -> str:
    """A guess before the figure moves: kept, and answered with what to look at."""
    option = option_of(block, chosen)
    told = ""
    if option is not None:
        told = (
            f'<div class="verdict note" role="status" tabindex="-1"><b>You guessed {escape(chosen)}.</b>'
            f" {prose.line(option.why, symbols)}</div>"
        )
    return form(slug, f"predict/{number}", "Your guess", block, chosen, told, "Keep my guess", symbols)


def option_of(block: Question | Prediction, letter: str) -> Option | None:
    place = LETTERS.find(letter) if letter else -1
    return block.options[place] if 0 <= place < len(block.options) else None


def form(
    slug: str, path: str, title: str, block: Question | Prediction, chosen: str, told: str, button: str,
    symbols: tuple[str, ...],
) -> str:  # fmt: skip
    key = path.replace("/", "-")
    options = "".join(
        f'<label class="option"><input type="radio" name="option" value="{letter}" required'
        f"{' checked' if letter == chosen else ''}> <b>{letter}</b>"
        f" <span>{prose.line(option.text, symbols)}</span></label>"
        for letter, option in zip(LETTERS, block.options, strict=False)
    )
    return (
        f'<learn-form id="{key}"><form class="question" method="post" action="/topic/{slug}/{path}#{key}">'
        f'<fieldset aria-labelledby="{key}-asked"><legend>{title}</legend>'
        f'<div class="asked" id="{key}-asked">{prose.blocks(block.text, symbols)}</div>{options}</fieldset>'
        f"{told}<button>{button}</button></form></learn-form>"
    )
