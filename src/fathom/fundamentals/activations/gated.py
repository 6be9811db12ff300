"""GLU, SwiGLU, GEGLU: one half of a layer's outputs decides how much of the other half passes.

    GLU(x)    = (x V + c) * sigmoid(x W + b)           (Dauphin, Fan, Auli and Grangier 2017, equation 1)
    SwiGLU(x) = (x V + c) * swish(x W + b)             (Shazeer 2020, equation 5)
    GEGLU(x)  = (x V + c) * gelu(x W + b)              (the same)

V makes values, W makes gates. The gradient of the values passes through a factor that no saturating
function has squashed, and the product lets a layer multiply two things that it computed, which no sum of
them can do. Shazeer found that a Transformer's feed-forward layer built of one, followed by a plain linear
layer, beats a ReLU's at equal cost; LLaMA uses SwiGLU without biases. For equal cost the hidden width is
two thirds of a plain layer's.

The functions take a tensor whose first half along an axis is the values and whose second half is the gates,
torch's order. The layers compute both with one matrix, of which the first half of the rows is V and the
second half W.

Stability is that of the gate. But SwiGLU and GEGLU are products of two unbounded numbers: in float16 they
overflow where the true product exceeds 65504, and no way of computing them can help it.

Axes used below
    d  inputs          h  outputs
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.activations.gelu import gelu_by_hand
from fathom.fundamentals.activations.sigmoid import sigmoid_by_hand
from fathom.fundamentals.activations.swish import silu_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Gated linear units",
    paper="https://arxiv.org/abs/2002.05202",
    year=2020,
    summary="Layers in which one half of the outputs opens or closes the other half.",
    rows=("AC09",),
    builds_on=("sigmoid", "swish", "gelu"),
    differs=(
        "The layers end with the product; the linear layer that follows in Shazeer's equation 6 is left out.",
    ),
    oracle="torch.nn.functional.glu; timm's GluMlp and SwiGLU, weight for weight; LLaMA's formula; float64",
)

Function = Callable[..., Tensor]


def glu(x: Shaped[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """First half of ``x`` along ``dim``, times the sigmoid of the second half; ``dim`` becomes half as long.

    Raises ValueError for an axis that x does not have, an odd length along it, and unless x is
    floating-point.
    """
    _halves(x, dim)
    return F.glu(x, dim)


def swiglu(x: Shaped[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """First half of ``x`` along ``dim``, times the SiLU of the second half. Raises what `glu` raises."""
    value, gate = _halves(x, dim)
    return value * F.silu(gate)


def geglu(x: Shaped[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """First half of ``x`` along ``dim``, times the GELU of the second half. Raises what `glu` raises."""
    value, gate = _halves(x, dim)
    return value * F.gelu(gate)


class GatedLinear(nn.Module):
    """A linear layer from ``inputs`` to ``outputs`` numbers with a gate on each output.

    ``project.weight`` is (2 h, d): the rows of the values, then those of the gates. Use a subclass, which
    says which function opens the gate. Raises ValueError for sizes below 1.
    """

    function: ClassVar[Function]

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        for name, size in (("inputs", inputs), ("outputs", outputs)):
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be 1 or more")
        self.project = nn.Linear(inputs, 2 * outputs, bias=bias)

    def forward(self, x: Shaped[Tensor, "*batch d"]) -> Float[Tensor, "*batch h"]:
        _floating(x)
        if x.shape[-1] != self.project.in_features:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; its last axis must have length {self.project.in_features}"
            )
        return type(self).function(self.project(x))


class GLU(GatedLinear):
    """The gate is a sigmoid: it passes between nothing and all of a value."""

    function = staticmethod(glu)


class SwiGLU(GatedLinear):
    """The gate is a SiLU: the feed-forward layer of LLaMA and its kin."""

    function = staticmethod(swiglu)


class GEGLU(GatedLinear):
    """The gate is a GELU, in its exact form."""

    function = staticmethod(geglu)


def glu_by_hand(x: Float[Tensor, "*shape twice"]) -> Float[Tensor, "*shape half"]:
    """Values times the sigmoid of gates, along the last axis."""
    half = x.shape[-1] // 2
    return x[..., :half] * sigmoid_by_hand(x[..., half:])


def swiglu_by_hand(x: Float[Tensor, "*shape twice"]) -> Float[Tensor, "*shape half"]:
    """Values times the SiLU of gates, along the last axis."""
    half = x.shape[-1] // 2
    return x[..., :half] * silu_by_hand(x[..., half:])


def geglu_by_hand(x: Float[Tensor, "*shape twice"]) -> Float[Tensor, "*shape half"]:
    """Values times the GELU of gates, along the last axis."""
    half = x.shape[-1] // 2
    return x[..., :half] * gelu_by_hand(x[..., half:])


def gated_linear_by_hand(
    x: Float[Tensor, "b d"], weight: Float[Tensor, "h2 d"], bias: Float[Tensor, " h2"], gate: Function
) -> Float[Tensor, "b h"]:
    """The layer with its two matrices apart, as the papers write it."""
    half = len(weight) // 2
    values = x @ weight[:half].T + bias[:half]
    gates = x @ weight[half:].T + bias[half:]
    return values * gate(gates)


def _halves(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    _floating(x)
    if not -x.ndim <= dim < x.ndim:
        raise ValueError(f"dim is {dim}; x of shape {tuple(x.shape)} has axes {-x.ndim} to {x.ndim - 1}")
    if x.shape[dim] % 2:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; its length along dim {dim} must be even, to be halved"
        )
    value, gate = x.tensor_split(2, dim)
    return value, gate


def _floating(x: Tensor) -> None:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.linspace(-4, 4, 24, dtype=torch.float64).reshape(3, 8)
    yield Twin("glu", glu, glu_by_hand, (x,))
    yield Twin("swiglu", swiglu, swiglu_by_hand, (x,))
    yield Twin("geglu", geglu, geglu_by_hand, (x,))

    layer = SwiGLU(3, 2).double()
    weight, bias = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3).cos(), x[0, :4] / 4
    yield Twin(
        "SwiGLU",
        lambda x, w, b: torch.func.functional_call(layer, {"project.weight": w, "project.bias": b}, (x,)),
        lambda x, w, b: gated_linear_by_hand(x, w, b, silu_by_hand),
        (x[:, :3].contiguous(), weight, bias),
    )
