"""One sheet out of files and folders: splits of the data's own, columns that disagree, rows left out."""

import json
from pathlib import Path

import pytest

from fathom.data.sheets import open_sheet, sample_sheet
from fathom.errors import InputError
from fathom.task import Options


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_folder_of_splits_is_one_sheet(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,b\n1,x\n2,y\n")
    write(tmp_path / "validation.csv", "b,a\nz,3\n")
    write(tmp_path / "test.jsonl", json.dumps({"a": 4, "b": "w"}))
    sheet = open_sheet(tmp_path, Options())
    rows = zip(sheet.cells["a"], sheet.cells["b"], sheet.splits or (), strict=True)
    assert sorted(rows) == [(1, "x", "train"), (2, "y", "train"), (3, "z", "valid"), (4, "w", "test")]
    assert sheet.kinds == {"a": "numeric", "b": "category"}
    assert sheet.place(sheet.cells["a"].index(2)) == f"{tmp_path / 'train.csv'}, line 3"


def test_a_column_of_splits_is_no_feature(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,split\n1,train\n2,val\n3,Test\n")
    sheet = open_sheet(path, Options())
    assert sheet.splits == ("train", "valid", "test") and list(sheet.cells) == ["a"]
    assert open_sheet(path, Options(target="split")).splits is None
    other = write(tmp_path / "b.csv", "a,split\n1,train\n2,left\n")
    assert open_sheet(other, Options()).splits is None


def test_rows_are_left_out_and_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "a,b\n1,x\n2\n3,y\n4,z\n")
    with pytest.raises(InputError, match="line 3"):
        open_sheet(path, Options())
    sheet = open_sheet(path, Options(skip_bad=True)).without([1], "why")
    assert sheet.cells == {"a": [1, 4], "b": ["x", "z"]} and sheet.count == 2
    assert len(sheet.facts["skipped"]) == 2 and sheet.facts["skipped"][1].endswith("line 4: why")


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,b\n1,x\n")
    write(tmp_path / "test.csv", "a,c\n1,x\n")
    with pytest.raises(InputError, match="differ in column 'b'"):
        open_sheet(tmp_path, Options())
    write(tmp_path / "val.csv", "a,b\n1,x\n")
    write(tmp_path / "dev.csv", "a,b\n1,x\n")
    with pytest.raises(InputError, match=r"two tables for the split 'valid': dev\.csv, val\.csv"):
        open_sheet(tmp_path, Options())


def test_what_is_no_table(tmp_path: Path) -> None:
    assert sample_sheet(tmp_path, Options()) is None
    assert sample_sheet(write(tmp_path / "a.txt", "hello"), Options()) is None
    assert sample_sheet(write(tmp_path / "empty.csv", ""), Options()) is None
    with pytest.raises(InputError, match=r"holds no table; looked for .csv"):
        open_sheet(tmp_path / "a.txt", Options())


def test_files_may_disagree_on_a_column(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "a,b\n1,\n2,\n")
    write(tmp_path / "test.csv", "a,b\nx,5\ny,6\n")
    assert open_sheet(tmp_path, Options()).kinds == {"a": "category", "b": "numeric"}
