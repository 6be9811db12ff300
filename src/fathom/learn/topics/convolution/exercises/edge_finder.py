"""Choose a kernel yourself.

Find a kernel of 3 by 3 that answers

- 0 wherever the picture is even, bright or dark,
- more than 0 where it is dark on the left and bright on the right,
- less than 0 where it is bright on the left and dark on the right,
- 0 where it is dark above and bright below, or bright above and dark below, and left and right are alike.

Return it as a tensor. Any that works will do.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor

HINTS = (
    "An even picture meets every weight with the same number. What must the weights add up to?",
    "It should compare the right column with the left one. Which signs do they need?",
    "-1 in the left column, 0 in the middle, 1 in the right column.",
)
PASSED = "Your kernel sees edges and knows which side is bright. A trained network has many like it."


def starter() -> Tensor:
    """A kernel (3, 3)."""
    raise NotImplementedError


def solution() -> Tensor:
    """A kernel (3, 3)."""
    return torch.tensor([[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]])


def wrong_other_side() -> Tensor:
    """The signs are turned: your kernel answers more than 0 where the left is bright."""
    return -solution()


def wrong_top_to_bottom() -> Tensor:
    """Your kernel compares below with above, and answers 0 where left and right differ.

    Turn it on its side.
    """
    return solution().T


def wrong_mean() -> Tensor:
    """That is a mean: it answers in even areas as well. The weights must add up to 0."""
    return torch.full((3, 3), 1 / 9)


def wrong_outline() -> Tensor:
    """Your kernel finds all outlines, whichever side is bright.

    Compare the right column with the left one alone.
    """
    return torch.tensor([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]])


def wrong_right_only() -> Tensor:
    """Your kernel looks at the right column alone, so bright areas excite it. Subtract the left column."""
    return torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])


def wrong_slanted() -> Tensor:
    """Your kernel also answers where above and below differ.

    The rows must not cancel each other, but be alike.
    """
    return torch.tensor([[-1.0, -1.0, 0.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


def wrong_nothing() -> Tensor:
    """Your kernel answers 0 to everything. Let the right column count as plus and the left one as minus."""
    return torch.zeros(3, 3)


def case(seed: int) -> tuple[()]:
    return ()


def pictures() -> dict[str, Tensor]:
    """Six by six: two even ones, and the four kinds of edges."""
    half = torch.zeros(6, 6)
    half[:, 3:] = 1
    return {
        "dark": torch.zeros(6, 6),
        "bright": torch.ones(6, 6),
        "dark on the left, bright on the right": half,
        "bright on the left, dark on the right": 1 - half,
        "dark above, bright below": half.T,
        "bright above, dark below": 1 - half.T,
    }


SIGNS = (0, 0, 1, -1, 0, 0)


def observe(answer: Answer, seed: int) -> Tensor:
    """The sign of what it answers across the middle of each picture."""
    return torch.stack([middle(answer(), picture).sign() for picture in pictures().values()])


def middle(kernel: Tensor, picture: Tensor) -> Tensor:
    """What the kernel answers where it lies over the edge; rounding is no answer."""
    found = F.conv2d(picture[None, None], kernel[None, None].to(picture.dtype))[0, 0, 1:3, 1:3]
    return torch.where(found.abs() < 1e-5, 0.0, found)


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(), (3, 3), "The kernel")


def check_answers(answer: Answer, seed: int) -> None:
    wanted = {1: "more than 0", -1: "less than 0", 0: "0"}
    for (name, picture), sign in zip(pictures().items(), SIGNS, strict=True):
        found = middle(answer(), picture)
        if not bool((found.sign() == sign).all()):
            raise Fail(
                f"Where it is {name} it must answer {wanted[sign]}; yours answers {float(found[0, 0]):.3g}."
            )
