"""How much of the gradient reaches the first of 24 layers, by what the layers are made of.

Each arm is a fresh stack and one batch of digits; ``first_over_last`` is the gradient's norm at the first
layer over that at the last, ``log10`` its logarithm, ``distance`` how far that is from 0. A sigmoid has a
slope of at most a quarter, so most of the gradient is gone. ReLU with He's weights keeps its size on average.
Batch norm with ReLU and a skip adds a way on which nothing is multiplied.

Source: Hochreiter (1991); Glorot and Bengio (2010), figure 7; He et al. (2016), arXiv 1603.05027, section 2.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Gradients vanish in deep nets of sigmoids, less with ReLU, and not with skips.",
    rows=("NF15",),
    expect=(
        "log10: sigmoid <= -6",
        "log10: relu - sigmoid >= 4",
        "log10: residual - relu >= 0.1",
        "distance: residual <= 0.5",
    ),
    source="Glorot and Bengio 2010; He et al. 2016",
    builds_on=("gradient_flow",),
    seeds=5,
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """For each kind of stack: the ratio of the first layer's gradient to the last's, and |log10| of it."""
    import math

    import torch
    from torch.nn import functional

    from fathom.data.digits import DEVIATION, MEAN, Digits
    from fathom.fundamentals.networks.gradient_flow import gradient_norms, ratio, stack

    dice = torch.Generator().manual_seed(seed)
    train = Digits().load().train
    images, labels = train.rows(torch.randperm(len(train), generator=dice)[:256])
    pixels = (images.flatten(1).float() / 255 - MEAN) / DEVIATION
    project = torch.randn(784, 64, generator=dice) / 28  # the stack's width, lengths kept
    found: dict[str, dict[str, float]] = {}
    for kind in ("sigmoid", "relu", "residual"):
        net = stack(kind, depth=24, width=64, generator=dice)
        norms = gradient_norms(net, lambda model: functional.cross_entropy(model(pixels @ project), labels))
        share = ratio(norms)
        found[kind] = {
            "first_over_last": share, "log10": math.log10(share), "distance": abs(math.log10(share)),
        }  # fmt: skip
    return found
