"""Recipes for the BiLSTM: film reviews, one sentence each (Pang and Lee 2005)."""

from dataclasses import replace

from fathom.applications.language import text_lstm as system
from fathom.recipes.text_cnn import Reviews
from fathom.training import AdamW, CrossEntropy, Expect, Experiment, GradientDescent, WarmupCosine


def text_lstm(model: system.Config | None = None) -> Experiment:
    """A BiLSTM on sentences from film reviews, word vectors from scratch: ten epochs."""
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
            clip_norm=1.0,
        ),
        batch_size=64,
        steps=1330,
        expect=(Expect(metric="test/accuracy", at_least=0.74, seeds=3),),
    )
