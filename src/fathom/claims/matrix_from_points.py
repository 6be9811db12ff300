"""A linear map can be read off a few points and where it sends them.

A map of the plane is fixed by where it sends two points that are not on one line through the origin; more
points make an overdetermined system, which least squares solves. Where the images are exact, the hidden
matrix comes back to rounding error. The residual is orthogonal to all columns at the least error, so there
is one answer (Boyd and Vandenberghe 2018, section 12.2).

``plane``: the hidden map turns, slides, stretches and mirrors the plane; 20 points. ``large``: a 24 x 32
matrix of normal numbers; 200 points. ``descent``: the map of ``plane`` again, learned by gradient descent on
the mean squared error, which leads to the same matrix. ``noisy``: the images of ``plane`` are off by normal
noise of 0.1, which shows what the measure says when a matrix is not recovered.

``largest_error``: the largest difference of an entry to the hidden matrix.
"""

from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    import numpy as np

CLAIM = Claim(
    sentence="A hidden linear map comes back by least squares from points and their images.",
    rows=("MA01",),
    expect=(
        "largest_error: plane <= 1e-4",
        "largest_error: large <= 1e-4",
        "largest_error: descent <= 1e-4",
        "largest_error: noisy - plane >= 1e-3",
    ),
    source="Boyd and Vandenberghe 2018, Introduction to Applied Linear Algebra, section 12.2",
    builds_on=("linear_algebra",),
    seeds=5,
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    import numpy as np

    from fathom.fundamentals.mathematics import linear_algebra as la

    dice = np.random.default_rng(seed)
    turn, mirror = dice.uniform(0, 2 * np.pi, 2)
    stretch = la.scaling(dice.uniform(0.5, 2), dice.uniform(0.5, 2))
    hidden = np.linalg.multi_dot([la.reflection(mirror), stretch, la.shear(dice.normal()), la.rotation(turn)])
    points = dice.normal(size=(20, 2))
    images = la.transform(hidden, points)

    large = dice.normal(size=(24, 32))
    many = dice.normal(size=(200, 32))

    learned = np.zeros((2, 2))
    rate = len(points) / la.matrix_norm(points, "spectral") ** 2  # one over the sharpest curvature
    for _ in range(1000):
        gap = la.transform(learned, points) - images
        learned -= rate * la.matmul(gap.T, points) / len(points)

    noisy = images + 0.1 * dice.normal(size=images.shape)
    return {
        "plane": {"largest_error": off(la.recover_map(points, images), hidden)},
        "large": {"largest_error": off(la.recover_map(many, la.transform(large, many)), large)},
        "descent": {"largest_error": off(learned, hidden)},
        "noisy": {"largest_error": off(la.recover_map(points, noisy), hidden)},
    }


def off(found: "np.ndarray", hidden: "np.ndarray") -> float:
    return float(abs(found - hidden).max())
