"""What a person is told of data that was left out: bad files, loose pictures, empty classes, other files."""

from pathlib import Path

import pytest
from PIL import Image

from fathom import catalog
from fathom.task import Options
from fathom.verbs.passed_over import said


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes, and beside them all that belongs to none."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(6):
            Image.effect_noise((30, 30), 30 + i).save(tmp_path / name / f"{i}.png")
    (tmp_path / "cat" / "broken.png").write_bytes(b"\x89PNG nonsense")
    (tmp_path / "bird").mkdir()
    (tmp_path / "dog" / "notes.txt").write_text("about dogs", encoding="utf-8")
    Image.new("L", (30, 30)).save(tmp_path / "loose.png")
    return tmp_path


def test_all_that_is_left_out_of_a_folder_is_told(pictures: Path) -> None:
    _, data = catalog.task("image_classification").read(pictures, Options(skip_bad=True))
    bad, *notes = said("image_classification", pictures, data.facts)
    assert bad.startswith(f"1 left out, since they could not be read: {pictures / 'cat' / 'broken.png'}: ")
    assert notes == [
        "folders without pictures are passed over: bird",
        "1 pictures stand outside of class folders and are passed over",
        "files that are no pictures are passed over: 1 .txt",
    ]


def test_rows_of_a_table_are_counted_too(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    rows = [f"{i},{'up' if i % 2 else 'down'}" for i in range(20)]
    table.write_text("\n".join(["x,label", *rows, "7", "8,up,9"]), encoding="utf-8")
    kind = catalog.task("tabular_classification")
    _, data = kind.read(table, Options(target="label", skip_bad=True))
    [told] = said("tabular_classification", table, data.facts)
    assert told == (
        f"2 left out, since they could not be read: {table}, line 22: 1 cell under 2 columns; {table}, line"
        " 23: 3 cells under 2 columns"
    )
    assert said("any", table, {"said": ["3 pairs are left out"]}) == ["3 pairs are left out"]
    assert said("any", table, {"skipped": 4}) == ["4 left out, since they could not be read"]
