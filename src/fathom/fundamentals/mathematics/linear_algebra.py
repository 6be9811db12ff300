"""Linear algebra: a matrix is a table of numbers, and a map that keeps straight lines straight.

Column j of A is the place to which the map sends the j-th unit vector; the rest follows by addition.
Column j of A B is where A sends column j of B, so a product of matrices is one map after another.

    matmul          (A B)_ij = sum_k A_ik B_kj
    einsum          any sum of products: an index that the output lacks is summed over
    outer           (a b^T)_ij = a_i b_j
    norms           |x|_p = (sum_i |x_i|^p)^(1/p), and the greatest stretch that a matrix can cause
    determinant     the signed factor by which A changes volumes
    solve           A x = b, by elimination with row exchanges
    least squares   |A x - b| is least where the residual is orthogonal to all columns: A^T A x = A^T b

Source: Boyd and Vandenberghe, Introduction to Applied Linear Algebra (2018): chapter 3 (norms), section 7.1
(maps of the plane), chapters 10 and 11 (products, equations), section 12.2 (least squares). Matrix norms and
elimination with pivots: Golub and Van Loan, Matrix Computations (2013), sections 2.3 and 3.4.

Axes used below
    m, n  rows and columns of a matrix      k  an axis that is summed over      p  points
    d, e  coordinates before and after a map
"""

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Linear algebra",
    paper="https://web.stanford.edu/~boyd/vmls/",
    year=2018,
    summary="Products, norms, equations and least squares, and what a 2 x 2 matrix does to the plane.",
    rows=("MA01",),
    oracle="torch.linalg, torch.einsum and numpy.linalg on 200 random cases, in float64",
)

MATRIX_NORMS = {"frobenius": "fro", "one": 1, "infinity": np.inf, "spectral": 2, "nuclear": "nuc"}


def matmul(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "m n"]:
    """The product of (m, k) and (k, n), in float64. ValueError unless the inner sizes agree."""
    left, right = _real("left", left, 2), _real("right", right, 2)
    if left.shape[1] != right.shape[0]:
        raise ValueError(
            f"right has shape {right.shape}; it must have {left.shape[1]} rows for left of {left.shape}"
        )
    return left @ right


def matmul_by_hand(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "m n"]:
    product = np.zeros((left.shape[0], right.shape[1]))
    for i in range(left.shape[0]):
        for j in range(right.shape[1]):
            for k in range(left.shape[1]):
                product[i, j] += left[i, k] * right[k, j]
    return product


def einsum(equation: str, *operands: np.ndarray) -> Float[np.ndarray, "..."]:
    """A sum of products, such as ``"bik,bkj->bij"``; without ``->`` the letters that stand once remain.

    A letter that stands twice in one operand walks its diagonal. ValueError for a letter of two sizes, an
    output letter that no operand has, an ellipsis, or a number of operands other than the equation's.
    """
    arrays = [_real(f"operand {i}", o, o.ndim) for i, o in enumerate(operands)]
    inputs, output, _ = _read_equation(equation, arrays)
    return np.asarray(np.einsum(f"{','.join(inputs)}->{output}", *arrays, optimize=True))


def einsum_by_hand(equation: str, *operands: np.ndarray) -> Float[np.ndarray, "..."]:
    inputs, output, sizes = _read_equation(equation, operands)
    result = np.zeros([sizes[letter] for letter in output])
    for place in itertools.product(*(range(size) for size in sizes.values())):
        at = dict(zip(sizes, place, strict=True))
        term = 1.0
        for letters, operand in zip(inputs, operands, strict=True):
            term *= float(operand[tuple(at[letter] for letter in letters)])
        result[tuple(at[letter] for letter in output)] += term
    return result


def outer(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "m n"]:
    """All products of an entry of (m,) with one of (n,): a matrix of rank 1."""
    return _real("left", left, 1)[:, None] * _real("right", right, 1)[None, :]


def outer_by_hand(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "m n"]:
    return np.array([[a * b for b in right] for a in left]).reshape(len(left), len(right))


def vector_norm(vector: np.ndarray, order: float | int = 2.0) -> float:
    """The length of (n,) in the p-norm of ``order``, in [1, inf]; 0 for no entries.

    Entries are divided by the largest first: their squares could overflow where their norm does not.
    """
    sizes = np.abs(_real("vector", vector, 1))
    if not order >= 1:
        raise ValueError(
            f"order is {order}; below 1 the triangle inequality fails, so give 1 or more, or inf"
        )
    largest = float(sizes.max(initial=0.0))
    if largest == 0 or math.isinf(order):
        return largest
    return largest * float(((sizes / largest) ** order).sum()) ** (1 / order)


def vector_norm_by_hand(vector: np.ndarray, order: float | int = 2.0) -> float:
    if math.isinf(order):
        return max(abs(float(x)) for x in vector)
    return sum(abs(float(x)) ** order for x in vector) ** (1 / order)


def matrix_norm(matrix: np.ndarray, kind: str = "frobenius") -> float:
    """The size of (m, n), not empty: "frobenius", "one", "infinity", "spectral" or "nuclear".

    one and infinity are the largest column and row sums of sizes; spectral is the greatest stretch of a
    vector of length 1; nuclear is the sum of all stretches (singular values).
    """
    matrix = _real("matrix", matrix, 2)
    if kind not in MATRIX_NORMS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(MATRIX_NORMS)}")
    if not matrix.size:
        raise ValueError(f"matrix has shape {matrix.shape}; a norm needs at least one entry")
    largest = float(np.abs(matrix).max())
    return largest * float(np.linalg.norm(matrix / largest, MATRIX_NORMS[kind])) if largest else 0.0


def matrix_norm_by_hand(matrix: np.ndarray, kind: str = "frobenius") -> float:
    rows = [[abs(float(x)) for x in row] for row in matrix]
    if kind == "frobenius":
        return math.sqrt(sum(x * x for row in rows for x in row))
    if kind == "one":
        return max(sum(column) for column in zip(*rows, strict=True))
    if kind == "infinity":
        return max(sum(row) for row in rows)
    # |A x|^2 = x^T (A^T A) x: the squared stretches are the eigenvalues of A^T A. Squaring costs small ones
    # half of their digits.
    stretches = np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix).clip(min=0))
    return float(stretches.max() if kind == "spectral" else stretches.sum())


def determinant(matrix: np.ndarray) -> float:
    """The signed factor by which the map (n, n) changes volumes: negative if it mirrors, 0 if it flattens."""
    return float(np.linalg.det(_square("matrix", matrix)))


def determinant_by_hand(matrix: np.ndarray) -> float:
    """Laplace's expansion along the first row: n! terms, so for small matrices only."""
    if not len(matrix):
        return 1.0
    rest = matrix[1:]
    minors = (np.delete(rest, j, axis=1) for j in range(len(matrix)))
    return sum((-1) ** j * float(matrix[0, j]) * determinant_by_hand(m) for j, m in enumerate(minors))


def solve(matrix: np.ndarray, target: np.ndarray) -> Float[np.ndarray, "n ..."]:
    """The x with ``matrix`` x = ``target``: (n, n) and (n,) or (n, k). ValueError for a singular matrix."""
    matrix = _square("matrix", matrix)
    target = _columns("target", target, len(matrix))
    rank = int(np.linalg.matrix_rank(matrix)) if matrix.size else 0
    if rank < len(matrix):
        raise ValueError(
            f"matrix is singular: its {len(matrix)} columns span {rank} dimensions, so there is no single x"
        )
    return np.linalg.solve(matrix, target)


def solve_by_hand(matrix: np.ndarray, target: np.ndarray) -> Float[np.ndarray, "n ..."]:
    """Elimination below the diagonal, each column's largest entry as pivot; then from the last row up."""
    n = len(matrix)
    a, b = np.array(matrix, dtype=np.float64), np.array(target, dtype=np.float64)
    for k in range(n):
        pivot = k + int(np.abs(a[k:, k]).argmax())
        if a[pivot, k] == 0:
            raise ValueError(f"matrix is singular: column {k} depends on the columns before it")
        a[[k, pivot]], b[[k, pivot]] = a[[pivot, k]], b[[pivot, k]]
        for i in range(k + 1, n):
            factor = a[i, k] / a[k, k]
            a[i, k:] -= factor * a[k, k:]
            b[i] -= factor * b[k]
    for k in reversed(range(n)):
        b[k] = (b[k] - a[k, k + 1 :] @ b[k + 1 :]) / a[k, k]
    return b


def least_squares(design: np.ndarray, target: np.ndarray) -> Float[np.ndarray, "n ..."]:
    """The x, (n,) or (n, k), that makes |``design`` x - ``target``|_2 least; the shortest if there are many.

    ``design`` is (m, n), one row an equation; ``target`` is (m,) or (m, k). It goes by singular values, which
    keeps all digits that the normal equations of the twin lose when columns are nearly dependent.
    """
    design = _real("design", design, 2)
    return np.linalg.lstsq(design, _columns("target", target, len(design)), rcond=None)[0]


def least_squares_by_hand(design: np.ndarray, target: np.ndarray) -> Float[np.ndarray, "n ..."]:
    """The normal equations; the columns of ``design`` must be independent."""
    return solve_by_hand(design.T @ design, design.T @ target)


def recover_map(points: np.ndarray, images: np.ndarray) -> Float[np.ndarray, "e d"]:
    """The matrix that best sends ``points`` (p, d) to ``images`` (p, e), row by row.

    ValueError when the points do not span their space: then many matrices fit alike.
    """
    points, images = _real("points", points, 2), _real("images", images, 2)
    if len(points) != len(images):
        raise ValueError(
            f"images has {len(images)} rows; it must have one for each of the {len(points)} points"
        )
    rank = int(np.linalg.matrix_rank(points)) if points.size else 0
    if rank < points.shape[1]:
        raise ValueError(
            f"points span {rank} of {points.shape[1]} dimensions; give {points.shape[1]} that are independent"
        )
    return least_squares(points, images).T


def recover_map_by_hand(points: np.ndarray, images: np.ndarray) -> Float[np.ndarray, "e d"]:
    """Row i of the matrix is a least-squares problem of its own: coordinate i of every image."""
    return np.stack([least_squares_by_hand(points, column) for column in images.T])


def transform(matrix: np.ndarray, points: np.ndarray) -> Float[np.ndarray, "p e"]:
    """Where the map ``matrix`` (e, d) sends each of ``points`` (p, d)."""
    return matmul(points, _real("matrix", matrix, 2).T)


def transform_by_hand(matrix: np.ndarray, points: np.ndarray) -> Float[np.ndarray, "p e"]:
    """A point is a sum of unit vectors, so its image is the same sum of the matrix's columns."""
    images = np.zeros((len(points), len(matrix)))
    for p, point in enumerate(points):
        for coordinate, column in zip(point, matrix.T, strict=True):
            images[p] += coordinate * column
    return images


def rotation(angle: float | int) -> Float[np.ndarray, "2 2"]:
    """Turns the plane about the origin, against the clock, by ``angle`` in radians."""
    angle = _finite("angle", angle)
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def scaling(across: float | int, up: float | int) -> Float[np.ndarray, "2 2"]:
    """Stretches the plane by ``across`` along x and by ``up`` along y."""
    return np.diag([_finite("across", across), _finite("up", up)])


def shear(amount: float | int) -> Float[np.ndarray, "2 2"]:
    """Slides each point along x by ``amount`` times its y. Areas stay."""
    return np.array([[1.0, _finite("amount", amount)], [0.0, 1.0]])


def reflection(angle: float | int) -> Float[np.ndarray, "2 2"]:
    """Mirrors the plane in the line through the origin at ``angle``, in radians, to the x axis."""
    return rotation(2 * _finite("angle", angle)) @ scaling(1.0, -1.0)


def projection(angle: float | int) -> Float[np.ndarray, "2 2"]:
    """Drops each point onto the line through the origin at ``angle``, in radians. It cannot be undone."""
    return (np.eye(2) + reflection(angle)) / 2


def _real(name: str, value: np.ndarray, axes: int) -> np.ndarray:
    if value.dtype.kind not in "iuf":
        raise ValueError(f"{name} has dtype {value.dtype}; it must hold real numbers")
    if value.ndim != axes:
        raise ValueError(f"{name} has shape {value.shape}; it must have {axes} axes")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds NaN or infinity; all entries must be finite")
    return value.astype(np.float64)


def _square(name: str, value: np.ndarray) -> np.ndarray:
    matrix = _real(name, value, 2)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} has shape {matrix.shape}; it must have as many rows as columns")
    return matrix


def _columns(name: str, value: np.ndarray, rows: int) -> np.ndarray:
    array = _real(name, value, min(max(value.ndim, 1), 2))
    if len(array) != rows:
        raise ValueError(f"{name} has shape {array.shape}; it must have {rows} rows, one for each equation")
    return array


def _finite(name: str, value: float | int) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; it must be finite")
    return float(value)


def _read_equation(
    equation: str, operands: list[np.ndarray] | tuple[np.ndarray, ...]
) -> tuple[list[str], str, dict[str, int]]:
    """The letters of each operand, those of the output, and the size of each letter."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    inputs = left.split(",")
    if not all((part.isascii() and part.isalpha()) or not part for part in (*inputs, output)):
        raise ValueError(
            f"equation is {equation!r}; it holds letters, commas and one '->', such as 'ik,kj->ij'"
        )
    if len(inputs) != len(operands):
        raise ValueError(f"equation {equation!r} names {len(inputs)} operands; {len(operands)} were given")
    sizes: dict[str, int] = {}
    for letters, operand in zip(inputs, operands, strict=True):
        if len(letters) != operand.ndim:
            raise ValueError(
                f"equation has {letters!r} for an operand of shape {operand.shape}; one letter an axis"
            )
        for letter, size in zip(letters, operand.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ValueError(f"equation {equation!r}: {letter} has sizes {sizes[letter]} and {size}")
    if not arrow:
        output = "".join(sorted(letter for letter in sizes if left.count(letter) == 1))
    if len(set(output)) < len(output) or not set(output) <= set(sizes):
        raise ValueError(f"equation {equation!r}: each output letter stands once, and in some operand")
    return inputs, output, sizes


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)
    tall, square, vector = dice.normal(size=(5, 3)), dice.normal(size=(3, 3)), dice.normal(size=4)

    def pair(name: str, ours: Any, by_hand: Any, *inputs: Any) -> Twin:
        return Twin(
            name, lambda *x: np.asarray(ours(*x)), lambda *x: np.asarray(by_hand(*x)), inputs, 1e-12, False
        )

    yield pair("matmul", matmul, matmul_by_hand, tall, square)
    for equation, operands in (
        ("ik,kj", (tall, square)),
        ("ii->", (square,)),
        ("ij,jk,i->k", (tall, square, tall[:, 0])),
    ):
        yield pair(f"einsum {equation}", einsum, einsum_by_hand, equation, *operands)
    yield pair("outer", outer, outer_by_hand, vector, tall[:, 0])
    for order in (1.0, 2.0, 3.5, math.inf):
        yield pair(f"vector_norm {order}", vector_norm, vector_norm_by_hand, vector, order)
    for kind in MATRIX_NORMS:
        yield pair(f"matrix_norm {kind}", matrix_norm, matrix_norm_by_hand, tall, kind)
    yield pair("determinant", determinant, determinant_by_hand, square)
    yield pair("solve", solve, solve_by_hand, square, tall[:3])
    yield pair("least_squares", least_squares, least_squares_by_hand, tall, tall[:, :2] ** 2)
    yield pair("recover_map", recover_map, recover_map_by_hand, tall, tall[:, :2] ** 2)
    yield pair("transform", transform, transform_by_hand, square, tall)
