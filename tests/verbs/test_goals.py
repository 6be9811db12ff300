"""Goals of benchmarks are judged by their words: all that occur are understood, others are refused."""

import json
from typing import Any

import pytest

from fathom.verbs import documents, goals

RESULTS = sorted((documents.ROOT / "benchmarks" / "results").glob("*.json"))


def row(goal: str, ratio: str, ours: str = "-") -> dict[str, str]:
    return {"what": "something", "ours": ours, "other": "-", "ratio": ratio, "goal": goal}


def test_every_goal_of_every_result_is_understood() -> None:
    """A dash is for goals that begin with "none" alone."""
    assert RESULTS
    for file in RESULTS:
        kept = json.loads(file.read_text(encoding="utf-8"))
        for one in kept["rows"]:
            told = goals.met(one, kept["details"])
            assert (told == goals.NO_GOAL) is one["goal"].startswith("none"), f"{file.name}: {one}"


@pytest.mark.parametrize(
    ("goal", "ratio", "told"),
    [
        ("<= 1.0", "1.000", "yes"),
        ("<= 1.0", "1.001 (0.990 to 1.010)", "**missed**"),
        ("<= 0.95 (a goal, no gate)", "0.950 (0.900 to 1.100)", "yes"),
        ("<= 0.95 (a goal, no gate)", "0.951 (0.900 to 1.100)", "**missed**"),
        (">= 1.05 (a goal, no gate)", "1.014 (0.990 to 1.039)", "**missed**"),
        ("ratio >= 2", "2.711 (2.476 to 2.863)", "yes"),
        ("ratio >= 0.4 with the generator on the same cores", "0.39", "**missed**"),
        ("at least 3", "2.9 (2.8 to 3.1)", "**missed**"),
        ("at most 2", "0.894 (0.710 to 1.147)", "yes"),
        ("at most 1.05", "1.060", "**missed**"),
        ("upper end <= 1.02", "0.999 (0.986 to 1.020)", "yes"),
        ("upper end <= 1.02", "0.999 (0.986 to 1.021)", "**missed**"),
        ("lower end >= 1.5", "1.611 (1.584 to 1.627)", "yes"),
        ("lower end >= 1.5", "1.520 (1.490 to 1.540)", "**missed**"),
        ("under 3 minutes", "0.67 of what is allowed", "yes"),
        ("under 1.5 GB", "1.34 of what is allowed", "**missed**"),
        ("under 0.5", "0.05 of what is allowed", "yes"),
        ("at least 10", "0.51 of what is allowed", "yes"),
        ("at least 10", "1.51 of what is allowed", "**missed**"),
        ("none (what any way of writing stays below)", "3.186 (3.155 to 3.238)", "-"),
        ("none", "0.20 of all", "-"),
    ],
)
def test_a_goal_is_judged_by_the_number_that_it_names(goal: str, ratio: str, told: str) -> None:
    assert goals.met(row(goal, ratio), {}) == told
    assert goals.mark(row(goal, ratio), {}) == (f"{ratio} **missed**" if told == "**missed**" else ratio)


@pytest.mark.parametrize(
    ("ours", "ratio", "told"),
    [
        ("16.6 (15.9 to 21.1), median accuracy 0.9933", "1.013 (0.870 to 1.171)", "yes"),
        ("16.6 (15.9 to 21.1), median accuracy 0.9933", "1.040 (0.870 to 1.171)", "**missed**"),
        ("20.0 (15.9 to 21.1), median accuracy 0.9933", "1.013 (0.870 to 1.171)", "**missed**"),
        ("16.6 (15.9 to 21.1), median accuracy 0.9919", "1.013 (0.870 to 1.171)", "**missed**"),
    ],
)
def test_every_part_of_a_goal_has_to_be_met(ours: str, ratio: str, told: str) -> None:
    goal = "accuracy 0.992 under 20 s; ratio <= 1.03"
    assert goals.met(row(goal, ratio, ours), {}) == told


def test_answers_of_another_status_are_counted() -> None:
    def under(statuses: dict[str, int], ratio: str = "0.90") -> str:
        details: dict[str, Any] = {"stress": {"busy": {"statuses": statuses}}}
        return goals.met(row("ratio <= 1; other than 200: none", ratio), details)

    assert under({"200": 9}) == "yes" and under({"200": 9}, "1.85") == "**missed**"
    assert under({"200": 9, "503": 1}) == "**missed**"


@pytest.mark.parametrize(
    ("goal", "ratio", "why"),
    [
        ("context", "-", "the goal 'context' has no form"),
        ("ratio < 1", "0.9", "the goal 'ratio < 1' has no form"),
        ("<= 1.0; as small as can be", "0.9", "the goal 'as small as can be' has no form"),
        ("upper end <= 1.02", "0.999", "the goal asks for an interval, and '0.999' has none"),
        ("<= 1.0", "-", "'-' is no ratio"),
        ("accuracy 0.992 under 20 s", "1.0", "no seconds and median accuracy in '-'"),
    ],
)
def test_what_cannot_be_judged_is_refused(goal: str, ratio: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        goals.met(row(goal, ratio), {})
