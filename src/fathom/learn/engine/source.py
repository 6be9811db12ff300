"""Code of the library on a page: found by its syntax tree, never copied, never imported.

``fathom.fundamentals.networks.dense:Dense.forward`` names a module and, inside it, a function, a class, a
method or a constant. ``inspect`` would import torch and, where a decorator wraps a function, return the
wrapper; the tree has the very lines. A page cannot go stale unnoticed:

    a reference that resolves to nothing,
    a note whose piece of code does not occur exactly once,
    code that is not the one somebody read when the note was written

are found by ``complaints``, which the tests call. The third is remembered as a hash of the tree without
docstrings in ``bless.toml`` of the topic: layout and comments may change, meaning may not.
"""

import ast
import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from fathom import catalog
from fathom.errors import InputError
from fathom.learn.engine.topic import SourceBlock, Topic

BLESSED = "bless.toml"


@dataclass(frozen=True)
class Quote:
    """Lines of a file of the library."""

    reference: str
    path: Path
    first: int  # number of the first line, decorators included
    text: str
    digest: str  # of its syntax tree, docstrings left out

    @property
    def place(self) -> str:
        """The file below the package, for people: ``fundamentals/networks/dense.py``."""
        return self.path.relative_to(catalog.ROOT).as_posix()

    def line_of(self, anchor: str) -> int:
        """The line of this quote, from 0, that holds a piece of code; ``InputError`` unless just one does."""
        count = self.text.count(anchor)
        if count != 1:
            raise InputError(
                f"{self.reference} holds {anchor!r} {count} times; a note needs a piece that occurs once"
            )
        return self.text[: self.text.index(anchor)].count("\n")


def quote(reference: str) -> Quote:
    """The code that ``module:Qualified.name`` names; ``InputError`` where there is none."""
    module, _, name = reference.partition(":")
    path = catalog.ROOT.joinpath(*module.split(".")[1:]).with_suffix(".py")
    if not path.is_file():
        raise InputError(f"{reference}: there is no file {path.relative_to(catalog.ROOT).as_posix()}")
    source = path.read_text(encoding="utf-8")
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        node = inside(node, part, reference)
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])  # type: ignore[attr-defined]
    lines = source.splitlines()[first - 1 : node.end_lineno]  # type: ignore[attr-defined]
    return Quote(reference, path, first, dedent(lines), digest(node))


def inside(node: ast.AST, name: str, reference: str) -> ast.AST:
    """What ``name`` is, directly below a module or a class; of several the last, as Python has it."""
    for child in reversed(getattr(node, "body", [])):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and child.name == name:
            return child
        targets = child.targets if isinstance(child, ast.Assign) else [getattr(child, "target", None)]
        if isinstance(child, ast.Assign | ast.AnnAssign) and any(
            isinstance(target, ast.Name) and target.id == name for target in targets
        ):
            return child
    raise InputError(f"{reference}: there is no {name!r} in it")


def dedent(lines: list[str]) -> str:
    """The lines, moved to the left as one; a method is shown as if it stood alone."""
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] if not line[:indent].strip() else line for line in lines)


def digest(node: ast.AST) -> str:
    """A hash of what the code does: docstrings, comments and layout are left out."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if ast.get_docstring(inner, clean=False) is not None:
                inner.body = inner.body[1:]
    return hashlib.sha256(ast.dump(node).encode()).hexdigest()[:16]


def blessed(folder: Path) -> dict[str, str]:
    """The hashes that somebody vouched for."""
    file = folder / BLESSED
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def bless(topic: Topic) -> list[str]:
    """Write down that the notes of ``topic`` fit today's code; returns the references that changed.

    ``InputError`` where a reference or an anchor does not resolve: nothing is written then.
    """
    assert topic.head.folder is not None
    before, now = blessed(topic.head.folder), {}
    for block in topic.every(SourceBlock):
        found = quote(block.reference)
        for margin in block.margins:
            found.line_of(margin.anchor)
        now[block.reference] = found.digest
    text = "".join(f'"{reference}" = "{value}"\n' for reference, value in sorted(now.items()))
    (topic.head.folder / BLESSED).write_text(text, encoding="utf-8")
    return [reference for reference, value in now.items() if before.get(reference) != value]


def complaints(topic: Topic) -> list[str]:
    """What is wrong with the quotes of a topic, a sentence each."""
    assert topic.head.folder is not None
    vouched, slug = blessed(topic.head.folder), topic.head.slug
    found: list[str] = []
    for block in topic.every(SourceBlock):
        try:
            code = quote(block.reference)
            for margin in block.margins:
                code.line_of(margin.anchor)
        except InputError as error:
            found.append(f"{slug}/topic.md, line {block.line}: {error}")
            continue
        if vouched.get(block.reference) != code.digest:
            found.append(
                f"{slug}/topic.md explains {block.reference}, which changed since somebody read both;"
                f" read them again, then: fathom learn --bless {slug}"
            )
    unused = sorted(set(vouched) - {block.reference for block in topic.every(SourceBlock)})
    return found + [f"{slug}/{BLESSED} vouches for {reference}, which is not quoted" for reference in unused]
