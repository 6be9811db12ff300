"""Items to arrays: what is read, what is refused, and that nothing a stranger sends can break it."""

import base64
import io
import json
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fathom.deployment.json_values import brief, numbers
from fathom.deployment.pictures import KEPT, image, open_image
from fathom.deployment.preprocessing import apply, bounds, encode, words
from fathom.errors import InputError

GREY = {"channels": 1, "height": 8, "width": 8}
COLOUR = {"channels": 3, "height": None, "width": None}
RAMP = np.linspace(0, 255, 48 * 3).reshape(8, 6, 3).astype(np.uint8)


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that claims a size, whatever its data hold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body


# -- pictures ------------------------------------------------------------------------------------
def test_a_picture_is_the_same_in_every_form(tmp_path: Path) -> None:
    data = saved(Image.fromarray(RAMP))
    (tmp_path / "ramp.png").write_bytes(data)
    text = base64.b64encode(data).decode()
    forms = (data, tmp_path / "ramp.png", text, f"data:image/png;base64,{text}", RAMP, RAMP.tolist())
    for form in forms:
        assert np.array_equal(image(form, COLOUR), RAMP.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    grey = Image.fromarray(RAMP[:, :, 0])
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(image(saved(grey, kind, **options), {**COLOUR, "channels": 1})[0], RAMP[:, :, 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.fromarray(RAMP)
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {2: (0,), 3: (3,), 4: (1,), 5: (5,), 6: (2,), 7: (6,), 8: (4,)}.get(orientation, ())
    turned = upright
    for method in undo:  # stored turned the other way round
        turned = turned.transpose(Image.Transpose(method))
    data = saved(turned, "PNG", exif=exif)
    assert np.array_equal(image(data, COLOUR), RAMP.transpose(2, 0, 1))


def test_sixteen_bits_keep_the_high_ones() -> None:
    high = (RAMP[:, :, 0].astype(np.uint16) << 8) + 17
    assert np.array_equal(image(saved(Image.fromarray(high)), {**COLOUR, "channels": 1})[0], RAMP[:, :, 0])


def test_what_shows_through_is_white() -> None:
    clear = np.dstack([RAMP, np.zeros((8, 6), np.uint8)])
    half = Image.fromarray(np.array([[[0, 0, 0, 128]]], np.uint8))
    assert (image(saved(Image.fromarray(clear)), COLOUR) == 255).all()
    assert image(saved(half), COLOUR).ravel().tolist() == [127] * 3
    palette = Image.fromarray(RAMP).quantize(4)
    palette.info["transparency"] = 0
    ground = np.asarray(palette) == 0
    assert (image(saved(palette), COLOUR)[:, ground] == 255).all()


def test_palette_cmyk_and_bilevel_become_colours() -> None:
    palette = Image.fromarray(RAMP).quantize(48)
    near = image(saved(palette), COLOUR).astype(int) - RAMP.transpose(2, 0, 1)
    assert abs(near).max() < 24
    red = image(saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), COLOUR)
    assert red[0].min() > 240 and red[1:].max() < 16
    assert image(saved(Image.new("1", (3, 3), 1)), COLOUR).min() == 255


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("L", (5, 5), shade) for shade in (200, 10, 90)]
    for kind in ("GIF", "PNG", "TIFF"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert image(data, {**COLOUR, "channels": 1}).tolist() == [[[200] * 5] * 5]


def test_sizes() -> None:
    assert image(RAMP, GREY).shape == (1, 8, 8)
    padded = image(RAMP, {**COLOUR, "multiple": 5})
    assert padded.shape == (3, 10, 10)
    assert padded[:, 8:].max() == padded[:, :, 6:].max() == 0
    wide = np.zeros((1000, KEPT // 1000 + 1), np.uint8)
    with pytest.raises(InputError, match="at their own size"):
        image(wide, COLOUR)
    assert image(wide, GREY).shape == (1, 8, 8)


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(61, 40), (40, 61), (97, 97), (32, 40), (400, 33), (24, 25), (33, 32)])
def test_the_middle_is_cut_out_as_torchvision_does(size: tuple[int, int], method: str) -> None:
    """Bit for bit, larger and smaller than the model's, fractions of pixels on the way."""
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    theirs = Compose([Resize(32, InterpolationMode(method)), CenterCrop((24, 27))])
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    how = {"channels": 3, "height": 24, "width": 27, "resize": 32, "interpolation": method}
    found = image(saved(picture), how)
    assert np.array_equal(found, np.asarray(theirs(picture)).transpose(2, 0, 1))


def test_what_cannot_be_resized_is_refused() -> None:
    how = {"channels": 1, "height": 8, "width": 8, "resize": 256, "interpolation": "bicubic"}
    with pytest.raises(InputError, match="1 x 9000 pixels: too long for its other side"):
        image(saved(Image.new("L", (1, 9000))), {**how, "resize": 5000})
    with pytest.raises(InputError, match="no interpolation 'nearest'; known: bilinear, bicubic"):
        image(saved(Image.new("L", (9, 9))), {**how, "interpolation": "nearest"})
    squeezed = image(saved(Image.fromarray(RAMP[:, :, 0])), {**GREY, "interpolation": "bicubic"})
    theirs = Image.fromarray(RAMP[:, :, 0]).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(squeezed[0], np.asarray(theirs))


def test_a_drawing_is_laid_out_as_the_model_knows_them() -> None:
    ink = {"channels": 1, "height": 28, "width": 28, "ink": "light"}
    for ground, pen in ((0, 255), (255, 0)):
        drawn = np.full((280, 200), ground, np.uint8)
        drawn[30:230, 20:40] = pen  # a bar, far from the middle
        (made,) = image(drawn, ink)
        rows, columns = np.nonzero(made > 100)
        assert rows.max() - rows.min() + 1 == 20
        assert abs(rows.mean() - 13.5) <= 0.5 and abs(columns.mean() - 13.5) <= 0.5
    assert image(np.zeros((50, 50), np.uint8), ink).max() == 0
    assert image(np.zeros((50, 50, 3), np.uint8), {**ink, "channels": 3}).shape == (3, 28, 28)
    exact = np.zeros((28, 28), np.uint8)
    exact[0, 0] = 99
    assert np.array_equal(image(exact, ink)[0], exact)


BAD_PICTURES = {
    "empty": (b"", "no picture"),
    "noise": (b"abc" * 50, "no picture"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "no picture"),
    "truncated": (saved(Image.fromarray(RAMP), "JPEG")[:-60], "damaged"),
    "truncated PNG": (saved(Image.fromarray(RAMP))[:-30], "damaged"),
    "claims gigapixels": (png(50_000, 50_000), "too large"),
    "claims 50 megapixels": (png(10_000, 5_000), "10000 x 5000"),
    "checksum": (png(4, 4, bytes(20)).replace(zlib.compress(bytes(20)), zlib.compress(b"1" * 20)), "damaged"),
    "base64": ("no base64!", "base64"),
    "other letters": ("\u00e9" * 8, "base64"),
    "null": (None, "null"),
    "object": ({"a": 1}, "an object"),
    "number": (7, "a number"),
    "flat": ([1, 2, 3], "rows of pixels"),
    "ragged": ([[1], [1, 2]], "equally long"),
    "no pixels": ([[], []], "rows of pixels"),
    "texts": ([["a"]], "not text"),
    "two channels": ([[[1, 2]]], "height x width"),
    "too bright": ([[256]], "between 0 and 255"),
    "negative": ([[-1]], "between 0 and 255"),
    "infinite": ([[float("inf")]], "finite"),
    "deep": ([[[[1]]]], "rows of pixels"),
    "huge": ([[10**400]], "too large"),
    "missing file": (Path("no/such/file.png"), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_bad_pictures_are_refused_with_the_reason(name: str) -> None:
    item, reason = BAD_PICTURES[name]
    with pytest.raises(InputError, match=reason) as caught:
        open_image(item)
    assert " object at " not in str(caught.value) and len(str(caught.value)) < 300


def test_fractions_have_no_white() -> None:
    with pytest.raises(InputError, match="no fixed white"):
        open_image(saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_damaged_files_of_every_format_never_break_the_reader() -> None:
    """2,000 files with bytes changed, cut and doubled: a picture or an ``InputError``, nothing else."""
    dice = random.Random(0)
    whole = [saved(Image.fromarray(RAMP), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")]
    frames = [Image.new("P", (6, 6), shade) for shade in (1, 2)]
    whole += [saved(frames[0], kind, save_all=True, append_images=frames[1:]) for kind in ("GIF", "WEBP")]
    whole.append(saved(Image.fromarray(RAMP), "TIFF", compression="tiff_lzw"))
    read = 0
    for _ in range(2000):
        data = bytearray(dice.choice(whole))
        for _ in range(dice.randint(1, 6)):
            place = dice.randrange(len(data))
            turn = dice.random()
            if turn < 0.7:
                data[place] = dice.choice((0, 1, 255, dice.randrange(256)))
            elif turn < 0.85:
                del data[place : place + dice.randint(1, 9)]
            else:
                data[place:place] = data[place : place + dice.randint(1, 9)]
            data = data or bytearray(b"x")
        try:
            assert image(bytes(data), GREY).shape == (1, 8, 8)
            read += 1
        except InputError as error:
            assert " object at " not in str(error)
    assert 200 < read < 1900  # the damage is neither harmless nor always fatal


BOMBS = """
import io, resource, struct, sys
from PIL import Image
from test_bombs import png
from fathom.deployment.pictures import open_image
from fathom.errors import InputError

def saved(frames, kind):
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:])
    return file.getvalue()

open_image(png(8, 8, bytes(72)))
frames = [Image.new("L", (200, 200), i % 251) for i in range(1000)]
webp = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\\xfe\\x3f\\x00" * 2
bombs = [
    png(50_000, 50_000), png(40_000, 1001, bytes(10**6)), saved(frames, "GIF"), saved(frames[:100], "PNG"),
    b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp,
    b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
refused = 0
for bomb in bombs:
    try:
        open_image(bomb)
    except InputError:
        refused += 1
print(refused, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_take_no_memory(tmp_path: Path) -> None:
    """Pictures that claim gigabytes, and a thousand frames: growth is measured in a process of its own."""
    own = Path(__file__).read_text(encoding="utf-8")
    start, end = own.index("def chunk"), own.index("# -- pictures")
    (tmp_path / "test_bombs.py").write_text(f"import struct, zlib\n{own[start:end]}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BOMBS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    refused, growth = map(int, done.stdout.split())
    assert refused == 4  # the two animations are read: their first frame is small
    assert growth < 64


# -- rows ----------------------------------------------------------------------------------------
AGE = {"name": "age", "kind": "numeric", "mean": 40.0, "scale": 10.0, "fill": 30.0, "flag": True}
INCOME = {"name": "income", "kind": "numeric", "mean": 0.0, "scale": 1.0, "fill": 0.0, "log": True}
TOWN = {"name": "town", "kind": "category", "values": ["Bonn", "Ulm"]}
ROW = {"operation": "table", "input": "row", "columns": [AGE, INCOME, TOWN]}


def row(**cells: Any) -> list[float]:
    return apply([ROW], {"age": 40, "income": 0, "town": "Ulm", **cells})["row"].round(4).tolist()


def test_a_row_becomes_features() -> None:
    assert row() == [0, 0, 0, 0, 1, 0]
    assert row(age=" 50 ", income=1 - np.e, town="Rome") == [1, 0, -1, 0, 0, 1]
    for gone in (None, "", "NA", "nan", float("nan")):
        assert row(age=gone)[:2] == [-1, 1]
    assert row(town=None)[3:] == [0, 0, 1]


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"age": "old"}, "'age' takes a number, not 'old'"),
        ({"age": [1]}, "one value, not a list"),
        ({"town": {}}, "one value, not an object"),
        ({"income": float("inf")}, "infinite"),
        ({"age": "1e400"}, "infinite"),
        ({"age": 10**400}, "infinite"),
        ({"age": 1e300}, "too large"),
        ({"age": "x" * 10_000}, r"xxx\.\.\."),
    ],
)
def test_bad_cells_are_named(cells: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        row(**cells)


def test_missing_columns_and_other_items() -> None:
    with pytest.raises(InputError, match="income, town"):
        apply([ROW], {"age": 1})
    with pytest.raises(InputError, match="not a list"):
        apply([ROW], [1, 2])
    lenient = {**ROW, "strict": False}
    assert apply([lenient], {})["row"].tolist() == [-1, 1, 0, 0, 0, 1]
    assert encode(TOWN, " Bonn ") == [1, 0, 0]


# -- text ----------------------------------------------------------------------------------------
TEXT = {"operation": "tokens", "input": "tokens", "unit": "word", "vocabulary": ["-", "?", "a", "b", "."],
        "unknown": 1, "padding": 0, "length": 4}  # fmt: skip
LETTERS = {
    "operation": "tokens",
    "input": "tokens",
    "unit": "character",
    "vocabulary": list("abc"),
    "before": [2],
}


def test_text_becomes_numbers() -> None:
    assert apply([TEXT], "A b, c.")["tokens"].tolist() == [2, 3, 1, 1]
    assert apply([TEXT], "")["tokens"].tolist() == [0] * 4
    assert apply([LETTERS], "cab")["tokens"].tolist() == [2, 2, 0, 1]
    assert words("Don't STOP!") == ["don", "'", "t", "stop", "!"]


@pytest.mark.parametrize(
    ("settings", "item", "reason"),
    [
        (LETTERS, "abd", "does not know 'd'; it knows: 'a' 'b' 'c'"),
        ({**LETTERS, "before": []}, "", "empty"),
        (LETTERS, 5, "a number"),
        (TEXT, ["a"], "a list"),
        ({**TEXT, "longest": 3}, "aaaa", "at most 3"),
    ],
)
def test_bad_texts(settings: dict[str, Any], item: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        apply([settings], item)


def test_a_long_vocabulary_is_not_recited() -> None:
    long = {**LETTERS, "vocabulary": [f"w{i}" for i in range(10_000)], "unit": "word"}
    with pytest.raises(InputError, match=r"w99' \.\.\.") as caught:
        apply([long], "never")
    assert len(str(caught.value)) < 1000


# -- arrays and numbers ------------------------------------------------------------------------------
VECTOR = {"operation": "array", "input": "x", "dtype": "float32", "shape": [3]}
BYTES = {"operation": "array", "input": "x", "dtype": "uint8", "shape": ["n", 2]}


def test_arrays() -> None:
    assert apply([VECTOR], [1, 2.5, True - 1])["x"].dtype == np.float32
    assert apply([BYTES], [[1, 255], [0, 3]])["x"].tolist() == [[1, 255], [0, 3]]
    assert apply([{**VECTOR, "shape": [2]}], (1, 2))["x"].tolist() == [1, 2]
    assert apply([{**BYTES, "shape": [2, "n"]}], [[], []])["x"].shape == (2, 0)
    assert apply([VECTOR], [True, False, True])["x"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("settings", "item", "reason"),
    [
        (VECTOR, [1, 2], "shape"),
        (VECTOR, [[1, 2, 3]], "shape"),
        (VECTOR, "123", "not text"),
        (VECTOR, [1, 2, "3"], "numbers and text"),
        (VECTOR, [1, 2, None], "null"),
        (VECTOR, [1, True, 2], "true/false"),
        (VECTOR, [1, 2, float("nan")], "NaN"),
        (VECTOR, [1, 2, 1e300], "too large"),
        (VECTOR, [1, 2, 10**40], "too large"),
        (VECTOR, [[1], [2, 3], 4], "equally long"),
        (VECTOR, [1, [2], 3], "a list and numbers"),
        (BYTES, [[1, 256]], "from 0 to 255"),
        (BYTES, [[1, -1]], "from 0 to 255"),
        (BYTES, [[1, 0.5]], "fractions"),
        ({**BYTES, "dtype": "int64"}, [[1, 2.0**63]], "whole numbers"),
        ({**VECTOR, "low": 0}, [1, 2, -3], "allowed"),
        (VECTOR, np.array(["a", "b", "c"]), "not <U1"),
    ],
)
def test_bad_arrays(settings: dict[str, Any], item: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        apply([settings], item)


def test_one_long_and_many_short_texts_take_no_room() -> None:
    """NumPy would give each of the short ones the room of the long one: 400 GB here."""
    with pytest.raises(InputError, match="text"):
        numbers(["x" * 10**6] + ["y"] * 10**5)


COUNT = {
    "operation": "number",
    "input": "n",
    "field": "count",
    "default": 3,
    "dtype": "int64",
    "low": 1,
    "high": 9,
}


def test_numbers() -> None:
    assert apply([COUNT], {})["n"] == 3
    assert apply([COUNT], {"count": 9.0})["n"] == 9
    for bad in (0, 10, 1.5, True, "3", None, [1], float("nan"), 10**400, float("inf")):
        with pytest.raises(InputError, match="count takes a whole number from 1 to 9"):
            apply([COUNT], {"count": bad})


def test_fields_and_operations() -> None:
    with pytest.raises(InputError, match="field 'text' is missing; the item has: 'txt'"):
        apply([{**TEXT, "field": "text"}], {"txt": "a"})
    bare, named = apply([{**TEXT, "field": "text"}], "a"), apply([{**TEXT, "field": "text"}], {"text": "a"})
    assert {n: v.tolist() for n, v in bare.items()} == {n: v.tolist() for n, v in named.items()}
    with pytest.raises(InputError, match="a JSON object with a field 'text', not a list"):
        apply([{**TEXT, "field": "text"}], ["a"])
    with pytest.raises(InputError, match="no operation 'exec'"):
        apply([{"operation": "exec", "input": "x"}], "a")
    many = {f"key {i}" * 20: 1 for i in range(1000)}
    with pytest.raises(InputError) as caught:
        apply([{**TEXT, "field": "text"}], many)
    assert len(str(caught.value)) < 1000


def test_bounds_of_bare_tensors() -> None:
    picture = {**GREY, "operation": "image", "input": "i"}
    operations = [{**TEXT, "input": "t", "after": [7]}, {**VECTOR, "low": -1, "high": 2}, picture]
    assert bounds(operations, "t") == (0, 7)
    assert bounds(operations, "x") == (-1, 2)
    assert bounds(operations, "i") == bounds(operations, "other") == (None, None)


def test_quotes_are_brief() -> None:
    for item in ("a" * 10**6, ["a"] * 10**6, {"a": "b" * 10**6}, b"x" * 10**6, 10**5000, -(10**5000)):
        assert len(brief(item)) < 100
    assert brief(json.loads('{"a": [1, null]}')) == "{'a': [1, None]}"
