"""MNIST: 70,000 handwritten digits. The one set that is inside the package."""

from dataclasses import dataclass

import numpy as np

from fathom.data import places
from fathom.data.formats import idx
from fathom.data.places import DataSet

SET = DataSet(
    name="mnist",
    title="MNIST",
    tasks=("image classification", "generative modelling"),
    licence="CC BY-SA 3.0 (as commonly stated for Y. LeCun and C. Cortes)",
    redistributable=True,
    citation=(
        "Y. LeCun, C. Cortes, C. J. C. Burges: Gradient-based learning applied to document "
        "recognition, Proceedings of the IEEE 86(11), 1998"
    ),
    home="http://yann.lecun.com/exdb/mnist/",
    files={
        "t10k-images-idx3-ubyte.gz": (
            "5634745efa576a17e7d4cf5cd9d09123c75e6538e5114267c2d156edaf519341",
            1602050,
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "ae18e77e031ccde52407f794d123116439864147d33ac992975f85dd4dc42af6",
            4517,
        ),
        "train-images-idx3-ubyte.gz": (
            "71524e2cd1ad2968737f7f2f2ff69cbfc32df8ccddff51593f7cb2d4e0eb5b64",
            9630610,
        ),
        "train-labels-idx1-ubyte.gz": (
            "fe03b8bd7915f70bf5aa08be480aa413fbd85afcaa58b35d230d335f284fd88e",
            28878,
        ),
    },
    counts={
        "train": 60000,
        "test": 10000,
        "width": 28,
        "height": 28,
    },
    notes="The four original idx files, gzip-compressed anew.",
)


@dataclass(frozen=True)
class Images:
    """Pictures uint8 (n, 28, 28), ink 255 on ground 0, and labels int64 (n,), for training and test."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    labels: tuple[str, ...] = tuple("0123456789")


def read() -> Images:
    """60,000 digits to learn from and 10,000 to score. ``InputError`` names a file that was changed."""
    folder = places.find(SET)

    def part(name: str) -> tuple[np.ndarray, np.ndarray]:
        labels = idx.read(folder / f"{name}-labels-idx1-ubyte.gz")
        return idx.read(folder / f"{name}-images-idx3-ubyte.gz"), labels.astype(np.int64)

    return Images(*part("train"), *part("t10k"))
