"""Inspect: what data looks like, and what is wrong with it, before anything is trained."""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fathom.data.formats import image_folder, jsonl, table, text
from fathom.errors import InputError

CODE = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib", ".npy", ".npz")
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
UNEVEN = 10  # times as many rows in the largest class as in the smallest


@dataclass
class Findings:
    """What was seen, in sentences, and what should be looked at, with numbers behind both."""

    path: str
    kind: str
    saw: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def inspect(path: Path) -> Findings:
    """Look at ``path``. Raises ``InputError`` for what is missing, empty, unreadable or can hold code."""
    if path.suffix.lower() in CODE:
        raise InputError(
            f"{path} is a model or pickle file and is refused; bring tensors in with: fathom import {path}"
        )
    if not path.exists():
        raise InputError(f"{path} does not exist{nearest(path)}")
    if path.is_file():
        if path.suffix.lower() in TABLES:
            return look_at_table(path)
        if path.suffix.lower() in text.ENDINGS:
            return look_at_text(path)
        raise InputError(
            f"{path} is no data that is known here; known are tables ({', '.join(TABLES)}), texts"
            f" ({', '.join(text.ENDINGS)}) and folders of pictures"
        )
    try:
        inside = [p for p in path.iterdir() if not p.name.startswith(".")]
    except PermissionError:
        raise InputError(f"{path} may not be read by this user") from None
    if not inside:
        raise InputError(f"{path} is empty; looked for class folders of pictures, tables and texts")
    if image_folder.glance(path):
        return look_at_pictures(path)
    if text.files(path):
        return look_at_text(path)
    shown = ", ".join(p.name for p in inside[:5])
    raise InputError(f"{path} holds neither class folders of pictures nor texts; found: {shown}")


def nearest(path: Path) -> str:
    """The existing names that look most like the last part of a path."""
    import difflib

    folder = path.parent if path.parent.is_dir() else Path()
    near = difflib.get_close_matches(path.name, [p.name for p in folder.iterdir()], n=2)
    where = f" (looked in {folder.resolve()})"
    return where + (f"; there is {' and '.join(near)}" if near else "")


def look_at_pictures(path: Path) -> Findings:
    """Classes, splits, unreadable files, doubles within and across splits."""
    from fathom.deployment.pictures import open_image

    found = image_folder.scan(path)
    counts = found.counts()
    findings = Findings(str(path), "image folder", list(image_folder.glance(path) or ()))
    sizes: set[tuple[int, int]] = set()
    modes: set[str] = set()
    prints: dict[str, list[int]] = defaultdict(list)
    for i, file in enumerate(found.paths):
        try:
            picture = open_image(file)
        except InputError as error:
            findings.problems.append(f"{file}: {error}")
            continue
        sizes.add(picture.size)
        modes.add(picture.mode)
        prints[hashlib.sha256(picture.tobytes()).hexdigest()].append(i)
    findings.saw.append(f"{len(found.paths)} pictures, {len(sizes)} sizes, modes {', '.join(sorted(modes))}")
    findings.saw += [f"class {name}: {count}" for name, count in counts.items()]
    findings.problems += uneven(counts)
    for same in (rows for rows in prints.values() if len(rows) > 1):
        findings.problems.append(double(found, same))
    findings.facts = {"classes": counts, "pictures": len(found.paths), "sizes": sorted(sizes)[:20]}
    return findings


def double(found: image_folder.ImageFolder, same: list[int]) -> str:
    """Equal pictures, and what is bad about them."""
    names = ", ".join(str(found.paths[i].relative_to(found.root)) for i in same[:4])
    if len({found.labels[i] for i in same}) > 1:
        return f"the same picture stands under several classes: {names}"
    if len({found.splits[i] for i in same}) > 1:
        return f"the same picture stands in several splits (leakage): {names}"
    return f"the same picture {len(same)} times: {names}"


def look_at_table(path: Path) -> Findings:
    """Columns with kinds and missing cells; constant columns, identifiers, doubles."""
    reader = jsonl if path.suffix.lower() in (".jsonl", ".ndjson") else table
    found = reader.read(path, skip_bad=True)
    findings = Findings(str(path), "table", [f"{path}: {len(found)} rows, {len(found.columns)} columns"])
    for name, kind in found.kinds.items():
        values = [v for v in found.columns[name] if v is not None]
        different = len(set(map(str, values)))
        gone = found.missing(name)
        findings.saw.append(f"column {name}: {kind}, {different} different, {gone} missing")
        if different == 1:
            findings.problems.append(f"column {name} is constant: it can teach nothing")
        if kind == "identifier":
            findings.problems.append(f"column {name} looks like an identifier: leave it out")
        if gone > len(found) / 2:
            findings.problems.append(f"column {name} is missing in {gone} of {len(found)} rows")
    rows = list(map(str, found.rows()))
    if len(set(rows)) < len(rows):
        findings.problems.append(f"{len(rows) - len(set(rows))} rows stand there more than once")
    findings.problems += found.bad
    findings.facts = {"rows": len(found), "columns": found.kinds}
    return findings


def look_at_text(path: Path) -> Findings:
    """How much text, of which characters."""
    content = text.read(path)
    signs = len(set(content))
    words = len(content.split())
    saw = [
        f"{path}: {len(text.files(path))} text files, {words:,} words,"
        f" {len(content):,} characters ({signs} different)"
    ]
    return Findings(str(path), "text", saw, [], {"characters": len(content), "words": words})


def uneven(counts: dict[str, int]) -> list[str]:
    """Classes that are much rarer than others."""
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] >= UNEVEN * counts[least]:
        return [
            f"class {least} has {counts[least]} items and {most} has {counts[most]}: rare ones are learned badly"
        ]
    return []
