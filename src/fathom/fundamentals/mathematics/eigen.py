"""Eigenvectors: the directions that a matrix only stretches, and what they say about data.

A symmetric matrix has n of them, at right angles: A v_i = l_i v_i, so A = V diag(l) V^T. In that basis the
matrix is n separate numbers.

    power iteration  v <- A v / |A v|: each step multiplies the share of v_i by l_i, so the largest wins, and
                     the error shrinks by |l_2 / l_1| a step (section 8.2)
    QR iteration     A - s I = Q R, then A <- R Q + s I: the same eigenvalues, and for a good shift s the last
                     row empties but for one of them (Francis 1961; the shift: Wilkinson 1965, section 8.3)
    SVD              any A = U diag(s) V^T: V are eigenvectors of A^T A, and the columns of A V, which are at
                     right angles, have lengths s and directions U (section 8.6)
    PCA              V of the centred data: the orthogonal axes along which its variance is largest
                     (Pearson 1901; Hotelling 1933)

Sections are those of Golub and Van Loan, Matrix Computations (2013).

Axes used below
    m, n  rows and columns of a matrix      r  the smaller of the two
    p  points of a data set                 d  their coordinates            c  components kept
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Eigenvectors, SVD and PCA",
    paper="https://doi.org/10.1093/comjnl/4.3.265",
    year=1961,
    summary="Finds the directions that a matrix only stretches, and the axes along which data varies most.",
    rows=("MA02", "MA15"),
    differs=(
        "The QR iteration multiplies whole matrices; libraries chase one entry down the tridiagonal, which "
        "costs n times less.",
    ),
    oracle="torch.linalg.eigh and svd, scikit-learn's PCA on its digits; in float64",
)

LIMIT = 10_000  # steps of the power iteration
ROUNDING = float(np.finfo(np.float64).eps)


def qr(matrix: np.ndarray) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r n"]]:
    """``matrix`` (m, n) as Q R: orthonormal columns times an upper triangle, its diagonal not negative."""
    q, r = np.linalg.qr(_real("matrix", matrix))
    return _positive_diagonal(q, r)


def qr_by_hand(matrix: np.ndarray) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r n"]]:
    """One mirror per column (Householder 1958) turns the column onto its axis, so that zeros lie below."""
    rows, columns = matrix.shape
    r, q = np.array(matrix, dtype=np.float64), np.eye(rows)
    for k in range(min(rows - 1, columns)):
        mirror = _mirror(r[k:, k])
        r[k:] -= 2 * np.outer(mirror, mirror @ r[k:])
        q[:, k:] -= 2 * np.outer(q[:, k:] @ mirror, mirror)
    rank = min(rows, columns)
    return _positive_diagonal(q[:, :rank], r[:rank])


def dominant_eigenpair(matrix: np.ndarray) -> tuple[float, Float[np.ndarray, "n"]]:
    """The eigenvalue of largest size of a symmetric ``matrix`` (n, n), with its eigenvector of length 1.

    The entry of largest size in the vector is positive.
    """
    values, vectors = symmetric_eigen(matrix)
    best = int(np.abs(values).argmax())
    return float(values[best]), vectors[:, best]


def dominant_eigenpair_by_hand(
    matrix: np.ndarray, *, tolerance: float = 1e-12
) -> tuple[float, Float[np.ndarray, "n"]]:
    """Power iteration. ValueError where it does not settle: two eigenvalues l and -l of the largest size."""
    vector = np.random.default_rng(0).normal(size=len(matrix))  # at right angles to nothing in particular
    vector /= np.linalg.norm(vector)
    for _ in range(LIMIT):
        image = matrix @ vector
        value = float(vector @ image)
        if np.linalg.norm(image - value * vector) <= tolerance * np.linalg.norm(image):
            return value, _signed(vector[:, None])[:, 0]
        vector = image / np.linalg.norm(image)
    raise ValueError(
        f"matrix has no single eigenvalue of largest size, or one too near it: after {LIMIT} steps the power "
        "iteration still turns; use symmetric_eigen"
    )


def symmetric_eigen(matrix: np.ndarray) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n n"]]:
    """All eigenvalues of a symmetric ``matrix`` (n, n), ascending, and its eigenvectors as columns.

    The vectors are orthonormal, the entry of largest size in each is positive. ValueError unless symmetric.
    """
    matrix = _real("matrix", matrix)
    size = float(np.abs(matrix).max(initial=0.0))
    if matrix.shape[0] != matrix.shape[1] or np.abs(matrix - matrix.T).max(initial=0.0) > 1e-10 * size:
        raise ValueError(f"matrix of shape {matrix.shape} is not symmetric; it must equal its transpose")
    if not matrix.size:
        raise ValueError("matrix has no entries; it must be at least 1 by 1")
    values, vectors = np.linalg.eigh(matrix)
    return values, _signed(vectors)


def symmetric_eigen_by_hand(matrix: np.ndarray) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n n"]]:
    """QR iteration: shift, split, multiply back; once the last row has emptied, go on with one row less."""
    a, vectors = _tridiagonal(matrix)
    scale, active = float(np.abs(a).max()), len(a)
    for _ in range(30 * len(a)):
        while active > 1 and abs(a[active - 1, active - 2]) <= ROUNDING * scale:
            active -= 1
        if active <= 1:
            break
        shift = _nearer_eigenvalue(a[active - 2 : active, active - 2 : active]) * np.eye(active)
        q, r = qr_by_hand(a[:active, :active] - shift)
        a[:active, :active] = r @ q + shift
        vectors[:, :active] = vectors[:, :active] @ q
    else:
        raise ValueError(
            f"matrix of shape {matrix.shape}: the QR iteration did not settle in {30 * len(a)} steps"
        )
    order = np.argsort(np.diag(a), kind="stable")
    return np.diag(a)[order], _signed(vectors[:, order])


def svd(
    matrix: np.ndarray,
) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r"], Float[np.ndarray, "r n"]]:
    """``matrix`` (m, n) as U diag(s) V^T: U, the singular values s, descending, and V^T.

    The entry of largest size in each row of V^T is positive.
    """
    left, values, right = np.linalg.svd(_real("matrix", matrix), full_matrices=False)
    signs = _signs(right.T)
    return left * signs, values, right * signs[:, None]


def svd_by_hand(
    matrix: np.ndarray,
) -> tuple[Float[np.ndarray, "m r"], Float[np.ndarray, "r"], Float[np.ndarray, "r n"]]:
    """V from A^T A, then U and s from the QR factors of A V.

    Squaring A squares the spread of its singular values: vectors of those below 1e-8 of the largest are lost.
    """
    if matrix.shape[0] < matrix.shape[1]:
        right, values, left = svd_by_hand(matrix.T)
        signs = _signs(right)
        return left.T * signs, values, (right * signs).T
    _, vectors = symmetric_eigen_by_hand(matrix.T @ matrix)
    right = vectors[:, ::-1]
    left, triangle = qr_by_hand(matrix @ right)
    return left, np.diag(triangle), right.T


class PrincipalComponents(NamedTuple):
    """The axes of a data set, most varied first, with the variance along each and its share of the whole."""

    mean: Float[np.ndarray, "d"]
    axes: Float[np.ndarray, "c d"]
    variance: Float[np.ndarray, "c"]
    share: Float[np.ndarray, "c"]

    def project(self, data: np.ndarray) -> Float[np.ndarray, "p c"]:
        """The coordinates along the axes of points (p, d); ValueError for another shape, or NaN in it."""
        data = _real("data", data)
        if data.shape[1] != len(self.mean):
            raise ValueError(
                f"data has shape {data.shape}; it must be (p, {len(self.mean)}), as what gave the axes"
            )
        return (data - self.mean) @ self.axes.T

    def reconstruct(self, scores: np.ndarray) -> Float[np.ndarray, "p d"]:
        """The points whose coordinates along the axes are ``scores`` (p, c); errors as for ``project``."""
        scores = _real("scores", scores)
        if scores.shape[1] != len(self.axes):
            raise ValueError(
                f"scores has shape {scores.shape}; it must be (p, {len(self.axes)}), as from ``project``"
            )
        return scores @ self.axes + self.mean


def pca(data: np.ndarray, components: int) -> PrincipalComponents:
    """The first ``components`` principal components of ``data`` (p, d), by its SVD.

    Variances have p - 1 below the line. The entry of largest size in each axis is positive. ValueError for
    fewer than 2 points, for points that are all equal, or for components outside 1 ... min(p, d).
    """
    data = _real("data", data)
    if len(data) < 2 or not 1 <= components <= min(data.shape):
        raise ValueError(
            f"components is {components} for data of shape {data.shape}; give at least 2 points, and "
            f"components from 1 to {min(data.shape)}"
        )
    mean = data.mean(axis=0)
    _, values, axes = svd(data - mean)
    variance = values**2 / (len(data) - 1)
    if not np.ptp(data, axis=0).any():
        raise ValueError(f"data holds the same point {len(data)} times; there is no variance to explain")
    share = variance / variance.sum()
    return PrincipalComponents(mean, axes[:components], variance[:components], share[:components])


def pca_by_hand(data: np.ndarray, components: int) -> PrincipalComponents:
    """The eigenvectors of the covariance matrix, whose eigenvalues are the variances along them."""
    mean, covariance = data.mean(axis=0), np.zeros((data.shape[1], data.shape[1]))
    for point in data:
        covariance += np.outer(point - mean, point - mean) / (len(data) - 1)
    values, vectors = symmetric_eigen_by_hand(covariance)
    variance, axes = values[::-1], vectors.T[::-1]
    share = variance / np.trace(covariance)
    return PrincipalComponents(mean, axes[:components], variance[:components], share[:components])


def reconstruction_curve(data: np.ndarray, most: int) -> Float[np.ndarray, "curve"]:
    """The mean squared error, per entry of ``data`` (p, d), of keeping 0, 1, ... ``most`` components.

    It is known without reconstructing anything: what is lost is the variance along the axes left out.
    """
    found = pca(data, most)
    kept = np.concatenate([[0.0], np.cumsum(found.variance)])
    total = found.variance[0] / found.share[0]
    return (total - kept).clip(min=0) * (len(data) - 1) / data.size


def reconstruction_curve_by_hand(data: np.ndarray, most: int) -> Float[np.ndarray, "curve"]:
    errors = [float(((data - data.mean(axis=0)) ** 2).mean())]
    for count in range(1, most + 1):
        found = pca_by_hand(data, count)
        errors.append(float(((data - found.reconstruct(found.project(data))) ** 2).mean()))
    return np.array(errors)


def _real(name: str, value: np.ndarray) -> np.ndarray:
    if value.dtype.kind not in "iuf" or value.ndim != 2:
        raise ValueError(
            f"{name} has dtype {value.dtype}, shape {value.shape}; it must be a matrix of real numbers"
        )
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity; all must be finite: drop such rows, or fill them")
    return value.astype(np.float64)


def _signs(columns: np.ndarray) -> np.ndarray:
    largest = np.abs(columns).argmax(axis=0)
    return np.where(columns[largest, np.arange(columns.shape[1])] < 0, -1.0, 1.0)


def _signed(columns: np.ndarray) -> np.ndarray:
    """An eigenvector is as good as its opposite: take the one whose largest entry is positive."""
    return columns * _signs(columns)


def _positive_diagonal(q: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    return q * signs, r * signs[:, None]


def _mirror(vector: np.ndarray) -> np.ndarray:
    """The unit u for which I - 2 u u^T sends ``vector`` onto its first axis; zeros where it is all zeros."""
    length = float(np.linalg.norm(vector))
    if length == 0:
        return np.zeros_like(vector)
    # Away from the vector's own sign: towards it, the subtraction would cancel its digits.
    mirror = vector / length
    mirror[0] += 1.0 if vector[0] >= 0 else -1.0
    return mirror / np.linalg.norm(mirror)


def _tridiagonal(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """T and Q with ``matrix`` = Q T Q^T, T zero beyond its three diagonals: the shifts then always work."""
    t, q = np.array(matrix, dtype=np.float64), np.eye(len(matrix))
    for k in range(len(t) - 2):
        mirror = _mirror(t[k + 1 :, k])
        t[k + 1 :] -= 2 * np.outer(mirror, mirror @ t[k + 1 :])
        t[:, k + 1 :] -= 2 * np.outer(t[:, k + 1 :] @ mirror, mirror)
        q[:, k + 1 :] -= 2 * np.outer(q[:, k + 1 :] @ mirror, mirror)
    return t, q


def _nearer_eigenvalue(corner: np.ndarray) -> float:
    """Wilkinson's shift: of the two eigenvalues of a 2 x 2 corner, the one nearer to its last entry."""
    off, last = float(corner[0, 1]), float(corner[1, 1])
    half = (float(corner[0, 0]) - last) / 2
    return last - off**2 / (half + (1.0 if half >= 0 else -1.0) * float(np.hypot(half, off)))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)
    tall = dice.normal(size=(7, 4))
    symmetric = tall.T @ tall
    yield Twin("qr", qr, qr_by_hand, (tall,), gradients=False)
    yield Twin("qr, wide", qr, qr_by_hand, (tall.T,), gradients=False)
    # The power iteration stops where |A v - l v| is 1e-12 of |A v|; the vector is off by that over the gap.
    yield Twin(
        "dominant_eigenpair",
        _arrays(dominant_eigenpair),
        _arrays(dominant_eigenpair_by_hand),
        (symmetric,),
        1e-10,
        False,
    )
    yield Twin(
        "symmetric_eigen", symmetric_eigen, symmetric_eigen_by_hand, (symmetric - np.eye(4),), gradients=False
    )
    yield Twin("svd", svd, svd_by_hand, (tall,), gradients=False)
    yield Twin("svd, wide", svd, svd_by_hand, (tall.T,), gradients=False)
    yield Twin("pca", pca, pca_by_hand, (tall, 3), gradients=False)
    yield Twin(
        "reconstruction_curve", reconstruction_curve, reconstruction_curve_by_hand, (tall, 4), gradients=False
    )


def _arrays(function: Any) -> Any:
    return lambda matrix: tuple(np.asarray(part) for part in function(matrix))
