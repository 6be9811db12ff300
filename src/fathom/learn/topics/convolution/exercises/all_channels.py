"""Write a layer with channels.

You get a picture with several channels, and the weight and bias of a layer. The weight has four axes: output
channels, input channels, rows, columns. For each output channel, add the products of **all** input channels
into one number, and add the bias of this output channel. No padding, stride 1.

There is a function to slide one kernel over one channel: `slide(picture, kernel)`, from the exercise before.
You get it as the last argument.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "One output map after the other: what does output channel o need? All tables of weight[o].",
    "slide(picture[c], weight[o, c]) for every input channel c, added up, plus bias[o].",
    "torch.stack makes one tensor of a list of maps.",
)
PASSED = "A convolution layer, whole: equal to torch's, channel for channel."
FORBIDDEN = {"conv2d": "the point is to put it together yourself"}
Slide = Callable[[Tensor, Tensor], Tensor]


def starter(
    picture: Tensor, weight: Tensor, bias: Tensor, slide: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """For picture (c, h, w), weight (o, c, a, b) and bias (o,) return (o, h - a + 1, w - b + 1)."""
    raise NotImplementedError


def solution(
    picture: Tensor, weight: Tensor, bias: Tensor, slide: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """For picture (c, h, w), weight (o, c, a, b) and bias (o,) return (o, h - a + 1, w - b + 1)."""
    maps = []
    for kernel, b in zip(weight, bias, strict=True):
        parts = [slide(channel, table) for channel, table in zip(picture, kernel, strict=True)]
        maps.append(torch.stack(parts).sum(dim=0) + b)
    return torch.stack(maps)


def wrong_mean(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """You took the mean over the input channels. They are added up."""
    return solution(picture / len(picture), weight, bias, slide)


def wrong_no_bias(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """The bias is missing: each output channel has one."""
    return solution(picture, weight, bias * 0, slide)


def wrong_bias_of_each_channel(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """You added the bias once for each input channel. It is added once, to the sum."""
    return solution(picture, weight, bias * len(picture), slide)


def wrong_first_channel(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """Only the first input channel is used. A kernel has a table for each of them."""
    return solution(picture[:1], weight[:, :1], bias, slide)


def wrong_same_table(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """You used the first table for all input channels. Channel c has its own: weight[o, c]."""
    return solution(picture, weight[:, :1].expand_as(weight), bias, slide)


def wrong_same_kernel(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """All output maps use the first kernel. Output channel o has its own: weight[o]."""
    return solution(picture, weight[:1].expand_as(weight), bias, slide)


def wrong_sum_of_all(picture: Tensor, weight: Tensor, bias: Tensor, slide: Slide) -> Tensor:
    """You added the output maps together. Each kernel makes a map of its own."""
    return solution(picture, weight, bias, slide).sum(dim=0, keepdim=True)


def slide(picture: Tensor, kernel: Tensor) -> Tensor:
    return F.conv2d(picture[None, None], kernel[None, None])[0, 0]


def case(seed: int) -> tuple[Tensor, Tensor, Tensor, Slide]:
    dice = torch.Generator().manual_seed(seed)
    shapes = ((3, 5, 6), (4, 3, 2, 3), (4,))
    picture, weight, bias = (torch.randn(s, generator=dice, dtype=torch.float64) for s in shapes)
    return picture, weight, bias, slide


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (4, 4, 4), "The output for 4 kernels of 2 by 3 on 5 by 6 pixels")


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    for channel in range(4):
        if not same(found[channel], wanted[channel]):
            mine, right = float(found[channel, 0, 0]), float(wanted[channel, 0, 0])
            raise Fail(
                f"Output channel {channel} is wrong: its first number is {right:.4f}; yours is {mine:.4f}."
            )
