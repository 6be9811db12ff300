"""Twenty dense layers that begin with weights which are too small for their depth.

With Xavier's weights behind ReLUs the signal halves at each layer, and a plain net stalls. A highway layer
begins with its gate nearly shut, so most of each value is carried on as it is, and the net is a shallow one
that grows deeper where that helps. He's weights are the other cure; the third arm shows that the plain net is
not too deep as such.

Source: Srivastava et al. (2015), https://arxiv.org/abs/1505.00387, section 3 and figure 1.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="A 20-layer highway net trains where the plain net of the same depth stalls.",
    rows=("NF12",),
    expect=(
        "valid/accuracy: highway - plain >= 0.2",
        "valid/accuracy: highway >= 0.9",
        "valid/accuracy: highway - plain_he >= -0.02",
    ),
    source="Srivastava et al. 2015, arXiv 1505.00387, figure 1",
    builds_on=("highway", "deep_mlp"),
    arms={
        "plain": ("deep_mlp", "initialization=xavier"),
        "highway": ("deep_mlp", "initialization=xavier", "skip=highway"),
        "plain_he": ("deep_mlp", "initialization=he"),
    },
    seeds=5,
    differs=("600 steps a net at one rate; the paper searches the rate of each and trains for 400 epochs.",),
)
