"""Recipes for GPT-2: plays of Shakespeare, character by character."""

import hashlib
from dataclasses import dataclass

from fathom.architectures.transformers import gpt2 as system
from fathom.data.split import Data
from fathom.data.windows import encode, parts
from fathom.recipes.char_lstm import CHARACTERS
from fathom.tasks.language_modelling import LanguageModelling
from fathom.training import AdamW, Expect, Experiment, GradientDescent, NextToken, WarmupCosine

SMALL = system.Config(vocabulary=len(CHARACTERS), context=64, width=128, layers=4, heads=4, dropout=0.0)


@dataclass(frozen=True, kw_only=True)
class Plays:
    """1.1 million characters of Shakespeare: 90 % to learn from, 5 % to choose by, 5 % for testing.

    Training windows of ``length`` characters begin every ``stride`` characters; the others tile their text.
    """

    length: int = 64
    stride: int = 16

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.length:
            raise ValueError(
                f"stride is {self.stride}, length {self.length}; it must hold 1 <= stride <= length"
            )

    def load(self) -> Data:
        from fathom.data.sets import tiny_shakespeare

        text = tiny_shakespeare.read()
        facts = {"source": "tiny_shakespeare", "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return parts(encode(text, CHARACTERS), self.length, self.stride, facts)


def gpt_shakespeare(model: system.Config = SMALL) -> Experiment:
    """A small GPT writes Shakespeare: four layers, 128 wide, three times through the plays."""
    return Experiment(
        model=model,
        data=Plays(length=model.context, stride=model.context // 4),
        task=LanguageModelling(vocabulary=CHARACTERS, states=model.states),
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=AdamW(learning_rate=3e-3, betas=(0.9, 0.99), weight_decay=0.1),
            schedule=WarmupCosine(),
            clip_norm=1.0,
        ),
        batch_size=32,
        steps=1500,
        expect=(Expect(metric="valid/loss", at_most=1.65, minutes=5),),
    )
