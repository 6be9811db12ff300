"""From what a person hands in to the arrays a network takes: a closed set of operations.

``artifact.json`` lists operations by name with their settings; ``apply`` runs them, and it is the only
code that does: in the trainer's evaluation of files, the command line, the ONNX check and the server.
An unknown operation is refused. Nothing here imports torch.
"""

import base64
import binascii
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fathom.errors import InputError
from fathom.task import Arrays

PIXELS = 40_000_000  # the largest picture that is decoded: width * height
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")


def apply(operations: Sequence[Mapping[str, Any]], item: Any) -> Arrays:
    """The input arrays, without a batch axis, of one item: bytes, a path, text, a number list or a mapping.

    Raises ``InputError`` that says what was wrong with the item.
    """
    arrays: Arrays = {}
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
        raise InputError(
            f"the field {name!r} is missing; the item has: {', '.join(map(str, item)) or 'none'}"
        )
    return item[name]


def image(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """Encoded picture -> uint8 (channels, height, width); settings: channels, height, width, invert.

    Height and width may be null: the picture keeps its size, padded at the right and bottom to a
    multiple of ``multiple``. A single-channel model that was trained on light ink over dark ground
    may be given dark ink over light ground: with ``ink: "light"`` such a picture is inverted.
    """
    picture = open_image(item)
    channels = settings["channels"]
    picture = picture.convert({1: "L", 3: "RGB"}[channels])
    height, width = settings.get("height"), settings.get("width")
    resized = height and width and picture.size != (width, height)
    if resized and settings.get("ink") == "light":
        picture = centre(picture, width, height)
    elif resized:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=None)
    pixels = np.asarray(picture, dtype=np.uint8)
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    if settings.get("ink") == "light" and border(pixels) > 127:
        pixels = 255 - pixels
    multiple = settings.get("multiple", 1)
    if multiple > 1:
        rows, columns = (-pixels.shape[1]) % multiple, (-pixels.shape[2]) % multiple
        pixels = np.pad(pixels, ((0, 0), (0, rows), (0, columns)))
    return np.ascontiguousarray(pixels)


def centre(picture: Image.Image, width: int, height: int) -> Image.Image:
    """A drawing of any size, laid out as MNIST's are: its ink fills 20 of 28 pixels, its mass in the middle.

    LeCun et al. (1998), section III.A. A picture that has the model's size already is left as it is.
    """
    pixels = np.asarray(picture, dtype=np.float64)
    if border(pixels[None]) > 127:
        pixels = 255 - pixels
    rows, columns = (np.flatnonzero(pixels.max(axis=axis) > 64) for axis in (1, 0))
    if not len(rows):
        return Image.new("L", (width, height))
    ink = Image.fromarray(pixels.astype(np.uint8)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    factor = 20 / 28 * min(width / ink.width, height / ink.height)
    size = max(1, round(ink.width * factor)), max(1, round(ink.height * factor))
    ink = ink.resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BILINEAR)
    mass = np.asarray(ink, dtype=np.float64) + 1e-9
    left = round(width / 2 - (mass.sum(axis=0) @ (np.arange(ink.width) + 0.5)) / mass.sum())
    top = round(height / 2 - (mass.sum(axis=1) @ (np.arange(ink.height) + 0.5)) / mass.sum())
    page = Image.new("L", (width, height))
    page.paste(ink, (min(max(left, 0), width - ink.width), min(max(top, 0), height - ink.height)))
    return page


def border(pixels: np.ndarray) -> float:
    """Mean value along the edge: what the ground of a drawing looks like."""
    return float(
        np.mean([pixels[:, 0].mean(), pixels[:, -1].mean(), pixels[:, :, 0].mean(), pixels[:, :, -1].mean()])
    )


def open_image(item: Any) -> Image.Image:
    """Decode bytes, a path, base64 text or nested number lists; refuse what is large or no picture."""
    if isinstance(item, np.ndarray) or (isinstance(item, list) and item and isinstance(item[0], list)):
        return from_numbers(item)
    try:
        data = item if isinstance(item, bytes) else read_bytes(item)
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        if picture.width * picture.height > PIXELS:
            raise InputError(
                f"the picture has {picture.width} x {picture.height} pixels; at most {PIXELS:,} are read"
            )
        picture.seek(0)
        picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"not a readable picture ({', '.join(FORMATS)}): {error}") from error
    turned = ImageOps.exif_transpose(picture)
    if turned.mode in ("I;16", "I", "I;16B"):  # 16 bits: keep the high ones
        turned = Image.fromarray((np.asarray(turned).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:  # what shows through is white
        turned = turned.convert("RGBA")
        ground = Image.new("RGBA", turned.size, (255, 255, 255, 255))
        turned = Image.alpha_composite(ground, turned).convert("RGB")
    return turned


def from_numbers(item: Any) -> Image.Image:
    pixels = np.asarray(item)
    if pixels.dtype.kind not in "uif" or pixels.ndim not in (2, 3):
        raise InputError("a picture as numbers has rows of pixels, each a number or three, from 0 to 255")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if (pixels.ndim == 3 and pixels.shape[2] != 3) or not pixels.size:
        raise InputError(f"a picture as numbers is height x width (x 3), not {pixels.shape}")
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
        raise InputError("pixels as numbers are finite and lie between 0 and 255")
    return Image.fromarray(pixels.astype(np.uint8))


def read_bytes(item: Any) -> bytes:
    """The bytes of a file given as a path, or of base64 text (with or without ``data:...;base64,``)."""
    if isinstance(item, Path):
        return item.read_bytes()
    if isinstance(item, str):
        text = item.split(",", 1)[1] if item.startswith("data:") and "," in item else item
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise InputError(f"text is no base64 picture: {error}") from error
    raise InputError(f"a picture is bytes, a file, base64 text or rows of numbers, not {kind(item)}")


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
    name, gone = column["name"], value is None or str(value).strip() in MISSING
    if column["kind"] == "category":
        text = "" if gone else str(value).strip()
        return [float(text == v) for v in column["values"]] + [float(text not in column["values"])]
    try:
        number = column["fill"] if gone else float(value)
    except (TypeError, ValueError):
        raise InputError(f"column {name!r} takes a number, not {value!r}") from None
    if math.isnan(number):
        number, gone = column["fill"], True
    if math.isinf(number):
        raise InputError(f"column {name!r} is infinite; give a finite number or null")
    if column.get("log"):
        number = math.copysign(math.log1p(abs(number)), number)
    scaled = (number - column["mean"]) / column["scale"]
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
    numbers = vocabulary(settings)
    unknown = settings.get("unknown")
    strange = [p for p in parts if p not in numbers]
    if strange and unknown is None:
        raise InputError(f"the model does not know {strange[0]!r}; it knows: {' '.join(map(repr, numbers))}")
    found = [numbers.get(p, unknown) for p in parts]
    found = [*settings.get("before", []), *found, *settings.get("after", [])]
    length = settings.get("length")
    if length is not None:
        found = found[:length] + [settings["padding"]] * max(0, length - len(found))
    if not found:
        raise InputError("the text is empty; give at least one character")
    return np.asarray(found, dtype=np.int64)


_vocabularies: dict[int, tuple[Any, dict[str, int]]] = {}


def vocabulary(settings: Mapping[str, Any]) -> dict[str, int]:
    """Token -> number of ``settings["vocabulary"]``, a list; made once for each list object."""
    listed = settings["vocabulary"]
    known = _vocabularies.get(id(listed))
    if known is None or known[0] is not listed:
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
    try:
        made = np.asarray(item)
    except ValueError:
        raise InputError("the rows of an array must be equally long") from None
    if made.dtype.kind not in "uifb":
        raise InputError(f"an array holds numbers, not {kind(item)}")
    shape = settings["shape"]
    if made.ndim != len(shape) or any(
        isinstance(n, int) and n != m for n, m in zip(shape, made.shape, strict=True)
    ):
        raise InputError(f"the array has shape {list(made.shape)}; the model takes {list(shape)}")
    if not np.isfinite(made).all():
        raise InputError("the array holds NaN or infinity; give finite numbers")
    whole = np.dtype(settings["dtype"]).kind in "ui"
    if whole and not np.equal(np.mod(made, 1), 0).all():
        raise InputError("the array holds fractions; the model takes whole numbers")
    low, high = settings.get("low"), settings.get("high")
    if made.size and ((low is not None and made.min() < low) or (high is not None and made.max() > high)):
        raise InputError(f"the array's values lie in [{made.min()}, {made.max()}]; allowed: [{low}, {high}]")
    return made.astype(settings["dtype"])


def number(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """One number between ``low`` and ``high``, of ``dtype``, as an array without axes."""
    whole = np.dtype(settings["dtype"]).kind in "ui"
    good = isinstance(item, int | float) and not isinstance(item, bool) and math.isfinite(item)
    if not good or (whole and item != int(item)) or not settings["low"] <= item <= settings["high"]:
        wanted = "a whole number" if whole else "a number"
        given = item if isinstance(item, int | float) else kind(item)
        name = settings.get("field") or settings["input"]
        raise InputError(f"{name} takes {wanted} from {settings['low']} to {settings['high']}, not {given}")
    return np.asarray(item, dtype=settings["dtype"])


def kind(item: Any) -> str:
    """What a JSON reader calls it."""
    names = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true/false",
        type(None): "null",
        bytes: "bytes",
    }
    return names.get(type(item), "a number" if isinstance(item, int | float) else type(item).__name__)


OPERATIONS: dict[str, Callable[[Any, Mapping[str, Any]], np.ndarray]] = {
    "image": image,
    "table": table,
    "tokens": tokens,
    "array": array,
    "number": number,
}
