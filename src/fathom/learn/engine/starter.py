"""A learner's file as it begins: what is asked for as comments, imports, and a function that fits an editor.

Formulas stand there as text, for Python files know no TeX. Exercises are written up to the width of the
library; the editor of a page shows fewer columns, so comments, docstrings and heads are set anew for it.
"""

import ast
import re
import textwrap

from fathom.learn.engine import plain_maths

WIDTH = 76  # columns of an editor beside a page
COMMENT = 72  # of a comment, with its sign
WHOLE = 48  # characters of a formula or a piece of code that is not broken
PURPOSE = "It starts red on purpose: replace the line that raises, save, and check again."
QUOTES = '"""'
ITEM = re.compile(r"(?:- |\d+\. )")


def answer_file(statement: str, imports: list[str], code: str) -> str:
    """A file: what is asked for as comments, imports, and the function."""
    parts = [comments(f"{statement}\n\n{PURPOSE}")] if statement else []
    parts += ["\n".join(imports)] if imports else []
    return "\n\n".join(parts) + "\n\n\n" * bool(parts) + code + "\n"


def comments(statement: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in lines(statement))


def lines(statement: str) -> list[str]:
    """A statement in Markdown as lines of plain text: its paragraphs, items and formulas, set anew."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", statement.strip()):
        if found:
            found.append("")
        if paragraph.startswith("$$"):
            formula = plain_maths.plain(paragraph.strip("$\n "))
            found += [row for line in formula.splitlines() for row in wrapped(line, "    ", "        ")]
        elif paragraph.startswith("    "):
            found += paragraph.splitlines()
        else:
            found += [row for item in items(paragraph) for row in wrapped(*item)]
    return found


def items(paragraph: str) -> list[tuple[str, str, str]]:
    """The items of a list, or the paragraph alone: (text, how its first line begins, how the others do)."""
    parts: list[list[str]] = []
    for line in paragraph.splitlines():
        if not parts or ITEM.match(line):
            parts.append([])
        parts[-1].append(line.strip())
    made = []
    for text in map(" ".join, parts):
        sign = found[0] if (found := ITEM.match(text)) else ""
        made.append((text[len(sign) :], sign, " " * len(sign)))
    return made


def wrapped(text: str, first: str, others: str) -> list[str]:
    """A text as lines of a comment; short formulas and pieces of code stay whole."""
    text = plain_maths.prose(text, held)
    text = re.sub(r"`[^`]*`", lambda code: held(code[0]), text)
    made = textwrap.wrap(
        text, COMMENT - len("# "), initial_indent=first, subsequent_indent=others,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\u00a0", " ") for line in made]


def held(piece: str) -> str:
    """A piece of text that is not to be broken; a long one may be."""
    return piece.replace(" ", "\u00a0") if len(piece) <= WHOLE else piece


def fitted(code: str) -> str:
    """A function or class whose docstrings and heads fit an editor; nothing else of it changes."""
    rows = code.splitlines()
    nodes = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    for node in sorted(nodes, key=lambda node: -node.lineno):  # from below, so that places stay true
        said = node.body[0]
        if ast.get_docstring(node, clean=False) is not None and too_wide(rows, said.lineno, said.end_lineno):
            rows[said.lineno - 1 : said.end_lineno] = docstring(rows[said.lineno - 1 : said.end_lineno])
        above = said.lineno - 1  # the last line of the head
        if isinstance(node, ast.FunctionDef) and too_wide(rows, node.lineno, above):
            rows[node.lineno - 1 : above] = head(node, rows[node.lineno - 1])
    return "\n".join(rows)


def too_wide(rows: list[str], first: int, last: int | None) -> bool:
    return any(len(row) > WIDTH for row in rows[first - 1 : last])


def docstring(rows: list[str]) -> list[str]:
    """The lines of a docstring, wrapped; paragraphs stay apart."""
    indent = " " * (len(rows[0]) - len(rows[0].lstrip()))
    text = textwrap.dedent("\n".join([indent + rows[0].strip().removeprefix(QUOTES), *rows[1:]]))
    made = []
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip().removesuffix(QUOTES).strip())):
        first = indent if number else indent + QUOTES
        made += [""] * bool(number)
        made += textwrap.wrap(
            " ".join(paragraph.split()), WIDTH, initial_indent=first, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return [*made, indent + QUOTES]


def head(node: ast.FunctionDef, row: str) -> list[str]:
    """The head of a function on three lines, or with a line for each argument."""
    indent = " " * (len(row) - len(row.lstrip()))
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    given = node.args
    inside = f"{indent}    {ast.unparse(given)}"
    plain = not (given.kwonlyargs or given.posonlyargs or given.vararg or given.kwarg or given.defaults)
    if len(inside) > WIDTH and plain:
        each = [f"{indent}    {ast.unparse(argument)}," for argument in given.args]
    else:
        each = [inside]
    return [f"{indent}def {node.name}(", *each, f"{indent}){returns}:"]
