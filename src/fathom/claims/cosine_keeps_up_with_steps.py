"""The rate falls along half a cosine, or drops to a tenth twice.

Both begin with the same warm-up and the same highest rate and end near zero; what differs is how much of the
run is spent at rates in between. Drops need two places to be chosen, and good ones for one length are bad
ones for another. A cosine needs none.

Source: Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983, section 4.1.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="A cosine without settings keeps up with two drops of the rate at their usual places.",
    rows=("SC03",),
    expect=("valid/accuracy: cosine - drops >= -0.01",),
    source="Loshchilov and Hutter 2017, arXiv 1608.03983, section 4.1",
    builds_on=("cosine_annealing", "step_decay", "cifar_resnet"),
    arms={
        "cosine": ("cifar10_small", "learning.schedule=WarmupCosine", "steps=700"),
        "drops": (
            "cifar10_small", "learning.schedule=Warmup", "learning.schedule.then=Drops", "steps=700",
        ),
    },
    seeds=3,
    differs=("Two epochs of CIFAR-10 at 16x16 pixels (JPEG-compressed) instead of two hundred at 32x32.",),
)  # fmt: skip
