"""Tables as people keep them: delimiters, encodings, quirks of spreadsheets, and rows that are damaged."""

import csv
import io
import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.data.formats import jsonl, table
from fathom.errors import InputError


def write(folder: Path, text: str, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


CELL = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"), include_characters=",;\t|\"'\n"),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=12),
    st.sampled_from(table.SIGNS),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_csv_writes_is_read_back(rows: list[list[str]], sign: str, encoding: str, end: str) -> None:
    """Any cells, also with other delimiters, quotes and line ends in them; headers are plain words."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=sign, lineterminator=end)
    writer.writerows([["alpha", "beta", "gamma"], *rows])
    with tempfile.TemporaryDirectory() as folder:
        found = table.read(write(Path(folder), stream.getvalue(), encoding=encoding))
    wanted = [[table.clean(cell) for cell in row] for row in rows]
    assert list(found.columns) == ["alpha", "beta", "gamma"] and len(found) == len(rows)
    for i, (name, cells) in enumerate(found.columns.items()):
        raw = [row[i] for row in wanted]
        assert [c is None for c in cells] == [c is None for c in raw]
        if found.kinds[name] != "numeric":
            assert cells == raw


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(-(10**15), 10**15), st.floats(-1e12, 1e12)), min_size=1, max_size=30))
def test_numbers_are_read_as_they_were_written(values: list[float]) -> None:
    cells = [str(v) for v in values]
    with tempfile.TemporaryDirectory() as folder:
        found = table.read(write(Path(folder), "x,w\n" + "".join(f"{c},a\n" for c in cells)))
    assert found.kinds["x"] == "numeric" and found.columns["x"] == values
    assert [str(v) for v in found.columns["x"]] == cells  # 20 stays "20", so it can be a name elsewhere


@pytest.mark.parametrize("sign", table.SIGNS)
def test_a_consistent_delimiter_wins(tmp_path: Path, sign: str) -> None:
    rows = [["name", "note", "size"], ["a, b", "x;y", "1"], ["c | d", "p\tq", "2"]]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=sign).writerows(rows)
    assert table.read(write(tmp_path, stream.getvalue())).columns["note"] == ["x;y", "p\tq"]


def test_a_long_table_is_sniffed_by_its_head(tmp_path: Path) -> None:
    text = "a;b\n" + "word, word, word;1\n" * 10_000
    assert len(table.read(write(tmp_path, text)).columns["b"]) == 10_000


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (["1", "2.5", "-3e2"], "numeric", [1, 2.5, -300.0]),
        (["1", "", "NA", "nan", "null", "NaN", "?"], "numeric", [1, *[None] * 6]),
        (["1,234", "2,000,000", "12"], "numeric", [1234, 2000000, 12]),
        (["1,234", "12,34"], "category", ["1,234", "12,34"]),  # not all read as thousands
        (["007", "123"], "category", ["007", "123"]),
        (["0", "0.5", "-0.25"], "numeric", [0, 0.5, -0.25]),
        (["1e999", "2"], "category", ["1e999", "2"]),
        (["inf", "2"], "category", ["inf", "2"]),
        (["1_000", "2"], "category", ["1_000", "2"]),
        (["\u00b2", "2"], "category", ["\u00b2", "2"]),  # a raised two is a digit to Python
        (["", "NA"], "empty", [None, None]),
        (["true", "false"], "category", ["true", "false"]),
        (["2024-01-31", "2023-12-01 10:30"], "date", ["2024-01-31", "2023-12-01 10:30"]),
        (["31.01.2024", "1/2/24"], "date", ["31.01.2024", "1/2/24"]),
        (["a b c d e", "some words are here"], "text", ["a b c d e", "some words are here"]),
    ],
)
def test_what_a_column_holds(tmp_path: Path, cells: list[str], kind: str, values: list[object]) -> None:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows([["x", "other"], *[[c, "w"] for c in cells]])
    found = table.read(write(tmp_path, stream.getvalue()))
    assert (found.kinds["x"], found.columns["x"]) == (kind, values)
    assert found.missing("x") == sum(v is None for v in values)


def test_decimal_commas_are_numbers_where_the_comma_is_no_delimiter(tmp_path: Path) -> None:
    found = table.read(write(tmp_path, "x;y\n1,5;a\n2,25;b\n3;c\n"))
    assert found.columns["x"] == [1.5, 2.25, 3] and found.kinds["x"] == "numeric"
    quoted = table.read(write(tmp_path, 'x,y\n"1,5",a\n"2,25",b\n'))
    assert quoted.kinds["x"] == "category"


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("user_id", [str(i * 7) for i in range(50)], "identifier"),
        ("Order", [str(i) for i in range(1, 51)], "identifier"),
        ("value", [str(i * 7) for i in range(50)], "numeric"),
        ("id", [f"{i}.5" for i in range(50)], "numeric"),
        ("code", [f"A-{i}" for i in range(50)], "identifier"),
        ("surname", [c * k for c in "abcdefghij" for k in range(1, 8)], "text"),
        ("town", ["Rome", "Oslo", "Bern"] * 20, "category"),
        ("size", [*[str(i * 7) for i in range(50)], "3O"], "category"),  # a slip makes no names of numbers
    ],
)
def test_identifiers_are_told_from_quantities_and_names(name: str, cells: list[str], kind: str) -> None:
    assert table.kind(name, cells) == kind


def test_windows_encoding_and_byte_order_mark(tmp_path: Path) -> None:
    assert table.read(write(tmp_path, "stra\u00dfe,n\n\u00e4,1\n", encoding="cp1252")).columns[
        "stra\u00dfe"
    ] == ["\u00e4"]
    assert list(table.read(write(tmp_path, "a,b\n1,2\n", encoding="utf-8-sig")).columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n3\n", r"line 3: 1 cell under 2 columns.*--skip-bad"),
        ("a,b\n1,2\n\n3,4,5\n", r"line 4: 3 cells under 2 columns"),
        ('a,b\n"x\ny",2\n3\n', r"line 4: 1 cell under 2"),
        ('a,b\n1,"x"y\n', r"line 2: .*expected after"),
        ('a,b\n1,2\n3,"x\n4,5\n', r"line 3: a quote is opened and never closed"),
        ("a,a\n1,2\n", r"line 1: .*two columns named 'a'"),
        ("a,,c\n1,2,3\n", r"line 1: .*column without a name"),
        ("1,2\n3,4\n", r"line 1: .*names of its columns, not with numbers \(1, 2\)"),
        ("a,b\n", r"holds no rows"),
        ("", r"holds no rows"),
        ("a,b\n\0,1\n", r"zero bytes"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        table.read(write(tmp_path, text))
    assert str(tmp_path / "t.csv") in str(error.value)


def test_bad_rows_are_left_out_on_request_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,2\n3\n4,"x"y\n5,6\n7,8,9\n')
    found = table.read(path, skip_bad=True)
    assert found.columns == {"a": [1, 5], "b": [2, 6]} and found.lines == (2, 5)
    assert [reason.split(":")[0][-6:] for reason in found.bad] == ["line 3", "line 4", "line 6"]
    with pytest.raises(InputError, match=r"2 were left out: .*line 2"):
        table.read(write(tmp_path, "a,b\n1\n2\n"), skip_bad=True)
    with pytest.raises(InputError, match="never closed"):  # would swallow the rest of the file
        table.read(write(tmp_path, 'a,b\n1,"2\n3,4\n'), skip_bad=True)


def test_the_index_that_pandas_writes_gets_a_name(tmp_path: Path) -> None:
    found = table.read(write(tmp_path, ",x\n" + "".join(f"{i},{i % 3}\n" for i in range(30))))
    assert list(found.columns) == ["unnamed", "x"] and found.kinds["unnamed"] == "identifier"


def test_no_text_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n\x81,1\n")
    with pytest.raises(InputError, match="UTF-8 or Windows-1252: see byte 4"):
        table.read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfea\x00,\x00b")
    with pytest.raises(InputError, match="UTF-16"):
        table.read(tmp_path / "t.csv")
    with pytest.raises(InputError, match="is no file"):
        table.read(tmp_path / "none.csv")


def test_the_first_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a,b\n" + 'x,"several\nlines"\n' * 500)
    assert len(table.read(path, limit=3)) == 3
    monkeypatch.setattr(table, "SAMPLE", 1000)  # the sample ends inside a quoted cell
    found = table.read(path, limit=400)
    assert 0 < len(found) < 100 and set(found.columns["b"]) == {"several\nlines"}


def test_rows_go_back_to_mappings(tmp_path: Path) -> None:
    found = table.read(write(tmp_path, "a,b\n1,x\n,y\n"))
    assert list(found.rows()) == [{"a": 1, "b": "x"}, {"a": None, "b": "y"}]


ODD = ["", "NA", "None", "null", "?", "007", "1,5", " a b "]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_column_that_is_known_to_hold_texts_stays_as_it_was_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd{suffix}"
    if suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"text": ODD, "other": ODD}), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": odd, "other": odd}) + "\n" for odd in ODD))
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="," if suffix == ".csv" else "\t")
            writer.writerows([("text", "other"), *((odd, odd) for odd in ODD)])
    read = jsonl.read if suffix == ".jsonl" else table.read
    plain, known = read(path), read(path, texts={"text", "absent"})
    assert known.columns["text"] == [*ODD[:-1], "a b"] and known.kinds["text"] == "text"
    assert known.columns["other"] == plain.columns["other"] == plain.columns["text"]
    assert plain.missing("text") == 5 and known.missing("text") == 0


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra tabular is not installed")
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    columns = {
        "x": [1, None, 3],
        "w": ["a", "b", "NA"],
        "t": [True, False, None],
        "f": [0.5, float("nan"), 2],
    }
    parquet.write_table(arrow.table(columns), path)
    found = table.read(path)
    assert found.columns["x"] == [1, None, 3] and found.columns["f"] == [0.5, None, 2.0]
    assert found.columns["w"] == ["a", "b", None]
    assert found.kinds == {"x": "numeric", "w": "category", "t": "category", "f": "numeric"}
    assert len(table.read(path, limit=2)) == 2
    parquet.write_table(arrow.table({"x": [[1, 2], [3]]}), path)
    with pytest.raises(InputError, match=r"column 'x' holds list"):
        table.read(path)
    path.write_bytes(b"PAR1 but no more")
    with pytest.raises(InputError, match="no readable Parquet"):
        table.read(path)


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"pip install 'fathom-dl\[tabular\]'"):
        table.read(tmp_path / "t.parquet")
