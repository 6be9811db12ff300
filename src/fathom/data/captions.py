"""Pictures with captions made by rule: MNIST digits, and the drawn bars of ``tiny()`` runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fathom.data.split import Data, InMemory, Tensors
from fathom.training.randomness import generator

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PHRASES = (
    "a handwritten {name}",
    "the digit {digit}",
    "someone wrote a {name}",
    "a picture of the number {digit}",
    "the number {name} in white on black",
    "this is a {digit}",
)
CANDIDATES = tuple(f"a handwritten {name}" for name in NAMES)
LENGTH = 8  # words that are read of a caption


def vocabulary(texts: Sequence[str]) -> tuple[str, ...]:
    """Every word of ``texts`` in order, after what fills a caption up and what stands for other words."""
    from fathom.deployment.preprocessing import words

    return ("<padding>", "<unknown>", *sorted({word for text in texts for word in words(text)}))


def captions(label: int) -> list[str]:
    """Everything that is said of a digit."""
    return [phrase.format(name=NAMES[label], digit=label) for phrase in PHRASES]


WORDS = vocabulary([text for label in range(10) for text in captions(label)])


def encode(text: str, known: Sequence[str], length: int) -> np.ndarray:
    """int64 (length,): the numbers that the task's preprocessing gives for ``text``."""
    from fathom.deployment.preprocessing import tokens

    settings = {"unit": "word", "vocabulary": known, "unknown": 1, "length": length, "padding": 0}
    return tokens(text, settings)


@dataclass(frozen=True, kw_only=True)
class CaptionedDigits:
    """MNIST with one caption a picture: a phrase drawn by the picture's place, with the name or the digit.

    Rows are (image uint8 (b, 1, 28, 28), tokens int64 (b, 8), digit int64 (b,)). The last ``valid``
    training pictures are held out.
    """

    valid: int = 5000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.valid < 60_000:
            raise ValueError(f"valid is {self.valid}; of 60,000 training images 1 to 59,999 can be held out")

    def load(self) -> Data:
        from fathom.data.sets import mnist

        images = mnist.read()
        table = torch.from_numpy(
            np.array([[encode(t, WORDS, LENGTH) for t in captions(i)] for i in range(10)])
        )
        parts: dict[str, Tensors] = {}
        for name, x, y in (
            ("train", images.train_images, images.train_labels),
            ("test", images.test_images, images.test_labels),
        ):
            label = torch.from_numpy(y).long()
            phrase = torch.randint(len(PHRASES), (len(y),), generator=generator(self.seed, "phrase", name))
            parts[name] = Tensors((torch.from_numpy(x)[:, None], table[label, phrase], label))
        columns, cut = parts["train"].columns, len(parts["train"]) - self.valid
        return Data(
            train=Tensors(tuple(c[:cut] for c in columns)),
            valid=Tensors(tuple(c[cut:] for c in columns)),
            test=parts["test"],
            facts={"source": "mnist with captions made by rule", "phrases": list(PHRASES)},
        )


def captioned_bars(
    texts: Sequence[str], known: Sequence[str], *, length: int, size: int, train: int, valid: int
) -> InMemory:
    """The drawn bars with one caption for each direction, in the order of ``fathom.data.drawn.bars``."""
    from fathom.data.drawn import bars

    table = torch.from_numpy(np.array([encode(text, known, length) for text in texts]))
    drawn = bars(size=size, train=train, valid=valid).load()
    splits: list[Tensors] = []
    for split in (drawn.train, drawn.valid):
        if not isinstance(split, Tensors):
            raise TypeError(f"drawn bars are tensors, not {type(split).__name__}")
        image, label = split.columns
        splits.append(Tensors((image, table[label], label)))
    return InMemory(Data(splits[0], splits[1], splits[1], facts={"source": "drawn bars with captions"}))
