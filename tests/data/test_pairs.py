"""Pairs of texts from tables: which columns, which rows, what is held out, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fathom.data import pairs
from fathom.data.pairs import Pairs, columns, lengths, read, read_like, references, sight, unit_of
from fathom.data.sheets import open_sheet
from fathom.data.split import Part
from fathom.errors import InputError
from fathom.task import Options

BOTH = Options(text="en", target="de")


def rows(count: int = 40) -> list[tuple[str, str]]:
    return [(f"the house number {n}", f"das Haus Nummer {n}") for n in range(count)]


def table(folder: Path, given: Any = None, name: str = "pairs.csv", header: str = "en,de") -> Path:
    sign = "\t" if name.endswith(".tsv") else ","
    lines = [header.replace(",", sign), *(sign.join(row) for row in (rows() if given is None else given))]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.jsonl"])
def test_tables_of_each_kind_are_read(tmp_path: Path, name: str) -> None:
    if name.endswith("jsonl"):
        place = tmp_path / name
        place.write_text("\n".join(json.dumps({"en": a, "de": b}) for a, b in rows()), encoding="utf-8")
    else:
        place = table(tmp_path, name=name)
    found = read(place, BOTH)
    assert found.texts == rows() and found.names == {"source": "en", "target": "de"}
    assert {name: len(found.part(name)) for name in found.split} == {"train": 32, "valid": 8}
    assert sorted(found.part("train") + found.part("valid")) == sorted(rows()) and not found.part("test")


def test_all_pairs_of_a_source_are_on_one_side(tmp_path: Path) -> None:
    given = [(f"house {n % 12}", f"Haus {n}") for n in range(60)]
    found = read(table(tmp_path, given), BOTH)
    sides = [{a for a, _ in found.part(name)} for name in ("train", "valid")]
    assert not sides[0] & sides[1] and len(sides[0] | sides[1]) == 12 and sides[1]
    assert [i.tolist() for i in found.split.values()] == [
        i.tolist() for i in read(table(tmp_path, given), BOTH).split.values()
    ]


def test_not_more_pairs_are_held_out_than_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "MOST", 3)
    assert len(read(table(tmp_path), BOTH).part("valid")) == 3


def test_own_splits_are_kept(tmp_path: Path) -> None:
    given = [(a, b, "test" if n > 30 else "train") for n, (a, b) in enumerate(rows())]
    found = read(table(tmp_path, given, header="en,de,split"), BOTH)
    assert found.part("test") == rows()[31:] and not set(found.part("valid")) & set(rows()[31:])
    folder = tmp_path / "parts"
    folder.mkdir()
    table(folder, name="train.csv")
    table(folder, [("a b", "c d")], name="valid.csv")
    found = read(folder, BOTH)
    assert found.part("valid") == [("a b", "c d")] and found.part("train") == rows()


def test_columns_are_the_named_ones_or_the_only_ones(tmp_path: Path) -> None:
    two = open_sheet(table(tmp_path), Options())
    assert columns(two, Options()) == ("en", "de")
    assert columns(two, Options(text="de")) == ("de", "en")
    assert columns(two, Options(target="en")) == ("de", "en")
    three = open_sheet(table(tmp_path, [(*row, "x") for row in rows()], header="en,de,fr"), Options())
    assert columns(three, Options(text="fr", target="en")) == ("fr", "en")
    for options in (Options(), Options(text="en"), Options(target="de")):
        with pytest.raises(InputError, match="name the one that is read with --text"):
            columns(three, options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(text="eng", target="de"), "no column 'eng'"),
        (Options(text="en", target="german"), "no column 'german'"),
        (Options(text="en", target="en"), "cannot be read and written"),
    ],
)
def test_columns_that_are_not_there_are_named(tmp_path: Path, options: Options, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(table(tmp_path), options)


@pytest.mark.parametrize("side", [0, 1])
def test_missing_texts_are_refused_or_left_out(tmp_path: Path, side: int) -> None:
    given = rows()
    given[4] = ("", given[4][1]) if side == 0 else (given[4][0], "  ")
    place = table(tmp_path, given)
    with pytest.raises(InputError, match=r"empty in 1 of 40 rows \(first: .*line 6\).*--skip-bad"):
        read(place, BOTH)
    found = read(place, Options(text="en", target="de", skip_bad=True))
    assert len(found.texts) == 39 and "line 6" in found.sheet.facts["skipped"][0]


def test_too_few_pairs_one_source_and_what_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 pairs of texts; give at least 10"):
        read(table(tmp_path, rows(3)), BOTH)
    with pytest.raises(InputError, match="'the house' in every row"):
        read(table(tmp_path, [("the house", f"Haus {n}") for n in range(20)]), BOTH)
    broken = table(tmp_path, name="broken.csv")
    broken.write_bytes(broken.read_bytes() + b"a\x00,b\n")
    with pytest.raises(InputError, match="zero bytes"):
        read(broken, BOTH)
    broken.write_bytes(b"en,de\n" + b"caf\x81,x\n" * 20)  # neither UTF-8 nor Windows-1252
    with pytest.raises(InputError, match="no text in UTF-8 or Windows-1252"):
        read(broken, BOTH)
    with pytest.raises(InputError, match="holds no table"):
        read(tmp_path / "nothing.txt", BOTH)


def test_old_files_of_windows_are_read(tmp_path: Path) -> None:
    place = tmp_path / "old.csv"
    place.write_bytes("\n".join(["en,de", *(f"green {n},grün {n}" for n in range(12))]).encode("cp1252"))
    assert read(place, BOTH).texts[3] == ("green 3", "grün 3")


def test_a_table_is_pairs_only_where_the_target_can_be_no_label(tmp_path: Path) -> None:
    place = table(tmp_path)
    seen = sight(place, BOTH)
    assert seen is not None and "pairs of texts" in seen.saw[-1]
    for options in (Options(), Options(text="en"), Options(target="de"), Options(text="en", target="x")):
        assert sight(place, options) is None
    labelled = table(tmp_path, [(a, "good" if n % 2 else "bad") for n, (a, _) in enumerate(rows())])
    assert sight(labelled, BOTH) is None
    scored = table(tmp_path, [(a, f"{n}.5") for n, (a, _) in enumerate(rows())])
    assert sight(scored, BOTH) is None
    (tmp_path / "plain.txt").write_text("no table", encoding="utf-8")
    assert sight(tmp_path / "plain.txt", BOTH) is None


def test_new_pairs_may_have_columns_of_other_names(tmp_path: Path) -> None:
    place = table(tmp_path, rows(2), header="en,de")
    assert read_like(place, Options(), "en", "de").texts == rows(2)
    found = read_like(place, Options(text="en", target="de"), "source", "target")
    assert found.part("test") == rows(2) and not found.part("train")
    with pytest.raises(InputError, match=r"no column 'source'.*--text.*--target"):
        read_like(place, Options(), "source", "target")


def test_the_unit_is_that_of_the_targets() -> None:
    assert unit_of([("3 march 1998", "1998-03-03")] * 3) == "character"
    assert unit_of([("hello there", "你好世界")] * 3) == "character"
    assert unit_of([("ja", "well yes")] * 3) == "word"


def test_lengths_cover_nearly_all_and_have_a_limit() -> None:
    texts = [("a b c", "d")] * 999 + [("a " * 40, "d e f")]
    assert lengths(texts, str.split, "word") == (4, 2)
    assert lengths(texts[-100:], str.split, "word") == (41, 4)  # of few pairs all
    assert lengths([("a " * 500, "b " * 70)], str.split, "word") == (51, 51)
    assert lengths([("", "")], str.split, "word") == (2, 2)


def test_parts_of_a_split_keep_their_texts() -> None:
    split = Pairs((torch.arange(3), torch.arange(3)), (("a", "x"), ("b", "y"), ("c", "z")))
    assert references(split) == ["x", "y", "z"]
    assert references(Part(Part(split, torch.tensor([2, 0])), torch.tensor([1]))) == ["x"]
    with pytest.raises(InputError, match="3 rows and 1 pairs"):
        Pairs((torch.arange(3),), (("a", "x"),))
