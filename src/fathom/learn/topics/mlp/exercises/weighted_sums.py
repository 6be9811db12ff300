r"""Write a dense layer.

You get examples, a weight and a bias. Return the weighted sum of every unit for every example, plus the
unit's bias:

$$ z = W x + b $$

There is no activation in this exercise.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "Rows of the weight are units. Each of them is to meet each example.",
    "x @ weight.T has a row for each example and a column for each unit.",
    "The bias has one number for each unit: adding it to the table adds it to each row.",
)
PASSED = "This is nn.Linear of torch, and Dense of this library, to the last digit."
FORBIDDEN = {
    "linear": "the point is to write it yourself",
    "Linear": "the point is to write it yourself",
    "Dense": "the point is to write it yourself",
    "dense": "the point is to write it yourself",
}


def starter(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """For x (examples, inputs), weight (units, inputs) and bias (units,) return (examples, units)."""
    raise NotImplementedError


def solution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """For x (examples, inputs), weight (units, inputs) and bias (units,) return (examples, units)."""
    return x @ weight.T + bias


def wrong_no_bias(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The bias is missing: add to each unit its own number."""
    return x @ weight.T


def wrong_not_turned(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """You used columns of the weight as units. Its rows are units: turn it on its side, weight.T."""
    return x @ weight + bias


def wrong_bias_of_examples(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """You gave each example a bias. Each unit has one: it must be the same in a column, not in a row."""
    return x @ weight.T + bias[:, None]


def wrong_subtracted(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """You subtracted the bias. It is added."""
    return x @ weight.T - bias


def wrong_with_relu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """You cut off what is negative. That is an activation; here only the weighted sums are wanted."""
    return (x @ weight.T + bias).clamp(min=0)


def wrong_bias_first(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """You added the bias to the input, so it is weighed as well. Weigh first, then add the bias."""
    return (x + bias) @ weight.T


def wrong_not_added_up(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """You multiplied entry by entry. A unit adds up over all its inputs: that is what @ does."""
    return x * weight + bias


def case(seed: int, examples: int = 3, inputs: int = 3, units: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """As many examples as inputs and units, so that every wrong order of the tables runs."""
    dice = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=dice, dtype=torch.float64)

    return draw(examples, inputs), draw(units, inputs), draw(units)


def check_square(answer: Answer, seed: int) -> None:
    x, weight, bias = case(seed)
    found = must_be_tensor(answer(*case(seed)), (3, 3), "The result for 3 examples and 3 units")
    for example in range(3):
        for unit in range(3):
            wanted = float((x[example] * weight[unit]).sum() + bias[unit])
            if abs(float(found[example, unit]) - wanted) > 1e-9:
                raise Fail(
                    f"Unit {unit} makes {wanted:.4f} of example {example}: row {unit} of the weight times row"
                    f" {example} of x, added up, plus its bias. Yours is {float(found[example, unit]):.4f}."
                )


def check_other_sizes(answer: Answer, seed: int) -> None:
    given = case(seed, examples=4, inputs=2, units=5)
    found = must_be_tensor(answer(*given), (4, 5), "The result for 4 examples, 2 inputs and 5 units")
    if not same(found, solution(*given)):
        raise Fail("With 3 examples, inputs and units it is right; with 4, 2 and 5 it is not.")
