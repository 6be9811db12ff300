"""Recipes for MiniLM: film reviews, one sentence each (Pang and Lee 2005), read by one that knows English.

The first three blocks stay as they were published, and so read each sentence once. The last three move, at
rates that fall: with nothing but a head, as with naive Bayes, eight sentences in ten are not reached.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from fathom.applications.language import minilm as system
from fathom.data.split import Data, Tensors
from fathom.recipes.text_cnn import LABELS
from fathom.tasks.text_classification import TextClassification
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, WarmupCosine
from fathom.training.randomness import permutation
from fathom.training.transferred import Transferred

HALF = system.Config(frozen=3)


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """The sentences and the splits of `text_cnn`, in the word pieces of the encoder."""

    seed: int = 0

    def load(self) -> Data:
        return prepared(self)[1]

    def task(self) -> TextClassification:
        return prepared(self)[0]


@lru_cache(maxsize=2)
def prepared(config: Reviews) -> tuple[TextClassification, Data]:
    """The task, of which training sentences decide the length alone, and the splits; read once."""
    from fathom.data.sets import rt_polarity

    reviews = rt_polarity.read()
    order = permutation(len(reviews.texts), config.seed, 0)
    tenth = len(order) // 10
    parts = {"test": order[:tenth], "valid": order[tenth : 2 * tenth], "train": order[2 * tenth :]}
    fixed = {"unit": "piece", "vocabulary": system.vocabulary()}
    task = TextClassification.suited(LABELS, [reviews.texts[i] for i in parts["train"].tolist()], fixed)
    tokens, labels = task.encode(reviews.texts), torch.as_tensor(reviews.labels, dtype=torch.int64)
    splits = {name: Tensors((tokens[index], labels[index])) for name, index in parts.items()}
    facts = {"source": "rt_polarity", **{name: len(split) for name, split in splits.items()}}
    return task, Data(splits["train"], splits["valid"], splits["test"], facts)


@lru_cache(maxsize=1)
def published() -> dict[str, torch.Tensor]:
    """The tensors of the published encoder, under the names of the model."""
    state = system.minilm("ALL_V2").state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith("head.")}


def minilm(model: system.Config = HALF) -> Experiment:
    """MiniLM on sentences from film reviews: half of it and a linear head learn, one round and a half."""
    data = Reviews()
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
