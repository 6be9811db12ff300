"""Verify: run a recipe as often as its promise asks, and write down what came out."""

import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fathom import catalog, evidence
from fathom.errors import InputError, unknown
from fathom.training.run import machine, now, versions

Say = Callable[[str], None]

ROUNDING = 2.0**-23  # of a float32
NUDGES = (1, 4, 16, 64, 256, 1024)  # roundings of the weights in the songs that measure a recipe's chaos


def verify(
    names: list[str] | None = None,
    *,
    again: bool = False,
    threads: int | None = None,
    processes: int | None = None,
    say: Say = lambda text: None,
) -> dict[str, dict[str, Any]]:
    """Records of recipes, claims or inventory rows (default: all that promise something), where not fresh.

    Each record is stored as soon as it is done, so that a stopped call goes on where it was.
    """
    from fathom.verbs.claiming import measure_claim

    recipes, primitives, claims = chosen(names)
    results = verify_primitives(primitives, again, say)
    results |= refreshed(
        claims, {} if again else evidence.claims(), f"{evidence.CLAIMS}/{{}}.json", ("held", "did NOT hold"),
        lambda name: measure_claim(name, processes, say), say,
    )  # fmt: skip
    results |= refreshed(
        recipes, {} if again else evidence.records(), "{}.json", ("met", "NOT met"),
        lambda name: measure(name, threads, say), say,
    )  # fmt: skip
    return results


def refreshed(
    names: list[str],
    kept: dict[str, dict[str, Any]],
    place: str,
    words: tuple[str, str],
    measured: Callable[[str], dict[str, Any]],
    say: Say,
) -> dict[str, dict[str, Any]]:
    """A record for each name: the one that is ``kept`` where it is fresh, else ``measured`` anew and stored.

    ``words`` tell of a kept record that it is met, or that it is not; ``place`` is its file, with {} for the
    name.
    """
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        record = kept.get(name)
        if record is not None and evidence.fresh(record):
            say(f"{name}: fresh, {words[0] if record['met'] else words[1]}")
        else:
            record = measured(name)
            store(place.format(name), record)
        results[name] = record
    return results


def verify_primitives(names: list[str], again: bool, say: Say) -> dict[str, dict[str, Any]]:
    """Ask the oracles of these primitives anew, where their record is older than their code."""
    from fathom.verbs.parity import primitive_records

    kept = evidence.primitives()
    stale = [n for n in names if again or kept.get(n, {}).get("code") != evidence.entry_hash(n)]
    if stale:
        kept |= primitive_records(stale)
        store(evidence.PRIMITIVES, {n: kept[n] for n in sorted(kept) if n in catalog.primitives()})
    for name in names:
        passed = kept[name]["passed"]
        say(f"{name}: {'fresh' if name not in stale else 'measured'}, {passed or 'no'} tests passed")
    return {name: kept[name] | {"met": kept[name]["passed"] > 0} for name in names}


def chosen(names: list[str] | None) -> tuple[list[str], list[str], list[str]]:
    """Recipes, primitives and claims by name or by row, or all that promise something."""
    if not names:
        return promising(list(catalog.recipes())), list(catalog.primitives()), list(catalog.claims())
    recipes: list[str] = []
    primitives: list[str] = []
    claims: list[str] = []
    for name in names:
        if name in catalog.recipes():
            recipes.append(name)
        elif name in catalog.primitives():
            primitives.append(name)
        elif name in catalog.claims():
            claims.append(name)
        elif name in catalog.inventory():
            systems = [s for s, entry in catalog.systems().items() if name in entry.card.rows]
            own = promising([r for r, entry in catalog.recipes().items() if entry.system in systems])
            made = [e.name for e in catalog.primitives().values() if name in e.card.rows]
            said = [n for n, c in catalog.claims().items() if name in c.claim.rows]
            if not own and not made and not said:
                raise InputError(f"nothing fulfils row {name} yet: {catalog.inventory()[name].item}")
            recipes += own
            primitives += made
            claims += said
        else:
            known = {*catalog.recipes(), *catalog.primitives(), *catalog.claims()}
            raise unknown("recipe, primitive, claim or row", name, known)
    once = [list(dict.fromkeys(found)) for found in (recipes, primitives, claims)]
    return once[0], once[1], once[2]


def promising(recipes: list[str]) -> list[str]:
    """Those that promise something. Each is built to see that, which may read its data set."""
    return [recipe for recipe in recipes if catalog.recipe(recipe).load()().expect]


def measure(name: str, threads: int | None, say: Say) -> dict[str, Any]:
    """Train the recipe with each seed it promises for; compare with its ``expect``."""
    entry = catalog.recipe(name)
    code = evidence.code_hash(name)  # of what is about to run; the files may change meanwhile
    experiment = entry.load()()
    runs, record, export, details = seeded_runs(name, experiment, threads, say)
    promises = [judge(e, runs) for e in experiment.expect]
    return {
        "recipe": name,
        "system": entry.system,
        "command": f"fathom verify {name}",
        "measured": now(),
        "code": code,
        "versions": versions(),
        "machine": machine(),
        "threads": record["threads"],
        "data": record["data"],
        "parameters": record["parameters"],
        "steps": record["steps"],
        "lines": catalog.entry(entry.system).lines,
        "runs": runs,
        "summary": summary(runs),
        "expect": promises,
        "met": all(p["met"] for p in promises),
        "details": details,
        "export": export,
        "parity": parity(entry.system),
        "canary": sing(name),
    }


def seeded_runs(
    name: str, experiment: Any, threads: int | None, say: Say
) -> tuple[list[dict[str, Any]], dict[str, Any], Any, dict[str, Any]]:
    """The runs of every seed, run.json of the last, export differences, and what its own check adds."""
    from fathom.verbs.train import train

    check = getattr(sys.modules[catalog.recipe(name).module], f"check_{name}", None)
    runs: list[dict[str, Any]] = []
    details: dict[str, Any] = {}
    record: dict[str, Any] = {}
    export: dict[str, Any] | None = None
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(max([e.seeds for e in experiment.expect], default=1)):
            run = train(name, out=Path(scratch) / str(seed), seed=seed, threads=threads, export=seed == 0)
            record, result = run.record, run.result
            metrics = dict(result["metrics"])
            if check is not None:
                extra = check(seed)
                metrics |= {k: v for k, v in extra.items() if isinstance(v, float)}
                details |= {k: v for k, v in extra.items() if not isinstance(v, float)}
            kept = ("seconds", "digest", "memory", "intervals", "stopped")
            runs.append({"seed": seed, "metrics": metrics} | {k: result[k] for k in kept})
            if (run.model / "equality.json").is_file():
                export = json.loads((run.model / "equality.json").read_text(encoding="utf-8"))
            first = metrics.get(experiment.expect[0].metric) if experiment.expect else None
            say(f"{name} seed {seed}: {first} in {result['seconds']:.0f} s")
    return runs, record, export, details


def judge(expect: Any, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One promise: the value over its seeds, and whether it was kept, in the time it allows."""
    values = [r["metrics"][expect.metric] for r in runs[: expect.seeds]]
    passing = sum(expect.holds(v) for v in values)
    kept = passing >= expect.passing if expect.passing else expect.holds(statistics.fmean(values))
    slowest = max(r["seconds"] for r in runs[: expect.seeds]) / 60
    in_time = expect.minutes is None or slowest <= expect.minutes
    return {
        "metric": expect.metric, "at_least": expect.at_least, "at_most": expect.at_most,
        "seeds": expect.seeds, "passing": expect.passing, "minutes": expect.minutes, "values": values,
        "mean": statistics.fmean(values),
        "passed": passing, "slowest_minutes": slowest, "met": bool(kept and in_time),
    }  # fmt: skip


def summary(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, median, lowest and highest of every metric over the seeds, and the time of training."""
    names = runs[0]["metrics"]
    columns = {n: [r["metrics"][n] for r in runs] for n in names} | {"seconds": [r["seconds"] for r in runs]}
    return {
        n: {"mean": statistics.fmean(v), "median": statistics.median(v), "low": min(v), "high": max(v)}
        for n, v in columns.items()
    }


def parity(system: str) -> dict[str, Any]:
    """Run the system's own tests, where the checkout has them: its oracle is asked anew."""
    from fathom.verbs.parity import test_file, tests_passed

    report: dict[str, Any] = {"oracle": catalog.entry(system).card.oracle, "tests": None, "passed": 0}
    try:
        return report | {"tests": test_file(system), "passed": tests_passed([system])[system]}
    except InputError:  # an installation without tests, or without what they need
        return report


def sing(name: str) -> dict[str, Any]:
    """The losses of 20 steps on little data, on one thread, of a recipe or of a claim's arms."""
    losses = [loss for song in songs(name) for loss in song]
    return {"losses": losses, "processor": machine()["processor"], "torch": versions().get("torch")}


def songs(name: str, nudge: float = 0.0) -> list[list[float]]:
    """What ``sing`` sings: of a recipe one song, of a claim, ``claims/NAME``, one for each arm.

    ``nudge`` changes every initial weight by that share of itself, up or down: how far do such songs part?
    """
    if not name.startswith(f"{evidence.CLAIMS}/"):
        return [song(catalog.recipe(name).load()(), nudge)]
    from fathom.verbs.arms import built

    return [song(built(arm), nudge) for arm in catalog.claim(name.partition("/")[2]).claim.arms.values()]


def song(experiment: Any, nudge: float = 0.0) -> list[float]:
    """The losses of the experiment's canary; what comes after one that is no number is left out."""
    import torch

    from fathom.training.guard import NonFinite
    from fathom.training.loop import train as loop

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    losses: list[float] = []
    try:
        experiment = experiment.canary()
        learner = experiment.learner()
        if nudge:
            dice = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for parameter in (p for net in learner.modules.values() for p in net.parameters()):
                    parameter *= 1 + nudge * torch.randn(parameter.shape, generator=dice).sign()
        loop(
            learner, experiment.source(experiment.data.load()), steps=experiment.steps, seed=experiment.seed,
            observers=[lambda event: losses.append(float(event.metrics["loss"]))],
        )  # fmt: skip
    except NonFinite:
        pass
    finally:
        torch.set_num_threads(threads)
    return losses


def apart(a: list[float], b: list[float]) -> list[float]:
    """Relative differences, step by step."""
    return [abs(x - y) / max(abs(y), 1e-12) for x, y in zip(a, b, strict=True)]


def allowed(name: str, gaps: list[float]) -> list[float]:
    """How far a song may be from one that another kind of machine sang, step by step: 1e-5, or more.

    Other kernels round otherwise, at every product, and some recipes are chaotic from their first steps: what
    that does to all that follows is measured by singing again with weights that are one rounding away, then
    four, then sixteen ..., until ``gaps`` are within bounds. 1,024 roundings are a ten-thousandth of a
    weight: what is further off at the first steps is another song, however wild the later ones are.
    """
    today = songs(name)
    bounds = [1e-5] * len(gaps)
    for roundings in NUDGES:
        others = songs(name, nudge=roundings * ROUNDING)
        furthest = [
            gap
            for other, own in zip(others, today, strict=True)
            for gap in itertools.accumulate(apart(other, own), max)
        ]
        bounds = [max(bound, 10 * gap) for bound, gap in zip(bounds, furthest, strict=True)]
        if within(gaps, bounds):
            break
    return bounds


def within(gaps: list[float], bounds: list[float]) -> bool:
    """Whether each gap is at most its bound."""
    return all(gap <= bound for gap, bound in zip(gaps, bounds, strict=True))


def canary(names: list[str] | None = None, *, say: Say = lambda text: None) -> dict[str, dict[str, Any]]:
    """Sing every record's canary again and note which still give the same losses."""
    kept = evidence.records() | {
        f"{evidence.CLAIMS}/{n}": r for n, r in evidence.claims().items() if r["canary"]["losses"]
    }
    known = {n: song for n, song in evidence.canaries().items() if n in kept}
    wanted = [n if n in kept else f"{evidence.CLAIMS}/{n}" for n in names or kept]
    for name in wanted:
        if name not in kept:
            raise InputError(f"there is no record of {name!r}; make one with: fathom verify {name}")
        began = time.perf_counter()
        today, then = sing(name), kept[name]["canary"]
        exact = today["processor"] == then["processor"] and today["torch"] == then["torch"]
        gaps = apart(today["losses"], then["losses"])
        bounds = [0.0] * len(gaps) if exact or not any(gaps) else allowed(name, gaps)
        passed = within(gaps, bounds)
        code = evidence.claim_hash(kept[name]["claim"]) if "claim" in kept[name] else evidence.code_hash(name)
        known[name] = {
            "passed": passed, "code": code, "torch": today["torch"], "largest": max(gaps),
            "allowed": max(bounds), "exact": exact, "at": now(),
        }  # fmt: skip
        store(evidence.CANARIES, known)
        say(f"{name}: {heard(gaps, bounds, exact)} ({time.perf_counter() - began:.1f} s)")
    return {n: known[n] for n in wanted}


def heard(gaps: list[float], bounds: list[float], exact: bool) -> str:
    """What a canary's gaps say; of other losses, where they begin."""
    for step, (gap, bound) in enumerate(zip(gaps, bounds, strict=True), start=1):
        if not gap <= bound:
            return f"OTHER losses: the {step}. of {len(gaps)} is {gap:.1e} off, and {bound:.1e} is allowed"
    return "same losses" if exact else "same losses, within rounding"


def store(name: str, value: Any) -> None:
    """Write a file of the ledger, whole or not at all."""
    file = evidence.folder() / name
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(draft, file)
