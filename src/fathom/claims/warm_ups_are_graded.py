"""Twenty warm-ups on arrays are graded through the pages, and an entry test tells where to begin.

``fathom learn`` is started as a learner starts it, with an empty home, and asked over HTTP as a browser
without scripts asks. Each of the twenty warm-ups is answered with the beginning that it gives, with each of
its typical mistakes, and with a solution. Then the two questions of the entry test are answered, and the map
is asked what to do next. The hidden cases are drawn anew by the grader.

``passed``: the share of answers of a kind that the page called passed. ``told``: the share of the typical
mistakes that were answered by a message of their own. ``known``: the number of topics that the map takes as
known after the entry test. ``tests/learn/test_web_browser.py`` answers an exercise by keyboard in a browser.

Source: row MA14 of the inventory; Rush, Tensor Puzzles, https://github.com/srush/Tensor-Puzzles.
"""

import ast
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from fathom.claim import Claim

if TYPE_CHECKING:
    from fathom.learn.engine.exercise import Exercise

CLAIM = Claim(
    sentence="Twenty warm-ups are graded by hidden cases, and an entry test tells where to begin.",
    rows=("MA14",),
    expect=(
        "passed: solution >= 1",
        "passed: mistake <= 0",
        "passed: beginning <= 0",
        "told: mistake >= 1",
        "warm_ups: page >= 20",
        "known: page >= 2",
    ),
    source="row MA14 of the inventory",
    builds_on=("numpy_warmups",),
    seeds=1,
    differs=("The pages are asked over HTTP, without the browser that the tests use.",),
)
TOPIC = "tensors"
PASSED = "<b>Passed.</b>"


class Pages:
    """The pages of one server, for a visitor who was let in."""

    def __init__(self, address: str) -> None:
        way = urlsplit(address)
        self.host = way.netloc
        self.headers = {"Origin": f"http://{self.host}"}
        _, cookie = self.ask("GET", f"{way.path}?{way.query}")
        self.headers["Cookie"] = cookie.partition(";")[0]

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[str, str]:
        """What came back, and the cookie that was given, if any; ``RuntimeError`` where it was refused."""
        form = {"Content-Type": "application/x-www-form-urlencoded", "X-Part": "1"}
        connection = HTTPConnection(self.host, timeout=60)
        connection.request(method, path, urlencode(fields or {}), self.headers | (form if fields else {}))
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path} came back with status {response.status}")
        return text, response.getheader("Set-Cookie") or ""

    def grade(self, exercise: "Exercise", answer: str) -> str:
        """The part of the page with the verdict on an answer."""
        return self.ask("POST", f"/topic/{exercise.topic}/exercise/{exercise.name}", {"answer": answer})[0]


def measure(seed: int) -> dict[str, dict[str, float]]:
    """``passed`` and ``told`` of each kind of answer; ``warm_ups`` and ``known`` of the page."""
    from fathom.learn.engine import curriculum, exercise

    head = curriculum.find(TOPIC)
    made = [exercise.exercise(TOPIC, name) for name in exercise.exercises(TOPIC)]
    warm_ups = [one for one in made if one.name not in head.entry]
    passed: dict[str, list[bool]] = {"beginning": [], "mistake": [], "solution": []}
    told: list[bool] = []
    with tempfile.TemporaryDirectory() as home, served(home) as address:
        pages = Pages(address)
        for one in warm_ups:
            passed["beginning"].append(PASSED in pages.grade(one, one.starter))
            for name, answer in mistaken(one).items():
                said = pages.grade(one, answer)
                passed["mistake"].append(PASSED in said)
                told.append(f"<i>{name.replace('_', ' ')}</i>" in said)
            passed["solution"].append(PASSED in pages.grade(one, one.solution))
        for one in made:
            if one.name in head.entry:
                pages.grade(one, one.solution)
        known = known_topics(pages)
    found = {kind: {"passed": sum(answers) / len(answers)} for kind, answers in passed.items()}
    found["mistake"]["told"] = sum(told) / len(told)
    return found | {"page": {"warm_ups": float(len(warm_ups)), "known": float(known)}}


def known_topics(pages: Pages) -> int:
    """How many topics the map says are done or known."""
    told = re.search(r"(\d+) of them done or taken as known", pages.ask("GET", "/")[0])
    if told is None:
        raise RuntimeError("the map does not say how many topics are known")
    return int(told[1])


def mistaken(made: "Exercise") -> dict[str, str]:
    """The learner's file with each typical mistake of an exercise, by the name of the mistake."""
    tree = ast.parse(made.path.read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("wrong_"):
            mistake, node.name = node.name.removeprefix("wrong_"), made.name
            found[mistake] = f"import numpy as np\n\n\n{ast.unparse(node)}\n"
    return found


@contextmanager
def served(home: str) -> Iterator[str]:
    """The address that ``fathom learn`` prints, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fathom", "learn", "--no-open", "--port", "0"],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"FATHOM_LEARN": home},
    )  # fmt: skip
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        if found is None:
            raise RuntimeError("fathom learn printed no address")
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
