"""One picture, in whatever form it comes, as the array of pixels that a network takes.

Everything here reads bytes that a stranger may have made, so the size is looked at before the pixels
are unpacked, and whatever a decoder trips over is the file's fault and is told in a sentence.
"""

import base64
import binascii
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fathom.deployment.json_values import kind, numbers
from fathom.errors import InputError

PIXELS = 40_000_000  # the largest picture that is decoded: width * height
KEPT = 16_000_000  # the largest that goes into a network at its own size
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MODES = {1: "L", 3: "RGB"}  # by number of channels
METHODS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def image(item: Any, settings: Mapping[str, Any]) -> np.ndarray:
    """Encoded picture -> uint8 (channels, height, width); settings: channels, height, width, resize, ink ...

    A picture of another size is squeezed to height and width, by ``interpolation`` ("bilinear" or "bicubic").
    With ``resize`` it keeps its shape: its shorter side is brought to that many pixels, and the middle is cut
    out. Height and width may be null: the picture keeps its size, padded at the right and bottom to a
    multiple of ``multiple``. With ``ink: "light"`` the model knows drawings, light on dark: a picture
    that is dark on light is inverted, and one of another size is laid out as MNIST's are.
    """
    picture = open_image(item)
    channels = settings["channels"]
    picture = picture.convert(MODES[channels])
    height, width = settings.get("height") or 0, settings.get("width") or 0
    if not (height and width) and picture.width * picture.height > KEPT:
        raise InputError(
            f"the picture has {picture.width} x {picture.height} pixels; this model takes pictures at "
            f"their own size, up to {KEPT:,} pixels: make it smaller"
        )
    resized = height and width and picture.size != (width, height)
    method = settings.get("interpolation", "bilinear")
    if method not in METHODS:
        raise InputError(f"there is no interpolation {method!r}; known: {', '.join(METHODS)}")
    if settings.get("resize"):
        picture = middle(picture, settings["resize"], width, height, METHODS[method])
    elif resized and settings.get("ink") == "light":
        picture = centre(picture.convert("L"), width, height).convert(MODES[channels])
    elif resized:
        picture = picture.resize((width, height), METHODS[method], reducing_gap=None)
    pixels = np.asarray(picture, dtype=np.uint8)
    pixels = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    if settings.get("ink") == "light" and border(pixels) > 127:
        pixels = 255 - pixels
    multiple = settings.get("multiple", 1)
    if multiple > 1:
        rows, columns = (-pixels.shape[1]) % multiple, (-pixels.shape[2]) % multiple
        pixels = np.pad(pixels, ((0, 0), (0, rows), (0, columns)))
    return np.ascontiguousarray(pixels)


def middle(
    picture: Image.Image, shorter: int, width: int, height: int, method: Image.Resampling
) -> Image.Image:
    """``width`` x ``height`` pixels from the middle, once the shorter side has ``shorter`` of them.

    So are photographs prepared for published weights. To the last bit as torchvision does it: of the longer
    side what is less than a pixel falls away, and a corner between two pixels goes to the even one.
    """
    least = min(picture.size)
    size = tuple(shorter if side == least else int(shorter * side / least) for side in picture.size)
    if size[0] * size[1] > PIXELS:
        raise InputError(
            f"the picture has {picture.width} x {picture.height} pixels: too long for its other side, which"
            f" is brought to {shorter}; cut it to what is to be seen"
        )
    if size != picture.size:
        picture = picture.resize((size[0], size[1]), method, reducing_gap=None)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def centre(picture: Image.Image, width: int, height: int) -> Image.Image:
    """A grey drawing of any size, laid out as MNIST's are: ink fills 20 of 28 pixels, its mass in the middle.

    LeCun et al. (1998), section III.A. A picture that has the model's size already is left as it is.
    """
    pixels = np.asarray(picture, dtype=np.uint8)
    if border(pixels[None]) > 127:
        pixels = 255 - pixels
    rows, columns = (np.flatnonzero(pixels.max(axis=axis) > 64) for axis in (1, 0))
    if not len(rows):
        return Image.new("L", (width, height))
    ink = Image.fromarray(pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
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
    """Mean value along the edge of (channels, height, width): what the ground of a drawing looks like."""
    edges = pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]
    return float(np.mean([edge.mean() for edge in edges]))


def open_image(item: Any) -> Image.Image:
    """Bytes, a path, base64 text or nested number lists as an upright picture, in mode L or RGB.

    Raises ``InputError`` for what is no picture, damaged, or larger than ``PIXELS``. Of an animation,
    the first frame counts. What shows through is white.
    """
    if isinstance(item, np.ndarray | list):
        return from_numbers(item)
    data = item if isinstance(item, bytes) else read_bytes(item)
    try:
        return opaque(upright(data))
    except InputError:
        raise
    except UnidentifiedImageError:  # its own words name an object in memory
        raise InputError(f"this is no picture of a known kind ({', '.join(FORMATS)})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"the picture is too large; at most {PIXELS:,} pixels are read") from None
    except Exception as error:  # decoders fail on damaged files in every way there is
        told = isinstance(error, OSError | SyntaxError | EOFError) and " object at " not in str(error)
        why = str(error) if told else "its parts contradict each other"
        raise InputError(f"the picture is damaged: {why}") from error


def upright(data: bytes) -> Image.Image:
    """The decoded first frame, turned as its EXIF data say."""
    picture = Image.open(io.BytesIO(data), formats=FORMATS)
    if picture.width * picture.height > PIXELS:
        raise InputError(
            f"the picture has {picture.width} x {picture.height} pixels; at most {PIXELS:,} are read"
        )
    picture.load()
    return ImageOps.exif_transpose(picture)


def opaque(picture: Image.Image) -> Image.Image:
    """``picture`` in mode L or RGB, with 8 bits a channel, over white where it is transparent."""
    if picture.mode == "F":
        raise InputError("a picture of fractions has no fixed white; save it with 8 or 16 bits a channel")
    if picture.mode.startswith("I"):  # 16 bits: keep the high ones
        pixels = np.asarray(picture).astype(np.int64) >> 8
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def from_numbers(item: Any) -> Image.Image:
    """Rows of pixels, each a number or a list of one or three, from 0 to 255."""
    pixels = numbers(item)
    if pixels.dtype.kind not in "uif" or pixels.ndim not in (2, 3) or not pixels.size:
        raise InputError("a picture as numbers has rows of pixels, each a number or three, from 0 to 255")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim == 3 and pixels.shape[2] != 3:
        raise InputError(f"a picture as numbers is height x width (x 3), not {list(pixels.shape)}")
    if pixels.shape[0] * pixels.shape[1] > PIXELS:
        raise InputError(f"the picture is too large; at most {PIXELS:,} pixels are read")
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
        raise InputError("pixels as numbers are finite and lie between 0 and 255")
    return Image.fromarray(pixels.astype(np.uint8))


def read_bytes(item: Any) -> bytes:
    """The bytes of a file given as a path, or of base64 text (with or without ``data:...;base64,``)."""
    if isinstance(item, Path):
        try:
            return item.read_bytes()
        except OSError as error:
            raise InputError(f"{item} cannot be read: {error.strerror}") from error
    if isinstance(item, str):
        text = item.partition(",")[2] if item.startswith("data:") else item
        try:
            return base64.b64decode(text.encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise InputError("a picture as text is base64; this text is not") from None
    raise InputError(f"a picture is bytes, a file, base64 text or rows of numbers, not {kind(item)}")
