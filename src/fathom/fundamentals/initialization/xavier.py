"""Xavier initialisation: weights of a size at which neither signals nor gradients grow or shrink.

A unit adds up fan_in products. If inputs have variance v and weights variance s^2, the sum has variance
fan_in s^2 v, so the forward pass keeps its scale for s^2 = 1 / fan_in. The backward pass adds up fan_out
products and asks for s^2 = 1 / fan_out. Glorot and Bengio (2010) settle for the mean of the two fans:

    s^2 = gain^2 * 2 / (fan_in + fan_out)                                        (their equation 12)
    normal:   w ~ N(0, s^2)
    uniform:  w ~ U(-a, a),  a = sqrt(3) s = gain sqrt(6 / (fan_in + fan_out))   (equation 16)

The factor sqrt 3 is there because U(-a, a) has variance a^2 / 3. The argument takes the activation to be the
identity, which is right for tanh near zero only: with gain 1, twenty layers of tanh take nine tenths of
the variance. A gain gives back what the activation takes, 5/3 for tanh (`he.gain`). It holds the signals and
lets gradients grow slowly: where f bends, one number cannot hold both. For ReLUs, which take half, see he.py.

Weights have torch's layout, (outputs, inputs, *kernel).
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Xavier initialisation",
    paper="https://proceedings.mlr.press/v9/glorot10a.html",
    year=2010,
    summary="Draws weights at a scale that keeps signals the same size through many layers.",
    rows=("IN01",),
    differs=("A gain, which the paper does not have: its tanh layers lose variance slowly with depth.",),
    oracle="torch.nn.init.xavier_uniform_ and xavier_normal_, bit for bit from the same generator",
)


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs one output adds up, and how many outputs one input reaches.

    ``tensor`` is (outputs, inputs, *kernel), the layout of torch's linear and convolution layers; the size
    of the kernel multiplies both. Two cases where the shape does not tell the truth are counted as torch
    counts them: a transposed convolution stores (inputs, outputs, *kernel), so its two fans come out
    exchanged; and fan_out of a grouped convolution is that of all groups together. Raises ValueError for
    fewer than two axes, and unless the tensor is floating-point.
    """
    if not tensor.is_floating_point():
        raise ValueError(f"tensor has dtype {tensor.dtype}; weights must be floating-point numbers")
    if tensor.ndim < 2:
        raise ValueError(
            f"tensor has shape {tuple(tensor.shape)}; fans need two axes or more: (outputs, inputs, *kernel)"
        )
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


@torch.no_grad()
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``tensor`` from U(-a, a) with a = gain sqrt(6 / (fan_in + fan_out)); return it.

    Draws from ``generator``, or torch's global one. Raises ValueError where `fans` does, and for a gain
    that is not positive and finite.
    """
    std = _std(tensor, gain)
    bound = math.sqrt(3.0) * std
    return tensor.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``tensor`` from N(0, s^2) with s = gain sqrt(2 / (fan_in + fan_out)); return it.

    Draws from ``generator``, or torch's global one. Raises ValueError where `fans` does, and for a gain
    that is not positive and finite.
    """
    return tensor.normal_(0.0, _std(tensor, gain), generator=generator)


def fans_by_hand(tensor: Tensor) -> tuple[int, int]:
    """Counted one by one: the weights of the first output, and the weights of the first input."""
    return sum(1 for _ in tensor[0].flatten()), sum(1 for _ in tensor[:, 0].flatten())


def xavier_uniform_by_hand(
    tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """New weights of the shape of ``tensor``: draws from [0, 1), stretched to [-a, a)."""
    fan_in, fan_out = fans_by_hand(tensor)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    draws = torch.rand(tensor.shape, dtype=tensor.dtype, generator=generator)
    return (2 * draws - 1) * bound


def xavier_normal_by_hand(
    tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """New weights of the shape of ``tensor``: standard normal draws, scaled."""
    fan_in, fan_out = fans_by_hand(tensor)
    return (
        gain
        * math.sqrt(2 / (fan_in + fan_out))
        * torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)
    )


def _std(tensor: Tensor, gain: float) -> float:
    if not (math.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain}; it must be positive and finite")
    # An empty weight has nothing to draw; 1 keeps its fans of 0 out of the division.
    return gain * math.sqrt(2.0 / max(1, sum(fans(tensor))))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: equal draws from generators in the same state."""
    from fathom.fundamentals.twin import Twin

    def draw(fill: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda shape: fill(shape.clone(), 5 / 3, torch.Generator().manual_seed(7))

    for shape in ((6, 5), (4, 3, 3, 3)):
        weight = torch.zeros(shape, dtype=torch.float64)
        count, loop = (lambda t: torch.tensor(fans(t))), (lambda t: torch.tensor(fans_by_hand(t)))
        yield Twin(f"fans {shape}", count, loop, (weight,), gradients=False)
        pairs = ((xavier_uniform_, xavier_uniform_by_hand), (xavier_normal_, xavier_normal_by_hand))
        for ours, by_hand in pairs:
            yield Twin(f"{ours.__name__} {shape}", draw(ours), draw(by_hand), (weight,), gradients=False)
