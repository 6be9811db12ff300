"""Contour lines: where a function of two numbers has a given height, from its values on a grid.

Each cell of the grid is cut into two triangles. On a triangle a function that is linear along its edges has a
height in two edges or in none, so a line enters and leaves, and no cell is ambiguous as it can be when all
four corners are looked at together. The pieces are then joined, edge by edge, into lines as long as they go.

Axes: n  columns of the grid     m  its rows     k  points of a line
"""

import numpy as np

from fathom.errors import InputError
from fathom.report.markup import Number

FARTHEST = 1e100  # heights beyond it count as this high


def contour_lines(across: np.ndarray, up: np.ndarray, heights: np.ndarray, level: Number) -> list[np.ndarray]:
    """The lines, each (k, 2) with x and y, on which ``heights`` (n, m) over ``across`` (n,) and ``up`` (m,)
    is ``level``; a closed line ends where it began.

    What is no number counts as very high. Raises InputError where shapes do not fit or a side has no cell.
    """
    if heights.shape != (len(across), len(up)) or min(heights.shape) < 2:
        raise InputError(
            f"contour lines were asked of heights {heights.shape} over {len(across)} by {len(up)} places;"
            " give one height for each place, and two places or more a side"
        )
    high = np.clip(np.nan_to_num(heights, nan=FARTHEST), -FARTHEST, FARTHEST).ravel().astype(np.float64)
    edges, pieces = crossings(triangles(*heights.shape), high > level)
    first, second = edges.T
    share = (level - high[first]) / (high[second] - high[first])
    x, y = (side.ravel() for side in np.meshgrid(across, up, indexing="ij"))
    points = np.stack([s[first] + share * (s[second] - s[first]) for s in (x, y)], axis=1)
    return [points[line] for line in joined(pieces)]


def triangles(columns: int, rows: int) -> np.ndarray:
    """Numbers (t, 3) of the corners of every triangle of a grid that is read column by column."""
    corner = np.arange(columns * rows).reshape(columns, rows)
    cells = corner[:-1, :-1], corner[1:, :-1], corner[:-1, 1:], corner[1:, 1:]
    a, b, c, d = (part.ravel() for part in cells)
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)])


def crossings(corners: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges (e, 2) that the line crosses, and its pieces (p, 2): one from edge to edge a triangle."""
    is_up = above[corners]
    count = is_up.sum(axis=1)
    mixed = (count == 1) | (count == 2)
    corners, is_up, count = corners[mixed], is_up[mixed], count[mixed]
    alone = (is_up == (count == 1)[:, None]).argmax(axis=1)  # the corner that differs from the other two
    place = np.arange(len(corners))
    ends = [np.stack([corners[place, alone], corners[place, (alone + turn) % 3]], axis=1) for turn in (1, 2)]
    edges, pieces = np.unique(np.sort(np.concatenate(ends), axis=1), axis=0, return_inverse=True)
    return edges, pieces.reshape(2, -1).T


def joined(pieces: np.ndarray) -> list[list[int]]:
    """Pieces (p, 2), in which each end stands twice at most, as lines; open ones first."""
    beside: dict[int, list[int]] = {}
    for one, other in pieces.tolist():
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    lines = []
    for start in sorted(beside, key=lambda end: len(beside[end])):
        line = [start]
        while beside[line[-1]]:
            following = beside[line[-1]].pop()
            beside[following].remove(line[-1])
            line.append(following)
        if len(line) > 1:
            lines.append(line)
    return lines
