"""Recipes for BERT: hidden words of captions, which say what is seen on a photograph, and film reviews."""

from dataclasses import dataclass, replace
from functools import lru_cache

from fathom.architectures.transformers import bert as system
from fathom.data.split import Data
from fathom.recipes.text_cnn import LABELS, Reviews, divided
from fathom.tasks.masked_language_modelling import MaskedLanguageModelling
from fathom.tasks.text_classification import TextClassification
from fathom.training import AdamW, CrossEntropy, Experiment, GradientDescent, NextToken, WarmupCosine

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
        steps=6000,
    )


@dataclass(frozen=True, kw_only=True)
class ReviewPieces(Reviews):
    """The sentences and splits of `text_cnn`, in word pieces learned of those to train on."""

    def prepared(self) -> tuple[TextClassification, Data]:
        return divided(self.seed, in_own_pieces)


def in_own_pieces(sentences: list[str]) -> TextClassification:
    return TextClassification.suited(LABELS, sentences, {"unit": "piece"})


def bert_reviews(model: system.Config = system.CHOSEN) -> Experiment:
    """A Transformer from scratch on film reviews, under the terms of `text_cnn`: ten epochs."""
    data = ReviewPieces()
    task = data.task()
    return Experiment(
        model=replace(model, vocabulary=len(task.vocabulary), context=task.length),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=1e-3, weight_decay=0.01),
            schedule=WarmupCosine(warmup=0.1),
            clip_norm=1.0,
        ),
        batch_size=64,
        steps=1330,
    )
