r"""Write Adam.

You get a weight, the slopes that it meets at each step, a learning rate, two shares and a tiny number. Both
means begin as 0, and $t$ counts the steps from 1. At each step

$$ u \leftarrow b_1 u + (1 - b_1) g \qquad s \leftarrow b_2 s + (1 - b_2) g^2 $$

$$ w \leftarrow w - r \, \frac{u / (1 - b_1^t)}{\sqrt{s / (1 - b_2^t)} + e} $$

Return a list with the weight after each step.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, described, same

HINTS = (
    "Keep the weight, two means and the number of the step. enumerate(gradients, 1) counts from 1.",
    "Correct the means when you use them, and do not store the corrected ones: they must go on as they are.",
    "honest_u = u / (1 - b1**t), honest_s = s / (1 - b2**t), step = rate * honest_u / (honest_s.sqrt() + e).",
)
PASSED = "The same path as torch.optim.Adam, step by step."


def starter(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """For a weight and slopes of its shape return the weight after each step."""
    raise NotImplementedError


def solution(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """For a weight and slopes of its shape return the weight after each step."""
    u, s, path = torch.zeros_like(weight), torch.zeros_like(weight), []
    for t, g in enumerate(gradients, 1):
        u = b1 * u + (1 - b1) * g
        s = b2 * s + (1 - b2) * g**2
        weight = weight - rate * (u / (1 - b1**t)) / ((s / (1 - b2**t)).sqrt() + e)
        path.append(weight)
    return path


def walk(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float, *,
    corrected: str = "both", first: int = 1, root: str = "outside", square_of_mean: bool = False,
    stored: bool = False,
) -> list[Tensor]:  # fmt: skip
    """Adam with one thing changed, for the twins."""
    u, s, path = torch.zeros_like(weight), torch.zeros_like(weight), []
    for t, g in enumerate(gradients, first):
        u = b1 * u + (1 - b1) * g
        s = b2 * s + (1 - b2) * (u if square_of_mean else g) ** 2
        honest_u = u / (1 - b1**t) if corrected == "both" else u
        honest_s = s / (1 - b2**t) if corrected in ("both", "square") else s
        if stored:
            u, s = honest_u, honest_s
        size = {"outside": honest_s.sqrt() + e, "inside": (honest_s + e).sqrt(), "none": honest_s + e}[root]
        weight = weight - rate * honest_u / size
        path.append(weight)
    return path


def wrong_no_correction(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """The means are used as they are. They began as 0 and are too small at first.

    Divide by 1 - b to the t.
    """
    return walk(weight, gradients, rate, b1, b2, e, corrected="none")


def wrong_half_corrected(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """Only the mean of squares is corrected. The mean of slopes began as 0 too."""
    return walk(weight, gradients, rate, b1, b2, e, corrected="square")


def wrong_count_from_zero(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """You counted steps from 0. Then the first correction divides by 1 - 1 = 0: count from 1."""
    return walk(weight, gradients, rate, b1, b2, e, first=0)


def wrong_no_root(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """You divided by the mean of squares. Its root is the usual size of a slope."""
    return walk(weight, gradients, rate, b1, b2, e, root="none")


def wrong_tiny_inside(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """The tiny number stands under the root. It is added after the root: sqrt(s) + e."""
    return walk(weight, gradients, rate, b1, b2, e, root="inside")


def wrong_square_of_the_mean(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """You squared the mean of slopes. s is the mean of squared slopes: g squared goes in."""
    return walk(weight, gradients, rate, b1, b2, e, square_of_mean=True)


def wrong_shares_exchanged(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """The two shares are exchanged: b1 belongs to the mean of slopes, b2 to the mean of squares."""
    return walk(weight, gradients, rate, b2, b1, e)


def wrong_stored(
    weight: Tensor, gradients: list[Tensor], rate: float, b1: float, b2: float, e: float
) -> list[Tensor]:
    """You stored the corrected means, so they are corrected again at the next step. Keep them as they are."""
    return walk(weight, gradients, rate, b1, b2, e, stored=True)


def case(seed: int) -> tuple[Tensor, list[Tensor], float, float, float, float]:
    """The tiny number is not tiny here, so that its place can be seen."""
    dice = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, generator=dice, dtype=torch.float64)
    scale = torch.tensor([1.0, 10.0, 0.1], dtype=torch.float64)
    gradients = [torch.randn(3, generator=dice, dtype=torch.float64) * scale for _ in range(6)]
    return weight, gradients, 0.1, 0.8, 0.95, 0.01


def check_list(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, list):
        raise Fail(f"Return a list of weights, one for each step; yours is {described(found)}")
    if len(found) != 6:
        raise Fail(f"Six slopes make six steps; your list holds {len(found)} weights.")


def check_first_step(answer: Answer, seed: int) -> None:
    one = torch.ones(2, dtype=torch.float64)
    slopes = torch.tensor([1000.0, 0.001], dtype=torch.float64)
    (found,) = answer(one, [slopes], 0.1, 0.9, 0.999, 1e-12)
    if not same(found, one - 0.1, atol=1e-5):
        raise Fail(
            "Whatever the slopes, the first step is one learning rate long: from 1 to 0.9 for slopes of 1000"
            f" and 0.001; yours ends at {found.tolist()}."
        )


def check_path(answer: Answer, seed: int) -> None:
    wanted = solution(*case(seed))
    for step, (mine, right) in enumerate(zip(answer(*case(seed)), wanted, strict=True), 1):
        if not same(mine, right):
            wanted_here, found_here = ([round(v, 4) for v in place.tolist()] for place in (right, mine))
            raise Fail(f"After step {step} the weight is {wanted_here}; yours is {found_here}.")
