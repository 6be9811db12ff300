"""The warm-ups of ``fathom.fundamentals.mathematics.numpy_warmups`` as exercises of a page.

Question, loop and cases are there, and so is the grader. Here is what an exercise asks for beside them: one
case, what an answer does on all of them, and the verdict as a check. So a warm-up is written once, and a page
and the library cannot disagree about what is right.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.fundamentals.mathematics import numpy_warmups
from fathom.learn.engine.grade import Answer, Fail

CASES = 5  # hidden ones for each seed


def case(name: str, seed: int) -> tuple[Any, ...]:
    """The first hidden case of the warm-up ``name``: arguments for a call."""
    return drawn(name, seed, 1)[0]


def drawn(name: str, seed: int, count: int = CASES) -> list[tuple[Any, ...]]:
    """The cases on which ``numpy_warmups.grade`` judges, in its order."""
    _, _, draw = numpy_warmups.WARMUPS[name]
    dice = np.random.default_rng(seed)
    return [draw(dice) for _ in range(count)]


def observe(name: str, answer: Answer, seed: int) -> list[object]:
    """What an answer does on every hidden case: values, kind of numbers, and what became of its input."""
    seen: list[object] = []
    for given in drawn(name, seed):
        found = np.asarray(answer(*given))
        seen += [as_tensor(found), found.dtype.kind]
        seen += [as_tensor(value) for value in given if isinstance(value, np.ndarray)]
    return seen


def as_tensor(array: np.ndarray) -> Tensor:
    """A copy that the grader can compare; what holds no numbers raises, as a behaviour of its own."""
    return torch.from_numpy(np.array(array, dtype=np.float64))


def check(name: str, answer: Answer, seed: int) -> None:
    """Judge an answer on the hidden cases; the check fails with what is wrong about the first bad one."""
    answer(*case(name, seed))  # what raises here is told with the line of the learner's file
    found = numpy_warmups.grade(name, answer, seed=seed, cases=CASES)
    if not found.passed:
        raise Fail(f"Your answer {found.hint}.")
