"""Little time: said before the first step, where most of a ``--time`` goes elsewhere than into training.

A budget fixes the number of steps from what a step and a scoring took. Where scoring is slow, as of a model
that writes, which reads every held-out character one after the other, little is left to learn in.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fathom.training.budget import Budget
    from fathom.training.experiment import Experiment

FEW = 100  # steps that teach little
SHARE = 0.5  # of the time that should be left for training


def warning(budget: "Budget", experiment: "Experiment", steps: int) -> str | None:
    """What to say of ``steps`` of those that ``experiment`` would take; None where they are ample."""
    from fathom.training.budget import LAST

    if steps >= experiment.steps:
        return None
    scoring = (budget.ending - LAST) / 2  # once, of all that is held out
    way = scoring * (steps // experiment.evaluate_every) if experiment.evaluate_every else 0.0
    training = max(0.0, budget.left - budget.ending - way)
    if steps >= FEW and training >= SHARE * budget.seconds:
        return None
    spent = budget.seconds - budget.left
    text = (
        f"little time: {steps:,} of {experiment.steps:,} steps fit into {budget.seconds:.0f} s, for which"
        f" {training:.0f} s are left; {spent:.0f} s went to reading and trying, {2 * scoring + way:.0f} s are"
        f" kept for scoring and {LAST:.0f} s for export and report"
    )
    mend = "give more time, or fix the length with --set steps=N in the place of --time"
    return f"{text}: {mend}" + ("; scoring takes less with less data" if 2 * scoring > training else "")
