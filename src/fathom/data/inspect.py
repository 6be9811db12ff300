"""Inspect: what data looks like, and what is wrong with it, before anything is trained."""

import difflib
import hashlib
import os
import zipfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fathom.data.encodings import older
from fathom.data.formats import image_folder, labelled_pictures, table, text
from fathom.data.formats.table import Table
from fathom.errors import InputError
from fathom.task import Options

CODE = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")
ARRAYS = (".npy", ".npz")
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
TARGETS = ("target", "label", "class", "y", "price")  # what a column to predict is often called
UNEVEN = 10  # times as many rows in the largest class as in the smallest
FEWEST = 10  # items of a class that is learned at all
SHOWN = 8  # examples of one kind of problem


@dataclass
class Findings:
    """What was seen, in sentences, and what should be looked at, with numbers behind both."""

    path: str
    kind: str  # "image folder", "pictures with boxes", "table", "text"
    saw: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def inspect(path: Path) -> Findings:
    """Look at ``path``. Raises ``InputError`` for what is missing, empty, unreadable or can hold code."""
    if not path.exists():
        raise InputError(f"{path} does not exist{nearest(path)}")
    try:
        if path.is_dir():
            return look_at_folder(path)
        if not path.is_file():
            raise InputError(f"{path} is neither a file nor a folder; give one of these")
        refuse_code(path)
        if path.suffix.lower() in TABLES:
            saw = labelled_pictures.glance(path, Options())
            return look_at_labelled(path, saw) if saw else look_at_tables(path, {"": path})
        if path.suffix.lower() in text.ENDINGS:
            return look_at_text(path)
    except PermissionError as error:
        raise InputError(f"{error.filename or path} may not be read by this user") from error
    raise InputError(
        f"{path} is no data that is known here{advice(path)}; known are tables ({', '.join(TABLES)}), texts"
        f" ({', '.join(text.ENDINGS)}) and folders of pictures"
    )


def look_at_folder(path: Path) -> Findings:
    """Pictures in class folders, pictures with boxes, tables by split, or texts."""
    inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    if not inside:
        raise InputError(f"{path} is empty; looked for class folders of pictures, tables and texts")
    if (path / "Annotations").is_dir() and (path / "JPEGImages").is_dir():
        return look_at_boxes(path)
    saw = labelled_pictures.glance(path, Options())
    if saw:
        return look_at_labelled(path, saw)
    if image_folder.glance(path):
        return look_at_pictures(path)
    tables: dict[str, Path] = {}
    for file in inside:
        split = image_folder.SPLITS.get(file.stem.lower())
        if file.is_file() and split and file.suffix.lower() in TABLES:
            tables.setdefault(split, file)
    if "train" in tables:
        order = ("train", "valid", "test")
        return look_at_tables(path, {split: tables[split] for split in order if split in tables})
    if text.files(path):
        return look_at_text(path)
    for file in inside:
        if file.is_file():
            refuse_code(file)
    loose = len(image_folder.pictures(path))
    shown = f"{loose} pictures without class folders" if loose else ", ".join(p.name for p in inside[:5])
    table_told = labelled_pictures.unnamed(path) if loose else None
    if table_told:
        raise InputError(
            f"{path} holds {shown} and {table_told}; give one table with a row for each picture, with its"
            " file name in a column such as file, or sort the pictures into class folders"
        )
    raise InputError(f"{path} holds neither class folders of pictures, nor tables, nor texts; found: {shown}")


def refuse_code(path: Path) -> None:
    """Files that can run code when they are opened stay closed, whatever they are called."""
    with path.open("rb") as file:
        head = file.read(2)
    pickled = path.suffix.lower() in CODE or (
        head[:1] == b"\x80" and head[1:] in (b"\2", b"\3", b"\4", b"\5")
    )
    if pickled or has_objects(path, head):
        raise InputError(f"{path} is refused: model/pickle file; use `fathom import {path}`")


def has_objects(path: Path, head: bytes) -> bool:
    """Does an archive hold a pickle, or an array Python objects?"""
    import numpy as np

    try:
        if head == b"PK":
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
                if any(name.endswith((".pkl", ".pickle")) for name in names):
                    return True
                if path.suffix.lower() not in ARRAYS:
                    return False
            with np.load(path, allow_pickle=False) as arrays:
                return any(arrays[name] is None for name in arrays.files)
        if path.suffix.lower() == ".npy":
            np.load(path, allow_pickle=False, mmap_mode="r")
    except ValueError as error:
        if "Object arrays" in str(error) or "Python objects" in str(error) or "pickle" in str(error):
            return True
        raise InputError(f"{path} is damaged: {error}") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    return False


def nearest(path: Path) -> str:
    """Where was looked, and the existing names that look most like the one that is missing."""
    from fathom.data import places

    if path.is_symlink():
        return f": it is a link to {path.readlink()}, which is not there"
    if len(path.parts) == 1 and path.name in places.known():
        return f"; {path.name} is a known set, see: fathom data show {path.name}"
    folder = next(p for p in path.absolute().parents if p.is_dir())
    gone = path.absolute().relative_to(folder).parts[0]
    near = difflib.get_close_matches(gone, [p.name for p in folder.iterdir()], n=2)
    return f" (looked in {folder})" + (f"; there is {' and '.join(near)}" if near else "")


def advice(path: Path) -> str:
    """What to do with files that hold data in another form."""
    ending = path.suffix.lower()
    if ending in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".xz", ".bz2"):
        return ": an archive; unpack it first"
    if ending in (".xlsx", ".xls", ".ods", ".numbers"):
        return ": a spreadsheet; save it as CSV"
    if ending == ".json":
        return ": save it as JSON lines (.jsonl), one object a line"
    if ending in (".safetensors", ".onnx"):
        return ": a model"
    if ending in image_folder.ENDINGS:
        return ": a single picture; put pictures into a folder for each class"
    return ""


def look_at_labelled(path: Path, saw: Sequence[str]) -> Findings:
    """Pictures and the table of what each shows: labels, and what `look_at_files` finds."""
    found = labelled_pictures.scan(path, Options(skip_bad=True))
    findings = Findings(str(path), "pictures with labels", list(saw), list(found.folder.bad[:SHOWN]))
    if len(found.folder.bad) > SHOWN:
        findings.problems.append(f"{len(found.folder.bad)} rows in all have no picture; see --skip-bad")
    return look_at_files(found.folder, found.counts(), "label", findings)


def look_at_pictures(path: Path) -> Findings:
    """Classes, and what `look_at_files` finds."""
    found = image_folder.scan(path)
    findings = Findings(str(path), "image folder", list(image_folder.glance(path) or ()))
    return look_at_files(found, found.counts(), "class", findings)


def look_at_files(
    found: image_folder.ImageFolder, counts: dict[str, int], kind: str, findings: Findings
) -> Findings:
    """Sizes, splits, unreadable files, doubles within and across splits; ``counts`` is by ``kind``."""
    with ThreadPoolExecutor() as pool:
        looks = list(pool.map(look, found.paths))
    good = {i: seen for i, seen in enumerate(looks) if not isinstance(seen, str)}
    sizes = Counter(seen[0] for seen in good.values())
    channels = Counter(seen[1] for seen in good.values())
    findings.saw.append(f"{len(looks)} pictures, {sizes_told(sizes)}, {told(channels)}")
    findings.saw += [f"{kind} {name}: {count}" for name, count in counts.items()]
    findings.saw += found.notes
    bad = [seen for seen in looks if isinstance(seen, str)]
    findings.problems += [f"cannot be read: {reason}" for reason in bad[:SHOWN]]
    if len(bad) > SHOWN:
        findings.problems.append(f"{len(bad)} pictures in all cannot be read; leave them out with --skip-bad")
    findings.problems += uneven(counts)
    same: dict[Hashable, list[int]] = defaultdict(list)
    for i, seen in good.items():
        same[seen[2]].append(i)
    names = [os.path.relpath(p, labelled_pictures.root_of(Path(findings.path))) for p in found.paths]
    labels = [found.classes[i] for i in found.labels]
    findings.problems += doubles(same, "picture", names, found.splits, labels)
    findings.facts = {
        "classes": counts, "splits": dict(Counter(found.splits)), "pictures": len(looks), "bad": len(bad),
        "sizes": [[*size, n] for size, n in sizes.most_common(20)], "channels": dict(channels),
        "doubles": sum(len(v) - 1 for v in same.values()),
    }  # fmt: skip
    return findings


def look(file: Path) -> tuple[tuple[int, int], str, str] | str:
    """Size (width, height), "grey" or "colour", and a hash of the pixels; or why it cannot be read."""
    from fathom.deployment.pictures import open_image

    try:
        picture = open_image(file)
    except InputError as error:
        return f"{file}: {error}"
    digest = hashlib.sha256(f"{picture.size}{picture.mode}".encode() + picture.tobytes()).hexdigest()
    return picture.size, "grey" if picture.mode == "L" else "colour", digest


def look_at_boxes(path: Path) -> Findings:
    """Pictures with boxes as PASCAL VOC keeps them: is there a picture for each annotation?"""
    notes = sorted((path / "Annotations").glob("*.xml"))
    pictures = {p.stem for p in image_folder.pictures(path / "JPEGImages")}
    if not notes:
        raise InputError(
            f"{path / 'Annotations'} holds no .xml files; looked for boxes of {len(pictures)} pictures"
        )
    saw = [f"{path}: Annotations/ with {len(notes)} files of boxes (VOC), {len(pictures)} pictures beside it"]
    lost = [n.name for n in notes if n.stem not in pictures]
    problems = [f"{len(lost)} annotations have no picture: {', '.join(lost[:SHOWN])}"] if lost else []
    facts = {"annotations": len(notes), "pictures": len(pictures), "without picture": len(lost)}
    return Findings(str(path), "pictures with boxes", saw, problems, facts)


def look_at_tables(path: Path, files: Mapping[str, Path]) -> Findings:
    """Columns with kinds and missing cells; constants, identifiers, doubles, rows that leak."""
    from fathom.data.formats import jsonl

    tables = {}
    for split, file in files.items():
        reader = jsonl if file.suffix.lower() in (".jsonl", ".ndjson") else table
        tables[split] = reader.read(file, skip_bad=True)
    main = tables.get("train", next(iter(tables.values())))
    findings = Findings(str(path), "table")
    for split, found in tables.items():
        at = f"{files[split]}: " if split else f"{path}: "
        findings.saw.append(f"{at}{len(found)} rows, {len(found.columns)} columns")
        findings.saw += older(files[split])
        strange = sorted(set(found.columns) ^ set(main.columns))
        if strange:
            findings.problems.append(f"{files[split]} and {main.path} differ in column {strange[0]!r}")
        findings.problems += list(found.bad[:SHOWN])
        if len(found.bad) > SHOWN:
            findings.problems.append(f"{at}{len(found.bad)} rows in all cannot be read; see --skip-bad")
    findings.facts = {"rows": sum(map(len, tables.values())), "columns": main.kinds}
    look_at_columns(main, findings)
    rows = [(split, f"{t.path.name} line {n}", tuple(map(repr, r.values()))) for split, t in tables.items()
            for n, r in zip(t.lines, t.rows(), strict=True)]  # fmt: skip
    if "split" in main.columns and "" in tables:
        rows = [(str(s), place, tuple(c for n, c in zip(main.columns, cells, strict=True) if n != "split"))
                for s, (_, place, cells) in zip(main.columns["split"], rows, strict=True)]  # fmt: skip
    same: dict[Hashable, list[int]] = defaultdict(list)
    for i, (_, _, cells) in enumerate(rows):
        same[cells].append(i)
    findings.problems += doubles(same, "row", [r[1] for r in rows], [r[0] for r in rows], None)
    findings.facts["doubles"] = sum(len(v) - 1 for v in same.values())
    return findings


def look_at_columns(found: Table, findings: Findings) -> None:
    """What each column holds, and which could be the one to predict."""
    candidates: list[str] = []
    for name, kind in found.kinds.items():
        values = [v for v in found.columns[name] if v is not None]
        counts = Counter(map(str, values))
        gone = found.missing(name)
        findings.saw.append(f"column {name}: {kind}, {len(counts)} different, {gone} missing")
        if len(counts) == 1:
            findings.problems.append(f"column {name} is constant ({values[0]!r}): it can teach nothing")
        if kind == "identifier":
            findings.problems.append(f"column {name} looks like an identifier: leave it out")
        if gone > len(found) / 2:
            findings.problems.append(f"column {name} is missing in {gone} of {len(found)} rows")
        odd = [i for i, v in enumerate(found.columns[name]) if v is not None and not table.is_number(v)]
        if kind in ("category", "text") and 0 < len(odd) <= 0.1 * len(values):
            where = f"{found.path}, line {found.lines[odd[0]]}: {found.columns[name][odd[0]]!r}"
            findings.problems.append(f"column {name} holds numbers, but for {len(odd)} cells ({where})")
        usual = name.lower() in TARGETS or name.lower().endswith(("target", "label", "price"))
        if usual or (kind == "category" and 2 <= len(counts) <= min(50, len(found) / 2)):
            candidates.insert(0, name) if usual else candidates.append(name)
        if usual and kind == "category" and len(counts) > 1:
            findings.problems += uneven(counts)
    findings.facts["missing"] = {name: found.missing(name) for name in found.columns if found.missing(name)}
    findings.facts["could be predicted"] = candidates
    if candidates:
        findings.saw.append(f"could be predicted (--target): {', '.join(candidates[:SHOWN])}")


def look_at_text(path: Path) -> Findings:
    """How much text, of which characters, and whether files are the same."""
    content = text.read(path)
    files = text.files(path)
    signs, words = len(set(content)), len(content.split())
    saw = [
        f"{path}: {len(files)} text files, {words:,} words, {len(content):,} characters ({signs} different)"
    ]
    saw += [line for file in files for line in older(file)][:SHOWN]
    same: dict[Hashable, list[int]] = defaultdict(list)
    for i, file in enumerate(files):
        same[hashlib.sha256(file.read_bytes()).hexdigest()].append(i)
    problems = doubles(same, "text", [f.name for f in files], [""] * len(files), None)
    if "\N{REPLACEMENT CHARACTER}" in content:
        problems.append("some characters were lost before: the text holds replacement characters")
    return Findings(str(path), "text", saw, problems, {"characters": len(content), "words": words})


def doubles(
    same: Mapping[Hashable, Sequence[int]],
    what: str,
    names: Sequence[str],
    splits: Sequence[str],
    labels: Sequence[str] | None,
) -> list[str]:
    """Sentences on equal things: under several classes, in several splits (leakage), or only repeated."""
    found: dict[str, list[str]] = defaultdict(list)
    for rows in same.values():
        if len(rows) > 1:
            listed = ", ".join(names[i] for i in rows[:4])
            if labels and len({labels[i] for i in rows}) > 1:
                found[f"the same {what} stands under several classes"].append(listed)
            if len({splits[i] for i in rows}) > 1:
                found[f"the same {what} stands in several splits (leakage)"].append(listed)
            elif not labels or len({labels[i] for i in rows}) == 1:
                found[f"the same {what} stands there more than once"].append(listed)
    return [
        f"{problem}: {'; '.join(listed[:3])}" + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
        for problem, listed in found.items()
    ]


def uneven(counts: Mapping[str, int]) -> list[str]:
    """Classes that are much rarer than others, or too rare to be learned."""
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    found: list[str] = []
    if counts[most] >= UNEVEN * counts[least]:
        found.append(
            f"class {least} has {counts[least]} items and {most} has {counts[most]}:"
            " rare ones are learned badly"
        )
    rare = [name for name, n in counts.items() if n < FEWEST]
    if rare:
        found.append(f"classes with fewer than {FEWEST} items: {', '.join(rare[:SHOWN])}; add more of them")
    return found


def sizes_told(sizes: Counter[tuple[int, int]]) -> str:
    """The size of all pictures, or the smallest and largest."""
    if len(sizes) == 1:
        return "{} x {} pixels".format(*next(iter(sizes)))
    if not sizes:
        return "of no size"
    low, high = min(sizes, key=lambda s: s[0] * s[1]), max(sizes, key=lambda s: s[0] * s[1])
    return f"{len(sizes)} sizes from {low[0]} x {low[1]} to {high[0]} x {high[1]} pixels"


def told(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())
