"""He initialisation: Xavier's argument, made right for ReLUs.

A ReLU sets half of its inputs to zero, and so halves the mean square of what passes. Weights that keep the
scale of a linear layer therefore lose half of it at each ReLU layer: 2^20, a millionfold, over twenty. He
et al. (2015) put the factor back:

    s^2 = gain^2 / fan,    gain^2 = 2 / (1 + a^2)                            (their equations 10 and 15)
    normal:   w ~ N(0, s^2)              uniform:  w ~ U(-sqrt(3) s, sqrt(3) s)

with a the slope of the negative side, 0 for a ReLU. One fan is enough, either one: kept with fan_in,
forward signals hold their scale exactly and gradients change once, by the ratio of the first width to the
last (equation 14 ff.).

In general gain = 1 / sqrt(E f(z)^2) for a standard normal z: what f takes away is given back. For ReLUs
this is the formula above. The usual gains of tanh, 5/3, and SELU, 3/4, are not that number (1.59 and 1):
they were found by trial. `gain` keeps them, for the sake of agreement.
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.initialization.xavier import fans

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="He initialisation",
    paper="https://arxiv.org/abs/1502.01852",
    year=2015,
    summary="Doubles the variance of the weights, because a ReLU throws half of the signal away.",
    rows=("IN02",),
    builds_on=("xavier",),
    oracle="torch.nn.init.kaiming_uniform_, kaiming_normal_ bit for bit, and calculate_gain",
)

# How much a layer's weights are enlarged for the activation that follows; leaky_relu has a formula.
GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}
MODES = ("fan_in", "fan_out")


def gain(name: str, negative_slope: float = 0.01) -> float:
    """The usual gain for the activation ``name``, which follows the layer: torch's table.

    ``negative_slope`` counts for "leaky_relu" only. For a self-normalising SELU network use "linear", not
    "selu". Raises ValueError for a name that is not in the table, and a slope that is not finite.
    """
    if name == "leaky_relu":
        if not math.isfinite(negative_slope):
            raise ValueError(f"negative_slope is {negative_slope}; it must be finite")
        return math.sqrt(2 / (1 + negative_slope**2))
    if name not in GAINS:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(sorted([*GAINS, 'leaky_relu']))}")
    return GAINS[name]


@torch.no_grad()
def he_uniform_(
    tensor: Tensor,
    nonlinearity: str = "relu",
    negative_slope: float = 0.0,
    mode: str = "fan_in",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill ``tensor`` (outputs, inputs, *kernel) from U(-a, a), a = gain sqrt(3 / fan); return it.

    ``mode`` says which fan: "fan_in" keeps the scale of signals, "fan_out" that of gradients. Draws from
    ``generator``, or torch's global one. Raises ValueError for another mode and where `fans` or `gain` do.
    """
    bound = math.sqrt(3.0) * _std(tensor, nonlinearity, negative_slope, mode)
    return tensor.uniform_(-bound, bound, generator=generator)


@torch.no_grad()
def he_normal_(
    tensor: Tensor,
    nonlinearity: str = "relu",
    negative_slope: float = 0.0,
    mode: str = "fan_in",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill ``tensor`` from N(0, gain^2 / fan); return it. Otherwise as `he_uniform_`."""
    return tensor.normal_(0.0, _std(tensor, nonlinearity, negative_slope, mode), generator=generator)


def gain_by_hand(function: Callable[[Tensor], Tensor]) -> float:
    """1 / sqrt(E f(z)^2) for a standard normal z, the expectation by a sum over narrow strips."""
    width = 1e-3
    z = torch.arange(-12, 12, width, dtype=torch.float64)
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return 1 / math.sqrt(float((function(z) ** 2 * density * width).sum()))


def he_uniform_by_hand(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """New weights for a layer before a ReLU: twice the variance that a linear layer would get."""
    fan_in = tensor[0].numel()
    bound = math.sqrt(3 * 2 / fan_in)
    draws = torch.rand(tensor.shape, dtype=tensor.dtype, generator=generator)
    return (2 * draws - 1) * bound


def he_normal_by_hand(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """New weights for a layer before a ReLU: standard normal draws times sqrt(2 / fan_in)."""
    fan_in = tensor[0].numel()
    draws = torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)
    return math.sqrt(2 / fan_in) * draws


def _std(tensor: Tensor, nonlinearity: str, negative_slope: float, mode: str) -> float:
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}; it must be 'fan_in' or 'fan_out'")
    fan = fans(tensor)[MODES.index(mode)]
    # An empty weight has nothing to draw; 1 keeps its fan of 0 out of the division.
    return gain(nonlinearity, negative_slope) / math.sqrt(max(1, fan))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: equal draws from generators in the same state."""
    from fathom.fundamentals.twin import Twin

    def draw(fill: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda shape: fill(shape.clone(), generator=torch.Generator().manual_seed(7))

    for shape in ((6, 5), (4, 3, 3, 3)):
        weight = torch.zeros(shape, dtype=torch.float64)
        for ours, by_hand in ((he_uniform_, he_uniform_by_hand), (he_normal_, he_normal_by_hand)):
            yield Twin(f"{ours.__name__} {shape}", draw(ours), draw(by_hand), (weight,), gradients=False)

    slopes = torch.tensor(
        [1.0, 0.0, 0.01, 0.3], dtype=torch.float64
    )  # a straight line, a ReLU, two leaky ones
    yield Twin(
        "gain",
        lambda a: torch.tensor([gain("leaky_relu", float(s)) for s in a]),
        lambda a: torch.tensor([gain_by_hand(lambda z, s=s: torch.where(z > 0, z, s * z)) for s in a]),
        (slopes,),
        tolerance=1e-6,  # of float32, which torch.tensor makes of Python numbers
        gradients=False,
    )
