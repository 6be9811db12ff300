"""Claims: run the experiment behind a sentence, and keep what came out, whether it held or not."""

import time
from typing import Any

from fathom import catalog, evidence
from fathom.claim import promise
from fathom.errors import RunError
from fathom.training.run import machine, now, versions
from fathom.verbs.arms import Say, built, in_processes, judged, paired_tests, run_arms, summary
from fathom.verbs.compare import changed, joined
from fathom.verbs.verify import sing


def measure_claim(name: str, processes: int | None, say: Say) -> dict[str, Any]:
    """Run every arm of the claim with every seed; compare with what it promises."""
    entry = catalog.claim(name)
    claim, code, began = entry.claim, evidence.claim_hash(name), time.perf_counter()
    curves: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    if claim.arms:
        outcomes = run_arms(claim.arms, claim.seeds, processes, say)
        runs = {arm: [o.metrics for o in found] for arm, found in outcomes.items()}
        curves = {arm: joined(found) for arm, found in outcomes.items()}
        settings = changed({arm: built(recipe) for arm, recipe in claim.arms.items()})
    else:
        jobs = [(name, seed) for seed in range(claim.seeds)]
        labels = [f"{name}, seed {seed}" for seed in range(claim.seeds)]
        runs = by_arm(in_processes(one_measurement, jobs, processes, say, labels))
    promises = [judged(promise(text), runs) for text in claim.expect]
    for kept in promises:
        found = "-" if kept["mean"] is None else f"{kept['mean']:.4f} [{kept['low']:.4f}, {kept['high']:.4f}]"
        say(f"{name}: {kept['text']}: {found} {'held' if kept['met'] else 'did NOT hold'}")
    scores = list(dict.fromkeys(promise(text).metric for text in claim.expect if promise(text).right))
    return {
        "claim": name, "command": f"fathom verify {name}", "sentence": claim.sentence, "measured": now(),
        "code": code, "versions": versions(), "machine": machine(), "threads": 1, "seeds": claim.seeds,
        "arms": {arm: list(recipe) for arm, recipe in claim.arms.items()}, "settings": settings, "runs": runs,
        "summary": summary(runs), "tests": paired_tests(runs, scores) if len(runs) > 1 else [],
        "curves": curves, "expect": promises, "met": all(p["met"] for p in promises),
        "seconds": time.perf_counter() - began, "canary": sing(f"{evidence.CLAIMS}/{name}"),
    }  # fmt: skip


def one_measurement(name: str, seed: int) -> dict[str, dict[str, float]]:
    return catalog.claim(name).load().measure(seed)


def by_arm(measured: list[dict[str, dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """From one mapping a seed to one list an arm."""
    if any(set(m) != set(measured[0]) for m in measured):
        raise RunError(f"the seeds measured different arms: {[sorted(m) for m in measured]}")
    return {arm: [{k: float(v) for k, v in m[arm].items()} for m in measured] for arm in measured[0]}
