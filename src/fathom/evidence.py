"""The ledger: records of what was measured, written by commands, and whether they still hold.

``evidence/<recipe>.json`` is written by ``fathom verify``. It carries the hash of the code that made it
(syntax trees without docstrings, of the system, its recipe and everything they import here) and a
canary: the losses of 20 steps of that very recipe on little data. A record is fresh when today's code
has the hash of the record, or of the last time its canary was seen to sing the same losses.
``evidence/primitives.json`` holds the same for primitives, which have twins and tests and no run, and
``evidence/claims/`` what was seen of each claim, whether it held or not.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fathom import catalog

CANARIES = "canaries.json"
PRIMITIVES = "primitives.json"
CLAIMS = "claims"  # the folder of their records
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
    files = sorted((folder() / CLAIMS).glob("*.json"))
    found = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in files}
    return {name: record for name, record in found.items() if name in catalog.claims()}


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
    kept, said = records(), claims()
    made_by: dict[str, list[catalog.Entry]] = {}
    for entry in catalog.entries().values():
        for row in entry.card.rows:
            made_by.setdefault(row, []).append(entry)
    rows: list[dict[str, Any]] = []
    for row in catalog.inventory().values():
        if wanted and row.id not in wanted and row.id[:2] not in wanted and row.chapter not in wanted:
            continue
        rows.append({"id": row.id, "item": row.item} | parts(row, made_by.get(row.id, []), kept, said))
    return rows


def parts(
    row: catalog.Row, entries: list[catalog.Entry], kept: dict[str, Any], said: dict[str, Any]
) -> dict[str, Any]:
    """The five promises of one row: null where it does not apply, else ok, fresh and the record.

    Readable is a row about which there is a system, a primitive or a claim. What it asks to be trained
    ("T:"), or to run from end to end ("Runs:"), was seen where a record says so.
    """
    made = {e.name for e in entries}
    own = [r for r in kept.values() if r["system"] in made]
    about = [said.get(n) for n, c in catalog.claims().items() if row.id in c.claim.rows]
    readable = bool(entries or about)
    found: dict[str, Any] = {"readable": {"ok": readable, "fresh": readable, "record": None}}
    found["parity"] = equal_to(entries, own) if has(row, "P:") else None
    found["trained"] = shown(about, own) if has(row, "T:") or has(row, "Runs:") else None
    if has(row, "T:") and not own and not about and "T2" in row.works and "T1" not in row.works:
        found["trained"] = {"ok": None, "amber": "needs a GPU", "record": None}
    ships = judge(own, lambda r: bool(r["export"] and r["export"]["equal"]))
    found["ships"] = ships if has(row, "T:") and (own or not about) else None
    found["taught"] = {"ok": False, "fresh": False, "record": None}
    return found


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
