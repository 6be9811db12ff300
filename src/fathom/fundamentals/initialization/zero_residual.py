"""Zero initialisation of a residual branch: every block begins as the identity, and learns its way out.

    y = x + branch(x),  with the last layer of branch all zeros:  y = x at the first step

A network of such blocks begins as shallow as its stem and head, however many blocks it has; each block
joins when its last layer has moved. Goyal et al. (2017, section 5.1) set the scale of the last batch norm
of each ResNet block to zero; Transformers and diffusion models set the last linear layer or convolution to
zero.

Zeros usually forbid learning, because units with equal weights get equal gradients. Not here: for branch =
V f(U x) with V = 0,

    dL/dV = dL/dy f(U x)^T, not zero and different for each unit;     dL/dU = (V^T dL/dy) f' x^T = 0

So the first step moves only the last layer, and from the second on all layers move. Two zero layers in a
row would both stay zero for ever; so set exactly one.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Zero-initialised residual branches",
    paper="https://arxiv.org/abs/1706.02677",
    year=2017,
    summary="Starts each residual block as the identity by setting the last layer of its branch to zero.",
    rows=("IN04",),
    oracle="the identity, bit for bit; timm's ResNet and torchvision's zero_init_residual, the same tensors",
)


@torch.no_grad()
def zero_residual_(branch: nn.Module, last: str | None = None) -> str:
    """Set weight and bias of one layer of ``branch`` to zero, in place; return the layer's name.

    ``last`` names it, as in ``branch.named_modules()``. By default it is the last module registered that
    has a ``weight``: a linear layer, a convolution, or a norm's scale. The branch then gives zeros if
    nothing but activations with f(0) = 0, dropout or pooling follow that layer. Raises ValueError where no
    such module exists.
    """
    layers = {n: m for n, m in branch.named_modules() if isinstance(getattr(m, "weight", None), Tensor)}
    if not layers:
        raise ValueError("branch has no module with a weight; there is nothing to set to zero")
    name = list(layers)[-1] if last is None else last
    if name not in layers:
        raise ValueError(f"last is {name!r}; it must be one of {', '.join(map(repr, layers))}")
    for parameter in (layers[name].weight, getattr(layers[name], "bias", None)):
        if isinstance(parameter, Tensor):
            parameter.zero_()
    return name


def zero_residual_by_hand(
    x: Float[Tensor, "b d"], u: Float[Tensor, "h d"]
) -> tuple[Float[Tensor, "b d"], Float[Tensor, "d h"], Float[Tensor, "h d"]]:
    """The block y = x + V tanh(U x) with V = 0, and the gradients of the sum of y^2 / 2 for V and for U."""
    hidden = torch.tanh(x @ u.T)
    v = torch.zeros(x.shape[1], len(u), dtype=x.dtype)
    y = x + hidden @ v.T
    to_v = y.T @ hidden
    to_u = ((y @ v) * (1 - hidden**2)).T @ x
    return y, to_v, to_u


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: the first forward and backward pass of a block."""
    from fathom.fundamentals.twin import Twin

    def ours(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second = nn.Linear(3, 4, bias=False).double(), nn.Linear(4, 3, bias=False).double()
        first.weight.data.copy_(u)
        branch = nn.Sequential(first, nn.Tanh(), second)
        zero_residual_(branch)
        y = x + branch(x)
        to_v, to_u = torch.autograd.grad((y**2).sum() / 2, [second.weight, first.weight])
        return y.detach(), to_v, to_u

    x = torch.linspace(-2, 2, 15, dtype=torch.float64).reshape(5, 3)
    u = torch.linspace(0, 9, 12, dtype=torch.float64).sin().reshape(4, 3)
    yield Twin("zero_residual_", ours, zero_residual_by_hand, (x, u), gradients=False)
