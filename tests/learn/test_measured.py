"""Numbers of records on pages: a line of a list that begins with a claim says what its record says."""

import re
from typing import Any

import pytest

from fathom import evidence
from fathom.learn.engine import curriculum

NUMBER = re.compile(r"-?\d+\.(\d+)")
LINE = re.compile(
    r"^- `(\w+)`: .+?: (\S+) \((\S+) to (\S+)\), (\d+) runs\. It (held|did not hold)\.$", re.MULTILINE
)
# page -> the claims in its list, each with the promise that the line tells
TOLD = {
    "skip-connections": {
        "skips_train_56_layers": "valid/accuracy: skip - plain",
        "highways_train_deep": "valid/accuracy: highway - plain",
        "gradients_vanish_with_depth": "widest: residual - relu",
        "skips_keep_gradients_whole": "distance: residual - relu",
    },
}
# Shares in hundredths that the text below the list names: claim -> arm -> words with the number
SAID = {
    "skips_train_56_layers": {"skip": "With skips the net gets {} of 100", "plain": "without them {}."},
    "highways_train_deep": {
        "plain": "plain net gets {} of 100",
        "highway": "the highway {}.",
        "plain_he": "With He's weights the plain net gets {}.",
    },
}


def page(slug: str) -> str:
    return (curriculum.TOPICS / slug / "topic.md").read_text(encoding="utf-8")


def lines(slug: str) -> dict[str, list[str]]:
    """Difference, low, high, runs and outcome of each claim."""
    return {name: told for name, *told in LINE.findall(page(slug))}


def written(number: float, as_in: str) -> str:
    """The number with the digits that the page has; none is written as -0."""
    digits = NUMBER.fullmatch(as_in)
    assert digits is not None, as_in
    return f"{number:z.{len(digits[1])}f}"


def disagreements(told: list[str], record: dict[str, Any], promise: str) -> list[str]:
    """What a line says otherwise than its record."""
    found = next(e for e in record["expect"] if re.match(rf"{re.escape(promise)} [<>]", e["text"]))
    pairs = zip(told[:3], (found["mean"], found["low"], found["high"]), strict=True)
    wrong = [f"{said}: {number}" for said, number in pairs if written(number, said) != said]
    if told[3:] != [str(record["seeds"]), "held" if found["met"] else "did not hold"]:
        wrong.append(f"{told[3:]}: {record['seeds']} {found['met']}")
    return wrong


@pytest.mark.parametrize("slug", TOLD)
def test_a_list_of_records_says_what_they_say(slug: str) -> None:
    told = lines(slug)
    assert told.keys() == TOLD[slug].keys()
    for name, promise in TOLD[slug].items():
        assert disagreements(told[name], evidence.claims()[name], promise) == [], name


def test_no_other_page_has_such_a_list_unnoticed() -> None:
    pages = [slug for slug, head in curriculum.heads().items() if head.written]
    assert {slug for slug in pages if lines(slug)} == set(TOLD)


@pytest.mark.parametrize("name", SAID)
def test_shares_in_the_text_are_those_of_the_record(name: str) -> None:
    for arm, words in SAID[name].items():
        share = 100 * evidence.claims()[name]["summary"][arm]["valid/accuracy"]["mean"]
        assert words.format(round(share)) in page("skip-connections"), (arm, share)


def test_a_line_that_says_otherwise_is_found() -> None:
    expect = {"text": "a: b - c >= 0", "mean": 0.254, "low": 0.119, "high": -0.001, "met": False}
    record = {"expect": [expect], "seeds": 3}
    assert disagreements(["0.25", "0.12", "0.00", "3", "did not hold"], record, "a: b - c") == []
    assert disagreements(["0.26", "0.12", "0.00", "3", "did not hold"], record, "a: b - c") == ["0.26: 0.254"]
    assert len(disagreements(["0.25", "0.13", "0.01", "5", "held"], record, "a: b - c")) == 3
