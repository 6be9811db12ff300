"""A learner's file as it begins: no TeX, no line that an editor cuts, and the code that its author wrote."""

import ast
import re
import textwrap

import pytest

from fathom.learn.engine import curriculum, exercise, plain_maths
from fathom.learn.engine.starter import WIDTH, answer_file, fitted, lines

MADE = [
    exercise.exercise(slug, name)
    for slug, head in curriculum.heads().items()
    if head.written
    for name in exercise.exercises(slug)
]


def meaning(code: str) -> str:
    """The tree of some code; words of a docstring count, not how they are broken into lines."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body[0] = ast.parse(repr(" ".join((ast.get_docstring(node) or "").split()))).body[0]
    return ast.dump(tree)


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.key)
def test_no_starter_is_wider_than_an_editor(made: exercise.Exercise) -> None:
    assert [line for line in made.starter.splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize("made", MADE, ids=lambda made: made.key)
def test_no_starter_holds_tex_or_another_function(made: exercise.Exercise) -> None:
    comments = "\n".join(line for line in made.starter.splitlines() if line.startswith("#"))
    assert not re.search(r"[$\\]", re.sub(r"`[^`]*`", "", comments)), comments
    asked = re.sub(r"\W", "", plain_maths.text(made.statement))
    assert re.sub(r"\W", "", comments).startswith(asked), "each word of the statement is there"
    source = made.path.read_text(encoding="utf-8")
    starter = next(n for n in ast.parse(source).body if getattr(n, "name", "") == "starter")
    code = exercise.renamed(source, starter, made.name)  # type: ignore[arg-type]
    function = next(n for n in ast.parse(made.starter).body if getattr(n, "name", "") == made.name)
    assert meaning(ast.unparse(function)) == meaning(code)


def test_formulas_lists_and_code_keep_their_form() -> None:
    text = r"""Divide $a$ by $2h$:

    $$ \frac{Q K^\top}{\sqrt{e}} \qquad u = 1 $$

    - the first item, which is long enough to be wrapped once, and goes on `f(x, y)` in the next line
    - the second
      goes on"""
    assert lines(textwrap.dedent(text.replace("Divide", "    Divide"))) == [
        "Divide a by 2h:",
        "",
        "    (Q Kᵀ)/√e    u = 1",
        "",
        "- the first item, which is long enough to be wrapped once, and goes on",
        "  `f(x, y)` in the next line",
        "- the second goes on",
    ]
    assert plain_maths.plain(r"\frac{f}{2h}") == "f/(2h)"


def test_what_fits_stays_as_it_is() -> None:
    code = 'def f(x):\n    """Short.\n\n      Even so.\n    """\n    raise NotImplementedError'
    assert fitted(code) == code
    assert answer_file("", [], "f = 1") == "f = 1\n"


def test_heads_and_docstrings_inside_a_class_are_set_anew() -> None:
    code = (
        "class Net:\n"
        '    """A net of which there is much to say, so that its first line becomes too wide for it.\n\n'
        "    The second paragraph.\n"
        '    """\n\n'
        "    def forward(self, x: dict[str, int], *, factor: float = 1.0, another: float = 2.0) -> dict:\n"
        '        """Short."""\n'
        "        raise NotImplementedError"
    )
    made = fitted(code)
    assert max(map(len, made.splitlines())) <= WIDTH and meaning(made) == meaning(code)
    assert '\n    too wide for it.\n\n    The second paragraph.\n    """\n' in made
    assert "    def forward(\n        self, x: dict[str, int], *, factor: float" in made
