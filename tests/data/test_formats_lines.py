"""JSON lines, plain texts and idx files."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from fathom.data.formats import idx, jsonl, text
from fathom.errors import InputError


def write(folder: Path, content: str | bytes, name: str = "t.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_objects_become_rows_and_keys_columns(tmp_path: Path) -> None:
    lines = '{"a": 1, "b": "x"}\n\n{"b": null, "c": [1, 2]}\n{"a": NaN, "b": "y", "c": {"d": 1}}\n'
    found = jsonl.read(write(tmp_path, lines))
    assert found.columns == {"a": [1, None, None], "b": ["x", None, "y"], "c": [None, "[1, 2]", '{"d": 1}']}
    assert found.lines == (1, 3, 4)


def test_signs_that_end_lines_for_python_but_not_for_json(tmp_path: Path) -> None:
    found = jsonl.read(write(tmp_path, '{"a": "one\u2028two\u0085three"}\n{"a": "four"}\r\n'))
    assert found.columns["a"] == ["one\u2028two\u0085three", "four"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken", "line 2: "),
        ("[1, 2]", "line 2: not a JSON object"),
        ('"text"', "line 2: not a JSON object"),
        ("[" * 100_000, "line 2: nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "line 2: "),
    ],
)
def test_a_bad_line_is_named_and_left_out_on_request(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path, f'{{"a": 1}}\n{line}\n{{"a": 3}}\n')
    with pytest.raises(InputError, match=said):
        jsonl.read(path)
    found = jsonl.read(path, skip_bad=True)
    assert found.columns["a"] == [1, 3] and found.lines == (1, 3) and len(found.bad) == 1


def test_numbers_beyond_floats_make_no_numeric_column(tmp_path: Path) -> None:
    found = jsonl.read(write(tmp_path, '{"a": 1' + "0" * 400 + '}\n{"a": Infinity}\n{"a": true}\n'))
    assert found.kinds["a"] == "category"


def test_an_empty_or_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no rows"):
        jsonl.read(write(tmp_path, "\n\n"))
    with pytest.raises(InputError, match="is no file"):
        jsonl.read(tmp_path / "none.jsonl")
    assert len(jsonl.read(write(tmp_path, '{"a": 1}\n' * 9), limit=4)) == 4


def test_texts_of_a_folder_are_joined_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path, "second\r\nline", "b.txt")
    write(tmp_path, b"\xef\xbb\xbffirst", "a.md")
    write(tmp_path, "third", "sub/c.TXT")
    write(tmp_path, "hidden", ".d.txt")
    write(tmp_path, "other", "e.log")
    assert text.read(tmp_path) == "first\n\nsecond\nline\n\nthird"
    assert text.read(tmp_path / "b.txt") == "second\nline"


def test_what_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        text.read(tmp_path / "none.txt")
    with pytest.raises(InputError, match=r"looked for files ending in \.txt"):
        text.read(tmp_path)
    with pytest.raises(InputError, match="is empty"):
        text.read(write(tmp_path, " \n ", "a.txt"))
    with pytest.raises(InputError, match="zero bytes"):
        text.read(write(tmp_path, b"a\0b", "b.txt"))


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def test_idx_files_are_read_plain_and_compressed(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert (idx.read(write(tmp_path, idx_bytes(array), "x.idx")) == array).all()
    found = idx.read(write(tmp_path, gzip.compress(idx_bytes(array)), "x.gz"))
    found[0, 0, 0] = 7  # a copy that may be changed
    assert found.shape == (2, 3, 4)


@pytest.mark.parametrize("change", ["cut", "longer", "kind", "head", "empty", "gzip"])
def test_damaged_idx_files_are_named(tmp_path: Path, change: str) -> None:
    good = idx_bytes(np.arange(24, dtype=np.uint8).reshape(4, 6))
    bad = {
        "cut": good[:-1], "longer": good + b"x", "kind": good[:2] + b"\x0d" + good[3:], "head": good[:7],
        "empty": b"", "gzip": gzip.compress(good)[:-9],
    }[change]  # fmt: skip
    path = write(tmp_path, bad, "x.gz" if change == "gzip" else "x.idx")
    with pytest.raises(InputError, match=r"x\.(idx|gz)"):
        idx.read(path)
