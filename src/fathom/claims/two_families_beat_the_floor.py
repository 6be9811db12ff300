"""What the ideas of famous families are worth where a processor has five minutes.

A plain network (`plain_cnn`: three convolutions and a linear layer) is the floor. VGG's stacked 3x3
convolutions and the residual net get as many parameters to within an eighth, the same photographs, batches
and augmentation, and as many steps as they make in about the same time: what they ask more of a step, they
have fewer. Each arm is its recipe. The cards of the other families say that they do not beat the floor on
these terms: their ideas were made for larger pictures or longer training.

Source: Simonyan and Zisserman (2015), https://arxiv.org/abs/1409.1556; He et al. (2016),
https://arxiv.org/abs/1512.03385.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="For the same size and time, VGG and a residual net beat a plain network on CIFAR-10.",
    rows=("CL06", "CL08"),
    expect=(
        "valid/accuracy: vgg - floor >= 0.02",
        "valid/accuracy: resnet - floor >= 0.01",
    ),
    source="Simonyan and Zisserman 2015, arXiv 1409.1556; He et al. 2016, arXiv 1512.03385",
    builds_on=("plain_cnn", "vgg", "resnet"),
    arms={"floor": ("cifar10_floor",), "vgg": ("cifar10_vgg",), "resnet": ("cifar10_resnet",)},
    seeds=3,
    differs=("Photographs of CIFAR-10 that were compressed again as JPEG.",),
)
