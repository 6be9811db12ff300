"""How much of the gradient reaches the first of 24 layers, by what the layers are made of.

Each arm is a fresh stack and one batch of digits. ``first_over_last`` is the norm of the first layer's
gradient over the last one's, ``log10`` its logarithm, ``distance`` how far that is from 0, and ``widest`` the
largest distance of the gradients that arrive (dL/dz) where the weights are 0.7, 1 and 1.4 times as large as
they should be. A sigmoid has a slope of at most a quarter, so most of the gradient is gone. ReLU with He's
weights keeps its size as long as the weights have just that scale. Batch norm, ReLU and a skip add a way on
which nothing is multiplied, whatever the scale.

Source: Hochreiter (1991); Glorot and Bengio (2010), figure 7; He et al. (2016), arXiv 1603.05027, section 2.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Gradients vanish with sigmoids, keep their size with ReLU at one scale, and with skips at any.",
    rows=("NF15",),
    expect=(
        "log10: sigmoid <= -6",
        "log10: relu - sigmoid >= 4",
        "widest: residual - relu <= -1.0",
    ),
    source="Glorot and Bengio 2010; He et al. 2016",
    builds_on=("gradient_flow",),
    seeds=5,
    differs=("At He's own scale ReLU does as well as skips: see skips_keep_gradients_whole.",),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """For each kind of stack: the ratio of the first layer's gradient to the last's, and |log10| of it."""
    import math

    import torch
    from torch import Tensor, nn
    from torch.nn import functional

    from fathom.data.digits import DEVIATION, MEAN, Digits
    from fathom.fundamentals.networks.gradient_flow import gradient_norms, ratio, stack

    dice = torch.Generator().manual_seed(seed)
    train = Digits().load().train
    images, labels = train.rows(torch.randperm(len(train), generator=dice)[:256])
    pixels = (images.flatten(1).float() / 255 - MEAN) / DEVIATION
    project = torch.randn(784, 64, generator=dice) / 28  # the stack's width, lengths kept

    def loss(model: nn.Module) -> Tensor:
        return functional.cross_entropy(model(pixels @ project), labels)

    found: dict[str, dict[str, float]] = {}
    for kind in ("sigmoid", "relu", "residual"):
        net = stack(kind, depth=24, width=64, generator=dice)
        share = ratio(gradient_norms(net, loss))
        found[kind] = {
            "first_over_last": share,
            "log10": math.log10(share),
            "distance": abs(math.log10(share)),
        }
        widest = 0.0
        for scale in (0.7, 1.0, 1.4):
            net = stack(kind, depth=24, width=64, scale=scale, generator=dice)
            arriving = gradient_norms(net, loss, of="outputs")
            widest = max(widest, abs(math.log10(ratio(arriving))))
        found[kind]["widest"] = widest
    return found
