r"""Write a highway layer.

You get inputs `x` with a row for each example, and two dense layers of the same size. The one with the
weights `weight` and the biases `bias`, followed by a ReLU, computes $h$. The one with `gate_weight` and
`gate_bias`, followed by a sigmoid, computes the gate $T$. Both look at `x`. Return

$$ y = T \cdot h + (1 - T) \cdot x $$
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, same

HINTS = (
    "A dense layer is x @ weight.T + bias.",
    "Compute h and the gate first, each in a line of its own. They have the shape of x.",
    "Where the gate is 1, y is h. Where it is 0, y is x.",
)
PASSED = "The same numbers as the library's highway layer."


def starter(x: Tensor, weight: Tensor, bias: Tensor, gate_weight: Tensor, gate_bias: Tensor) -> Tensor:
    """For x (n, d), two weights (d, d) and two biases (d,) return (n, d)."""
    raise NotImplementedError


def solution(x: Tensor, weight: Tensor, bias: Tensor, gate_weight: Tensor, gate_bias: Tensor) -> Tensor:
    """For x (n, d), two weights (d, d) and two biases (d,) return (n, d)."""
    h = torch.relu(x @ weight.T + bias)
    gate = torch.sigmoid(x @ gate_weight.T + gate_bias)
    return gate * h + (1 - gate) * x


def parts(given: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The input, h, and the gate before its sigmoid; for the twins."""
    x, weight, bias, gate_weight, gate_bias = given
    return x, torch.relu(x @ weight.T + bias), x @ gate_weight.T + gate_bias


def wrong_swapped(*given: Tensor) -> Tensor:
    """The gate is turned round: where it is 1 you hand on x.

    A negative bias then opens the layer instead of closing it.
    """
    x, h, logits = parts(given)
    return torch.sigmoid(logits) * x + (1 - torch.sigmoid(logits)) * h


def wrong_carried_whole(*given: Tensor) -> Tensor:
    """You carry all of x on. The two shares must add up to 1: x counts with 1 minus the gate."""
    x, h, logits = parts(given)
    return torch.sigmoid(logits) * h + x


def wrong_nothing_carried(*given: Tensor) -> Tensor:
    """You carry nothing on. Where the gate is closed, x must come through."""
    _, h, logits = parts(given)
    return torch.sigmoid(logits) * h


def wrong_no_sigmoid(*given: Tensor) -> Tensor:
    """Your gate is a weighted sum, and may be any number. A sigmoid brings it between 0 and 1."""
    x, h, logits = parts(given)
    return logits * h + (1 - logits) * x


def wrong_not_bent(*given: Tensor) -> Tensor:
    """The ReLU of h is missing."""
    x, weight, bias, *_ = given
    gate = torch.sigmoid(parts(given)[2])
    return gate * (x @ weight.T + bias) + (1 - gate) * x


def wrong_gate_of_h(*given: Tensor) -> Tensor:
    """Your gate looks at h. It looks at x: it decides before it knows what the layer says."""
    x, h, _ = parts(given)
    gate = torch.sigmoid(h @ given[3].T + given[4])
    return gate * h + (1 - gate) * x


def wrong_one_gate(*given: Tensor) -> Tensor:
    """You have one gate for a whole row. Each entry has its own."""
    x, h, logits = parts(given)
    gate = torch.sigmoid(logits).mean(dim=1, keepdim=True)
    return gate * h + (1 - gate) * x


def wrong_no_gate_bias(*given: Tensor) -> Tensor:
    """The bias of the gate is not used. It is what keeps a fresh gate nearly closed."""
    x, h, logits = parts(given)
    gate = torch.sigmoid(logits - given[4])
    return gate * h + (1 - gate) * x


def case(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    shapes = ((6, 4), (4, 4), (4,), (4, 4), (4,))
    x, weight, bias, gate_weight, gate_bias = (
        torch.randn(shape, generator=dice, dtype=torch.float64) for shape in shapes
    )
    return x, weight, bias, gate_weight, gate_bias - 1


def check_shape(answer: Answer, seed: int) -> None:
    must_be_tensor(answer(*case(seed)), (6, 4), "The output")


def check_ends(answer: Answer, seed: int) -> None:
    """Gates that are wide open, and closed."""
    x, weight, bias, gate_weight, _ = case(seed)
    for push, wanted, what in ((-1e3, x, "closed"), (1e3, torch.relu(x @ weight.T + bias), "open")):
        found = answer(x, weight, bias, gate_weight, torch.full((4,), push, dtype=torch.float64))
        if not same(found, wanted):
            raise Fail(
                f"With all gates {what} the first entry is {float(wanted[0, 0]):.4f}; yours is"
                f" {float(found[0, 0]):.4f}."
            )


def check_values(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    if not same(found, wanted):
        i, j = divmod(int((found - wanted).abs().argmax()), 4)
        raise Fail(
            f"In row {i}, column {j} the layer puts out {float(wanted[i, j]):.4f}; yours puts out"
            f" {float(found[i, j]):.4f}."
        )


def check_untouched(answer: Answer, seed: int) -> None:
    given = case(seed)
    answer(*given)
    if not same(given, case(seed)):
        raise Fail("Your function changed what it was given. Avoid in-place operations.")
