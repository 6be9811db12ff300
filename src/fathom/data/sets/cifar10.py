"""CIFAR-10."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fathom.data import places
from fathom.data.places import DataSet

SET = DataSet(
    name="cifar10",
    title="CIFAR-10",
    tasks=("image classification",),
    licence="no formal licence; research use, cite the report",
    redistributable=False,
    citation="A. Krizhevsky, V. Nair, G. Hinton: Learning Multiple Layers of Features from Tiny Images, technical report, University of Toronto, 2009",
    home="https://www.cs.toronto.edu/~kriz/cifar.html",
    files={
        "cifar10_test.npz": ("708338fd6bba1f5b67e67dcd0f347708e9c112f72f5262acb04e6f0b4b7450be", 3071592),
        "cifar10_train.npz": ("887119e646ded4d099931249445049bf51ce1886ac89aedf05abfecdd4250f48", 15346908),
    },
    counts={"train": 50000, "test": 10000, "width": 32, "height": 32},
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
    """Decode the concatenated JPEG pictures: some ten seconds for all 60,000."""
    folder = places.find(SET)

    def decode(name: str) -> tuple[np.ndarray, np.ndarray]:
        with np.load(folder / name) as stored:
            data, ends, labels = stored["jpeg"].tobytes(), stored["offsets"], stored["labels"]
        pictures = np.empty((len(labels), 3, 32, 32), np.uint8)
        for i in range(len(labels)):
            picture = Image.open(io.BytesIO(data[ends[i] : ends[i + 1]])).convert("RGB")
            pictures[i] = np.asarray(picture).transpose(2, 0, 1)
        return pictures, labels.astype(np.int64)

    return Images(*decode("cifar10_train.npz"), *decode("cifar10_test.npz"))
