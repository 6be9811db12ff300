"""What is suggested: nothing is locked, so what was begun goes on wherever it lies on the map."""

from pathlib import Path

import pytest
from tests.learn.asking import Browser

from fathom.learn.engine import curriculum, exercise
from fathom.learn.engine.progress import Log
from fathom.learn.engine.standing import desk
from fathom.learn.engine.worker import Worker
from fathom.learn.terminal import practice
from fathom.learn.terminal.watching import Watch

SLUG = "backprop"  # it needs topics that nobody has done here


def solve(home: Path, slug: str, *names: str) -> None:
    for name in names:
        Log(home).append("check", slug, name, passed=True)


def test_a_topic_begun_out_of_order_comes_first(tmp_path: Path) -> None:
    first, second, *_ = exercise.exercises(SLUG)
    solve(tmp_path, SLUG, first)
    here = desk(tmp_path)
    assert curriculum.find(SLUG) not in curriculum.ready(here.done())
    slugs = [head.slug for head in here.suggestions()]
    assert slugs[0] == SLUG and len(slugs) == len(set(slugs)) > 3
    assert practice.chosen(None, here) == (SLUG, second)
    cards = Browser(tmp_path).get("/").text.partition('id="next"')[2]
    assert cards.partition("</section>")[0].index(f'href="/topic/{SLUG}"') < 100


def test_one_that_was_only_opened_comes_too_and_one_that_is_known_does_not(tmp_path: Path) -> None:
    Log(tmp_path).append("read", SLUG)
    assert desk(tmp_path).suggestions()[0].slug == SLUG
    Log(tmp_path).append("skip", SLUG)
    assert SLUG not in [head.slug for head in desk(tmp_path).suggestions()]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_n_stays_in_the_topic_while_something_is_left_there(tmp_path: Path, place: int) -> None:
    slug = "gradient-descent"
    names = exercise.exercises(slug)
    watch = Watch(Worker(), tmp_path, f"{slug}/{names[place]}", lambda text: None)
    met = [names[place]]
    for _ in names[1:]:
        solve(tmp_path, slug, met[-1])
        assert watch.press("n")
        assert watch.exercise.topic == slug
        met.append(watch.exercise.name)
    assert met == names[place:] + names[:place]
    solve(tmp_path, slug, met[-1])
    assert watch.press("n") and watch.exercise.topic != slug


def test_n_passes_over_what_is_not_solved_yet(tmp_path: Path) -> None:
    first, second, *_ = exercise.exercises(SLUG)
    watch = Watch(Worker(), tmp_path, f"{SLUG}/{first}", lambda text: None)
    assert watch.press("n") and watch.exercise.key == f"{SLUG}/{second}"


def test_what_was_done_is_told_in_whole_sentences(tmp_path: Path) -> None:
    """Each kind of event once, with one "of" at most."""
    first = exercise.exercises(SLUG)[0]
    log = Log(tmp_path)
    log.append("read", SLUG)
    log.append("predict", SLUG, "1", answer="a")
    log.append("quiz", SLUG, "2", passed=True)
    for kind in ("hint", "check", "solution", "reset"):
        log.append(kind, SLUG, first)
    log.append("skip", SLUG)
    told = Browser(tmp_path).get("/progress").text.partition('class="log"')[2].partition("</ul>")[0]
    title = f'<a href="/topic/{SLUG}">{curriculum.find(SLUG).title}</a>'
    assert " of of " not in told
    for said in (
        f"UTC</time> read {title}", f"guessed before a figure of {title}",
        f"answered question 2 of {title}: right",
        f"took a hint for {first} of {title}", f"checked {first} of {title}: not yet",
        f"looked at a solution of {first} of {title}", f"began anew {first} of {title}",
        f"took as known {title}",
    ):  # fmt: skip
        assert said in told, said
