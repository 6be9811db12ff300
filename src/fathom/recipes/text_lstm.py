"""Recipes for the BiLSTM: film reviews, one sentence each (Pang and Lee 2005)."""

from dataclasses import replace

from fathom.applications.language import text_lstm as system
from fathom.recipes.text_cnn import text_cnn
from fathom.training import Experiment


def text_lstm(model: system.Config | None = None) -> Experiment:
    """A BiLSTM under the terms of `text_cnn`: its reviews, optimizer, ten epochs and promise; clipped too."""
    beside = text_cnn()
    words = beside.model.vocabulary  # type: ignore[attr-defined]
    return replace(
        beside,
        model=replace(model, vocabulary=words) if model else system.Config(vocabulary=words),
        learning=replace(beside.learning, clip_norm=1.0),  # type: ignore[type-var]
    )
