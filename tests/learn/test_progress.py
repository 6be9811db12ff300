"""Progress: a log that survives whatever happens to its writer, and the state that follows from it."""

import datetime
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fathom.errors import RunError
from fathom.learn.engine import progress
from fathom.learn.engine.progress import Asked, Event, Log

WORDS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
EVENTS = st.lists(
    st.tuples(st.sampled_from(progress.KINDS), WORDS, WORDS, st.booleans()), min_size=1, max_size=8
)
SAME_FOLDER = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def filled(folder: Path, events: list[tuple[str, str, str, bool]]) -> Log:
    log = Log(folder)
    log.file.unlink(missing_ok=True)
    for kind, topic, item, passed in events:
        log.append(kind, topic, item, passed=passed)
    return log


@SAME_FOLDER
@given(events=EVENTS, data=st.data())
def test_cut_anywhere_the_whole_events_are_left_and_more_can_follow(
    events: list[tuple[str, str, str, bool]], data: st.DataObject, tmp_path: Path
) -> None:
    """A kill in the middle of a write leaves some first bytes of it."""
    log = filled(tmp_path, events)
    whole = log.file.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    log.file.write_bytes(whole[:cut])
    kept = log.events()
    complete = whole[:cut].count(b"\n")
    assert [e.topic for e in kept[:complete]] == [topic for _, topic, _, _ in events[:complete]]
    assert len(kept) - complete in (0, 1)  # the last may be whole but for its line end
    log.append("read", "afterwards")
    after = log.events()
    assert after[:-1] == kept and after[-1].topic == "afterwards"


@SAME_FOLDER
@given(rubbish=st.lists(st.binary(max_size=40), max_size=5), events=EVENTS)
def test_rubbish_between_events_is_passed_over(
    rubbish: list[bytes], events: list[tuple[str, str, str, bool]], tmp_path: Path
) -> None:
    log = filled(tmp_path, events)
    before = log.events()
    noise = b"\n".join(line.replace(b"{", b"") for line in rubbish)
    log.file.write_bytes(noise + b"\n" + log.file.read_bytes() + noise)
    assert log.events() == before


def test_lines_of_a_later_version_are_kept_and_passed_over(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append("read", "a")
    later = {"at": "2030-01-01T00:00:00+00:00", "kind": "read", "topic": "b", "mood": "good"}
    with log.file.open("a") as file:
        file.write(json.dumps(later) + "\n")
        for name, wrong in (
            ("kind", "danced"),
            ("topic", 3),
            ("passed", "yes"),
            ("at", "now"),
            ("topic", None),
        ):
            file.write(json.dumps(later | {name: wrong}) + "\n")
        file.write("[" * 100_000 + "\n")
    assert [event.topic for event in log.events()] == ["a", "b"]
    log.append("read", "c")
    assert "danced" in log.file.read_text()
    assert [event.topic for event in log.events()] == ["a", "b", "c"]


WRITER = """
import sys
from pathlib import Path
from fathom.learn.engine.progress import Log
log = Log(Path(sys.argv[1]))
for number in range(100000):
    log.append("check", "t", str(number), passed=True)
    print(number, flush=True)
"""


@pytest.mark.slow
def test_kill_at_any_moment_loses_nothing_that_was_told(tmp_path: Path) -> None:
    for round_ in range(8):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(0.03 * round_)
            os.kill(writer.pid, signal.SIGKILL)
            told = [0, *map(int, writer.stdout.read().split())][-1]
        events = Log(tmp_path).events()
        assert int(events[-1].item) >= told
        assert [int(e.item) for e in events] == list(range(len(events)))
        Log(tmp_path).file.unlink()


def append_many(folder: str, name: str) -> None:
    for number in range(200):
        Log(Path(folder)).append("check", name, str(number))


def test_two_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(str(tmp_path), name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = Log(tmp_path).events()
    assert len(events) == 400
    assert [int(e.item) for e in events if e.topic == "a"] == list(range(200))


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "progress.jsonl").mkdir()
    with pytest.raises(RunError, match="progress could not be kept"):
        Log(tmp_path).append("read", "a")


def test_home_is_the_users_or_the_one_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path))
    assert progress.home() == tmp_path
    monkeypatch.delenv(progress.VARIABLE)
    assert progress.home().name == "learn"


START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
PAGES = {"t": Asked(exercises=("one", "two"), questions=("1",))}


def at(days: float) -> datetime.datetime:
    return START + datetime.timedelta(days=days)


def event(days: float, kind: str, item: str = "", **facts: str | bool) -> Event:
    return Event(at=at(days).isoformat(), kind=kind, topic="t", item=item, **facts)  # type: ignore[arg-type]


def state(days: float, *events: Event) -> str:
    return progress.state(progress.standings(events, PAGES).get("t"), at(days))


SOLVED = (
    event(0, "check", "one", passed=True, exercise="v1"),
    event(0, "quiz", "1", passed=True),
    event(0, "check", "two", passed=True, exercise="v1"),
)


def test_states_follow_from_events() -> None:
    assert state(0) == "new"
    assert state(0, event(0, "read")) == "reading"
    assert state(0, event(0, "predict", "1", answer="a")) == "reading"
    assert state(0, event(0, "check", "one")) == "practising"
    assert state(0, *SOLVED[:2]) == "practising"
    assert state(0, *SOLVED) == "done"
    assert state(0, event(0, "skip")) == "skipped"
    assert state(0, event(0, "skip"), event(1, "read")) == "reading"


def test_re_dos_come_after_2_7_and_21_days_and_then_no_more() -> None:
    assert state(1.9, *SOLVED) == "done" and state(2, *SOLVED) == "due"
    merely_checked = (*SOLVED, event(2, "check", "one", passed=True))
    assert state(2, *merely_checked) == "due", "the old answer, checked again, is no re-do"
    events = list(SOLVED)
    for day, wait in ((2, 7), (9, 21), (30, None)):
        name = progress.redo(progress.standings(events, PAGES)["t"], PAGES["t"])
        events += [event(day, "reset", name), event(day, "check", name, passed=True)]
        assert state(day, *events) == "done"
        if wait is not None:
            assert state(day + wait - 0.1, *events) == "done" and state(day + wait, *events) == "due"
    assert state(1000, *events) == "done"


def test_mistakes_guesses_and_looking_at_the_solution_are_remembered() -> None:
    standing = progress.standings(
        [
            event(0, "check", "one", mistake="axis"),
            event(0, "check", "one", mistake="axis"),
            event(0, "solution", "one"),
            *SOLVED,
            event(0, "solution", "two"),
            event(0, "predict", "1", answer="a"),
            event(0, "predict", "1", answer="b"),
        ],
        PAGES,
    )["t"]
    assert standing.mistakes == {"one/axis": 2}
    assert standing.seen == {"one"}, "after solving it, everybody may look"
    assert standing.guesses == {"1": "a"}, "the first guess counts"
    assert progress.changed(standing, {"one": "v1", "two": "v2"}) == ["two"]
