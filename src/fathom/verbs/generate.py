"""Generate: what a generating model makes of a wish."""

from pathlib import Path
from typing import Any

from fathom.deployment.artifact import open_artifact
from fathom.errors import InputError

DICE = ("temperature", "top_k", "top_p", "min_p")  # say how to draw; a search for the likeliest does not


def generate(run: str | Path, *, backend: str = "auto", **wish: Any) -> dict[str, Any]:
    """One answer of the model of ``run``; ``wish`` has the fields that its task takes.

    Several ``beams`` search for the likeliest text and draw nothing. Raises ``InputError`` for a field that
    this model does not know, and for ``beams`` beside one that says how to draw.
    """
    artifact = open_artifact(Path(run), backend)
    known = [o["field"] for o in artifact.description["preprocessing"] if o.get("field")]
    strange = sorted(set(wish) - set(known))
    if not known:
        raise InputError(f"{run} does not generate; ask it with: fathom predict {run} ...")
    if strange:
        raise InputError(f"this model takes no {strange[0]!r}; it takes {', '.join(known)}")
    idle, beams = [name for name in DICE if name in wish], wish.get("beams", 1)
    if idle and isinstance(beams, int) and beams > 1:
        raise InputError(
            f"{idle[0]} is {wish[idle[0]]} and beams {beams}: several beams look for the likeliest text and"
            f" draw nothing; leave out {' and '.join(idle)}, or beams"
        )
    return artifact.predict([wish])[0]
