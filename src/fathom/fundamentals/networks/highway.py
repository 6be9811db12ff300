"""The highway layer: each unit decides, for each input, how much of it to change and how much to carry on.

A plain layer replaces its input by h(x), so a deep stack must rebuild at every layer whatever it wants to
keep, and the gradient shrinks on its way back. Srivastava, Greff and Schmidhuber (2015) let a gate choose:

    y = h(x) T(x) + x C(x)                                  equation 2
    C = 1 - T:   y = h(x) T(x) + x (1 - T(x))               equation 3
    y = x where T(x) = 0,    y = h(x) where T(x) = 1        equation 4
    dy/dx = I where T(x) = 0,  h'(x) where T(x) = 1         equation 5
    h(x) = f(W_h x + b_h),   T(x) = sigmoid(W_t x + b_t)

T is the transform gate, 1 - T the carry gate, both of the size of x, entry by entry. b_t begins negative, at
-2 say: then T = 0.12, so a stack of any depth begins near the identity and its gradient arrives. Input and
output have the same size; where the size changes, the paper puts a plain layer. In the convolutional layer
h and T are convolutions with kernels of one size, padded with zeros so that the picture keeps its own.

Axes used below
    b  batch      d  width      c  channels      h, w  height and width of a picture
"""

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.networks.residual import convolution_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Highway layer",
    paper="https://arxiv.org/abs/1505.00387",
    year=2015,
    summary="A layer with a gate that decides how much of its input to change and how much to pass on.",
    rows=("NF12",),
    builds_on=("residual",),
    differs=("Weights begin as torch's layers begin theirs; the paper only says how the gate's bias does.",),
    oracle="equations 2 to 5 of the paper, entry by entry, and a dense layer on unfolded patches; gradcheck",
)


def highway(x: Tensor, transformed: Tensor, gate_logits: Tensor) -> Float[Tensor, "*shape"]:
    """T transformed + (1 - T) x with T = sigmoid(``gate_logits``), all three of one shape.

    Raises ``ValueError`` for shapes that differ and for dtypes that are not floating.
    """
    for name, value in (("x", x), ("transformed", transformed), ("gate_logits", gate_logits)):
        if not value.is_floating_point():
            raise ValueError(f"{name} has dtype {value.dtype}; it must hold floating-point numbers")
        if value.shape != x.shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}; it must be that of x, {tuple(x.shape)}")
    gate = torch.sigmoid(gate_logits)
    # Not x + gate * (transformed - x): that difference can overflow in half precision.
    return gate * transformed + (1 - gate) * x


class Highway(nn.Module):
    """The dense highway layer, (*batch, width) -> (*batch, width).

    ``activation`` is the f of h; ``gate_bias``, usually negative, is where b_t begins. Raises ``ValueError``
    for a width below 1, a bias that is not finite, and inputs of another width or dtype.
    """

    def __init__(
        self,
        width: int,
        *,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        gate_bias: float | int = -2.0,
    ) -> None:
        super().__init__()
        _at_least_one("width", width)
        self.width, self.activation = width, activation
        self.transform, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        _begin(self.gate, gate_bias)

    def forward(self, x: Tensor) -> Float[Tensor, "*batch d"]:
        if not x.ndim or x.shape[-1] != self.width:
            raise ValueError(f"x has shape {tuple(x.shape)}; its last axis must be width={self.width}")
        _floating(x)
        return highway(x, self.activation(self.transform(x)), self.gate(x))


class HighwayConvolution(nn.Module):
    """The convolutional highway layer, (b, channels, h, w) -> the same shape.

    ``kernel_size`` is odd, so that zeros around the picture keep its size; the rest is as in ``Highway``.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        gate_bias: float | int = -2.0,
    ) -> None:
        super().__init__()
        _at_least_one("channels", channels)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {kernel_size}; it must be odd: 1, 3, 5 ...")
        self.channels, self.activation = channels, activation
        padding = kernel_size // 2
        self.transform = nn.Conv2d(channels, channels, kernel_size, padding=padding)
        self.gate = nn.Conv2d(channels, channels, kernel_size, padding=padding)
        _begin(self.gate, gate_bias)

    def forward(self, x: Tensor) -> Float[Tensor, "b c h w"]:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"x has shape {tuple(x.shape)}; it must be (b, {self.channels}, h, w)")
        _floating(x)
        return highway(x, self.activation(self.transform(x)), self.gate(x))


def highway_by_hand(
    x: Float[Tensor, "*shape"], transformed: Float[Tensor, "*shape"], gate_logits: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """Equation 2 with the carry gate of equation 3, number by number."""
    made = []
    for value, change, logit in zip(x.flatten(), transformed.flatten(), gate_logits.flatten(), strict=True):
        transform = 1 / (1 + torch.exp(-logit))
        carry = 1 - transform
        made.append(change * transform + value * carry)
    return torch.stack(made).reshape(x.shape)


def dense_highway_by_hand(
    x: Float[Tensor, "b d"],
    transform_weight: Float[Tensor, "d d"],
    transform_bias: Float[Tensor, "d"],
    gate_weight: Float[Tensor, "d d"],
    gate_bias: Float[Tensor, "d"],
    activation: Callable[[Tensor], Tensor] = torch.tanh,
) -> Float[Tensor, "b d"]:
    """The layer unit by unit: a weighted sum of all inputs for h, another for the gate."""
    rows = []
    for row in x:
        units = []
        for k in range(len(row)):
            change = activation((transform_weight[k] * row).sum() + transform_bias[k])
            transform = 1 / (1 + torch.exp(-(gate_weight[k] * row).sum() - gate_bias[k]))
            units.append(change * transform + row[k] * (1 - transform))
        rows.append(torch.stack(units))
    return torch.stack(rows)


def convolutional_highway_by_hand(
    x: Float[Tensor, "b c h w"],
    transform_weight: Float[Tensor, "c c k k"],
    transform_bias: Float[Tensor, "c"],
    gate_weight: Float[Tensor, "c c k k"],
    gate_bias: Float[Tensor, "c"],
    activation: Callable[[Tensor], Tensor] = torch.tanh,
) -> Float[Tensor, "b c h w"]:
    """At every place a dense layer looks at the patch around it; what it may carry on is the middle."""
    change = activation(convolution_by_hand(x, transform_weight, stride=1) + transform_bias[:, None, None])
    gate_logits = convolution_by_hand(x, gate_weight, stride=1) + gate_bias[:, None, None]
    return highway_by_hand(x, change, gate_logits)


def _begin(gate: nn.Linear | nn.Conv2d, bias: float | int) -> None:
    if not math.isfinite(bias):
        raise ValueError(f"gate_bias is {bias}; it must be finite, and is usually negative")
    assert gate.bias is not None
    nn.init.constant_(gate.bias, bias)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be 1 or more")


def _floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from torch.func import functional_call

    from fathom.fundamentals.twin import Twin

    def with_weights(layer: nn.Module) -> Callable[..., Tensor]:
        """The layer as a function of its input and of all its parameters, so that all gradients count."""
        names = [name for name, _ in layer.named_parameters()]
        return lambda x, *weights: functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    dice = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=dice)

    parts = torch.linspace(-3, 3, 7).double(), drawn(7), torch.tensor([-40.0, -9, -2, 0, 2, 9, 40]).double()
    yield Twin("highway", highway, highway_by_hand, parts)
    dense = drawn(5, 4), drawn(4, 4), drawn(4), drawn(4, 4), drawn(4) - 2
    yield Twin("dense", with_weights(Highway(4, activation=torch.tanh)), dense_highway_by_hand, dense)
    patches = drawn(2, 2, 4, 3), drawn(2, 2, 3, 3), drawn(2), drawn(2, 2, 3, 3), drawn(2) - 2
    yield Twin("convolutional", with_weights(HighwayConvolution(2, activation=torch.tanh)),
               convolutional_highway_by_hand, patches)  # fmt: skip
