"""BCCD: blood cell count and detection."""

import io
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fathom.data import places
from fathom.data.places import DataSet

if TYPE_CHECKING:
    from PIL import Image

SET = DataSet(
    name="bccd",
    title="BCCD: blood cell count and detection",
    tasks=("object detection",),
    licence="MIT",
    redistributable=True,
    citation=("Shenggan Cheng; original images and boxes by cosmicad and akshaylamba: BCCD Dataset, 2017"),
    home="https://github.com/Shenggan/BCCD_Dataset",
    files={
        "bccd.zip": ("3bca1a6775ff76f08a125abbe03ded560f77bb6e866adc658a14451ae3b1a6c3", 7868951),
    },
    counts={
        "images": 364,
        "boxes": {
            "RBC": 4155,
            "WBC": 372,
            "Platelets": 361,
        },
        "degenerate_boxes": 2,
        "split": {
            "train": 205,
            "val": 87,
            "test": 72,
        },
    },
    notes=(
        "Upstream layout (BCCD/JPEGImages, BCCD/Annotations as VOC XML, BCCD/ImageSets/Main),"
        " files unchanged, packed as a zip with the licence. All images 640x480. "
        "BloodImage_00338 and BloodImage_00343 each have one box of zero width and height (as"
        " upstream): a loader should drop it. Some red cells near the border or under others "
        "have no box, so average precision stays below 1 even for a perfect detector."
    ),
)

LABELS = ("RBC", "WBC", "Platelets")
Photograph = tuple[bytes, np.ndarray, np.ndarray]  # JPEG, boxes float32 (n, 4) x0 y0 x1 y1, labels int64 (n,)


@dataclass(frozen=True)
class Photographs:
    """Photographs of blood with the cells in them, for each split."""

    train: tuple[Photograph, ...]
    valid: tuple[Photograph, ...]
    test: tuple[Photograph, ...]
    labels: tuple[str, ...] = LABELS


def read() -> Photographs:
    """The three official splits; the two boxes without area are left out."""
    with zipfile.ZipFile(places.find(SET) / "bccd.zip") as archive:
        splits: list[tuple[Photograph, ...]] = []
        for split in ("train", "val", "test"):
            names = archive.read(f"BCCD/ImageSets/Main/{split}.txt").decode().split()
            splits.append(tuple(photograph(archive, name) for name in names))
    train, valid, test = splits
    return Photographs(train, valid, test)


def photograph(archive: zipfile.ZipFile, name: str) -> Photograph:
    tree = ElementTree.fromstring(archive.read(f"BCCD/Annotations/{name}.xml"))
    boxes: list[list[float]] = []
    labels: list[int] = []
    for cell in tree.iter("object"):
        corners = [float(cell.findtext(f"bndbox/{k}", "0")) for k in ("xmin", "ymin", "xmax", "ymax")]
        if corners[2] > corners[0] and corners[3] > corners[1]:
            boxes.append(corners)
            labels.append(LABELS.index(cell.findtext("name", "")))
    return (
        archive.read(f"BCCD/JPEGImages/{name}.jpg"),
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(labels, np.int64),
    )


MARGIN = 0.15  # of a cell's longer side, kept on each side of it
SMALLEST = 16  # pixels; what is cut off by the border is often smaller


def cells(photographs: Iterable[Photograph]) -> Iterator[tuple["Image.Image", str]]:
    """Each cell cut out with a margin, and its kind of ``LABELS``; pictures of many sizes, RGB."""
    from PIL import Image

    for jpeg, boxes, labels in photographs:
        whole = Image.open(io.BytesIO(jpeg)).convert("RGB")
        for (left, top, right, bottom), label in zip(boxes.tolist(), labels.tolist(), strict=True):
            if min(right - left, bottom - top) < SMALLEST:
                continue
            margin = MARGIN * max(right - left, bottom - top)
            box = (left - margin, top - margin, right + margin, bottom + margin)
            yield whole.crop(tuple(map(round, box))), LABELS[label]  # type: ignore[arg-type]
