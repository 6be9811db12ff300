"""Twenty layers on photographs, with batch normalisation and with biases in its place.

Each net has the rate that suits it, for being able to take long steps is most of what batch normalisation
gives (Bjorck et al. 2018). Both have the same shortcuts, weights at the start, photographs and number of
steps.

Source: Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167, section 4.2.1 and figure 2.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="In as many steps a residual network of 20 layers learns more with batch norm than without.",
    rows=("RN09",),
    expect=("valid/accuracy: batch - none >= 0.05",),
    source="Ioffe and Szegedy 2015, arXiv 1502.03167, section 4.2.1",
    builds_on=("batch_norm", "cifar_resnet"),
    arms={
        "none": ("cifar10_small", "depth=20", "normalization=identity", "learning_rate=0.05", "steps=400"),
        "batch": ("cifar10_small", "depth=20", "learning_rate=0.2", "steps=400"),
    },
    seeds=3,
    differs=(
        "CIFAR-10 at 16x16 pixels (JPEG-compressed photographs) and 400 steps; the paper's net is Inception.",
        "Each net has a rate of its own: 0.2 with norms; without, 0.05, of 0.02, 0.05 and 0.1 the best on"
        " another seed.",
    ),
)
