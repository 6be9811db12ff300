"""Bias and variance: the two ways in which a model that was fitted to data can be wrong.

For squared errors they are terms of a sum. With f the truth, y a target that has noise, and p the prediction
of a model fitted to a random data set (Geman, Bienenstock and Doursat 1992, section 3.3):

    E (y - p)^2  =  (E p - f)^2  +  E (p - E p)^2  +  E (y - f)^2
                    bias^2          variance          noise, which no model removes

Too simple a model errs the same way whatever data it is given: bias. One that is too free follows the noise
of its own data set, so that two of them differ: variance. ``polynomial_experiment`` shows both on one wave of
a sine: the higher the degree, the less bias and the more variance, and the error is least in between.
``learning_curves`` finds the same two failures where only one data set is at hand. NumPy only.

Axes used below
    r  resamples: models, each with a data set of its own      n  inputs      d  coefficients of a polynomial
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Bias and variance",
    paper="https://doi.org/10.1162/neco.1992.4.1.1",
    year=1992,
    summary="Splits a model's error into being too simple, following chance, and noise that nothing removes.",
    rows=("NF10",),
    differs=("The experiment with polynomials is ours; the paper proves the decomposition.",),
    oracle="the closed form of a projection's bias and variance; numpy.polynomial's least-squares fits",
)


class Decomposition(NamedTuple):
    """Mean over all inputs. Bias, variance and noise add up to the error, but for sampling error."""

    bias: float  # squared
    variance: float
    noise: float
    error: float  # squared distance of predictions from fresh targets, measured by itself


def decomposition(predictions: np.ndarray, truth: np.ndarray, targets: np.ndarray) -> Decomposition:
    """Bias, variance and noise of r models on n inputs, from ``predictions`` (r, n).

    Each model was fitted to a data set of its own. ``truth`` (n,) is what targets are without noise,
    ``targets`` (r, n) are fresh ones that no model has seen. ``ValueError`` for other shapes, fewer than 2
    models, and values that are not finite.
    """
    if predictions.ndim != 2 or len(predictions) < 2 or truth.shape != predictions.shape[1:]:
        raise ValueError(f"predictions have shape {predictions.shape}, truth {truth.shape}; they must be"
                         " (r, n) and (n,), with 2 models or more")  # fmt: skip
    if targets.shape != predictions.shape:
        raise ValueError(f"targets have shape {targets.shape}; it must be that of predictions")
    if not all(np.isfinite(given).all() for given in (predictions, truth, targets)):
        raise ValueError("predictions, truth or targets hold values that are not finite; all must be")
    mean = predictions.mean(axis=0)
    parts = (
        (mean - truth) ** 2,
        (predictions - mean) ** 2,
        (targets - truth) ** 2,
        (targets - predictions) ** 2,
    )
    return Decomposition(*(float(part.mean()) for part in parts))


def decomposition_by_hand(predictions: np.ndarray, truth: np.ndarray, targets: np.ndarray) -> Decomposition:
    """Input by input: where do the models agree to be wrong, and how far are they from each other?"""
    bias = variance = noise = error = 0.0
    models, inputs = predictions.shape
    for i in range(inputs):
        mean = sum(predictions[:, i]) / models
        bias += (mean - truth[i]) ** 2 / inputs
        for r in range(models):
            variance += (predictions[r, i] - mean) ** 2 / (models * inputs)
            noise += (targets[r, i] - truth[i]) ** 2 / (models * inputs)
            error += (targets[r, i] - predictions[r, i]) ** 2 / (models * inputs)
    return Decomposition(bias, variance, noise, error)


def fit_polynomial(inputs: np.ndarray, targets: np.ndarray, degree: int) -> np.ndarray:
    """Least-squares polynomials at ``inputs`` (n,) in [-1, 1], one for each row of ``targets``: (r, n).

    Chebyshev's polynomials are the basis, since powers are nearly parallel at high degree. ``ValueError`` for
    a degree below 0, or with as many coefficients as inputs or more.
    """
    if inputs.ndim != 1 or targets.ndim != 2 or targets.shape[1] != len(inputs):
        raise ValueError(
            f"inputs have shape {inputs.shape}, targets {targets.shape}; it must be (n,), (r, n)"
        )
    if not 0 <= degree < len(inputs) - 1:
        raise ValueError(
            f"degree is {degree}; with {len(inputs)} inputs it must be in 0 to {len(inputs) - 2}"
        )
    basis = np.polynomial.chebyshev.chebvander(inputs, degree)  # (n, d)
    return (basis @ np.linalg.lstsq(basis, targets.T, rcond=None)[0]).T


def fit_polynomial_by_hand(inputs: np.ndarray, targets: np.ndarray, degree: int) -> np.ndarray:
    """Powers of x made orthonormal one after the other; the fit is the sum of the shadows on each."""
    fitted, basis = np.zeros_like(targets), []
    for power in range(degree + 1):
        direction = inputs**power
        for _ in range(2):  # twice: what rounding left of the first pass goes in the second
            for earlier in basis:
                direction = direction - (direction @ earlier) * earlier
        basis.append(direction / math.sqrt(direction @ direction))
        for row, target in enumerate(targets):
            fitted[row] += (target @ basis[-1]) * basis[-1]
    return fitted


def polynomial_experiment(
    degree: int, samples: int = 30, noise: float = 0.3, resamples: int = 400, seed: int = 0
) -> Decomposition:
    """Bias and variance of a polynomial that learns one wave of a sine from ``samples`` noisy points.

    Every one of ``resamples`` data sets has new noise, of deviation ``noise``. ``ValueError`` for a negative
    deviation, fewer than 2 resamples, and where ``fit_polynomial`` raises it.
    """
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise is {noise}; it must be 0 or more, and finite")
    if resamples < 2:
        raise ValueError(f"resamples is {resamples}; it must be 2 or more")
    dice = np.random.default_rng(seed)
    inputs = np.linspace(-1, 1, max(0, samples))
    truth = np.sin(np.pi * inputs)
    learned, fresh = (truth + noise * dice.standard_normal((resamples, len(inputs))) for _ in range(2))
    return decomposition(fit_polynomial(inputs, learned, degree), truth, fresh)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)
    predictions, targets = (dice.standard_normal((5, 7)) for _ in range(2))
    truth, inputs = predictions[0] + 0.5, np.linspace(-1, 1, 7)
    given = (predictions, truth, targets)
    yield Twin("decomposition", decomposition, decomposition_by_hand, given, gradients=False)
    for degree in (0, 3, 5):
        given = (inputs, targets, degree)
        yield Twin(f"polynomial, {degree}", fit_polynomial, fit_polynomial_by_hand, given, gradients=False)
