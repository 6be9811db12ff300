"""Folders of pictures as people keep them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fathom.data.formats import image_folder
from fathom.errors import InputError


def picture(path: Path, value: int = 0, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)
    return path


def classes(root: Path, *names: str, count: int = 2) -> Path:
    for name in names:
        for i in range(count):
            picture(root / name / f"{i}.png", i)
    return root


def test_classes_are_the_names_of_folders(tmp_path: Path) -> None:
    classes(tmp_path, "dog", "cat")
    picture(tmp_path / "cat" / "deeper" / "x.JPG")
    found = image_folder.scan(tmp_path)
    assert found.classes == ("cat", "dog") and found.counts() == {"cat": 3, "dog": 2}
    assert set(found.splits) == {"all"} and found.bad == () and found.notes == ()
    assert [found.classes[i] for i in found.labels] == [p.relative_to(tmp_path).parts[0] for p in found.paths]


def test_whole_numbers_are_ordered_by_value(tmp_path: Path) -> None:
    assert image_folder.scan(classes(tmp_path, "10", "9", "2")).classes == ("2", "9", "10")


def test_classes_are_matched_by_name_in_every_split(tmp_path: Path) -> None:
    """A test folder that lacks the first class must not shift the numbers of the others."""
    classes(tmp_path / "train", "ant", "bee", "cow")
    classes(tmp_path / "test", "bee", "cow")
    found = image_folder.scan(tmp_path)
    tested = [(p.parent.name, found.classes[i]) for p, i, s in zip(found.paths, found.labels, found.splits, strict=True) if s == "test"]  # fmt: skip  # noqa: E501
    assert tested and all(folder == name for folder, name in tested)
    assert any("no picture of: ant" in note for note in found.notes)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Valid"])
def test_usual_names_of_splits(tmp_path: Path, name: str) -> None:
    classes(tmp_path / "train", "a", "b")
    classes(tmp_path / name, "a", "b")
    assert set(image_folder.scan(tmp_path).splits) == {"train", "valid"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert image_folder.scan(classes(tmp_path, "train", "car", "bus")).classes == ("bus", "car", "train")
    assert image_folder.scan(classes(tmp_path / "x", "train", "test")).classes == ("test", "train")


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    classes(tmp_path / "extra" / "train", "cat", "dog")
    classes(tmp_path / "extra" / "test", "cat", "dogs")
    with pytest.raises(
        InputError, match=r"test has the class 'dogs', which .*train does not have; is it 'dog'\?"
    ):
        image_folder.scan(tmp_path / "extra")
    classes(tmp_path / "twice" / "train", "a", "b")
    classes(tmp_path / "twice" / "val", "a", "b")
    classes(tmp_path / "twice" / "valid", "a", "b")
    with pytest.raises(InputError, match=r"two folders for the split 'valid': val and valid"):
        image_folder.scan(tmp_path / "twice")
    classes(tmp_path / "no_train" / "valid", "a", "b")
    with pytest.raises(InputError, match="no folder train"):
        image_folder.scan(tmp_path / "no_train")
    classes(tmp_path / "case", "Cat", "cat", "dog")
    with pytest.raises(InputError, match="alike but for case"):
        image_folder.scan(tmp_path / "case")
    classes(tmp_path / "one", "cat")
    with pytest.raises(InputError, match=r"one class, 'cat'"):
        image_folder.scan(tmp_path / "one")
    picture(tmp_path / "flat" / "a.png")
    with pytest.raises(InputError, match="found 1 pictures outside of such folders"):
        image_folder.scan(tmp_path / "flat")
    with pytest.raises(InputError, match="is no folder"):
        image_folder.scan(tmp_path / "nowhere")


def test_what_is_left_aside_is_told(tmp_path: Path) -> None:
    classes(tmp_path, "a", "b")
    (tmp_path / "c").mkdir()
    picture(tmp_path / "loose.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "photo.heic").write_text("x")
    (tmp_path / "a" / ".DS_Store").write_text("x")
    picture(tmp_path / "__MACOSX" / "a" / "._0.png")
    found = image_folder.scan(tmp_path)
    assert len(found.paths) == 4
    told = "\n".join(found.notes)
    assert (
        "without pictures are passed over: c" in told and "1 .heic, 1 .txt" in told and "DS_Store" not in told
    )


def test_bad_pictures_are_named_or_left_out_and_counted(tmp_path: Path) -> None:
    classes(tmp_path, "a", "b")
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "text.jpg").write_text("no picture")
    assert len(image_folder.scan(tmp_path).paths) == 6  # without a check nothing is decoded
    with pytest.raises(InputError, match=r"cut\.png: .*2 of 6 in all.*--skip-bad"):
        image_folder.scan(tmp_path, check=True)
    found = image_folder.scan(tmp_path, check=True, skip_bad=True)
    assert len(found.paths) == len(found.labels) == len(found.splits) == 4
    assert len(found.bad) == 2 and "text.jpg" in found.bad[1]


def test_a_class_of_bad_pictures_only_is_refused(tmp_path: Path) -> None:
    classes(tmp_path, "a", "b")
    for file in (tmp_path / "b").iterdir():
        file.write_text("no picture")
    with pytest.raises(InputError, match="no picture of 'b' can be read"):
        image_folder.scan(tmp_path, check=True, skip_bad=True)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "gif", "tiff"])
def test_known_formats_are_decoded(tmp_path: Path, ending: str) -> None:
    found = image_folder.decode(picture(tmp_path / f"x.{ending}", 200, (12, 10)), 3)
    assert found.shape == (3, 10, 12) and found.dtype == np.uint8 and abs(int(found[0].mean()) - 200) < 8
    assert image_folder.decode(tmp_path / f"x.{ending}", 1, (4, 5)).shape == (1, 4, 5)


def test_other_formats_are_refused_though_pillow_knows_them(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "x.ppm")
    (tmp_path / "x.ppm").rename(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"x\.png: "):
        image_folder.decode(tmp_path / "x.png", 3)


def test_pictures_stand_upright_and_animations_give_their_first_frame(tmp_path: Path) -> None:
    wide = Image.new("L", (20, 10))
    tag = Image.Exif()
    tag[0x0112] = 6  # turn right by a quarter
    wide.save(tmp_path / "x.jpg", exif=tag)
    assert image_folder.decode(tmp_path / "x.jpg", 1).shape == (1, 20, 10)
    frames = [Image.new("L", (4, 4), v) for v in (10, 250)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert image_folder.decode(tmp_path / "x.gif", 1).max() < 30


def test_huge_pictures_are_refused_before_they_are_decoded() -> None:
    stream = io.BytesIO()
    Image.new("1", (8000, 6000)).save(stream, "PNG")
    with pytest.raises(InputError, match="40,000,000"):
        image_folder.decode(stream.getvalue(), 1)
    with pytest.raises(InputError, match="channels is 2"):
        image_folder.decode(stream.getvalue(), 2)


def test_a_glance_decodes_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_text("no picture")
    said = image_folder.glance(tmp_path)
    assert said is not None and "2 classes (a, b)" in said[0]
    assert image_folder.glance(tmp_path / "a") is None and image_folder.glance(tmp_path / "none") is None
