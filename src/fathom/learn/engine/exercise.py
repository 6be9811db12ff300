"""An exercise, read from its file without running it.

``exercises/<name>.py`` holds, in this order and as plain functions:

    the docstring     what to write, in Markdown
    HINTS             up to three, each giving away a little more
    FORBIDDEN         words that the answer may not use, each with the reason (may be left out)
    PASSED            what is said when all is right
    starter           what the learner begins with; its body raises NotImplementedError
    solution          stands alone: it uses nothing but what the file imports
    wrong_*           typical mistakes; the docstring is what is said to whoever makes it
    case(seed)        arguments for a call
    check_*           (answer, seed) -> None or what was measured, or raises Fail; in the order of trying
    observe           (answer, seed) -> tensors that tell one behaviour from another; without it, what the
                      answer returns for ``case(seed)``

The learner's file is made of the imports and of ``starter``, renamed to the exercise. The worker imports the
exercise and grades; everything else needs only this.

The milestones of a project are such files too. Their answers lie in one folder, beside what the project
brings along, and import each other by name: an ordinary program, which needs no curriculum.
"""

import ast
import contextlib
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from fathom.errors import InputError, unknown
from fathom.learn.engine.curriculum import topic
from fathom.learn.engine.starter import answer_file, fitted
from fathom.learn.engine.topic import Code, ExerciseBlock, Milestone

FOLDER = "exercises"
OWN = "fathom.learn"  # imports of the grader are not the learner's
USUAL = ("math", "torch", "torch.nn")  # useful wherever tensors are, whether the solution needs them or not


@dataclass(frozen=True)
class Exercise:
    """All of an exercise that is text."""

    topic: str
    name: str
    path: Path
    statement: str  # Markdown
    hints: tuple[str, ...]
    passed: str
    forbidden: Mapping[str, str]
    starter: str  # the learner's file as it begins
    solution: str  # a file that passes
    mistakes: Mapping[str, str]  # twin -> message
    digest: str
    beside: Mapping[str, str] = field(default_factory=dict)  # of a milestone: the files of its project

    @property
    def key(self) -> str:
        return f"{self.topic}/{self.name}"

    @property
    def milestone(self) -> bool:
        return bool(self.beside)


@cache
def exercise(slug: str, name: str) -> Exercise:
    """The exercise ``name`` of a topic; ``InputError`` where there is none, or its file is not as above."""
    names = exercises(slug)
    if name not in names:
        raise unknown(f"exercise of {slug}", name, names)
    folder = topic(slug).head.folder
    assert folder is not None
    made = read(slug, folder / FOLDER / f"{name}.py")
    return replace(made, beside=project_files(slug)) if name in milestones(slug) else made


def exercises(slug: str) -> list[str]:
    """The exercises of a page, in its order; of a project, its milestones."""
    page = topic(slug)
    return [b.name for b in page.blocks if isinstance(b, ExerciseBlock | Milestone)]


def milestones(slug: str) -> list[str]:
    """The milestones of a project, in the order of its page; of any other topic, none."""
    return [block.name for block in topic(slug).every(Milestone)]


@cache
def project_files(slug: str, solved: bool = False) -> dict[str, str]:
    """The folder of a project as it begins, or with every milestone ``solved``: name of a file -> text."""
    folder = topic(slug).head.folder
    assert folder is not None
    made = {f"{name}.py": read(slug, folder / FOLDER / f"{name}.py") for name in milestones(slug)}
    files = {name: one.solution if solved else one.starter for name, one in made.items()}
    return files | {code.file: code.text + "\n" for code in topic(slug).every(Code) if code.file}


def read(slug: str, path: Path) -> Exercise:
    if not path.is_file():
        raise InputError(f"{slug} names the exercise {path.stem}, and there is no {FOLDER}/{path.name}")
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    literals = {
        ast.unparse(n.targets[0]): n.value
        for n in tree.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) in ("HINTS", "PASSED", "FORBIDDEN")
    }
    for name in ("starter", "solution", "case"):
        if name not in functions:
            raise InputError(f"{path.name}: an exercise has a function {name}")
    for name in ("HINTS", "PASSED"):
        if name not in literals:
            raise InputError(f"{path.name}: an exercise has a literal {name}")
    statement = ast.get_docstring(tree) or ""
    wrong = {n.removeprefix("wrong_"): f for n, f in functions.items() if n.startswith("wrong_")}
    imports = imports_of(tree, functions["starter"], functions["solution"])
    return Exercise(
        topic=slug,
        name=path.stem,
        path=path,
        statement=statement,
        hints=tuple(ast.literal_eval(literals["HINTS"])),
        passed=ast.literal_eval(literals["PASSED"]),
        forbidden=ast.literal_eval(literals["FORBIDDEN"]) if "FORBIDDEN" in literals else {},
        starter=answer_file(statement, imports, fitted(renamed(source, functions["starter"], path.stem))),
        solution=answer_file("", imports, renamed(source, functions["solution"], path.stem)),
        mistakes={name: " ".join((ast.get_docstring(f) or "").split()) for name, f in wrong.items()},
        digest=hashlib.sha256(source.encode()).hexdigest()[:16],
    )


def imports_of(tree: ast.Module, *kept: ast.stmt) -> list[str]:
    """The imports that a learner's file begins with: what ``kept`` use, and the usual ones beside them."""
    used = {node.id for function in kept for node in ast.walk(function) if isinstance(node, ast.Name)}
    found = []
    for node in tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        module = node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        if not module.startswith(OWN) and (names & used or (module in USUAL and {"Tensor", "nn"} & used)):
            found.append(ast.unparse(node))
    return found


def renamed(source: str, node: ast.FunctionDef | ast.ClassDef, name: str) -> str:
    """The function or class under the name of the exercise."""
    text = ast.get_source_segment(source, node) or ""
    return re.sub(rf"^(def|class) {node.name}\b", rf"\1 {name}", text, count=1)


def answer_path(home: Path, made: Exercise) -> Path:
    """Where the learner's answer lies."""
    return home / "answers" / made.topic / f"{made.name}.py"


def begin(home: Path, made: Exercise) -> Path:
    """The learner's file, made from the starter if it is not there; of a project, its whole folder."""
    path = answer_path(home, made)
    for name, text in (made.beside or {path.name: made.starter}).items():
        if not (path.parent / name).is_file():
            keep(path.parent / name, text)
    return path


def keep(path: Path, text: str) -> None:
    """Write a learner's file at once: whoever reads meanwhile, or after a crash, has the old text or the new.

    ``OSError`` where the disk does not take it; the old text is still there then.
    """
    place = path.resolve()  # a link goes on being one
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            draft.chmod(place.stat().st_mode)
        draft.replace(place)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def reset(home: Path, made: Exercise) -> Path | None:
    """Begin anew. What was written is kept beside it, and its place returned; None if nothing was."""
    path = answer_path(home, made)
    kept = None
    if path.is_file() and path.read_text(encoding="utf-8") != made.starter:
        number = 1
        while (kept := path.with_suffix(f".{number}.txt")).exists():
            number += 1
        path.replace(kept)
    keep(path, made.starter)
    return kept


def locate(name: str) -> tuple[str, str | None]:
    """``topic`` or ``topic/exercise``, or an exercise alone where only one topic has it.

    Raises ``InputError`` for what does not exist.
    """
    from fathom.learn.engine.curriculum import find, heads

    slug, slash, inner = name.strip("/").partition("/")
    if slash:
        find(slug)
        return slug, inner.removesuffix(".py")
    written = [other for other, head in heads().items() if head.written]
    if slug in heads():
        return slug, None
    homes = [other for other in written if slug in exercises(other)]
    if len(homes) == 1:
        return homes[0], slug
    if homes:
        raise InputError(f"{slug} is an exercise of {' and '.join(homes)}; write {homes[0]}/{slug}")
    raise unknown("topic or exercise", slug, {*heads(), *(e for other in written for e in exercises(other))})
