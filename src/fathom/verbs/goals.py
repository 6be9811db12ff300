"""Goals of benchmarks, judged: the words of a row's goal against the numbers that the row keeps.

Parts of a goal stand between semicolons, and every one has to be met. What is known is in ``FORMS``; a goal
of other words raises ``ValueError``, so that none is passed over in silence. Numbers are those that the
tables show, rounded as they are there. A goal that begins with "none" asks for nothing.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

MET, MISSED, NO_GOAL = "yes", "**missed**", "-"
ALLOWED = "of what is allowed"  # behind a ratio that is a share of the bound itself, whichever way it points
NUMBER = r"[\d.]+"
SIGNS = {
    "<=": operator.le, ">=": operator.ge, "at most": operator.le, "at least": operator.ge,
    "under": operator.lt,
}  # fmt: skip
SIGN = "|".join(SIGNS)
RATIO = re.compile(rf"({NUMBER})(?: \(({NUMBER}) to ({NUMBER})\))?(?: {ALLOWED})?")


def met(row: dict[str, str], details: dict[str, Any]) -> str:
    """Whether a row of a benchmark meets its goal: yes, missed, or a dash where it has none."""
    if row["goal"].startswith("none"):
        return NO_GOAL
    return MET if all(part_met(part, row, details) for part in row["goal"].split("; ")) else MISSED


def mark(row: dict[str, str], details: dict[str, Any]) -> str:
    """The ratio of a row, with a word behind it where the goal was missed."""
    return f"{row['ratio']} {MISSED}" if met(row, details) == MISSED else row["ratio"]


def part_met(part: str, row: dict[str, str], details: dict[str, Any]) -> bool:
    for form, judge in FORMS.items():
        found = re.fullmatch(form, part)
        if found is not None:
            return bool(judge(row, details, *found.groups()))
    raise ValueError(f"{row['what']}: the goal {part!r} has no form that is known in verbs/goals.py")


def by_ratio(row: dict[str, str], _: dict[str, Any], sign: str, bound: str) -> bool:
    if row["ratio"].endswith(ALLOWED):
        return ratio(row)[0] <= 1
    return SIGNS[sign](ratio(row)[0], float(bound))


def by_interval(row: dict[str, str], _: dict[str, Any], end: str, sign: str, bound: str) -> bool:
    _middle, low, high = ratio(row)
    value = high if end == "upper" else low
    if value is None:
        raise ValueError(f"{row['what']}: the goal asks for an interval, and {row['ratio']!r} has none")
    return SIGNS[sign](value, float(bound))


def by_accuracy(row: dict[str, str], _: dict[str, Any], accuracy: str, seconds: str) -> bool:
    found = re.fullmatch(rf"({NUMBER}) .*, median accuracy ({NUMBER})", row["ours"])
    if found is None:
        raise ValueError(f"{row['what']}: no seconds and median accuracy in {row['ours']!r}")
    return float(found[1]) < float(seconds) and float(found[2]) >= float(accuracy)


def by_answers(_row: dict[str, str], details: dict[str, Any], status: str) -> bool:
    """Of the answers at 70 % of the peak: none had another status."""
    return set(details["stress"]["busy"]["statuses"]) == {status}


def ratio(row: dict[str, str]) -> tuple[float, float | None, float | None]:
    """The ratio of a row, and both ends of its interval where it has one."""
    found = RATIO.fullmatch(row["ratio"])
    if found is None:
        raise ValueError(f"{row['what']}: {row['ratio']!r} is no ratio")
    low, high = (None if end is None else float(end) for end in found.groups()[1:])
    return float(found[1]), low, high


FORMS: dict[str, Callable[..., bool]] = {
    # "<= 0.95 (a goal, no gate)", "ratio >= 0.4 with the generator on the same cores", "under 3 minutes"
    rf"(?:ratio )?({SIGN}) ({NUMBER})(?: minutes| GB| MB| \([^)]*\)| with .*)?": by_ratio,
    rf"(upper|lower) end (<=|>=) ({NUMBER})": by_interval,
    rf"accuracy ({NUMBER}) under ({NUMBER}) s": by_accuracy,
    r"other than (\d+): none": by_answers,
}
