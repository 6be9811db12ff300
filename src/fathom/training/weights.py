"""Weights from elsewhere into a model: what was taken over, what is new, what was left. Nothing silently."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fathom.errors import InputError, unknown
from fathom.fundamentals.initialization.pretrained import LoadReport, load_pretrained, resize_channels
from fathom.training.model_folder import folder_state, holds_model
from fathom.training.weight_files import TORCH, local_file, published_file
from fathom.training.weight_map import Table, inverse, translate

SHOWN = 5  # names in a message
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name


@dataclass(frozen=True)
class Weights:
    """A state dict, and how its pictures were prepared, where that is known."""

    state: Mapping[str, Tensor]
    preprocessing: Mapping[str, Any] | None = None  # resize, crop, mean, deviation, interpolation


def load_weights(
    model: nn.Module,
    weights: Any,
    *,
    head: Sequence[str],
    stem: Sequence[str] = (),
    upstreams: Mapping[str, Table] | None = None,
    published: Mapping[str, Mapping[str, Any]] | None = None,
    before: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> LoadReport:
    """Copy ``weights`` into ``model``: a name of ``published``, a file, a run folder or a state dict.

    ``published`` is the model's part of its system's ``WEIGHTS``. A .pt or .pth file goes through the
    confined reader of `fathom import`. The names of tensors may be the model's own or those of one of
    ``upstreams``, which is known by them; ``before`` rewrites a state dict first, where a table cannot.
    Tensors whose name begins with one of ``head`` may differ in shape: they stay as initialised. Those of
    ``stem`` may have another number of input channels: they are brought to the model's. Any other difference
    raises ``InputError`` that names the tensors, and changes nothing. The report is kept as
    ``model.load_report`` and printed, the preprocessing, if known, is kept as ``model.preprocessing``.
    """
    found = read_weights(weights, published or {})
    given = unwrapped(found.state)
    state = own_names(model, before(given) if before else given, upstreams or {})
    own = model.state_dict()
    # Files of before 2018 do not count batches; a count of 0 is what such a layer starts from.
    uncounted = [n for n in own if n.endswith(".num_batches_tracked") and n not in state]
    rules = dict.fromkeys(stem, resize_channels)
    try:
        report = load_pretrained(model, state, new=[*head, *uncounted], resize=rules, least=0.0)
    except ValueError as error:
        raise InputError(str(error)) from error
    object.__setattr__(model, "load_report", report)
    object.__setattr__(model, "preprocessing", found.preprocessing)
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


def unwrapped(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """``state`` without the words that a wrapper put before every name."""
    for wrapper in WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return unwrapped({name.removeprefix(wrapper): tensor for name, tensor in state.items()})
    return state


def read_state(weights: Any) -> Mapping[str, Tensor]:
    """A state dict from where it is: a mapping, a .safetensors, .pt or .pth file, or a run folder."""
    return read_weights(weights, {}).state


def read_weights(weights: Any, published: Mapping[str, Mapping[str, Any]]) -> Weights:
    """Weights from where they are; ``published`` are those that have a name. Raises ``InputError``."""
    if isinstance(weights, Mapping):
        return Weights(weights)
    if isinstance(weights, str) and weights in published:
        facts = published[weights]
        return Weights(published_file(facts).state, facts["preprocessing"])
    path = Path(weights)
    if path.is_dir() and holds_model(path):
        return Weights(folder_state(path))
    if path.is_dir():
        found = [
            f for f in (path / "weights.safetensors", path / "model" / "weights.safetensors") if f.is_file()
        ]
        if not found:
            raise InputError(f"{path} holds no weights.safetensors; give a run folder or a .safetensors file")
        path = found[0]
    if not path.is_file():
        raise no_weights(str(weights), published)
    if path.suffix.lower() in TORCH:
        kept = local_file(path)
        same = (f for f in published.values() if kept.original.startswith(f["sha256"]))
        return Weights(kept.state, next((f["preprocessing"] for f in same), None))
    if path.suffix != ".safetensors":
        raise InputError(f"{path} is not opened: give a .safetensors, .pt or .pth file, or a run folder")
    return read_safetensors(path)


def no_weights(given: str, published: Mapping[str, Any]) -> InputError:
    """The error for a name or path that leads to nothing."""
    if published and not Path(given).suffix and len(Path(given).parts) == 1:
        near = unknown("published weights file named", given, published)
        return InputError(f"{near}; there is {', '.join(published)}; or give the path of a file")
    named = f"; by name there is {', '.join(published)}" if published else ""
    return InputError(
        f"there are no weights {given!r}: give a .safetensors, .pt or .pth file or a run folder{named}"
    )


def read_safetensors(path: Path) -> Weights:
    """The tensors of a file, and the preprocessing that `fathom import` wrote beside them."""
    from safetensors import safe_open
    from safetensors.torch import load

    try:
        state = load(path.read_bytes())
        with safe_open(path, "np") as file:
            told = json.loads((file.metadata() or {}).get("preprocessing", "null"))
    except Exception as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if not isinstance(told, dict):
        return Weights(state)
    return Weights(state, {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()})
