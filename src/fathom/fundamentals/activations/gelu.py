"""GELU: a number times the share of a standard normal distribution that lies below it.

    gelu(x) = x P(Z <= x) = x 1/2 [1 + erf(x / sqrt 2)]             (Hendrycks and Gimpel 2016, section 2)
            ~ 1/2 x (1 + tanh[sqrt(2/pi) (x + 0.044715 x^3)])       (the same section, for speed)

Where a ReLU gates a number by its sign, this gates it by how large it is beside others: smoothly, with a
dip to -0.17 near x = -0.75. BERT was trained with the first form, GPT-2 with the second. They differ by
less than 5e-4 everywhere, which is too much to exchange them in trained weights unnoticed: a published
model's form belongs to it.

Both are products of x and a number in [0, 1], so they cannot overflow. The cube in the second can: in half
precision from x = 41. Its tanh has been 1 to the last bit of a float64 long before x = 10, so the cube need
not go further.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="GELU",
    paper="https://arxiv.org/abs/1606.08415",
    year=2016,
    summary="Weighs a number by how likely a normal random number is to lie below it.",
    rows=("AC07",),
    oracle="torch.nn.functional.gelu, both forms; of transformers BERT's gelu_python and GPT-2's gelu_new;"
    " scipy's normal distribution; gradients; float64",
)

FORMS = ("none", "tanh")


def gelu(x: Shaped[Tensor, "*shape"], approximate: str = "none") -> Float[Tensor, "*shape"]:
    """Each x times the normal distribution function at x; with ``approximate="tanh"``, GPT-2's form of it.

    Raises ValueError for another ``approximate``, and unless x is floating-point.
    """
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    _form(approximate)
    return F.gelu(x, approximate=approximate)


class GELU(nn.Module):
    """`gelu` as a layer."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        _form(approximate)
        self.approximate = approximate

    def forward(self, x: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


def gelu_by_hand(x: Float[Tensor, "*shape"], approximate: str = "none") -> Float[Tensor, "*shape"]:
    """Either formula as it stands in the paper, with the cube held where it no longer matters."""
    if approximate == "none":
        return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    near = x.clamp(-10, 10)
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (near + 0.044715 * near**3)))


def _form(approximate: str) -> None:
    if approximate not in FORMS:
        raise ValueError(f"approximate is {approximate!r}; it must be 'none' (exact) or 'tanh'")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    x = torch.cat([torch.linspace(-8, 8, 33), torch.tensor([-1e4, 1e4])]).double()
    for form in FORMS:
        yield Twin(
            f"gelu, approximate={form}",
            lambda t, form=form: gelu(t, form),
            lambda t, form=form: gelu_by_hand(t, form),
            (x,),
        )
