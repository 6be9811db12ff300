"""Dimension reduction: draw many-dimensional points on a page, so that neighbours stay neighbours.

PCA is a straight projection: it keeps large distances. t-SNE keeps neighbourhoods. Around each point i it
puts a Gaussian, just wide enough that i has ``perplexity`` neighbours in effect, and turns distances into
shares:

    p_j|i = exp(-|x_i - x_j|^2 b_i) / sum_k exp(-|x_i - x_k|^2 b_i),   p_ij = (p_j|i + p_i|j) / 2n
    b_i by bisection, so that the entropy of p_.|i is log(perplexity)                      (equations 1 and 2)
    q_ij = (1 + |y_i - y_j|^2)^-1 / sum of the same over all pairs                         (equation 4)
    minimise KL(p || q); its gradient by y_i is
    4 sum_j (p_ij - q_ij) (y_i - y_j) (1 + |y_i - y_j|^2)^-1                               (equation 5)

The heavy tail of q leaves room on the page: points that are moderately far apart may be drawn far apart. So
distances between clusters, and the sizes of clusters, mean little; which points lie together means much.

Source: van der Maaten and Hinton, Visualizing Data using t-SNE (2008), sections 2 and 3. The step size n /
12, for an exaggeration of 12: Belkina et al. 2019, https://doi.org/10.1038/s41467-019-13055-y. The gains:
Jacobs 1988.

Axes used below
    n  points      d  their coordinates      c  coordinates on the page
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fathom.card import Card
from fathom.fundamentals.mathematics import eigen

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="PCA and t-SNE embeddings",
    paper="https://jmlr.org/papers/v9/vandermaaten08a.html",
    year=2008,
    summary="Draws points of many dimensions in the plane so that near ones stay near.",
    rows=("MA15",),
    builds_on=("eigen",),
    differs=(
        "Starts from scaled principal components unless a start is given, so that the picture repeats.",
        "Exaggerates 12 times for a quarter of the steps; the paper 4 times for 50 of 1,000.",
    ),
    oracle="scikit-learn's PCA, and its exact TSNE from the same 4 starts on 300 digits: mean KL within 2 %",
)

SMALLEST = float(np.finfo(np.float64).eps)  # no share is less: its logarithm is taken


class Embedding(NamedTuple):
    """Points on the page, and what is left of KL(p || q), in nats."""

    points: Float[np.ndarray, "n c"]
    divergence: float


def pca_embedding(data: np.ndarray, components: int = 2) -> Float[np.ndarray, "n c"]:
    """``data`` (n, d) along its first principal components."""
    return eigen.pca(data, components).project(data)


def pca_embedding_by_hand(data: np.ndarray, components: int = 2) -> Float[np.ndarray, "n c"]:
    return eigen.pca_by_hand(data, components).project(data)


def affinities(data: np.ndarray, perplexity: float = 30.0) -> Float[np.ndarray, "n n"]:
    """The shares p_ij of ``data`` (n, d): symmetric, 0 on the diagonal, summing to 1.

    ``perplexity`` is at least 1 and below n - 1. Where more points than that coincide, they share alike.
    """
    data = _points("data", data)
    if not 1 <= perplexity < len(data) - 1:
        raise ValueError(
            f"perplexity is {perplexity}; for {len(data)} points it must be in [1, {len(data) - 1})"
        )
    distances = _squared_distances(data)
    rounding = 16 * SMALLEST * distances.max()
    np.fill_diagonal(distances, np.inf)
    # Less the nearest: the same shares, and one of them at least does not underflow.
    distances -= distances.min(axis=1, keepdims=True)
    distances[distances < rounding] = 0.0  # else equal distances would be told apart by their last digits
    others = ~np.eye(len(data), dtype=bool)
    spread = float(distances[others].mean()) or 1.0
    precision = np.full(len(data), 1 / spread)
    low, high = np.zeros(len(data)), np.full(len(data), np.inf)
    shares = np.zeros_like(distances)
    for _ in range(100):
        shares = np.exp(-distances * precision[:, None])
        total = shares.sum(axis=1)
        shares /= total[:, None]
        mean = np.where(others, distances, 0.0) * shares
        too_wide = np.log(total) + precision * mean.sum(axis=1) > math.log(perplexity)
        low, high = np.where(too_wide, precision, low), np.where(too_wide, high, precision)
        precision = np.where(np.isinf(high), 2 * precision, (low + high) / 2)
    return (shares + shares.T) / (2 * len(data))


def affinities_by_hand(data: np.ndarray, perplexity: float = 30.0) -> Float[np.ndarray, "n n"]:
    count = len(data)
    conditional = np.zeros((count, count))
    for i in range(count):
        shares = [0.0] * count
        low, high = 1e-12, 1e12  # the precision: bisected on a logarithmic scale
        while high / low > 1 + 1e-14:
            middle = math.sqrt(low * high)
            powers = [
                0.0 if j == i else math.exp(-middle * float(((data[i] - data[j]) ** 2).sum()))
                for j in range(count)
            ]
            total = sum(powers)
            shares = [power / total for power in powers] if total else [0.0] * count
            entropy = -sum(share * math.log(share) for share in shares if share > 0)
            low, high = (middle, high) if entropy > math.log(perplexity) else (low, middle)
        conditional[i] = shares
    return (conditional + conditional.T) / (2 * count)


def divergence(shares: np.ndarray, points: np.ndarray) -> tuple[float, Float[np.ndarray, "n c"]]:
    """KL(p || q) of ``shares`` p (n, n) and points on the page (n, c), and its gradient by the points."""
    points = _points("points", points)
    if shares.shape != (len(points), len(points)):
        raise ValueError(f"shares has shape {shares.shape}; it must be ({len(points)}, {len(points)})")
    closeness = 1 / (1 + _squared_distances(points))
    np.fill_diagonal(closeness, 0.0)
    drawn = np.maximum(closeness / closeness.sum(), SMALLEST)
    loss = float((shares * np.log(np.maximum(shares, SMALLEST) / drawn)).sum())
    pull = (shares - drawn) * closeness
    return loss, 4 * (pull.sum(axis=1)[:, None] * points - pull @ points)


def divergence_by_hand(shares: np.ndarray, points: np.ndarray) -> tuple[float, Float[np.ndarray, "n c"]]:
    count = len(points)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    closeness = {(i, j): 1 / (1 + float(((points[i] - points[j]) ** 2).sum())) for i, j in pairs}
    total = sum(closeness.values())
    loss, gradient = 0.0, np.zeros_like(points)
    for i, j in pairs:
        p, q = float(shares[i, j]), closeness[i, j] / total
        loss += p * math.log(p / q) if p > 0 else 0.0
        gradient[i] += 4 * (p - q) * closeness[i, j] * (points[i] - points[j])
    return loss, gradient


def tsne(
    data: np.ndarray,
    *,
    perplexity: float = 30.0,
    components: int = 2,
    start: np.ndarray | None = None,
    learning_rate: float | None = None,
    exaggeration: float = 12.0,
    steps: int = 1000,
) -> Embedding:
    """Exact t-SNE of ``data`` (n, d): every pair at every step, so for a few thousand points at most.

    ``start`` is (n, components); without it the first principal components, scaled to a deviation of 1e-4.
    The first quarter of ``steps`` pulls ``exaggeration`` times as hard, with momentum 0.5, so that clusters
    form early; then 0.8. ``learning_rate`` is n / (4 exaggeration), 50 or more, unless given: the factor 4 of
    the gradient stands in it as in the paper.
    """
    data = _points("data", data)
    _positive(learning_rate=learning_rate or 1.0, exaggeration=exaggeration, steps=steps)
    shares = affinities(data, perplexity)
    y = _start(data, components) if start is None else _points("start", start)
    if y.shape != (len(data), components):
        raise ValueError(f"start has shape {y.shape}; it must be ({len(data)}, {components})")
    rate = learning_rate or max(len(data) / exaggeration / 4, 50.0)
    early = steps // 4
    velocity, gains = np.zeros_like(y), np.ones_like(y)
    for step in range(steps):
        if step == early:
            velocity, gains = np.zeros_like(y), np.ones_like(y)
        factor, momentum = (exaggeration, 0.5) if step < early else (1.0, 0.8)
        _, gradient = divergence(shares * factor, y)
        # A coordinate that keeps its course speeds up; one that turns back slows down.
        gains = np.where(velocity * gradient < 0, gains + 0.2, gains * 0.8).clip(min=0.01)
        velocity = momentum * velocity - rate * gains * gradient
        y = y + velocity
    return Embedding(y, divergence(shares, y)[0])


def tsne_by_hand(data: np.ndarray, *, perplexity: float, start: np.ndarray, steps: int) -> Embedding:
    """The same with loops in place of matrices, for a handful of points."""
    shares, y = affinities_by_hand(data, perplexity), np.array(start, dtype=np.float64)
    velocity, gains = np.zeros_like(y), np.ones_like(y)
    for step in range(steps):
        early = step < steps // 4
        if step == steps // 4:
            velocity, gains = np.zeros_like(y), np.ones_like(y)
        _, gradient = divergence_by_hand(shares * (12.0 if early else 1.0), y)
        for place in np.ndindex(*y.shape):
            same_course = velocity[place] * gradient[place] < 0
            gains[place] = max(0.01, gains[place] + 0.2 if same_course else gains[place] * 0.8)
            velocity[place] = (0.5 if early else 0.8) * velocity[place] - 50.0 * gains[place] * gradient[
                place
            ]
            y[place] += velocity[place]
    return Embedding(y, divergence_by_hand(shares, y)[0])


def _squared_distances(points: np.ndarray) -> Float[np.ndarray, "n n"]:
    centred = points - points.mean(axis=0)  # smaller squares, so that less cancels below
    squares = (centred**2).sum(axis=1)
    distances = (squares[:, None] + squares[None, :] - 2 * centred @ centred.T).clip(min=0)
    np.fill_diagonal(distances, 0.0)
    return distances


def _start(data: np.ndarray, components: int) -> np.ndarray:
    projected = pca_embedding(data, components)
    return projected * (1e-4 / projected[:, 0].std())


def _points(name: str, value: np.ndarray) -> np.ndarray:
    if value.dtype.kind not in "iuf" or value.ndim != 2 or len(value) < 3:
        raise ValueError(
            f"{name} has dtype {value.dtype}, shape {value.shape}; give 3 or more rows of real numbers"
        )
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity; all entries must be finite")
    return value.astype(np.float64)


def _positive(**settings: float | int) -> None:
    for name, value in settings.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} is {value}; it must be positive and finite")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)
    data, page = dice.normal(size=(10, 4)), dice.normal(size=(10, 2))
    shares = affinities(data, 3.0)
    yield Twin("pca_embedding", pca_embedding, pca_embedding_by_hand, (data, 2), gradients=False)
    yield Twin("affinities", affinities, affinities_by_hand, (data, 3.0), 1e-11, False)
    yield Twin("divergence", _arrays(divergence), _arrays(divergence_by_hand), (shares, page), 1e-12, False)

    def ours(data: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, ...]:
        return _arrays(tsne)(data, perplexity=3.0, start=start, steps=40)

    def by_hand(data: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, ...]:
        return _arrays(tsne_by_hand)(data, perplexity=3.0, start=start, steps=40)

    yield Twin("tsne", ours, by_hand, (data, page * 0.1), 1e-8, False)


def _arrays(function: Any) -> Any:
    return lambda *inputs, **settings: tuple(np.asarray(part) for part in function(*inputs, **settings))
