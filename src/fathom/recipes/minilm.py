"""Recipes for MiniLM: film reviews, one sentence each (Pang and Lee 2005), read by one that knows English.

The first three blocks stay as they were published, and so read each sentence once. The last three move, at
rates that fall: with nothing but a head, as with naive Bayes, eight sentences in ten are not reached.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from fathom.applications.language import minilm as system
from fathom.data.split import Data
from fathom.recipes.text_cnn import LABELS, Reviews, divided
from fathom.tasks.text_classification import TextClassification
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, WarmupCosine
from fathom.training.transferred import Transferred

HALF = system.Config(frozen=3)


@dataclass(frozen=True, kw_only=True)
class Pieces(Reviews):
    """The same sentences and splits, in the word pieces of the encoder."""

    def prepared(self) -> tuple[TextClassification, Data]:
        """The task, of which training sentences decide the length alone, and the splits."""
        return divided(self.seed, in_pieces)


def in_pieces(sentences: list[str]) -> TextClassification:
    fixed = {"unit": "piece", "vocabulary": system.vocabulary()}
    return TextClassification.suited(LABELS, sentences, fixed)


@lru_cache(maxsize=1)
def published() -> dict[str, torch.Tensor]:
    """The tensors of the published encoder, under the names of the model."""
    state = system.minilm("ALL_V2").state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}


def minilm(model: system.Config = HALF) -> Experiment:
    """MiniLM on sentences from film reviews: half of it and a linear head learn, one round and a half."""
    data = Pieces()
    return Experiment(
        model=Transferred(config=model, new=("head",), state=published()),
        data=data,
        task=data.task(),
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=1e-3, weight_decay=0.01, layer_decay=0.4),
            schedule=WarmupCosine(warmup=0.1),
            clip_norm=1.0,
        ),
        batch_size=32,
        steps=400,
        expect=(Expect(metric="test/accuracy", at_least=0.80, minutes=10),),
    )


def minilm_frozen(model: system.Config = replace(HALF, frozen=6)) -> Experiment:  # noqa: B008
    """The same with the encoder as it is: the linear head alone learns, ten times over all sentences."""
    return replace(
        minilm(model), steps=1330, batch_size=64, expect=(),
        learning=replace(minilm().learning, optimizer=AdamW(learning_rate=3e-3), clip_norm=None),  # type: ignore[type-var]
    )  # fmt: skip
