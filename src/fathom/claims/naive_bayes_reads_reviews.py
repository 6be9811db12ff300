"""Counting words, and pairs of words, tells a good film review from a bad one in three of four sentences.

Naive Bayes multiplies what each phrase alone says about the class, as if phrases did not depend on each
other. The assumption is false, and the classifier is hard to beat on short reviews nonetheless: Wang and
Manning (2012, table 2) report 77.9 % with single words and 79.0 % with pairs as well, on these sentences.
A pair such as "not funny" says what its words alone cannot.

10,662 sentences of film reviews, half of them positive. A seed shuffles them and cuts five parts; each part
is read by a model that counted the other four. ``words``: single words. ``pairs``: words and pairs of words.
``coin``: the share of the larger class, what a guess would get. ``accuracy``: mean over the five parts.
``worst``: of the worst part.
"""

from fathom.claim import Claim

CLAIM = Claim(
    sentence="Naive Bayes on words and pairs of words tells good from bad in three of four film reviews.",
    rows=("MA08",),
    expect=(
        "accuracy: pairs >= 0.75",
        "worst: pairs >= 0.74",
        "accuracy: pairs - words >= 0.002",
        "accuracy: words - coin >= 0.2",
    ),
    source="Wang and Manning 2012, Baselines and Bigrams, table 2; Pang and Lee 2005 for the data",
    builds_on=("naive_bayes",),
    seeds=5,
    differs=(
        "Five parts in place of the paper's ten, and words split at white space alone.",
        "Seeds shuffle the same sentences, so the interval is of the shuffle, not of new reviews.",
    ),
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    from fathom.data.sets import rt_polarity
    from fathom.fundamentals.mathematics.naive_bayes import cross_validated

    reviews = rt_polarity.read()
    positive = sum(reviews.labels) / len(reviews.labels)
    found = {"coin": {"accuracy": max(positive, 1 - positive)}}
    for name, longest in (("words", 1), ("pairs", 2)):
        scores = cross_validated(reviews.texts, reviews.labels, folds=5, longest=longest, seed=seed)
        found[name] = {"accuracy": sum(scores) / len(scores), "worst": min(scores)}
    return found
