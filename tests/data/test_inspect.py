"""A look at data before training: what is refused, which planted faults are found, and no false alarm."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fathom.cli.command import main
from fathom.data.inspect import Findings, inspect
from fathom.errors import InputError


def picture(path: Path, number: int) -> None:
    """A picture like no other: its number in its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((6, 8, 3), 100, np.uint8)
    pixels[0, :, 0] = [number >> k & 1 for k in range(8)]
    pixels[1, :, 0] = [number >> (k + 8) & 1 for k in range(8)]
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two splits of two classes, twelve pictures each, nothing wrong."""
    number = 0
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(12):
                picture(tmp_path / "photos" / split / name / f"{i}.png", number)
                number += 1
    return tmp_path / "photos"


def rows(count: int = 60) -> list[str]:
    return [f"{i * 37 % 101},{'red' if i % 2 else 'blue'},{'yes' if i % 3 else 'no'}" for i in range(count)]


def table(folder: Path, lines: list[str], name: str = "t.csv", header: str = "size,colour,label") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def said(found: Findings) -> str:
    return "\n".join(found.problems)


def test_letters_of_older_files_are_said_to_be_read_as_such(tmp_path: Path) -> None:
    lines = [*rows(), "7,café,no"]
    new = table(tmp_path, lines, "new.csv")
    assert not any("Windows-1252" in line for line in inspect(new).saw)
    old = tmp_path / "old.csv"
    old.write_bytes(new.read_text(encoding="utf-8").encode("cp1252"))
    place = old.read_bytes().index(b"\xe9")
    assert f"{old}: read as Windows-1252, since byte {place} is no UTF-8" in inspect(old).saw
    text = tmp_path / "old.txt"
    text.write_bytes("café au lait".encode("cp1252"))
    assert f"{text}: read as Windows-1252, since byte 3 is no UTF-8" in inspect(text).saw
    text.write_text("café", encoding="utf-16")
    assert not any("Windows-1252" in line for line in inspect(text).saw)


# -- what is refused -----------------------------------------------------------------------------------


def test_a_missing_path_comes_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=rf"does not exist \(looked in {tmp_path}\); there is photos"):
        inspect(tmp_path / "fotos")
    with pytest.raises(InputError, match="there is photos"):
        inspect(tmp_path / "photo" / "train" / "cat")
    with pytest.raises(InputError, match="fathom data show mnist"):
        inspect(Path("mnist"))
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"link to .*gone, which is not there"):
        inspect(tmp_path / "link")


@pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.ckpt", "m.pkl", "m.pickle", "m.bin", "m.joblib"])
def test_files_that_can_run_code_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(InputError, match=rf"refused: model/pickle file; use `fathom import .*{name}`"):
        inspect(tmp_path / name)


@pytest.mark.parametrize("name", ["harmless.csv", "harmless.txt", "harmless"])
def test_a_pickle_is_known_by_its_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(InputError, match="fathom import"):
        inspect(tmp_path / name)
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(InputError, match="fathom import"):
        inspect(tmp_path / name)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    np.save(tmp_path / "o.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "o.npz", good=np.zeros(3), bad=objects)
    for name in ("o.npy", "o.npz"):
        with pytest.raises(InputError, match="fathom import"):
            inspect(tmp_path / name)
    np.save(tmp_path / "plain.npy", np.zeros(3))
    with pytest.raises(InputError, match="no data that is known here"):
        inspect(tmp_path / "plain.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "plain.npy").read_bytes()[:20])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "o.npz").read_bytes()[:200])
    for name in ("cut.npy", "cut.npz"):
        with pytest.raises(InputError, match="is damaged"):
            inspect(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("x.zip", "unpack it first"),
        ("x.xlsx", "save it as CSV"),
        ("x.json", "JSON lines"),
        ("x.onnx", "a model"),
        ("x.png", "a folder for each class"),
        ("x.odd", "known are tables"),
    ],
)
def test_other_files_come_with_advice(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(InputError, match=advice):
        inspect(tmp_path / name)


def test_empty_and_strange_folders(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty; looked for class folders"):
        inspect(tmp_path / "empty")
    picture(tmp_path / "flat" / "a.png", 1)
    with pytest.raises(InputError, match="found: 1 pictures without class folders"):
        inspect(tmp_path / "flat")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "m.pt").write_bytes(b"x")
    with pytest.raises(InputError, match="fathom import"):
        inspect(tmp_path / "weights")
    picture(tmp_path / "one" / "cat" / "a.png", 1)
    with pytest.raises(InputError, match="one class, 'cat'"):
        inspect(tmp_path / "one")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        inspect(tmp_path / "pipe.csv")


def test_what_may_not_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path, rows())

    def locked(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(InputError, match=r"t\.csv may not be read by this user"):
        inspect(path)


# -- planted faults ------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_good_data(photos: Path, tmp_path: Path) -> None:
    found = inspect(photos)
    assert found.kind == "image folder" and found.problems == []
    assert found.facts["classes"] == {"cat": 24, "dog": 24} and found.facts["sizes"] == [[8, 6, 48]]
    assert found.facts["channels"] == {"colour": 48} and found.facts["splits"] == {"train": 24, "test": 24}
    assert inspect(table(tmp_path, rows())).problems == []


def test_leakage_doubles_and_contradictions_of_pictures(photos: Path) -> None:
    (photos / "test" / "cat" / "leak.png").write_bytes((photos / "train" / "cat" / "0.png").read_bytes())
    (photos / "train" / "dog" / "wrong.png").write_bytes((photos / "train" / "cat" / "1.png").read_bytes())
    Image.open(photos / "train" / "dog" / "2.png").save(photos / "train" / "dog" / "twin.bmp")  # same pixels
    found = said(inspect(photos))
    assert "several splits (leakage): train/cat/0.png, test/cat/leak.png" in found
    assert "several classes: train/cat/1.png, train/dog/wrong.png" in found
    assert "more than once: train/dog/2.png, train/dog/twin.bmp" in found


def test_bad_pictures_and_rare_classes(photos: Path) -> None:
    (photos / "train" / "cat" / "bad.jpg").write_text("no picture")
    for i in range(3):
        picture(photos / "train" / "eel" / f"{i}.png", 1000 + i)
    for i in range(30):
        picture(photos / "train" / "dog" / f"more{i}.png", 2000 + i)
    found = inspect(photos)
    assert "cannot be read" in said(found) and "bad.jpg" in said(found) and found.facts["bad"] == 1
    assert "class eel has 3 items and dog has 54" in said(found)
    assert "fewer than 10 items: eel" in said(found)
    assert any("no picture of: eel" in line for line in found.saw)


def test_columns_that_teach_nothing(tmp_path: Path) -> None:
    lines = [f"{i},same,{line},{'' if i % 4 else 'x'}" for i, line in enumerate(rows())]
    found = inspect(table(tmp_path, lines, header="id,city,size,colour,label,note"))
    assert "column id looks like an identifier" in said(found)
    assert "column city is constant ('same')" in said(found)
    assert "column note is missing in 45 of 60 rows" in said(found)
    assert found.facts["could be predicted"][0] == "label" and found.facts["missing"] == {"note": 45}


def test_a_number_column_with_a_slip_is_named_with_its_line(tmp_path: Path) -> None:
    lines = rows()
    lines[7] = "3O,red,yes"
    assert "column size holds numbers, but for 1 cells" in said(inspect(table(tmp_path, lines)))
    assert "t.csv, line 9: '3O'" in said(inspect(table(tmp_path, lines)))


def test_bad_and_repeated_rows(tmp_path: Path) -> None:
    found = inspect(table(tmp_path, [*rows(), "1,2", rows()[0]]))
    assert "line 62: 2 cells under 3 columns" in said(found)
    assert "the same row stands there more than once: t.csv line 2, t.csv line 63" in said(found)


def test_rows_that_leak_between_files(tmp_path: Path) -> None:
    table(tmp_path / "split", rows()[:50], "train.csv")
    table(tmp_path / "split", rows()[49:], "test.csv")
    assert "several splits (leakage): train.csv line 51, test.csv line 2" in said(inspect(tmp_path / "split"))
    table(tmp_path / "split", rows()[50:], "test.csv", header="size,color,label")
    assert "differ in column 'color'" in said(inspect(tmp_path / "split"))


def test_rows_that_leak_between_values_of_the_column_split(tmp_path: Path) -> None:
    lines = [f"{line},{'test' if i > 49 else 'train'}" for i, line in enumerate([*rows(), rows()[3]])]
    found = said(inspect(table(tmp_path, lines, header="size,colour,label,split")))
    assert "several splits (leakage): t.csv line 5, t.csv line 62" in found


def test_json_lines_and_uneven_labels(tmp_path: Path) -> None:
    lines = [json.dumps({"n": i * 7, "label": "rare" if i == 5 else "usual"}) for i in range(40)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert "class rare has 1 items and usual has 39" in said(inspect(tmp_path / "t.jsonl"))


def test_texts(tmp_path: Path) -> None:
    for name, content in (("a.txt", "some words"), ("b.txt", "other words \ufffd"), ("c.txt", "some words")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    found = inspect(tmp_path)
    assert found.kind == "text" and found.facts["words"] == 7
    assert "more than once: a.txt, c.txt" in said(found) and "replacement characters" in said(found)


def test_pictures_with_boxes(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    picture(tmp_path / "JPEGImages" / "a.jpg", 1)
    with pytest.raises(InputError, match=r"holds no \.xml"):
        inspect(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "Annotations" / f"{name}.xml").write_text("<annotation/>")
    found = inspect(tmp_path)
    assert found.kind == "pictures with boxes"
    assert said(found) == "1 annotations have no picture: b.xml"


# -- the command ---------------------------------------------------------------------------------------


def test_the_command_explains_and_answers_in_json(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(photos)]) == 0
    shown = capsys.readouterr().out
    assert "2 classes (cat, dog)" in shown and "nothing wrong was found" in shown
    (photos / "test" / "cat" / "leak.png").write_bytes((photos / "train" / "cat" / "0.png").read_bytes())
    assert main(["data", "inspect", str(photos)]) == 0
    assert "look at   the same picture stands in several splits" in capsys.readouterr().out
    assert main(["data", "inspect", str(photos), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "image folder" and len(found["problems"]) == 1


def test_the_command_refuses_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(tmp_path / "none")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main(["data", "show", "cifar"]) == 2
    assert "'cifar10'" in capsys.readouterr().err
    assert main(["data"]) == 2


def test_known_sets_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("mnist")).split()[1] == "here"
    assert main(["data", "list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"mnist", "bccd", "cora"} <= {row["name"] for row in listed}
    for name in (row["name"] for row in listed):
        assert main(["data", "show", name]) == 0
        assert "licence" in capsys.readouterr().out
        assert main(["data", "show", name, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == name
    assert main(["data", "show", "mnist", "--verify"]) == 0
    assert "has its SHA-256" in capsys.readouterr().out
