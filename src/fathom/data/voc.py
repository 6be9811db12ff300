"""Folders of pictures with boxes as PASCAL VOC keeps them: ``Annotations/*.xml`` and ``JPEGImages/``."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fathom.data.boxes import Boxed, decode
from fathom.errors import InputError

EDGES = ("xmin", "ymin", "xmax", "ymax")
Boxes = tuple[tuple[str, float, float, float, float], ...]  # name, left, top, right, bottom
LARGEST = 4 * 2**20  # bytes of an annotation that are read


@dataclass(frozen=True)
class Annotated:
    """What a folder holds: for each picture its file and boxes (name, left, top, right, bottom)."""

    pictures: tuple[tuple[Path, Boxes], ...]
    skipped: int
    longest: int  # pixels: the longest side of a picture

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted({box[0] for _, boxes in self.pictures for box in boxes}))

    def split(self, labels: Sequence[str], multiple: int = 8) -> Boxed:
        """The pictures, padded to ``multiple``, with the place in ``labels`` as the label of each box."""
        images, boxes = [], []
        for file, own in self.pictures:
            images.append(decode(file))
            rows = [[labels.index(name), *edges] for name, *edges in own]
            boxes.append(torch.from_numpy(np.array(rows, dtype=np.float32).reshape(-1, 5)))
        return Boxed(tuple(images), tuple(boxes), multiple)


def looks_like(folder: Path) -> int:
    """The number of annotations, 0 where this is no such folder."""
    if not (folder / "Annotations").is_dir() or not (folder / "JPEGImages").is_dir():
        return 0
    return sum(1 for _ in (folder / "Annotations").glob("*.xml"))


def read(folder: Path, *, longest: int, skip_bad: bool = False) -> Annotated:
    """Every annotated picture, in order of name. Raises ``InputError`` naming the file that is bad.

    With ``skip_bad`` bad files are left out and counted. Pictures with a side above ``longest`` are bad.
    """
    if not looks_like(folder):
        raise InputError(f"{folder} has no Annotations/*.xml beside JPEGImages/; that is how VOC data lies")
    pictures, skipped, side = [], 0, 0
    for file in sorted((folder / "Annotations").glob("*.xml")):
        try:
            picture, own, size = one(folder, file, longest)
            pictures.append((picture, own))
            side = max(side, *size)
        except InputError:
            if not skip_bad:
                raise
            skipped += 1
    if not any(boxes for _, boxes in pictures):
        raise InputError(f"{folder}: none of the {len(pictures)} pictures has a box; draw some first")
    return Annotated(tuple(pictures), skipped, side)


def one(folder: Path, file: Path, longest: int) -> tuple[Path, Boxes, tuple[int, int]]:
    """The picture of one annotation, its boxes (those without area are left out), its height and width."""
    if file.stat().st_size > LARGEST:
        raise InputError(f"{file} is larger than {LARGEST:,} bytes: this is no annotation")
    text = file.read_bytes()
    if b"<!ENTITY" in text:  # an annotation needs none, and a few can fill the memory
        raise InputError(f"{file} declares entities; remove them")
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{file} is no readable XML: {error}") from error
    name = Path(tree.findtext("filename") or f"{file.stem}.jpg").name  # never leads out of the folder
    picture = folder / "JPEGImages" / name
    if not picture.is_file():
        raise InputError(f"{file} speaks of {name}, which is not in {folder / 'JPEGImages'}")
    height, width = decode(picture).shape[1:]
    if max(height, width) > longest:
        raise InputError(
            f"{picture} has {width} x {height} pixels; sides up to {longest} are learned: make it smaller,"
            " and its boxes with it"
        )
    boxes = []
    for item in tree.iter("object"):
        label = (item.findtext("name") or "").strip()
        try:
            edges = [float(item.findtext(f"bndbox/{edge}") or "") for edge in EDGES]
        except ValueError:
            raise InputError(f"{file}: a box of {label!r} lacks one of {', '.join(EDGES)}") from None
        if not label or not np.isfinite(edges).all():
            raise InputError(f"{file}: every box needs a name and finite edges")
        left, top, right, bottom = np.clip(edges, 0, (width, height, width, height)).tolist()
        if right > left and bottom > top:
            boxes.append((label, left, top, right, bottom))
    return picture, tuple(boxes), (height, width)
