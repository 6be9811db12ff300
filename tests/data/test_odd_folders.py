"""Folders of pictures as they come: nested, wrapped, of every kind of file; and the whole way through fit."""

import io
import json
import re
import shutil
import signal
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.deployment.serve.test_server import Process

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
    """Refused with the file's name, then fitted without it, reported, asked, evaluated, exported, served."""
    command = ["fit", str(odd), "--set", "steps=120", "--out", str(tmp_path / "run"), "--json"]
    assert main(command) == 2
    said = capfd.readouterr().err
    assert "kaputt.jpg" in said and "--skip-bad" in said and not (tmp_path / "run").exists()
    assert main([*command, "--skip-bad"]) == 0
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["metrics"]["valid/accuracy"] > 0.9
    run = Run(tmp_path / "run")
    assert "kaputt.jpg" in run.record["data"]["skipped"][0]
    assert {"Confusion", "Classes", "Calibration", "Where it looked"} <= titles(run)
    ask_for_names(odd, run, capfd)
    command = ["evaluate", str(run.folder), str(odd), "--skip-bad", "--json"]
    assert main(command) == 0
    found: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["items"] == 82 and found["metrics"]["accuracy"] > 0.9
    assert json.loads((run.model / "equality.json").read_text())["equal"]
    served = open_artifact(run.folder, "onnx")  # what serve answers with, where torch is not wanted
    picture = next((odd / "data set" / "draußen" / STREETS).glob("*.tif"))
    assert served.predict([picture.read_bytes()])[0]["label"] == f"draußen/{STREETS}"
    post_odd_files(odd / "data set" / "Obst & Gemüse" / APPLES, run, capfd)


def titles(run: Run) -> set[str]:
    """The headings of the report."""
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    return set(re.findall(r"<h2[^>]*>([^<]+)", page))


def post_odd_files(folder: Path, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """A server answers 16 bits and a turned picture as ``predict`` does, and as it does their plain form."""
    deep = next(folder.glob("*.tif"))
    turned = next(folder.glob("Bild*.jpg"))
    with Image.open(deep) as opened, Image.open(turned) as other:
        eight = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
        lying = Image.fromarray(np.asarray(other))  # the pixels as they are stored, without the tag
    upright = lying.transpose(Image.Transpose.ROTATE_180)
    assert main(["predict", str(run.folder), str(deep), str(turned)]) == 0
    said = [json.loads(line)["probabilities"] for line in capfd.readouterr().out.splitlines()]
    server = Process(run.folder)
    try:
        answers = [
            server.ask("POST", "/predict", body, **{"Content-Type": kind})
            for body, kind in (
                (deep.read_bytes(), "image/tiff"), (turned.read_bytes(), "image/jpeg"),
                (png(eight), "image/png"), (png(upright), "image/png"), (png(lying), "image/png"),
            )
        ]  # fmt: skip
    finally:
        server.end(signal.SIGTERM)
    assert [status for status, _ in answers] == [200] * 5
    found = [json.loads(body)["probabilities"] for _, body in answers]
    for posted, plain, asked in zip(found[:2], found[2:4], said, strict=True):
        assert posted == pytest.approx(asked, abs=1e-6) and posted == pytest.approx(plain, abs=1e-6)
    assert found[4] != pytest.approx(found[1], abs=1e-3), "the tag changes nothing"


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.slow
def test_a_rare_class_is_weighed_and_its_run_calibrated(
    odd: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two pictures against forty. The run makes no mistake, so the temperature needs data where it does."""
    command = ["fit", str(odd), "--skip-bad", "--balance", "auto", "--set", "steps=120"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    said = re.search(r"balance: class '(.+)' has (\d+) training rows and '(.+)' has (\d+), (\d+) to 1: (.+)",
                     "".join(capfd.readouterr()))  # fmt: skip
    assert said is not None and said[3] == "draußen/leere Häuser"
    assert said[6] == "the loss weighs each class by its rarity"
    most, least = int(said[2]), int(said[4])
    assert most > 10 * least and int(said[5]) == round(most / least)
    run = Run(tmp_path / "run")
    assert ["learning.objective.balance", "weights"] in run.record["origin"]["settings"]
    assert main(["explain", "calibration", str(run.folder)]) == 2
    assert "the model makes no error on the rows that the temperature would be" in capfd.readouterr().err

    command = ["explain", "calibration", str(run.folder), "--data", str(mislabelled(odd, tmp_path)), "--json"]
    assert main(command) == 2
    assert "leave such out with --skip-bad" in capfd.readouterr().err
    assert main([*command, "--skip-bad"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["fitted_on"] + found["scored_on"] == 82
    assert found["after"]["accuracy"] == found["before"]["accuracy"] < 1
    assert (run.folder / "calibration.html").is_file()
    picture = next((odd / "data set" / "draußen" / STREETS).glob("*.tif"))
    assert main(["predict", str(run.folder), str(picture)]) == 0
    shown = capfd.readouterr()
    assert f"calibrated with temperature {found['temperature']:.3g}" in shown.err
    assert main(["predict", str(run.folder), str(picture), "--raw"]) == 0
    raw = np.array(list(json.loads(capfd.readouterr().out)["probabilities"].values()))
    warm = raw ** (1 / found["temperature"])
    assert list(json.loads(shown.out)["probabilities"].values()) == pytest.approx(warm / warm.sum(), abs=1e-6)


def mislabelled(odd: Path, place: Path) -> Path:
    """A copy, damaged file and all, in which eight streets are called apples."""
    copied = Path(shutil.copytree(odd, place / "copy"))
    apples = copied / "data set" / "Obst & Gemüse" / APPLES
    streets = sorted(f for f in (copied / "data set" / "draußen" / STREETS).iterdir() if f.suffix != ".txt")
    for file in streets[::5]:
        file.rename(apples / f"street {file.name}")
    return copied


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
