"""Drawn dates: each written as it says, on a day that stands in one part alone."""

import re
from datetime import date, datetime

import pytest

from fathom.data.written_dates import DAYS, FIRST, LAST, LONGEST, STYLES, draw, written

COUNTS = {"train": 3000, "valid": 500, "test": 500}


def test_the_styles_say_one_day_each() -> None:
    day = date(1998, 3, 3)
    made = [written(day, style) for style in STYLES]
    assert len(set(made)) == len(STYLES) == 20
    for text in ("3 March 1998", "03.03.1998", "3rd of March 1998", "Mar 3, 98", "Tuesday, 3 March 1998"):
        assert text in made
    assert written(date(2012, 1, 22), "{nth}") == "22nd" and written(date(2012, 1, 12), "{nth}") == "12th"
    assert written(date(2012, 1, 31), "{nth}") == "31st" and written(date(2012, 1, 11), "{nth}") == "11th"


@pytest.mark.parametrize(
    ("style", "code"),
    [
        ("{d} {month} {yyyy}", "%d %B %Y"),
        ("{dd} {mon} '{yy}", "%d %b '%y"),
        ("{weekday}, {d} {month} {yyyy}", "%A, %d %B %Y"),
        ("{yyyy}{mm}{dd}", "%Y%m%d"),
        ("{d}.{m}.{yyyy}", "%d.%m.%Y"),
    ],
)
def test_the_standard_library_reads_the_same_day(style: str, code: str) -> None:
    for step in range(0, DAYS, 97):
        day = date.fromordinal(FIRST.toordinal() + step)
        read = datetime.strptime(written(day, style), code).date()
        assert (read.month, read.day) == (day.month, day.day) and (read.year - day.year) % 100 == 0


def test_parts_share_no_day_and_texts_fit() -> None:
    made = draw(COUNTS)
    assert {part: len(pairs) for part, pairs in made.items()} == COUNTS
    days = [iso for pairs in made.values() for _, iso in pairs]
    assert len(set(days)) == len(days) and all(re.fullmatch(r"\d{4}-\d\d-\d\d", day) for day in days)
    assert min(days) >= FIRST.isoformat() and max(days) <= LAST.isoformat()
    assert max(len(text) for pairs in made.values() for text, _ in pairs) <= LONGEST
    longest = max(len(written(date(2048, 9, 30), style)) for style in STYLES)
    assert longest <= LONGEST == len(written(date(2048, 9, 30), "{weekday}, {d} {month} {yyyy}"))
    assert any(text.isupper() for text, _ in made["test"]) and any(text.islower() for text, _ in made["test"])


def test_the_same_seed_draws_the_same() -> None:
    assert draw(COUNTS) == draw(COUNTS) != draw(COUNTS, seed=1)


@pytest.mark.parametrize("counts", [{"train": 0}, {"train": DAYS, "valid": 1}])
def test_counts_that_cannot_be_drawn_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"at most 36,525 together"):
        draw(counts)
