"""``fathom learn selftest``: the proof that a page holds what it promises, and the record of it.

A page promises three things: that its exercises name mistakes rightly, that what it quotes is the code that
somebody read beside it, and that its own code does what it says. A record in ``evidence/topics`` says what
came of asking, and with which code; the catalogue reads there what is taught. It is written only where it is
asked for: a self-test by itself changes nothing.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fathom import evidence
from fathom.errors import InputError
from fathom.learn.engine import curriculum, exercise, source
from fathom.learn.engine.topic import SourceBlock
from fathom.learn.terminal import practice

if TYPE_CHECKING:
    from fathom.learn.engine.worker import Worker

QUOTES, CODE = "quotes", "code"  # stand beside the names of exercises


def prove(worker: "Worker", slug: str, seeds: Sequence[int] = practice.SEEDS) -> Iterator[tuple[str, str]]:
    """Each exercise of a topic, its quotes and its code: (what, complaint or "")."""
    for key, complaint in practice.selftest(worker, [slug], seeds):
        yield key.partition("/")[2], complaint
    page = curriculum.topic(slug)
    yield QUOTES, "; ".join(source.complaints(page))
    yield CODE, broken_promise(slug)


def broken_promise(slug: str) -> str:
    """The first line of the code of a page that does not do what stands beside it, or ""."""
    from fathom.learn.engine import fences

    try:
        fences.run(curriculum.topic(slug))
    except fences.BrokenPromise as broken:
        return str(broken)
    return ""


def proven(slug: str) -> bool:
    """Whether a record says that a topic holds, as it is today."""
    record = evidence.topics().get(slug)
    return record is not None and record["passed"] and record["code"] == evidence.topic_hash(slug)


def must_have_a_ledger() -> None:
    """``InputError`` where records have no place: in an installed package."""
    if "FATHOM_EVIDENCE" not in os.environ and not evidence.folder().is_dir():
        raise InputError(
            f"there is no ledger at {evidence.folder()}; records are kept in a checkout of Fathom, or in the"
            " folder that FATHOM_EVIDENCE names"
        )


def recorded(slug: str, told: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """What is ``told`` of a topic, passed on; when it ends, a record of it is written."""
    from fathom.training.run import machine, now, versions
    from fathom.verbs.verify import store

    code = evidence.topic_hash(slug)  # of what is about to be proven; the files may change meanwhile
    complaints = {}
    for what, complaint in told:
        complaints[what] = complaint
        yield what, complaint
    page = curriculum.topic(slug)
    record = {
        "topic": slug,
        "command": f"fathom learn selftest {slug} --record",
        "measured": now(),
        "code": code,
        "versions": versions(),
        "machine": machine(),
        "rows": list(page.head.rows),
        "mistakes": {n: len(exercise.exercise(slug, n).mistakes) for n in exercise.exercises(slug)},
        "quotes": len(list(page.every(SourceBlock))),
        "complaints": {what: complaint for what, complaint in complaints.items() if complaint},
        "passed": not any(complaints.values()),
    }
    store(f"{evidence.TOPICS}/{slug}.json", record)
