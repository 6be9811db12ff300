"""Evaluate: metrics of a run's model on new labelled data."""

from pathlib import Path
from typing import Any

from fathom.deployment.artifact import open_artifact
from fathom.errors import InputError, refuse_code
from fathom.task import Options


def evaluate(
    run: str | Path,
    data: str | Path,
    *,
    target: str | None = None,
    text: str | None = None,
    skip_bad: bool = False,
    backend: str = "auto",
    calibrated: bool = True,
) -> dict[str, Any]:
    """Score the model of ``run`` on the labelled data at ``data``.

    Returns ``{"items": count, "metrics": {...}, "intervals": {name: [low, high]}, "temperature": T}`` with
    95 % bootstrap intervals. The answers that are scored are those that ``predict`` gives: calibrated where
    there is a temperature, else or with ``calibrated`` False it is None. Classes or columns other than those
    the model was trained on raise ``InputError``.
    """
    from fathom.verbs.finish import bootstrap

    place = Path(data)
    refuse_code(place)
    if not place.exists():
        raise InputError(f"{place} does not exist; give a folder or file laid out as the training data was")
    artifact = open_artifact(Path(run), backend, calibrated=calibrated)
    found = artifact.task.read_labelled(place, Options(target=target, text=text, skip_bad=skip_bad))
    assert found.test is not None
    evaluation = artifact.task.evaluate(artifact.network, found.test)
    return {
        "items": len(found.test),
        "metrics": evaluation.metrics,
        "intervals": bootstrap(evaluation),
        "temperature": artifact.temperature.value if artifact.temperature else None,
        "data": dict(found.facts),
    }
