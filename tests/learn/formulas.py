"""Every formula that a page can show, also in answers, hints and reasons; the tests of several files ask."""

from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import exercise, exercises
from fathom.learn.engine.topic import Formula, Note, Prediction, Prose, Question, SourceBlock
from fathom.learn.web import prose
from fathom.learn.web.maths import mathml


def shown(slug: str) -> list[str]:
    """Those on lines of their own, and any text with those inside it, as HTML."""
    page = curriculum.topic(slug)
    texts = [page.head.goal, *page.head.symbols.values()]
    for block in page.blocks:
        if isinstance(block, Prose | Note):
            texts.append(block.text)
        elif isinstance(block, Question | Prediction):
            texts += [block.text, *(part for option in block.options for part in (option.text, option.why))]
        elif isinstance(block, SourceBlock):
            texts += [margin.text for margin in block.margins]
    for name in exercises(slug):
        made = exercise(slug, name)
        texts += [made.statement, made.passed, *made.hints, *made.mistakes.values()]
    symbols = tuple(page.head.symbols)
    alone = [mathml(block.tex, display=True, symbols=symbols) for block in page.every(Formula)]
    alone += [mathml(symbol, symbols=symbols) for symbol in symbols]
    return alone + [prose.blocks(text, symbols) for text in texts]
