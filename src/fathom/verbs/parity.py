"""Parity: how far a primitive is from its plain twin, and whether the oracle's tests still pass."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from fathom import catalog, evidence
from fathom.errors import InputError
from fathom.fundamentals.twin import Twin
from fathom.training.run import now, versions


def differences(twin: Twin) -> dict[str, Any]:
    """The largest difference of values and, where asked for, of gradients, relative to values above 1."""
    leaves = [i for i, x in enumerate(twin.inputs) if twin.gradients and differentiable(x)]

    def outcome(function: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        inputs = [x.clone() if isinstance(x, Tensor) else x for x in twin.inputs]
        for i in leaves:
            inputs[i].requires_grad_()
        made = [v for v in tree_leaves(function(*inputs)) if not isinstance(v, str)]
        slopes: list[np.ndarray] = []
        if leaves:
            dice = torch.Generator().manual_seed(0)
            total = sum(
                (v * torch.rand(v.shape, dtype=v.dtype, generator=dice)).sum()
                for v in made
                if isinstance(v, Tensor) and v.requires_grad
            )
            found = torch.autograd.grad(total, [inputs[i] for i in leaves], allow_unused=True)  # type: ignore[arg-type]
            slopes = [array(torch.zeros_like(inputs[i]) if g is None else g) for i, g in zip(leaves, found)]  # noqa: B905
        return [array(v) for v in made], slopes

    (ours, our_slopes), (theirs, their_slopes) = outcome(twin.ours), outcome(twin.by_hand)
    return {"value": largest(ours, theirs), "gradient": largest(our_slopes, their_slopes) if leaves else None}


def differentiable(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.float64


def array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def largest(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest gap between two lists of arrays; infinite where their shapes or their infinities differ."""
    if [x.shape for x in ours] != [x.shape for x in theirs]:
        return float("inf")
    gap = 0.0
    for a, b in zip(ours, theirs, strict=True):
        a, b = a.astype(np.float64), b.astype(np.float64)
        apart = np.abs(a - b) / np.maximum(1.0, np.abs(b))
        apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, apart)
        gap = max(gap, float(np.nan_to_num(apart, nan=np.inf).max(initial=0.0)))
    return gap


def primitive_records(names: list[str]) -> dict[str, dict[str, Any]]:
    """For each primitive: its twins' differences and how many of its own tests pass today."""
    codes = {name: evidence.entry_hash(name) for name in names}  # of what is about to run
    passed = tests_passed(names)
    records: dict[str, dict[str, Any]] = {}
    for name in names:
        entry = catalog.entry(name)
        twins: dict[str, dict[str, Any]] = {
            t.name: differences(t) | {"tolerance": t.tolerance} for t in entry.load().twins()
        }
        equal = all(max(d["value"], d["gradient"] or 0.0) <= d["tolerance"] for d in twins.values())
        records[name] = {
            "command": f"fathom verify {name}", "oracle": entry.card.oracle, "rows": list(entry.card.rows),
            "tests": test_file(name), "passed": passed[name] if equal else 0, "twins": twins,
            "code": codes[name], "measured": now(), "versions": versions(),
        }  # fmt: skip
    return records


def test_file(name: str) -> str:
    """The tests that stand beside a primitive or system, by their name; ``InputError`` without a checkout."""
    root = catalog.ROOT.parents[1]
    found = sorted((root / "tests").rglob(f"test_{name}.py"))
    if not found:
        raise InputError(f"there is no test_{name}.py below {root / 'tests'}; parity is shown in a checkout")
    return found[0].relative_to(root).as_posix()


def tests_passed(names: list[str]) -> dict[str, int]:
    """How many tests of each file pass, in one run of pytest; 0 where one fails."""
    root = catalog.ROOT.parents[1]
    files = {test_file(name): name for name in names}
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "tests.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={listing}", *files]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=root, capture_output=True, env=environment, check=False)
        if not listing.is_file():
            raise InputError("pytest did not run; install what tests need: pip install 'fathom-dl[dev]'")
        cases = list(ElementTree.parse(listing).iter("testcase"))
    counts = dict.fromkeys(names, 0)
    broken: set[str] = set()
    for case in cases:
        name = files.get(case.get("classname", "").replace(".", "/") + ".py")
        if name is None:
            continue
        if case.find("failure") is not None or case.find("error") is not None:
            broken.add(name)
        elif case.find("skipped") is None:
            counts[name] += 1
    return {name: 0 if name in broken else count for name, count in counts.items()}
