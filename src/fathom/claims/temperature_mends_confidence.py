"""How much of a net's overconfidence one number can take away.

A net that knows its training photographs by heart says 0.95 where it is right seven times in ten. Dividing
all logits by one temperature changes no answer and makes its probabilities mean what they say. The
temperature is fitted on half of the held-out images; ``calibration_error`` (15 bins) and ``log_loss`` are
those of the other half, before and after.

Source: Guo et al. (2017), https://arxiv.org/abs/1706.04599, section 4.2 and table 1.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="One temperature takes most of the calibration error of an overfitted net away.",
    rows=("MA10",),
    expect=("relative: gain >= 0.3", "log_loss: after - before <= 0.0"),
    source="Guo et al. 2017, arXiv 1706.04599, table 1",
    builds_on=("calibration", "cifar_resnet"),
    seeds=5,
    differs=("Eight layers of 8 maps on 5,000 photographs of CIFAR-10 at 16x16 pixels, 600 steps.",),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Calibration error and log loss before and after, and by which share the error fell."""
    from dataclasses import replace

    import torch
    from torch.nn.functional import nll_loss

    from fathom.fundamentals.mathematics.calibration import (
        apply_temperature,
        expected_calibration_error,
        fit_temperature,
    )
    from fathom.recipes.cifar_resnet import cifar10_small
    from fathom.training.loop import train

    start = cifar10_small()
    experiment = replace(
        start, model=replace(start.model, width=16), seed=seed, steps=600, augment=(),  # type: ignore[type-var]
        data=replace(start.data, train=500),  # type: ignore[type-var]
    )  # fmt: skip
    data = experiment.data.load()
    learner = experiment.learner()
    train(learner, experiment.source(data), steps=experiment.steps, seed=seed)
    order = torch.randperm(len(data.valid), generator=torch.Generator().manual_seed(seed))  # type: ignore[arg-type]
    images, labels = data.valid.rows(order)  # type: ignore[union-attr]
    learner.model.eval()
    with torch.no_grad():
        logits = learner.model(*experiment.task.prepare(images)).double()
    half = len(order) // 2
    temperature = fit_temperature(logits[:half], labels[:half])
    found: dict[str, dict[str, float]] = {}
    for arm, value in (("before", 1.0), ("after", temperature)):
        likely = apply_temperature(logits[half:], value)
        found[arm] = {
            "calibration_error": float(expected_calibration_error(likely, labels[half:])),
            "log_loss": float(nll_loss(likely.log(), labels[half:])),
            "temperature": value,
        }
    before, after = (found[arm]["calibration_error"] for arm in ("before", "after"))
    return found | {"gain": {"relative": 1 - after / before}}
