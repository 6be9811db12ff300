"""Recipes for the committee of readers: film reviews, one sentence each (Pang and Lee 2005)."""

from dataclasses import replace

from fathom.applications.language import text_committee as system
from fathom.recipes.text_lstm import text_lstm
from fathom.training import Experiment


def text_committee(model: system.Config | None = None) -> Experiment:
    """Three readers under the terms of `text_lstm`, each with a loss of its own."""
    beside = text_lstm()
    words = beside.model.vocabulary  # type: ignore[attr-defined]
    return replace(
        beside,
        model=replace(model, vocabulary=words) if model else system.Config(vocabulary=words),
        learning=replace(beside.learning, objective=system.OBJECTIVE),  # type: ignore[type-var]
    )
