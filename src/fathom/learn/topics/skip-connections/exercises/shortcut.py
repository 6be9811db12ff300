"""Make the shapes fit.

A block for pictures puts out `outputs` channels, and has a stride of `stride` in both directions. You get its
input and the weights of a projection: a convolution with kernels of 1 by 1, without a bias. Return what its
shortcut hands on:

- the input itself, where the shape does not change,
- otherwise the projection of the input, with that stride.

`F.conv2d(x, weight, stride=...)` is torch's convolution.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "The shape can change in two ways: by the channels, and by the stride.",
    "The axes are (pictures, channels, rows, columns): x.shape[1] counts the channels.",
    "F.conv2d(x, projection, stride=stride) does the rest.",
)
PASSED = "The shortcut of every ResNet: free wherever it can be."


def starter(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """For x (b, c, h, w) and projection (outputs, c, 1, 1) return what the shortcut hands on."""
    raise NotImplementedError


def solution(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """For x (b, c, h, w) and projection (outputs, c, 1, 1) return what the shortcut hands on."""
    if stride == 1 and x.shape[1] == outputs:
        return x
    return F.conv2d(x, projection, stride=stride)


def wrong_never_projected(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You always hand on the input. Where the shape changes, the sum behind it fails: project there."""
    return x


def wrong_always_projected(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You project also where the shape does not change.

    Every weight on the shortcut is a factor on the way back: leave it free wherever it can be.
    """
    return F.conv2d(x, projection, stride=stride)


def wrong_channels_alone(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You looked at the channels alone. With stride 2 the sides are halved, also if the channels agree."""
    return x if x.shape[1] == outputs else F.conv2d(x, projection, stride=stride)


def wrong_stride_alone(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You looked at the stride alone. With stride 1 the number of channels may change as well."""
    return x if stride == 1 else F.conv2d(x, projection, stride=stride)


def wrong_stride_ignored(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """Your projection has stride 1, so its maps stay as large as the input. Give it the stride."""
    return x if stride == 1 and x.shape[1] == outputs else F.conv2d(x, projection)


def wrong_cropped(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You kept the upper left corner of the picture, which has the right size.

    The shortcut must stand for the same places as the block: every second pixel, over the whole picture.
    """
    if stride == 1 and x.shape[1] == outputs:
        return x
    rows, columns = -(-x.shape[2] // stride), -(-x.shape[3] // stride)
    return F.conv2d(x[:, :, :rows, :columns], projection)


def wrong_averaged(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You took means of neighbouring pixels before you projected.

    Some nets do that. Here the projection itself has the stride, and takes every second pixel.
    """
    if stride == 1 and x.shape[1] == outputs:
        return x
    return F.conv2d(F.avg_pool2d(x, stride, ceil_mode=True), projection)


def wrong_padded(x: Tensor, outputs: int, stride: int, projection: Tensor) -> Tensor:
    """You filled the new channels with zeros.

    That is a shortcut as well, but here the projection is wanted.
    """
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, outputs - x.shape[1]))


SETTINGS = ((3, 1), (5, 1), (3, 2), (5, 2))  # channels of the output, stride; 3 channels come in


def case(seed: int, outputs: int = 5, stride: int = 2) -> tuple[Tensor, int, int, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, 5, 4, generator=dice, dtype=torch.float64)
    return x, outputs, stride, torch.randn(outputs, 3, 1, 1, generator=dice, dtype=torch.float64)


def observe(answer: Answer, seed: int) -> list[Tensor]:
    """What it hands on in all four settings."""
    return [answer(*case(seed, *setting)) for setting in SETTINGS]


def check_shapes(answer: Answer, seed: int) -> None:
    for outputs, stride in SETTINGS:
        shape = (2, outputs, *((5, 4) if stride == 1 else (3, 2)))
        what = f"For 3 channels of 5 by 4, {outputs} outputs and stride {stride}, what the shortcut hands on"
        must_be_tensor(answer(*case(seed, outputs, stride)), shape, what)


def check_identity(answer: Answer, seed: int) -> None:
    given = case(seed, 3, 1)
    if not same(answer(*given), given[0]):
        raise Fail("With 3 channels in, 3 out and stride 1 the shape does not change: hand on x itself.")


def check_projection(answer: Answer, seed: int) -> None:
    for setting in SETTINGS[1:]:
        found, wanted = answer(*case(seed, *setting)), solution(*case(seed, *setting))
        if not same(found, wanted):
            raise Fail(
                f"For {setting[0]} outputs and stride {setting[1]} the first pixel of the first channel is"
                f" {float(wanted[0, 0, 0, 0]):.4f}, its last pixel {float(wanted[0, 0, -1, -1]):.4f}; yours"
                f" are {float(found[0, 0, 0, 0]):.4f} and {float(found[0, 0, -1, -1]):.4f}."
            )
