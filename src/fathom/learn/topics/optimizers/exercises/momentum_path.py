r"""Write momentum.

You get a weight, the slopes that it meets at each step, a learning rate and a momentum. The velocity begins
as 0. At each step

$$ v \leftarrow m v + g \qquad w \leftarrow w - r v $$

Return a list with the weight after each step.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described, same

HINTS = (
    "Keep two things: the weight and its velocity. Both change at each step.",
    "First the velocity takes in the new slope, then the weight moves by the new velocity.",
    "velocity = momentum * velocity + gradient, then weight = weight - rate * velocity.",
)
PASSED = "The same path as torch.optim.SGD with momentum, step by step."


def starter(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """For a weight and slopes of its shape return the weight after each step."""
    raise NotImplementedError


def solution(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """For a weight and slopes of its shape return the weight after each step."""
    velocity, path = torch.zeros_like(weight), []
    for gradient in gradients:
        velocity = momentum * velocity + gradient
        weight = weight - rate * velocity
        path.append(weight)
    return path


def wrong_no_memory(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """The velocity is forgotten at each step: that is plain descent. Make it once, before the loop."""
    return solution(weight, gradients, rate, 0.0)


def wrong_mean(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """You took a mean, with 1 - m for the new slope. That is Adam's way; here the whole slope is added."""
    return solution(weight, [(1 - momentum) * g for g in gradients], rate, momentum)


def wrong_old_velocity(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """The weight moves by the velocity of the step before. Take the new slope in first, then move."""
    velocity, path = torch.zeros_like(weight), []
    for gradient in gradients:
        weight = weight - rate * velocity
        velocity = momentum * velocity + gradient
        path.append(weight)
    return path


def wrong_uphill(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """You walk uphill: the velocity is made of slopes, so subtract it."""
    return solution(weight, gradients, -rate, momentum)


def wrong_slope_kept(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """You multiplied the slope by the momentum. It is the velocity of which a share is kept."""
    velocity, path = torch.zeros_like(weight), []
    for gradient in gradients:
        velocity = velocity + momentum * gradient
        weight = weight - rate * velocity
        path.append(weight)
    return path


def wrong_nothing_lost(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """The velocity keeps everything: the momentum is not used, and nothing ever slows down."""
    return solution(weight, gradients, rate, 1.0)


def wrong_same_tensor(weight: Tensor, gradients: list[Tensor], rate: float, momentum: float) -> list[Tensor]:
    """All entries of your path are the last weight: you kept one tensor and changed it (-= does)."""
    path = solution(weight, gradients, rate, momentum)
    return [path[-1]] * len(path)


def case(seed: int) -> tuple[Tensor, list[Tensor], float, float]:
    dice = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, generator=dice, dtype=torch.float64)
    gradients = [torch.randn(3, generator=dice, dtype=torch.float64) for _ in range(5)]
    return weight, gradients, 0.1, 0.8 + 0.05 * seed


def check_list(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, list):
        raise Fail(f"Return a list of weights, one for each step; yours is {described(found)}")
    if len(found) != 5:
        raise Fail(f"Five slopes make five steps; your list holds {len(found)} weights.")


def check_path(answer: Answer, seed: int) -> None:
    wanted = solution(*case(seed))
    for step, (mine, right) in enumerate(zip(answer(*case(seed)), wanted, strict=True), 1):
        if not same(mine, right):
            wanted_here, found_here = ([round(v, 4) for v in place.tolist()] for place in (right, mine))
            raise Fail(f"After step {step} the weight is {wanted_here}; yours is {found_here}.")


def check_untouched(answer: Answer, seed: int) -> None:
    weight, gradients, rate, momentum = case(seed)
    answer(weight, gradients, rate, momentum)
    if not same((weight, gradients), case(seed)[:2]):
        raise Fail("You changed a tensor that you were given. Make new ones.")
