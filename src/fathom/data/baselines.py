"""Simple methods on encoded rows, for comparison: NumPy alone, and scikit-learn's where it is installed.

A method is a function of training rows (n, features) float32 and targets (n,), which returns a function
from rows to predictions: numbers (m,) in regression, probabilities (m, classes) in classification.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
Method = Callable[[np.ndarray, np.ndarray], Predict]
LARGEST = 10_000  # training rows given to a simple method; the first so many, in their shuffled order


def mean(x: np.ndarray, y: np.ndarray) -> Predict:
    """Always the mean of the training targets."""
    centre = float(y.mean())
    return lambda rows: np.full(len(rows), centre)


def ridge(x: np.ndarray, y: np.ndarray, penalties: Sequence[float] = (0.1, 1, 10, 100, 1000)) -> Predict:
    """Linear regression with a squared penalty, chosen by generalised cross-validation.

    Golub, Heath and Wahba 1979, equation 2.3: mean squared residual over the squared share of degrees of
    freedom that are left. One singular value decomposition serves every penalty.
    """
    centre, level = x.mean(axis=0, dtype=np.float64), float(y.mean())
    u, s, vt = np.linalg.svd(x - centre, full_matrices=False)
    along = u.T @ (y - level)
    scores = []
    for penalty in penalties:
        shrink = s**2 / (s**2 + penalty)
        residual = (y - level) - u @ (shrink * along)
        left = 1 - (1 + shrink.sum()) / len(y)
        scores.append((residual**2).mean() / max(left, 1e-6) ** 2)
    penalty = penalties[int(np.argmin(scores))]
    weights = vt.T @ (s / (s**2 + penalty) * along)
    return lambda rows: (rows - centre) @ weights + level


def ridge_classifier(classes: int) -> Method:
    """Ridge regression of each class's indicator, clipped and scaled to probabilities."""

    def fit(x: np.ndarray, y: np.ndarray) -> Predict:
        parts = [ridge(x, (y == c).astype(np.float64)) for c in range(classes)]

        def predict(rows: np.ndarray) -> np.ndarray:
            shares = np.stack([part(rows) for part in parts], axis=1).clip(1e-3, 1)
            return shares / shares.sum(axis=1, keepdims=True)

        return predict

    return fit


def regressors(seed: int = 0) -> dict[str, Method]:
    """Ridge, and with scikit-learn nearest neighbours, a random forest and gradient boosting."""
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
        from sklearn.neighbors import KNeighborsRegressor
    except ImportError:
        return {"ridge regression": ridge}

    def neighbours(x: np.ndarray, y: np.ndarray) -> Predict:
        return KNeighborsRegressor(min(10, len(x)), weights="distance").fit(x, y).predict

    def forest(x: np.ndarray, y: np.ndarray) -> Predict:
        return RandomForestRegressor(100, max_features=0.4, n_jobs=-1, random_state=seed).fit(x, y).predict

    def boosting(x: np.ndarray, y: np.ndarray) -> Predict:
        made = HistGradientBoostingRegressor(
            learning_rate=0.06, max_iter=200, max_leaf_nodes=15, min_samples_leaf=10, random_state=seed
        )
        return made.fit(x, y).predict

    return {
        "ridge regression": ridge,
        "nearest neighbours": neighbours,
        "random forest": forest,
        "gradient boosting": boosting,
    }


def classifiers(classes: int, seed: int = 0) -> dict[str, Method]:
    """Logistic regression, nearest neighbours, a random forest and gradient boosting; without
    scikit-learn, ridge regression of the classes' indicators.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
    except ImportError:
        return {"ridge regression of classes": ridge_classifier(classes)}

    def all_classes(model: object, x: np.ndarray, y: np.ndarray) -> Predict:
        made = model.fit(x, y)  # type: ignore[attr-defined]

        def predict(rows: np.ndarray) -> np.ndarray:
            shares = np.zeros((len(rows), classes))
            shares[:, made.classes_] = made.predict_proba(rows)  # a class may be absent from the rows
            return shares

        return predict

    models = {
        "logistic regression": lambda n: LogisticRegression(C=1.0, max_iter=2000),
        "nearest neighbours": lambda n: KNeighborsClassifier(min(10, n), weights="distance"),
        "random forest": lambda n: RandomForestClassifier(100, n_jobs=-1, random_state=seed),
        "gradient boosting": lambda n: HistGradientBoostingClassifier(
            learning_rate=0.06, max_iter=100, max_leaf_nodes=15, min_samples_leaf=10, random_state=seed
        ),
    }
    return {name: (lambda x, y, make=make: all_classes(make(len(x)), x, y)) for name, make in models.items()}


class NaiveBayes:
    """Multinomial naive Bayes over single tokens and pairs of neighbours, each counted once a text.

    Wang and Manning 2012, section 2.1: binary counts with one added to each (Laplace).
    """

    def __init__(self, texts: Iterable[Sequence[int]], labels: Sequence[int], classes: int) -> None:
        self.counts: list[Counter[object]] = [Counter() for _ in range(classes)]
        seen = np.zeros(classes)
        for text, label in zip(texts, labels, strict=True):
            self.counts[label].update(grams(text))
            seen[label] += 1
        self.sizes = [sum(c.values()) for c in self.counts]
        self.known = len(set().union(*self.counts))
        self.prior = np.log((seen + 1) / (seen.sum() + classes))

    def probabilities(self, text: Sequence[int]) -> np.ndarray:
        """Share of each class (classes,)."""
        scores = self.prior.copy()
        for gram in grams(text):
            found = [c[gram] for c in self.counts]
            if any(found):
                scores += [
                    math.log((k + 1) / (n + self.known)) for k, n in zip(found, self.sizes, strict=True)
                ]
        shares = np.exp(scores - scores.max())
        return shares / shares.sum()


def grams(text: Sequence[int]) -> set[object]:
    """The tokens and the pairs of neighbours of a text, each once."""
    return {*text, *itertools.pairwise(text)}
