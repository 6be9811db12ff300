"""A dense layer: neurons side by side, each of which sees every input.

    forward      y_nj = sum_i x_ni w_ji + b_j                 Y = X W^T + b

    backward     dL/dx_ni = sum_j g_nj w_ji                   G W         input i feeds all neurons
                 dL/dw_ji = sum_n g_nj x_ni                   G^T X       a weight meets all examples
                 dL/db_j  = sum_n g_nj                        column sums of G

with g = dL/dy, what the later layers ask for (Rumelhart, Hinton and Williams 1986, equations 1, 6 and 7).
Each sum runs over the axis that the gradient lacks: wherever a number was used several times, its gradients
are added. The shapes alone nearly give the formulas away, since G, X and W fit together in one way only.

The forward pass keeps X for the backward pass. That is why training takes more memory than answering, and
why the memory grows with the batch. Both passes are matrix products: i x o multiplications an example
forwards, and twice as many backwards.

Leading axes (a batch, or a batch of sequences) are examples like others: they are joined into one axis n
and parted again. The passes over rows are those of ``backward_by_hand``.

Axes used below
    *batch  any leading axes, or none      n  all of them as one      i  inputs      o  outputs, the neurons j
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.backward_by_hand import Kept, differentiable, linear, linear_backward

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Dense layer",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="Neurons side by side, each connected to every input; with the backward pass written out.",
    rows=("NF03",),
    builds_on=("backward_by_hand",),
    differs=("The paper's layers end in sigmoids; here an activation is a layer of its own.",),
    oracle="torch.nn.Linear: values and gradients of inputs, weight and bias, 1e-12 in float64",
)


def dense_forward(
    x: Float[Tensor, "*batch i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"]
) -> tuple[Float[Tensor, "*batch o"], Kept]:
    """The answers, and what the backward pass will need: x as rows, and the weight."""
    rows = x.reshape(-1, x.shape[-1])
    out, kept = linear(rows, weight, bias)
    return out.reshape(*x.shape[:-1], len(weight)), (kept, x.shape)


def dense_backward(kept: Kept, g: Float[Tensor, "*batch o"]) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, weight and bias, in their shapes."""
    of_rows, shape = kept
    g_x, g_weight, g_bias = linear_backward(of_rows, g.reshape(-1, g.shape[-1]))
    return g_x.reshape(shape), g_weight, g_bias


def dense(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Float[Tensor, "*batch o"]:
    """Outputs (..., o) for inputs (..., i), with ``weight`` (o, i) and ``bias`` (o,) or none.

    Torch takes the backward pass from this file, and can differentiate it once. Raises ValueError for shapes
    that do not fit, a dtype that is not floating or not the same for all (mixed precision is not for it).
    """
    if weight.ndim != 2 or not weight.numel():
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; it must be (outputs, inputs), 1 or more each"
        )
    if not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x has shape {tuple(x.shape)}; weight asks for (..., {weight.shape[1]})")
    if bias is None:
        bias = weight.new_zeros(len(weight))
    if bias.shape != weight.shape[:1]:
        raise ValueError(f"bias has shape {tuple(bias.shape)}; weight asks for ({len(weight)},)")
    for name, given in (("x", x), ("weight", weight), ("bias", bias)):
        if not given.is_floating_point():
            raise ValueError(f"{name} has dtype {given.dtype}; it must hold floating-point numbers")
        if given.dtype != x.dtype:
            raise ValueError(f"{name} has dtype {given.dtype}; x has {x.dtype}, and they must be alike")
    return differentiable(dense_forward, dense_backward)(x, weight, bias)


class Dense(nn.Module):
    """`dense` as a layer. Its ``weight`` and ``bias`` carry the names of ``torch.nn.Linear``.

    Both begin uniform in +-1 / sqrt(inputs), as torch's do, drawn from ``generator`` or torch's global one.
    Raises ValueError for fewer than one input or output, and what `dense` raises.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        for name, size in (("inputs", inputs), ("outputs", outputs)):
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be 1 or more")
        reach = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(outputs, inputs).uniform_(-reach, reach, generator=generator))
        self.bias = (
            nn.Parameter(torch.empty(outputs).uniform_(-reach, reach, generator=generator)) if bias else None
        )

    def forward(self, x: Tensor) -> Float[Tensor, "*batch o"]:
        return dense(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"inputs={inputs}, outputs={outputs}, bias={self.bias is not None}"


def dense_by_hand(
    x: Float[Tensor, "*batch i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"]
) -> Float[Tensor, "*batch o"]:
    """One neuron after the other, one input after the other."""
    answers = []
    for j in range(len(weight)):
        total = bias[j]
        for i in range(weight.shape[1]):
            total = total + x[..., i] * weight[j, i]
        answers.append(total)
    return torch.stack(answers, dim=-1)


def dense_backward_by_hand(
    x: Float[Tensor, "n i"], weight: Float[Tensor, "o i"], g: Float[Tensor, "n o"]
) -> tuple[Float[Tensor, "n i"], Float[Tensor, "o i"], Float[Tensor, "o"]]:
    """The gradients of x, weight and bias: every connection adds its share, one at a time."""
    g_x, g_weight, g_bias = torch.zeros_like(x), torch.zeros_like(weight), torch.zeros_like(g[0])
    for n in range(len(x)):
        for j in range(len(weight)):
            for i in range(weight.shape[1]):
                g_x[n, i] += g[n, j] * weight[j, i]
                g_weight[j, i] += g[n, j] * x[n, i]
            g_bias[j] += g[n, j]
    return g_x, g_weight, g_bias


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=dice, dtype=torch.float64)

    def backward(x: Tensor, weight: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return dense_backward(dense_forward(x, weight, g.new_zeros(len(weight)))[1], g)

    for batch in ((), (5,), (2, 3)):
        yield Twin(f"inputs {(*batch, 4)}", dense, dense_by_hand, (draw(*batch, 4), draw(3, 4), draw(3)))
    rows = draw(5, 4), draw(3, 4), draw(5, 3)
    yield Twin("backward", backward, dense_backward_by_hand, rows, gradients=False)
