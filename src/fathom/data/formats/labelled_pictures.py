"""Pictures with any number of labels each: a table beside them says what they show. None imports torch.

    file,labels              file,cat,tree              ``file`` may be called anything: it is the column
    a.jpg,cat; tree          a.jpg,1,1                  whose cells name pictures
    b.jpg,                   b.jpg,0,0

A picture is named by its path below the folder of the table, or by its file name, with or without the ending,
where no other has it. Labels stand in one column, with ; or | or a comma between them, or spaces where none
of these occurs; or each label has a column of zeros and ones. The table is the only one in the folder, or
there are train, valid and test ones; a column ``split`` keeps the data's own splits, too.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fathom.data.formats import image_folder
from fathom.data.formats.image_folder import ImageFolder
from fathom.data.sheets import READERS, Sheet, files, open_sheet, sample_sheet
from fathom.errors import InputError, unknown
from fathom.task import Options

USUAL = ("labels", "label", "tags", "classes", "target")  # what the column of labels is often called
SIGNS = (";", "|", ",")  # between labels
PICTURE = re.compile(r"(.*[_ -])?(id|file|name|filename|path|image|img|picture|photo)", re.IGNORECASE)
NAMED = 0.9  # share of a column's cells that name pictures, from which on it is the column of pictures
HALF = 0.5  # of one that is called so, where no class folders say what the pictures show
MOST = 1000  # labels; of more, they are likely to be captions


@dataclass(frozen=True)
class LabelledPictures:
    """Pictures whose class, in ``folder``, is a set of labels; ``sets`` holds their numbers in ``labels``."""

    folder: ImageFolder
    labels: tuple[str, ...]
    sets: tuple[tuple[int, ...], ...]

    def counts(self) -> dict[str, int]:
        """Pictures that show each label."""
        shown = Counter(k for kind in self.folder.labels for k in self.sets[kind])
        return {label: shown[k] for k, label in enumerate(self.labels)}


def glance(path: Path, options: Options) -> tuple[str, ...] | None:
    """What is there, in sentences; None where there is no table that names pictures."""
    place = table_at(path)
    sheet = sample_sheet(place, options) if place is not None else None
    if place is None or sheet is None:
        return None
    least = NAMED if in_classes(root_of(place)) else HALF
    column = picture_column(sheet, index(root_of(place)), least)
    if column is None:
        return None
    return (
        *sheet.saw,
        f"column {column!r} names pictures in {root_of(place)}, the table says what they show",
    )


def table_at(path: Path) -> Path | None:
    """What `open_sheet` opens: ``path``, or the only table in it."""
    if files(path):
        return path
    inside = sorted(path.iterdir()) if path.is_dir() else []
    tables = [p for p in inside if p.suffix.lower() in READERS and not image_folder.hidden(p)]
    return tables[0] if len(tables) == 1 and tables[0].is_file() else None


def root_of(place: Path) -> Path:
    return place if place.is_dir() else place.parent


def index(root: Path) -> dict[str, Path | None]:
    """Every picture below ``root`` by its path, its file name and that without ending; None: several.

    A path names its own picture, whatever others are called.
    """
    paths = {composed(p.relative_to(root).as_posix()): p for p in image_folder.pictures(root)}
    found: dict[str, Path | None] = {}
    for path in paths.values():
        for name in {composed(path.name), composed(path.stem)}:
            found[name] = None if name in found else path
    return found | paths


def composed(name: str) -> str:
    """An umlaut as one sign: files from a Mac have it as a letter and a dot beside it."""
    return unicodedata.normalize("NFC", name)


def cell_text(cell: Any) -> str:
    """A cell as it was written, as far as a name or a label needs it."""
    if cell is None:
        return ""
    return f"{cell:.15g}" if isinstance(cell, float) else composed(str(cell).strip())


def in_classes(root: Path) -> bool:
    """Whether folders say what the pictures below ``root`` show."""
    try:
        return len(image_folder.scan(root).classes) > 1
    except InputError:
        return False


def picture_column(sheet: Sheet, known: dict[str, Path | None], least: float) -> str | None:
    """The column whose cells name pictures, nearly all; of one that is called so, ``least`` of them."""
    shares = named_shares(sheet, known)
    enough = [n for n, share in shares.items() if share >= (least if PICTURE.fullmatch(n) else NAMED)]
    return max(enough, key=shares.__getitem__, default=None)


def named_shares(sheet: Sheet, known: dict[str, Path | None]) -> dict[str, float]:
    """Column -> the share of its cells that name pictures, where there are any."""
    return {
        name: sum(cell_text(cell) in known for cell in cells) / max(1, len(cells))
        for name, cells in sheet.cells.items()  # but 3 may be the rain of a day, and there be a 3.png
        if known and (sheet.kinds[name] != "numeric" or PICTURE.fullmatch(name))
    }


def nearest(sheet: Sheet, known: dict[str, Path | None]) -> str:
    """Which column comes nearest to naming pictures, how near, and the first cell that names none."""
    shares = named_shares(sheet, known)
    best = max(shares, key=lambda name: (shares[name], bool(PICTURE.fullmatch(name))), default=None)
    if best is None:
        return f"its columns are {', '.join(sheet.cells)}"
    names = [cell_text(cell) for cell in sheet.cells[best]]
    gone = next((i for i, name in enumerate(names) if name not in known), None)
    if gone is None:
        return f"column {best!r} is the nearest"
    return (
        f"the nearest is {best!r}, in which {sum(name in known for name in names)} of {len(names)} cells name"
        f" one; the first that does not is {names[gone]!r}, {sheet.place(gone)}"
    )


def unnamed(path: Path) -> str | None:
    """Why the table, or tables, beside pictures do not say what these show; None where there is none."""
    place = table_at(path)
    if place is not None:
        sheet = open_sheet(place, Options(skip_bad=True))
        return f"no column of {place.name} names pictures here: {nearest(sheet, index(root_of(place)))}"
    inside = sorted(path.iterdir()) if path.is_dir() else []
    tables = [p.name for p in inside if p.suffix.lower() in READERS and not image_folder.hidden(p)]
    return f"{len(tables)} tables ({', '.join(tables[:5])}), of which one may name them" if tables else None


def scan(path: Path, options: Options) -> LabelledPictures:
    """Every row of the table with its picture. ``InputError`` says which row is wrong, and why.

    With ``skip_bad`` rows without a picture are left out and counted.
    """
    place = table_at(path)
    if place is None:
        raise InputError(
            f"{path}: looked for one table ({', '.join(READERS)}) that names pictures beside it and says what"
            " they show, in a column labels (cat; tree) or a column of zeros and ones for each label"
        )
    sheet, known = open_sheet(place, options), index(root_of(place))
    column = picture_column(sheet, known, HALF)
    if column is None:
        raise InputError(
            f"{place}: no column names pictures in {root_of(place)}, by path, or by file name where no other"
            f" has it: {nearest(sheet, known)}"
        )
    sheet = with_pictures(sheet, column, known, options.skip_bad)
    shown = said(sheet, label_columns(sheet, column, options))
    labels = image_folder.ordered(list({label for labels in shown for label in labels}))
    if not labels or len(labels) > MOST:
        raise InputError(f"{place} has {len(labels)} labels; there must be 1 to {MOST:,} to find")
    kinds = [tuple(sorted(labels.index(label) for label in row)) for row in shown]
    sets = sorted(set(kinds))
    number = {kind: i for i, kind in enumerate(sets)}
    folder = ImageFolder(
        root_of(place),
        paths=tuple(found for cell in sheet.cells[column] if (found := known[cell_text(cell)]) is not None),
        labels=tuple(number[kind] for kind in kinds),
        splits=sheet.splits or ("all",) * sheet.count,
        classes=tuple("; ".join(labels[k] for k in kind) or "none" for kind in sets),
        bad=sheet.bad,
    )
    return LabelledPictures(folder, tuple(labels), tuple(sets))


def with_pictures(sheet: Sheet, column: str, known: dict[str, Path | None], skip_bad: bool) -> Sheet:
    """The rows whose picture is there; two rows for one picture are refused."""
    names = [cell_text(cell) for cell in sheet.cells[column]]
    gone = [i for i, name in enumerate(names) if known.get(name) is None]
    if gone and not skip_bad:
        name = names[gone[0]]
        why = "several pictures are called so: give the path" if name in known else "there is no such picture"
        raise InputError(
            f"{sheet.place(gone[0])}: {name!r} in column {column!r}: {why} ({len(gone)} such rows in all);"
            " leave such out with --skip-bad"
        )
    kept = sheet.without(gone, "there is no such picture, or several")
    first: dict[Path | None, int] = {}
    for row, cell in enumerate(kept.cells[column]):
        path = known[cell_text(cell)]
        if path in first:
            raise InputError(f"{kept.place(row)}: {path} stands in {kept.place(first[path])} as well")
        first[path] = row
    return kept


def label_columns(sheet: Sheet, column: str, options: Options) -> list[str]:
    """The column of labels, or those of zeros and ones."""
    others = [name for name in sheet.cells if name != column]
    if options.target is not None:
        if options.target not in others:
            raise unknown("column", options.target, others)
        return [options.target]
    usual = [name for name in others if name.lower() in USUAL]
    flags = [name for name in others if {cell_text(c) for c in sheet.cells[name]} <= {"0", "1"}]
    chosen = usual[:1] or flags or (others if len(others) == 1 else [])
    if not chosen:
        raise InputError(
            f"{sheet.path}: which of the columns {', '.join(others) or '(there is but one)'} says what a"
            f" picture shows? Call it labels, or name it with --target"
        )
    return chosen


def said(sheet: Sheet, columns: list[str]) -> list[set[str]]:
    """The labels of each row."""
    cells = {name: [cell_text(cell) for cell in sheet.cells[name]] for name in columns}
    if all(set(column) <= {"0", "1"} for column in cells.values()):
        return [{name for name in columns if cells[name][i] == "1"} for i in range(sheet.count)]
    (joined,) = cells.values()
    sign = next((sign for sign in SIGNS if any(sign in cell for cell in joined)), None)
    return [{label for part in cell.split(sign) if (label := part.strip())} for cell in joined]
