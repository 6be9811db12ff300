"""Report sections that all tasks on tables share: which columns matter, and rows in readable form."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fathom.data.columns import groups
from fathom.report.blocks import BarChart, Block, Table
from fathom.report.page import Section

SHOWN = 15  # columns drawn
REPEATS = 3  # shuffles of each column


def importance(
    columns: Sequence[Mapping[str, Any]],
    rows: np.ndarray,
    loss: Callable[[np.ndarray], float],
    seed: int = 0,
) -> dict[str, float]:
    """How much the loss of ``rows`` (n, features) grows when one column is shuffled among them.

    Permutation importance (Breiman 2001, section 10): what the model would lose without the column, given
    that it keeps all the others. Columns that say the same share their importance. ``loss`` maps rows to
    a number, lower is better. Most important first.
    """
    dice = np.random.default_rng(seed)
    before = loss(rows)
    grown: dict[str, float] = {}
    for column, place in zip(columns, groups(columns), strict=True):
        after = []
        for _ in range(REPEATS):
            changed = rows.copy()
            changed[:, place] = rows[dice.permutation(len(rows)), place]
            after.append(loss(changed))
        grown[column["name"]] = float(np.mean(after)) - before
    return dict(sorted(grown.items(), key=lambda pair: -pair[1]))


def importance_section(grown: Mapping[str, float], unit: str) -> Section:
    """The columns by what shuffling them costs; the foremost as bars, all as a table."""
    foremost = list(grown.items())[:SHOWN]
    chart = BarChart(
        [n for n, _ in foremost], [v for _, v in foremost], caption=f"Growth of {unit} when shuffled."
    )
    table = Table(("column", f"growth of {unit}"), list(grown.items()), "Every column.")
    intro = "Each column is shuffled among the held-out rows, the others are left as they are."
    return Section("Columns that matter", [chart, table], intro)


def row_table(rows: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, Any]], caption: str) -> Block:
    """Rows as a table: the columns of ``first`` (truth, prediction), then up to eight of the row itself."""
    chosen = list(rows[0])[:8] if rows else []
    names = [*first[0], *chosen] if first else chosen
    body = [[*lead.values(), *(row[n] for n in chosen)] for lead, row in zip(first, rows, strict=True)]
    return Table(names, body, caption)
