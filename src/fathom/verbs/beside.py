"""Simple methods beside a model: scored on the same held-out rows, and compared pair by pair.

``measure`` scores them before training and ``keep`` writes what they got on each row into the run folder, so
that the report, in this sitting or a later one, can say how sure the distance to each of them is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.report.intervals import Interval, bootstrap_statistic, paired_difference
from fathom.task import Evaluation

if TYPE_CHECKING:
    from fathom.data.split import Data
    from fathom.report.page import Section
    from fathom.task import Task

FILE = "baselines.safetensors"  # in a run folder: "method/metric" -> one value a held-out row
MANY = 10_000  # rows from which a bootstrap of 500 resamples is as steady as one of 2,000 on fewer


def measure(task: "Task", data: "Data") -> dict[str, Evaluation]:
    """What the simple methods of ``task`` reach on the validation split; none without that split."""
    return dict(task.baselines(data)) if data.valid is not None else {}


def metrics_of(found: Mapping[str, Evaluation]) -> dict[str, dict[str, float]]:
    """The numbers of each method, for run.json."""
    return {name: dict(evaluation.metrics) for name, evaluation in found.items()}


def keep(found: Mapping[str, Evaluation], folder: Path) -> None:
    """Write the value of each held-out row, of every method and metric."""
    from safetensors.numpy import save_file

    rows = {
        f"{method}/{metric}": np.ascontiguousarray(values, dtype=np.float64)
        for method, evaluation in found.items()
        for metric, values in evaluation.items.items()
    }
    if rows:
        save_file(rows, folder / FILE)


def kept(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """What ``keep`` wrote, by method and metric; empty where nothing was written."""
    from safetensors.numpy import load_file

    found: dict[str, dict[str, np.ndarray]] = {}
    if (folder / FILE).is_file():
        for name, values in load_file(folder / FILE).items():
            method, _, metric = name.rpartition("/")
            found.setdefault(method, {})[metric] = values
    return found


def distance(ours: Evaluation, theirs: Mapping[str, np.ndarray]) -> Interval | None:
    """The model's headline metric less a method's, with its 95 % interval over pairs of equal rows.

    None where the headline is no mean, nor the root of one, over rows that both were scored on.
    """
    name, squares = ours.headline, ours.roots.get(ours.headline)
    items = squares or name
    if items not in ours.items or items not in theirs or len(ours.items[items]) != len(theirs[items]):
        return None
    first, second = np.asarray(ours.items[items], np.float64), theirs[items]
    if len(first) < 2:
        return None
    if squares is None:
        test = paired_difference(first, second)
        return Interval(test.difference, test.low, test.high, method=test.method)
    return bootstrap_statistic(apart, first, second, resamples=2000 if len(first) <= MANY else 500)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    """The root of one mean less the root of another."""
    return float(np.sqrt(first.mean()) - np.sqrt(second.mean()))


def verdict(gap: Interval | None, higher_is_better: bool) -> str:
    """What the interval says of the model, in a word or three."""
    if gap is None:
        return "-"
    if gap.low <= 0 <= gap.high:
        return "no difference shown"
    return "better" if (gap.low > 0) == higher_is_better else "worse"


def fallen_short(extra: Mapping[str, Any]) -> str | None:
    """One line on the best of the simple methods, where the model that was just scored is worse than it.

    ``extra`` is what a session knows of its run. None in a sitting that did not score the model.
    """
    ours: Evaluation | None = extra.get("evaluation/valid")
    if ours is None:
        return None
    name, sign = ours.headline, 1 if ours.higher_is_better else -1
    scores = {method: m[name] for method, m in (extra.get("baselines") or {}).items() if name in m}
    best = max(scores, key=lambda method: sign * scores[method], default=None)
    if best is None or not sign * scores[best] > sign * ours.metrics[name]:
        return None
    return (
        f"worse than the baseline {best} on the validation split, {name} {ours.metrics[name]:.4g} against"
        f" {scores[best]:.4g}: train longer, with more --time or --set steps=N, or on more data"
    )


def section(
    metrics: Mapping[str, Mapping[str, float]], rows: Mapping[str, Mapping[str, Any]], ours: Evaluation
) -> "list[Section]":
    """The table of the report: every method's numbers, and the model's distance to each of them."""
    from fathom.report.blocks import Table
    from fathom.report.page import Section

    if not metrics:
        return []
    names = [n for n in ours.metrics if any(n in found for found in metrics.values())]
    gaps = {method: distance(ours, rows.get(method, {})) for method in metrics}
    body: list[list[Any]] = [
        [method, *(found.get(n, "-") for n in names), str(gaps[method] or "-"),
         verdict(gaps[method], ours.higher_is_better)]
        for method, found in metrics.items()
    ]  # fmt: skip
    body.append(["this model", *(ours.metrics[n] for n in names), "", ""])
    caption = (
        f"On the same held-out rows. The last columns are this model's {ours.headline} less the method's, "
        "with its 95 % interval over pairs of rows, and what that says of this model."
    )
    columns = ("method", *names, f"difference in {ours.headline}", "this model is")
    return [Section("Beside simple methods", [Table(columns, body, caption, emphasis=[len(body) - 1])])]
