"""Recipes for TextCNN: film reviews, one sentence each (Pang and Lee 2005)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from fathom.applications.language import text_cnn as system
from fathom.data.split import Data, Tensors
from fathom.tasks.text_classification import TextClassification
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, WarmupCosine
from fathom.training.randomness import permutation

LABELS = ("negative", "positive")


@dataclass(frozen=True, kw_only=True)
class Reviews:
    """10,662 sentences, half of them positive: a tenth for testing, a tenth for validation."""

    seed: int = 0

    def load(self) -> Data:
        return self.prepared()[1]

    def task(self) -> TextClassification:
        return self.prepared()[0]

    def prepared(self) -> tuple[TextClassification, Data]:
        """The task, whose vocabulary is made of training sentences alone, and the splits."""
        return divided(self.seed, in_words)


def in_words(sentences: list[str]) -> TextClassification:
    return TextClassification.fitted(LABELS, sentences)


def in_parts(count: int, seed: int) -> dict[str, torch.Tensor]:
    """Which of ``count`` reviews are for testing, for validation and for training."""
    order = permutation(count, seed, 0)
    tenth = count // 10
    return {"test": order[:tenth], "valid": order[tenth : 2 * tenth], "train": order[2 * tenth :]}


@lru_cache(maxsize=2)
def divided(seed: int, suited: Callable[[list[str]], TextClassification]) -> tuple[TextClassification, Data]:
    """The task that ``suited`` makes of training sentences, and the splits; read once."""
    from fathom.data.sets import rt_polarity

    reviews = rt_polarity.read()
    parts = in_parts(len(reviews.texts), seed)
    task = suited([reviews.texts[i] for i in parts["train"].tolist()])
    tokens, labels = task.encode(reviews.texts), torch.as_tensor(reviews.labels, dtype=torch.int64)
    splits = {name: Tensors((tokens[index], labels[index])) for name, index in parts.items()}
    facts = {"source": "rt_polarity", **{name: len(split) for name, split in splits.items()}}
    return task, Data(splits["train"], splits["valid"], splits["test"], facts)


def text_cnn(model: system.Config | None = None) -> Experiment:
    """TextCNN on sentences from film reviews, word vectors from scratch: ten epochs, some twenty seconds."""
    data = Reviews()
    task = data.task()
    words = len(task.vocabulary)
    return Experiment(
        model=replace(model, vocabulary=words) if model else system.Config(vocabulary=words),
        data=data,
        task=task,
        learning=GradientDescent(
            objective=CrossEntropy(),
            optimizer=AdamW(learning_rate=2e-3, weight_decay=0.01),
            schedule=WarmupCosine(warmup=0.1),
        ),
        batch_size=64,
        steps=1330,
        expect=(Expect(metric="test/accuracy", at_least=0.74, seeds=3),),
    )
