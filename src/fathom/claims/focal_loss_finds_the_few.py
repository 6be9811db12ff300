"""Focal loss where one class is fifty times as common as the other, with and without its weights.

Automobiles, and a truck for every fifty of them. Each arm trains the same small net on the same images;
``recall`` is the share of held-out trucks that are called trucks, ``common`` that of automobiles; held out
are as many of each. The loss of the paper has two parts (equation 5): (1 - p)^gamma takes weight from
whatever is right already, alpha gives weight to the rare class; here alpha is inverse to the counts.

The first version of this claim left alpha out, and did not hold: after 300 steps the factor alone found no
rare picture, and neither did cross-entropy. So all four combinations are measured. What is promised is the
loss as published against plain cross-entropy; that nearly all of it is owed to alpha is to be read off the
arms "weights" and "focal".

Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002, section 3 and table 1b.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="At fifty to one, focal loss with its class weights finds more of the few than cross-entropy.",
    rows=("LO05",),
    expect=("recall: both - plain >= 0.05", "common: both >= 0.5"),
    source="Lin et al. 2017, arXiv 1708.02002",
    builds_on=("focal", "class_balance", "cifar_resnet"),
    seeds=5,
    differs=(
        "Eight layers of 8 maps at 16x16 pixels, 300 steps on 4,500 automobiles and 90 trucks.",
        "The factor (1 - p)^gamma without alpha is measured and promised nothing: it finds none.",
    ),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Recall of the rare and of the common class, with each loss (gamma 2 where focal)."""
    from dataclasses import replace

    import torch

    from fathom.recipes.cifar_resnet import cifar10_small
    from fathom.training import CrossEntropy
    from fathom.training.loop import train
    from fathom.training.objectives import Focal

    start = cifar10_small()
    losses = {
        "plain": CrossEntropy(),
        "focal": Focal(gamma=2.0),
        "weights": CrossEntropy(balance="weights"),
        "both": Focal(gamma=2.0, balance="weights"),
    }
    found: dict[str, dict[str, float]] = {}
    for arm, objective in losses.items():
        experiment = replace(
            start, model=replace(start.model, width=8, classes=2), seed=seed, steps=300,  # type: ignore[type-var]
            task=replace(start.task, labels=("automobile", "truck")),  # type: ignore[type-var]
            data=replace(start.data, pair=(1, 9), minority=0.02),  # type: ignore[type-var]
            learning=replace(start.learning, objective=objective),  # type: ignore[type-var]
        )  # fmt: skip
        data = experiment.data.load()
        experiment = experiment.counted(data)
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
