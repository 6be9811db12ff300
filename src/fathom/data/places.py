"""Where a known data set is found: the folders of FATHOM_DATA, the package, the cache, its address.

A set's facts stand in its own file as a literal ``SET = DataSet(...)`` and are read from the syntax
tree. Each file of a set has a SHA-256. It is checked when a file is first used from a place, and
again whenever its size or time of change differ from what was seen then.
"""

import ast
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fathom.errors import InputError, unknown

HERE = Path(__file__).parent
SEEN = "verified.json"  # in the cache: path -> [bytes, time of change, SHA-256]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Facts about a set, all literals."""

    name: str
    title: str
    tasks: tuple[str, ...]
    licence: str
    redistributable: bool
    citation: str
    address: str  # where it is published
    files: dict[str, tuple[str, int]]  # name -> SHA-256, bytes
    counts: dict[str, int]


@cache
def known() -> dict[str, DataSet]:
    """Every set, by name, without importing its file."""
    found: dict[str, DataSet] = {}
    for file in sorted((HERE / "sets").glob("[a-z]*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SET":
                assert isinstance(node.value, ast.Call)
                facts = {str(k.arg): ast.literal_eval(k.value) for k in node.value.keywords}
                found[facts["name"]] = DataSet(**facts)
    return found


def named(name: str) -> DataSet:
    """The set ``name``; an unknown name raises ``InputError`` with the nearest ones."""
    if name not in known():
        raise unknown("data set", name, known())
    return known()[name]


def cache_folder() -> Path:
    """Where downloads are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("fathom")) / "data"


def candidates(data: DataSet) -> Iterator[Path]:
    """Folders that may hold the set, in the order in which they are tried."""
    for place in os.environ.get("FATHOM_DATA", "").split(os.pathsep):
        if place:
            yield Path(place) / data.name
    yield HERE / "embedded" / data.name
    yield cache_folder() / data.name


def find(data: DataSet) -> Path:
    """The folder that holds every file of the set, downloaded to the cache if need be.

    Raises ``InputError`` that names every place that was tried, or the file that was tampered with.
    """
    tried: list[str] = []
    for folder in candidates(data):
        missing = [name for name in data.files if not (folder / name).is_file()]
        if not missing:
            verify(data, folder)
            return folder
        tried.append(f"{folder} ({'has no ' + missing[0] if folder.is_dir() else 'is not there'})")
    from fathom.data.download import addresses_of, download

    if not addresses_of(data):
        raise InputError(
            f"the data set {data.name} was not found. Tried: {'; '.join(tried)}. Get it from {data.address}"
            f" and put its files into {cache_folder() / data.name}, or name its folder's parent in FATHOM_DATA"
        )
    folder = cache_folder() / data.name
    for name, (sha256, size) in data.files.items():
        download(addresses_of(data)[name], folder / name, sha256=sha256, size=size)
    return folder


def verify(data: DataSet, folder: Path) -> None:
    """Check the hash of every file that was not checked before as it is now."""
    seen = _seen()
    changed = False
    for name, (sha256, size) in data.files.items():
        file = folder / name
        status = file.stat()
        mark = [status.st_size, status.st_mtime_ns, sha256]
        if seen.get(str(file)) == mark:
            continue
        if status.st_size != size or hashlib.sha256(file.read_bytes()).hexdigest() != sha256:
            raise InputError(
                f"{file} is not the file of the data set {data.name}: its SHA-256 differs; remove it"
            )
        seen[str(file)] = mark
        changed = True
    if changed:
        _remember(seen)


def _seen() -> dict[str, list[object]]:
    try:
        found = json.loads((cache_folder() / SEEN).read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _remember(seen: dict[str, list[object]]) -> None:
    """Without a cache folder to write to, files are simply hashed again next time."""
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        draft = cache_folder() / f".{SEEN}.{os.getpid()}"
        draft.write_text(json.dumps(seen), encoding="utf-8")
        os.replace(draft, cache_folder() / SEEN)
    except OSError:
        return
