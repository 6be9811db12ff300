"""Both arms learn from the same sentences and are asked about the same; the committee is its recipe."""

from typing import Any

import pytest
import torch

from fathom.applications.language import text_committee as system
from fathom.claims import committee_beats_counts as claim
from fathom.claims import few_readers_beat_counts as readers
from fathom.errors import InputError
from fathom.recipes import text_committee, text_lstm


@pytest.fixture(scope="module")
def recipe() -> Any:
    try:
        return text_committee.text_committee()
    except InputError as reason:
        pytest.skip(str(reason))


def test_the_committee_has_the_terms_of_its_reader(recipe: Any) -> None:
    alone = text_lstm.text_lstm()
    for field in ("data", "task", "batch_size", "steps", "seed"):
        assert getattr(recipe, field) == getattr(alone, field)
    assert isinstance(recipe.learning.objective, system.EachReader)
    assert recipe.learning.optimizer == alone.learning.optimizer  # type: ignore[attr-defined]


def test_arms_get_one_seed_and_one_division(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, int]] = []
    monkeypatch.setattr(readers, "counted", lambda seed: asked.append(("bayes", seed)) or 0.5)
    monkeypatch.setattr(readers, "learned", lambda run, seed: asked.append((type(run.model), seed)) or 0.75)
    assert claim.measure(6) == {"bayes": {"accuracy": 0.5}, "committee": {"accuracy": 0.75}}
    assert asked == [("bayes", 6), (system.Config, 6)]
    experiment = readers.divided_by(recipe, 6)
    model: Any = experiment.model
    split: Any = experiment.data.load().train
    tokens = split.rows(torch.arange(len(split)))[0]
    assert int(tokens.max()) < model.vocabulary == len(experiment.task.vocabulary)  # type: ignore[attr-defined]
