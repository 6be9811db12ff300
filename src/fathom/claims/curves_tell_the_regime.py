"""Whether learning curves tell a net that is too small from one that has learned by heart.

Ten runs with seeds of their own, five of each regime, judged by the rules of ``learning_curves`` alone: a net
of two units that cannot fit the digits, and one of 512 with a thousand digits, no augmentation and many
steps. ``right`` is the share of runs that are given their true name.

Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 5.2 and figure 5.3.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Learning curves tell underfitting from overfitting, ten times out of ten.",
    rows=("NF10",),
    expect=("right: small >= 1.0", "right: large >= 1.0"),
    source="Goodfellow, Bengio and Courville 2016, section 5.2",
    builds_on=("learning_curves", "deep_mlp"),
    seeds=5,
)

ARMS = {
    "small": ("mlp_mnist", "model.width=2", "steps=600", "augment=()", "evaluate_every=30"),
    "large": (
        "mlp_mnist", "data.valid=59000", "model.width=512", "steps=900", "augment=()", "evaluate_every=30",
    ),
}  # fmt: skip
REGIMES = {"small": "underfitting", "large": "overfitting"}


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Whether each regime is given its name, and the two losses at the end."""
    import math
    from dataclasses import replace
    from typing import Any

    import torch

    from fathom.data.split import Part
    from fathom.fundamentals.networks.learning_curves import diagnose
    from fathom.task import Boundary
    from fathom.training.loop import Event, train
    from fathom.verbs.arms import built

    found: dict[str, dict[str, float]] = {}
    for arm, settings in ARMS.items():
        experiment = replace(built(settings), seed=seed)
        data = experiment.data.load()
        held_out = Part(data.valid, torch.arange(5000))  # type: ignore[arg-type]
        seen: list[tuple[int, float]] = []
        unseen: list[tuple[int, float]] = []

        def note(event: Event, task: Any = experiment.task, rows: Any = held_out) -> None:
            seen.append((event.steps, float(event.metrics["loss"])))  # noqa: B023
            if event.steps % 30 == 0:
                scores = task.evaluate(Boundary(task, event.learner.model), rows).metrics
                unseen.append((event.steps, scores["log_loss"]))  # noqa: B023

        learner = experiment.learner()
        train(learner, experiment.source(data), steps=experiment.steps, seed=seed, observers=[note])
        told = diagnose(seen, unseen, baseline=math.log(10))
        found[arm] = {
            "right": float(told.regime == REGIMES[arm]), "training": seen[-1][1], "held_out": unseen[-1][1],
        }  # fmt: skip
    return found
