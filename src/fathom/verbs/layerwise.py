"""Two networks that should be one, layer by layer: the first that differs, and the likely cause.

Copies of both run on the same picture in double precision, where equal layers agree to some 1e-15 and a
setting that is off by little still shows. The weight map pairs their layers. In the order in which the other
library runs them, the first whose output differs is found. Where it was given the same, the fault is its own;
where not, it lies in what stands between, which has no weights: activations, poolings, resizing. A second
pass with statistics of the batch finds what only training shows.
"""

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from fathom.training.weight_map import Table, translate

TOLERANCE = 1e-7  # of the largest entry of a layer's output
WITHOUT_EFFECT = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Dropout3d)  # outside training, where we look
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)
STATISTICS = ("running_mean", "running_var")
SETTINGS = {  # of a layer, and what to call them
    "kernel_size": "kernel size",
    "stride": "stride",
    "padding": "padding",
    "padding_mode": "kind of padding",
    "dilation": "dilation",
    "groups": "groups",
    "output_padding": "output padding",
    "num_groups": "groups of channels",
    "normalized_shape": "normalised axes",
    "eps": "epsilon",
    "momentum": "momentum",
    "mode": "kind of resizing",
    "size": "size",
    "scale_factor": "scale",
    "align_corners": "align corners",
    "output_size": "output size",
    "ceil_mode": "rounding of the output size (ceil mode)",
    "count_include_pad": "count of the average (are padded places counted?)",
    "divisor_override": "divisor of the average",
    "approximate": "approximation",
    "negative_slope": "negative slope",
    "alpha": "alpha",
}


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first layer that differs. Gaps are relative to the largest entry on their side."""

    layer: str  # its name here
    theirs: str  # its name there
    outputs: float  # the gap of what they make; infinite where sizes differ
    inputs: float  # the gap of what they are given
    cause: str
    training: bool = False  # seen only with statistics of the batch

    def __str__(self) -> str:
        how = " in training" if self.training else ""
        return (
            f"the first layer that differs{how} is {self.layer} (there {self.theirs}): outputs differ by"
            f" {self.outputs:.1e}, inputs by {self.inputs:.1e}, of the largest; likely cause: {self.cause}"
        )


@dataclass(frozen=True)
class Call:
    """One use of a layer."""

    name: str
    use: int  # 0 for its first
    module: nn.Module
    given: Tensor | None
    made: Tensor


@dataclass(frozen=True)
class Pass:
    """What one network did with the picture."""

    calls: list[Call]
    output: Tensor | None  # None where it failed
    failure: Exception | None = None


def first_difference(ours: nn.Module, theirs: nn.Module, table: Table, image: Tensor) -> Difference | None:
    """The first layer of ``ours`` whose output is not that of ``theirs``, or None where all agree.

    ``table`` is the weight map from the names there to those here. ``image`` (b, channels, height, width) is
    what both are given, two pictures or more. Both stay as they are. Raises ``ValueError`` where one of them
    cannot take the image and no layer differs before it fails.
    """
    for training in (False, True):
        here, there = record(ours, image, training), record(theirs, image, training)
        names = translate([c.name for c in there.calls if weighted(c.module)], table)
        found = outputs_differ(here, there, names) or (
            statistics_differ(here, there, names) if training else None
        )
        if found is not None:
            return replace(found, training=training)
        for net, done in ((ours, here), (theirs, there)):
            if done.failure is not None:
                shape = tuple(image.shape)
                raise ValueError(f"{type(net).__name__} does not take an image of {shape}: {done.failure}")
    return None


def record(net: nn.Module, image: Tensor, training: bool) -> Pass:
    """Run a copy of ``net`` in double precision and note every layer, with weights or without."""
    net = copy.deepcopy(net).double().eval()
    notes = Notes()
    for name, module in net.named_modules():
        if training and getattr(module, "running_mean", None) is not None:
            module.train()
        if (not list(module.children()) or weighted(module)) and not isinstance(module, WITHOUT_EFFECT):
            module.register_forward_pre_hook(partial(notes.begin, name))
            module.register_forward_hook(partial(notes.end, name))
        if isinstance(module, NORMS):
            for child in module.children():
                child.register_forward_pre_hook(partial(notes.normalised, name, module))
    try:
        with torch.no_grad():
            return Pass(notes.calls, first_tensor(net(image.double())))
    except (RuntimeError, ValueError) as failure:
        return Pass(notes.calls, None, failure)


class Notes:
    """The layers of one pass, in order. Tensors are copied: a layer may work in place."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.given: dict[str, Tensor | None] = {}  # of layers that have begun and made nothing yet
        self.uses: Counter[str] = Counter()

    def begin(self, name: str, module: nn.Module, inputs: Any) -> None:
        self.given[name] = first_tensor(inputs)

    def end(self, name: str, module: nn.Module, inputs: Any, outputs: Any) -> None:
        made = first_tensor(outputs)
        if made is not None and name in self.given:
            self.calls.append(Call(name, self.uses[name], module, self.given.pop(name), made))
            self.uses[name] += 1

    def normalised(self, name: str, norm: nn.Module, child: nn.Module, inputs: Any) -> None:
        """A norm of timm holds its activation; what that is given is what the norm makes by itself."""
        self.end(name, norm, None, inputs)


def outputs_differ(here: Pass, there: Pass, names: dict[str, str]) -> Difference | None:
    """The first difference of outputs, in the order in which the other library runs its layers."""
    own = {(call.name, call.use): i for i, call in enumerate(here.calls)}
    paired = set(names.values())
    for place, theirs in enumerate(there.calls):
        if theirs.name not in names:
            continue
        index = own.get((names[theirs.name], theirs.use))
        if index is None:
            if here.failure is not None:  # it did not get there
                return None
            cause = "the layer is not used here, or less often"
            return Difference(
                layer=names[theirs.name], theirs=theirs.name, outputs=float("inf"), inputs=0.0, cause=cause
            )
        ours = here.calls[index]
        if gap(ours.made, theirs.made) > TOLERANCE:
            if gap(ours.given, theirs.given) <= TOLERANCE:
                return difference(ours, theirs, cause_within(ours.module, theirs.module))
            since = (
                list(since_last(here.calls[:index], paired)),
                list(since_last(there.calls[:place], set(names))),
            )
            return between(*since) or difference(ours, theirs, cause_before(ours, theirs, *since))
    if here.output is None or there.output is None or gap(here.output, there.output) <= TOLERANCE:
        return None
    since = list(since_last(here.calls, paired)), list(since_last(there.calls, set(names)))
    found = between(*since)
    if found is not None:
        return found
    last = [call.name for call in here.calls if call.name in paired][-1:]
    cause = f"what follows {''.join(last) or 'the image'}: {listed(*since)}"
    apart = gap(here.output, there.output)
    return Difference(layer="the output", theirs="the output", outputs=apart, inputs=0.0, cause=cause)


def statistics_differ(here: Pass, there: Pass, names: dict[str, str]) -> Difference | None:
    """The first layer whose statistics one step of training moves otherwise."""
    own = {call.name: call for call in here.calls}
    for theirs in there.calls:
        ours = own.get(names.get(theirs.name, ""))
        if ours is None:
            continue
        variance = getattr(theirs.module, "running_var", None)
        spread = float(variance.max().sqrt()) if isinstance(variance, Tensor) else 0.0
        for statistic in STATISTICS:
            mine, yours = (getattr(call.module, statistic, None) for call in (ours, theirs))
            if not isinstance(mine, Tensor) or not isinstance(yours, Tensor):
                continue
            apart = gap(mine, yours, least=spread)  # a mean that should be 0 is nothing but rounding
            if apart > TOLERANCE:
                cause = cause_within(ours.module, theirs.module, tensors=False)
                return difference(ours, theirs, cause, outputs=apart)
    return None


def between(ours: list[Call], theirs: list[Call]) -> Difference | None:
    """Of layers without weights, one that is given what a layer there is given and makes another thing."""
    same = [(o, t) for o, t in itertools.product(ours, theirs) if gap(o.given, t.given) <= TOLERANCE]
    agreeing = [pair for pair in same if gap(pair[0].made, pair[1].made) <= TOLERANCE]
    for o, t in same:
        if not any(o is a or t is b for a, b in agreeing):
            return difference(o, t, cause_within(o.module, t.module))
    return None


def difference(ours: Call, theirs: Call, cause: str, outputs: float | None = None) -> Difference:
    return Difference(
        layer=ours.name,
        theirs=theirs.name,
        outputs=gap(ours.made, theirs.made) if outputs is None else outputs,
        inputs=gap(ours.given, theirs.given),
        cause=cause,
    )


def cause_within(ours: nn.Module, theirs: nn.Module, tensors: bool = True) -> str:
    """Why two layers make different things of one: their kinds, their settings, their weights."""
    mine, yours = type(ours).__name__, type(theirs).__name__
    found: list[str] = []
    if not isinstance(ours, type(theirs)) and not isinstance(theirs, type(ours)):
        kind = "activation" if is_activation(ours) and is_activation(theirs) else "kind of layer"
        found.append(f"{kind}: {mine} here, {yours} there")
    for setting, words in SETTINGS.items():
        if hasattr(ours, setting) and hasattr(theirs, setting):
            a, b = plain(getattr(ours, setting)), plain(getattr(theirs, setting))
            found += [f"{words}: {a} here, {b} there"] if a != b else []
    if tensors:
        found += causes_in_tensors(ours, theirs)
    return "; ".join(found) or "kind, settings and weights are alike: its code"


def causes_in_tensors(ours: nn.Module, theirs: nn.Module) -> Iterator[str]:
    """What is odd about the weights of one layer, seen from those of the other."""
    for name in ("weight", "bias", *STATISTICS):
        a, b = getattr(ours, name, None), getattr(theirs, name, None)
        if isinstance(a, Tensor) != isinstance(b, Tensor):
            yield f"{name} is missing {'there' if b is None else 'here'}"
        elif isinstance(a, Tensor) and isinstance(b, Tensor) and gap(a, b) > TOLERANCE:
            yield cause_in_tensor(name, a, b)


def cause_in_tensor(name: str, a: Tensor, b: Tensor) -> str:
    if not a.any():
        return f"{name} is all zeros here, as if it were missing"
    if b.ndim >= 2 and gap(a, b.transpose(0, 1)) <= TOLERANCE:
        return f"{name} is transposed"
    if b.ndim >= 3 and gap(a, b.transpose(-1, -2)) <= TOLERANCE:
        return f"{name} has rows and columns exchanged"
    if b.ndim >= 2 and gap(a, b.flip(1)) <= TOLERANCE:
        return f"{name} has the channels in reverse order (RGB for BGR)"
    return f"{name} differs by {gap(a, b):.1e} of its largest entry"


def cause_before(ours: Call, theirs: Call, here: list[Call], there: list[Call]) -> str:
    """Why two layers are given different things, where no layer without weights is to blame alone."""
    a, b = ours.given, theirs.given
    if a is not None and b is not None and a.ndim > 1 and gap(a, b.flip(1)) <= TOLERANCE:
        return "it is given the channels in reverse order (RGB for BGR)"
    return f"what comes before it: {listed(here, there)}"


def listed(here: list[Call], there: list[Call]) -> str:
    sides = (", ".join(type(c.module).__name__ for c in calls) or "no layer" for calls in (here, there))
    return "{} here, {} there, and what is computed without layers".format(*sides)


def since_last(calls: list[Call], paired: set[str]) -> Iterator[Call]:
    """The calls after the last one of a paired layer, in order."""
    start = max((i + 1 for i, call in enumerate(calls) if call.name in paired), default=0)
    yield from calls[start:]


def weighted(module: nn.Module) -> bool:
    """Has it parameters or buffers of its own, for the weight map to name?"""
    own = itertools.chain(module.parameters(recurse=False), module.buffers(recurse=False))
    return next(own, None) is not None


def is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == nn.ReLU.__module__


def plain(value: Any) -> Any:
    """One number for a tuple of equal ones: 3 and (3, 3) are the same size."""
    return value[0] if isinstance(value, tuple) and value and len(set(value)) == 1 else value


def gap(a: Tensor | None, b: Tensor | None, least: float = 1e-30) -> float:
    """The largest difference, relative to the largest entry of ``b`` or to ``least``, whichever is larger.

    Infinite where they cannot be equal. How the numbers of a picture are laid out does not count: a layer may
    be dense here, a convolution there.
    """
    if a is None or b is None:
        return 0.0 if a is b else float("inf")
    if a.shape != b.shape and (a.numel() != b.numel() or a.shape[:1] != b.shape[:1]):
        return float("inf")
    a, b = a.detach().reshape(-1), b.detach().reshape(-1)
    if not b.numel():
        return 0.0
    apart = (a - b).abs().max() / b.abs().max().clamp(min=max(least, 1e-30))
    return float(apart.nan_to_num(float("inf")))


def first_tensor(values: Any) -> Tensor | None:
    """A copy of the first tensor in what a layer takes or makes."""
    return next((v.detach().clone() for v in tree_leaves(values) if isinstance(v, Tensor)), None)
