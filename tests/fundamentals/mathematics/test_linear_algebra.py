"""Products, norms, equations and least squares against torch.linalg and NumPy on random cases."""

import math

import numpy as np
import pytest
import torch

from fathom.fundamentals.mathematics import linear_algebra as la

TORCH_NORMS = {"frobenius": "fro", "one": 1, "infinity": math.inf, "spectral": 2, "nuclear": "nuc"}


def test_equals_torch_on_200_random_cases() -> None:
    """Both the fast version and the loops, on shapes from 1 to 6: far inside the 1e-6 of the row."""
    dice = np.random.default_rng(0)
    for _ in range(200):
        m, k, n = (int(s) for s in dice.integers(1, 7, size=3))
        left, right, vector = dice.normal(size=(m, k)), dice.normal(size=(k, n)), dice.normal(size=m)
        a, b, v = (torch.from_numpy(x) for x in (left, right, vector))
        order, kind = float(dice.choice([1, 1.5, 2, 3, np.inf])), str(dice.choice(list(la.MATRIX_NORMS)))
        wanted = {
            "matmul": a @ b,
            "einsum": torch.einsum("ik,kj,i->j", a, b, v),
            "outer": torch.outer(v, b[0]),
            "vector_norm": torch.linalg.vector_norm(v, order),
            "matrix_norm": torch.linalg.matrix_norm(a, TORCH_NORMS[kind]),  # type: ignore[arg-type]
            "determinant": torch.linalg.det(a[: min(m, k), : min(m, k)]),
            "transform": torch.nn.functional.linear(b.T, a),
        }
        square = left[: min(m, k), : min(m, k)]
        inputs = {
            "matmul": (left, right),
            "einsum": ("ik,kj,i->j", left, right, vector),
            "outer": (vector, right[0]),
            "vector_norm": (vector, order),
            "matrix_norm": (left, kind),
            "determinant": (square,),
            "transform": (left, right.T.copy()),
        }
        for name, expected in wanted.items():
            for version in (name, f"{name}_by_hand"):
                found = getattr(la, version)(*inputs[name])
                close = 1e-7 if version == "matrix_norm_by_hand" else 1e-11
                np.testing.assert_allclose(found, expected.numpy(), rtol=close, atol=close, err_msg=version)


def test_equations_and_least_squares_equal_torch_on_200_random_cases() -> None:
    dice = np.random.default_rng(1)
    for _ in range(200):
        n, extra, k = (int(s) for s in dice.integers(1, 6, size=3))
        square = dice.normal(size=(n, n)) + 3 * np.eye(n)
        tall, target = dice.normal(size=(n + extra, n)), dice.normal(size=(n + extra, k))
        solution = torch.linalg.solve(torch.from_numpy(square), torch.from_numpy(target[:n])).numpy()
        fit = torch.linalg.lstsq(
            torch.from_numpy(tall), torch.from_numpy(target), driver="gelsd"
        ).solution.numpy()
        for version in ("", "_by_hand"):
            found = getattr(la, f"solve{version}")(square, target[:n])
            np.testing.assert_allclose(found, solution, rtol=1e-6, atol=1e-6)
            found = getattr(la, f"least_squares{version}")(tall, target)
            np.testing.assert_allclose(found, fit, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(
                getattr(la, f"solve{version}")(square, target[:n, 0]), solution[:, 0], atol=1e-6
            )


@pytest.mark.parametrize(
    "equation", ["ij,jk->ik", "ii->i", "ii", "ij->ji", "i,j->ij", "bik,bkj->bij", "ij->", ",i->i", "ab,ab->b"]
)
def test_einsum_equals_torch(equation: str) -> None:
    dice, sizes = np.random.default_rng(2), dict(zip("ijkab", (3, 3, 2, 4, 5), strict=True))
    letters = equation.split("->")[0].split(",")
    operands = [np.asarray(dice.normal(size=[sizes[letter] for letter in part])) for part in letters]
    wanted = torch.einsum(equation, *(torch.from_numpy(o) for o in operands)).numpy()
    np.testing.assert_allclose(la.einsum(equation, *operands), wanted, atol=1e-12)
    np.testing.assert_allclose(la.einsum_by_hand(equation, *operands), wanted, atol=1e-12)


def test_a_hidden_matrix_is_recovered() -> None:
    """From images of 40 points measured with an error of 1e-5, to 1e-4; exactly where there is no error."""
    dice = np.random.default_rng(3)
    for _ in range(20):
        hidden, points = dice.normal(size=(2, 2)), dice.normal(size=(40, 2))
        images = la.transform(hidden, points)
        np.testing.assert_allclose(la.recover_map(points, images), hidden, atol=1e-12)
        measured = images + 1e-5 * dice.normal(size=images.shape)
        assert np.abs(la.recover_map(points, measured) - hidden).max() < 1e-4
        assert np.abs(la.recover_map_by_hand(points, measured) - hidden).max() < 1e-4


def test_maps_of_the_plane() -> None:
    corner = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    turned = la.transform(la.rotation(math.pi / 2), corner)
    np.testing.assert_allclose(turned, [[0, 1], [-1, 0], [-1, 1]], atol=1e-15)
    np.testing.assert_allclose(la.transform(la.scaling(2.0, 3.0), corner), [[2, 0], [0, 3], [2, 3]])
    np.testing.assert_allclose(la.transform(la.shear(0.5), corner), [[1, 0], [0.5, 1], [1.5, 1]])
    np.testing.assert_allclose(
        la.transform(la.reflection(math.pi / 4), corner), [[0, 1], [1, 0], [1, 1]], atol=1e-15
    )
    areas = [
        la.determinant(m) for m in (la.rotation(0.7), la.scaling(2.0, 3.0), la.shear(5.0), la.reflection(0.2))
    ]
    np.testing.assert_allclose(areas, [1, 6, 1, -1], atol=1e-14)
    drop = la.projection(0.4)
    np.testing.assert_allclose(drop @ drop, drop, atol=1e-15)
    np.testing.assert_allclose(la.rotation(0.3) @ la.rotation(0.5), la.rotation(0.8), atol=1e-15)


def test_extremes() -> None:
    assert la.matmul(np.zeros((2, 0)), np.zeros((0, 3))).tolist() == [[0, 0, 0]] * 2
    assert la.vector_norm(np.zeros(0)) == la.vector_norm(np.zeros(3)) == 0
    assert la.matrix_norm(np.zeros((2, 2)), "nuclear") == 0
    assert la.vector_norm(np.array([3e200, 4e200])) == pytest.approx(5e200)
    assert la.matrix_norm(np.full((2, 2), 1e300), "spectral") == pytest.approx(2e300)
    assert la.vector_norm(np.array([-1e4]), math.inf) == 1e4
    assert la.solve(np.array([[4.0]]), np.array([2.0])).tolist() == [0.5]
    assert la.determinant(np.zeros((0, 0))) == la.determinant_by_hand(np.zeros((0, 0))) == 1
    half = np.array([[0.1, 2.0]], dtype=np.float16)
    np.testing.assert_allclose(la.matmul(half, half.T), [[4.01]], atol=1e-3)
    pivot = np.array([[1e-20, 1.0], [1.0, 1.0]])  # without row exchanges the answer would be (0, 1)
    np.testing.assert_allclose(la.solve_by_hand(pivot, np.array([1.0, 2.0])), [1, 1])


def test_many_solutions_give_the_shortest() -> None:
    design = np.array([[1.0, 1.0], [2.0, 2.0]])
    np.testing.assert_allclose(la.least_squares(design, np.array([2.0, 4.0])), [1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: la.matmul(np.ones((2, 3)), np.ones((2, 3))),
            r"right has shape \(2, 3\); it must have 3 rows",
        ),
        (lambda: la.matmul(np.ones(3), np.ones((3, 3))), r"left has shape \(3,\); it must have 2 axes"),
        (lambda: la.matmul(np.ones((1, 1)), np.array([[1j]])), "right has dtype complex128"),
        (lambda: la.outer(np.array([np.nan]), np.ones(2)), "left holds NaN or infinity"),
        (lambda: la.einsum("...i->i", np.ones((2, 2))), "letters, commas"),
        (lambda: la.einsum("ij,jk->ik", np.ones((2, 2))), "names 2 operands; 1 were given"),
        (lambda: la.einsum("ij,jk->ik", np.ones((2, 2)), np.ones((3, 2))), "j has sizes 2 and 3"),
        (lambda: la.einsum("ijk->i", np.ones((2, 2))), "one letter an axis"),
        (lambda: la.einsum("ij->ik", np.ones((2, 2))), "each output letter"),
        (lambda: la.einsum("ij->ii", np.ones((2, 2))), "each output letter"),
        (lambda: la.vector_norm(np.ones(2), 0.5), "order is 0.5"),
        (lambda: la.matrix_norm(np.ones((2, 2)), "two"), "kind is 'two'; it must be one of frobenius"),
        (lambda: la.matrix_norm(np.ones((0, 2))), "at least one entry"),
        (lambda: la.determinant(np.ones((2, 3))), "as many rows as columns"),
        (
            lambda: la.solve(np.arange(9.0).reshape(3, 3), np.ones(3)),
            "matrix is singular: its 3 columns span 2",
        ),
        (lambda: la.solve_by_hand(np.ones((2, 2)), np.ones(2)), "matrix is singular: column 1"),
        (lambda: la.solve(np.eye(2), np.ones(3)), "it must have 2 rows"),
        (lambda: la.least_squares(np.ones((3, 1)), np.ones((2, 1))), "it must have 3 rows"),
        (lambda: la.recover_map(np.ones((4, 2)), np.ones((4, 2))), "points span 1 of 2 dimensions"),
        (lambda: la.recover_map(np.ones((4, 2)), np.ones((3, 2))), "images has 3 rows"),
        (lambda: la.rotation(math.nan), "angle is nan"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
