"""The rules that hold the house up, read from the source."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fathom import catalog

ROOT = catalog.ROOT
FILES = sorted(ROOT.rglob("*.py"))
SYSTEM_FILES = [e.path for e in catalog.systems().values()]

# Each layer may import itself and what stands after it.
LAYERS = (
    ("cli", "learn", "__main__"),
    ("verbs",),
    ("recipes", "claims"),
    ("tasks",),
    (
        "architectures",
        "generative",
        "reinforcement",
        "applications",
        "multimodal",
        "selfsupervised",
        "adaptation",
    ),
    ("training", "data", "deployment", "report", "fundamentals"),
    ("evidence", "catalog", "settings", "task", "errors", "card", "published", "claim"),
)
LEVEL = {part: i for i, parts in enumerate(LAYERS) for part in parts}


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def module_level_imports(file: Path) -> list[str]:
    """Modules that are imported when ``file`` is, those for type checkers left out."""
    found: list[str] = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found += [n.name for n in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{n.name}" for n in node.names]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_arrows_point_one_way(file: Path) -> None:
    own = part_of(file)
    if own == "__init__":
        return
    assert own in LEVEL, f"{own} has no layer; give it one here"
    for name in module_level_imports(file):
        words = name.split(".")
        if words[0] != "fathom" or len(words) < 2 or words[1] not in LEVEL:
            continue
        assert LEVEL[words[1]] >= LEVEL[own], f"{file.name} imports {name}, which stands above it"


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_files_can_be_read_in_one_sitting(file: Path) -> None:
    """At most 300 lines of code (docstrings, comments and literal tables not counted), functions of 40."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    lines = code_lines(tree, file)
    assert len(lines) <= 300, f"{file.name} has {len(lines)} lines of code"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = {n for n in lines if node.lineno <= n <= (node.end_lineno or 0)}
            assert len(inside) <= 40, f"{file.name}: {node.name} has {len(inside)} lines"


def code_lines(tree: ast.Module, file: Path) -> set[int]:
    text = file.read_text(encoding="utf-8").splitlines()
    kept = {i for i, line in enumerate(text, 1) if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Assign) and isinstance(
            node.value, ast.Dict | ast.Tuple | ast.List | ast.Call
        )
        text_block = isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Constant)
        if (literal and is_literal(node.value)) or (text_block and isinstance(node.value.value, str)):
            kept -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return kept


def is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return all(is_literal(k.value) for k in node.keywords) and not node.args
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT).as_posix())
def test_names_say_something(file: Path) -> None:
    assert file.stem not in ("utils", "util", "helpers", "helper", "common", "misc", "base")


def test_a_folder_of_systems_holds_only_systems() -> None:
    parts = {"architectures", "generative", "reinforcement", "applications", "multimodal"}
    for file in FILES:
        if part_of(file) in parts and file.name != "__init__.py":
            assert file in SYSTEM_FILES, f"{file} is no system"


def test_fundamentals_holds_only_primitives() -> None:
    """But for the twin itself, and for the scores of boxes that evaluation alone needs."""
    made = {entry.path for entry in catalog.primitives().values()}
    for file in FILES:
        if part_of(file) == "fundamentals" and file.name not in ("__init__.py", "twin.py", "box_scores.py"):
            assert file in made, f"{file} has no card"


@pytest.mark.parametrize("name", list(catalog.systems()))
def test_a_system_imports_nothing_but_its_materials(name: str) -> None:
    entry = catalog.systems()[name]
    allowed = {"numpy", "torch", "einops", "jaxtyping", *sys.stdlib_module_names}
    friends = {catalog.entry(n).module for n in entry.card.builds_on}
    for imported in module_level_imports(entry.path):
        top = imported.split(".")[0]
        if top == "fathom":
            near = any(imported == f or imported.startswith(f"{f}.") or f == imported for f in friends)
            told = imported.startswith(("fathom.card.", "fathom.published."))
            assert told or near, f"{name} imports {imported}"
        else:
            assert top in allowed, f"{name} imports {imported}"


def test_builds_on_names_exist_and_make_no_circle() -> None:
    entries = catalog.entries()

    def below(name: str, path: tuple[str, ...] = ()) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        for other in entries[name].card.builds_on:
            assert other in entries, f"{name} builds on {other}, which does not exist"
            below(other, (*path, name))

    for name in entries:
        below(name)


def test_card_rows_are_of_the_inventory() -> None:
    for entry in catalog.entries().values():
        for row in entry.card.rows:
            assert row in catalog.inventory(), f"{entry.name}: {row}"


@pytest.mark.parametrize(
    "verb", ["fit", "evaluate", "report", "predict", "serve", "finish", "train", "generate"]
)
def test_verbs_hold_no_task_name(verb: str) -> None:
    tree = ast.parse((ROOT / "verbs" / f"{verb}.py").read_text(encoding="utf-8"))
    words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    words |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    words |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    words |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    for task in catalog.tasks():
        camel = task.title().replace("_", "")
        assert not any(task in w or camel in w for w in words), f"{verb} knows {task}"


def test_nothing_can_run_code_from_a_file() -> None:
    """No pickle, no torch.load outside the confined importer, no eval of text from files."""
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) pickle\b", text, re.MULTILINE), file
        if file.name != "importing.py":
            assert "torch.load(" not in text, file
        assert "allow_pickle=True" not in text, file
        assert not re.search(r"\byaml\.(unsafe_)?load\(", text), file


def test_shared_layers_are_marked_where_they_stand_in_three_systems() -> None:
    """A function that is the same in three systems, names normalised, belongs in ``fundamentals``."""
    seen: dict[str, list[str]] = {}
    for entry in catalog.systems().values():
        for node in ast.walk(ast.parse(entry.path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                shape = ast.dump(ast.Module(body=strip(node.body), type_ignores=[]))
                if len(shape) > 1500:
                    seen.setdefault(shape, []).append(f"{entry.name}.{node.name}")
    for places in seen.values():
        assert len(places) < 3, f"the same layer stands in {', '.join(places)}"


def strip(body: list[ast.stmt]) -> list[ast.stmt]:
    return [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]


MARKED = re.compile(r"# same as (\w+)\.(\w+)\n(?:@.*\n)*class (\w+)")


@pytest.mark.parametrize("name", list(catalog.systems()))
def test_marked_copies_have_not_drifted(name: str) -> None:
    entry = catalog.systems()[name]
    for system, layer, own in MARKED.findall(entry.path.read_text(encoding="utf-8")):
        theirs, ours = class_body(catalog.systems()[system].path, layer), class_body(entry.path, own)
        assert ours == theirs, f"{name}.{own} says it is the same as {system}.{layer}, and is not any more"


def class_body(path: Path, name: str) -> str:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return ast.dump(ast.Module(body=strip(node.body), type_ignores=[]))
    raise AssertionError(f"{path} has no class {name}")


def test_importing_fathom_and_listing_import_no_torch() -> None:
    code = (
        "import sys, fathom; from fathom import catalog;"
        "catalog.systems(); catalog.recipes(); catalog.tasks();"
        "from fathom.cli.command import main; main(['list']); main(['show', 'lenet']);"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_every_module_imports_alone() -> None:
    """In one process, with a fresh module table each time; torch and the like stay."""
    code = """
import importlib, sys, torch, numpy
from pathlib import Path
for name in sys.argv[1:]:
    for loaded in [m for m in sys.modules if m == "fathom" or m.startswith("fathom.")]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    names = [
        "fathom." + ".".join(f.relative_to(ROOT).with_suffix("").parts)
        for f in FILES
        if f.name not in ("__init__.py", "__main__.py")
    ]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_public_api_is_the_one_that_is_written_down() -> None:
    """``api.txt`` holds the signatures of the public nouns and verbs; a change needs a changelog entry."""
    root = ROOT.parents[1]
    code = "import sys; sys.path.insert(0, 'tools'); from write_api import public; print(public(), end='')"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    written = (root / "api.txt").read_text(encoding="utf-8")
    assert written == done.stdout, "it changed: python tools/write_api.py, and write CHANGELOG.md"


def test_no_text_of_this_machine() -> None:
    importlib.invalidate_caches()
    for file in [*FILES, *(ROOT.parents[1] / "docs").rglob("*.md"), ROOT.parents[1] / "README.md"]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"/wor[k]/|/roo[t]/|pyp[i]\.org|files\.pythonhoste[d]", text), file
