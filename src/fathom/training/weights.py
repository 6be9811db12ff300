"""Weights from elsewhere into a model: what was taken over, what is new, what was left. Nothing silently."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport, load_pretrained, resize_channels
from fathom.training.weight_map import Table, inverse, translate

SHOWN = 5  # names in a message


def load_weights(
    model: nn.Module,
    weights: Any,
    *,
    head: Sequence[str],
    stem: Sequence[str] = (),
    upstreams: Mapping[str, Table] | None = None,
) -> LoadReport:
    """Copy ``weights`` - a state dict, a .safetensors file, a run or artifact folder - into ``model``.

    Their names may be the model's own or those of one of ``upstreams``, which is known by them. Tensors
    whose name begins with one of ``head`` may differ in shape: they stay as initialised. Those of ``stem``
    may have another number of input channels: they are brought to the model's. Any other difference raises
    ``InputError`` that names the tensors, and changes nothing. The report is kept as ``model.load_report``
    and printed.
    """
    state = own_names(model, read_state(weights), upstreams or {})
    own = model.state_dict()
    # Files of before 2018 do not count batches; a count of 0 is what such a layer starts from.
    uncounted = [n for n in own if n.endswith(".num_batches_tracked") and n not in state]
    rules = dict.fromkeys(stem, resize_channels)
    try:
        report = load_pretrained(model, state, new=[*head, *uncounted], resize=rules, least=0.0)
    except ValueError as error:
        raise InputError(str(error)) from error
    object.__setattr__(model, "load_report", report)
    print(report, file=sys.stderr)  # standard output belongs to answers
    return report


def own_names(
    model: nn.Module, state: Mapping[str, Tensor], upstreams: Mapping[str, Table]
) -> Mapping[str, Tensor]:
    """``state`` under the names of ``model``, whichever of ``upstreams`` gave it its own.

    Raises ``InputError`` with what is nearest where the names are nobody's.
    """
    upstream = recognise(model, state, upstreams)
    if upstream is None:
        return state
    names = translate(state, upstreams[upstream])
    return {names[name]: tensor for name, tensor in state.items()}


def recognise(model: nn.Module, state: Mapping[str, Tensor], upstreams: Mapping[str, Table]) -> str | None:
    """The library that named the tensors of ``state``, or None where their names are the model's own."""
    own = set(model.state_dict())
    if not upstreams or set(state) <= own:
        return None
    best: tuple[int, str, list[str]] | None = None
    for upstream, table in upstreams.items():
        known = translate(state, table)
        strange = [name for name in state if known.get(name) not in own]
        if not strange:
            return upstream
        if best is None or len(strange) < best[0]:
            best = len(strange), upstream, strange
    if len(set(state) - own) < len(state) / 2:  # its own names, more or less
        return None
    assert best is not None
    count, upstream, strange = best
    raise InputError(
        f"{count} of {len(state)} tensors are not of a {type(model).__name__} of this size, neither by the"
        f" names of Fathom nor by those of {' or '.join(upstreams)} (nearest: {upstream}); for instance"
        f" {', '.join(strange[:SHOWN])}"
    )


def upstream_state(model: nn.Module, table: Table) -> dict[str, Tensor]:
    """The state dict of ``model`` under the names of a library, for its own ``load_state_dict``.

    Raises ``ValueError`` where the table does not name every tensor.
    """
    own = model.state_dict()
    names = translate(own, inverse(table))
    missing = [name for name in own if name not in names]
    if missing:
        raise ValueError(f"the weight map has no name for {', '.join(missing[:SHOWN])}")
    return {names[name]: tensor for name, tensor in own.items()}


def read_state(weights: Any) -> Mapping[str, Tensor]:
    """A state dict from where it is; files that can hold code are refused."""
    if isinstance(weights, Mapping):
        return weights
    path = Path(weights)
    if path.is_dir():
        found = [
            f for f in (path / "weights.safetensors", path / "model" / "weights.safetensors") if f.is_file()
        ]
        if not found:
            raise InputError(f"{path} holds no weights.safetensors; give a run folder or a .safetensors file")
        path = found[0]
    if not path.is_file():
        raise InputError(f"there are no weights {str(weights)!r}: give a .safetensors file or a run folder")
    if path.suffix != ".safetensors":
        raise InputError(f"{path} is not opened directly; bring its tensors in with: fathom import {path}")
    from safetensors.torch import load

    try:
        return load(path.read_bytes())
    except Exception as error:
        raise InputError(f"{path} is damaged: {error}") from error
