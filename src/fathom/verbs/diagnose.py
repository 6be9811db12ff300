"""Diagnose: what the learning curves of a run say, and what to try next."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fathom.errors import InputError
from fathom.training.run import Run

SAME_UNIT = ("loss", "log_loss")  # validation metrics that are measured as the training loss is
OTHER_UNIT = ("rmse",)  # those whose course alone tells something: they fall as the model gets better


def diagnose(run: str | Path | Run, *, baseline: float | None = None, floor: float = 0.0) -> dict[str, Any]:
    """Say whether ``run`` underfits, overfits, fits well or has not converged, by its recorded metrics.

    ``baseline`` is the loss of knowing nothing: log(classes) where the run's task has labels, else the first
    training loss, unless it is given. ``floor`` is the loss that noise in the targets leaves to a perfect
    model. Returns ``{"run", "regime", "reason", "advice", "numbers", "measured"}``, the last saying which
    metrics were read. The rules are those of ``fundamentals/networks/learning_curves.py``. Raises
    ``InputError`` for a run without a training or a validation loss.
    """
    from fathom.fundamentals.networks import learning_curves

    opened = run if isinstance(run, Run) else Run(Path(run))
    found = measured(opened)
    labels = opened.record.get("settings", {}).get("task.labels") or ()
    if baseline is None and len(labels) > 1:
        baseline = math.log(len(labels))
    name = held_out_loss(opened, found)
    try:
        told = learning_curves.diagnose(
            found["loss"]["train"],
            found[name]["valid"],
            baseline=baseline,
            training_accuracy=found.get("accuracy", {}).get("train", ()),
            validation_accuracy=found.get("accuracy", {}).get("valid", ()),
            chance=1 / len(labels) if len(labels) > 1 else 0.0,
            floor=floor,
            comparable=name in SAME_UNIT and not smoothed(opened),
        )
    except ValueError as error:
        raise InputError(f"{opened.folder} cannot be diagnosed: {error}") from error
    return {
        "run": str(opened.folder), "regime": told.regime, "reason": told.reason, "advice": list(told.advice),
        "numbers": told.numbers, "measured": {"training": "loss", "validation": f"valid/{name}"},
    }  # fmt: skip


def measured(run: Run) -> dict[str, dict[str, list[Any]]]:
    """Metric -> split -> points (step, value); a run that was scored at its end only has that one point."""
    from fathom.report.run_report import curves

    record = run.record
    # A loss that was no number is written as text.
    rows = [{name: _number(value) for name, value in row.items()} for row in run.rows]
    found: dict[str, dict[str, list[Any]]] = dict(curves(rows))
    for name, value in (record.get("result") or {}).get("metrics", {}).items():
        split, _, metric = name.partition("/")
        if split == "valid" and not found.get(metric, {}).get("valid"):
            found.setdefault(metric, {})["valid"] = [(record["steps"], value)]
    return found


def _number(value: Any) -> Any:
    return float(value) if value in ("nan", "inf", "-inf") else value


def held_out_loss(run: Run, found: Mapping[str, Mapping[str, Any]]) -> str:
    """The validation metric to set beside the training loss."""
    if not found.get("loss", {}).get("train"):
        raise InputError(
            f"{run.folder} has recorded no training loss yet; go on with: fathom train --resume {run.folder}"
        )
    scored = [name for name, splits in found.items() if "valid" in splits]
    name = next((n for n in (*SAME_UNIT, *OTHER_UNIT) if n in scored), None)
    if name is None:
        what = f"only {', '.join(scored)}" if scored else "nothing"
        raise InputError(
            f"{run.folder} has recorded {what} on validation data, and a diagnosis needs one of"
            f" {', '.join(f'valid/{n}' for n in (*SAME_UNIT, *OTHER_UNIT))}; have it evaluated on the way:"
            " fathom train RECIPE --set evaluate_every=100"
        )
    if name in OTHER_UNIT and len(found[name]["valid"]) < 3:
        raise InputError(
            f"{run.folder} has recorded valid/{name} {len(found[name]['valid'])} times, and its course needs"
            " 3 or more: fathom train RECIPE --set evaluate_every=100"
        )
    return name


def smoothed(run: Run) -> bool:
    """Whether training aims at softened labels, so that its loss is higher than the validation loss."""
    settings = run.record.get("settings", {})
    return any(n.endswith("label_smoothing") and bool(value) for n, value in settings.items())
