"""Code as HTML, coloured on the server."""

from html import escape
from typing import Any

from pygments import lex
from pygments.lexers.python import PythonLexer
from pygments.lexers.shell import BashLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

LEXERS = {"python": PythonLexer, "py": PythonLexer, "sh": BashLexer}
# Few colours: what is written, what is a word of the language, what is named, what is said aside.
CLASSES = (
    (Comment, "c"), (String, "s"), (Number, "m"), (Keyword, "k"), (Operator.Word, "k"),
    (Name.Function, "f"), (Name.Class, "f"), (Name.Decorator, "f"), (Name.Builtin, "b"),
)  # fmt: skip


def highlighted(text: str, language: str) -> str:
    """Code with ``span`` elements; a language that is not known stays plain."""
    lexer = LEXERS.get(language)
    if lexer is None:
        return escape(text)
    return "".join(coloured(kind, piece) for kind, piece in lex(text, lexer(stripnl=False, ensurenl=False)))


def lines(text: str, language: str = "python") -> list[str]:
    """The lines of some code, each whole: a string over several lines is opened anew on each."""
    done: list[str] = [""]
    for kind, piece in lex(text, LEXERS[language](stripnl=False, ensurenl=False)):
        for place, part in enumerate(piece.split("\n")):
            if place:
                done.append("")
            if part:
                done[-1] += coloured(kind, part)
    return done


def coloured(kind: Any, piece: str) -> str:
    name = next((name for token, name in CLASSES if kind in token), "")
    return f'<span class="{name}">{escape(piece)}</span>' if name else escape(piece)


def fence(text: str, language: str, file: str = "") -> str:
    """A block of code, or a whole ``file``. It can be scrolled, so it can be reached by keys."""
    label = {"python": "Python code", "sh": "Commands"}.get(language, "Code")
    code = highlighted(text.rstrip("\n"), language)
    shown = f'<pre class="code" tabindex="0" aria-label="{file or label}"><code>{code}</code></pre>'
    return f"<details><summary><code>{escape(file)}</code></summary>{shown}</details>" if file else shown
