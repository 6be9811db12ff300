"""A system by its name for ``fit``: what is trained on somebody's data, where a kind of task has a choice.

A system that says in ``FITS`` for which kind of task it can be chosen is found by that literal. Its
``CHOSEN`` holds the sizes that suit one's own data; the task says in ``fixed_by`` what these decide about it,
and in ``proposed`` how they are trained. A system without ``CHOSEN`` is what the task takes by itself. One
that must learn by an objective of its own, whatever the task would take, has that in ``OBJECTIVE``.
"""

from dataclasses import replace
from functools import cache
from typing import Any

from fathom import catalog
from fathom.catalog import Entry
from fathom.errors import InputError, unknown


@cache
def offered(kind: str) -> dict[str, Entry]:
    """Systems that a kind of task can be trained with, by name, read from their source."""
    line = f'\nFITS = "{kind}"'
    entries = catalog.systems()
    return {name: e for name, e in entries.items() if line in e.path.read_text(encoding="utf-8")}


def sizes(name: str | None, kind: str) -> Any:
    """The ``Config`` of a system that was chosen; None for the task's own choice.

    Raises ``InputError`` where this kind of task does not offer the system.
    """
    if name is None:
        return None
    systems = offered(kind)
    if not systems:
        task = kind.replace("_", " ")
        raise InputError(f"--model {name}: for {task} there is no choice of models; leave --model out")
    if name not in systems:
        raise unknown("model for --model", name, systems)
    return getattr(systems[name].load(), "CHOSEN", None)


def learned_by(name: str | None, experiment: Any) -> Any:
    """``experiment`` with the objective that the system asks for, where it asks for one."""
    entry = catalog.systems().get(name or "")
    wanted = getattr(entry.load(), "OBJECTIVE", None) if entry else None
    if wanted is None:
        return experiment
    return replace(experiment, learning=replace(experiment.learning, objective=wanted))
