"""Write the backward pass of a ReLU.

The ReLU got `z` and put out 0 where z was negative, and z elsewhere. Now `g` arrives: the slope of the loss
in each entry of what came out. Return the slope of the loss in each entry of z. At z = 0 it is 0.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "Each entry goes its own way. What is the slope of a ReLU at a positive z, and at a negative one?",
    "What arrives passes where z is positive, and nothing passes elsewhere.",
    "(z > 0) is a table of True and False; it can be multiplied with g.",
)
PASSED = "What arrives passes, or it does not. That is all a ReLU does on the way back."
FORBIDDEN = {
    "autograd": "the point is to find the slopes yourself",
    "backward": "the point is to find the slopes yourself",
}


def starter(z: Tensor, g: Tensor) -> Tensor:
    """For z and g of one shape return the slope of the loss in z, of that shape."""
    raise NotImplementedError


def solution(z: Tensor, g: Tensor) -> Tensor:
    """For z and g of one shape return the slope of the loss in z, of that shape."""
    return g * (z > 0)


def wrong_all_passes(z: Tensor, g: Tensor) -> Tensor:
    """You let everything pass. Where z was negative the ReLU is flat, and nothing passes."""
    return g.clone()


def wrong_mask_of_g(z: Tensor, g: Tensor) -> Tensor:
    """You cut off negative slopes. It is the sign of z that decides; g may be negative and must pass."""
    return g.clamp(min=0)


def wrong_both(z: Tensor, g: Tensor) -> Tensor:
    """You also cut off negative slopes. Only the sign of z decides what passes."""
    return g.clamp(min=0) * (z > 0)


def wrong_times_z(z: Tensor, g: Tensor) -> Tensor:
    """You multiplied by the value of the ReLU. Multiply by its slope, which is 1 where z is positive."""
    return g * z.clamp(min=0)


def wrong_slope_alone(z: Tensor, g: Tensor) -> Tensor:
    """That is the slope of the ReLU alone. Multiply it by what arrives, g."""
    return (z > 0).to(g.dtype)


def wrong_sides(z: Tensor, g: Tensor) -> Tensor:
    """The sides are exchanged: slopes pass where z is positive."""
    return g * (z < 0)


def wrong_at_zero(z: Tensor, g: Tensor) -> Tensor:
    """Right but at z = 0 itself. There is a corner; the agreement is that nothing passes.

    Z > 0, not z >= 0.
    """
    return g * (z >= 0)


def case(seed: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    z, g = (torch.randn(5, 4, generator=dice, dtype=torch.float64) for _ in range(2))
    z[1, 2] = 0
    return z, g


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (5, 4), "The slope in z")


def check_entries(answer: Answer, seed: int) -> None:
    z, g = case(seed)
    found, wanted = answer(z.clone(), g.clone()), solution(z, g)
    for place in range(z.numel()):
        at, arrives, mine, right = (float(t.flatten()[place]) for t in (z, g, found, wanted))
        if abs(mine - right) > 1e-9:
            raise Fail(
                f"Where z is {at:.3f} and {arrives:+.3f} arrives, {right:+.3f} passes; yours: {mine:+.3f}."
            )


def check_untouched(answer: Answer, seed: int) -> None:
    z, g = case(seed)
    answer(z, g)
    if not same((z, g), case(seed)):
        raise Fail(
            "You changed a tensor that you were given. The way back may need it again: make a new one."
        )
