"""Pictures in folders: a folder for each class, also below train, valid and test folders.

Classes are matched by name in every split, never by their position. Folders and files whose names begin
with a dot or with "__" are what systems leave behind, and are passed over. A lone folder round all others, as
archives unpack to, is looked through. Where the outer folders hold nothing but folders of pictures, these are
the classes, "animals/cat"; but not where inner names come again in other outer folders: those are days or
cameras, and all below an outer folder is one class.
"""

import difflib
import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fathom.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class ImageFolder:
    """Files, the number of the class of each, and which split each belongs to ("all" without splits)."""

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    bad: tuple[str, ...] = ()  # pictures that were left out, each with its path and the reason
    notes: tuple[str, ...] = ()  # what is unusual but no error

    def counts(self) -> dict[str, int]:
        """Pictures of each class."""
        found = Counter(self.labels)
        return {name: found[i] for i, name in enumerate(self.classes)}


def hidden(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not hidden(p))


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not hidden(path) and path.is_file()


def pictures(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if is_picture(p))


def any_picture(path: Path) -> bool:
    return any(is_picture(p) for p in path.rglob("*"))


def unwrapped(path: Path) -> Path:
    """``path``, or the lone folder inside it that holds all class or split folders."""
    inside = folders(path)
    if len(inside) != 1 or inside[0].name.lower() in SPLITS:
        return path
    loose = any(is_picture(p) for folder in (path, inside[0]) for p in folder.iterdir())
    if loose or not any(map(any_picture, folders(inside[0]))):  # a class, or nothing
        return path
    return unwrapped(inside[0])


def nested(path: Path) -> bool:
    """Whether the classes of ``path`` are the folders inside its folders: see the head of this file."""
    outer = [folder for folder in folders(path) if any_picture(folder)]
    if any(is_picture(p) for folder in outer for p in folder.iterdir()):
        return False
    inner = [[leaf.name for leaf in folders(folder) if any_picture(leaf)] for folder in outer]
    names = [name for found in inner for name in found]
    return len(names) > len(outer) > 1 and len(set(names)) == len(names)


def class_folders(path: Path, inside: bool) -> dict[str, list[Path]]:
    """Class -> its folders in ``path``, or with ``inside`` in the folders of ``path``.

    Names are composed (NFC): archives made on a Mac write an umlaut as a letter and a dot beside it.
    """
    found: dict[str, list[Path]] = {}
    places = [leaf for folder in folders(path) for leaf in (folders(folder) if inside else [folder])]
    for place in places:
        name = unicodedata.normalize("NFC", place.relative_to(path).as_posix())
        found.setdefault(name, []).append(place)
    return found


def pictures_of(places: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Class -> its pictures."""
    return {name: [file for folder in found for file in pictures(folder)] for name, found in places.items()}


def split_folders(path: Path) -> dict[str, Path]:
    """Split -> folder, where ``path`` holds nothing but split folders. Two for one split are refused."""
    found = folders(path)
    if not found or not all(f.name.lower() in SPLITS for f in found) or not any(map(folders, found)):
        return {}
    splits: dict[str, Path] = {}
    for folder in found:
        name = SPLITS[folder.name.lower()]
        if name in splits:
            raise InputError(
                f"{path} has two folders for the split {name!r}: {splits[name].name} and {folder.name};"
                " join them"
            )
        splits[name] = folder
    return {name: splits[name] for name in ("train", "valid", "test") if name in splits}


def glance(path: Path) -> tuple[str, ...] | None:
    """What the folder looks like, in sentences; None when it is no folder of class folders with pictures."""
    if not path.is_dir():
        return None
    inner = unwrapped(path)
    splits = split_folders(inner) or {"all": inner}
    inside = nested(next(iter(splits.values())))
    found = [pair for folder in splits.values() for pair in class_folders(folder, inside).items()]
    classes = sorted({name for name, places in found if any(map(any_picture, places))})
    if not classes:
        return None
    shown = ", ".join(classes[:8]) + (" ..." if len(classes) > 8 else "")
    saw = [f"{inner} holds pictures in folders: {len(classes)} classes ({shown})"]
    if inside:
        saw.append("classes are the inner folders; if they are the outer ones, move their pictures up")
    if "all" not in splits:
        saw.append(f"with its own splits: {', '.join(splits)}")
    return tuple(saw)


def scan(path: Path, *, check: bool = False, skip_bad: bool = False) -> ImageFolder:
    """Every picture with its class and split. ``InputError`` says what was looked for, and what was found.

    With ``check`` each picture is decoded: one that cannot be is refused by name, or with ``skip_bad``
    left out and listed in ``bad``. A class that only valid or test has is refused; one they lack is noted.
    """
    if not path.is_dir():
        raise InputError(f"{path} is no folder; pictures to learn from stand in a folder for each class")
    path = unwrapped(path)
    splits = split_folders(path) or {"all": path}
    first = "train" if "train" in splits else "all"
    if first not in splits:
        raise InputError(f"{path} has {' and '.join(splits)}, but no folder train to learn from")
    inside = nested(splits[first])
    named = {s: pictures_of(class_folders(folder, inside)) for s, folder in splits.items()}
    classes = ordered([name for name, files in named[first].items() if files])
    refuse_few(path, splits[first], classes)
    notes = unusual(path, splits, first, named, classes)
    rows = [(f, i, s) for s in named for i, c in enumerate(classes) for f in named[s].get(c, [])]
    found = ImageFolder(
        path,
        tuple(r[0] for r in rows),
        tuple(r[1] for r in rows),
        tuple(r[2] for r in rows),
        tuple(classes),
        notes=tuple(notes),
    )
    return checked(found, skip_bad) if check else found


def ordered(names: list[str]) -> list[str]:
    """Names of classes in their order: by value where all are whole numbers, otherwise by letters."""
    return sorted(names, key=int) if all(n.isascii() and n.isdigit() for n in names) else sorted(names)


def refuse_few(path: Path, place: Path, classes: list[str]) -> None:
    """No class, or only one, is nothing to learn from."""
    if not classes:
        loose = len(pictures(path))
        raise InputError(
            f"{path}: looked for folders of pictures ({', '.join(ENDINGS)}), one for each class; found"
            f" {loose} pictures outside of such folders"
        )
    if len(classes) == 1:
        raise InputError(
            f"{place} has one class, {classes[0]!r}: there is nothing to tell apart; add another folder"
        )


def unusual(
    path: Path,
    splits: dict[str, Path],
    first: str,
    named: dict[str, dict[str, list[Path]]],
    classes: list[str],
) -> list[str]:
    """Sentences on what is missing or left aside. ``InputError`` for classes that cannot be meant so."""
    lower = Counter(name.lower() for name in classes)
    alike = [name for name in classes if lower[name.lower()] > 1]
    if alike:
        raise InputError(
            f"{splits[first]} has the classes {' and '.join(alike)}, alike but for case; join them"
        )
    notes: list[str] = []
    for split, found in named.items():
        full = [name for name, files in found.items() if files]
        strange = sorted(set(full) - set(classes))
        if strange:
            near = difflib.get_close_matches(strange[0], classes, n=1, cutoff=0.6)
            hint = f"; is it {near[0]!r}?" if near else f"; it has: {', '.join(classes[:10])}"
            raise InputError(
                f"{splits[split]} has the class {strange[0]!r}, which {splits[first]} does not have{hint}"
            )
        absent = [name for name in classes if name not in full]
        if absent:
            notes.append(f"{splits[split]} has no picture of: {', '.join(absent[:10])}")
        empty = sorted(set(found) - set(full) - set(classes))
        if empty:
            notes.append(f"folders without pictures are passed over: {', '.join(empty[:10])}")
    return [*notes, *left_aside(path, named)]


def left_aside(path: Path, named: dict[str, dict[str, list[Path]]]) -> list[str]:
    """Sentences on files that belong to no class."""
    notes: list[str] = []
    counted = sum(len(files) for found in named.values() for files in found.values())
    loose = len(pictures(path)) - counted
    if loose:
        notes.append(f"{loose} pictures stand outside of class folders and are passed over")
    other = Counter(
        p.suffix.lower() or "without ending" for p in path.rglob("*") if p.is_file() and not hidden(p)
    )
    rest = {ending: n for ending, n in other.items() if ending not in ENDINGS}
    if rest:
        told = ", ".join(f"{n} {e}" for e, n in sorted(rest.items())[:6])
        notes.append(f"files that are no pictures are passed over: {told}")
    return notes


def checked(found: ImageFolder, skip_bad: bool) -> ImageFolder:
    """``found`` without the pictures that cannot be decoded."""

    def wrong(path: Path) -> str | None:
        try:
            decode(path, 3)
        except InputError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(wrong, found.paths))
    bad = [reason for reason in reasons if reason]
    if not bad:
        return found
    if not skip_bad:
        raise InputError(f"{bad[0]} ({len(bad)} of {len(reasons)} in all); leave such out with --skip-bad")
    kept = [i for i, reason in enumerate(reasons) if not reason]
    gone = [c for i, c in enumerate(found.classes) if all(found.labels[k] != i for k in kept)]
    if gone:
        raise InputError(f"{found.root}: no picture of {gone[0]!r} can be read; {bad[0]}")
    paths, labels, splits = (tuple(v[i] for i in kept) for v in (found.paths, found.labels, found.splits))
    return replace(found, paths=paths, labels=labels, splits=splits, bad=tuple(bad))


def decode(item: Path | bytes, channels: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """A picture as uint8 (channels, height, width), decoded by the very code that the server runs.

    ``channels`` is 1 (grey) or 3 (colour), ``size`` the wanted (height, width). Turned as EXIF says; of an
    animation the first frame. ``InputError`` names the file and why it cannot be read: damaged, not one
    of the known formats, more than 40 million pixels.
    """
    from fathom.deployment.pictures import MODES, image

    if channels not in MODES:
        raise InputError(f"channels is {channels}; a picture has 1 (grey) or 3 (colour)")
    height, width = size or (None, None)
    try:
        return image(item, {"channels": channels, "height": height, "width": width})
    except InputError as error:
        raise InputError(f"{item}: {error}" if isinstance(item, Path) else str(error)) from error
