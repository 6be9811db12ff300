"""Lines that differ in more than their colour: the dashes of each curve in a panel of nothing but curves.

What a figure calls dashed is dashed; the first of the others is whole, and those after it are dotted, or dots
and dashes, each in its own way. A page that draws such a panel by other means takes the same dashes.
"""

from itertools import pairwise

from fathom.learn.engine.marks import Curve, Panel

DASHED = ((6, 4), (6, 4, 6, 9), (12, 4), (3, 3))
OTHERS = ((), (2, 4), (10, 4, 2, 4), (10, 4, 2, 4, 2, 4), (18, 5), (2, 4, 2, 9))


def only_lines(panel: Panel) -> bool:
    """Whether a panel shows nothing but quantities over one axis: every curve goes to the right."""
    lines = [mark for mark in panel.marks if isinstance(mark, Curve) and not mark.arrow]
    forward = all(before[0] < after[0] for line in lines for before, after in pairwise(line.points))
    filled = any(line.points for line in lines)
    return len(lines) == len(panel.marks) and forward and filled and not panel.square


def dashes(panel: Panel) -> list[tuple[int, ...]]:
    """For each mark the lengths of its dashes and gaps; none is a whole line."""
    if not only_lines(panel):
        return [DASHED[0] if isinstance(mark, Curve) and mark.dashed else () for mark in panel.marks]
    found: list[tuple[int, ...]] = []
    seen = {True: 0, False: 0}
    for mark in panel.marks:
        dashed = isinstance(mark, Curve) and mark.dashed
        ways = DASHED if dashed else OTHERS
        found.append(ways[seen[dashed] % len(ways)])
        seen[dashed] += 1
    return found
