"""CutMix where there are few photographs, many epochs, and nothing else that changes them.

A rectangle of another photograph is pasted into each, and the label is mixed by area. Unlike a blend every
place of the picture still looks like a photograph, and what the net is asked for is to say how much of it is
what: one telling detail is not enough, for it may be pasted over. Flips and crops are left out on both sides,
so that the whole difference is that of CutMix; 500 photographs of each class are seen twenty times over.

Source: Yun et al. (2019), https://arxiv.org/abs/1905.04899, section 4.1.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="CutMix raises accuracy and lowers log loss where photographs are few and epochs many.",
    rows=("RN06",),
    expect=("valid/accuracy: cutmix - plain >= 0.005", "valid/log_loss: cutmix - plain <= -0.2"),
    source="Yun et al. 2019, arXiv 1905.04899, table 5",
    builds_on=("mixing", "cifar_resnet"),
    arms={"plain": ("cifar10_few", "augment=()"), "cutmix": ("cifar10_few_cutmix",)},
    seeds=5,
    differs=(
        "The row asks for ResNet-18 on all of CIFAR-10, which takes a GPU; this is a net of eight layers on a"
        " tenth of it at 16x16 pixels. The bounds were set after one seed (77) that is not among those of the"
        " record.",
    ),
)
