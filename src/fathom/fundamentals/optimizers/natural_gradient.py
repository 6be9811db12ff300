"""The natural gradient: steepest descent where distance is how much the predictions change.

    F = E [ s s^T ],   s = gradient of log p(y | x; w), y drawn from the model     the Fisher information
    d = (F + l I)^-1 g,    w <- w - r d                                            Amari, Theorem 1

"Steepest" needs a measure of length, and that of the weights is arbitrary: writing a deviation as its
logarithm turns the gradient elsewhere. The distance of two models is better measured by how far their
predictions are apart, the KL divergence, which for a small step is d^T F d / 2. The steepest step in that
measure is F^-1 g, and it is the same model wherever the weights come from. For a linear model with its
natural link F is the Hessian, so the natural gradient is Newton's step. F has n^2 entries; methods for
networks (K-FAC, Shampoo) approximate it by blocks and products, and Adam's squares are a rough guess at its
diagonal.

Source: Amari (1998), Theorem 1. Damping l keeps the step within the region where F tells the truth.

Legend: w parameters, g gradient of the loss, s score, F Fisher information, l damping, r learning rate
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.optimizers.sgd import not_negative

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Natural gradient",
    paper="https://doi.org/10.1162/089976698300017746",
    year=1998,
    summary="Scales the gradient so that a step's length is how much the model's predictions change.",
    rows=("OP12",),
    builds_on=("sgd",),
    oracle="the known information of a normal; Newton's step of logistic regression by autograd's Hessian",
)


def fisher_information(
    scores: Float[Tensor, "n p"], weights: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "p p"]:
    """The mean of s s^T over the rows of ``scores``, or their sum weighted by ``weights``.

    Rows are scores of outcomes drawn from the model; with ``weights`` they are all outcomes and these their
    probabilities, divided by the number of inputs. ValueError without a row, or for a negative weight.
    """
    if scores.shape[0] == 0:
        raise ValueError("scores has no rows; the information is a mean over one or more")
    if weights is None:
        return scores.T @ scores / scores.shape[0]
    if (weights < 0).any():
        raise ValueError(f"weights holds {float(weights.min())}; probabilities are 0 or more")
    return scores.T @ (weights[:, None] * scores)


def natural_gradient(
    gradient: Float[Tensor, " p"], information: Float[Tensor, "p p"], damping: float = 0.0
) -> Float[Tensor, " p"]:
    """(F + damping I)^-1 g. ValueError for a negative ``damping`` or a matrix not positive definite."""
    not_negative(damping, "damping")
    damped = information + damping * torch.eye(len(gradient), dtype=gradient.dtype, device=gradient.device)
    factor, trouble = torch.linalg.cholesky_ex(damped)
    if trouble:
        raise ValueError(
            f"information is not positive definite with damping {damping}: some direction changes no"
            " prediction; give a larger damping"
        )
    return torch.cholesky_solve(gradient[:, None], factor)[:, 0]


def fisher_information_by_hand(scores: Float[Tensor, "n p"]) -> Float[Tensor, "p p"]:
    total = torch.zeros(scores.shape[1], scores.shape[1], dtype=scores.dtype)
    for score in scores:
        total = total + score[:, None] * score[None, :]
    return total / len(scores)


def natural_gradient_by_hand(
    gradient: Float[Tensor, " p"], information: Float[Tensor, "p p"], damping: float = 0.0
) -> Float[Tensor, " p"]:
    """By conjugate gradients, which need F only as a map: p products of F and a vector."""
    solution, residual = torch.zeros_like(gradient), gradient
    direction = residual
    for _ in range(len(gradient)):
        image = information @ direction + damping * direction
        length = (residual @ residual) / (direction @ image)
        solution = solution + length * direction
        new = residual - length * image
        direction = new + (new @ new) / (residual @ residual) * direction
        residual = new
    return solution


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    scores = torch.randn(12, 4, dtype=torch.float64, generator=dice)
    gradient = torch.randn(4, dtype=torch.float64, generator=dice)
    yield Twin("fisher_information", fisher_information, fisher_information_by_hand, (scores,))
    yield Twin(
        "natural_gradient",
        lambda g, s: natural_gradient(g, fisher_information(s), damping=0.1),
        lambda g, s: natural_gradient_by_hand(g, fisher_information_by_hand(s), damping=0.1),
        (gradient, scores),
    )
