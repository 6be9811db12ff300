"""Pictures in folders: a folder for each class, also below train, valid and test folders.

Classes are matched by name in every split, never by their position.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fathom.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SPLITS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}


@dataclass(frozen=True)
class ImageFolder:
    """Files, the number of the class of each, and which split each belongs to ("all" without splits)."""

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Pictures of each class."""
        found = Counter(self.labels)
        return {name: found[i] for i, name in enumerate(self.classes)}


def folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def pictures(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())


def split_folders(path: Path) -> dict[str, Path]:
    """Split -> folder, where ``path`` holds nothing but split folders."""
    found = folders(path)
    if found and all(f.name.lower() in SPLITS for f in found):
        return {SPLITS[f.name.lower()]: f for f in found}
    return {}


def glance(path: Path) -> tuple[str, ...] | None:
    """What the folder looks like, in sentences; None when it is no folder of class folders with pictures."""
    if not path.is_dir():
        return None
    splits = split_folders(path) or {"all": path}
    classes = sorted({c.name for f in splits.values() for c in folders(f) if any_picture(c)})
    if not classes:
        return None
    shown = ", ".join(classes[:8]) + (" ..." if len(classes) > 8 else "")
    saw = [f"{path} holds pictures in folders: {len(classes)} classes ({shown})"]
    if "all" not in splits:
        saw.append(f"with its own splits: {', '.join(splits)}")
    return tuple(saw)


def any_picture(path: Path) -> bool:
    return any(p.suffix.lower() in ENDINGS for p in path.rglob("*"))


def scan(path: Path) -> ImageFolder:
    """Every picture with its class and split. ``InputError`` says what was looked for, and what was found."""
    if not path.is_dir():
        raise InputError(f"{path} is no folder; pictures to learn from stand in a folder for each class")
    splits = split_folders(path) or {"all": path}
    named = {s: {c.name: pictures(c) for c in folders(f)} for s, f in splits.items()}
    named = {s: {c: files for c, files in found.items() if files} for s, found in named.items()}
    classes = sorted({c for found in named.values() for c in found})
    if not classes:
        loose = len(pictures(path))
        raise InputError(
            f"{path}: looked for folders of pictures ({', '.join(ENDINGS)}), one for each class; found"
            f" {loose} pictures outside of such folders"
        )
    if len(classes) == 1:
        raise InputError(
            f"{path} has one class, {classes[0]!r}: there is nothing to tell apart; add another folder"
        )
    first = next(iter(named))
    for split, found in named.items():
        strange = sorted(set(found) - set(named.get("train", named[first])))
        if strange:
            raise InputError(
                f"{splits[split]} has a class {strange[0]!r} that {splits.get('train', path)} does not have"
            )
    rows = [
        (f, classes.index(c), s) for s, found in named.items() for c, files in found.items() for f in files
    ]
    return ImageFolder(
        path, tuple(r[0] for r in rows), tuple(r[1] for r in rows), tuple(r[2] for r in rows), tuple(classes)
    )
