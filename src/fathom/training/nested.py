"""State dicts as what a file can hold: named tensors beside plain JSON, and back without a loss.

JSON has no tuples, no integer keys, no infinity, and tensors least of all. Each is written as a
dict with one key that begins with ``$``:

    {"$tensor": "optimizer.state.0.exp_avg"}     the tensor of that name
    {"$tuple": [0.9, 0.999]}                     a tuple
    {"$float": "inf"}                            inf, -inf, nan
    {"$dict": [[0, "a"], ["$b", 1]]}             a dict whose keys are no strings, or begin with $
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from fathom.errors import InputError

JSON = Any  # None, bool, int, float, str, and lists and dicts (with strings as keys) of these
KEYS = (str, int, float, type(None))


def flatten(value: Any) -> tuple[dict[str, Tensor], JSON]:
    """Part a nested value into named tensors and JSON.

    Takes tensors, None, numbers, strings, lists, tuples and dicts; a tensor is named by the keys that lead
    to it. Tensors are detached and not copied: save them, or clone them, before the next update.
    One tensor object in two places is one tensor, and is so again after ``unflatten``.
    Raises ``InputError`` with the place for anything else, such as an array or an object.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _encode(value, (), tensors, {})


def unflatten(tensors: Mapping[str, Tensor], facts: JSON) -> Any:
    """The nested value that ``flatten`` parted. Raises ``InputError`` where a tensor is missing."""
    if isinstance(facts, list):
        return [unflatten(tensors, inner) for inner in facts]
    if not isinstance(facts, dict):
        return facts
    match facts:
        case {"$tensor": str(name)}:
            if name not in tensors:
                raise InputError(f"the state speaks of tensor {name!r}, which is not among its tensors")
            return tensors[name]
        case {"$tuple": list(items)}:
            return tuple(unflatten(tensors, inner) for inner in items)
        case {"$float": str(text)}:
            return float(text)
        case {"$dict": list(pairs)}:
            return {unflatten({}, key): unflatten(tensors, inner) for key, inner in pairs}
    return {key: unflatten(tensors, inner) for key, inner in facts.items()}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, kinds, shapes and bits; the order of the names, device and strides do not count."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        # the quotes keep a name and what follows apart, so that no two sets of tensors have the same text
        total.update(f"{json.dumps(name)} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if tensor.numel():
            total.update(packed(tensor).reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def packed(tensor: Tensor) -> Tensor:
    """The same numbers in main memory, in the usual order of rows."""
    return tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()


def check_json(value: Any, *place: str) -> None:
    """Raise ``InputError`` unless JSON gives ``value`` back as it is: no tuple, no integer as a key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InputError(f"{_named(place)} has the key {key!r}; keys are strings; use flatten first")
            check_json(inner, *place, key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            check_json(inner, *place, str(index))
    elif value is not None and not isinstance(value, (bool, int, float, str)):
        kind = type(value).__name__
        raise InputError(f"{_named(place)} is a {kind}, which JSON cannot hold; use flatten first")


def _encode(value: Any, place: tuple[str, ...], tensors: dict[str, Tensor], seen: dict[int, str]) -> JSON:
    if isinstance(value, Tensor):
        return {"$tensor": _keep(value, place, tensors, seen)}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, dict):
        return _encode_dict(value, place, tensors, seen)
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        items = [_encode(inner, (*place, str(i)), tensors, seen) for i, inner in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise InputError(
        f"{_named(place)} is a {type(value).__name__}; a state holds tensors, None, numbers, strings, lists, "
        "tuples and dicts; turn it into these in state() and back in load_state()"
    )


def _encode_dict(
    value: dict[Any, Any], place: tuple[str, ...], tensors: dict[str, Tensor], seen: dict[int, str]
) -> JSON:
    for key in value:
        if not isinstance(key, KEYS):
            raise InputError(
                f"{_named(place)} has a {type(key).__name__} as a key; a key is a string, a number or None"
            )
    pairs = [
        (_encode(key, place, {}, {}), _encode(inner, (*place, str(key)), tensors, seen))
        for key, inner in value.items()
    ]
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return dict(pairs)
    return {"$dict": [list(pair) for pair in pairs]}


def _keep(tensor: Tensor, place: tuple[str, ...], tensors: dict[str, Tensor], seen: dict[int, str]) -> str:
    if id(tensor) not in seen:
        name = wanted = ".".join(place) or "value"
        copies = 1
        while name in tensors:  # {"a.b": t} beside {"a": {"b": t}}
            copies += 1
            name = f"{wanted}#{copies}"
        seen[id(tensor)] = name
        tensors[name] = tensor.detach()
    return seen[id(tensor)]


def _named(place: tuple[str, ...]) -> str:
    return ".".join(place) or "the state"
