"""Focal loss where one class is fifty times as common as the other.

Cats, and a dog for every fifty of them. Each arm trains the same small net on the same images; ``recall`` is
the share of held-out dogs that are called dogs, ``common`` that of cats, and held out are as many of each.
Focal loss takes weight from whatever is right already, so nearly all of it lies on the few. Its weights for
classes (alpha in the paper) are left out: what they do is the claim ``rare_classes_need_balance``.

Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002, section 3 and figure 4.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="At fifty to one, focal loss finds more of the rare class than cross-entropy.",
    rows=("LO05",),
    expect=("recall: focal - plain >= 0.05",),
    source="Lin et al. 2017, arXiv 1708.02002",
    builds_on=("focal", "cifar_resnet"),
    seeds=5,
    differs=("Eight layers of 8 maps at 16x16 pixels, 300 steps on 4,500 cats and 90 dogs.",),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Recall of the rare and of the common class, with cross-entropy and with focal loss (gamma 2)."""
    from dataclasses import replace

    import torch

    from fathom.recipes.cifar_resnet import cifar10_small
    from fathom.training import CrossEntropy
    from fathom.training.loop import train
    from fathom.training.objectives import Focal

    start = cifar10_small()
    found: dict[str, dict[str, float]] = {}
    for arm, objective in (("plain", CrossEntropy()), ("focal", Focal(gamma=2.0))):
        experiment = replace(
            start, model=replace(start.model, width=8), seed=seed, steps=300,  # type: ignore[type-var]
            data=replace(start.data, pair=(3, 5), minority=0.02),  # type: ignore[type-var]
            learning=replace(start.learning, objective=objective),  # type: ignore[type-var]
        )  # fmt: skip
        data = experiment.data.load()
        learner = experiment.learner()
        train(learner, experiment.source(data), steps=experiment.steps, seed=seed)
        images, labels = data.valid.rows(torch.arange(len(data.valid)))  # type: ignore[union-attr, arg-type]
        learner.model.eval()
        with torch.no_grad():
            answers = learner.model(*experiment.task.prepare(images)).argmax(dim=1)
        found[arm] = {
            "recall": float((answers == labels)[labels == 1].float().mean()),
            "common": float((answers == labels)[labels == 0].float().mean()),
        }
    return found
