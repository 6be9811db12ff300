"""Known data sets, and the places where they are looked for.

A set is a file in ``data/sets/`` with a literal ``SET = DataSet(...)``, read from the syntax tree, and a
function ``read``. Its files are looked for, in order, in

1. ``<folder>/<set>`` of every folder that the environment variable FATHOM_DATA lists,
2. the package itself (MNIST is there),
3. the user's cache, where downloads go,
4. the original public address, when it serves the very same bytes.

Every file is checked against its SHA-256 before it is used: once for each path, size and time of change,
as remembered in ``verified.json`` of the cache, and again whenever ``verify`` is called. A file that
differs is an error that names it; it is never passed over in silence. Nothing here imports torch.
"""

import ast
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fathom.data.download import download
from fathom.errors import InputError, unknown

HERE = Path(__file__).parent
EMBEDDED = HERE / "embedded"
VARIABLE = "FATHOM_DATA"


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Facts about a known data set; all values are literals."""

    name: str  # the name of its file and of its folder
    title: str
    tasks: tuple[str, ...]
    licence: str
    redistributable: bool  # may it be passed on under its licence?
    citation: str
    home: str  # the page of its authors
    files: dict[str, tuple[str, int]]  # path in the folder -> SHA-256, bytes
    address: tuple[str, ...] = ()  # addresses of the very files; "{file}" stands for the path
    counts: dict[str, Any] = field(default_factory=dict)
    notes: str = ""

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(size for _, size in self.files.values())

    @property
    def digest(self) -> str:
        """One SHA-256 for the whole set: of its sorted file names and their hashes."""
        listed = "".join(f"{name} {self.files[name][0]}\n" for name in sorted(self.files))
        return hashlib.sha256(listed.encode()).hexdigest()


@cache
def known() -> dict[str, DataSet]:
    """Every known set by name. Imports none of their files."""
    found: dict[str, DataSet] = {}
    for file in sorted((HERE / "sets").glob("*.py")):
        facts = read_facts(file)
        if facts is None:
            continue
        if facts.name != file.stem:
            raise ValueError(f"{file}: SET is named {facts.name!r}; it must bear the name of its file")
        found[facts.name] = facts
    return found


def read_facts(file: Path) -> DataSet | None:
    """The literal ``SET = DataSet(...)`` at the top level of ``file``, or None."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SET":
            if not isinstance(node.value, ast.Call):
                raise ValueError(f"{file}: SET is not a literal DataSet(...)")
            return DataSet(**{str(k.arg): ast.literal_eval(k.value) for k in node.value.keywords})
    return None


def named(name: str) -> DataSet:
    """The set ``name``; an unknown name raises ``InputError`` with the nearest ones."""
    if name not in known():
        raise unknown("data set", name, known())
    return known()[name]


def cache_folder() -> Path:
    """Where downloads and the memory of checked files are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("fathom")) / "data"


def folders() -> list[Path]:
    """The folders that are looked in, in order; each may hold a folder for every set."""
    listed = [Path(p).expanduser() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p.strip()]
    return [*listed, EMBEDDED, cache_folder()]


def candidates(wanted: DataSet) -> list[Path]:
    """The folders that may hold the set, in the order in which they are tried."""
    return [folder / wanted.name for folder in folders()]


def locate(chosen: str | DataSet) -> Path | None:
    """The first folder that holds every file of the set in its right size, or None. Reads no contents."""
    wanted = named(chosen) if isinstance(chosen, str) else chosen
    for place in candidates(wanted):
        if all(size_of(place / name) == size for name, (_, size) in wanted.files.items()):
            return place
    return None


def find(chosen: str | DataSet, *, fetch: bool = True) -> Path:
    """The folder of a set whose files are all there and have the right SHA-256.

    The first place that holds all files counts, even when one of them is damaged: then ``InputError``
    names that file. Where the set is in no folder and has an address that serves the same bytes, it is
    downloaded into the user's cache, unless ``fetch`` is False. ``InputError`` names every place tried.
    """
    wanted = named(chosen) if isinstance(chosen, str) else chosen
    tried: list[str] = []
    for folder in folders():
        place = folder / wanted.name
        absent = [name for name in wanted.files if size_of(place / name) is None]
        if not absent:
            check(wanted, place)
            return place
        tried.append(explain(folder, wanted, absent))
    served = [address for address in wanted.address if "{file}" in address]
    if served and fetch:
        place = cache_folder() / wanted.name
        for address in served:
            try:
                obtain(wanted, address, place)
                return place
            except InputError as error:
                tried.append(str(error))
    lines = "".join(f"\n  {line}" for line in tried)
    raise InputError(
        f"the data set {wanted.name!r} is in none of the places looked at:{lines}\n{way_in(wanted)}"
    )


def verify(chosen: str | DataSet) -> Path:
    """Hash every file of a set anew and return its folder; ``InputError`` names a file that differs."""
    wanted = named(chosen) if isinstance(chosen, str) else chosen
    place = find(wanted, fetch=False)
    check(wanted, place, remember=False)
    return place


def explain(folder: Path, wanted: DataSet, absent: list[str]) -> str:
    """What is there instead of a set, in one line."""
    place = folder / wanted.name
    if place.is_dir():
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        return f"{place}: the file {absent[0]}{more} is missing"
    if folder.is_dir():
        return f"{place}: there is no such folder"
    near = next(parent for parent in folder.absolute().parents if parent.exists())
    return f"{place}: there is no folder {folder} (the nearest that exists is {near})"


def way_in(wanted: DataSet) -> str:
    """What a person can do to get a set."""
    names = list(wanted.files)
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    if any("{file}" in address for address in wanted.address):
        how = "go online and try again, or bring the files from another machine"
    else:
        how = f"its files are prepared from {wanted.home} and cannot be downloaded as they are: bring them"
    return f"{how}: put {listed} into <folder>/{wanted.name} and set {VARIABLE}=<folder>"


def obtain(wanted: DataSet, address: str, place: Path) -> None:
    """Download what is missing of a set into ``place``; files that are right stay as they are."""
    with alone(place):
        for name, (digest, size) in wanted.files.items():
            target = place / name
            if size_of(target) == size and hash_of(target) == digest:
                continue
            download(address.replace("{file}", name), target, sha256=digest, size=size)
    check(wanted, place)


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """One process at a time works on ``place``, on systems that have file locks."""
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{place} cannot be made: {error.strerror}; set {VARIABLE} to a folder of yours"
        ) from error
    try:
        import fcntl
    except ImportError:  # Windows: two downloads at once waste work but do no harm, for files are hashed
        yield
        return
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def check(wanted: DataSet, place: Path, *, remember: bool = True) -> None:
    """Compare the files of a set with their SHA-256; with ``remember`` only those not seen before."""
    seen = remembered() if remember else {}
    new: dict[str, list[Any]] = {}
    for name, (digest, size) in wanted.files.items():
        file = place / name
        state = file.stat()
        stamp = [state.st_size, state.st_mtime_ns, digest]
        if seen.get(str(file.absolute())) == stamp:
            continue
        if state.st_size != size or hash_of(file) != digest:
            raise InputError(
                f"{file} is not the file that {wanted.name} is made of: it has {state.st_size:,} bytes and"
                f" another SHA-256 than {digest} ({size:,} bytes); delete it or put the original there"
            )
        new[str(file.absolute())] = stamp
    if new:
        remember_also(new)


def remembered() -> dict[str, list[Any]]:
    """Files known to be right: path -> size, time of change in ns, SHA-256. Empty when it cannot be read."""
    try:
        found = json.loads((cache_folder() / "verified.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {path: stamp for path, stamp in found.items() if isinstance(stamp, list)}


def remember_also(new: dict[str, list[Any]]) -> None:
    """Add to the memory of right files. Where it cannot be written, files are hashed again next time."""
    kept = {path: stamp for path, stamp in remembered().items() if Path(path).is_file()}
    with contextlib.suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cache_folder(), delete=False, encoding="utf-8") as file:
            json.dump(kept | new, file, indent=1)
        os.replace(file.name, cache_folder() / "verified.json")


def hash_of(file: Path) -> str:
    """SHA-256 of a file's contents."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def size_of(file: Path) -> int | None:
    """Bytes of a regular file; None when there is none."""
    try:
        return file.stat().st_size if file.is_file() else None
    except OSError:
        return None
