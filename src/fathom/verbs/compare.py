"""Compare: two runs side by side, or a recipe with one switch turned, each with a paired test.

Two finished runs are compared on the items that both were scored on. The arms of a switch are trained anew,
over several seeds, and compared seed by seed.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.errors import InputError
from fathom.training.run import Run
from fathom.verbs.report import cost, title_of

if TYPE_CHECKING:
    from fathom.report.page import Section


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


def compare_arms(
    arms: Mapping[str, Sequence[str]],
    *,
    title: str,
    seeds: int = 3,
    processes: int | None = None,
    out: str | Path = "compare.html",
    command: str = "",
    say: Any = lambda text: None,
) -> dict[str, Any]:
    """Train every arm (a recipe and settings "path=value") with every seed; write the page and its numbers.

    The numbers lie beside the page, as JSON; how many parameters each arm has is said before the first step.
    Scores are those of the validation split: a comparison is there to choose by. Raises ``InputError`` for
    fewer than two arms, and for what a recipe does not have.
    """
    from fathom.verbs.arms import built, paired_tests, parameters, run_arms, summary

    if len(arms) < 2:
        raise InputError(f"a comparison was given {len(arms)} arm(s); give two or more")
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: it must be 1 or more")
    experiments = {name: built(tuple(arm)) for name, arm in arms.items()}
    sizes = {name: parameters(e.model) for name, e in experiments.items()}
    if len(set(sizes.values())) > 1:
        say(", ".join(f"{name}: {count:,} parameters" for name, count in sizes.items()))
    outcomes = run_arms({n: tuple(a) for n, a in arms.items()}, seeds, processes, say)
    runs = {name: [o.metrics for o in found] for name, found in outcomes.items()}
    scores = [m for m in dict.fromkeys(k for r in runs.values() for o in r for k in o) if "/" in m]
    record = {
        "title": title, "command": command, "seeds": seeds, "arms": {n: list(a) for n, a in arms.items()},
        "settings": changed(experiments), "parameters": sizes, "runs": runs, "summary": summary(runs),
        "tests": paired_tests(runs, scores), "curves": {n: joined(found) for n, found in outcomes.items()},
    }  # fmt: skip
    page = Path(out)
    write_arms(page, record)
    page.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record | {"page": str(page)}


def changed(experiments: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The settings in which the arms differ, and their value in each."""
    from fathom.settings import to_json, whole

    flat = [whole(e) for e in experiments.values()]
    names = sorted(set().union(*flat))
    return {
        n: tuple(to_json(f.get(n)) for f in flat)
        for n in names
        if any(f.get(n) != flat[0].get(n) for f in flat)
    }


def joined(outcomes: Sequence[Any]) -> list[tuple[float, float, float, float]]:
    """The learning curves of one arm as one: step, mean, lowest and highest loss over the seeds."""
    shortest = min(len(o.curve) for o in outcomes)
    points = []
    for i in range(shortest):
        losses = [o.curve[i][1] for o in outcomes]
        points.append((float(outcomes[0].curve[i][0]), sum(losses) / len(losses), min(losses), max(losses)))
    return points


def write_arms(page: Path, record: Mapping[str, Any], leading: Sequence["Section"] = ()) -> None:
    """The page of a comparison of arms, or of what code measured; ``leading`` sections come first."""
    from fathom.report.compare_report import compare_report
    from fathom.report.intervals import Interval
    from fathom.report.page import write

    runs = []
    measured = not record["arms"]  # each arm has metrics of its own, and no settings
    fell = any(m.get("diverged", {}).get("mean") for m in record["summary"].values())
    for arm, metrics in record["summary"].items():
        curve = record["curves"].get(arm) or []
        runs.append({
            "name": arm,
            "metrics": {k: Interval(m["mean"], m["low"], m["high"]) if m["seeds"] > 1 else m["mean"]
                        for k, m in metrics.items() if "/" in k or measured or (fell and k == "diverged")},
            "curves": {"loss": [point[:2] for point in curve]} if curve else {},
            "bands": {"loss": ([p[2] for p in curve], [p[3] for p in curve])} if curve else {},
            "cost": {k: metrics[k]["mean"] for k in ("seconds", "steps") if k in metrics}
                    | ({"parameters": record["parameters"][arm]} if record.get("parameters") else {}),
        })  # fmt: skip
    made = compare_report(
        runs=runs, differences=None if measured else {k: tuple(v) for k, v in record["settings"].items()},
        tests=record["tests"], command=record["command"], title=record["title"], pairs="seeds",
        leading=leading,
    )  # fmt: skip
    write(page, made)


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
    from fathom.verbs.fit import reread
    from fathom.verbs.train import rebuild

    origin = run.record["origin"]
    if origin["kind"] == "recipe":
        data = rebuild(origin).data.load()
    elif origin["kind"] == "fit":
        data = reread(origin, run.folder)
    else:
        raise InputError(f"{run.folder} was made from live objects, whose data is not stored")
    artifact = open_artifact(run.folder, calibrated=False)  # as it was scored at the end of training
    split = data.test if data.test is not None else data.valid
    return dict(data.facts), artifact.task.evaluate(artifact.network, split)
