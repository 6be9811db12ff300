"""Recipes for LLaMA: plays of Shakespeare, character by character."""

from dataclasses import replace

from fathom.architectures.transformers import llama as system
from fathom.recipes.char_lstm import CHARACTERS
from fathom.recipes.gpt2 import Plays
from fathom.tasks.language_modelling import LanguageModelling
from fathom.training import AdamW, Expect, Experiment, GradientDescent, NextToken, WarmupCosine

# What is trained is what is deployed: while text is written a cache rolls, and a window sees the same.
SMALL = system.Config(
    vocabulary=len(CHARACTERS), context=128, width=128, layers=4, heads=4, groups=2, hidden=344, window=48
)


def llama_shakespeare(model: system.Config = SMALL) -> Experiment:
    """A small LLaMA writes Shakespeare; each place sees the last 48, and four layers of that reach far."""
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
        batch_size=16,
        steps=1500,
        expect=(Expect(metric="valid/loss", at_most=1.60, minutes=10),),
    )


def llama_shakespeare_unwindowed() -> Experiment:
    """The same, but each place sees all before it: what does the window cost?"""
    return replace(llama_shakespeare(replace(SMALL, window=None)), expect=())
