"""The catalogue: what exists is found by looking, and read without being imported.

Nothing registers itself. A system is a file that holds a literal ``CARD``; a primitive is one that lies
in ``fundamentals/``; a recipe is a public function of a file in ``recipes/``; a task is a file in ``tasks/``;
a claim is a file of ``claims/`` that holds a literal ``CLAIM``; a topic is a folder of ``learn/topics/`` with
a page, and a file of ``learn/`` that is itself what the roadmap asks for says so in a literal ``ROWS``.
Reading syntax trees keeps ``fathom list`` fast and free of torch, and a broken optional
dependency cannot hide the rest. These are also the only names that may be looked up when a
run folder or an artifact is opened: no file of a user ever names something to import.
"""

import ast
import contextlib
import csv
import importlib
import importlib.resources
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from fathom.card import Card
from fathom.claim import Claim
from fathom.errors import unknown

ROOT = Path(__file__).parent
PRIMITIVES = "fundamentals"  # the part whose files are primitives


@dataclass(frozen=True)
class Entry:
    """A system: its name is the stem of its file."""

    name: str  # "lenet"
    module: str  # "fathom.architectures.convolutional.lenet"
    path: Path
    card: Card

    @property
    def part(self) -> str:
        """The part of the roadmap: the first folder below the package."""
        return self.module.split(".")[1]

    @property
    def lines(self) -> int:
        return len(self.path.read_text(encoding="utf-8").splitlines())

    def load(self) -> ModuleType:
        return importlib.import_module(self.module)


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe: a public function in a file of ``recipes/`` that says it returns an ``Experiment``."""

    name: str  # "lenet", or "mnist_quick" for a variant in recipes/mnist.py
    module: str
    summary: str  # the first line of its docstring
    system: str  # the file it belongs to

    def load(self) -> Any:
        return getattr(importlib.import_module(self.module), self.name)


@dataclass(frozen=True)
class ClaimEntry:
    """A claim: a file of ``claims/``."""

    name: str  # the stem of its file
    module: str
    path: Path
    claim: Claim

    def load(self) -> ModuleType:
        return importlib.import_module(self.module)


@dataclass(frozen=True)
class TopicEntry:
    """A topic of the curriculum that is written: its name is that of its folder."""

    name: str  # "gradient-descent"
    path: Path  # the folder
    rows: tuple[str, ...]  # what it teaches, by the head of its page


@dataclass(frozen=True)
class Row:
    """One promise of the inventory."""

    id: str
    chapter: str
    item: str
    works: str
    compare: str


@cache
def entries() -> dict[str, Entry]:
    """Every system and every primitive, by the name of its file. Imports none of them."""
    found: dict[str, Entry] = {}
    for path in sorted(ROOT.rglob("*.py")):
        card = read_card(path)
        if card is None:
            continue
        name = path.stem
        if name in found:
            raise ValueError(f"two cards are named {name!r}: {found[name].path} and {path}")
        found[name] = Entry(name, _module(path), path, card)
    return found


def systems() -> dict[str, Entry]:
    """What is trained as a whole: it has a ``tiny()`` run and meets the contract of systems."""
    return {name: entry for name, entry in entries().items() if entry.part != PRIMITIVES}


def primitives() -> dict[str, Entry]:
    """What systems are made of: it has ``twins()`` and meets the contract of primitives."""
    return {name: entry for name, entry in entries().items() if entry.part == PRIMITIVES}


@cache
def recipes() -> dict[str, RecipeEntry]:
    """Every recipe, by the name of its function."""
    found: dict[str, RecipeEntry] = {}
    for path in sorted((ROOT / "recipes").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            if node.returns is None or ast.unparse(node.returns) != "Experiment":
                continue  # a function that serves recipes
            if node.name in found:
                raise ValueError(f"two recipes are named {node.name!r}")
            summary = (ast.get_docstring(node) or "").split("\n")[0]
            found[node.name] = RecipeEntry(node.name, _module(path), summary, path.stem)
    return found


@cache
def tasks() -> dict[str, str]:
    """Every kind of task, by name: the module that holds all that is peculiar to it."""
    return {p.stem: _module(p) for p in sorted((ROOT / "tasks").glob("*.py")) if p.stem != "__init__"}


@cache
def claims() -> dict[str, ClaimEntry]:
    """Every claim, by the name of its file. Imports none of them."""
    found: dict[str, ClaimEntry] = {}
    for path in sorted((ROOT / "claims").glob("[a-z]*.py")):
        fields = literal(path, "CLAIM")
        if fields is None:
            raise ValueError(f"{path}: a file of claims/ holds a literal CLAIM = Claim(...)")
        found[path.stem] = ClaimEntry(path.stem, _module(path), path, Claim(**fields))
    return found


@cache
def topics() -> dict[str, TopicEntry]:
    """Every topic that has a page, by name. Reads the heads of the pages alone."""
    found: dict[str, TopicEntry] = {}
    for page in sorted((ROOT / "learn" / "topics").glob("*/topic.md")):
        head = page.read_text(encoding="utf-8").removeprefix("+++").partition("\n+++")[0]
        name, rows = page.parent.name, tomllib.loads(head).get("rows", [])
        found[name] = TopicEntry(name, page.parent, tuple(rows))
    return found


@cache
def curriculum() -> dict[str, Path]:
    """Rows that ask for a part of the curriculum itself, and the file of ``learn/`` that is it."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "learn").rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "\nROWS = " not in source:
            continue
        for node in ast.parse(source).body:
            if is_named(node, "ROWS"):
                found |= dict.fromkeys(ast.literal_eval(node.value), path)
    return found


@cache
def inventory() -> dict[str, Row]:
    """The rows of the roadmap, by id, in order."""
    text = importlib.resources.files("fathom").joinpath("inventory.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {r["id"]: Row(r["id"], r["chapter"], r["item"], r["works"], r["compare"]) for r in rows}


def system(name: str) -> Entry:
    """The system ``name``; an unknown name raises ``InputError`` with the nearest ones."""
    if name not in systems():
        raise unknown("system", name, systems())
    return systems()[name]


def entry(name: str) -> Entry:
    """The system or primitive ``name``; an unknown name raises ``InputError`` with the nearest ones."""
    if name not in entries():
        raise unknown("system or primitive", name, entries())
    return entries()[name]


def claim(name: str) -> ClaimEntry:
    """The claim ``name``; an unknown name raises ``InputError`` with the nearest ones."""
    if name not in claims():
        raise unknown("claim", name, claims())
    return claims()[name]


def recipe(name: str) -> RecipeEntry:
    """The recipe ``name``; an unknown name raises ``InputError`` with the nearest ones."""
    if name not in recipes():
        raise unknown("recipe", name, recipes())
    return recipes()[name]


def task(name: str) -> type:
    """The class ``TASK`` of the file ``tasks/<name>.py``. Imports torch."""
    if name not in tasks():
        raise unknown("task", name, tasks())
    return importlib.import_module(tasks()[name]).TASK


def read_card(path: Path) -> Card | None:
    """The literal ``CARD = Card(...)`` at the top level of ``path``, or None."""
    fields = literal(path, "CARD")
    return None if fields is None else Card(**fields)


def literal(path: Path, name: str) -> dict[str, Any] | None:
    """The keywords of ``NAME = Something(...)``, literals all, at the top level of ``path``, or None."""
    source = path.read_text(encoding="utf-8")
    start = source.find(f"\n{name} = ")
    if start < 0:  # most files: no need to parse them
        return None
    for node in down_to(source, start, name):
        if is_named(node, name):
            if not isinstance(node.value, ast.Call):
                raise ValueError(f"{path}: {name} is not a literal {name.title()}(...)")
            return {str(k.arg): ast.literal_eval(k.value) for k in node.value.keywords}
    return None


def down_to(source: str, start: int, name: str) -> list[ast.stmt]:
    """The statements of ``source`` down to the one at ``start``; all, where no ``NAME = `` begins there.

    A card stands near the top of its file, and what comes below is most of the work of parsing it.
    """
    for unindented in re.finditer(r"\n(?=\S)", source[start + 1 :]):  # a statement ends before one of them
        with contextlib.suppress(SyntaxError):
            body = ast.parse(source[: start + 1 + unindented.start()]).body
            if body and is_named(body[-1], name):
                return body
            break  # ``start`` lies inside a text
    return ast.parse(source).body


def is_named(node: ast.stmt, name: str) -> TypeGuard[ast.Assign]:
    """Whether the statement is ``NAME = ...``."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name


def _module(path: Path) -> str:
    return "fathom." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
