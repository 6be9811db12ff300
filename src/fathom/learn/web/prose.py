"""Markdown of our pages as HTML: paragraphs, lists, tables, code, links, and $formulas$; no HTML inside."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

from fathom.learn.web.code import fence
from fathom.learn.web.maths import TexError, mathml

FORMULA = re.compile(r"(\${1,2})([^$\n]+)\1")


def formula_rule(state: StateInline, silent: bool) -> bool:
    """A formula between dollars becomes a token; behind a backslash a dollar is one, as all signs are."""
    found = FORMULA.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup = found[2].strip(), found[1]
    state.pos = found.end()
    return True


def write_formula(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    """One between two dollars stands on a line of its own, which can be scrolled where it is too long."""
    token, symbols = tokens[index], env.get("symbols", ())
    if token.markup == "$":
        return formula(token.content, symbols)
    return f'<span class="scroll" tabindex="0">{formula(token.content, symbols, display=True)}</span>'


def write_fence(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    return fence(tokens[index].content, tokens[index].info.strip())


def write_link(self: Any, tokens: Sequence[Any], index: int, options: Any, env: Any) -> str:
    """A place outside learns nothing of this page, and gets a tab of its own."""
    address = str(tokens[index].attrs.get("href", ""))
    outside = ' rel="noreferrer" target="_blank"' if "://" in address else ""
    return f'<a href="{escape(address)}"{outside}>'


def reader() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    made.inline.ruler.before("escape", "formula", formula_rule)
    made.add_render_rule("formula", write_formula)
    made.add_render_rule("fence", write_fence)
    made.add_render_rule("code_block", write_fence)
    made.add_render_rule("link_open", write_link)
    return made


READER = reader()


def formula(tex: str, symbols: Sequence[str] = (), *, display: bool = False) -> str:
    """A formula as MathML; where it cannot be read (the tests would have told) its TeX is shown."""
    try:
        return mathml(tex, display=display, symbols=symbols)
    except TexError:
        return f'<code class="tex">{escape(tex)}</code>'


def blocks(text: str, symbols: Sequence[str] = ()) -> str:
    """Paragraphs and whatever else Markdown knows."""
    return READER.render(text, {"symbols": symbols})


def line(text: str, symbols: Sequence[str] = ()) -> str:
    """What may stand inside a line."""
    return READER.renderInline(text, {"symbols": symbols})
