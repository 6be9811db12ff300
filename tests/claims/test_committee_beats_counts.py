"""Both arms learn from the same sentences and are asked about the same; the committee is its recipe."""

from dataclasses import replace
from typing import Any

import pytest

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
    asked: list[int] = []
    monkeypatch.setattr(readers, "counted", lambda seed: asked.append(seed) or 0.5)
    monkeypatch.setattr(text_committee, "text_committee", lambda: replace(recipe, steps=3, batch_size=8))
    found = claim.measure(6)
    assert found.pop("bayes") == {"accuracy": 0.5} and asked == [6]
    assert set(found) == {"committee", "phrases", "order", "pairs"}
    experiment = readers.divided_by(recipe, 6)
    assert len(experiment.data.load().test) == 1066  # type: ignore[arg-type]
    # three steps of warming up teach little: each hovers about what one class alone would give
    assert all(0.4 < said["accuracy"] < 0.65 for said in found.values())
    assert all(
        said["accuracy"] * 1066 == pytest.approx(round(said["accuracy"] * 1066)) for said in found.values()
    )


@pytest.mark.slow
def test_the_committee_is_scored_as_a_trial_scores_it(recipe: Any) -> None:
    short = replace(recipe, steps=60)
    assert claim.heard(short, 3)["committee"]["accuracy"] == readers.learned(short, 3)
