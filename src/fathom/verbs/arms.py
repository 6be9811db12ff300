"""Arms of a comparison: experiments that differ in what is asked about, run over the same seeds."""

import dataclasses
import math
import multiprocessing
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, get_args

from fathom import catalog
from fathom.claim import Promise
from fathom.errors import InputError
from fathom.settings import complete, hint, override_all

if TYPE_CHECKING:
    from fathom.training.experiment import Experiment

Arm = tuple[str, ...]  # a recipe, then settings "path=value"
Say = Callable[[str], None]
LEVEL = 0.95


def built(arm: Sequence[str]) -> "Experiment":
    """The experiment of an arm; ``InputError`` for what its recipe does not have."""
    recipe, *settings = arm
    pairs = [text.partition("=")[::2] for text in settings]
    return override_all(catalog.recipe(recipe).load()(), pairs)


def switched(
    recipe: str, switch: str, values: Sequence[str] = (), settings: Sequence[str] = ()
) -> dict[str, Arm]:
    """One arm for each value of a switch of ``recipe``, named by the value.

    A switch is a setting, by its dotted name or the last part of it. Without ``values``, it takes all that
    it can name: those of a ``Literal``, the two of a bool, every optimizer. ``augmentation`` is a switch of
    every recipe that augments: with, without.
    """
    experiment = built((recipe, *settings))
    if switch in ("augmentation", "augment"):
        if not experiment.augment:
            raise InputError(f"{recipe} does not augment its batches: there is nothing to switch off")
        named = {"with": (), "without": ("augment=()",)}
        wrong = [v for v in values if v not in named]
        if wrong:
            raise InputError(f"--values {','.join(values)}: augmentation is 'with' or 'without'")
        return {name: (recipe, *settings, *named[name]) for name in values or named}
    path = complete(experiment, switch)
    offered = list(values) or choices(experiment, path)
    if len(set(offered)) < 2:
        raise InputError(
            f"{path} was given {len(set(offered))} value(s) and lists none itself; give two or more: "
            f"--values A,B (now {value_at(experiment, path)!r})"
        )
    arms = {value: (recipe, *settings, f"{path}={value}") for value in offered}
    for arm in arms.values():
        built(arm)  # what is refused is refused before the first step
    return arms


def choices(experiment: Any, path: str) -> list[str]:
    """The values that the setting at ``path`` can name; none where it is a number or a text."""
    from fathom.training import optim

    above, _, name = path.rpartition(".")
    declared = hint(value_at(experiment, above), name)
    if declared is bool:
        return ["False", "True"]
    if declared is optim.OptimizerConfig:
        return list(optim.choices())
    return [str(v) for v in get_args(declared) if not isinstance(v, type)]


def value_at(tree: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        tree = tree[int(name)] if isinstance(tree, tuple) else getattr(tree, name)
    return tree


def at_budget(recipe: str, budget: int, settings: Sequence[str] = ()) -> Arm:
    """``recipe`` with the ``model.width`` whose parameter count is nearest to ``budget``."""
    config = built((recipe, *settings)).model
    if not any(f.name == "width" for f in dataclasses.fields(config)):  # type: ignore[arg-type]
        raise InputError(f"the model of {recipe} has no width to fit to {budget:,} parameters")

    def count(width: int) -> int | None:
        try:
            return parameters(dataclasses.replace(config, width=width))  # type: ignore[type-var]
        except ValueError:  # some widths do not fit a model, multiples of its heads say
            return None

    found: dict[int, int] = {}
    for width in range(1, 4097):
        total = count(width)
        if total is None:
            continue
        found[total] = width
        if total > budget:
            break
    if not found:
        raise InputError(f"no width up to 4096 fits the model of {recipe}")
    nearest = min(found, key=lambda total: abs(total - budget))
    return (recipe, *settings, f"model.width={found[nearest]}")


def parameters(config: Any) -> int:
    """How many numbers the model of ``config`` learns; no memory is taken for them."""
    import torch

    with torch.device("meta"):
        return sum(p.numel() for p in config.build().parameters())


def run_arms(
    arms: Mapping[str, Arm], seeds: int, processes: int | None = None, say: Say = lambda text: None
) -> dict[str, list[Any]]:
    """An ``Outcome`` for each arm and seed. One thread each, several at a time."""
    jobs = [(name, arm, seed) for seed in range(seeds) for name, arm in arms.items()]
    done = in_processes(one_trial, [(arm, seed) for _, arm, seed in jobs], processes, say, [
        f"{name}, seed {seed}" for name, _, seed in jobs
    ])  # fmt: skip
    outcomes: dict[str, list[Any]] = {name: [] for name in arms}
    for (name, _, _), outcome in zip(jobs, done, strict=True):
        outcomes[name].append(outcome)
    return outcomes


def one_trial(arm: Arm, seed: int) -> Any:
    from fathom.training.trial import trial

    return trial(built(arm), seed)


def in_processes(
    work: Callable[..., Any], jobs: Sequence[tuple], processes: int | None, say: Say, names: Sequence[str]
) -> list[Any]:
    """``work(*job)`` for each job, in order, by ``processes`` (default: one a core) of one thread each.

    One thread, so that a result does not depend on how many cores there are.
    """
    if processes is not None and processes < 1:
        raise InputError(f"--processes {processes}: it must be 1 or more")
    count = min(processes or os.cpu_count() or 1, len(jobs))
    results: list[Any] = [None] * len(jobs)
    fresh = multiprocessing.get_context("spawn")  # a fork would share torch's threads
    with ProcessPoolExecutor(count, mp_context=fresh, initializer=single) as pool:
        waiting = {pool.submit(work, *job): i for i, job in enumerate(jobs)}
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                i = waiting[future]
                results[i] = future.result()
                say(f"[{number}/{len(jobs)}] {names[i]}{told(results[i])}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def single() -> None:
    import torch

    torch.set_num_threads(1)


def told(result: Any) -> str:
    """The first score of a trial, in words."""
    metrics = getattr(result, "metrics", {})
    if metrics.get("diverged"):
        return f": diverged at step {metrics['steps']:.0f}"
    name = next((n for n in metrics if n.startswith(("valid/", "test/"))), None)
    return f": {name} {metrics[name]:.4f}" if name else ""


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and the ends of its 95 % interval by Student's t; the mean alone where there is one value."""
    from fathom.fundamentals.mathematics.inference import student_t_quantile

    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, mean, mean
    reach = student_t_quantile(LEVEL, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - reach, mean + reach


def summary(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """For each arm and metric: mean over the seeds that have it, its interval, and how many those are."""
    made: dict[str, dict[str, dict[str, float]]] = {}
    for arm, seeds in runs.items():
        made[arm] = {}
        for metric in dict.fromkeys(name for metrics in seeds for name in metrics):
            values = [m[metric] for m in seeds if metric in m]
            mean, low, high = interval(values)
            made[arm][metric] = {"mean": mean, "low": low, "high": high, "seeds": len(values)}
    return made


def paired_tests(
    runs: Mapping[str, Sequence[Mapping[str, float]]], metrics: Sequence[str]
) -> list[dict[str, Any]]:
    """Each arm against the first, paired by seed: Student's t, p-values corrected by Holm's method."""
    from fathom.fundamentals.mathematics.inference import holm, paired_t_test

    first, *others = runs
    tests: list[dict[str, Any]] = []
    for metric in metrics:
        for arm in others:
            pairs = [(b[metric], a[metric]) for a, b in zip(runs[first], runs[arm], strict=True)
                     if metric in a and metric in b]  # fmt: skip
            if len(pairs) < 2:
                continue
            found = paired_t_test(*map(list, zip(*pairs, strict=True)), level=LEVEL)  # type: ignore[arg-type]
            tests.append({
                "metric": metric, "a": arm, "b": first, "difference": found.difference, "low": found.low,
                "high": found.high, "p_value": found.p_value, "n": len(pairs), "method": "paired t, Holm",
            })  # fmt: skip
    if tests:
        for test, p_value in zip(tests, holm([t["p_value"] for t in tests]), strict=True):
            test["p_value"] = float(p_value)
    return tests


def judged(wanted: Promise, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Whether a promise was kept.

    The mean over seeds must reach the bound. A promised difference must also be told from chance: its 95 %
    interval lies beyond 0. A bound on the other side of 0 ("not worse by more than") holds for the whole
    interval.
    """
    report: dict[str, Any] = {"text": wanted.text, "mean": None, "low": None, "high": None, "met": False}
    left = [m.get(wanted.metric) for m in runs[wanted.left]]
    right = [m.get(wanted.metric) for m in runs[wanted.right]] if wanted.right else [0.0] * len(left)
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    if len(pairs) < len(left):
        return report | {"why": f"{len(left) - len(pairs)} of {len(left)} seeds have no {wanted.metric}"}
    mean, low, high = interval([a - b for a, b in pairs])
    turn = 1.0 if wanted.sign == ">=" else -1.0
    near = min(turn * low, turn * high)  # the end of the interval that speaks most against the promise
    met = turn * (mean - wanted.bound) >= 0
    if wanted.right and len(pairs) > 1:
        met = met and (near > 0 if turn * wanted.bound >= 0 else near >= turn * wanted.bound)
    return report | {"mean": mean, "low": low, "high": high, "met": bool(met)}
