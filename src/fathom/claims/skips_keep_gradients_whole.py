"""Whether skips bring gradients through 24 layers more nearly whole than He's weights alone do.

It is often said so. The experiment is that of ``gradients_vanish_with_depth``: fresh stacks, one batch of
digits, ``distance`` = |log10| of the first layer's gradient over the last one's. He's weights were made to
keep the size of what passes through ReLUs, and they do; what skips add is that it no longer depends on the
scale of the weights, which this experiment does not change.

Source: He et al. (2016), https://arxiv.org/abs/1603.05027, section 2.
"""

from fathom.claim import Claim
from fathom.claims import gradients_vanish_with_depth

CLAIM = Claim(
    sentence="With He's weights, skips bring gradients through more nearly whole than plain ReLU layers do.",
    rows=(),
    expect=("distance: residual - relu <= 0.0",),
    source="He et al. 2016, arXiv 1603.05027, section 2",
    builds_on=("gradient_flow",),
    seeds=5,
)

measure = gradients_vanish_with_depth.measure
