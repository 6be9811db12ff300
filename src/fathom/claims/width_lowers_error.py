"""A wider network comes nearer to a curve, and so does a deeper one of the same width.

A network with one hidden layer of ReLU units draws a line that bends once for each unit. With enough bends it
follows any continuous curve as closely as asked (Cybenko 1989 for sigmoids; Hornik 1991 for nearly all
activations). The theorems say that good weights exist, not that training finds them; this measures trained
networks. A second layer bends every piece that the first one made, so the number of pieces can double with
each layer where it grows by a constant with each unit (Telgarsky 2016, theorem 1.1).

Three curves on [-1, 1]: ``sine``, three whole waves; ``square``, two waves of a square, which jump where a
network can only be steep; and ``zigzag``, |x| folded three times, eight straight pieces, which is Telgarsky's
own example. A single |x|, or a single step, takes no more than two units: its error says little about width.

An arm is a point of the plot: the curve, and ``width_W`` for one hidden layer of W, or ``depth_D`` for D
layers of 16. ``log_error``: log10 of the root mean square error at 1,000 places between those trained on; 1
less is a tenth of the error. ``slope``, of the arms ``.../widths``: the change of ``log_error`` for a tenfold
width, by least squares over the seven widths. Weights begin as He et al. (2015) have them, and the units of
the first layer bend at places spread over the interval. ``fathom verify width_lowers_error`` makes every
point anew.
"""

import itertools
import math
from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    from torch import Tensor

CLAIM = Claim(
    sentence="The error on a curve falls with the width of a network, and at one width with its depth.",
    rows=("NF05",),
    expect=(
        "log_error: sine/width_128 - sine/width_2 <= -0.8",
        "log_error: square/width_128 - square/width_2 <= -0.4",
        "log_error: zigzag/width_128 - zigzag/width_2 <= -1",
        "slope: sine/widths <= -0.4",
        "slope: square/widths <= -0.2",
        "slope: zigzag/widths <= -0.6",
        "log_error: sine/depth_4 - sine/depth_1 <= -0.5",
        "log_error: square/depth_4 - square/depth_1 <= -0.3",
        "log_error: zigzag/depth_4 - zigzag/depth_1 <= -1",
    ),
    source="Cybenko 1989; Hornik 1991; Telgarsky 2016, arXiv 1602.04485, theorem 1.1",
    builds_on=("dense", "relu", "he", "adam", "linear_algebra"),
    seeds=5,
    differs=(
        "The theorems are about the best weights; these are the weights that Adam finds in 1,200 steps.",
        "A deeper network of one width has more weights; this does not compare at equal size.",
    ),
)

WIDTHS = (2, 4, 8, 16, 32, 64, 128)
DEPTHS = (1, 2, 3, 4)
OF_DEPTHS = 16  # the width of the networks whose depth changes
STEPS, RATE = 1200, 1e-2


def curve(name: str, x: "Tensor") -> "Tensor":
    if name == "sine":
        return (3 * math.pi * x).sin()
    if name == "square":
        return (2 * math.pi * x).sin().sign()
    for _ in range(3):
        x = 2 * x.abs() - 1
    return x


def log_error(name: str, width: int, depth: int, seed: int) -> float:
    """Train one network on 256 places of the curve; the error at 1,000 others."""
    import torch

    from fathom.fundamentals.activations.relu import relu
    from fathom.fundamentals.initialization.he import he_normal_
    from fathom.fundamentals.networks.dense import Dense
    from fathom.fundamentals.optimizers.adam import adam

    dice = torch.Generator().manual_seed(seed)
    sizes = [1, *[width] * depth, 1]
    layers = [Dense(a, b, generator=dice) for a, b in itertools.pairwise(sizes)]
    with torch.no_grad():
        for layer in layers:
            he_normal_(layer.weight, generator=dice)
        bends = 2 * torch.rand(width, generator=dice) - 1  # of the first layer's units, in the interval
        layers[0].bias = torch.nn.Parameter(-bends * layers[0].weight[:, 0])

    def network(x: "Tensor") -> "Tensor":
        for layer in layers[:-1]:
            x = relu(layer(x))
        return layers[-1](x)

    x = torch.linspace(-1, 1, 256)[:, None]
    y = curve(name, x)
    optimizer = adam([p for layer in layers for p in layer.parameters()], RATE)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        ((network(x) - y) ** 2).mean().backward()
        optimizer.step()
    unseen = (torch.arange(1000)[:, None] + 0.5) / 500 - 1
    with torch.no_grad():
        error = ((network(unseen) - curve(name, unseen)) ** 2).mean().sqrt()
    return math.log10(float(error))


def measure(seed: int) -> dict[str, dict[str, float]]:
    import numpy as np

    from fathom.fundamentals.mathematics.linear_algebra import least_squares

    found: dict[str, dict[str, float]] = {}
    design = np.stack([np.ones(len(WIDTHS)), np.log10(WIDTHS)], axis=1)
    for name in ("sine", "square", "zigzag"):
        errors = [log_error(name, width, 1, seed) for width in WIDTHS]
        found |= {f"{name}/width_{w}": {"log_error": e} for w, e in zip(WIDTHS, errors, strict=True)}
        found[f"{name}/widths"] = {"slope": float(least_squares(design, np.array(errors))[1])}
        found[f"{name}/depth_1"] = found[f"{name}/width_{OF_DEPTHS}"]
        for depth in DEPTHS[1:]:
            found[f"{name}/depth_{depth}"] = {"log_error": log_error(name, OF_DEPTHS, depth, seed)}
    return found
