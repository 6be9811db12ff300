r"""Slide a kernel over a picture.

You get a picture and a kernel. At every place at which the kernel fits, multiply each weight with the pixel
below it, and add up:

$$ y_{i,j} = \sum_u \sum_v w_{u,v} \, x_{i+u,\, j+v} $$

There is no padding, and the stride is 1. Two loops are fine.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "How many rows and columns has the output? Make a tensor of zeros of that size.",
    "picture[i : i + rows, j : j + columns] is the window at place i, j.",
    "(window * kernel).sum() is one number of the output.",
)
PASSED = "The same numbers as the library's convolution, and torch's."
FORBIDDEN = {
    "conv2d": "the point is to slide it yourself",
    "convolution": "the point is to slide it yourself",
    "unfold": "loops are fine here, and easier to read",
}


def starter(picture: Tensor, kernel: Tensor) -> Tensor:
    """For a picture (h, w) and a kernel (a, b) return (h - a + 1, w - b + 1)."""
    raise NotImplementedError


def solution(picture: Tensor, kernel: Tensor) -> Tensor:
    """For a picture (h, w) and a kernel (a, b) return (h - a + 1, w - b + 1)."""
    rows, columns = kernel.shape
    out = picture.new_zeros(picture.shape[0] - rows + 1, picture.shape[1] - columns + 1)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = (picture[i : i + rows, j : j + columns] * kernel).sum()
    return out


def wrong_turned_round(picture: Tensor, kernel: Tensor) -> Tensor:
    """You turned the kernel round. That is what mathematicians do; networks slide it as it is."""
    return solution(picture, kernel.flip(0, 1))


def wrong_on_its_side(picture: Tensor, kernel: Tensor) -> Tensor:
    """Rows and columns of the kernel are exchanged."""
    return solution(picture, kernel.T) if kernel.shape[0] == kernel.shape[1] else solution(picture, kernel)


def wrong_mean(picture: Tensor, kernel: Tensor) -> Tensor:
    """You took the mean of the products. They are added up: the weights say how much each counts."""
    return solution(picture, kernel) / kernel.numel()


def wrong_padded(picture: Tensor, kernel: Tensor) -> Tensor:
    """You put zeros around the picture. Here the kernel must lie inside it."""
    wide = picture.new_zeros(picture.shape[0] + 2, picture.shape[1] + 2)
    wide[1:-1, 1:-1] = picture
    return solution(wide, kernel)


def wrong_one_short(picture: Tensor, kernel: Tensor) -> Tensor:
    """The last row and the last column are missing: of h pixels a kernel of a fits at h - a + 1."""
    return solution(picture, kernel)[:-1, :-1]


def wrong_no_overlap(picture: Tensor, kernel: Tensor) -> Tensor:
    """Your kernel moves by its own size. It moves by one pixel, so that windows overlap."""
    return solution(picture, kernel)[:: kernel.shape[0], :: kernel.shape[1]]


def wrong_not_multiplied(picture: Tensor, kernel: Tensor) -> Tensor:
    """You added up the pixels of each window. Multiply each with its weight first."""
    return solution(picture, torch.ones_like(kernel))


def case(seed: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return (
        torch.randn(6, 7, generator=dice, dtype=torch.float64),
        torch.randn(3, 3, generator=dice, dtype=torch.float64),
    )


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (4, 5), "The output for 6 by 7 pixels and a kernel of 3 by 3")


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    if not same(found, wanted):
        i, j = divmod(int((found - wanted).abs().argmax()), 5)
        mine, right = float(found[i, j]), float(wanted[i, j])
        raise Fail(f"At row {i}, column {j} the nine products add up to {right:.4f}; yours is {mine:.4f}.")


def check_other_kernels(answer: Answer, seed: int) -> None:
    picture, _ = case(seed)
    dice = torch.Generator().manual_seed(seed + 50)
    for shape in ((2, 4), (1, 1), (6, 7)):
        kernel = torch.randn(shape, generator=dice, dtype=torch.float64)
        if not same(answer(picture.clone(), kernel), solution(picture, kernel)):
            raise Fail(
                f"With a kernel of 3 by 3 it is right; with one of {shape[0]} by {shape[1]} it is not."
            )
