"""Recipes for the LSTM language model: plays of Shakespeare, character by character."""

import hashlib
import string
from dataclasses import dataclass, replace

from fathom.architectures.recurrent import char_lstm as system
from fathom.data.split import Data
from fathom.data.windows import encode, parts
from fathom.tasks.language_modelling import WINDOW, LanguageModelling
from fathom.training import SGD, AdamW, Expect, Experiment, GradientDescent, NextToken, OneCycle

CHARACTERS = tuple("\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase)  # all that occur


@dataclass(frozen=True, kw_only=True)
class Shakespeare:
    """1.1 million characters of plays: 90 % to learn from, 5 % to choose by, the last 5 % for testing.

    Training windows of 128 characters begin every ``stride`` characters; the others tile their text.
    """

    stride: int = WINDOW // 4

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= WINDOW:
            raise ValueError(f"stride is {self.stride}; it must be between 1 and {WINDOW}")

    def load(self) -> Data:
        from fathom.data.sets import tiny_shakespeare

        text = tiny_shakespeare.read()
        facts = {"source": "tiny_shakespeare", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return parts(encode(text, CHARACTERS), WINDOW, self.stride, facts)


def char_lstm(model: system.Config = system.Config()) -> Experiment:  # noqa: B008
    """An LSTM writes Shakespeare: one layer of 256 cells, seven times through the plays in two minutes."""
    return Experiment(
        model=model,
        data=Shakespeare(),
        task=LanguageModelling(vocabulary=CHARACTERS, states=model.states),
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=AdamW(learning_rate=6e-3),
            schedule=OneCycle(),
            clip_norm=1.0,
        ),
        batch_size=32,
        steps=1800,
        expect=(Expect(metric="valid/loss", at_most=1.75, minutes=5),),
    )


def char_lstm_deep() -> Experiment:
    """The same with two layers of 160 cells: what does depth buy, at about as many weights?"""
    return char_lstm(system.Config(width=160, layers=2))


def char_lstm_momentum() -> Experiment:
    """A small LSTM under momentum at one rate, nothing clipped, for half a minute: to try steps out on."""
    # Adam divides gradients by their own size, and so takes steps of one length however long they are.
    learning = GradientDescent(objective=NextToken(), optimizer=SGD(learning_rate=0.3))
    return replace(char_lstm(system.Config(width=128)), learning=learning, steps=150, expect=())
