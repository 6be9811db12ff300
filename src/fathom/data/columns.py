"""From a table's cells to numbers: what the operation ``table`` needs to know about each column.

``fit`` reads the cells of TRAINING rows and returns one literal description for each column: mean, scale,
fill and logarithm of a numeric one, the known values of a category. ``encode_rows`` applies them to any
rows. It goes through ``deployment.preprocessing.encode``, the code that reads a request, so a row has the
same features in the trainer, in a file and at the server.

Nothing here ever sees validation or test rows: the caller passes the training rows and no others.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fathom.deployment.preprocessing import MISSING, encode
from fathom.errors import InputError

Cells = Mapping[str, Sequence[Any]]  # column name -> one cell a row: text, number or None
Column = dict[str, Any]  # one entry of the ``columns`` of the operation ``table``

SKEWED = 1.0  # a numeric column more skewed than this is tried on a logarithmic scale
RAREST = 2  # a category seen in fewer training rows than this counts as "other"


def missing(cell: Any) -> bool:
    """Does ``cell`` hold no value?"""
    return cell is None or str(cell).strip() in MISSING or (isinstance(cell, float) and math.isnan(cell))


def fit(cells: Cells, kinds: Mapping[str, str], *, most: int = 64, rarest: int = RAREST) -> list[Column]:
    """Describe the columns named in ``kinds`` ("numeric" or "category"), from training rows alone.

    A column that is the same in every row says nothing and is left out. Of a category the ``most``
    frequent values seen at least ``rarest`` times are kept; the rest share the feature "other".
    Raises ``InputError`` when no column is left, or a numeric cell holds no number.
    """
    columns: list[Column] = []
    for name, kind in kinds.items():
        if kind not in ("numeric", "category"):
            raise InputError(f"column {name!r} is of kind {kind!r}; allowed: 'numeric', 'category'")
        column = (
            numeric(name, cells[name]) if kind == "numeric" else category(name, cells[name], most, rarest)
        )
        if column is not None:
            columns.append(column)
    if not columns:
        raise InputError(f"no column tells rows apart: {', '.join(kinds) or 'there are none'}; give others")
    return columns


def numeric(name: str, cells: Sequence[Any]) -> Column | None:
    """Mean and standard deviation of a column, after a logarithm where that makes it less skewed.

    Missing cells count as the median; where training rows have some, a second feature says so.
    None when the column is constant.
    """
    known = np.asarray([number(name, c) for c in cells if not missing(c)], dtype=np.float64)
    if not known.size:
        return None
    fill, gone = float(np.median(known)), len(known) < len(cells)
    curved = np.sign(known) * np.log1p(np.abs(known))
    log = abs(skewness(known)) > SKEWED and abs(skewness(curved)) < abs(skewness(known))
    filled = np.full(len(cells), fill)
    filled[[not missing(c) for c in cells]] = known
    if log:
        filled = np.sign(filled) * np.log1p(np.abs(filled))
    scale = float(filled.std())
    if not scale > 1e-12 * max(1.0, float(np.abs(filled).max())):
        if not gone:
            return None
        scale = 1.0
    return {
        "name": name, "kind": "numeric", "mean": float(filled.mean()), "scale": scale,
        "fill": fill, "flag": gone, "log": bool(log),
    }  # fmt: skip


def number(name: str, cell: Any) -> float:
    """The finite number a cell holds."""
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"column {name!r} takes finite numbers, not {cell!r}; correct the cell or leave it empty"
        )
    return value


def skewness(values: np.ndarray) -> float:
    """Third standardised moment; 0 for a constant."""
    centred = values - values.mean()
    deviation = centred.std()
    return float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0


def category(name: str, cells: Sequence[Any], most: int, rarest: int) -> Column | None:
    """The values of a category, the most frequent first; a missing cell is a value of its own, "".

    None when every row has the same value, or no value occurs twice.
    """
    counts = Counter("" if missing(c) else str(c).strip() for c in cells)
    if len(counts) < 2:
        return None
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    values = [value for value, count in ordered[:most] if count >= rarest]
    return {"name": name, "kind": "category", "values": values} if values else None


def feature_names(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """One name for each feature that ``columns`` make, in order."""
    names: list[str] = []
    for column in columns:
        if column["kind"] == "category":
            names += [f"{column['name']} = {v or 'missing'}" for v in column["values"]]
            names.append(f"{column['name']} = other")
        else:
            names += [column["name"]] + ([f"{column['name']} missing"] if column.get("flag") else [])
    return names


def groups(columns: Sequence[Mapping[str, Any]]) -> list[slice]:
    """The features that belong to each column, as slices of a row."""
    found, first = [], 0
    for column in columns:
        width = len(feature_names([column]))
        found.append(slice(first, first + width))
        first += width
    return found


def encode_rows(columns: Sequence[Mapping[str, Any]], cells: Cells) -> np.ndarray:
    """Rows as float32 (rows, features), equal to the operation ``table`` on each row.

    Equal cells are encoded once. Raises ``InputError`` for a column that is absent or a bad cell.
    """
    absent = [c["name"] for c in columns if c["name"] not in cells]
    if absent:
        raise InputError(
            f"columns are missing: {', '.join(absent[:10])}; the data has: {', '.join(list(cells)[:40])}"
        )
    parts = []
    for column in columns:
        distinct: dict[Any, int] = {}
        place = [distinct.setdefault(cell, len(distinct)) for cell in cells[column["name"]]]
        table = np.asarray([encode(column, cell) for cell in distinct], dtype=np.float32)
        parts.append(table[place] if place else np.zeros((0, len(feature_names([column]))), np.float32))
    return np.concatenate(parts, axis=1)


def decode(
    columns: Sequence[Mapping[str, Any]],
    features: np.ndarray,
    order: Sequence[str] = (),
) -> dict[str, Any]:
    """An encoded row (features,) as readable cells: first those named in ``order``, then the others."""
    cells: dict[str, Any] = {}
    for column, place in zip(columns, groups(columns), strict=True):
        own = features[place]
        if column["kind"] == "category":
            values = [*(v or "missing" for v in column["values"]), "other"]
            cells[column["name"]] = values[int(own.argmax())]
        elif column.get("flag") and own[1] > 0.5:
            cells[column["name"]] = "missing"
        else:
            value = float(own[0]) * column["scale"] + column["mean"]
            if column.get("log"):
                value = math.copysign(math.expm1(abs(value)), value)
            cells[column["name"]] = float(f"{value:.6g}")
    return {name: cells[name] for name in (*order, *(c for c in cells if c not in order))}


def examples(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a request has them: a usual one, one where all is missing, an unusual one."""
    usual, strange = {}, {}
    for column in columns:
        if column["kind"] == "category":
            usual[column["name"]] = next((v for v in column["values"] if v), None)
            strange[column["name"]] = "never seen before"
        else:
            usual[column["name"]] = column["fill"]
            far = column["mean"] + 3 * column["scale"]
            strange[column["name"]] = math.copysign(math.expm1(abs(far)), far) if column.get("log") else far
    return [usual, {c["name"]: None for c in columns}, strange]


def is_number(cell: Any) -> bool:
    """Does ``cell`` hold a finite number?"""
    try:
        return math.isfinite(float(cell))
    except (TypeError, ValueError):
        return False
