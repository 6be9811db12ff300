"""Folders of pictures as they come: nested, wrapped, of every kind of file; and the whole way through fit."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fathom.cli.command import main
from fathom.data.formats import image_folder
from fathom.deployment.artifact import open_artifact
from fathom.training.run import Run

APPLES, STREETS = "Grüne Äpfel", "weiße Straßen"
UPSIDE = 3  # the EXIF orientation of a picture that stands on its head


def noise(dice: np.random.Generator, name: str, size: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3): apples are green above, dark below; streets are light below."""
    height, width = size
    pixels = dice.integers(0, 60, (height, width, 3), dtype=np.uint8)
    if name == APPLES:
        pixels[: height // 2, :, 1] += 150
    else:
        pixels[height // 2 :] += 150
    return pixels


def save(dice: np.random.Generator, name: str, file: Path, kind: str) -> Path:
    """A picture of the class in one of the forms that people have."""
    size = tuple(dice.integers(30, 70, 2).tolist())
    pixels = noise(dice, name, (size[0], size[1]))
    file.parent.mkdir(parents=True, exist_ok=True)
    if kind == "alpha":
        shown = np.concatenate([pixels, np.full((*size, 1), 255, np.uint8)], axis=2)
        Image.fromarray(shown).save(file.with_suffix(".png"))
    elif kind == "grey":
        Image.fromarray(pixels).convert("L").save(file.with_suffix(".png"))
    elif kind == "16 bit":
        grey = np.asarray(Image.fromarray(pixels).convert("L")).astype(np.uint16) << 8
        Image.fromarray(grey).save(file.with_suffix(".tif"))
    elif kind == "turned":
        tag = Image.Exif()
        tag[0x0112] = UPSIDE
        Image.fromarray(pixels[::-1, ::-1].copy()).save(file.with_suffix(".jpg"), exif=tag, quality=95)
    else:
        Image.fromarray(pixels).save(file.with_suffix(".JPG"), quality=90)
    return file


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two nested classes in a lone folder, forms mixed, two files that are no pictures."""
    root, dice = tmp_path_factory.mktemp("odd") / "download", np.random.default_rng(0)
    kinds = ("colour", "alpha", "grey", "16 bit", "turned")
    for outer, name in (("Obst & Gemüse", APPLES), ("draußen", STREETS)):
        for i in range(40):
            save(dice, name, root / "data set" / outer / name / f"Bild {i:02} ä", kinds[i % 5])
    save(dice, APPLES, root / "data set" / "draußen" / "leere Häuser" / "x", "colour")
    Image.new("RGB", (40, 40)).save(root / "data set" / "draußen" / "leere Häuser" / "y.png")
    (root / "data set" / "Obst & Gemüse" / APPLES / "kaputt.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    (root / "data set" / "draußen" / STREETS / "notes.txt").write_text("no picture")
    return root


def test_nested_classes_carry_their_whole_names(odd: Path) -> None:
    found = image_folder.scan(odd)
    assert found.classes == (f"Obst & Gemüse/{APPLES}", "draußen/leere Häuser", f"draußen/{STREETS}")
    assert found.counts()[f"draußen/{STREETS}"] == 40 and found.root == odd / "data set"
    told = image_folder.glance(odd)
    assert told is not None and "3 classes" in told[0] and "inner folders" in told[1]


def put(root: Path, *places: str) -> Path:
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(root / place)
    return root


@pytest.mark.parametrize(
    ("places", "classes"),
    [
        (("cat/a/1.png", "cat/b/1.png", "dog/a/1.png"), ("cat", "dog")),  # the same days of both
        (("cat/a/1.png", "cat/b/1.png", "dog/1.png"), ("cat", "dog")),
        (("cat/a/1.png", "dog/b/1.png"), ("cat", "dog")),
        (("cat/a/1.png", "cat/b/1.png", "dog/c/1.png"), ("cat/a", "cat/b", "dog/c")),
        (("x/cat/1.png", "x/dog/1.png"), ("cat", "dog")),
        (("x/y/cat/1.png", "x/y/dog/1.png"), ("cat", "dog")),
        (("x/train/cat/1.png", "x/train/dog/1.png", "x/val/dog/1.png"), ("cat", "dog")),
        (("train/p/a/1.png", "train/p/b/1.png", "train/q/c/1.png", "test/q/c/1.png"), ("p/a", "p/b", "q/c")),
    ],
)
def test_which_folders_are_classes(places: tuple[str, ...], classes: tuple[str, ...], tmp_path: Path) -> None:
    found = image_folder.scan(put(tmp_path, *places))
    assert found.classes == classes and len(found.paths) == len(places)
    for path, label in zip(found.paths, found.labels, strict=True):
        assert classes[label] in path.as_posix()


def test_umlauts_in_two_spellings_are_one_class(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "Äpfel")
    put(tmp_path, "train/Äpfel/1.png", "train/Birnen/1.png", f"test/{apart}/1.png")
    found = image_folder.scan(tmp_path)
    assert found.classes == ("Birnen", "Äpfel") and found.splits.count("test") == 1


@pytest.mark.slow
def test_an_odd_folder_goes_the_whole_way(
    odd: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Refused with the file's name, then fitted without it, asked, evaluated, exported."""
    command = ["fit", str(odd), "--set", "steps=120", "--out", str(tmp_path / "run"), "--json"]
    assert main(command) == 2
    said = capfd.readouterr().err
    assert "kaputt.jpg" in said and "--skip-bad" in said and not (tmp_path / "run").exists()
    assert main([*command, "--skip-bad"]) == 0
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["metrics"]["valid/accuracy"] > 0.9
    run = Run(tmp_path / "run")
    assert "kaputt.jpg" in run.record["data"]["skipped"][0]
    ask_for_names(odd, run, capfd)
    command = ["evaluate", str(run.folder), str(odd), "--skip-bad", "--json"]
    assert main(command) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["items"] == 82 and found["metrics"]["accuracy"] > 0.9
    assert json.loads((run.model / "equality.json").read_text())["equal"]
    served = open_artifact(run.folder, "onnx")  # what serve answers with, where torch is not wanted
    picture = next((odd / "data set" / "draußen" / STREETS).glob("*.tif"))
    assert served.predict([picture.read_bytes()])[0]["label"] == f"draußen/{STREETS}"


def ask_for_names(odd: Path, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Every form of file is answered with the name of its class, umlauts and all."""
    folder = odd / "data set" / "Obst & Gemüse" / APPLES
    assert main(["predict", str(run.folder), str(folder), "--skip-bad"]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(rows) == 41 and sum("error" in row for row in rows) == 1
    answered = [row for row in rows if "error" not in row]
    assert {Path(row["input"]).suffix for row in answered} == {".JPG", ".png", ".tif", ".jpg"}
    right = [row["label"] == f"Obst & Gemüse/{APPLES}" for row in answered]
    assert np.mean(right) > 0.9
