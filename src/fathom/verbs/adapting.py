"""``fit --from`` with an adaptation: what stands still, what learns beside it, and the new head.

An adaptation is a setting, and settings are laid over the plan when it is made. It changes what there is to
plan, so its name is looked for before. Nothing is unfrozen by stages then: the numbers of the body never
move, and what is beside them begins as nothing, so the random gradients of a new head do no harm.
"""

from collections.abc import Callable, Sequence
from typing import Any

from fathom.training import AdamW, Unfreezing
from fathom.training.adaptation import Adaptation, Whole, choices

PLACES = ("adaptation", "learning.adaptation")


def named(settings: Sequence[Sequence[str]]) -> type | None:
    """The adaptation that ``settings`` ask for; None where all is to learn, or where there is none such."""
    asked = [text for path, text in settings if path in PLACES]
    kind = choices().get(asked[-1]) if asked else None
    return None if kind is Whole else kind


def way(kind: Any, heads: tuple[str, ...], rate: float, say: Callable[[str], None]) -> dict[str, Any]:
    """How to learn with the adaptation ``kind``; ``heads`` begin anew and learn as they are."""
    adaptation: Adaptation = kind(whole=heads)
    new = f" and the new {', '.join(heads)}" if heads else ""
    say(f"freezing: all that the weights bring; {kind.__name__}{new} learn from the first step")
    say(f"rates: {rate:g} in all of it")
    return {
        "optimizer": AdamW(learning_rate=rate),
        "unfreezing": Unfreezing(),
        "adaptation": adaptation,
    }
