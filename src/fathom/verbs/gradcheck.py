"""Gradcheck: is the gradient that a function gives the slope of its values?"""

import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fathom import catalog
from fathom.errors import InputError, unknown
from fathom.verbs.train import load_function

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 1e-5
EVALUATIONS = 5_000  # beyond it, a weighted sum of all outputs is checked in place of each output
LARGEST = 20_000  # entries of all inputs together: each is moved to both sides


@dataclass(frozen=True)
class Case:
    """A function with the inputs to check it on: float64 tensors are moved, all else stays."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    own: bool  # of a person's own: every floating output counts, even one that carries no gradient


def gradcheck(
    function: str | Callable[..., Any],
    *,
    shapes: Sequence[Sequence[int]] = (),
    inputs: "Sequence[Tensor] | None" = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> dict[str, Any]:
    """Compare the analytic gradient of ``function`` with central differences, in float64.

    ``function`` is a function, ``module:function``, or a primitive of the catalogue, which brings its twins'
    inputs. Others take ``inputs``, or get one drawn from a normal distribution for each of ``shapes``.
    Where a function draws random numbers it draws the same ones every time.

    Returns ``{"function", "passed", "tolerance", "checks": [...]}``. Each check names its worst slope: output
    and input entry, the ``analytic`` and the ``numeric`` value, and their ``error``, relative to slopes above
    1. Raises ``InputError`` for names that do not exist and for functions that do not take the inputs.
    """
    if not 0 < tolerance < math.inf:
        raise InputError(f"tolerance is {tolerance}; it must be positive, as 1e-5")
    import torch

    name, cases = prepare(function, shapes, inputs, seed)
    with torch.random.fork_rng(devices=[]):
        checks = [check(case, tolerance) for case in cases]
    passed = all(found["passed"] for found in checks)
    return {"function": name, "passed": passed, "tolerance": tolerance, "checks": checks}


def prepare(
    function: str | Callable[..., Any],
    shapes: Sequence[Sequence[int]],
    inputs: "Sequence[Tensor] | None",
    seed: int,
) -> tuple[str, list[Case]]:
    """The name, and what is to be checked under it."""
    if isinstance(function, str) and ":" not in function:
        if shapes or inputs is not None:
            raise InputError(
                f"{function} brings its own inputs; shapes and inputs are for functions of yours"
            )
        return function, twins_of(function)
    if isinstance(function, str):
        name, function = function, named(function)
    else:
        name = getattr(function, "__name__", type(function).__name__)
    if bool(shapes) == (inputs is not None):
        raise InputError(f"give the shape of each argument of {name}: --shape 3,4{signature(function)}")
    given = tuple(inputs) if inputs is not None else drawn(shapes, seed)
    return name, [Case(name, function, given, own=True)]


def twins_of(name: str) -> list[Case]:
    """Every twin of a primitive that has gradients, as the tests of primitives check them."""
    if name not in catalog.primitives():
        raise unknown("primitive", name, catalog.primitives())
    twins = list(catalog.entry(name).load().twins())
    cases = [Case(twin.name, twin.ours, twin.inputs, own=False) for twin in twins if twin.gradients]
    if not cases:
        raise InputError(f"{name} compares values only: there is no gradient in it to check")
    return cases


def named(path: str) -> Callable[..., Any]:
    """The function that the person at the keyboard named."""
    try:
        found = load_function(path)
    except InputError as error:
        raise InputError(f"there is no function {path!r}: {error.__cause__}") from error
    if not callable(found):
        raise InputError(f"{path} is a {type(found).__name__}; name a function of tensors")
    return found


def signature(function: Callable[..., Any]) -> str:
    """The function's arguments, as a reminder behind an error; empty where it does not tell."""
    try:
        return f"; it takes {inspect.signature(function)}"
    except (TypeError, ValueError):
        return ""


def drawn(shapes: Sequence[Sequence[int]], seed: int) -> "tuple[Tensor, ...]":
    """One float64 tensor for each shape, from a normal distribution that starts at ``seed``."""
    import torch

    for shape in shapes:
        if any(side < 1 for side in shape):
            raise InputError(f"shape {tuple(shape)}: every side must be 1 or more")
    if sum(math.prod(shape) for shape in shapes) > LARGEST:
        raise InputError(f"the shapes hold more than {LARGEST:,} entries, and each is moved; give smaller")
    dice = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(tuple(shape), dtype=torch.float64, generator=dice) for shape in shapes)


class Flat:
    """A case as a function of its float64 inputs alone, with all outputs in one vector."""

    def __init__(self, case: Case) -> None:
        from fathom.verbs.parity import differentiable

        self.case = case
        self.moved = [i for i, x in enumerate(case.inputs) if differentiable(x)]
        self.leaves = [case.inputs[i] for i in self.moved]
        if not self.leaves:
            raise InputError(f"{case.name} has no float64 tensor among its inputs")
        made = self.outputs([x.clone().requires_grad_() for x in self.leaves])
        self.kept = [i for i, v in enumerate(made) if v.is_floating_point() and (case.own or v.requires_grad)]
        self.shapes = [made[i].shape for i in self.kept]
        if not any(shape.numel() for shape in self.shapes):
            raise InputError(f"{case.name} returned no floating-point tensor; nothing can be differentiated")
        for i in self.kept:
            if str(made[i].dtype) != "torch.float64":
                raise InputError(
                    f"{case.name} returned {made[i].dtype} for float64 inputs; finite differences need all"
                    " digits: keep the dtype of the inputs"
                )

    def outputs(self, leaves: "Sequence[Tensor]") -> "list[Tensor]":
        import torch
        from torch.utils._pytree import tree_leaves

        given = list(self.case.inputs)
        for place, leaf in zip(self.moved, leaves, strict=True):
            given[place] = leaf
        torch.default_generator.manual_seed(0)
        try:
            made = self.case.function(*given)
        except Exception as error:
            shapes = ", ".join(str(tuple(x.shape)) for x in self.leaves)
            raise InputError(
                f"{self.case.name} does not take inputs of shape {shapes}: {type(error).__name__}: {error}"
            ) from error
        return [v for v in tree_leaves(made) if isinstance(v, torch.Tensor)]

    def __call__(self, *leaves: "Tensor") -> "Tensor":
        import torch

        made = self.outputs(leaves)
        return torch.cat([made[i].reshape(-1) for i in self.kept])

    def output_at(self, row: int) -> str:
        """Which output, and where in it, the ``row``-th number is."""
        for number, shape in enumerate(self.shapes):
            if row < shape.numel():
                where = f" at {index(row, shape)}" if len(shape) else ""
                return (f"output {number}" if len(self.shapes) > 1 else "output") + where
            row -= shape.numel()
        raise AssertionError("there is no such row")


def index(entry: int, shape: Sequence[int]) -> list[int]:
    """The place of the ``entry``-th number in an array of ``shape``."""
    places: list[int] = []
    for side in reversed(shape):
        entry, place = divmod(entry, side)
        places.insert(0, place)
    return places


def check(case: Case, tolerance: float) -> dict[str, Any]:
    """What the check found, with both values of the worst slope."""
    import torch

    from fathom.fundamentals.mathematics import derivatives

    flat = Flat(case)
    first, again = flat(*flat.leaves), flat(*flat.leaves)
    if not torch.equal(first.nan_to_num(), again.nan_to_num()):
        raise InputError(f"{case.name} gives other values when it is asked again; it must give the same")
    entries = sum(x.numel() for x in flat.leaves)
    summed = 2 * entries * len(first) > EVALUATIONS
    weights = torch.rand(len(first), dtype=first.dtype, generator=torch.Generator().manual_seed(1))

    def function(*leaves: "Tensor") -> "Tensor":
        return (flat(*leaves) * weights).sum() if summed else flat(*leaves)

    report = derivatives.gradcheck(function, flat.leaves, tolerance=tolerance)
    found: dict[str, Any] = {
        "name": case.name, "passed": report.passed, "error": report.error, "outputs": len(first),
        "entries": entries, "summed": summed, "output": None, "input": None, "analytic": None,
        "numeric": None,
    }  # fmt: skip
    place = re.fullmatch(r"output (\d+) by input (\d+), entry (\d+)", report.place)
    if place:
        row, number, entry = map(int, place.groups())

        def one(*leaves: "Tensor") -> "Tensor":
            return function(*leaves).reshape(-1)[row]

        for kind, method in (("analytic", derivatives.gradient), ("numeric", derivatives.gradient_by_hand)):
            found[kind] = float(method(one, *flat.leaves)[number].reshape(-1)[entry])
        found["output"] = "weighted sum of all outputs" if summed else flat.output_at(row)
        where = index(entry, flat.leaves[number].shape)
        found["input"] = f"input {flat.moved[number]}" + (f" at {where}" if where else "")
    return found
