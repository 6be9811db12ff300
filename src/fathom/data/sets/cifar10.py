"""CIFAR-10: 60,000 colour photographs of ten kinds of things."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="cifar10",
    title="CIFAR-10",
    tasks=("image classification",),
    licence="no formal licence; research use, cite the report",
    redistributable=False,
    citation=(
        "A. Krizhevsky, V. Nair, G. Hinton: Learning Multiple Layers of Features from Tiny "
        "Images, technical report, University of Toronto, 2009"
    ),
    home="https://www.cs.toronto.edu/~kriz/cifar.html",
    files={
        "cifar10_test.npz": ("708338fd6bba1f5b67e67dcd0f347708e9c112f72f5262acb04e6f0b4b7450be", 3071592),
        "cifar10_train.npz": ("887119e646ded4d099931249445049bf51ce1886ac89aedf05abfecdd4250f48", 15346908),
        "classes.txt": ("2ce042b1e0b48db4bb214408e6414ba18b2731c24af244f2d6c112fddf31af00", 60),
    },
    counts={
        "train": 50000,
        "test": 10000,
        "per_class": {
            "train": 5000,
            "test": 1000,
        },
        "width": 32,
        "height": 32,
    },
    notes=(
        "All 60,000 images, JPEG-coded (so pixels differ slightly from the original arrays), "
        "concatenated in one byte array with offsets, in a fixed shuffled order so that the "
        "first N images are a fair sample."
    ),
)

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Images:
    """Pictures uint8 (n, 3, 32, 32) and labels int64 (n,), for training and test."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    labels: tuple[str, ...] = LABELS


def read() -> Images:
    """50,000 pictures to learn from and 10,000 to score, in an order that is shuffled already.

    They are stored as JPEG: decoding takes some seconds. ``InputError`` names a file that was changed.
    """
    folder = places.find(SET)
    return Images(*decode(folder / "cifar10_train.npz"), *decode(folder / "cifar10_test.npz"))


def decode(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of a file that holds JPEG pictures one after the other, and where each begins."""
    from PIL import Image

    with np.load(file, allow_pickle=False) as stored:
        data, starts = stored["jpeg"].tobytes(), stored["offsets"].tolist()
        labels = stored["labels"].astype(np.int64)
    pictures = np.empty((len(labels), 3, 32, 32), np.uint8)

    def thousand(first: int) -> None:
        for i in range(first, min(first + 1000, len(labels))):
            with Image.open(io.BytesIO(data[starts[i] : starts[i + 1]]), formats=("JPEG",)) as picture:
                pictures[i] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoding lets other threads run
        list(pool.map(thousand, range(0, len(labels), 1000)))  # asks for results, so that no error is lost
    return pictures, labels
