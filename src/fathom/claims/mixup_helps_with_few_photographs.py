"""Mixup where there are few photographs and many epochs.

Mixup trains on sums of two images with labels in the same proportion. No image is ever seen twice in the same
form, so it cannot be learned by heart, and between two classes the net is asked for in-between answers. That
costs training loss always; it pays where the net would otherwise overfit: here 500 photographs of each class,
twenty times over.

Source: Zhang et al. (2018), https://arxiv.org/abs/1710.09412, section 3.2.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Mixup raises accuracy by half a point where photographs are few and epochs many.",
    rows=("RN06",),
    expect=("valid/accuracy: mixup - plain >= 0.005",),
    source="Zhang et al. 2018, arXiv 1710.09412, table 2",
    builds_on=("mixing", "cifar_resnet"),
    arms={"plain": ("cifar10_few",), "mixup": ("cifar10_few_mixup",)},
    seeds=3,
    differs=(
        "The row asks for ResNet-18 on all of CIFAR-10, which takes a GPU; this is a net of eight layers on a"
        " tenth of it at 16x16 pixels.",
    ),
)
