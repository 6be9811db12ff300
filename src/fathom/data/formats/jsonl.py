"""JSON lines: one object a line, as a table."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fathom.data.formats.table import SAMPLE, Table, build, complain, decode
from fathom.errors import InputError


def read(
    path: Path, *, skip_bad: bool = False, limit: int | None = None, texts: Collection[str] = ()
) -> Table:
    """The objects in ``path`` as rows, the first ``limit`` if given; a key that one lacks is a missing cell.

    A line that is no JSON object raises ``InputError`` with its number, or is left out with ``skip_bad``.
    Lists and objects inside an object become text. Keys named in ``texts`` hold texts, as in `table.read`.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give a .jsonl file with one object a line")
    whole = limit is None or path.stat().st_size <= SAMPLE
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    bad: list[str] = []
    # not splitlines(): a JSON text may hold signs that Python, but not JSON, takes for the end of a line
    for i, line in enumerate(decode(path, None if whole else SAMPLE).split("\n"), 1):
        if limit is not None and len(rows) >= limit:
            break
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = "nested too deeply" if isinstance(error, RecursionError) else error
            complain(f"{path}, line {i}: {why}", skip_bad, bad)
            continue
        if not isinstance(value, dict):
            complain(f"{path}, line {i}: not a JSON object", skip_bad, bad)
            continue
        rows.append({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in value.items()})
        lines.append(i)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return build(path, {n: [row.get(n) for row in rows] for n in names}, lines, bad, texts=texts)
