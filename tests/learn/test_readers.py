"""Every page was read by three readers who had nothing else; ``readers.toml`` beside it keeps the outcome."""

import copy
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from fathom import catalog
from fathom.learn.engine import curriculum

READ = [slug for slug, head in curriculum.heads().items() if head.written and head.kind == "topic"]
PATTERN = "learn/topics/**/*"
KINDS: dict[str, type] = {
    "proxy": bool, "what": str, "read": date, "readers": int, "problem": str, "answer": str,
    "solved_with_page": int, "solved_without_page": int, "stumbles_found": int, "stumbles_mended": int,
    "stumbles": list,
}  # fmt: skip
# The problem was sharpened: the counts above are those of the old one, these, where it was read, of the new.
MAY: dict[str, type] = {"problem_changed": bool, "changed_problem": dict}
AGAIN = {"solved_with_page": 3, "solved_without_page": 1}  # a changed problem that needs its page
OF_A_STUMBLE: dict[str, type] = {"sentence": str, "readers": int, "mended": str}
LEFT = "Not mended"
# Pages whose problem, also the changed one, is still solved by most without them; each must give a reason.
TOO_EASY: dict[str, str] = {}


def record(slug: str) -> dict[str, Any]:
    return tomllib.loads((curriculum.TOPICS / slug / "readers.toml").read_text(encoding="utf-8"))


def complaints(found: dict[str, Any], *, too_easy: bool = False) -> Iterator[str]:
    """What is wrong with a record: first its form, and only if that is right, its numbers."""
    wrong = [*form(found, KINDS, MAY)]
    for stumble in found.get("stumbles", []):
        wrong += form(stumble, OF_A_STUMBLE)
    yield from wrong or (*numbers(found), *problem(found, too_easy))


def form(found: dict[str, Any], must: dict[str, type], may: dict[str, type] | None = None) -> Iterator[str]:
    allowed = must | (may or {})
    yield from (f"{name} is missing" for name in must if name not in found)
    for name, value in found.items():
        if name not in allowed:
            yield f"{name} is no field"
        elif type(value) is not allowed[name]:
            yield f"{name} is {value!r}"
        elif isinstance(value, str) and not value.strip():
            yield f"{name} is empty"


def numbers(found: dict[str, Any]) -> Iterator[str]:
    if not found["proxy"] or "proxy" not in found["what"]:
        yield "it does not say that it is a proxy"
    readers = found["readers"]
    if readers != 3:
        yield f"{readers} readers"
    for name in ("solved_with_page", "solved_without_page"):
        if not 0 <= found[name] <= readers:
            yield f"{name} is {found[name]}"
    listed = found["stumbles"]
    if not 8 <= len(listed) <= 15:
        yield f"{len(listed)} stumbles are listed"
    if not len(listed) <= found["stumbles_found"]:
        yield "more stumbles are listed than were found"
    left = sum(stumble["mended"].startswith(LEFT) for stumble in listed)
    if not 0 <= found["stumbles_mended"] <= found["stumbles_found"] - left:
        yield "more stumbles were mended than the list admits"
    for stumble in listed:
        if not 1 <= stumble["readers"] <= readers:
            yield f"{stumble['readers']} readers named {stumble['sentence']!r}"


def problem(found: dict[str, Any], too_easy: bool) -> Iterator[str]:
    """Whether the problem in the record needs the page: without it, one reader of three at most solves it."""
    again = found.get("changed_problem")
    if not found.get("problem_changed"):
        if again is not None:
            yield "a problem that did not change was read again"
        again = found
    elif again is None:
        yield "the problem changed, and nobody counted who solves the new one: changed_problem"
        return
    elif set(again) != {"solved_with_page", "solved_without_page"}:
        yield f"changed_problem holds {', '.join(again)}"
        return
    elif not all(type(n) is int and 0 <= n <= found["readers"] for n in again.values()):
        yield f"changed_problem is {again}"
        return
    if (again["solved_without_page"] > 1) != too_easy:
        yield "TOO_EASY names it in vain" if too_easy else "most solve the problem without the page"


def test_the_first_ten_pages_were_read() -> None:
    assert len(READ) >= 10


@pytest.mark.parametrize("slug", READ)
def test_a_page_keeps_what_its_readers_said(slug: str) -> None:
    assert list(complaints(record(slug), too_easy=slug in TOO_EASY)) == []


def test_what_is_too_easy_is_a_short_list() -> None:
    assert len(TOO_EASY) <= 1 and TOO_EASY.keys() <= set(READ) and all(TOO_EASY.values())


@pytest.mark.parametrize("slug", READ)
def test_what_all_three_named_was_mended(slug: str) -> None:
    found = record(slug)
    left = [s for s in found["stumbles"] if s["mended"].startswith(LEFT) and s["readers"] == found["readers"]]
    assert left == []


@pytest.mark.parametrize("slug", READ)
def test_the_wheel_brings_it_along(slug: str) -> None:
    project = tomllib.loads((catalog.ROOT.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert PATTERN in project["tool"]["setuptools"]["package-data"]["fathom"]
    assert curriculum.TOPICS / slug / "readers.toml" in set(catalog.ROOT.glob(PATTERN))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"problem": None}, "problem is missing"),
        ({"problem": " "}, "problem is empty"),
        ({"read": "today"}, "read is 'today'"),
        ({"people": 3}, "people is no field"),
        ({"proxy": False}, "it does not say that it is a proxy"),
        ({"readers": 2}, "2 readers"),
        ({"solved_with_page": 4}, "solved_with_page is 4"),
        ({"solved_with_page": True}, "solved_with_page is True"),
        (
            {"solved_without_page": 2},
            "most solve the problem without the page",
        ),
        ({"changed_problem": {}}, "a problem that did not change was read again"),
        ({"problem_changed": True, "changed_problem": {"solved": 1}}, "changed_problem holds solved"),
        (
            {"problem_changed": True},
            "the problem changed, and nobody counted who solves the new one: changed_problem",
        ),
        (
            {"problem_changed": True, "changed_problem": AGAIN | {"solved_without_page": 4}},
            "changed_problem is {'solved_with_page': 3, 'solved_without_page': 4}",
        ),
        (
            {"problem_changed": True, "changed_problem": AGAIN | {"solved_without_page": 2}},
            "most solve the problem without the page",
        ),
        ({"stumbles_found": 7}, "more stumbles are listed than were found"),
        ({"stumbles_mended": 9}, "more stumbles were mended than the list admits"),
        ({"stumbles": []}, "0 stumbles are listed"),
        ({"stumbles": [{"sentence": "x", "readers": 1}]}, "mended is missing"),
        ({"stumbles": [{"sentence": "x", "readers": 4, "mended": "y"}] * 8}, "4 readers named 'x'"),
    ],
)
def test_a_record_that_is_wrong_is_found(change: dict[str, Any], told: str) -> None:
    """A sound record, and each way to spoil it."""
    stumbles = [{"sentence": "x", "readers": 1, "mended": "y"}] * 7
    stumbles.append({"sentence": "z", "readers": 2, "mended": "Not mended: it would be longer."})
    sound: dict[str, Any] = {
        "proxy": True, "what": "a proxy", "read": date(2026, 11, 28), "readers": 3, "problem": "p",
        "answer": "a", "solved_with_page": 3, "solved_without_page": 1, "stumbles_found": 9,
        "stumbles_mended": 8, "stumbles": stumbles,
    }  # fmt: skip
    assert list(complaints(sound)) == []
    changed = {"solved_without_page": 3, "problem_changed": True, "changed_problem": AGAIN}
    assert list(complaints(sound | changed)) == []
    still = changed | {"changed_problem": AGAIN | {"solved_without_page": 2}}
    assert list(complaints(sound | still, too_easy=True)) == []
    assert list(complaints(sound, too_easy=True)) == ["TOO_EASY names it in vain"]
    spoiled = {name: value for name, value in (copy.deepcopy(sound) | change).items() if value is not None}
    assert told in list(complaints(spoiled))
