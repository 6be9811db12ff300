"""Naive Bayes against scikit-learn, on counts, measurements and sentences."""

import numpy as np
import pytest
import torch

from fathom.fundamentals.mathematics.naive_bayes import (
    GaussianNaiveBayes,
    MultinomialNaiveBayes,
    count_phrases,
    cross_validated,
    phrases,
    sentiment_accuracies,
)

TEXTS = ("a good film", "a bad film", "good good acting", "bad plot , bad film", "a film")
LABELS = torch.tensor([1, 0, 1, 0, 1])


@pytest.mark.slow
def test_multinomial_predicts_as_sklearn() -> None:
    from sklearn.naive_bayes import MultinomialNB

    for seed in range(30):
        dice = np.random.default_rng(seed)
        classes, features, smoothing = (
            int(dice.integers(2, 6)),
            int(dice.integers(1, 40)),
            10 ** dice.uniform(-3, 1),
        )
        labels = np.concatenate([np.arange(classes), dice.integers(0, classes, 60)])
        counts = dice.poisson(0.5, (len(labels), features)).astype(np.float64)
        queries = dice.poisson(0.7, (50, features)).astype(np.float64)
        theirs = MultinomialNB(alpha=smoothing).fit(counts, labels)
        for rows in (torch.tensor(counts), torch.tensor(counts).to_sparse()):
            ours = MultinomialNaiveBayes.fit(rows, torch.tensor(labels), smoothing)
            found = ours.log_posterior(torch.tensor(queries)).numpy()
            np.testing.assert_allclose(found, theirs.predict_log_proba(queries), rtol=1e-9, atol=1e-9)
            assert (ours.predict(torch.tensor(queries)).numpy() == theirs.predict(queries)).all()


@pytest.mark.slow
def test_gaussian_predicts_as_sklearn() -> None:
    from sklearn.naive_bayes import GaussianNB

    for seed in range(30):
        dice = np.random.default_rng(seed)
        classes, features = int(dice.integers(2, 6)), int(dice.integers(1, 12))
        labels = np.concatenate([np.arange(classes)] * 3 + [dice.integers(0, classes, 60)])
        measured = dice.normal(size=(len(labels), features)) * 3 + labels[:, None]
        measured[:, 0] = labels  # a variance of 0 within each class
        queries = dice.normal(size=(50, features)) * 3 + 1
        theirs = GaussianNB().fit(measured, labels)
        ours = GaussianNaiveBayes.fit(torch.tensor(measured), torch.tensor(labels))
        found = ours.log_posterior(torch.tensor(queries)).numpy()
        np.testing.assert_allclose(found, theirs.predict_log_proba(queries), rtol=1e-9, atol=1e-9)
        assert (ours.predict(torch.tensor(queries)).numpy() == theirs.predict(queries)).all()


@pytest.mark.slow
def test_sentences_are_classified_as_by_sklearn() -> None:
    """The whole road, from text to class, on one split of the reviews."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB

    from fathom.data.sets import rt_polarity
    from fathom.errors import InputError

    try:
        reviews = rt_polarity.read()
    except InputError as reason:
        pytest.skip(str(reason))
    train, test = reviews.texts[::2], reviews.texts[1:2000:20]
    labels = np.array(reviews.labels[::2])
    vectorizer = CountVectorizer(tokenizer=str.split, token_pattern=None, lowercase=False, ngram_range=(1, 2))
    theirs = MultinomialNB().fit(vectorizer.fit_transform(train), labels)
    counts, vocabulary = count_phrases(train)
    assert set(vocabulary) == set(vectorizer.vocabulary_)
    ours = MultinomialNaiveBayes.fit(counts, torch.tensor(labels))
    unseen, _ = count_phrases(test, vocabulary=vocabulary)
    expected = theirs.predict_log_proba(vectorizer.transform(test))
    np.testing.assert_allclose(ours.log_posterior(unseen).numpy(), expected, rtol=1e-3, atol=1e-3)
    assert (ours.predict(unseen).numpy() == expected.argmax(1)).all()


@pytest.mark.slow
def test_sentiment_baseline() -> None:
    from fathom.errors import InputError

    try:
        found = sentiment_accuracies()
    except InputError as reason:
        pytest.skip(str(reason))
    assert len(found) == 5
    assert min(found) > 0.74
    assert sum(found) / 5 >= 0.75


def test_phrases_and_their_counts() -> None:
    assert phrases("a b a", 2) == ["a", "b", "a", "a b", "b a"]
    counts, vocabulary = count_phrases(["a b a", "", "b"], 2)
    assert vocabulary == {"a": 0, "b": 1, "a b": 2, "b a": 3}
    assert counts.to_dense().tolist() == [[2, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    unseen, same = count_phrases(["b c b"], 2, vocabulary)
    assert same is vocabulary and "c" not in vocabulary
    assert unseen.to_dense().tolist() == [[0, 2, 0, 0]]
    assert count_phrases([], 1)[0].shape == (0, 0)


def test_a_handful_of_reviews() -> None:
    counts, vocabulary = count_phrases(TEXTS)
    model = MultinomialNaiveBayes.fit(counts, LABELS)
    new, _ = count_phrases(["good film", "bad acting", "never seen words"], vocabulary=vocabulary)
    assert model.predict(new).tolist()[:2] == [1, 0]
    torch.testing.assert_close(model.log_posterior(new)[2].exp(), torch.tensor([0.4, 0.6]))  # the prior alone
    dense = MultinomialNaiveBayes.fit(counts.to_dense(), LABELS)
    torch.testing.assert_close(dense.log_posterior(new.to_dense()), model.log_posterior(new))


def test_folds_cover_everything_once() -> None:
    texts, labels = TEXTS * 6, LABELS.tolist() * 6
    assert cross_validated(texts, labels, folds=3) == cross_validated(texts, labels, folds=3)
    assert min(cross_validated(texts, labels, folds=3)) == 1  # every sentence occurs in training as well
    assert len(cross_validated(texts, labels, folds=30)) == 30


def test_extremes_stay_finite() -> None:
    counts = torch.tensor([[1e4, 0.0], [0.0, 1e4], [0.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    model = MultinomialNaiveBayes.fit(counts, labels, smoothing=1e-6)
    assert model.log_posterior(counts).isfinite().all()
    assert model.predict(counts).tolist() == [0, 1, 1]
    measured = torch.tensor([[1e4], [-1e4], [-1e4]], dtype=torch.float64)
    assert GaussianNaiveBayes.fit(measured, labels).predict(measured).tolist() == [0, 1, 1]
    one = GaussianNaiveBayes.fit(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 0]))
    assert one.log_posterior(torch.tensor([[5.0]])).tolist() == [[0]]
    half = MultinomialNaiveBayes.fit(torch.tensor([[2.0, 0], [0, 1]]).bfloat16(), torch.tensor([0, 1]))
    assert half.predict(torch.tensor([[3.0, 1.0]]).bfloat16()).tolist() == [0]


def test_bad_input_is_refused() -> None:
    counts, labels = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 1])
    fit = MultinomialNaiveBayes.fit
    cases = [
        (lambda: fit(counts, labels, smoothing=0.0), "smoothing is 0.0; it must be above 0"),
        (lambda: fit(-counts, labels), "counts holds -2.0; counts are 0 or more"),
        (lambda: fit(-counts.to_sparse(), labels), "counts holds -2.0; counts are 0 or more"),
        (lambda: fit(counts, labels[:1]), r"shapes \(2, 2\) and \(1,\)"),
        (lambda: fit(counts[:0], labels[:0]), "n >= 1"),
        (
            lambda: fit(counts.long(), labels),
            "types torch.int64 and torch.int64; they must be floating-point",
        ),
        (lambda: fit(counts, torch.tensor([0, 2])), r"labels holds the classes \[0, 2\]; it must hold each"),
        (
            lambda: fit(counts, labels).predict(torch.zeros(1, 3)),
            r"features has shape \(1, 3\); it must be \(n, 2\)",
        ),
        (lambda: GaussianNaiveBayes.fit(counts, labels, floor=-1.0), "floor is -1.0"),
        (lambda: GaussianNaiveBayes.fit(counts, labels, floor=0.0), "features has a variance of 0"),
        (lambda: GaussianNaiveBayes.fit(counts * torch.nan, labels), "features holds NaN"),
        (
            lambda: GaussianNaiveBayes.fit(counts, labels).predict(torch.zeros(3)),
            r"features has shape \(3,\)",
        ),
        (lambda: count_phrases(["a"], 0), "longest is 0; it must be 1 or more"),
        (lambda: phrases("a b", 0), "longest is 0; it must be 1 or more"),
        (lambda: cross_validated(["a", "b"], [0, 1], folds=1), "folds is 1 for 2 texts and 2 labels"),
        (lambda: cross_validated(["a", "b"], [0], folds=2), "folds is 2 for 2 texts and 1 labels"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
