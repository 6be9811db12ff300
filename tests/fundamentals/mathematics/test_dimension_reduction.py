"""PCA and t-SNE: gradients against autograd, results against scikit-learn."""

import math

import numpy as np
import pytest
import torch

from fathom.fundamentals.mathematics import dimension_reduction as dr


def clusters(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds in ten dimensions, far apart, and the cloud of each point."""
    dice = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), count)
    return dice.normal(size=(3 * count, 10)) + 8 * np.eye(10)[labels], labels


def test_affinities_have_the_perplexity_asked_for() -> None:
    """The entropy of each row, before the two directions are averaged, is log(perplexity)."""
    data, _ = clusters(6)
    for perplexity in (2.0, 12.0):
        shares = dr.affinities(data, perplexity)
        assert shares.sum() == pytest.approx(1) and not np.diag(shares).any()
        np.testing.assert_allclose(shares, shares.T, atol=0)
        np.testing.assert_allclose(shares, dr.affinities_by_hand(data, perplexity), atol=1e-13)
    equal = np.eye(5)  # five points, each as far from every other: every entropy is log 4
    np.testing.assert_allclose(dr.affinities(equal, 2.0), (1 - np.eye(5)) / 20, atol=1e-15)


def test_gradient_equals_autograd() -> None:
    data, _ = clusters(4)
    shares = dr.affinities(data, 3.0)
    points = np.random.default_rng(1).normal(size=(12, 2))
    y, p = torch.from_numpy(points).requires_grad_(), torch.from_numpy(shares)
    others = ~torch.eye(12, dtype=torch.bool)
    closeness = (1 / (1 + ((y[:, None] - y[None]) ** 2).sum(dim=2)))[others]
    wanted = (p[others] * (p[others] * closeness.sum() / closeness).log()).sum()
    (slopes,) = torch.autograd.grad(wanted, y)
    for version in (dr.divergence, dr.divergence_by_hand):
        loss, gradient = version(shares, points)
        assert loss == pytest.approx(float(wanted.detach()), abs=1e-12)
        np.testing.assert_allclose(gradient, slopes.numpy(), atol=1e-12)


def test_clusters_stay_together() -> None:
    """In the plane every point's nearest neighbour is of its own cloud, and the divergence is small."""
    data, labels = clusters()
    found = dr.tsne(data, perplexity=10.0, steps=400)
    gaps = ((found.points[:, None] - found.points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    assert (labels[gaps.argmin(axis=1)] == labels).all()
    assert found.divergence < 0.4
    again = dr.tsne(data, perplexity=10.0, steps=400)
    assert np.array_equal(found.points, again.points)


def test_pca_embedding_keeps_most_variance_and_is_repeatable() -> None:
    data, _ = clusters()
    page = dr.pca_embedding(data, 2)
    assert page.shape == (60, 2) and page[:, 0].var() > page[:, 1].var()
    np.testing.assert_allclose(page.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(dr.pca_embedding(data.astype(np.float16), 2), page, atol=0.05)


def test_hard_data() -> None:
    """Sizes of 1e4 and 1e-4, an outlier, and points that coincide: finite, and the same at every scale."""
    data, _ = clusters(5)
    shares = dr.affinities(data, 4.0)
    for scale in (1e-4, 1e4):
        np.testing.assert_allclose(dr.affinities(scale * data, 4.0), shares, atol=1e-9)
    data[0] += 1e4
    assert np.isfinite(dr.affinities(data, 4.0)).all()
    same = np.repeat(np.eye(3), 5, axis=0)
    found = dr.tsne(same, perplexity=2.0, steps=100)
    assert np.isfinite(found.points).all() and math.isfinite(found.divergence)
    assert np.isfinite(dr.affinities(np.ones((6, 2)), 2.0)).all()


@pytest.mark.slow
def test_tsne_of_digits_is_as_good_as_sklearn() -> None:
    """Exact t-SNE of 300 digits from the same starts, perplexity 30: KL within 2 % in the mean of four.

    One start may differ by 2 % either way: descent begins at a point of near balance, so the last digits of
    the shares decide into which of many minima it goes. That is so with scikit-learn's own shares too.
    """
    from sklearn.datasets import load_digits
    from sklearn.manifold import TSNE

    digits, ratios = load_digits().data[:300], []
    for seed in range(4):
        start = (1e-4 * np.random.default_rng(seed).normal(size=(300, 2))).astype(np.float32)
        theirs = TSNE(method="exact", init=start, perplexity=30.0, random_state=0).fit(digits)
        ours = dr.tsne(digits, perplexity=30.0, start=start)
        ratios.append(ours.divergence / float(theirs.kl_divergence_))
        # Their result under our measure: both count the same thing.
        measured, _ = dr.divergence(dr.affinities(digits, 30.0), theirs.embedding_.astype(np.float64))
        assert measured == pytest.approx(float(theirs.kl_divergence_), rel=1e-3)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)
    assert max(ratios) < 1.05


@pytest.mark.slow
def test_pca_embedding_of_digits_equals_sklearn() -> None:
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    digits = load_digits().data
    np.testing.assert_allclose(
        dr.pca_embedding(digits), PCA(2, svd_solver="full").fit_transform(digits), rtol=0, atol=1e-9
    )


DATA = np.arange(20.0).reshape(10, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dr.affinities(DATA, 9.0), r"perplexity is 9.0; for 10 points it must be in \[1, 9\)"),
        (lambda: dr.affinities(DATA, 0.5), "perplexity is 0.5"),
        (lambda: dr.affinities(DATA[:2]), r"data has dtype float64, shape \(2, 2\)"),
        (lambda: dr.affinities(DATA * np.nan), "data holds NaN or infinity"),
        (lambda: dr.divergence(np.ones((3, 3)), DATA), r"shares has shape \(3, 3\); it must be \(10, 10\)"),
        (
            lambda: dr.tsne(DATA, perplexity=3.0, start=DATA[:5]),
            r"start has shape \(5, 2\); it must be \(10, 2\)",
        ),
        (lambda: dr.tsne(DATA, perplexity=3.0, learning_rate=-1.0), "learning_rate is -1.0"),
        (lambda: dr.tsne(DATA, perplexity=3.0, steps=0), "steps is 0"),
        (lambda: dr.pca_embedding(DATA, 3), "components is 3"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
