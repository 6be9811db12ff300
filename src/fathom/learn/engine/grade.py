"""The grader: does an answer do the right thing, and if not, which mistake does it make?

A typical mistake is code, not text. An exercise holds wrong twins, functions that make one mistake each and
whose docstring says so. An answer that fails a check and *behaves* like a twin gets the twin's words; any
other gets the numbers of the check. So nobody reads source code to find out what went wrong, and an answer
may be written in any way.

Values are compared by shape and number, in float64 where the exercise draws its cases so, never as printed
text. ``selftest`` is the proof that an exercise means what it says: the solution passes, the starter does
not, and each twin is told its own mistake and no other.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from fathom.fundamentals.mathematics.derivatives import gradient_by_hand
from fathom.learn.engine.verdict import Verdict

ROWS = ("LP06",)  # of the inventory: exercises graded here, by checks that mutants do not pass
Answer = Callable[..., Any]
EMPTY = "Nothing here yet: replace the line that raises NotImplementedError."


class Fail(AssertionError):
    """A check failed; the text is what the learner reads."""


def raised(error: BaseException) -> str:
    """An error of the learner's code, in a sentence."""
    text = str(error).strip().splitlines()
    return f"Your code raised {type(error).__name__}" + (f": {text[0]}" if text else "")


def grade(
    exercise: ModuleType, answer: Answer, seed: int = 0, tell: Callable[[BaseException], str] = raised
) -> Verdict:
    """The verdict on ``answer``: of the first check that fails, or that all passed.

    ``tell`` turns an error of the learner's code into a sentence. A check that measures something may return
    a sentence about it, which is said when all passed.
    """
    measured: list[str] = []
    for name, check in checks(exercise):
        try:
            measured.append(check(answer, seed) or "")
        except NotImplementedError:
            return Verdict(False, name, EMPTY)
        except Exception as error:
            mistake = name_the_mistake(exercise, answer, seed)
            if mistake:
                message = " ".join((inspect.getdoc(twins(exercise)[mistake]) or "").split())
            else:
                message = str(error) if isinstance(error, Fail) else tell(error)
            return Verdict(False, name, message, mistake)
    return Verdict(True, "", " ".join([exercise.PASSED, *filter(None, measured)]))


def checks(exercise: ModuleType) -> list[tuple[str, Callable[[Answer, int], str | None]]]:
    """The checks of an exercise in the order of its file."""
    return [(n.removeprefix("check_"), f) for n, f in vars(exercise).items() if n.startswith("check_")]


def twins(exercise: ModuleType) -> dict[str, Answer]:
    """The wrong twins by name, in the order of the file."""
    return {n.removeprefix("wrong_"): f for n, f in vars(exercise).items() if n.startswith("wrong_")}


def name_the_mistake(exercise: ModuleType, answer: Answer, seed: int) -> str:
    """The first twin that does what this answer does, or ""."""
    seen = behaviour(exercise, answer, seed)
    for name, twin in twins(exercise).items():
        if alike(seen, behaviour(exercise, twin, seed)):
            return name
    return ""


def behaviour(exercise: ModuleType, answer: Answer, seed: int) -> list[Any]:
    """What an answer does, as tensors and words; an error is a behaviour as well."""
    try:
        if hasattr(exercise, "observe"):
            return list(flat(exercise.observe(answer, seed)))
        return list(flat(answer(*exercise.case(seed))))
    except Exception as error:
        return ["raised", type(error).__name__, str(error)]


def flat(value: Any) -> Iterator[Any]:
    """A result as its tensors, in float64, and other things that can be compared."""
    if isinstance(value, Tensor):
        yield value.detach().double() if value.is_floating_point() else value.detach()
    elif isinstance(value, bool | int | float):
        yield torch.tensor(value, dtype=torch.float64)
    elif isinstance(value, nn.Module):
        yield from flat([*value.state_dict().values(), value.training])
    elif isinstance(value, dict):
        yield from flat(list(value.items()))
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from flat(inner)
    else:
        yield repr(value)


def alike(first: list[Any], second: list[Any], rtol: float = 1e-5, atol: float = 1e-7) -> bool:
    """Whether two behaviours are one: as many things, of equal shapes, with equal numbers; NaN equals NaN."""
    if len(first) != len(second):
        return False
    for a, b in zip(first, second, strict=True):
        if isinstance(a, Tensor) != isinstance(b, Tensor):
            return False
        if not isinstance(a, Tensor):
            if a != b:
                return False
        elif a.shape != b.shape or not torch.allclose(a.double(), b.double(), rtol, atol, equal_nan=True):
            return False
    return True


def same(answer: Any, wanted: Any, rtol: float = 1e-5, atol: float = 1e-7) -> bool:
    """Whether an answer has the shapes and numbers that are wanted."""
    return alike(list(flat(answer)), list(flat(wanted)), rtol, atol)


def must_be_tensor(value: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The value, if it is a tensor of ``shape``; otherwise the check fails and says what it is."""
    if not isinstance(value, Tensor):
        raise Fail(f"{what} must be a tensor; yours is {described(value)}")
    if tuple(value.shape) != shape:
        raise Fail(f"{what} has the shape {shape}; yours has {tuple(value.shape)}.")
    return value


def described(value: Any) -> str:
    """What a value is, for people."""
    return "None. Is a return missing?" if value is None else f"of type {type(value).__name__}."


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of a function of one float64 tensor by central differences."""
    return gradient_by_hand(function, x)[0]


def other(name: str) -> Answer:
    """What the learner wrote for another milestone: the function ``name`` of ``name.py`` in their folder.

    The check fails where that cannot be used, and says which milestone it needs first.
    """
    needed = f"This needs your {name}.py"
    try:
        function = getattr(importlib.import_module(name), name)
    except NotImplementedError:
        raise Fail(f"{needed}, which is not written yet.") from None
    except Exception as error:
        raise Fail(f"{needed}, which cannot be used: {raised(error)}") from error

    def call(*given: Any) -> Any:
        try:
            return function(*given)
        except NotImplementedError:
            raise Fail(f"{needed}, which is not written yet.") from None

    return call


class Unproven(AssertionError):
    """An exercise does not do what it promises: a mistake of its author."""


def selftest(exercise: ModuleType, seeds: tuple[int, ...] = (0, 1, 2)) -> int:
    """Prove an exercise; returns how many twins it has. Raises ``Unproven`` with the first thing wrong."""
    name = exercise.__name__.rpartition(".")[2]
    made = twins(exercise)
    if len(made) < 3:
        raise Unproven(f"{name} has {len(made)} wrong twins; at least 3 typical mistakes are wanted")
    for seed in seeds:
        verdict = grade(exercise, exercise.solution, seed)
        if not verdict.passed:
            raise Unproven(f"{name}, seed {seed}: the solution fails at {verdict.check}: {verdict.message}")
        verdict = grade(exercise, exercise.starter, seed)
        if verdict.passed or verdict.message != EMPTY:
            raise Unproven(f"{name}, seed {seed}: the starter is told: {verdict.message}")
        for twin, function in made.items():
            verdict = grade(exercise, function, seed)
            if verdict.passed:
                raise Unproven(f"{name}, seed {seed}: the wrong twin {twin} passes")
            if verdict.mistake != twin:
                raise Unproven(
                    f"{name}, seed {seed}: the twin {twin} is taken for {verdict.mistake or 'none'}"
                )
    return len(made)
