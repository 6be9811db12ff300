"""The ledger: records of what was measured, written by commands, and whether they still hold.

``evidence/<recipe>.json`` is written by ``fathom verify``. It carries the hash of the code that made it
(syntax trees without docstrings, of the system, its recipe and everything they import here) and a
canary: the losses of 20 steps of that very recipe on little data. A record is fresh when today's code
has the hash of the record, or of the last time its canary was seen to sing the same losses.
``evidence/primitives.json`` holds the same for primitives, which have twins and tests and no run, and
``evidence/claims/`` what was seen of each claim, whether it held or not. ``evidence/topics/`` holds what came
of the self-test of each topic, written by ``fathom learn selftest --record``; its hash is that of the topic's
folder, of the grader, and of the code of the library that the page quotes or uses.
"""

import ast
import hashlib
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fathom import catalog

CANARIES = "canaries.json"
PRIMITIVES = "primitives.json"
CLAIMS = "claims"  # the folder of their records
TOPICS = "topics"  # and that of those of topics
GRADER = "fathom.learn.engine.grade"  # what decides whether an exercise holds
CURRICULUM = "LP"  # the chapter whose rows ask for pages and parts of the curriculum
PARTS = ("readable", "parity", "trained", "ships", "taught")


def folder() -> Path:
    """Where records lie: FATHOM_EVIDENCE, ``evidence`` here, or that of the checkout."""
    if "FATHOM_EVIDENCE" in os.environ:
        return Path(os.environ["FATHOM_EVIDENCE"])
    here = Path("evidence")
    return here if here.is_dir() else catalog.ROOT.parents[1] / "evidence"


def records() -> dict[str, dict[str, Any]]:
    """Every record, by the name of its recipe."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder().glob("*.json")):
        if file.name not in (CANARIES, PRIMITIVES):
            found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
    return found


def canaries() -> dict[str, dict[str, Any]]:
    """The last passing canary of each record."""
    file = folder() / CANARIES
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def primitives() -> dict[str, dict[str, Any]]:
    """The record of each primitive, by its name."""
    file = folder() / PRIMITIVES
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def claims() -> dict[str, dict[str, Any]]:
    """The record of each claim, by its name."""
    return {name: record for name, record in inside(CLAIMS).items() if name in catalog.claims()}


def topics() -> dict[str, dict[str, Any]]:
    """The record of the self-test of each topic, by its name."""
    return {name: record for name, record in inside(TOPICS).items() if name in catalog.topics()}


def inside(part: str) -> dict[str, dict[str, Any]]:
    """The records in a folder of the ledger, by the name of their file."""
    files = sorted((folder() / part).glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def fresh(record: dict[str, Any]) -> bool:
    """Whether today's code is the code that made the record, or that its canary passed with."""
    claimed = "claim" in record
    today = claim_hash(record["claim"]) if claimed else code_hash(record["recipe"])
    seen = canaries().get(f"{CLAIMS}/{record['claim']}" if claimed else record["recipe"], {})
    return today == record["code"] or (bool(seen.get("passed")) and seen.get("code") == today)


def code_hash(recipe: str) -> str:
    """SHA-256 over the syntax trees, without docstrings, of a recipe and all it imports from here."""
    return module_hash(catalog.recipe(recipe).module)


def claim_hash(name: str) -> str:
    """The same of a claim and of the recipes of its arms."""
    entry = catalog.claim(name)
    recipes = sorted({arm[0] for arm in entry.claim.arms.values()})
    return module_hash(entry.module, *(catalog.recipe(recipe).module for recipe in recipes))


def entry_hash(name: str) -> str:
    """The same of a system or primitive and all it imports from here."""
    return module_hash(catalog.entry(name).module)


@cache
def topic_hash(name: str) -> str:
    """SHA-256 over the folder of a topic, the grader, and the code here that the topic quotes or uses."""
    folder, grader = catalog.topics()[name].path, locate(GRADER)
    assert grader is not None
    total = hashlib.sha256(tree_hash(grader))
    for file in sorted(f for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc"):
        text = file.read_bytes().replace(b"\r\n", b"\n")
        total.update(file.relative_to(folder).as_posix().encode() + hashlib.sha256(text).digest())
    total.update(module_hash(*sorted({*used(folder), *imports(grader)})).encode())
    return total.hexdigest()


def used(topic: Path) -> set[str]:
    """Modules that the page in a folder quotes, or that its fences, figures and exercises import."""
    page = (topic / "topic.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^:::source (fathom[\w.]*):", page, re.MULTILINE))
    for fence in re.findall(r"^```python\b[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        found |= set(_imports(ast.parse(fence)))
    for file in topic.rglob("*.py"):
        found |= set(imports(file))
    return found


@cache
def module_hash(*modules: str) -> str:
    total = hashlib.sha256()
    for file in sorted(reached(*modules)):
        total.update(file.relative_to(catalog.ROOT).as_posix().encode() + tree_hash(file))
    return total.hexdigest()


def reached(*modules: str) -> set[Path]:
    """The files of the package that ``modules`` import, directly or not, inside functions too.

    The verbs and the command line are left out: they start a run and do not shape it.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        file = locate(waiting.pop())
        if file is None or file in found:
            continue
        part = file.relative_to(catalog.ROOT).parts[0]
        if part in ("verbs", "cli", "report", "learn") or "serve" in file.parts:
            continue
        found.add(file)
        waiting += imports(file)
    return found


@cache
def imports(file: Path) -> tuple[str, ...]:
    return tuple(_imports(ast.parse(file.read_text(encoding="utf-8"))))


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fathom"):
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("fathom"))


def locate(module: str) -> Path | None:
    """The file of a module of the package, if it is one."""
    base = catalog.ROOT.joinpath(*module.split(".")[1:])
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.is_file() and file != catalog.ROOT / "__init__.py":
            return file
    return None


@cache
def tree_hash(file: Path) -> bytes:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            if isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
                body[0].value.value = ""
    return hashlib.sha256(ast.dump(tree).encode()).digest()


def table(wanted: list[str] | None = None) -> list[dict[str, Any]]:
    """Inventory, cards and records joined: one entry a row; ``wanted`` names chapters or rows."""
    kept, said, lessons = records(), claims(), topics()
    made_by: dict[str, list[catalog.Entry]] = {}
    for entry in catalog.entries().values():
        for row in entry.card.rows:
            made_by.setdefault(row, []).append(entry)
    rows: list[dict[str, Any]] = []
    for row in catalog.inventory().values():
        if wanted and row.id not in wanted and row.id[:2] not in wanted and row.chapter not in wanted:
            continue
        found = parts(row, made_by.get(row.id, []), kept, said)
        rows.append({"id": row.id, "item": row.item} | found | {"taught": taught(row, lessons)})
    return rows


def parts(
    row: catalog.Row, entries: list[catalog.Entry], kept: dict[str, Any], said: dict[str, Any]
) -> dict[str, Any]:
    """The first four promises of one row: null where it does not apply, else ok, fresh and the record.

    Readable is a row about which there is a system, a primitive or a claim; of the curriculum, the part or
    the page that it asks for. What it asks to be trained
    ("T:"), or to run from end to end ("Runs:"), was seen where a record says so.
    """
    made = {e.name for e in entries}
    own = [r for r in kept.values() if r["system"] in made]
    about = [said.get(n) for n, c in catalog.claims().items() if row.id in c.claim.rows]
    readable = bool(entries or about or (row.id.startswith(CURRICULUM) and part_of_curriculum(row)))
    found: dict[str, Any] = {"readable": {"ok": readable, "fresh": readable, "record": None}}
    found["parity"] = equal_to(entries, own) if has(row, "P:") else None
    found["trained"] = shown(about, own) if has(row, "T:") or has(row, "Runs:") else None
    gpu_alone = has(row, "T:") and "T2" in row.works and "T1" not in row.works
    if gpu_alone and not found["trained"]["ok"]:  # type: ignore[index]
        found["trained"] = {"ok": None, "amber": "needs a GPU", "record": None}
    ships = judge(own, lambda r: bool(r["export"] and r["export"]["equal"]))
    found["ships"] = ships if has(row, "T:") and (own or not about) else None
    return found


def part_of_curriculum(row: catalog.Row) -> bool:
    """Whether a file or a page of ``learn/`` says that it is what the row asks for."""
    return row.id in catalog.curriculum() or any(row.id in t.rows for t in catalog.topics().values())


def taught(row: catalog.Row, lessons: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Whether a topic that names the row proved itself; null for what the curriculum itself fulfils.

    Of several topics one is enough; a fresh record goes before an older one, and one that passed before one
    that did not.
    """
    if row.id in catalog.curriculum():
        return None
    found = [
        {"ok": r["passed"], "fresh": r["code"] == topic_hash(n), "record": f"evidence/{TOPICS}/{n}.json"}
        for n, r in lessons.items()
        if row.id in catalog.topics()[n].rows
    ]
    nothing = {"ok": False, "fresh": False, "record": None}
    return max(found, key=lambda told: (told["ok"], told["fresh"]), default=nothing)


def shown(about: list[dict[str, Any] | None], own: list[dict[str, Any]]) -> dict[str, Any]:
    """Whether what a row asks for was seen: by every claim about it, and every recipe that promises."""
    known = [record for record in about if record is not None]
    found = judge([*known, *(r for r in own if r["expect"])], lambda r: r["met"])
    return found | {"ok": found["ok"] and len(known) == len(about)}


def equal_to(entries: list[catalog.Entry], own: list[dict[str, Any]]) -> dict[str, Any]:
    """Parity of a row: every primitive that claims it passed, or a system that does."""
    kept = primitives()
    names = [e.name for e in entries if e.part == catalog.PRIMITIVES]
    if not names:
        return judge(own, lambda r: r["parity"]["passed"] > 0)
    passed = all(kept.get(n, {}).get("passed", 0) > 0 for n in names)
    today = passed and all(kept[n]["code"] == entry_hash(n) for n in names)
    return {"ok": passed, "fresh": today, "record": f"evidence/{PRIMITIVES}" if passed else None}


def has(row: catalog.Row, mark: str) -> bool:
    return mark in row.works


def judge(kept: list[dict[str, Any]], test: Any) -> dict[str, Any]:
    """Whether every one of these records passes ``test``; the record is the first that does not."""
    failed = [record for record in kept if not test(record)]
    first = next(iter(failed or kept), None)
    return {
        "ok": bool(kept) and not failed,
        "fresh": bool(kept) and all(map(fresh, kept)),
        "record": f"evidence/{file_of(first)}" if first else None,
    }


def file_of(record: dict[str, Any]) -> str:
    """Where a record lies in the ledger."""
    return f"{CLAIMS}/{record['claim']}.json" if "claim" in record else f"{record['recipe']}.json"
