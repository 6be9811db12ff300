"""Whether 56 layers learn, with and without a way past each pair of them.

Both nets have the same layers, norms, weights at the start and rate; one adds the input of each block to its
output. The plain net is not too small: it could copy what a shallow one does and leave the rest alone. It
does not find that. With the sum in place, doing nothing is where every block starts from, and gradients reach
the first layer whole.

Source: He et al. (2016), https://arxiv.org/abs/1512.03385, section 4.2 and figure 6.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="A network of 56 layers learns with skip connections and hardly without.",
    rows=("NF11",),
    expect=("valid/accuracy: skip - plain >= 0.05",),
    source="He et al. 2016, arXiv 1512.03385, figure 6",
    builds_on=("residual", "cifar_resnet"),
    arms={
        "plain": ("cifar10_residual56", "skip=False", "steps=300"),
        "skip": ("cifar10_residual56", "steps=300"),
    },
    seeds=3,
    differs=(
        "CIFAR-10 at 16x16 pixels, half the paper's width and 300 steps instead of 64,000: what is seen is"
        " how fast each learns at first, not where they end.",
    ),
)
