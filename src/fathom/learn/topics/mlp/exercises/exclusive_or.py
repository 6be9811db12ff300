"""Choose the weights yourself.

Find weights for a network with 2 inputs, 2 hidden units with a ReLU, and 1 output, so that it answers

    0, 0 -> 0        0, 1 -> 1        1, 0 -> 1        1, 1 -> 0

exactly. Return four tensors: the weight (2, 2) and the bias (2,) of the hidden layer, and the weight (1, 2)
and the bias (1,) of the output. Any that work will do.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor

HINTS = (
    "Let both hidden units look at the sum of the inputs: 0, 1, 1 or 2. What must come out of these?",
    "One unit answers the sum. The other one wakes up only when the sum is more than 1: give it a bias.",
    "The output needs 0, 1, 1, 0. The first unit gives 0, 1, 1, 2, the second one 0, 0, 0, 1.",
)
PASSED = "Two bends do what no straight line can. Learning finds such weights; you found them by thought."
CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
WANTED = (0.0, 1.0, 1.0, 0.0)


def starter() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weight (2, 2) and bias (2,) of the hidden layer, weight (1, 2) and bias (1,) of the output."""
    raise NotImplementedError


def solution() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weight (2, 2) and bias (2,) of the hidden layer, weight (1, 2) and bias (1,) of the output."""
    return (
        torch.tensor([[1.0, 1.0], [1.0, 1.0]]),
        torch.tensor([0.0, -1.0]),
        torch.tensor([[1.0, -2.0]]),
        torch.tensor([0.0]),
    )


def wrong_or() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Your network says 1 for (1, 1) as well. That is "one or both": take more away when both are 1."""
    weight, bias, _, last = solution()
    return weight, bias, torch.tensor([[1.0, -1.0]]), last


def wrong_sum() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Your network adds its inputs: 0, 1, 1, 2. The second unit must take something away at (1, 1)."""
    weight, bias, _, last = solution()
    return weight, bias, torch.tensor([[1.0, 0.0]]), last


def wrong_and() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Your network says 1 only when both are 1. That is half of what is needed: take it away from the sum."""
    weight, bias, _, last = solution()
    return weight, bias, torch.tensor([[0.0, 1.0]]), last


def wrong_opposite() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All four answers are the wrong way round.

    Turn the signs of the last weights, and mind the last bias.
    """
    weight, bias, out, last = solution()
    return weight, bias, -out, last + 1


def wrong_same_units() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Both hidden units answer the same, and cancel: every answer is 0. Give one of them another bias."""
    weight, bias, _, last = solution()
    return weight, torch.zeros_like(bias), torch.tensor([[1.0, -1.0]]), last


def wrong_one_side() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Your network answers the first input alone. The second one must count as much."""
    _, bias, _, last = solution()
    return torch.tensor([[1.0, 0.0], [0.0, 0.0]]), bias * 0, torch.tensor([[1.0, 0.0]]), last


def wrong_undecided() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Your network says 1/2 everywhere. It is the best that a straight line can do here: use the bends."""
    weight, bias, out, last = solution()
    return weight, bias, out * 0, last + 0.5


def case(seed: int) -> tuple[()]:
    return ()


def observe(answer: Answer, seed: int) -> Tensor:
    """What the network answers in the four corners."""
    weight, bias, out, last = answer()
    x = torch.tensor(CORNERS)
    return ((x @ weight.T + bias).clamp(min=0) @ out.T + last)[:, 0]


def check_shapes(answer: Answer, seed: int) -> None:
    found = answer()
    if not isinstance(found, tuple) or len(found) != 4:
        raise Fail("Return four tensors: hidden weight, hidden bias, output weight, output bias.")
    names = ("hidden weight", "hidden bias", "output weight", "output bias")
    for value, shape, name in zip(found, ((2, 2), (2,), (1, 2), (1,)), names, strict=True):
        must_be_tensor(value, shape, f"The {name}")
        if not value.is_floating_point():
            raise Fail(f"The {name} must hold numbers with a point: write 1.0, not 1.")


def check_corners(answer: Answer, seed: int) -> None:
    for corner, found, wanted in zip(CORNERS, observe(answer, seed), WANTED, strict=True):
        if abs(float(found) - wanted) > 1e-5:
            told = f"For the inputs {corner[0]:g} and {corner[1]:g} it must answer {wanted:g}"
            raise Fail(f"{told}; yours answers {float(found):.3g}.")
