"""Balance: what ``fit`` counts, says and decides about rare classes before the first step."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fathom.data.inspect import UNEVEN
from fathom.errors import InputError

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.experiment import Experiment

WAYS = ("none", "auto", "weights", "logits", "sampler")
LOSS, SAMPLER = "learning.objective.balance", ("sampling", "balanced")


def balance(
    wanted: str, experiment: "Experiment", data: "Data", say: Callable[[str], None]
) -> list[tuple[str, str]]:
    """The settings that ``wanted``, one of ``WAYS``, stands for.

    "auto" weighs classes in the loss where the largest has more than ten times the training rows of the
    smallest, or draws them equally often where the loss knows no weights; what it does is said.
    """
    if wanted not in WAYS:
        raise InputError(f"balance is {wanted!r}; it must be one of {', '.join(WAYS)}")
    if wanted == "none":
        return []
    counts = tally(experiment, data)
    weighable = hasattr(getattr(experiment.learning, "objective", None), "balance")
    if wanted == "auto":
        return uneven(counts, weighable, say)
    if not counts:
        raise InputError(f"--balance {wanted}: this data has no classes; leave it out")
    if wanted == "sampler":
        return [SAMPLER]
    if not weighable:
        raise InputError(f"--balance {wanted}: this loss weighs no classes; take --balance sampler")
    return [(LOSS, wanted)]


def tally(experiment: "Experiment", data: "Data") -> dict[str, int]:
    """Training rows of each class, by its name; empty where targets are no classes."""
    from fathom.data.split import class_numbers
    from fathom.fundamentals.regularization.class_balance import class_counts

    found, labels = class_numbers(data.train), getattr(experiment.task, "labels", None)
    if found is None or labels is None:
        return {}
    return dict(zip(map(str, labels), class_counts(found, len(labels)).tolist(), strict=True))


def uneven(counts: dict[str, int], weighable: bool, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """What "auto" decides, said aloud."""
    if not counts:
        say("balance: there are no classes here, so nothing is balanced")
        return []
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if not counts[least]:
        say(f"balance: class {least!r} has no training row, which nothing makes up for; nothing is balanced")
        return []
    if counts[most] == counts[least]:
        say(f"balance: each of {len(counts)} classes has {counts[most]:,} training rows; nothing is balanced")
        return []
    ratio = f"class {most!r} has {counts[most]:,} training rows and {least!r} has {counts[least]:,}"
    if counts[most] <= UNEVEN * counts[least]:
        say(f"balance: {ratio}: near enough, so nothing is balanced")
        return []
    how = "the loss weighs each class by its rarity" if weighable else "every class is drawn equally often"
    say(f"balance: {ratio}, {counts[most] / counts[least]:.0f} to 1: {how}")
    return [(LOSS, "weights")] if weighable else [SAMPLER]
