"""Which first weights let a deep net of ReLUs begin to learn.

A ReLU passes on half of the variance that it gets. Xavier's weights keep the variance of a linear chain, so
behind twenty ReLUs a millionth of it is left, and the outputs no longer depend on the picture. He's weights
are larger by the square root of two, which makes good for the half that is lost. Nothing else differs here:
the same net, steps and rate, and no norm or skip that would repair the scale.

Source: He et al. (2015), https://arxiv.org/abs/1502.01852, section 2.2 and figure 3.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Twenty layers of ReLU learn from He's initial weights and stall with Xavier's.",
    rows=("IN02",),
    expect=("valid/accuracy: he - xavier >= 0.2", "valid/accuracy: he >= 0.8"),
    source="He et al. 2015, arXiv 1502.01852, figure 3",
    builds_on=("he", "xavier", "deep_mlp"),
    arms={"xavier": ("deep_mlp", "initialization=xavier"), "he": ("deep_mlp", "initialization=he")},
    seeds=5,
    differs=("Dense layers on MNIST; the paper trains a convolutional net of thirty layers on ImageNet.",),
)
