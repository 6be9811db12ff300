"""Tables: CSV and TSV of any usual delimiter and encoding, and Parquet; what each column holds.

Every row keeps the line it came from, so that what is wrong can be named by path and line. How cells are
understood, without guessing more than that:

missing      empty, or one of NA, N/A, NaN, nan, NULL, null, None, ?; in a column that is known to hold texts
             these are texts like others
numeric      every other cell is a finite number. Thousands separators ("1,234") count only when all cells
             read as numbers with them, decimal commas ("0,5") only when all do and the delimiter is no comma.
             "007" is a name: a number does not begin with a zero that says nothing
date         every cell is a date, perhaps with a time
identifier   different in (nearly) every row and named like one, or single words with digits in them
text         sentences, or words that are different in most rows
category     everything else
"""

import csv
import io
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fathom.errors import InputError, missing_extra

MISSING = frozenset(("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?"))
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NAME = re.compile(r"[+-]?0\d+", re.ASCII)  # digits that are no number
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d+(,\d+)?", re.ASCII)
DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2})?.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}", re.ASCII
)
IDENTIFIER = re.compile(r"(.*[_ .-])?(id|pid|uuid|guid|index|idx|order|no|nr)|unnamed", re.IGNORECASE)
SIGNS = (",", ";", "\t", "|")
LARGEST = 2 * 2**30  # bytes
SAMPLE = 4 * 2**20  # bytes of a file of which only the first rows are wanted
CATEGORIES = 50  # more different words than this, and mostly different ones, are text


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


def read(
    path: Path, *, skip_bad: bool = False, limit: int | None = None, texts: Collection[str] = ()
) -> Table:
    """The table in ``path``; of the first ``limit`` rows if that is given.

    Columns named in ``texts`` hold texts: their cells stay as they were written, without space around them.
    A row that cannot be read raises ``InputError`` with its line, or is left out and noted with
    ``skip_bad``. So does a file that is no table, has two columns of one name, or no header.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give a CSV, TSV or Parquet table")
    if path.suffix.lower() == ".parquet":
        return parquet(path, limit, texts)
    whole = limit is None or path.stat().st_size <= SAMPLE
    text = decode(path, None if whole else SAMPLE)
    sign = delimiter_of(text, "\t" if path.suffix.lower() == ".tsv" else ",")
    return build(path, *parse(path, text, sign, skip_bad, limit, whole), comma=sign != ",", texts=texts)


def build(
    path: Path,
    columns: dict[str, list[Any]],
    lines: Sequence[int],
    bad: Sequence[str],
    *,
    comma: bool = False,
    texts: Collection[str] = (),
) -> Table:
    """Normalise cells and say what each column holds; with ``comma``, "0,5" may be a number.

    Nothing is made of the cells of ``texts``, whatever the column looks like.
    """
    if not columns or not lines:
        left = f" ({len(bad)} were left out: {bad[0]})" if bad else ""
        raise InputError(f"{path} holds no rows{left}; a table needs a header and rows below it")
    cleaned: dict[str, list[Any]] = {}
    kinds: dict[str, str] = {}
    for name, cells in columns.items():
        if name in texts:
            kinds[name] = "text"
            cleaned[name] = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
            continue
        cells = [clean(cell) for cell in cells]
        kinds[name], style = understood(name, cells, comma)
        cleaned[name] = [number(cell, style) for cell in cells] if kinds[name] == "numeric" else cells
    return Table(path, cleaned, tuple(lines), tuple(bad), kinds)


def decode(path: Path, most: int | None = None) -> str:
    """The text of a file in UTF-8 (with or without mark), UTF-16 with mark, or Windows-1252.

    With ``most`` only whole lines among the first so many bytes. ``InputError`` for what is no text.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes; files up to {LARGEST:,} are read")
        with path.open("rb") as stream:
            data = stream.read() if most is None else stream.read(most)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if most is not None and len(data) == most:
        data = data[: len(data) // 2 * 2] if wide else data[: data.rfind(b"\n") + 1]
    if not wide and b"\0" in data:
        raise InputError(f"{path} is no text: it holds zero bytes; a table is CSV, TSV or Parquet")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig", "ignore" if wide and most else "strict")
    except UnicodeDecodeError as error:
        if wide:
            raise InputError(f"{path} is marked as UTF-16 but is none: see byte {error.start:,}") from error
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 or Windows-1252: see byte {error.start:,}") from error


def delimiter_of(text: str, usual: str = ",") -> str:
    """The sign that divides the header, and the most rows into just as many cells; ``usual`` wins a tie."""
    best, most = usual, (0.0, 1, False)
    for sign in SIGNS:
        reader = csv.reader(io.StringIO(text[: 2**16], newline=""), delimiter=sign)
        widths: list[int] = []
        try:
            while len(widths) < 50:
                row = next(reader)
                if len(row) > 1 or (row and row[0].strip()):
                    widths.append(len(row))
        except (StopIteration, csv.Error):
            pass
        if len(text) > 2**16 and len(widths) > 1:
            widths.pop()  # it may have been cut
        if widths and widths[0] > 1:
            found = (widths.count(widths[0]) / len(widths), widths[0], sign == usual)
            best, most = (sign, found) if found > most else (best, most)
    return best


def parse(
    path: Path, text: str, sign: str, skip_bad: bool, limit: int | None, whole: bool
) -> tuple[dict[str, list[Any]], list[int], list[str]]:
    """Columns, line numbers and the rows left out. A ``text`` that is not ``whole`` may end anywhere."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
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
            if "unexpected end" in str(error):
                if not whole:
                    break
                raise InputError(
                    f"{path}, line {line}: a quote is opened and never closed; mend it"
                ) from None
            complain(f"{path}, line {line}: {error}", skip_bad and header is not None, bad)
            continue
        if not row or (len(row) == 1 and not row[0].strip() and header != row and len(header or row) > 1):
            continue  # an empty line; in a table of one column an empty cell is quoted
        if header is None:
            header = check_header(path, line, row)
        elif len(row) != len(header):
            count = f"{len(row)} {'cell' if len(row) == 1 else 'cells'} under {len(header)} columns"
            complain(f"{path}, line {line}: {count}", skip_bad, bad)
        else:
            rows.append(row)
            lines.append(line)
    return {n: [row[i] for row in rows] for i, n in enumerate(header or [])}, lines, bad


def check_header(path: Path, line: int, row: list[str]) -> list[str]:
    """Names of columns: all different, not only numbers. The first may lack one, as pandas writes it."""
    names = [cell.strip() for cell in row]
    if all(NUMBER.fullmatch(name) for name in names):
        raise InputError(
            f"{path}, line {line}: a table begins with the names of its columns, not with numbers"
            f" ({', '.join(names[:3])}); add a line of names"
        )
    names = ["unnamed" if i == 0 and not name and len(names) > 1 else name for i, name in enumerate(names)]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice or "" in names:
        what = f"two columns named {twice[0]!r}" if twice and twice[0] else "a column without a name"
        raise InputError(f"{path}, line {line}: the header has {what}; give every column its own name")
    return names


def complain(reason: str, skip_bad: bool, bad: list[str]) -> None:
    """Note why a row is left out, or refuse it."""
    if not skip_bad:
        raise InputError(f"{reason}; mend it, or leave such rows out with --skip-bad")
    bad.append(reason)


def parquet(path: Path, limit: int | None, texts: Collection[str] = ()) -> Table:
    """A Parquet file; its columns hold text, numbers, true/false or dates, no lists and no bytes."""
    try:
        import pyarrow
        import pyarrow.parquet as reader
    except ImportError:
        raise missing_extra("tabular", "pyarrow") from None
    try:
        stored = reader.read_table(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error
    kind_of = pyarrow.types
    for entry in stored.schema:
        if (
            kind_of.is_nested(entry.type)
            or kind_of.is_binary(entry.type)
            or kind_of.is_large_binary(entry.type)
        ):
            raise InputError(f"{path}: column {entry.name!r} holds {entry.type}; leave it out of the table")
    if len(set(stored.column_names)) < len(stored.column_names):
        raise InputError(f"{path} has two columns of the same name; give every column its own")
    stored = stored if limit is None else stored.slice(0, limit)
    columns = {name: stored.column(name).to_pylist() for name in stored.column_names}
    return build(path, columns, range(1, stored.num_rows + 1), (), texts=texts)


def clean(cell: Any) -> Any:
    """Text without space around it, None for what is missing, everything else as it is."""
    if cell is None or (isinstance(cell, float) and cell != cell):
        return None
    if isinstance(cell, str):
        cell = cell.strip()
        return None if cell in MISSING else cell
    return cell if isinstance(cell, bool | int | float) else str(cell)


def is_number(cell: Any) -> bool:
    """Is ``cell`` a finite number, or text that can only be read as one?"""
    if isinstance(cell, bool):
        return False
    if isinstance(cell, str) and (not NUMBER.fullmatch(cell) or NAME.fullmatch(cell)):
        return False
    try:
        return math.isfinite(float(cell))
    except OverflowError:
        return False


def number(cell: Any, style: str = "plain") -> int | float | None:
    """The number in a cell. A whole one stays an int, so that 20 is written "20" wherever it is a name."""
    if not isinstance(cell, str):
        return cell
    text = {"plain": cell, "thousands": cell.replace(",", ""), "comma": cell.replace(",", ".")}[style]
    return int(text) if text.lstrip("+-").isdecimal() and len(text) < 18 else float(text)


def kind(name: str, cells: Sequence[Any]) -> str:
    """What a column holds, by its name and cleaned cells: one of the kinds above, or "empty"."""
    return understood(name, cells, False)[0]


def understood(name: str, cells: Sequence[Any], comma: bool) -> tuple[str, str]:
    """The kind of a column, and how its numbers are written: plain, thousands or comma."""
    known = [cell for cell in cells if cell is not None]
    if not known:
        return "empty", "plain"
    words = [str(cell) for cell in known]
    different = len(set(words))
    unique = different > 0.95 * len(known) and len(known) > 20
    style = style_of(known, words, comma)
    if style is not None:
        whole = all(isinstance(number(cell, style), int) for cell in known)
        return ("identifier" if unique and whole and IDENTIFIER.fullmatch(name) else "numeric"), style
    if all(DATE.fullmatch(w) for w in words):
        return "date", "plain"
    if sum(map(is_number, known)) >= 0.9 * len(known):
        return "category", "plain"  # numbers with a slip or a remark among them: neither text nor names
    length = sum(len(w.split()) for w in words) / len(words)
    if length >= 4:
        return "text", "plain"
    if unique and length < 1.5 and (IDENTIFIER.fullmatch(name) or all(re.search(r"\d", w) for w in words)):
        return "identifier", "plain"
    mostly = different > CATEGORIES and different > 0.5 * len(known)
    return ("text" if mostly else "category"), "plain"


def style_of(known: Sequence[Any], words: Sequence[str], comma: bool) -> str | None:
    """How the numbers of a column are written, None when it holds other things too."""
    if all(is_number(cell) for cell in known):
        return "plain"
    if not all(isinstance(cell, str) for cell in known) or any(NAME.fullmatch(w) for w in words):
        return None
    if all(THOUSANDS.fullmatch(w) or is_number(w) for w in words):
        return "thousands"
    return "comma" if comma and all(COMMA.fullmatch(w) for w in words) else None
