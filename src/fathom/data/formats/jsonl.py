"""JSON lines: one object a line, as a table."""

import json
from pathlib import Path
from typing import Any

from fathom.data.formats.table import Table, build, complain, decode
from fathom.errors import InputError


def read(path: Path, *, skip_bad: bool = False, limit: int | None = None) -> Table:
    """The objects in ``path`` as rows; a key that an object lacks is a missing cell.

    A line that is no JSON object raises ``InputError`` with its number, or is left out with ``skip_bad``.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file; give a .jsonl file with one object a line")
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    bad: list[str] = []
    for i, line in enumerate(decode(path).splitlines(), 1):
        if limit is not None and len(rows) >= limit:
            break
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            complain(f"{path}, line {i}: {error}", skip_bad, bad)
            continue
        if not isinstance(value, dict):
            complain(f"{path}, line {i}: not a JSON object", skip_bad, bad)
            continue
        rows.append({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in value.items()})
        lines.append(i)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return build(path, {n: [row.get(n) for row in rows] for n in names}, lines, bad)
