"""What a long tail does to the classes at its end, and what telling the loss about it does.

Class 9 has a hundredth of the images that class 0 has. Plain cross-entropy learns that as well as anything
else: it hardly ever answers with a rare class. Weights inverse to the frequency pay for it in the loss;
logits shifted by its logarithm take exactly that part of the answer out (Menon et al. 2021, equation 10).
Held-out images are as many of each class, and each class counts the same.

Source: Cui et al. (2019), https://arxiv.org/abs/1901.05555, section 5; Menon et al. (2021),
https://arxiv.org/abs/2007.07314, table 3.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="With a hundred to one between classes, an adjusted loss finds the rare ones.",
    rows=("RN14",),
    expect=(
        "valid/balanced_accuracy: logits - plain >= 0.06",
        "valid/balanced_accuracy: weights - plain >= 0.0",
    ),
    source="Menon et al. 2021, arXiv 2007.07314, table 3",
    builds_on=("class_balance", "cross_entropy", "cifar_resnet"),
    arms={
        "plain": ("cifar10_small", "data.imbalance=100", "steps=600", "model.width=8"),
        "weights": ("cifar10_small", "data.imbalance=100", "steps=600", "model.width=8", "balance=weights"),
        "logits": ("cifar10_small", "data.imbalance=100", "steps=600", "model.width=8", "balance=logits"),
    },
    seeds=3,
    differs=("Eight layers at 16x16 pixels for 600 steps; the papers train ResNet-32 for 200 epochs.",),
)
