"""The warm-ups of the library as exercises: the same cases, the same judge, and nothing written twice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fathom.fundamentals.mathematics.numpy_warmups import WARMUPS
from fathom.learn.engine import warmup
from fathom.learn.engine.grade import Fail, alike
from fathom.learn.engine.standing import asked_of


def test_ma14_all_twenty_are_on_the_page() -> None:
    asked = asked_of("tensors").exercises
    assert len(asked) == len(WARMUPS) == 20
    assert set(asked) == set(WARMUPS)


@pytest.mark.parametrize("name", list(WARMUPS))
def test_expression_and_loop_pass_and_behave_alike(name: str) -> None:
    ours, by_hand, _ = WARMUPS[name]
    for seed in (0, 1, 2):
        warmup.check(name, ours, seed)
        warmup.check(name, by_hand, seed)
        assert alike(warmup.observe(name, ours, seed), warmup.observe(name, by_hand, seed))


def test_another_seed_draws_other_cases() -> None:
    first, again, other = (warmup.case("mirror", seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_case_is_the_first_that_is_judged() -> None:
    seen: list[Any] = []

    def remember(values: np.ndarray) -> np.ndarray:
        seen.append(values.copy())
        return np.maximum.accumulate(values)

    warmup.check("running_maximum", remember, 3)
    assert len(seen) == warmup.CASES + 1
    assert np.array_equal(seen[0], seen[1]) and np.array_equal(seen[0], warmup.case("running_maximum", 3)[0])


def in_place(images: np.ndarray) -> np.ndarray:
    images[:] = images[:, :, ::-1].copy()
    return images


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("squares", lambda count: np.arange(count + 1) ** 2, "Your answer gave shape"),
        ("squares", lambda count: np.arange(float(count)) ** 2, "Your answer gave dtype float64"),
        ("mirror", lambda images: images, "is right"),
        ("mirror", in_place, "Your answer changed its input"),
        ("accuracy", lambda scores, labels: None, "Your answer gave dtype object"),
    ],
)
def test_what_is_wrong_is_said(name: str, answer: Callable[..., Any], said: str) -> None:
    with pytest.raises(Fail, match=said):
        warmup.check(name, answer, 0)


def test_an_error_of_the_answer_is_its_own() -> None:
    """The grader tells it with the line of the learner's file, and knows an empty starter by it."""

    def empty(count: int) -> np.ndarray:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        warmup.check("squares", empty, 0)


def test_kind_of_numbers_and_touched_input_are_behaviour() -> None:
    whole, mirrored = WARMUPS["squares"][0], WARMUPS["mirror"][0]
    seen = warmup.observe("squares", whole, 0)
    assert not alike(seen, warmup.observe("squares", lambda count: whole(count).astype(np.float64), 0))
    assert not alike(warmup.observe("mirror", mirrored, 0), warmup.observe("mirror", in_place, 0))
