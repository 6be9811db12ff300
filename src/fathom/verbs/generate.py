"""Generate: what a generating model makes of a wish."""

from pathlib import Path
from typing import Any

from fathom.deployment.artifact import open_artifact
from fathom.errors import InputError


def generate(run: str | Path, *, backend: str = "auto", **wish: Any) -> dict[str, Any]:
    """One answer of the model of ``run``; ``wish`` has the fields that its task takes.

    Several ``beams`` search for the likeliest text, ``contrast`` for one that does not repeat itself; both
    draw nothing. Raises ``InputError`` for a field that this model does not know, and for one of these beside
    a field that says how to draw.
    """
    artifact = open_artifact(Path(run), backend)
    fields = (o.get("field") for o in artifact.description["preprocessing"])
    known = list(dict.fromkeys(name for name in fields if name))
    strange = sorted(set(wish) - set(known))
    if not known:
        raise InputError(f"{run} does not generate; ask it with: fathom predict {run} ...")
    if strange:
        raise InputError(f"this model takes no {strange[0]!r}; it takes {', '.join(known)}")
    return artifact.predict([wish])[0]
