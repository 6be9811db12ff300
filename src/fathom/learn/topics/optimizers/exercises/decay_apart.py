r"""Shrink the weights apart from the slope.

An optimizer is about to lower the weights by $r \, g / \sqrt{s}$: the slope $g$, divided by its usual size
$\sqrt{s}$, times the learning rate. You get this usual size, its root already taken, as `size`. Weight decay
of strength $c$ is to shrink the weights as well, as AdamW does it: apart from the slope, by the share $r c$
of what they were **before** the step.

Return the new weights.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "Two things are taken from the old weights: the step, and a share of the weights themselves.",
    "The step is rate * g / size. The share is rate * decay * weight, and size has no business in it.",
    "weight - rate * g / size - rate * decay * weight",
)
PASSED = "That one line is the difference between Adam with a penalty and AdamW."


def starter(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """For weights, slopes and usual sizes of one shape return the new weights."""
    raise NotImplementedError


def solution(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """For weights, slopes and usual sizes of one shape return the new weights."""
    return weight - rate * g / size - rate * decay * weight


def wrong_in_the_slope(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """You added the decay to the slope, so it was divided by the usual size too. Subtract it apart.

    Otherwise weights with small slopes are pulled far more than others.
    """
    return weight - rate * (g + decay * weight) / size


def wrong_no_decay(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """The weights do not shrink: the decay is missing."""
    return weight - rate * g / size


def wrong_without_rate(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """The weights shrink by the share c at each step. It is r times c, so that it fades with the rate."""
    return weight - rate * g / size - decay * weight


def wrong_growing(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """The weights grow: the share is subtracted, not added."""
    return weight - rate * g / size + rate * decay * weight


def wrong_after_the_step(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """You shrank the weights after the step, so the step shrank with them.

    Take the share of the old weights.
    """
    return (weight - rate * g / size) * (1 - rate * decay)


def wrong_same_for_all(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """You took the same amount off every weight. A share is wanted: large weights lose more."""
    return weight - rate * g / size - rate * decay * weight.sign()


def wrong_sizes_ignored(weight: Tensor, g: Tensor, size: Tensor, rate: float, decay: float) -> Tensor:
    """The slope was not divided by its usual size."""
    return weight - rate * g - rate * decay * weight


def case(seed: int) -> tuple[Tensor, Tensor, Tensor, float, float]:
    dice = torch.Generator().manual_seed(seed)
    weight, g = (torch.randn(4, generator=dice, dtype=torch.float64) for _ in range(2))
    size = torch.tensor([0.01, 0.5, 2.0, 30.0], dtype=torch.float64)
    return weight, g * size, size, 0.1, 0.2


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (4,), "The result")


def check_no_slope(answer: Answer, seed: int) -> None:
    weight, g, size, rate, decay = case(seed)
    found = answer(weight.clone(), torch.zeros_like(g), size.clone(), rate, decay)
    if not same(found, weight * (1 - rate * decay)):
        told = [round(v, 3) for v in (found / weight).tolist()]
        raise Fail(f"Without any slope each weight keeps 0.98 of itself; yours keep {told}.")


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    if not same(found, wanted):
        place = int((found - wanted).abs().argmax())
        raise Fail(f"Weight {place} becomes {float(wanted[place]):.4f}; yours {float(found[place]):.4f}.")


def check_untouched(answer: Answer, seed: int) -> None:
    given = case(seed)
    answer(*given)
    if not same(given[:3], case(seed)[:3]):
        raise Fail("You changed a tensor that you were given. Make a new one.")
