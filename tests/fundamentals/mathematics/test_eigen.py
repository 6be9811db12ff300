"""Eigenvectors and SVD against torch.linalg, PCA against scikit-learn on its digits."""

import numpy as np
import pytest
import torch

from fathom.fundamentals.mathematics import eigen


def random_symmetric(dice: np.random.Generator, size: int) -> np.ndarray:
    square = dice.normal(size=(size, size))
    return square + square.T


def test_symmetric_eigen_equals_torch() -> None:
    """Fast version and QR iteration, on 40 random matrices: values and, up to sign, vectors to 1e-9."""
    dice = np.random.default_rng(0)
    for size in [1, 2, 3, 5, 8] * 8:
        matrix = random_symmetric(dice, size)
        values, vectors = (x.numpy() for x in torch.linalg.eigh(torch.from_numpy(matrix)))
        for version in (eigen.symmetric_eigen, eigen.symmetric_eigen_by_hand):
            ours, directions = version(matrix)
            np.testing.assert_allclose(ours, values, atol=1e-11)
            np.testing.assert_allclose(np.abs((directions * vectors).sum(axis=0)), 1, atol=1e-9)


def test_power_iteration_equals_torch() -> None:
    """Where the two largest sizes are a tenth apart or more: value and vector to 1e-9."""
    dice, done = np.random.default_rng(1), 0
    while done < 25:
        matrix = random_symmetric(dice, int(dice.integers(2, 7)))
        values, vectors = (x.numpy() for x in torch.linalg.eigh(torch.from_numpy(matrix)))
        order = np.argsort(-np.abs(values))
        if abs(values[order[1]]) > 0.9 * abs(values[order[0]]):
            continue
        done += 1
        for version in (eigen.dominant_eigenpair, eigen.dominant_eigenpair_by_hand):
            value, vector = version(matrix)
            assert value == pytest.approx(values[order[0]], abs=1e-10)
            assert abs(vector @ vectors[:, order[0]]) == pytest.approx(1, abs=1e-9)


def test_power_iteration_converges_at_the_ratio_of_eigenvalues() -> None:
    """The error shrinks by |l2 / l1| = 0.8 a step: so says section 8.2 of Golub and Van Loan."""
    turn, _ = eigen.qr(np.random.default_rng(2).normal(size=(3, 3)))
    matrix = turn @ np.diag([1.0, 0.8, 0.1]) @ turn.T
    vector, errors = turn.sum(axis=1), []
    for _ in range(40):
        vector = matrix @ vector / np.linalg.norm(matrix @ vector)
        errors.append(np.linalg.norm(vector - turn[:, 0]))
    assert errors[-1] / errors[-2] == pytest.approx(0.8, abs=1e-6)


def test_hard_matrices() -> None:
    """Equal eigenvalues, zeros, exchanges, blocks that do not touch, and huge and tiny sizes."""
    shift = np.roll(np.eye(5), 1, axis=0)
    cases = [
        np.zeros((3, 3)),
        np.eye(4),
        np.array([[0.0, 1.0], [1.0, 0.0]]),
        np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        np.eye(4)[::-1].copy(),
        shift + shift.T,
        np.ones((6, 6)),
        np.diag([1e8, 1.0, 1e-8]),
        1e150 * np.array([[2.0, 1.0], [1.0, 2.0]]),
        np.array([[1e-200]]),
        np.block(
            [[np.ones((2, 2)), np.zeros((2, 2))], [np.zeros((2, 2)), np.array([[0.0, 3.0], [3.0, 0.0]])]]
        ),
    ]
    for matrix in cases:
        values, vectors = eigen.symmetric_eigen_by_hand(matrix)
        size = float(np.abs(matrix).max()) or 1.0
        np.testing.assert_allclose(values / size, np.linalg.eigvalsh(matrix) / size, atol=1e-13)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(matrix)), atol=1e-13)
        np.testing.assert_allclose((matrix @ vectors - vectors * values) / size, 0, atol=1e-13)


def test_svd_and_qr_equal_torch() -> None:
    dice = np.random.default_rng(3)
    for shape in [(1, 1), (3, 3), (5, 2), (2, 5), (6, 4), (1, 4), (4, 1)] * 4:
        matrix = dice.normal(size=shape)
        values = torch.linalg.svdvals(torch.from_numpy(matrix)).numpy()
        for decompose in (eigen.svd, eigen.svd_by_hand):
            left, found, right = decompose(matrix)
            np.testing.assert_allclose(found, values, atol=1e-10)
            np.testing.assert_allclose((left * found) @ right, matrix, atol=1e-10)
            np.testing.assert_allclose(left.T @ left, np.eye(min(shape)), atol=1e-12)
            np.testing.assert_allclose(right @ right.T, np.eye(min(shape)), atol=1e-12)
        wanted = torch.linalg.qr(torch.from_numpy(matrix))
        for factor in (eigen.qr, eigen.qr_by_hand):
            q, r = factor(matrix)
            np.testing.assert_allclose(np.abs(q), wanted.Q.abs().numpy(), atol=1e-12)
            np.testing.assert_allclose(q @ r, matrix, atol=1e-12)
            assert (np.diag(r) >= 0).all() and not np.tril(r, -1).round(12).any()


def test_svd_of_a_matrix_without_full_rank() -> None:
    flat = np.outer([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, -1.0])
    for decompose in (eigen.svd, eigen.svd_by_hand):
        left, values, right = decompose(flat)
        np.testing.assert_allclose(values, [np.sqrt(60), 0, 0], atol=1e-7)
        np.testing.assert_allclose((left * values) @ right, flat, atol=1e-7)
        np.testing.assert_allclose(left.T @ left, np.eye(3), atol=1e-12)


def test_principal_components_of_a_drawn_cloud() -> None:
    """Shares add to 1, axes are orthonormal, projections uncorrelated, all components give the data back."""
    data = np.random.default_rng(4).normal(size=(50, 4)) @ np.diag([5.0, 2.0, 1.0, 0.1]) + 7
    found = eigen.pca(data, 4)
    assert found.share.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(np.cov(found.project(data).T), np.diag(found.variance), atol=1e-10)
    np.testing.assert_allclose(found.reconstruct(found.project(data)), data, atol=1e-12)
    curve = eigen.reconstruction_curve(data, 4)
    assert curve[-1] == pytest.approx(0, abs=1e-12) and (np.diff(curve) < 0).all()
    assert eigen.pca(data.astype(np.float16), 1).share[0] == pytest.approx(found.share[0], abs=1e-3)
    assert eigen.pca(np.array([[1e4, 0], [-1e4, 0]]), 1).variance[0] == pytest.approx(2e8)


@pytest.mark.slow
def test_pca_of_digits_equals_sklearn() -> None:
    """Mean, axes, variances and shares of all 64 components to 1e-6, by SVD and by QR iteration."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    digits = load_digits().data
    theirs = PCA(svd_solver="full").fit(digits)
    for ours in (eigen.pca(digits, 64), eigen.pca_by_hand(digits, 64)):
        np.testing.assert_allclose(ours.variance, theirs.explained_variance_, atol=1e-9)
        np.testing.assert_allclose(ours.share, theirs.explained_variance_ratio_, atol=1e-9)
        np.testing.assert_allclose(ours.axes[:40], theirs.components_[:40], atol=1e-9)
    np.testing.assert_allclose(
        eigen.pca(digits, 10).project(digits), theirs.transform(digits)[:, :10], atol=1e-9
    )


@pytest.mark.slow
def test_reconstruction_curve_of_digits() -> None:
    """As for eigenfaces: the error falls at every step; 20 of 64 components keep 9/10 of the variance."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    digits = load_digits().data
    curve = eigen.reconstruction_curve(digits, 40)
    for count in (5, 20, 40):
        theirs = PCA(count, svd_solver="full").fit(digits)
        lost = ((theirs.inverse_transform(theirs.transform(digits)) - digits) ** 2).mean()
        assert curve[count] == pytest.approx(lost, abs=1e-9)
    assert (np.diff(curve) < 0).all()
    assert 0.88 < 1 - curve[20] / curve[0] < 0.91


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eigen.symmetric_eigen(np.array([[1.0, 2.0], [0.0, 1.0]])), "is not symmetric"),
        (lambda: eigen.symmetric_eigen(np.ones((2, 3))), "is not symmetric"),
        (lambda: eigen.symmetric_eigen(np.ones((0, 0))), "at least 1 by 1"),
        (lambda: eigen.dominant_eigenpair(np.array([[np.inf]])), "matrix holds NaN or infinity"),
        (
            lambda: eigen.dominant_eigenpair_by_hand(np.diag([1.0, -1.0])),
            "no single eigenvalue of largest size",
        ),
        (lambda: eigen.svd(np.ones(3)), r"matrix has dtype float64, shape \(3,\)"),
        (lambda: eigen.qr(np.array([["a"]])), "a matrix of real numbers"),
        (lambda: eigen.pca(np.ones((5, 3)), 2), "same point 5 times"),
        (lambda: eigen.pca(np.eye(3), 4), r"components is 4 for data of shape \(3, 3\)"),
        (lambda: eigen.pca(np.eye(3)[:1], 1), "at least 2 points"),
        (lambda: eigen.pca(np.eye(3), 0), "components is 0"),
        (
            lambda: eigen.pca(np.eye(3), 2).project(np.ones((4, 2))),
            r"data has shape \(4, 2\); it must be \(p, 3\), as what gave the axes",
        ),
        (lambda: eigen.pca(np.eye(3), 2).project(np.ones(3)), r"data has dtype float64, shape \(3,\)"),
        (lambda: eigen.pca(np.eye(3), 2).project(np.full((1, 3), np.nan)), "data holds NaN or infinity; all"),
        (lambda: eigen.pca(np.eye(3), 2).project(np.array([["a"] * 3])), "a matrix of real numbers"),
        (
            lambda: eigen.pca(np.eye(3), 2).reconstruct(np.array([[np.inf] * 2])),
            "scores holds NaN or infinity",
        ),
        (lambda: eigen.pca(np.eye(3), 2).reconstruct(np.ones(2)), r"scores has dtype float64, shape \(2,\)"),
        (lambda: eigen.pca(np.eye(3), 2).reconstruct(np.ones((4, 3))), r"scores has shape \(4, 3\)"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
