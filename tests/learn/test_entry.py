"""Entry tests: a passed one takes topics as known, and the learner stands behind them on the map."""

import dataclasses
from pathlib import Path

import pytest
from tests.learn.asking import Browser

from fathom.learn.engine import curriculum, exercise, verdict
from fathom.learn.engine.curriculum import MapError
from fathom.learn.engine.parse import PageError, make_head
from fathom.learn.engine.progress import Log
from fathom.learn.engine.standing import asked_of, desk, place
from fathom.learn.engine.verdict import Verdict
from fathom.learn.engine.worker import Worker

PAGE, ARRAYS, SLOPES = "tensors", "entry_arrays", "entry_slopes"
HEAD = {"title": "A", "level": "beginner", "group": "Training", "goal": "see", "minutes": 30}


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What the grader will say, one after the other; what is not listed passes."""
    listed: list[bool] = []

    def judge(*given: object) -> Verdict:
        passed = listed.pop(0) if listed else True
        return Verdict(passed, "" if passed else "value", "Right." if passed else "No.")

    monkeypatch.setattr(verdict, "judge", judge)
    return listed


def take(home: Path, name: str, slug: str = PAGE) -> Verdict:
    return verdict.check(Worker(many=False), home, exercise.exercise(slug, name))


@pytest.mark.usefixtures("verdicts")
def test_ma14_an_entry_test_places_the_learner(tmp_path: Path) -> None:
    """Whoever passes both parts goes on behind both pages; what needs them is now the next."""
    begin = [head.slug for head in desk(tmp_path).suggestions()]
    assert {"chain-rule", PAGE} <= set(begin) and "activations" not in begin
    told = take(tmp_path, ARRAYS).message
    assert told == "Right. Taken as known from now on: Tensors: the tool."
    assert desk(tmp_path).state(PAGE) == "skipped" and desk(tmp_path).state("chain-rule") == "new"
    take(tmp_path, SLOPES)  # on the page of the first: it does not take that up again
    here = desk(tmp_path)
    assert {PAGE, "chain-rule"} <= here.done()
    onward = [head.slug for head in here.suggestions()]
    assert "activations" in onward and not {PAGE, "chain-rule"} & set(onward)


def test_a_failed_one_places_nobody(tmp_path: Path, verdicts: list[bool]) -> None:
    verdicts.append(False)
    assert take(tmp_path, ARRAYS).message == "No."
    assert desk(tmp_path).done() == set()


@pytest.mark.usefixtures("verdicts")
def test_a_solution_that_was_looked_at_places_nobody(tmp_path: Path) -> None:
    Log(tmp_path).append("solution", PAGE, ARRAYS)
    assert take(tmp_path, ARRAYS).message == "Right."
    assert desk(tmp_path).done() == set()


@pytest.mark.usefixtures("verdicts")
def test_what_is_done_stays_done(tmp_path: Path) -> None:
    asked = asked_of("chain-rule")
    for name in asked.exercises:
        Log(tmp_path).append("check", "chain-rule", name, passed=True)
    for number in asked.questions:
        Log(tmp_path).append("quiz", "chain-rule", number, passed=True)
    assert take(tmp_path, SLOPES).message == "Right."
    assert desk(tmp_path).state("chain-rule") == "done"


@pytest.mark.usefixtures("verdicts")
def test_passing_twice_is_passing_once(tmp_path: Path) -> None:
    take(tmp_path, ARRAYS)
    assert take(tmp_path, ARRAYS).message == "Right."
    assert sum(event.kind == "skip" for event in Log(tmp_path).events()) == 1


@pytest.mark.usefixtures("verdicts")
def test_an_ordinary_exercise_places_nobody_and_takes_a_topic_up_again(tmp_path: Path) -> None:
    take(tmp_path, ARRAYS)
    assert take(tmp_path, "squares").message == "Right."
    assert desk(tmp_path).state(PAGE) == "practising"


def test_nobody_must_take_it(tmp_path: Path) -> None:
    asked = asked_of(PAGE)
    assert set(asked.entry) == {ARRAYS, SLOPES} and not set(asked.entry) & set(asked.exercises)
    for name in asked.exercises:
        Log(tmp_path).append("check", PAGE, name, passed=True)
    for number in asked.questions:
        Log(tmp_path).append("quiz", PAGE, number, passed=True)
    assert desk(tmp_path).state(PAGE) == "done" and desk(tmp_path).left(PAGE) == []


def test_an_open_page_that_is_known_stays_known(tmp_path: Path) -> None:
    """A script says after a few seconds that the page was read; only the button takes it up again."""
    browser = Browser(tmp_path)
    Log(tmp_path).append("skip", PAGE)
    assert browser.post(f"/topic/{PAGE}/read", x_part="1").status == 204
    assert desk(tmp_path).state(PAGE) == "skipped"
    assert browser.post(f"/topic/{PAGE}/read").status == 303
    assert desk(tmp_path).state(PAGE) == "reading"


def test_an_exercise_of_no_page_places_nobody(tmp_path: Path) -> None:
    stray = dataclasses.replace(exercise.exercise(PAGE, ARRAYS), topic="elsewhere")
    assert place(tmp_path, stray) == []


def test_every_entry_test_is_an_exercise_of_its_page() -> None:
    for slug, head in curriculum.heads().items():
        assert set(head.entry) <= set(exercise.exercises(slug) if head.written else ()), slug


@pytest.mark.parametrize("entry", [{"one": "a"}, {"one": []}, {"one": [1]}])
def test_an_entry_test_lists_topics(entry: dict[str, object]) -> None:
    with pytest.raises(PageError, match=r"entry\.one is .* must be a list of topics"):
        make_head("a", HEAD | {"entry": entry}, "a/topic.md")


def test_it_vouches_for_topics_that_exist() -> None:
    made = make_head("a", HEAD | {"entry": {"one": ["nowhere"]}}, "a/topic.md")
    with pytest.raises(MapError, match="a: the entry test one vouches for 'nowhere', which does not exist"):
        curriculum.ordered({"a": made})


@pytest.mark.slow
@pytest.mark.parametrize("name", [ARRAYS, SLOPES])
def test_the_solution_places_in_the_sandbox(tmp_path: Path, name: str) -> None:
    made = exercise.exercise(PAGE, name)
    exercise.begin(tmp_path, made).write_text(made.solution, encoding="utf-8")
    told = take(tmp_path, name)
    assert told.passed and "Taken as known" in told.message, told
    assert desk(tmp_path).done() == set(curriculum.find(PAGE).entry[name])
