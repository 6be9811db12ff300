"""Generate: what a generating model makes of a wish."""

from pathlib import Path
from typing import Any

from fathom.deployment.artifact import Artifact, open_artifact
from fathom.errors import InputError
from fathom.task import Arrays


def generate(run: str | Path, *, backend: str = "auto", **wish: Any) -> dict[str, Any]:
    """One answer of the model of ``run``; ``wish`` has the fields that its task takes.

    Several ``beams`` search for the likeliest text, ``contrast`` for one that does not repeat itself; both
    draw nothing. Where a text grew longer than the context of its model, ``cut`` in the answer says what was
    seen of it. Raises ``InputError`` for a field that this model does not know, and for one of these beside
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
    item = artifact.decode(wish)
    answer = artifact.respond([item])[0]
    return {**answer, **cut(artifact, item, answer)}


def cut(artifact: Artifact, item: Arrays, answer: dict[str, Any]) -> dict[str, str]:
    """What an answer says under ``cut`` where its text outgrew what the model was taught to look back at.

    The last token is written and not read. The mark before the prompt is read, so as many tokens were read as
    prompt and answer have.
    """
    context = (artifact.description["model"] or {}).get("context")
    states: tuple[tuple[str, tuple[int, ...]], ...] = getattr(artifact.task, "states", ())
    kept = next((shape for name, shape in states if name.startswith("state_keys_")), None)
    if context is None or kept is None:  # such as a recurrent network, or one that draws
        return {}
    prompt, written = len(item["prompt"]) - 1, answer["tokens"]
    *readers, _, rows, _ = kept
    if prompt + written <= (rows if readers else context):
        return {}
    seen = (
        f"only the last {rows // 2:,} to {rows:,} were seen at each step"  # they take turns and begin anew
        if readers
        else f"each layer saw only the last {rows:,} at each step"
    )
    tokens = f"prompt and answer have {prompt:,} + {written:,} tokens"
    return {"cut": f"{tokens}, the context of this model {context:,}: {seen}"}
