"""Recipes for LLaMA: plays of Shakespeare, character by character."""

from dataclasses import replace

from fathom.architectures.transformers import llama as system
from fathom.recipes.char_lstm import CHARACTERS
from fathom.recipes.gpt2 import Plays, gpt_shakespeare
from fathom.tasks.language_modelling import LanguageModelling
from fathom.training import Expect, Experiment

# What is trained is what is deployed: while text is written a cache rolls, and a window sees the same.
SMALL = system.Config(
    vocabulary=len(CHARACTERS), context=128, width=128, layers=4, heads=4, groups=2, hidden=344, window=48
)


def llama_shakespeare(model: system.Config = SMALL) -> Experiment:
    """A small LLaMA under the terms of `gpt_shakespeare`; a place sees the last 48, and four layers of it."""
    return replace(
        gpt_shakespeare(),
        model=model,
        data=Plays(length=model.context, stride=model.context // 4),
        task=LanguageModelling(vocabulary=CHARACTERS, states=model.states),
        batch_size=16,
        expect=(Expect(metric="valid/loss", at_most=1.60, minutes=10),),
    )


def llama_shakespeare_unwindowed() -> Experiment:
    """The same, but each place sees all before it: what does the window cost?"""
    return replace(llama_shakespeare(replace(SMALL, window=None)), expect=())
