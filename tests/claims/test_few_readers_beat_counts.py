"""All readers learn from and are asked about the same sentences, divided anew by each seed."""

from typing import Any

import pytest
import torch

from fathom.claims import few_readers_beat_counts as claim
from fathom.errors import InputError
from fathom.recipes import text_cnn


@pytest.fixture(scope="module")
def recipe() -> Any:
    try:
        return text_cnn.text_cnn()
    except InputError as reason:
        pytest.skip(str(reason))


def test_a_seed_divides_anew_and_the_model_fits_its_words(recipe: Any) -> None:
    one, other = (claim.divided_by(recipe, seed) for seed in (0, 1))
    for experiment in (one, other):
        data = experiment.data.load()
        assert data.valid is None and data.test is not None and not experiment.expect
        assert experiment.model.vocabulary == len(experiment.task.vocabulary)  # type: ignore[attr-defined]
    assert one.task.vocabulary != other.task.vocabulary  # type: ignore[attr-defined]
    first, second = (e.data.load().test.targets for e in (one, other))  # type: ignore[union-attr]
    assert len(first) == len(second) == 1066 and not torch.equal(first, second)
    assert one.task.vocabulary == recipe.task.vocabulary


def test_counts_get_the_sentences_that_networks_get(recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fathom.fundamentals.mathematics import naive_bayes

    given: list[list[str]] = []
    real = naive_bayes.count_phrases

    def noted(texts: list[str], *rest: Any) -> Any:
        given.append(texts)
        return real(texts, *rest)

    monkeypatch.setattr(naive_bayes, "count_phrases", noted)
    assert 0.7 < claim.counted(1) < 0.9
    experiment = claim.divided_by(recipe, 1)
    data = experiment.data.load()
    for texts, split in zip(given, (data.train, data.test), strict=True):
        assert torch.equal(experiment.task.encode(texts), split.rows(torch.arange(len(texts)))[0])  # type: ignore[attr-defined,union-attr]
        assert len(texts) == len(split)  # type: ignore[arg-type]


@pytest.mark.slow
def test_logistic_regression_is_that_of_scikit_learn(recipe: Any) -> None:
    from sklearn.linear_model import LogisticRegression

    found = claim.phrases_of(1, 1)
    train, test = (counts.to_dense().double().numpy() for counts in (found.train, found.test))
    often = (train > 0).sum(axis=0) >= 30
    theirs = LogisticRegression(max_iter=1000, tol=1e-6).fit(train[:, often], found.labels.numpy())
    assert claim.weighed(1, least=30) == pytest.approx(
        theirs.score(test[:, often], found.truth.numpy()), abs=1e-9
    )
