"""Compare: two runs side by side, with a paired test on the items that both were scored on."""

import shlex
from pathlib import Path
from typing import Any

from fathom.errors import InputError
from fathom.training.run import Run
from fathom.verbs.report import cost, title_of


def compare(first: str | Path, second: str | Path, *, out: str | Path | None = None) -> dict[str, Any]:
    """Write the side-by-side page of two finished runs and return differences and tests.

    The paired test needs the same task and the same held-out items; where they are not, it says so.
    """
    from fathom.report.compare_report import compare_report
    from fathom.report.page import write

    runs = [Run(Path(first)), Run(Path(second))]
    for run in runs:
        if not run.result:
            raise InputError(f"{run.folder} is not finished; go on with: fathom train --resume {run.folder}")
    if runs[0].folder.resolve() == runs[1].folder.resolve():
        raise InputError(f"{first} and {second} are the same run; name two")
    a, b = (run.record["settings"] for run in runs)
    differences = {k: (a.get(k), b.get(k)) for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)}
    names = named(runs)
    tests, why = paired(runs)
    page = compare_report(
        runs=[described(run, name) for run, name in zip(runs, names, strict=True)],
        differences=differences,
        tests=[{"a": names[1], "b": names[0], **test} for test in tests],
        command=shlex.join(["fathom", "compare", str(first), str(second)]),
    )
    target = Path(out) if out else runs[1].folder / f"compare-{runs[0].folder.name}.html"
    write(target, page)
    return {"page": str(target), "differences": differences, "tests": tests, "note": why}


def named(runs: list[Run]) -> list[str]:
    """A name of its own for each run: that of its folder, with more of the path where that is not enough."""
    short = [run.folder.name for run in runs]
    return short if len(set(short)) == len(short) else [str(run.folder) for run in runs]


def described(run: Run, name: str) -> dict[str, Any]:
    """What the page shows of one run."""
    from fathom.report.intervals import Interval
    from fathom.report.run_report import curves

    result = run.result
    metrics: dict[str, Any] = {
        n: Interval(v, *result["intervals"][n]) if n in result["intervals"] else v
        for n, v in result["metrics"].items()
    }
    lines = {
        metric if split == "train" else f"{split}/{metric}": points
        for metric, splits in curves(run.rows).items()
        for split, points in splits.items()
        if len(points) > 1
    }
    return {
        "name": name,
        "metrics": metrics,
        "curves": lines,
        "cost": {"run": title_of(run.record)} | cost(run.record),
        "recipe": run.record["settings"],
    }


def paired(runs: list[Run]) -> tuple[list[dict[str, Any]], str]:
    """Paired tests of every metric that is a mean over the same items."""
    from fathom.report.intervals import paired_difference

    evaluations = []
    for run in runs:
        try:
            evaluations.append(score(run))
        except InputError as error:
            return [], f"no paired test: {error}"
    (data_a, a), (data_b, b) = evaluations
    if data_a != data_b or runs[0].record["task"] != runs[1].record["task"]:
        return [], "no paired test: the two runs were not scored on the same items"
    tests: list[dict[str, Any]] = []
    for name in a.items:
        if name in b.items and len(a.items[name]) == len(b.items[name]):
            test = paired_difference(b.items[name], a.items[name])
            tests.append(
                {"metric": name, "difference": float(test.difference), "low": float(test.low),
                 "high": float(test.high), "p_value": float(test.p_value), "n": int(test.n),
                 "method": test.method}
            )  # fmt: skip
    return tests, ""


def score(run: Run) -> tuple[Any, Any]:
    """What a run's model does on its own held-out split, and what that split is."""
    from fathom.deployment.artifact import open_artifact
    from fathom.verbs.fit import build
    from fathom.verbs.train import rebuild

    origin = run.record["origin"]
    if origin["kind"] == "recipe":
        data = rebuild(origin).data.load()
    elif origin["kind"] == "fit":
        data = build({**origin, "own_model": False, "settings": []}, None, None)[1]
    else:
        raise InputError(f"{run.folder} was made from live objects, whose data is not stored")
    artifact = open_artifact(run.folder)
    split = data.test if data.test is not None else data.valid
    return dict(data.facts), artifact.task.evaluate(artifact.network, split)
