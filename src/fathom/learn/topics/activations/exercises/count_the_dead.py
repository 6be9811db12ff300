"""Count dead units.

A layer ended in a ReLU. You get what came out: a row for each example, a column for each unit. Return how
many units are dead: 0 for **every** example. Return a whole number.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described

HINTS = (
    "outputs == 0 is a table of True and False. Which axis are the examples?",
    ".all(dim=...) asks whether all along an axis are True.",
    "Ask along the examples, dim=0. Then count the True: int(....sum()).",
)
PASSED = "This is what the library's dead_units counts, and a report of a run shows."


def starter(outputs: Tensor) -> int:
    """For outputs (examples, units) of a ReLU return the number of dead units."""
    raise NotImplementedError


def solution(outputs: Tensor) -> int:
    """For outputs (examples, units) of a ReLU return the number of dead units."""
    return int((outputs == 0).all(dim=0).sum())


def wrong_all_zeros(outputs: Tensor) -> int:
    """You counted all zeros.

    A ReLU is 0 for about half of the examples; a unit is dead if it is 0 for all of them.
    """
    return int((outputs == 0).sum())


def wrong_examples(outputs: Tensor) -> int:
    """You counted examples for which every unit is 0. Ask along the other axis: units are columns."""
    return int((outputs == 0).all(dim=1).sum())


def wrong_any(outputs: Tensor) -> int:
    """You counted units that are 0 for some example. Nearly every unit is: dead means 0 for all of them."""
    return int((outputs == 0).any(dim=0).sum())


def wrong_alive(outputs: Tensor) -> int:
    """You counted the units that are alive."""
    return int((outputs != 0).any(dim=0).sum())


def wrong_share(outputs: Tensor) -> float:
    """You returned a share. The question is how many: a whole number."""
    return float((outputs == 0).all(dim=0).double().mean())


def wrong_mean(outputs: Tensor) -> int:
    """You looked for a mean of 0, rounded. A unit that answers a little, or rarely, is not dead."""
    return int((outputs.mean(dim=0) < 0.05).sum())


def case(seed: int) -> tuple[Tensor]:
    """Seven examples, nine units: three are dead, one is alive only a little, one example has no answer."""
    dice = torch.Generator().manual_seed(seed)
    outputs = torch.rand(7, 9, generator=dice, dtype=torch.float64) + 0.2
    outputs = outputs * (torch.rand(7, 9, generator=dice) > 0.4)
    outputs[1] = 0.5
    outputs[:, [0, 4, 7]] = 0
    outputs[:, 2] = 0
    outputs[3, 2] = 0.01
    outputs[5] = 0
    return (outputs,)


def check_whole(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if isinstance(found, bool) or not isinstance(found, int):
        raise Fail(f"Return a whole number; yours is {described(found)}")


def check_count(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if found != 3:
        raise Fail(f"Of nine units three are 0 for all seven examples; you counted {found}.")


def check_none(answer: Answer, seed: int) -> None:
    if answer(torch.ones(2, 5)) != 0:
        raise Fail("Where every unit answers, none is dead.")
    if answer(torch.zeros(2, 5)) != 5:
        raise Fail("Where no unit answers, all five are dead.")
