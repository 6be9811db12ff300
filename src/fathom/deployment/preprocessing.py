"""From what a person hands in to the arrays a network takes: a closed set of operations.

``artifact.json`` lists operations by name with their settings; ``apply`` runs them, and it is the only
code that does: in the trainer's evaluation of files, the command line, the ONNX check and the server.
An unknown operation is refused. Nothing here imports torch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fathom.deployment.json_values import brief, kind, narrowed, numbers
from fathom.deployment.pictures import image
from fathom.deployment.word_pieces import word_pieces
from fathom.errors import InputError
from fathom.task import Arrays

FARTHEST = float(np.finfo(np.float32).max)


def apply(operations: Sequence[Mapping[str, Any]], item: Any) -> Arrays:
    """The input arrays, without a batch axis, of one item: bytes, a path, text, a number list or a mapping.

    Raises ``InputError`` that says what was wrong with the item.
    """
    arrays: Arrays = {}
    asked = [s["field"] for s in operations if s.get("field") is not None and "default" not in s]
    if isinstance(item, str | bytes) and len(asked) == 1:  # a bare text where only one field must be given
        item = {asked[0]: item}
    for settings in operations:
        name = settings.get("operation", "")
        if name not in OPERATIONS:
            raise InputError(f"there is no operation {name!r}; known: {', '.join(OPERATIONS)}")
        part = item
        if "default" in settings and isinstance(item, Mapping) and settings["field"] not in item:
            part = settings["default"]
        elif settings.get("field") is not None:
            part = field(item, settings["field"])
        arrays[settings["input"]] = OPERATIONS[name](part, settings)
    return arrays


def field(item: Any, name: str) -> Any:
    """``item[name]`` of a request that has named parts."""
    if not isinstance(item, Mapping):
        raise InputError(f"an item is a JSON object with a field {name!r}, not {kind(item)}")
    if name not in item:
        has = ", ".join(brief(key, 40) for key in list(item)[:10])
        raise InputError(f"the field {name!r} is missing; the item has: {has or 'none'}")
    return item[name]


def table(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """A row (column -> value) -> float32 (features,).

    ``columns`` lists, in order, ``{"name", "kind": "numeric", "mean", "scale", "fill", "log"}`` - one
    feature, and a second that says "was missing" where ``flag`` - or ``{"name", "kind": "category",
    "values": [...]}`` - one feature a value and a last one for anything else.
    """
    if not isinstance(item, Mapping):
        raise InputError(f"a row is a JSON object, column -> value, not {kind(item)}")
    columns = settings["columns"]
    absent = [c["name"] for c in columns if c["name"] not in item]
    if absent and settings.get("strict", True):
        raise InputError(f"columns are missing: {', '.join(absent[:10])}; give null for an unknown value")
    features: list[float] = []
    for column in columns:
        features += encode(column, item.get(column["name"]))
    return np.asarray(features, dtype=np.float32)


def encode(column: Mapping[str, Any], value: Any) -> list[float]:
    """The features of one cell."""
    name = column["name"]
    if isinstance(value, dict | list):
        raise InputError(f"column {name!r} takes one value, not {kind(value)}")
    gone = value is None or str(value).strip() in MISSING
    if column["kind"] == "category":
        text = "" if gone else str(value).strip()
        return [float(text == v) for v in column["values"]] + [float(text not in column["values"])]
    try:
        number = column["fill"] if value is None or gone else float(value)
    except (TypeError, ValueError):
        raise InputError(f"column {name!r} takes a number, not {brief(value)}") from None
    except OverflowError:  # a whole number beyond all floats
        number = math.inf
    if math.isnan(number):
        number, gone = column["fill"], True
    if math.isinf(number):
        raise InputError(f"column {name!r} is infinite or nearly; give a finite number or null")
    if column.get("log"):
        number = math.copysign(math.log1p(abs(number)), number)
    scaled = (number - column["mean"]) / column["scale"]
    if abs(scaled) > FARTHEST:
        raise InputError(f"column {name!r} is too large: {number:g}")
    return [scaled] + ([float(gone)] if column.get("flag") else [])


MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")


def tokens(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """Text -> int64 (length,): numbers of characters or words in ``vocabulary``.

    ``unit`` is "character" or "word" (lower case, letters and digits together, other signs alone).
    ``length`` null keeps the text's own length (at least 1); otherwise it is cut, and padded with
    ``padding``. ``unknown`` stands for what is not in the vocabulary; null refuses it.
    """
    if not isinstance(item, str):
        raise InputError(f"a text is a JSON string, not {kind(item)}")
    limit = settings.get("longest", 100_000)
    if len(item) > limit:
        raise InputError(f"the text has {len(item):,} characters; at most {limit:,} are read")
    parts = list(item) if settings["unit"] == "character" else words(item)
    places = vocabulary(settings)
    unknown = settings.get("unknown")
    strange = [p for p in parts if p not in places]
    if strange and unknown is None:
        some = " ".join(map(repr, list(places)[:100])) + (" ..." if len(places) > 100 else "")
        raise InputError(f"the model does not know {brief(strange[0])}; it knows: {some}")
    found = [places.get(p, unknown) for p in parts]
    found = [*settings.get("before", []), *found, *settings.get("after", [])]
    length = settings.get("length")
    if length is not None:
        found = found[:length] + [settings["padding"]] * max(0, length - len(found))
    if not found:
        raise InputError("the text is empty; give at least one character")
    return np.asarray(found, dtype=np.int64)


_vocabularies: dict[int, tuple[Any, dict[str, int]]] = {}


def vocabulary(settings: Mapping[str, Any]) -> dict[str, int]:
    """Token -> number of ``settings["vocabulary"]``, a list; made once for each list object, a few kept."""
    listed = settings["vocabulary"]
    known = _vocabularies.get(id(listed))
    if known is None or known[0] is not listed:
        if len(_vocabularies) >= 16:
            _vocabularies.clear()
        _vocabularies[id(listed)] = known = (listed, {t: i for i, t in enumerate(listed)})
    return known[1]


def words(text: str) -> list[str]:
    """Lower-case words and single signs: "Don't stop!" -> don ' t stop !"""
    found: list[str] = []
    current = ""
    for sign in text.lower():
        if sign.isalnum():
            current += sign
            continue
        if current:
            found.append(current)
            current = ""
        if not sign.isspace():
            found.append(sign)
    return found + ([current] if current else [])


def array(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """Nested number lists -> an array of ``dtype`` and ``shape`` (a string is a free axis)."""
    made = numbers(item)
    shape = settings["shape"]
    if made.ndim != len(shape) or any(
        isinstance(n, int) and n != m for n, m in zip(shape, made.shape, strict=True)
    ):
        raise InputError(f"the array has shape {list(made.shape)}; the model takes {list(shape)}")
    if made.dtype.kind == "b" and np.dtype(settings["dtype"]).kind != "b":
        made = made.astype(np.uint8)  # true and false as 1 and 0
    cast = narrowed(made, settings["dtype"], "the array")
    low, high = settings.get("low"), settings.get("high")
    if made.size and ((low is not None and made.min() < low) or (high is not None and made.max() > high)):
        raise InputError(f"the array's values lie in [{made.min()}, {made.max()}]; allowed: [{low}, {high}]")
    return cast


def number(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """One number between ``low`` and ``high``, of ``dtype``, as an array without axes."""
    whole = np.dtype(settings["dtype"]).kind in "ui"
    good = isinstance(item, int | float) and not isinstance(item, bool)
    if not good or not settings["low"] <= item <= settings["high"] or (whole and item != int(item)):
        wanted = "a whole number" if whole else "a number"
        given = brief(item) if good else kind(item)
        name = settings.get("field") or settings["input"]
        raise InputError(f"{name} takes {wanted} from {settings['low']} to {settings['high']}, not {given}")
    return np.asarray(item, dtype=settings["dtype"])


def bounds(
    operations: Sequence[Mapping[str, Any]], name: str
) -> tuple[int | float | None, int | float | None]:
    """The least and greatest value that the input ``name`` may hold, where its operation says so.

    Tensors that come without preprocessing are held to it: a token beyond the vocabulary would reach past
    the end of an embedding.
    """
    for settings in operations:
        if settings.get("input") == name and settings["operation"] == "tokens":
            marks = [settings.get("padding"), settings.get("unknown")]
            marks += [*settings.get("before", []), *settings.get("after", [])]
            return 0, max(len(settings["vocabulary"]) - 1, *(mark or 0 for mark in marks))
        if settings.get("input") == name and settings["operation"] == "word_pieces":
            return 0, len(settings["vocabulary"]) - 1
        if settings.get("input") == name:
            return settings.get("low"), settings.get("high")
    return None, None


OPERATIONS: dict[str, Callable[[Any, Mapping[str, Any]], np.ndarray]] = {
    "image": image,
    "table": table,
    "tokens": tokens,
    "word_pieces": word_pieces,
    "array": array,
    "number": number,
}
