"""Dates as people write them, drawn, each with the one way in which ISO 8601 writes it.

    "Tuesday, 3 March 1998"   "MAR 3RD, 98"   "03.03.1998"   ->   "1998-03-03"

A small task with much of what translation has: order, names, and parts that are not said and must be known.
Days lie in 1950 to 2049, so that a year of two figures is one year; with dots and slashes the day comes
first, as in most of the world.
"""

from collections.abc import Mapping
from datetime import date

import torch

from fathom.training.randomness import generator, permutation

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
STYLES = (
    "{d} {month} {yyyy}", "{d} {mon} {yyyy}", "{dd} {mon} '{yy}", "{d}-{mon}-{yyyy}",
    "{nth} of {month} {yyyy}", "{month} {d}, {yyyy}", "{month} {nth}, {yyyy}", "{mon} {d}, {yy}",
    "{mon}. {d} {yyyy}", "{mon} {nth} {yy}",
    "{weekday}, {d} {month} {yyyy}", "{day} {nth} {mon} {yyyy}", "{yyyy}, {month} {d}",
    "{dd}.{mm}.{yyyy}", "{d}.{m}.{yyyy}", "{d}.{m}.{yy}", "{dd}/{mm}/{yyyy}", "{d}/{m}/{yy}",
    "{yyyy}/{mm}/{dd}", "{yyyy}{mm}{dd}",
)  # fmt: skip
CASES = (str, str, str.lower, str.upper)  # as it stands, twice as often
LONGEST = len("Wednesday, 30 September 2048")  # characters
FIRST, LAST = date(1950, 1, 1), date(2049, 12, 31)
DAYS = LAST.toordinal() - FIRST.toordinal() + 1


def written(day: date, style: str) -> str:
    """``day`` in one of the ``STYLES``."""
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    ending = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return style.format(
        d=day.day, dd=f"{day.day:02}", nth=f"{day.day}{ending}", m=day.month, mm=f"{day.month:02}",
        month=month, mon=month[:3], weekday=weekday, day=weekday[:3],
        yyyy=day.year, yy=f"{day.year % 100:02}",
    )  # fmt: skip


def draw(counts: Mapping[str, int], seed: int = 0) -> dict[str, list[tuple[str, str]]]:
    """For each part so many pairs (as written, as ISO 8601). No day of one part stands in another.

    A part has a share of the days as large as its share of all pairs. Raises ``ValueError`` for a count below
    1, and for more pairs than days: a day could be missing from what is learned.
    """
    total = sum(counts.values())
    if min(counts.values()) < 1 or total > DAYS:
        raise ValueError(
            f"counts is {dict(counts)}; each must be 1 or more, and all at most {DAYS:,} together"
        )
    order = permutation(DAYS, seed, 0).tolist()
    made: dict[str, list[tuple[str, str]]] = {}
    first = 0
    for part, count in counts.items():
        days = order[first : first + count]
        first += count
        dice = generator(seed, "written dates", part)
        style = torch.randint(len(STYLES), (count,), generator=dice).tolist()
        case = torch.randint(len(CASES), (count,), generator=dice).tolist()
        dates = [date.fromordinal(FIRST.toordinal() + day) for day in days]
        made[part] = [
            (CASES[c](written(day, STYLES[s])), day.isoformat())
            for day, s, c in zip(dates, style, case, strict=True)
        ]
    return made
