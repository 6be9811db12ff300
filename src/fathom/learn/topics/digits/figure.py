"""One figure: the data, looked at before anything is trained."""

from functools import cache
from types import SimpleNamespace

import numpy as np

from fathom.data.sets import mnist
from fathom.learn.engine.figure import figure, whole
from fathom.learn.engine.marks import Bars, Frame, Images, Panel, frame, numbers, pixels

SHOWN = 8


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    read = mnist.read()
    return read.train_images, read.train_labels


@figure(digit=whole(0, 9, 4, "digit"), page=whole(1, 50, 1, "page"))
def look(c: SimpleNamespace) -> Frame:
    """Eight examples of a digit, the mean of all of them, and how many there are of each digit."""
    images, labels = digits()
    rows = np.flatnonzero(labels == c.digit)
    chosen = rows[SHOWN * (c.page - 1) : SHOWN * c.page]
    mean, counts = images[rows].mean(axis=0), np.bincount(labels, minlength=10)
    return frame(
        panel(
            f"Eight of {len(rows):,} pictures of a {c.digit}", images[chosen], [f"row {r}" for r in chosen]
        ),
        panel("The mean of all of them", mean[None], [f"mean {c.digit}"]),
        Panel(
            title="How many there are of each digit",
            marks=(Bars(names=tuple("0123456789"), values=numbers(counts)),),
        ),
        say=f"Digit {c.digit}: {len(rows):,} of 60,000 pictures. Rows {', '.join(map(str, chosen))}.",
    )


def panel(title: str, pictures: np.ndarray, captions: list[str]) -> Panel:
    return Panel(title=title, marks=(Images(pictures=pixels(pictures.tolist()), captions=tuple(captions)),))
