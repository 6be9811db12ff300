r"""Write the backward pass of a dense layer.

The layer computed $z = x W^\top + b$ for all examples. Now $g$ arrives: the slope of the loss in each entry
of $z$. Return the slopes of the loss in $x$, in $W$ and in $b$.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, slope

HINTS = (
    "A slope has the shape of what it is the slope in. Which products of g, x and W have these shapes?",
    "Input i feeds all units, so add over the units. A weight meets all examples, so add over the examples.",
    "g @ weight, g.T @ x, and the sum of g over the examples.",
)
PASSED = "All three agree with small steps of every entry."
FORBIDDEN = {
    "autograd": "the point is to find the slopes yourself",
    "backward": "the point is to find the slopes yourself",
}


def starter(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For x (n, inputs), weight (units, inputs) and g (n, units) return the slopes in x, weight and bias."""
    raise NotImplementedError


def solution(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For x (n, inputs), weight (units, inputs) and g (n, units) return the slopes in x, weight and bias."""
    return g @ weight, g.T @ x, g.sum(dim=0)


def wrong_weight_turned(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The slope in x went through the weight turned on its side.

    Forwards it was turned; backwards it is not.
    """
    return g @ weight.T, g.T @ x, g.sum(dim=0)


def wrong_slope_turned(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The slope in the weight lies on its side: rows are units, so g comes first, g.T @ x."""
    return g @ weight, x.T @ g, g.sum(dim=0)


def wrong_mean(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """You took the mean over the examples. If the loss is a mean, g carries the division already: add."""
    return g @ weight, g.T @ x / len(x), g.mean(dim=0)


def wrong_bias_of_examples(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The slope in the bias is added over the units. Each unit has its own bias.

    Add over the examples, dim 0.
    """
    return g @ weight, g.T @ x, g.sum(dim=1)


def wrong_bias_one(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The slope in the bias ignores what arrives. Its own factor is 1, and g is the other factor."""
    return g @ weight, g.T @ x, torch.full_like(weight[:, 0], float(len(x)))


def wrong_no_g(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The slope in x is the same for every example: what arrives is missing. Multiply by g."""
    return torch.ones_like(g) @ weight, g.T @ x, g.sum(dim=0)


def wrong_sign(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All signs are turned. The minus of a step downhill comes later: a slope points uphill."""
    a, b, c = solution(x, weight, g)
    return -a, -b, -c


def case(seed: int, n: int = 3, inputs: int = 3, units: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """As many examples as inputs and units, so that every wrong order of the tables runs."""
    dice = torch.Generator().manual_seed(seed)
    shapes = ((n, inputs), (units, inputs), (n, units))
    x, weight, g = (torch.randn(shape, generator=dice, dtype=torch.float64) for shape in shapes)
    return x, weight, g


def check_shapes(answer: Answer, seed: int) -> None:
    given = case(seed, 4, 2, 5)
    found = answer(*given)
    if not isinstance(found, tuple) or len(found) != 3:
        raise Fail("Return three slopes: in x, in the weight and in the bias.")
    for value, shape, name in zip(
        found, ((4, 2), (5, 2), (5,)), ("x", "the weight", "the bias"), strict=True
    ):
        must_be_tensor(value, shape, f"For 4 examples, 2 inputs and 5 units, the slope in {name}")


def check_slopes(answer: Answer, seed: int) -> None:
    x, weight, g = case(seed)
    bias = torch.zeros(3, dtype=torch.float64)

    def loss(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return ((x @ weight.T + bias) * g).sum()

    found = answer(*case(seed))
    compare(found[2], slope(lambda t: loss(x, weight, t), bias), "the bias")
    compare(found[1], slope(lambda t: loss(x, t, bias), weight), "the weight")
    compare(found[0], slope(lambda t: loss(t, weight, bias), x), "x")


def compare(found: Tensor, wanted: Tensor, name: str) -> None:
    if not torch.allclose(found, wanted, 1e-5, 1e-7):
        place = int((found - wanted).abs().argmax())
        raise Fail(
            f"Move entry {place} of {name} a little, and the loss changes at the rate"
            f" {float(wanted.flatten()[place]):+.4f}; yours says {float(found.flatten()[place]):+.4f}."
        )
