"""What two images a batch do to batch normalisation.

Batch normalisation takes mean and deviation from the batch. Of two images the deviation is mostly chance, so
every image is scaled by noise, and the running averages that are used afterwards fit none of it. Group
normalisation takes both from one image and does not know how large the batch is. Everything else is the
same: net, steps, rate and the order of images.

Source: Wu and He (2018), https://arxiv.org/abs/1803.08494, section 4.1 and figure 5.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="With two images a batch, group normalisation beats batch normalisation.",
    rows=("RN12",),
    expect=("valid/accuracy: group - batch >= 0.02",),
    source="Wu and He 2018, arXiv 1803.08494, figure 5",
    builds_on=("group_norm", "batch_norm", "cifar_resnet"),
    arms={
        "batch": ("cifar10_small", "normalization=batch", "batch_size=2", "steps=1500", "learning_rate=0.01"),
        "group": ("cifar10_small", "normalization=group", "batch_size=2", "steps=1500", "learning_rate=0.01"),
    },
    seeds=3,
    differs=(
        "3,000 images of 16x16 pixels and eight layers, seconds a run; the paper trains ResNet-50 on ImageNet"
        " for 100 epochs.",
    ),
)
