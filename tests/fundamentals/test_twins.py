"""What every primitive promises: its plain twin gives the same values and gradients.

A new primitive is tested here as soon as its file exists. Gradients are compared with the twin's and
checked against finite differences, both in float64.
"""

import ast
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from fathom import catalog
from fathom.fundamentals.twin import Twin
from fathom.verbs.parity import differences, differentiable

EVERY = pytest.mark.parametrize("name", list(catalog.primitives()))


@EVERY
def test_twins_are_equal(name: str) -> None:
    twins = list(catalog.entry(name).load().twins())
    assert twins, f"{name} compares nothing"
    for twin in twins:
        found = differences(twin)
        assert found["value"] is not None and found["value"] <= twin.tolerance, f"{twin.name}: {found}"
        assert (found["gradient"] or 0.0) <= twin.tolerance, f"{twin.name}: {found}"


@EVERY
def test_gradients_match_finite_differences(name: str) -> None:
    for twin in catalog.entry(name).load().twins():
        if not twin.gradients:
            continue
        inputs = [x.clone().requires_grad_() if differentiable(x) else x for x in twin.inputs]
        assert any(isinstance(x, torch.Tensor) and x.requires_grad for x in inputs), f"{twin.name}: no input"

        def outputs(*given: Any, twin: Twin = twin) -> tuple[torch.Tensor, ...]:
            made = tree_leaves(twin.ours(*given))
            return tuple(v for v in made if isinstance(v, torch.Tensor) and v.requires_grad)

        assert torch.autograd.gradcheck(outputs, inputs, fast_mode=True), twin.name


@EVERY
def test_a_primitive_has_a_card_tests_and_rows(name: str) -> None:
    entry = catalog.entry(name)
    assert entry.card.oracle and entry.card.summary and entry.card.paper
    assert list((Path(__file__).parent).rglob(f"test_{name}.py")), f"{name} has no test_{name}.py"


@EVERY
def test_a_primitive_imports_nothing_but_its_materials(name: str) -> None:
    entry = catalog.entry(name)
    friends = {catalog.entry(other).module for other in entry.card.builds_on}
    for node in ast.parse(entry.path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fathom"):
            names = {str(node.module), *(f"{node.module}.{n.name}" for n in node.names)}
            assert node.module == "fathom.card" or names & friends, f"{name} imports {node.module}"


def test_twins_that_differ_are_noticed() -> None:
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)
    found = differences(Twin("sine", torch.sin, lambda x: x - x**3 / 6, (x,)))
    assert found["value"] == pytest.approx(math.sin(1) - 5 / 6)
    assert found["gradient"] and found["gradient"] > 1e-3
    flat = differences(Twin("shape", torch.sin, lambda x: torch.sin(x)[:2], (x,), gradients=False))
    assert flat["value"] == float("inf")
    lost = differences(Twin("lost", torch.sin, lambda x: x * torch.nan, (x,), gradients=False))
    assert lost["value"] == float("inf")


def test_plain_twins_are_not_used_by_systems() -> None:
    """They are written to be read, not to be fast."""
    for entry in catalog.systems().values():
        assert "_by_hand" not in entry.path.read_text(encoding="utf-8"), entry.name
