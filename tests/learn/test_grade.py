"""The grader: verdicts, mistakes by their behaviour, and the proof of an exercise."""

import copy
from types import ModuleType

import pytest
import torch
from tests.learn import doubling
from torch import Tensor, nn

from fathom.learn.engine import grade as grader
from fathom.learn.engine.exercise import read
from fathom.learn.engine.forbidden import forbidden_word
from fathom.learn.engine.grade import EMPTY, Unproven, grade, same, selftest


def altered(**changes: object) -> ModuleType:
    made = ModuleType("doubling")
    vars(made).update(copy.copy(vars(doubling)) | changes)
    return made


def test_an_exercise_proves_itself() -> None:
    assert selftest(doubling) == 3


def test_verdicts() -> None:
    assert grade(doubling, lambda x: x + x).passed
    assert grade(doubling, lambda x: x + x).message == "Twice as much."
    assert grade(doubling, doubling.starter).message == EMPTY
    squared = grade(doubling, lambda x: x**2, seed=5)
    assert (squared.check, squared.mistake, squared.message) == (
        "value",
        "square",
        "You squared the numbers.",
    )
    unknown = grade(doubling, lambda x: 3 * x)
    assert unknown.mistake == "" and unknown.message.startswith("Of ")
    nothing = grade(doubling, lambda x: None)
    assert nothing.message == "The answer must be a tensor; yours is None. Is a return missing?"
    assert grade(doubling, lambda x: x[:2]).message == "The answer has the shape (3,); yours has (2,)."


def test_an_error_is_a_behaviour_too() -> None:
    same_error = grade(doubling, lambda x: x @ torch.cat((x, x)))
    assert same_error.mistake == "shape"
    other = grade(doubling, lambda x: x.nonsense)
    assert other.mistake == "" and "AttributeError" in other.message


def test_values_are_compared_by_shape_and_number() -> None:
    assert same(2.0, torch.tensor(2.0)) and same([1, torch.ones(2)], (1, torch.ones(2)))
    assert not same(torch.ones(1), torch.ones(1, 1)) and not same(torch.ones(1), torch.tensor(1.0))
    assert not same((1,), (1, 2)) and not same("a", 1.0) and same("a", "a")
    assert same(torch.tensor(float("nan")), torch.tensor(float("nan")))
    assert same({"a": 1.0}, {"a": 1.0}) and not same({"a": 1.0}, {"b": 1.0})
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    assert same(first, copy.deepcopy(first)) and not same(first, second)
    assert not same(first, copy.deepcopy(first).eval()), "training mode is part of what a model is"


def test_slopes_are_those_of_the_function() -> None:
    x = torch.tensor([0.5, -2.0], dtype=torch.float64)
    assert torch.allclose(grader.slope(lambda t: (t**3).sum(), x), 3 * x**2, atol=1e-8)


def wrong_also(x: Tensor) -> Tensor:
    """The same as another twin."""
    return x * x


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"solution": lambda x: 3 * x}, "the solution fails at value"),
        ({"starter": lambda x: 2 * x}, "the starter is told: Twice as much."),
        ({"wrong_right": lambda x: x + x}, "the wrong twin right passes"),
        ({"wrong_also": wrong_also}, "the twin also is taken for square"),
    ],
)
def test_an_exercise_that_does_not_hold_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(Unproven, match=said):
        selftest(altered(**changes))


def test_three_mistakes_are_wanted() -> None:
    made = altered()
    del vars(made)["wrong_sum"]
    with pytest.raises(Unproven, match="has 2 wrong twins"):
        selftest(made)


def test_the_text_of_an_exercise() -> None:
    from pathlib import Path

    made = read("tests", Path(doubling.__file__))
    assert made.statement.startswith("Return the numbers doubled.") and made.hints == ("Multiply.", "By two.")
    assert "def doubling(x: Tensor) -> Tensor:" in made.starter and "starts red on purpose" in made.starter
    assert "fathom.learn" not in made.starter and "import torch" in made.starter
    assert made.mistakes["square"] == "You squared the numbers."
    made_module: dict[str, object] = {}
    exec(made.solution, made_module)
    assert grade(doubling, made_module["doubling"]).passed  # type: ignore[arg-type]


def test_forbidden_words_are_found_wherever_they_come_in() -> None:
    rules = {"autograd": "no slope is needed", "loop": "tensors do it at once"}
    for code in (
        "import torch.autograd", "from torch import autograd", "from torch.autograd import grad",
        "torch.autograd.grad(y, x)", "getattr(torch, 'autograd')", "autograd(x)",
    ):  # fmt: skip
        assert forbidden_word(code, rules)[0] == "autograd", code
    assert forbidden_word("for i in x: pass", rules) == ("loop", "tensors do it at once")
    assert forbidden_word("# autograd\nx = 'autograd'", rules) == ("", "")
    assert forbidden_word("def (", rules) == ("", "")
