"""At a minimum that training found, the loss is steep in a few directions and nearly flat in all others.

There the loss is about a quadratic, whose curvature along a unit vector d is d^T H d. A product H v costs
about two gradients and needs no matrix (Pearlmutter 1994); power iteration with such products finds the
sharpest direction, and the next ones once what is known is taken away. In trained classifiers a few
eigenvalues stand far from a bulk near zero (Sagun et al. 2017, abstract), so a random direction, a mixture
of all, is hardly curved.

A network 49-8-10 with tanh, 490 weights, learns 500 digits of 7 x 7 pixels with a little weight decay, by
L-BFGS, until the slope of the loss is next to nothing: ``slope`` of ``minimum`` is its gradient's length.

``eigenvalue_1`` to ``eigenvalue_3``: ``by_products`` by power iteration, ``by_matrix`` from the whole matrix
that torch.func makes, ``gap`` their difference over the latter. ``sharpest``: along the first eigenvector.
``random``: mean over 100 random unit vectors; ``random_steepest``: the most curved of them. Of these three,
``curvature``: d^T H d; ``log_curvature``: its log10; ``rise/0_25`` to ``rise/2_0``, the values of the plot:
how far the loss is above its minimum at that distance, mean of both sides; ``log_rise``: log10 of that at 1.
``picture`` draws the loss over the plane of the two sharpest directions, and along single ones.
"""

import math
from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fathom.fundamentals.mathematics.curvature import Function
    from fathom.report.markup import Block

CLAIM = Claim(
    sentence="A trained network's loss is ten times as curved in its sharpest direction as in random ones.",
    rows=("MA05",),
    expect=(
        "gap: eigenvalue_1 <= 1e-6",
        "gap: eigenvalue_2 <= 1e-6",
        "gap: eigenvalue_3 <= 1e-6",
        "log_curvature: sharpest - random >= 1",
        "log_curvature: sharpest - random_steepest >= 1",
        "log_rise: sharpest - random >= 1",
        "slope: minimum <= 1e-5",
    ),
    source="Pearlmutter 1994, section 3; Sagun et al. 2017, arXiv 1706.04454",
    builds_on=("curvature", "lbfgs"),
    seeds=5,
    differs=("The network is small and its digits few, so that the whole matrix can be written down.",),
)

DECAY = 1e-3
DISTANCES = (0.25, 0.5, 1.0, 2.0)


def measure(seed: int) -> dict[str, dict[str, float]]:
    import torch

    dice = torch.Generator().manual_seed(seed)
    loss, minimum = trained(dice)
    slope = torch.func.grad(loss)(minimum).norm()
    found = {"minimum": {"slope": float(slope), "loss": float(loss(minimum))}}
    exact = torch.linalg.eigvalsh(torch.func.hessian(loss)(minimum)).flip(0).tolist()
    known = sharpest_directions(loss, minimum, 3)
    for i, (value, _) in enumerate(known):
        gap = abs(value - exact[i]) / exact[i]
        found[f"eigenvalue_{i + 1}"] = {"by_products": value, "by_matrix": exact[i], "gap": gap}

    random = torch.stack([profile(loss, minimum, d) for d in random_directions(minimum, dice)])
    for name, values in (
        ("sharpest", profile(loss, minimum, known[0][1])),
        ("random", random.mean(0)),
        ("random_steepest", random[random[:, 0].argmax()]),
    ):
        curvature, *rises = values.tolist()
        found[name] = {"curvature": curvature, "log_curvature": math.log10(curvature)}
        found[name] |= {f"rise/{d}".replace(".", "_"): r for d, r in zip(DISTANCES, rises, strict=True)}
        found[name]["log_rise"] = math.log10(rises[DISTANCES.index(1.0)])
    return found


def sharpest_directions(loss: "Function", minimum: "Tensor", count: int) -> "list[tuple[float, Tensor]]":
    """The largest curvatures at the minimum, each with its direction, by power iteration."""
    from fathom.fundamentals.mathematics.curvature import largest_curvature

    known: list[tuple[float, Tensor]] = []

    def rest(weights: "Tensor") -> "Tensor":
        """The loss less the curvature that is known."""
        moved = weights - minimum
        return loss(weights) - sum(value / 2 * (vector @ moved) ** 2 for value, vector in known)

    for _ in range(count):
        known.append(largest_curvature(rest, minimum, steps=3000, tolerance=1e-5))
    return known


def random_directions(minimum: "Tensor", dice: "torch.Generator") -> "Tensor":
    """(100, weights), each of length 1."""
    import torch

    drawn = torch.randn(100, len(minimum), generator=dice, dtype=minimum.dtype)
    return drawn / drawn.norm(dim=1, keepdim=True)


def trained(dice: "torch.Generator") -> "tuple[Function, Tensor]":
    """The loss as a function of all weights, and where L-BFGS found it lowest."""
    import torch
    from torch import nn

    from fathom.data.sets import mnist
    from fathom.fundamentals.mathematics.curvature import weights_function
    from fathom.fundamentals.optimizers.lbfgs import lbfgs

    digits = mnist.read()
    chosen = torch.randperm(len(digits.train_labels), generator=dice)[:500]
    images = torch.from_numpy(digits.train_images)[chosen].double() / 255
    pixels = images.view(-1, 7, 4, 7, 4).mean((2, 4)).flatten(1)
    labels = torch.from_numpy(digits.train_labels)[chosen]
    network = nn.Sequential(nn.Linear(49, 8), nn.Tanh(), nn.Linear(8, 10)).double()
    misfit, shape = weights_function(network, nn.functional.cross_entropy, pixels, labels)

    def loss(weights: "Tensor") -> "Tensor":
        return misfit(weights) + DECAY / 2 * weights @ weights

    def closure() -> "Tensor":
        optimizer.zero_grad()
        value = loss(weights)
        value.backward()
        return value

    weights = (0.3 * torch.randn(shape.shape, generator=dice, dtype=shape.dtype)).requires_grad_()
    optimizer = lbfgs([weights], iterations=3000, line_search=True, change_tolerance=0.0)
    optimizer.step(closure)
    return loss, weights.detach()


def profile(loss: "Function", minimum: "Tensor", direction: "Tensor") -> "Tensor":
    """The curvature at the minimum, then the rise at each distance along ``direction``."""
    import torch

    from fathom.fundamentals.mathematics.curvature import along_line

    places = torch.tensor([0.0, *DISTANCES, *(-d for d in DISTANCES)], dtype=minimum.dtype)
    line = along_line(loss, minimum, direction, places)
    rise = (line.values[1:] - line.values[0]).view(2, -1).mean(0)
    return torch.cat([line.curvatures[:1], rise])


def picture(seed: int, found: dict[str, dict[str, float]]) -> "list[Block]":
    """The loss over the plane of the two sharpest directions, and along them beside random ones."""
    import torch

    from fathom.fundamentals.mathematics.curvature import over_plane
    from fathom.report.charts import LineChart
    from fathom.report.landscape import Landscape

    dice = torch.Generator().manual_seed(seed)
    loss, minimum = trained(dice)
    (_, first), (_, second) = sharpest_directions(loss, minimum, 2)
    random = random_directions(minimum, dice)
    places = torch.linspace(-DISTANCES[-1], DISTANCES[-1], 61, dtype=minimum.dtype)
    heights = over_plane(loss, minimum, first, second, places, places) - loss(minimum)
    plane = Landscape(
        places.numpy(), places.numpy(), heights.numpy(), (0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0),
        caption="The loss over the plane of its two sharpest directions", x_title="along the sharpest",
        y_title="along the second", quantity="loss above its minimum", marks=((0.0, 0.0, "minimum"),),
    )  # fmt: skip
    rise = torch.func.vmap(torch.func.vmap(loss))(minimum + places[:, None] * random[:, None]) - loss(minimum)
    middle = len(places) // 2
    series = {
        "sharpest": heights[:, middle], "second": heights[middle], "random, mean of 100": rise.mean(0),
        "random, highest of 100": rise.amax(0),
    }  # fmt: skip
    curves = {name: torch.stack([places, values], dim=1).numpy() for name, values in series.items()}
    caption = "The loss above its minimum, along single directions"
    return [plane, LineChart(curves, x="distance from the minimum", caption=caption)]
