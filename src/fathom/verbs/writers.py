"""A run that learned to write, as what ``fit`` begins from: it goes on with another text.

The text is read in the characters that the run knows, since its embedding has a vector for these alone. The
model keeps its sizes, and nothing of it is new: all of it moves from the first step, at a tenth of the rate
that a start from nothing has, so that what was learned before is bent and not washed away.

What a task says of such a run are two settings, its vocabulary and the states that are carried from one
character to the next; by these it is known here.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.errors import InputError
from fathom.task import Options

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.training.experiment import Experiment
    from fathom.verbs.transfer import Source

WINDOW = 128  # characters of a row at most; fewer where the model tells fewer places apart
SHORTEST = 1_000  # characters of text
SLOWER = 0.1  # the rate beside that of a start from nothing
SHOWN = 10  # strange characters in a message


def writes(start: "Source") -> bool:
    """Whether a run learned to write, by the settings of its task."""
    return {"vocabulary", "states"} <= start.fixed.keys()


def read(kind: Any, start: "Source", path: Path, options: Options) -> "tuple[Any, Data]":
    """The task of the run, and the text at ``path`` in its characters, split as any text is.

    Raises ``InputError`` for characters that the run does not know; with ``skip_bad`` they are left out.
    """
    from fathom.data.windows import encode, parts, read_text

    text, facts = read_text(path, options.skip_bad)
    task = kind(**start.fixed)
    known = set(task.vocabulary)
    kept = "".join(c for c in text if c in known)
    lost = len(text) - len(kept)
    if lost and not options.skip_bad:
        raise InputError(
            f"{path} holds {lost:,} characters that {start.told} never saw: {listed(set(text) - known)};"
            " leave them out with --skip-bad, or begin a new run without --from"
        )
    if len(kept) < SHORTEST:
        raise InputError(
            f"{path} holds {len(kept):,} characters that the model knows; give at least {SHORTEST:,}"
        )
    if lost:
        facts |= {
            "unknown_characters": lost,
            "said": (f"left out: {lost:,} characters, {listed(set(text) - known)}",),
        }
    window = min(WINDOW, getattr(start.config, "context", WINDOW))
    return task, parts(encode(kept, task.vocabulary), window, max(1, window // 4), facts)


def listed(strange: set[str]) -> str:
    """The first few characters, as they are written in Python."""
    return " ".join(map(repr, sorted(strange)[:SHOWN])) + (" ..." if len(strange) > SHOWN else "")


def tuned(task: Any, data: "Data", start: "Source", seed: int, say: Callable[[str], None]) -> "Experiment":
    """A run that goes on from ``start``: what the task proposes for such a model from nothing, but slower."""
    from fathom.training import WarmupCosine
    from fathom.training.transferred import Transferred

    proposed = from_nothing(task, data, start, seed)
    learning: Any = proposed.learning
    before = learning.optimizer.learning_rate
    rate = float(f"{SLOWER * before:.6g}")  # not 0.00030000000000000003
    say(f"start: {start.told}; its {len(task.vocabulary)} characters and its sizes stay")
    say(
        f"rate: {rate:g}, a tenth of that of a start from nothing; all of the model moves from the first step"
    )
    optimizer = replace(learning.optimizer, learning_rate=rate)
    return replace(
        proposed,
        model=Transferred(config=start.config, state=start.state),
        learning=replace(learning, optimizer=optimizer, schedule=WarmupCosine()),
    )


def from_nothing(task: Any, data: "Data", start: "Source", seed: int) -> "Experiment":
    """How the task would train such a model: the one that it takes by itself, or one that was chosen."""
    from fathom.verbs.choosing import offered, sizes

    own = start.task is not None and start.system in offered(start.task)
    if own and sizes(start.system, str(start.task)) is None:
        return task.experiment(data, seed)
    return task.proposed(start.config, data, seed)
