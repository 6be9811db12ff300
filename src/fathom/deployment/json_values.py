"""What a JSON reader hands over: named for people, quoted in brief, turned into arrays with care."""

from itertools import chain
from typing import Any

import numpy as np

from fathom.errors import InputError

KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true/false",
    type(None): "null",
    bytes: "bytes",
}


def kind(item: Any) -> str:
    """What a JSON reader calls it."""
    return KINDS.get(type(item), "a number" if isinstance(item, int | float) else type(item).__name__)


def brief(item: Any, limit: int = 80) -> str:
    """``item`` as an error message quotes it: a request of megabytes is not sent back.

    A whole number of very many digits is not written out at all: Python refuses to.
    """
    if isinstance(item, int) and abs(item) >= 10**limit:
        return f"a number of more than {limit} digits"
    text = repr(item[: limit + 1] if isinstance(item, str | bytes | list) else item)
    return text if len(text) <= limit else f"{text[:limit]}..."


def numbers(item: Any) -> np.ndarray:
    """Nested lists of numbers, or of true and false, as an array; an array of them stays what it is.

    The types of all leaves are looked at before NumPy sees them: it would give a list of one long and
    many short texts the room of many long ones. Raises ``InputError`` for ragged lists and other leaves.
    """
    if isinstance(item, np.ndarray):
        if item.dtype.kind not in "uifb":
            raise InputError(f"an array holds numbers, not {item.dtype}")
        return item
    shape: list[int] = []
    flat = [item]
    while flat and isinstance(flat[0], list | tuple):
        lengths = {len(part) if isinstance(part, list | tuple) else -1 for part in flat}
        if len(lengths) > 1:
            raise InputError("the rows of an array must be equally long")
        shape.append(lengths.pop())
        flat = list(chain.from_iterable(flat))
    found = set(map(type, flat))
    if found == {np.ndarray}:  # from Python: a list of arrays
        return numbers([part.tolist() for part in flat]).reshape(*shape, *flat[0].shape)
    truths = found == {bool}
    if not truths and not all(issubclass(t, int | float | np.number) and t is not bool for t in found):
        raise InputError(f"an array holds numbers, not {' and '.join(sorted(map(_leaf, found)))}")
    made = np.array(flat)
    if made.dtype.kind not in "uifb":  # whole numbers of more than 64 bits
        raise InputError("the array holds whole numbers that are too large")
    return made.reshape(shape)


def _leaf(found: type) -> str:
    return KINDS.get(found, "numbers" if found in (int, float) else found.__name__)


def narrowed(made: np.ndarray, dtype: str, name: str) -> np.ndarray:
    """``made`` as ``dtype``; what does not fit into it is refused, never wrapped around or made infinite."""
    target = np.dtype(dtype)
    if made.dtype.kind == "f" and not np.isfinite(made).all():
        raise InputError(f"{name} holds NaN or infinity; give finite numbers")
    if target.kind in "ui":
        limits = np.iinfo(target)
        if made.dtype.kind == "f" and np.mod(made, 1).any():
            raise InputError(f"{name} holds fractions; the model takes whole numbers")
        # as Python's whole numbers: the largest of 64 bits have no float of their own
        if made.size and not (limits.min <= int(made.min()) and int(made.max()) <= limits.max):
            raise InputError(f"{name} takes whole numbers from {limits.min} to {limits.max}")
    if (target.kind == "b") != (made.dtype.kind == "b") and made.size:
        raise InputError(f"{name} takes {'true and false' if target.kind == 'b' else 'numbers'} only")
    with np.errstate(over="ignore"):
        cast = made.astype(target)
    if target.kind == "f" and not np.isfinite(cast).all():
        raise InputError(f"{name} holds numbers too large for {dtype}")
    return cast
