"""Tables: CSV and TSV of any delimiter and usual encoding, and Parquet; what each column holds.

Every row keeps the line it came from, so that what is wrong can be named by path and line.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fathom.errors import InputError, missing_extra

MISSING = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?"))
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2})?.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
LARGEST = 2 * 2**30
CATEGORIES = 50  # more different words than this, and mostly different ones, are text or identifiers


@dataclass(frozen=True)
class Table:
    """Cells by column, None where one is missing; ``lines`` tells where each row stood in the file."""

    path: Path
    columns: dict[str, list[Any]]
    lines: tuple[int, ...]
    bad: tuple[str, ...] = ()  # rows that were left out, each with its place and reason
    kinds: dict[str, str] = field(default_factory=dict)  # numeric, category, text, identifier, date, empty

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self) -> Iterator[dict[str, Any]]:
        names = list(self.columns)
        for values in zip(*self.columns.values(), strict=True):
            yield dict(zip(names, values, strict=True))

    def missing(self, name: str) -> int:
        """How many cells of a column are empty."""
        return sum(value is None for value in self.columns[name])


def read(path: Path, *, skip_bad: bool = False, limit: int | None = None) -> Table:
    """The table in ``path``; at most ``limit`` rows of it. A row that cannot be read raises ``InputError``
    with its line, or is left out and noted with ``skip_bad``.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give a CSV, TSV or Parquet table")
    if path.stat().st_size > LARGEST:
        raise InputError(f"{path} has {path.stat().st_size:,} bytes; tables up to {LARGEST:,} are read")
    if path.suffix.lower() == ".parquet":
        return parquet(path, limit)
    return build(path, *parse(path, decode(path), skip_bad, limit))


def build(path: Path, columns: dict[str, list[Any]], lines: Sequence[int], bad: Sequence[str]) -> Table:
    """Normalise cells and say what each column holds."""
    if not columns or not lines:
        raise InputError(f"{path} holds no rows under its header; a table needs a header and rows below it")
    cleaned: dict[str, list[Any]] = {}
    kinds: dict[str, str] = {}
    for name, cells in columns.items():
        cells = [clean(cell) for cell in cells]
        kinds[name] = kind(name, cells)
        if kinds[name] == "numeric":
            cells = [number(cell) for cell in cells]
        cleaned[name] = cells
    return Table(path, cleaned, tuple(lines), tuple(bad), kinds)


def decode(path: Path) -> str:
    """The text of a file in UTF-8 (with or without mark), UTF-16 with mark, or Windows-1252."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    if b"\0" in data[:4096]:
        raise InputError(f"{path} is no text: it holds zero bytes; a table is CSV, TSV or Parquet")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def delimiter_of(text: str) -> str:
    """The sign that splits the first lines into the same number of parts, more than one."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    best, most = ",", 1
    for sign in (",", ";", "\t", "|"):
        counts = {len(row) for row in csv.reader(lines[:20], delimiter=sign)}
        if len(counts) == 1 and (parts := counts.pop()) > most:
            best, most = sign, parts
    if most == 1 and lines:  # rows of unequal length: the header decides
        best = max((",", ";", "\t", "|"), key=lines[0].count)
    return best


def parse(
    path: Path, text: str, skip_bad: bool, limit: int | None
) -> tuple[dict[str, list[Any]], list[int], list[str]]:
    """Columns, line numbers and the rows left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    lines: list[int] = []
    bad: list[str] = []
    while limit is None or len(rows) < limit:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            complain(f"{path}, line {line}: {error}", skip_bad, bad)
            continue
        if not row or (len(row) == 1 and not row[0].strip()):
            continue
        if header is None:
            header = check_header(path, row)
        elif len(row) != len(header):
            reason = f"{path}, line {line}: {len(row)} cells under {len(header)} columns"
            complain(reason, skip_bad, bad)
        else:
            rows.append(row)
            lines.append(line)
    names = header or []
    return {n: [row[i] for row in rows] for i, n in enumerate(names)}, lines, bad


def check_header(path: Path, row: list[str]) -> list[str]:
    names = [cell.strip() for cell in row]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or "" in names:
        what = f"two columns named {twice[0]!r}" if twice and twice[0] else "a column without a name"
        raise InputError(f"{path}, line 1: the header has {what}; give every column its own name")
    return names


def complain(reason: str, skip_bad: bool, bad: list[str]) -> None:
    if not skip_bad:
        raise InputError(f"{reason}; mend it, or leave such rows out with --skip-bad")
    bad.append(reason)


def parquet(path: Path, limit: int | None) -> Table:
    try:
        import pyarrow.parquet as reader
    except ImportError:
        raise missing_extra("tabular", "pyarrow") from None
    try:
        stored = reader.read_table(path)
    except Exception as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error
    if limit is not None:
        stored = stored.slice(0, limit)
    columns = {name: stored.column(name).to_pylist() for name in stored.column_names}
    return build(path, columns, range(1, stored.num_rows + 1), ())


def clean(cell: Any) -> Any:
    """Text without space around it, None for what is missing, everything else as it is."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(cell, str):
        cell = cell.strip()
        return None if cell in MISSING else cell
    return cell if isinstance(cell, bool | int | float) else str(cell)


def is_number(cell: Any) -> bool:
    if isinstance(cell, bool):
        return False
    return isinstance(cell, int | float) or NUMBER.fullmatch(cell) is not None


def number(cell: Any) -> float | None:
    if cell is None:
        return None
    return float(cell.replace(",", "") if isinstance(cell, str) else cell)


def kind(name: str, cells: Sequence[Any]) -> str:
    """What a column holds, by its cells; thousands separators count only where every number is whole with them."""
    known = [cell for cell in cells if cell is not None]
    if not known:
        return "empty"
    words = [str(cell) for cell in known]
    different = len(set(words))
    mostly_unique = different > 0.95 * len(known) and len(known) > 20
    if all(is_number(cell) for cell in known) or all(THOUSANDS.fullmatch(w) or w.isdigit() for w in words):
        whole = all(float(w.replace(",", "")).is_integer() for w in words)
        if mostly_unique and whole and re.fullmatch(r"(.*[_ ])?(id|pid|index|order|no|nr)", name.lower()):
            return "identifier"
        return "numeric"
    if all(DATE.fullmatch(w) for w in words):
        return "date"
    if sum(len(w.split()) for w in words) / len(words) >= 4:
        return "text"
    if different <= CATEGORIES or different <= 0.5 * len(known):
        return "category"
    return "identifier" if mostly_unique else "category"
