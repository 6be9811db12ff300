"""Pictures with boxes: padding, cutting, mirroring, VOC folders."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fathom.data import voc
from fathom.data.boxes import BloodCells, Boxed, Mirror, crop, drawn_shapes
from fathom.errors import InputError


def marked(height: int, width: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    """A dark picture whose box is bright."""
    image = torch.full((3, height, width), 10, dtype=torch.uint8)
    image[:, box[1] : box[3], box[0] : box[2]] = 200
    return image


def bounds(image: torch.Tensor) -> list[int]:
    """Where the bright pixels are."""
    rows, columns = (image[0] > 100).nonzero().unbind(dim=1)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


def test_rows_are_padded_to_the_largest_of_their_batch() -> None:
    split = Boxed(
        (marked(10, 30, (1, 2, 5, 6)), marked(20, 9, (2, 3, 4, 8))),
        (torch.tensor([[0.0, 1, 2, 5, 6]]), torch.zeros(0, 5)),
    )
    images, boxes = split.rows(torch.tensor([1, 0]))
    assert images.shape == (2, 3, 24, 32)
    assert torch.equal(images[1, :, :10, :30], split.images[0])
    assert images[1, :, 10:].sum() == 0
    assert images[0, :, :, 9:].sum() == 0
    assert boxes[:, :, 0].tolist() == [[-1], [0]]
    alone, boxes = split.rows(torch.tensor([1]))
    assert alone.shape == (1, 3, 24, 16)
    assert boxes.shape == (1, 1, 5)
    with pytest.raises(InputError, match="2 pictures but boxes of 1"):
        Boxed(split.images, split.boxes[:1])


def test_mirrored_boxes_follow_their_pixels() -> None:
    box = (3, 2, 9, 7)
    images = marked(16, 24, box)[None].repeat(4, 1, 1, 1)
    boxes = torch.tensor([[[1.0, *box], [-1, 0, 0, 0, 0]]]).repeat(4, 1, 1)
    numbers = torch.tensor([[0.9, 0.9], [0.1, 0.9], [0.9, 0.1], [0.1, 0.1]])
    mirrored, moved = Mirror()((images, boxes), numbers)
    for i in range(4):
        assert moved[i, 0, 1:].tolist() == bounds(mirrored[i])
    assert torch.equal(mirrored[0], images[0])
    assert bounds(mirrored[3]) == [15, 9, 21, 14]
    assert (moved[:, 1, 0] == -1).all()


def test_cutting_moves_boxes_and_leaves_out_what_is_mostly_gone() -> None:
    box = (3, 2, 9, 7)
    boxes = torch.tensor([[1.0, *box], [0.0, 0, 0, 5, 4]])
    image, kept = crop(marked(16, 24, box), boxes, (4, 0, 20, 16))
    assert image.shape == (3, 16, 16)
    assert kept.tolist() == [[1.0, 0, 2, 5, 7]]  # of the second only a fifth is left
    assert bounds(image) == [0, 2, 5, 7]


def test_blood_cells_are_cut_to_sizes_of_their_own() -> None:
    buffer = io.BytesIO()
    Image.fromarray(marked(60, 80, (30, 20, 50, 40)).permute(1, 2, 0).numpy()).save(buffer, "PNG")
    part = [(buffer.getvalue(), np.array([[30, 20, 50, 40]], np.float32), np.array([2]))] * 12
    config = BloodCells(smallest=0.7)
    split, again = config.cut(part, 0), config.cut(part, 0)
    assert all(torch.equal(a, b) for a, b in zip(split.images, again.images, strict=True))
    sizes = {tuple(image.shape[1:]) for image in split.images}
    assert len(sizes) > 8
    assert all(42 <= h <= 60 and 56 <= w <= 80 for h, w in sizes)
    for image, boxes in zip(split.images, split.boxes, strict=True):
        assert boxes[0].tolist() == [2, *bounds(image)]
    other = config.cut(part, 1)
    assert [i.shape for i in other.images] != [i.shape for i in split.images]
    with pytest.raises(ValueError, match="smallest is 0"):
        BloodCells(smallest=0.0)


def test_drawn_shapes_differ_in_size_and_lie_in_their_boxes() -> None:
    data = drawn_shapes(train=8, valid=4).load()
    assert len({i.shape for i in data.train.images}) > 4
    for image, boxes in zip(data.train.images, data.train.boxes, strict=True):
        union = [*boxes[:, 1:3].amin(dim=0).tolist(), *boxes[:, 3:].amax(dim=0).tolist()]
        assert bounds(image) == union
    assert torch.equal(drawn_shapes(train=8, valid=4).load().train.images[3], data.train.images[3])


EDGES = "<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax>"
BOX = f"<object><name>{{}}</name><bndbox>{EDGES}</bndbox></object>"


def folder(place: Path, **annotations: str) -> Path:
    for name in ("Annotations", "JPEGImages"):
        (place / name).mkdir(exist_ok=True)
    for stem, objects in annotations.items():
        Image.new("RGB", (40, 30), (90, 0, 0)).save(place / "JPEGImages" / f"{stem}.jpg")
        text = f"<annotation><filename>{stem}.jpg</filename>{objects}</annotation>"
        (place / "Annotations" / f"{stem}.xml").write_text(text)
    return place


def test_voc_folders_are_read_cut_and_cleaned(tmp_path: Path) -> None:
    place = folder(
        tmp_path,
        a=BOX.format("dog", 1, 2, 20, 12) + BOX.format("cat", 30, 20, 90, 90),
        b=BOX.format("cat", 5, 5, 5, 9),
    )
    assert voc.looks_like(place) == 2
    found = voc.read(place, longest=100)
    assert found.names == ("cat", "dog")
    split = found.split(found.names)
    assert split.boxes[0].tolist() == [[1, 1, 2, 20, 12], [0, 30, 20, 40, 30]]
    assert split.boxes[1].shape == (0, 5)  # its only box has no area
    assert split.images[0].shape == (3, 30, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "no readable XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "declares entities"),
        ("<annotation><filename>../../gone.jpg</filename></annotation>", "speaks of gone.jpg"),
        ("<annotation>" + BOX.format("dog", "one", 2, 3, 4) + "</annotation>", "lacks one of xmin"),
        ("<annotation>" + BOX.format("", 1, 2, 3, 4) + "</annotation>", "needs a name"),
        ("<annotation>" + BOX.format("dog", 1, 2, "nan", 4) + "</annotation>", "finite edges"),
    ],
)
def test_bad_annotations_are_named_or_skipped(tmp_path: Path, text: str, message: str) -> None:
    place = folder(tmp_path, good=BOX.format("dog", 1, 2, 20, 12), bad="")
    (place / "Annotations" / "bad.xml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        voc.read(place, longest=100)
    assert "bad.xml" in str(caught.value)
    assert voc.read(place, longest=100, skip_bad=True).skipped == 1


def test_folders_that_hold_nothing_are_refused(tmp_path: Path) -> None:
    assert voc.looks_like(tmp_path) == 0
    with pytest.raises(InputError, match="Annotations"):
        voc.read(tmp_path, longest=100)
    with pytest.raises(InputError, match="none of the 1 pictures has a box"):
        voc.read(folder(tmp_path, a=""), longest=100)
    with pytest.raises(InputError, match="40 x 30 pixels"):
        voc.read(folder(tmp_path, a=BOX.format("dog", 1, 2, 20, 12)), longest=32)
