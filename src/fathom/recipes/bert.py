"""Recipes for BERT: hidden words of captions, which say what is seen on a photograph."""

from dataclasses import dataclass, replace
from functools import lru_cache

from fathom.architectures.transformers import bert as system
from fathom.data.split import Data
from fathom.tasks.masked_language_modelling import MaskedLanguageModelling
from fathom.training import AdamW, Experiment, GradientDescent, NextToken, WarmupCosine

LENGTH = 24  # pieces of a caption with its frame; one in fifty is longer, and cut
PIECES = 4000


@dataclass(frozen=True, kw_only=True)
class Captions:
    """30,000 English captions of Multi30k, in its own splits, cut into ``pieces`` learned of the first."""

    pieces: int = PIECES
    length: int = LENGTH

    def load(self) -> Data:
        return prepared(self)[1]

    def task(self) -> MaskedLanguageModelling:
        return prepared(self)[0]


@lru_cache(maxsize=2)
def prepared(config: Captions) -> tuple[MaskedLanguageModelling, Data]:
    """The task, whose pieces are those of training captions alone, and the splits; read once."""
    from fathom.data.sets import multi30k

    read = multi30k.read("en", "de")
    texts = {name: [english for english, _ in getattr(read, name)] for name in ("train", "valid", "test")}
    task = MaskedLanguageModelling.fitted(texts["train"], config.pieces, config.length)
    return task, task.data(texts, {"source": "multi30k"})


SMALL = system.Config(
    vocabulary=PIECES, context=LENGTH, width=128, layers=3, heads=4, hidden=512, dropout=0.1
)


def bert_captions(model: system.Config = SMALL) -> Experiment:
    """A small BERT guesses hidden words of captions: three layers, 128 wide."""
    data = Captions(length=model.context)
    task = data.task()
    return Experiment(
        model=replace(model, vocabulary=len(task.vocabulary)),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=NextToken(),
            optimizer=AdamW(learning_rate=2e-3, betas=(0.9, 0.98), weight_decay=0.01),
            schedule=WarmupCosine(warmup=0.1),
            clip_norm=1.0,
        ),
        augment=(task.masks,),
        batch_size=64,
        steps=4000,
    )
