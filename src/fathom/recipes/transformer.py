"""Recipes for the Transformer: sequences to be copied, and short captions from English into German."""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from fathom.architectures.transformers import transformer as system
from fathom.data.split import Data
from fathom.recipes.seq2seq import Captions
from fathom.tasks.sequence_to_sequence import SPECIAL, SequenceToSequence
from fathom.training import Adam, Expect, Experiment, GradientDescent, NextToken, WarmupCosine
from fathom.training.randomness import generator

LETTERS = tuple("abcdefghij")


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Random sequences of ten letters, each to be written again as it stands; no sequence is there twice.

    They have ``shortest`` to ``longest`` letters, each length as often as any other. ``held_out`` of them are
    for choosing settings, and as many for testing: what is asked there was never learned.
    """

    shortest: int = 4
    longest: int = 10
    learned: int = 8000
    held_out: int = 500

    def __post_init__(self) -> None:
        for name in ("shortest", "learned", "held_out"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 1 or more")
        if self.longest < self.shortest:
            raise ValueError(f"longest is {self.longest}; it must be shortest, {self.shortest}, or more")
        there, wanted = len(LETTERS) ** self.shortest, self.count // (self.longest - self.shortest + 1)
        if 2 * wanted > there:
            raise ValueError(
                f"shortest is {self.shortest}: there are {there} sequences of that length, too few to draw"
                f" {wanted} different ones; take longer or fewer ones"
            )

    @property
    def count(self) -> int:
        return self.learned + 2 * self.held_out

    def load(self) -> Data:
        return copies(self)

    def task(self) -> SequenceToSequence:
        words = (*SPECIAL, *LETTERS)
        length = self.longest + 1  # and the end
        return SequenceToSequence(
            source_vocabulary=words, target_vocabulary=words, source_length=length, target_length=length,
            unit="character",
        )  # fmt: skip


@lru_cache(maxsize=2)
def copies(config: Copies) -> Data:
    """The splits; drawn once."""
    dice = generator("copies")
    drawn: dict[str, None] = {}  # the keys of a dict: in order, and each once
    while len(drawn) < config.count:
        length = int(torch.randint(config.shortest, config.longest + 1, (), generator=dice))
        letters = torch.randint(len(LETTERS), (length,), generator=dice).tolist()
        drawn["".join(LETTERS[k] for k in letters)] = None
    pairs, task, n = [(text, text) for text in drawn], config.task(), config.held_out
    train, valid, test = (task.split(part) for part in (pairs[2 * n :], pairs[n : 2 * n], pairs[:n]))
    return Data(train, valid, test, {"source": "drawn", "letters": len(LETTERS), "longest": config.longest})


COPIER = system.Config(
    source_vocabulary=len(SPECIAL) + len(LETTERS), target_vocabulary=len(SPECIAL) + len(LETTERS), places=11,
    width=64, layers=2, heads=4, hidden=256, dropout=0.0,
)  # fmt: skip


def copy_task(model: system.Config = COPIER) -> Experiment:
    """A small Transformer copies sequences of up to ten letters, and every one that it never saw."""
    data = Copies()
    return Experiment(
        model=model,
        data=data,
        task=data.task(),
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=Adam(learning_rate=2e-3, betas=(0.9, 0.98)),
            schedule=WarmupCosine(warmup=0.1),
            clip_norm=1.0,
        ),
        batch_size=64,
        steps=1000,
        expect=(Expect(metric="test/exact", at_least=1.0, seeds=3, minutes=2),),
    )


TRANSLATOR = replace(system.CHOSEN, places=13)


def transformer_multi30k(model: system.Config = TRANSLATOR) -> Experiment:
    """Translates captions of up to ten words from English into German: three layers, 128 wide.

    Promised are three points less than the captions for validation got.
    """
    data = Captions()
    task = data.task()
    sizes = {
        "source_vocabulary": len(task.source_vocabulary),
        "target_vocabulary": len(task.target_vocabulary),
        "places": max(task.source_length, task.target_length),
    }
    return Experiment(
        model=replace(model, **sizes),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=Adam(learning_rate=2e-3, betas=(0.9, 0.98)),
            schedule=WarmupCosine(warmup=0.1),
            clip_norm=1.0,
        ),
        batch_size=64,
        steps=1300,
        expect=(Expect(metric="test/bleu", at_least=29.0, seeds=3, minutes=10),),
    )
