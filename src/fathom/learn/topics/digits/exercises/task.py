"""Say what goes in and what comes out.

A served network gets pictures of any kind: a drawing from a page, a photograph of a slip of paper. Before it
sees them they must become what it was trained on, or its answers are worth nothing. Fathom does that, if you
say what the network knows. Return an `ImageClassification`: your file imports this class already. Its fields:

- `labels`: the names of the ten answers, as a tuple of texts, in the order of the scores;
- `channels`, `height`, `width`: of the pictures that your network takes;
- `mean` and `deviation`: tuples of one number each. A pixel p from 0 to 1 becomes (p - mean) / deviation. You
  trained on values from 0 to 1, just as they are;
- `ink`: "light", since the digits of MNIST are light on dark. A drawing that is dark on light gets inverted.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fathom.deployment import preprocessing
from fathom.learn.engine.grade import Answer, Fail
from fathom.tasks.image_classification import ImageClassification

HINTS = (
    "ImageClassification(labels=..., channels=..., height=..., width=..., mean=..., deviation=..., ink=...)",
    "Which mean and which deviation leave p as it is? Nothing is taken away, and nothing is divided.",
    "mean=(0.0,), deviation=(1.0,); and tuple('0123456789') are ten texts.",
)
PASSED = "What is drawn becomes what your network was trained on."


def starter() -> ImageClassification:
    """What the network takes and what it answers."""
    raise NotImplementedError


def solution() -> ImageClassification:
    """What the network takes and what it answers."""
    return ImageClassification(
        labels=tuple("0123456789"),
        channels=1,
        height=28,
        width=28,
        mean=(0.0,),
        deviation=(1.0,),
        ink="light",
    )


def changed(**fields: Any) -> ImageClassification:
    """The solution with something else."""
    usual: dict[str, Any] = {
        "labels": tuple("0123456789"), "channels": 1, "height": 28, "width": 28, "mean": (0.0,),
        "deviation": (1.0,), "ink": "light",
    }  # fmt: skip
    return ImageClassification(**usual | fields)


def wrong_scale() -> ImageClassification:
    """In use your network would see pixels from -1 to 1. It was trained on pixels from 0 to 1.

    Nothing fails, and the answers get worse: say mean 0 and deviation 1.
    """
    return changed(mean=(0.5,), deviation=(0.5,))


def wrong_usual_scale() -> ImageClassification:
    """These are the mean and deviation of MNIST's pixels. They belong to networks that were trained so.

    Yours was trained on the pixels as they are: mean 0 and deviation 1.
    """
    return changed(mean=(0.1307,), deviation=(0.3081,))


def wrong_no_ink() -> ImageClassification:
    """A drawing that is dark on light would stay so. All digits that your network knows are light on dark.

    Say ink="light".
    """
    return changed(ink=None)


def wrong_order() -> ImageClassification:
    """Your first label is 1. The first score belongs to the digit 0: the labels begin with "0"."""
    return changed(labels=tuple("1234567890"))


def wrong_colours() -> ImageClassification:
    """You ask for pictures with three channels. Your network takes one: grey."""
    return changed(channels=3, mean=(0.0,) * 3, deviation=(1.0,) * 3)


def wrong_too_many_pixels() -> ImageClassification:
    """Your network takes pictures of 28 by 28 pixels, no more."""
    return changed(height=32, width=32)


def case(seed: int) -> tuple[()]:
    return ()


def drawing(seed: int) -> np.ndarray:
    """A stroke, light on dark, of 28 by 28 pixels."""
    dice = np.random.default_rng(seed)
    picture = np.zeros((28, 28), dtype=np.int64)
    picture[5:23, 12:16] = dice.integers(180, 256, (18, 4))
    picture[5:8, 8:16] = dice.integers(180, 256, (3, 8))
    return picture


def given(answer: Answer, picture: np.ndarray) -> Tensor:
    """What the network would be given for a picture."""
    task = asked(answer)
    arrays = preprocessing.apply(task.preprocessing(), picture.tolist())
    return task.prepare(*(torch.tensor(array)[None] for array in arrays.values()))[0]


def asked(answer: Answer) -> ImageClassification:
    task = answer()
    if not isinstance(task, ImageClassification):
        raise Fail(f"Return an ImageClassification; yours is of type {type(task).__name__}.")
    return task


def observe(answer: Answer, seed: int) -> list[object]:
    """Labels, and two pictures as the network would see them."""
    picture = drawing(seed)
    return [str(asked(answer).labels), given(answer, picture), given(answer, 255 - picture)]


def check_labels(answer: Answer, seed: int) -> None:
    labels = asked(answer).labels
    if labels != tuple("0123456789"):
        raise Fail(f"The labels are the texts '0' to '9', in this order; yours are {', '.join(labels)}.")


def check_pixels(answer: Answer, seed: int) -> None:
    picture = drawing(seed)
    seen, wanted = given(answer, picture), torch.from_numpy(picture)[None, None].float() / 255
    if seen.shape != wanted.shape:
        raise Fail(f"Your network takes {tuple(wanted.shape)}; it would be given {tuple(seen.shape)}.")
    if not torch.allclose(seen, wanted, atol=1e-6):
        bright, black = float(seen.max()), float(seen.min())
        raise Fail(
            f"A pixel of {picture.max()} of 255 should reach the network as {float(wanted.max()):.2f}, as in"
            f" training; it would come as {bright:.2f}, and black as {black:.2f}."
        )


def check_dark_on_light(answer: Answer, seed: int) -> None:
    picture = drawing(seed)
    if not torch.allclose(given(answer, 255 - picture), given(answer, picture), atol=1e-6):
        raise Fail("The same drawing, dark on light, should reach the network light on dark.")
