r"""Write the backward pass of a network.

A network has one hidden layer with a ReLU. Forwards it computes

$$ z = x W_1^\top + b_1 \qquad h = \max(0, z) \qquad y = h W_2^\top + b_2 $$

and the loss is the mean of $(y - t)^2$ over **all** entries of $y$. Return the slopes of the loss in $W_1$,
$b_1$, $W_2$ and $b_2$.
"""

import torch
from torch import Tensor

from fathom.learn.engine.grade import Answer, Fail, must_be_tensor, slope

HINTS = (
    "Compute z, h and y first: the way back needs them. Then begin at the loss.",
    "The slope in y is 2 (y - t), divided by the number of entries of y. Then comes a dense layer.",
    "g_h = g_y @ W2, g_z = g_h where z > 0, then the first layer: g_z.T @ x and the sum of g_z.",
)
PASSED = "You have written what loss.backward() does, for a whole network."
FORBIDDEN = {
    "autograd": "the point is to find the slopes yourself",
    "backward": "the point is to find the slopes yourself",
}
Four = tuple[Tensor, Tensor, Tensor, Tensor]


def starter(
    x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """With x (n, inputs), t (n, outputs), w1 (hidden, inputs), w2 (outputs, hidden): the four slopes."""
    raise NotImplementedError


def solution(
    x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """With x (n, inputs), t (n, outputs), w1 (hidden, inputs), w2 (outputs, hidden): the four slopes."""
    z = x @ w1.T + b1
    h = z.clamp(min=0)
    y = h @ w2.T + b2
    g_y = 2 * (y - t) / y.numel()
    g_z = (g_y @ w2) * (z > 0)
    return g_z.T @ x, g_z.sum(dim=0), g_y.T @ h, g_y.sum(dim=0)


def back(
    x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, *,
    mask: bool = True, two: bool = True, count: str = "all", last_input: str = "h", sign: float = 1.0,
) -> Four:  # fmt: skip
    """The way back with one thing changed, for the twins."""
    z = x @ w1.T + b1
    h = z.clamp(min=0)
    y = h @ w2.T + b2
    parts = {"all": y.numel(), "examples": len(y), "none": 1}[count]
    g_y = sign * (2 if two else 1) * (y - t) / parts
    g_z = (g_y @ w2) * (z > 0) if mask else g_y @ w2
    return g_z.T @ x, g_z.sum(dim=0), g_y.T @ (h if last_input == "h" else z), g_y.sum(dim=0)


def wrong_no_mask(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """The slopes pass the ReLU as if it were not there. Where z was negative nothing passes."""
    return back(x, t, w1, b1, w2, b2, mask=False)


def wrong_no_two(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """Every slope is half of what it should be: the slope of a square is twice what is squared."""
    return back(x, t, w1, b1, w2, b2, two=False)


def wrong_no_mean(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """The loss is a mean: divide by the number of entries of y."""
    return back(x, t, w1, b1, w2, b2, count="none")


def wrong_mean_of_examples(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """You divided by the number of examples. The mean goes over all entries of y: examples times outputs."""
    return back(x, t, w1, b1, w2, b2, count="examples")


def wrong_before_the_bend(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """The last weights got z. What went through them was h, after the ReLU."""
    return back(x, t, w1, b1, w2, b2, last_input="z")


def wrong_sign(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """All signs are turned: the slope in y is that of (y - t) squared, so y comes first."""
    return back(x, t, w1, b1, w2, b2, sign=-1.0)


def wrong_order(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Four:
    """The numbers are right, in the wrong order: return those of the first layer first, w1, b1, w2, b2."""
    first, first_bias, second, second_bias = back(x, t, w1, b1, w2, b2)
    return second, second_bias, first, first_bias


def case(seed: int) -> tuple[Tensor, ...]:
    dice = torch.Generator().manual_seed(seed)
    shapes = ((4, 3), (4, 2), (5, 3), (5,), (2, 5), (2,))
    return tuple(torch.randn(shape, generator=dice, dtype=torch.float64) for shape in shapes)


NAMES = ("w1", "b1", "w2", "b2")


def check_shapes(answer: Answer, seed: int) -> None:
    found = answer(*case(seed))
    if not isinstance(found, tuple) or len(found) != 4:
        raise Fail("Return four slopes: in w1, b1, w2 and b2.")
    for value, shape, name in zip(found, ((5, 3), (5,), (2, 5), (2,)), NAMES, strict=True):
        must_be_tensor(value, shape, f"The slope in {name}")


def loss(x: Tensor, t: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    return (((x @ w1.T + b1).clamp(min=0) @ w2.T + b2 - t) ** 2).mean()


def check_slopes(answer: Answer, seed: int) -> None:
    given = case(seed)
    found = answer(*(tensor.clone() for tensor in given))
    for place in (3, 2, 1, 0):  # from the end: the first mistake on the way back is found first
        parts = list(given)

        def moved(t: Tensor, place: int = place, parts: list[Tensor] = parts) -> Tensor:
            return loss(*[t if k == 2 + place else part for k, part in enumerate(parts)])

        wanted = slope(moved, given[2 + place])
        if not torch.allclose(found[place], wanted, 1e-5, 1e-7):
            entry = int((found[place] - wanted).abs().argmax())
            right, mine = (float(t.flatten()[entry]) for t in (wanted, found[place]))
            raise Fail(
                f"Move entry {entry} of {NAMES[place]} a little: the loss changes at the rate {right:+.4f};"
                f" yours says {mine:+.4f}."
            )
