"""Naive Bayes: Bayes' theorem with features taken to be independent of each other within a class.

    P(class | x) is proportional to P(class) prod_j P(x_j | class)

The assumption is false for words (after "San" comes "Francisco") and yet the largest product is often
that of the right class, even where the probability itself is far too sure (Domingos and Pazzani 1997).
Training is counting, one pass and no gradient, which makes it the baseline every text classifier has
to beat (McCallum and Nigam 1998; for short reviews Wang and Manning 2012).

    multinomial   P(x | class) = prod_j theta_j^x_j,   theta_j = (count_j + s) / sum_j (count_j + s)
    Gaussian      P(x | class) = prod_j N(x_j; mean_j, variance_j)

x_j is how often word j occurs; s > 0 is a Dirichlet prior: each word was seen s times before the first
text (``bayes.dirichlet_multinomial``), so that one new word cannot make a class impossible.

Axes: n  examples     v  features: words, or measurements     c  classes
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Naive Bayes",
    paper="https://www.cs.cmu.edu/~knigam/papers/multinomial-aaaiws98.pdf",
    year=1998,
    summary="Classifies by multiplying what each feature alone says; it learns by counting.",
    rows=("MA08",),
    differs=("All classes must occur among the labels: a class never seen has no likelihood.",),
    oracle="sklearn.naive_bayes: the same predictions, log-probabilities to 1e-9",
)


@dataclass(frozen=True, eq=False)
class MultinomialNaiveBayes:
    """Counts of words tell the class. Made by ``fit``; ``counts`` may be a sparse COO tensor."""

    log_prior: Float[Tensor, "c"]
    log_feature: Float[Tensor, "c v"]

    @classmethod
    def fit(cls, counts: Tensor, labels: Tensor, smoothing: float = 1.0) -> "MultinomialNaiveBayes":
        """Learn from ``counts`` (n, v), 0 or more, and ``labels`` (n,) that hold every class in [0, c).

        Raises ValueError for other shapes and values, or a ``smoothing`` that is not above 0.
        """
        if not 0 < smoothing < math.inf:
            raise ValueError(f"smoothing is {smoothing}; it must be above 0 and finite")
        one_hot = members(counts, labels).to(counts.dtype)
        stored = counts.coalesce().values() if counts.is_sparse else counts
        if not bool(((stored >= 0) & stored.isfinite()).all()):
            raise ValueError(f"counts holds {float(stored.detach().min())}; counts are 0 or more and finite")
        total = (counts.t() @ one_hot).t() + smoothing
        share = one_hot.sum(0) / len(labels)
        return cls(share.log(), total.log() - total.sum(-1, keepdim=True).log())

    def log_posterior(self, counts: Tensor) -> Float[Tensor, "n c"]:
        """Logarithms of P(class | counts) as (n, c)."""
        _same_features(counts, self.log_feature)
        return (counts @ self.log_feature.t() + self.log_prior).log_softmax(-1)

    def predict(self, counts: Tensor) -> Int[Tensor, "n"]:
        """The likeliest class of each row of ``counts`` (n, v), as (n,)."""
        return self.log_posterior(counts).argmax(-1)


@dataclass(frozen=True, eq=False)
class GaussianNaiveBayes:
    """Measurements that are normal within each class tell the class. Made by ``fit``."""

    log_prior: Float[Tensor, "c"]
    mean: Float[Tensor, "c v"]
    variance: Float[Tensor, "c v"]

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, floor: float = 1e-9) -> "GaussianNaiveBayes":
        """Learn from ``features`` (n, v) and ``labels`` (n,) that hold every class in [0, c).

        ``floor`` times the largest variance of a feature is added to all variances, so that a feature
        that never changes within a class does not divide by 0. Raises ValueError for other shapes and
        values, or features that are all constant.
        """
        if not 0 <= floor < math.inf:
            raise ValueError(f"floor is {floor}; it must be 0 or more and finite")
        one_hot = members(features, labels).to(features.dtype)
        if not bool(features.isfinite().all()):
            raise ValueError("features holds NaN or infinity; every feature must be finite")
        size = one_hot.sum(0)[:, None]
        mean = one_hot.t() @ features / size
        gap = features - mean[labels]
        variance = one_hot.t() @ gap.square() / size + floor * features.var(0, correction=0).max()
        if not bool((variance > 0).all()):
            raise ValueError(f"features has a variance of 0 within a class with floor {floor}; raise floor")
        return cls((size[:, 0] / len(labels)).log(), mean, variance)

    def log_posterior(self, features: Tensor) -> Float[Tensor, "n c"]:
        """Logarithms of P(class | features) as (n, c)."""
        _same_features(features, self.mean)
        gap = features[:, None] - self.mean
        log_density = -0.5 * (gap.square() / self.variance + (2 * math.pi * self.variance).log())
        return (self.log_prior + log_density.sum(-1)).log_softmax(-1)

    def predict(self, features: Tensor) -> Int[Tensor, "n"]:
        """The likeliest class of each row of ``features`` (n, v), as (n,)."""
        return self.log_posterior(features).argmax(-1)


def members(rows: Tensor, labels: Tensor) -> Int[Tensor, "n c"]:
    """Which example is of which class, (n, c); ValueError unless shapes, types and classes fit."""
    if rows.ndim != 2 or labels.shape != rows.shape[:1] or not len(rows):
        shapes = f"{tuple(rows.shape)} and {tuple(labels.shape)}"
        raise ValueError(f"features and labels have shapes {shapes}; they must be (n, v) and (n,), n >= 1")
    if not rows.is_floating_point() or labels.dtype != torch.int64:
        types = f"{rows.dtype} and {labels.dtype}"
        raise ValueError(f"features and labels are of types {types}; they must be floating-point and int64")
    seen = torch.unique(labels).tolist()
    if seen != list(range(len(seen))):
        raise ValueError(f"labels holds the classes {seen[:10]}; it must hold each of 0 .. c - 1")
    return F.one_hot(labels, len(seen))


def _same_features(rows: Tensor, learned: Tensor) -> None:
    if rows.ndim != 2 or rows.shape[1] != learned.shape[1]:
        raise ValueError(f"features has shape {tuple(rows.shape)}; it must be (n, {learned.shape[1]})")


def phrases(text: str, longest: int) -> list[str]:
    """The words of a text and its runs of up to ``longest`` >= 1 words, split at white space."""
    if longest < 1:
        raise ValueError(f"longest is {longest}; it must be 1 or more words")
    words = text.split()
    return [
        " ".join(words[start : start + length])
        for length in range(1, longest + 1)
        for start in range(len(words) - length + 1)
    ]


def count_phrases(
    texts: Sequence[str], longest: int = 2, vocabulary: dict[str, int] | None = None
) -> tuple[Tensor, dict[str, int]]:
    """How often each phrase of up to ``longest`` words occurs: sparse (n, v) in float32, and the columns.

    Given a ``vocabulary``, phrases that are not in it are passed over, as those of a test text must be.
    """
    if longest < 1:
        raise ValueError(f"longest is {longest}; it must be 1 or more words")
    columns = {} if vocabulary is None else vocabulary
    rows: list[int] = []
    places: list[int] = []
    values: list[int] = []
    for row, text in enumerate(texts):
        for phrase, count in Counter(phrases(text, longest)).items():
            place = (
                columns.get(phrase) if vocabulary is not None else columns.setdefault(phrase, len(columns))
            )
            if place is not None:
                rows.append(row)
                places.append(place)
                values.append(count)
    indices, counts = (
        torch.tensor([rows, places], dtype=torch.int64),
        torch.tensor(values, dtype=torch.float32),
    )
    size = (len(texts), len(columns))
    return torch.sparse_coo_tensor(indices, counts, size, check_invariants=True).coalesce(), columns


def cross_validated(texts: Sequence[str], labels: Sequence[int], folds: int = 5, longest: int = 2,
                    smoothing: float = 1.0, seed: int = 0) -> list[float]:  # fmt: skip
    """The accuracy on each of ``folds`` parts, of a multinomial naive Bayes trained on the others."""
    if len(texts) != len(labels) or not 2 <= folds <= len(texts):
        given = f"{folds} for {len(texts)} texts and {len(labels)} labels"
        raise ValueError(f"folds is {given}; give as many labels as texts, and 2 or more folds of them")
    truth, found = torch.tensor(labels), []
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed))
    for fold in range(folds):
        held = torch.arange(len(order)) % folds == fold
        train, test = order[~held], order[held]
        counts, vocabulary = count_phrases([texts[int(i)] for i in train], longest)
        unseen, _ = count_phrases([texts[int(i)] for i in test], longest, vocabulary)
        model = MultinomialNaiveBayes.fit(counts, truth[train], smoothing)
        found.append(float((model.predict(unseen) == truth[test]).double().mean()))
    return found


def sentiment_accuracies(folds: int = 5, longest: int = 2, seed: int = 0) -> list[float]:
    """``cross_validated`` on the 10,662 sentences of movie reviews: is this one positive?"""
    from fathom.data.sets import rt_polarity

    reviews = rt_polarity.read()
    return cross_validated(reviews.texts, reviews.labels, folds, longest, seed=seed)


def multinomial_by_hand(
    counts: Float[Tensor, "n v"], labels: Int[Tensor, "n"], query: Float[Tensor, "v"], smoothing: float
) -> Float[Tensor, "c"]:
    """P(class | query) for one row of counts, as products of plain probabilities."""
    joint = []
    for label in range(int(labels.max()) + 1):
        own = counts[labels == label]
        probability = torch.tensor(len(own) / len(counts), dtype=counts.dtype)
        total = own.sum() + smoothing * len(query)
        for word in range(len(query)):
            probability = probability * ((own[:, word].sum() + smoothing) / total) ** query[word]
        joint.append(probability)
    return torch.stack(joint) / torch.stack(joint).sum()


def gaussian_by_hand(
    features: Float[Tensor, "n v"], labels: Int[Tensor, "n"], query: Float[Tensor, "v"]
) -> Float[Tensor, "c"]:
    """P(class | query) for one row of features, as products of bell curves."""
    joint = []
    for label in range(int(labels.max()) + 1):
        own = features[labels == label]
        probability = torch.tensor(len(own) / len(features), dtype=features.dtype)
        for j in range(len(query)):
            mean = own[:, j].sum() / len(own)
            variance = ((own[:, j] - mean) ** 2).sum() / len(own)
            bell = torch.exp(-((query[j] - mean) ** 2) / (2 * variance)) / torch.sqrt(2 * math.pi * variance)
            probability = probability * bell
        joint.append(probability)
    return torch.stack(joint) / torch.stack(joint).sum()


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: posteriors of one query."""
    from fathom.fundamentals.twin import Twin

    labels = torch.tensor([0, 1, 1, 0])
    counts = torch.tensor([[2, 0, 1], [0, 3, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float64)
    features = torch.tensor([[0.1, 2.0], [1.4, -0.3], [0.8, 0.9], [-0.5, 1.2]], dtype=torch.float64)
    yield Twin("multinomial",
               lambda x, q: MultinomialNaiveBayes.fit(x, labels, 0.5).log_posterior(q[None])[0].exp(),
               lambda x, q: multinomial_by_hand(x, labels, q, 0.5), (counts + 0.1, counts[2]))  # fmt: skip
    yield Twin("gaussian",
               lambda x, q: GaussianNaiveBayes.fit(x, labels, floor=0.0).log_posterior(q[None])[0].exp(),
               lambda x, q: gaussian_by_hand(x, labels, q), (features, features[1] / 2))  # fmt: skip
