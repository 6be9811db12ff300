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
from fathom.training.importing import KERAS
from fathom.training.keras_layout import from_keras, is_keras
from fathom.training.model_folder import folder_state, holds_model
from fathom.training.weight_files import TORCH, local_file, published_file
from fathom.training.weight_map import Table, inverse, translate

SHOWN = 5  # names in a message
WRAPPERS = ("module.", "_orig_mod.")  # what DataParallel and torch.compile put before every name


@dataclass(frozen=True)
class Weights:
    """A state dict, with what its file, its table or its run tells of it."""

    state: Mapping[str, Tensor]
    preprocessing: Mapping[str, Any] | None = None  # resize, crop, mean, deviation, interpolation
    settings: Mapping[str, Any] | None = None  # of the model that these weights are for; None: not told


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

    ``published`` is the model's part of its system's ``WEIGHTS``. What `read_weights` gave is taken too. A
    .pt or .pth file, or one of Keras, goes through the confined reader of `fathom import`. The names of
    tensors may be the model's own or those of one of ``upstreams``, which is known by them; ``before``
    rewrites a state dict first, where a table cannot. Tensors whose name begins with one of ``head`` may
    differ in shape: they stay as initialised. Those of ``stem`` may have another number of input channels:
    they are brought to the model's. Any other difference raises ``InputError`` that names the tensors, and
    changes nothing. The report is kept as ``model.load_report`` and printed, the preprocessing, if known, is
    kept as ``model.preprocessing``.
    """
    found = read_weights(weights, published or {})
    given = as_torch(found.state)
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


def as_torch(state: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """``state`` as a module of torch would give it: no words of wrappers, arrays of Keras turned."""
    return from_keras(state) if is_keras(state) else unwrapped(state)


def unwrapped(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """``state`` without the words that a wrapper put before every name."""
    for wrapper in WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return unwrapped({name.removeprefix(wrapper): tensor for name, tensor in state.items()})
    return state


def read_weights(weights: Any, published: Mapping[str, Mapping[str, Any]]) -> Weights:
    """Weights from where they are; ``published`` are those that have a name. Raises ``InputError``."""
    if isinstance(weights, Weights):
        return weights
    if isinstance(weights, Mapping):
        return Weights(as_torch(weights))
    if isinstance(weights, str) and weights in published:
        return told_by(published[weights], published_file(published[weights]).state)
    path = Path(weights)
    if path.is_dir() and holds_model(path):
        return Weights(folder_state(path))
    if path.is_dir():
        return from_folder(path)
    if not path.is_file():
        raise no_weights(str(weights), published)
    if path.suffix.lower() in (*TORCH, *KERAS):
        kept = local_file(path)
        same = [facts for facts in published.values() if kept.original.startswith(facts["sha256"])]
        return told_by(same[0], kept.state) if same else Weights(kept.state)
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path} is not opened: give a .safetensors, .pt, .pth, .h5 or .keras file, or a run folder"
        )
    return read_safetensors(path)


def told_by(facts: Mapping[str, Any], state: Mapping[str, Tensor]) -> Weights:
    """The tensors of a published file with what its entry of ``WEIGHTS`` tells."""
    return Weights(state, facts["preprocessing"], facts.get("settings"))


def from_folder(folder: Path) -> Weights:
    """The weights of a run or an artifact, and the settings of the model that they were trained in."""
    for file in (folder / "weights.safetensors", folder / "model" / "weights.safetensors"):
        if file.is_file():
            described = file.with_name("artifact.json")
            model = json.loads(described.read_text(encoding="utf-8"))["model"] if described.is_file() else {}
            return Weights(read_safetensors(file).state, settings=model)
    raise InputError(f"{folder} holds no weights.safetensors; give a run folder or a .safetensors file")


def needed(
    found: Weights,
    *,
    upstreams: Mapping[str, Table],
    needs: Mapping[str, Mapping[str, Any]],
    published: Mapping[str, Mapping[str, Any]] | None = None,
    before: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None,
) -> dict[str, Any]:
    """The settings that a model must be built with for ``found``, of those that weights can decide.

    ``needs`` holds them for each library whose models are built another way; an entry of ``published`` may
    have ``settings`` of its own. Tensors that come without a word are known by their names.
    """
    decided = {name for one in needs.values() for name in one}
    decided |= {name for facts in (published or {}).values() for name in facts.get("settings", {})}
    if found.settings is not None:
        return {name: value for name, value in found.settings.items() if name in decided}
    given = as_torch(found.state)
    state = before(given) if before else given
    bearers = (u for u in needs if state and len(translate(state, upstreams[u])) == len(state))
    return dict(needs.get(next(bearers, ""), {}))


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
    """The tensors of a file, and what `fathom import` wrote beside them."""
    from safetensors import safe_open
    from safetensors.torch import load

    try:
        state = load(path.read_bytes())
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            told = {name: json.loads(metadata.get(name, "null")) for name in ("preprocessing", "settings")}
    except Exception as error:
        raise InputError(f"{path} is damaged: {error}") from error
    kept = {name: found for name, found in told.items() if isinstance(found, dict)}
    return Weights(state, **{n: {k: listed(v) for k, v in found.items()} for n, found in kept.items()})


def listed(value: Any) -> Any:
    """A list of JSON as the tuple that it was."""
    return tuple(value) if isinstance(value, list) else value
