"""Tanh: any number becomes one between -1 and 1, and zero stays zero.

    tanh(x) = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1               slope: 1 - tanh(x)^2

It is a sigmoid stretched to be symmetric about zero. LeCun, Bottou, Orr and Müller ("Efficient BackProp",
1998, section 4.4) prefer it for that: outputs of mean zero keep the gradients of the next layer's weights
from all having one sign. Its slope at zero is 1, four times the sigmoid's, so gradients survive more layers;
far from zero it saturates all the same.

As written, e^x overflows from x = 710 and inf / inf is not a number. Divided through by e^|x| the formula
holds only m = e^(-2|x|), in (0, 1]: tanh|x| = (1 - m) / (1 + m). And near zero 1 - m would lose its digits
(1 - 0.9999...), so 1 - m itself is computed by expm1, exact where its argument is small.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Tanh",
    paper="https://doi.org/10.1007/3-540-49430-8_2",
    year=1998,
    summary="Squeezes any number into (-1, 1) and leaves the average of the outputs near zero.",
    rows=("AC02",),
    oracle="torch.tanh; values and gradients in float64",
)


def tanh(x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Each number of ``x``, of any shape, mapped into [-1, 1]. Raises ValueError unless x is floating."""
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    return torch.tanh(x)


def tanh_by_hand(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The size from e^(-2|x|), which cannot overflow, and then the sign."""
    positive = x >= 0
    # |x| by where(): the slope of abs() at 0 is taken to be 0, and that of tanh there is 1.
    less = torch.expm1(torch.where(positive, -2 * x, 2 * x))  # m - 1, in (-1, 0]
    size = -less / (2 + less)
    return torch.where(positive, size, -size)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.cat([torch.linspace(-6, 6, 33), torch.tensor([-1e-9, 1e-9, -1e4, 1e4])]).double()
    yield Twin("tanh", tanh, tanh_by_hand, (x,))
