"""What a state dict is: the system, the published size and the library, by names and shapes of its tensors.

Every system with a literal ``UPSTREAMS`` is looked at, and in it every published size: a public function
``name(weights, classes, channels)``. Sizes are built without memory. Which axis of which tensor counts
classes or channels is found by building a size again with other numbers, so no name of a head need be known.
A system whose upstream differs by more than names has a function ``rewritten(state, cfg)``, called first;
one whose files may be without some parts names them in ``OPTIONAL``; one whose upstream is built another way
says in ``NEEDS`` which settings that takes.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fathom import catalog
from fathom.catalog import Entry
from fathom.errors import InputError
from fathom.training.weight_map import Table, inverse, one, translate
from fathom.training.weights import SHOWN

OWN = "fathom"  # the upstream of files under the names of the model itself
COUNTED = ".num_batches_tracked"  # absent in files of before 2018
HALF = 0.5  # of the tensors: a file that fits less is not called damaged, but another thing
SOME = 0.2  # of the names: a system that knows less, rewritten as for its usual size, is not looked at
ARGUMENTS = ["weights", "classes", "channels"]  # of a function that makes a published size

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Match:
    """How a state dict lies on a published size."""

    size: str  # "resnet50"
    entry: Entry
    upstream: str  # "torchvision"
    names: Mapping[str, str]  # of the file, rewritten -> of the model, those that both have
    missing: tuple[str, ...]  # of the model
    left: tuple[str, ...]  # of the file
    unlike: tuple[str, ...]  # "fc.weight (7, 512): the model's head.weight has (7, 2048)"
    classes: int
    channels: int

    @property
    def fits(self) -> bool:
        return not (self.missing or self.left or self.unlike)

    @property
    def share(self) -> float:
        """Tensors that agree, of all that are on either side."""
        return len(self.names) / (len(self.names) + len(self.missing) + len(self.left) + len(self.unlike))

    @property
    def settings(self) -> Mapping[str, Any]:
        """What a model of this size must be built with for weights of this library, beside its sizes."""
        return getattr(self.entry.load(), "NEEDS", {}).get(self.upstream, {})

    @property
    def rules(self) -> dict[str, int]:
        """Each rule of the weight map that was used, with the number of tensors that it named."""
        if self.upstream == OWN:
            return {"the names are Fathom's own": len(self.names)}
        table = upstreams(self.entry)[self.upstream]
        used = {
            f"{there} -> {here}": sum(one(name, there, here) is not None for name in self.names)
            for there, here in table.items()
        }
        return {rule: count for rule, count in used.items() if count}  # in the order of the map

    def __str__(self) -> str:
        """What fits and what does not, with numbers and names."""
        said = [f"{len(self.names)} tensors fit"]
        for title, names in (
            ("missing in the file", self.missing),
            ("left over in the file", self.left),
            ("of another shape", self.unlike),
        ):
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            said += [f"{len(names)} {title}: {', '.join(names[:SHOWN])}{more}"] if names else []
        return "; ".join(said)


@cache
def sizes() -> dict[str, Entry]:
    """Every published size -> its system, read from syntax trees; nothing is imported."""
    found: dict[str, Entry] = {}
    for entry in catalog.systems().values():
        source = entry.path.read_text(encoding="utf-8")
        if "\nUPSTREAMS" not in source:
            continue
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef) and [a.arg for a in node.args.args[:3]] == ARGUMENTS:
                if node.name in found:
                    raise ValueError(
                        f"two systems have a size {node.name!r}: {found[node.name].path}, {entry.path}"
                    )
                found[node.name] = entry
    return found


def upstreams(entry: Entry) -> Mapping[str, Table]:
    return entry.load().UPSTREAMS


class Undrawn(TorchFunctionMode):
    """Leaves out draws: tensors without memory need none, and the first one loads a compiler for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@cache
def build(size: str, classes: int = 1000, channels: int = 3) -> nn.Module:
    """A published size without memory for its numbers."""
    with torch.device("meta"), Undrawn():
        return getattr(sizes()[size].load(), size)(classes=classes, channels=channels)


def may_lack(size: str, name: str) -> bool:
    """Whether a file of this size may be without the tensor."""
    optional = getattr(sizes()[size].load(), "OPTIONAL", ())
    return name.endswith(COUNTED) or any(name.startswith(f"{part}.") for part in optional)


@cache
def shapes(size: str, classes: int = 1000, channels: int = 3) -> Shapes:
    return {name: tuple(t.shape) for name, t in build(size, classes, channels).state_dict().items()}


def axes(size: str, **other: int) -> dict[str, tuple[int, int]]:
    """The tensors of a size that grow with a number of it, such as ``classes=1001``.

    Of each the axis, and by how much it grows with one: a dense layer reads all pixels of a channel.
    """
    usual, turned = shapes(size), shapes(size, **other)
    return {
        name: next((i, b - a) for i, (a, b) in enumerate(zip(shape, turned[name], strict=True)) if a != b)
        for name, shape in usual.items()
        if turned[name] != shape
    }


def counted(found: Shapes, axis: Mapping[str, tuple[int, int]], usual: int) -> int:
    """The number of classes or channels that a file has; ``usual`` where its tensors do not tell one."""
    told = {divmod(found[n][i], by) for n, (i, by) in axis.items() if n in found and len(found[n]) > i}
    number, rest = told.pop() if len(told) == 1 else (usual, 0)
    return number if number and not rest else usual


def rewritten(state: Mapping[str, Tensor], size: str) -> Mapping[str, Tensor]:
    """``state`` as the weight map of a size expects it, where its system has to do more than rename."""
    rewrite = getattr(sizes()[size].load(), "rewritten", None)
    return state if rewrite is None else rewrite(state, build(size).cfg)


def lay(state: Mapping[str, Tensor], size: str) -> Match:
    """``state`` on the published size ``size``, by the library whose names fit best."""
    state = rewritten(state, size)
    own = {name: name for name in state}
    tables = {OWN: own} | {u: translate(state, table) for u, table in upstreams(sizes()[size]).items()}
    return max((on_names(state, size, u, names) for u, names in tables.items()), key=lambda m: m.share)


def on_names(state: Mapping[str, Tensor], size: str, upstream: str, names: Mapping[str, str]) -> Match:
    """``state`` on a size where ``names`` says what its tensors are called there."""
    found = {names[n]: tuple(t.shape) for n, t in state.items() if n in names}
    classes, channels = 1000, 3
    if len(found.keys() & shapes(size).keys()) >= HALF * len(state):  # else no matter: it is not this size
        classes = counted(found, axes(size, classes=1001), classes)
        channels = counted(found, axes(size, channels=4), channels)
    wanted = shapes(size, classes, channels)
    known = {n: here for n, here in names.items() if here in wanted}
    unlike = {n: here for n, here in known.items() if found[here] != wanted[here]}
    taken = set(known.values())
    return Match(
        size=size,
        entry=sizes()[size],
        upstream=upstream,
        names={n: here for n, here in known.items() if n not in unlike},
        missing=lacking(size, wanted, taken),
        left=tuple(sorted(n for n in state if n not in known)),
        unlike=tuple(f"{n} {found[h]}: the model's {h} has {wanted[h]}" for n, h in unlike.items()),
        classes=classes,
        channels=channels,
    )


def lacking(size: str, wanted: Shapes, taken: set[str]) -> tuple[str, ...]:
    """What a file is without and should have; of an optional part, a piece is as bad as of any other."""
    gone = [n for n in wanted if n not in taken and not n.endswith(COUNTED)]
    parts = {n.partition(".")[0] for n in taken}
    return tuple(n for n in gone if not may_lack(size, n) or n.partition(".")[0] in parts)


def recognise(state: Mapping[str, Tensor]) -> Match | None:
    """The published size that ``state`` is, or nearly is; None where less than half of it fits any.

    A file that is nearly one comes back as a match that does not fit. Raises ``InputError`` where two sizes
    fit, which only its owner can tell apart.
    """
    likely = by_likeness(state)
    for system in likely:
        whole = [m for size in owned(system) if same_names(state, size) and (m := lay(state, size)).fits]
        if len(whole) > 1:
            raise InputError(
                f"these tensors fit {' and '.join(m.size for m in whole)} alike; say which with --as"
            )
        if whole:
            return whole[0]
    near = [lay(state, size) for system, known in likely.items() if known >= SOME for size in owned(system)]
    best = max(near, key=lambda m: m.share, default=None)
    return best if best is not None and best.share >= HALF else None


def owned(system: str) -> list[str]:
    """The published sizes of a system."""
    return [size for size, entry in sizes().items() if entry.name == system]


def same_names(state: Mapping[str, Tensor], size: str) -> bool:
    """Has ``state`` every name of the size and no other? Cheaper than shapes, and false for most sizes."""
    wanted = {name for name in shapes(size) if not name.endswith(COUNTED)}
    least = {name for name in wanted if not may_lack(size, name)}
    if not len(least) <= sum(not name.endswith(COUNTED) for name in state) <= len(wanted):
        return False
    names = [name for name in rewritten(state, size) if not name.endswith(COUNTED)]
    tables = [
        {name: name for name in names},
        *(translate(names, t) for t in upstreams(sizes()[size]).values()),
    ]
    return any(len(names) == len(t) and least <= set(t.values()) <= wanted for t in tables)


def by_likeness(state: Mapping[str, Tensor]) -> dict[str, float]:
    """The systems that know any of these names, the likeliest first, with the share of names that they know.

    Only these are built. One that rewrites names does so here as for its usual size, which is enough to tell.
    """
    found: dict[str, float] = {}
    for entry in {entry.name: entry for entry in sizes().values()}.values():
        rewrite = getattr(entry.load(), "rewritten", None)
        names = state if rewrite is None else rewrite(state, entry.load().Config())
        both = [table for t in upstreams(entry).values() for table in (t, inverse(t))]
        known = max(len(translate(names, table)) for table in both)
        if known:
            found[entry.name] = known / len(state)
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
