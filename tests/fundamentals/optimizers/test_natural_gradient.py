"""The natural gradient where it is known: normals, and logistic regression, where it is Newton's step."""

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.optimizers.natural_gradient import (
    fisher_information,
    fisher_information_by_hand,
    natural_gradient,
    natural_gradient_by_hand,
)


def normal_scores(draws: Tensor, mean: float, deviation: float) -> Tensor:
    """Of log N(y; mean, deviation) with respect to the mean and the logarithm of the deviation."""
    z = (draws - mean) / deviation
    return torch.stack([z / deviation, z**2 - 1], dim=1)


def test_the_information_of_a_normal() -> None:
    """1 / deviation^2 for its mean, 2 for the logarithm of its deviation: by quadrature, and by drawing."""
    points, weights = (torch.tensor(v, dtype=torch.float64) for v in quadrature())
    exact = fisher_information(normal_scores(1.0 + 0.5 * points, 1.0, 0.5), weights)
    torch.testing.assert_close(exact, torch.tensor([[4.0, 0.0], [0.0, 2.0]]).double(), rtol=1e-10, atol=1e-10)
    dice = torch.Generator().manual_seed(0)
    drawn = 1.0 + 0.5 * torch.randn(200_000, dtype=torch.float64, generator=dice)
    torch.testing.assert_close(
        fisher_information(normal_scores(drawn, 1.0, 0.5)), exact, rtol=0.03, atol=0.05
    )


def quadrature() -> tuple[list[float], list[float]]:
    """Points and probabilities that stand for a standard normal: exact for polynomials below degree 40."""
    import numpy as np

    points, weights = np.polynomial.hermite_e.hermegauss(20)
    return points.tolist(), (weights / weights.sum()).tolist()


def test_for_logistic_regression_it_is_the_step_of_newton() -> None:
    dice = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 3, dtype=torch.float64, generator=dice)
    labels = (torch.rand(40, generator=dice) > 0.5).double()
    weights = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)

    def loss(w: Tensor) -> Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(rows @ w, labels)

    gradient = torch.autograd.functional.jacobian(loss, weights)
    hessian = torch.autograd.functional.hessian(loss, weights)
    chance = torch.sigmoid(rows @ weights)
    scores = torch.cat([(1 - chance)[:, None] * rows, -chance[:, None] * rows])  # of a one and of a zero
    information = fisher_information(scores, torch.cat([chance, 1 - chance]) / 40)
    assert isinstance(gradient, Tensor) and isinstance(hessian, Tensor)
    torch.testing.assert_close(information, hessian, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        natural_gradient(gradient, information), torch.linalg.solve(hessian, gradient), rtol=1e-10, atol=1e-12
    )


def test_it_is_the_same_step_however_the_model_is_written() -> None:
    """With the deviation itself, or its logarithm, as the second number; the plain gradient is not."""
    deviation = 0.5
    by_logarithm = torch.tensor([0.7, -1.3], dtype=torch.float64)  # a gradient of some loss
    turn = torch.tensor([1.0, deviation], dtype=torch.float64)  # d deviation / d logarithm
    by_deviation = by_logarithm / turn
    information = torch.diag(torch.tensor([4.0, 2.0], dtype=torch.float64))
    other = information / turn[:, None] / turn[None, :]
    step = natural_gradient(by_logarithm, information)
    torch.testing.assert_close(natural_gradient(by_deviation, other), turn * step, rtol=1e-12, atol=0)
    assert (by_deviation - turn * by_logarithm).abs().max() > 1


def test_plain_twins_agree_on_random_cases() -> None:
    for seed in range(20):
        dice = torch.Generator().manual_seed(seed)
        scores = torch.randn(9, 5, dtype=torch.float64, generator=dice)
        gradient = torch.randn(5, dtype=torch.float64, generator=dice)
        information = fisher_information(scores)
        torch.testing.assert_close(information, fisher_information_by_hand(scores), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            natural_gradient(gradient, information, 0.1),
            natural_gradient_by_hand(gradient, information, 0.1),
            rtol=1e-9,
            atol=1e-9,
        )


def test_damping_leads_back_to_the_gradient() -> None:
    gradient = torch.tensor([1.0, -2.0])
    information = torch.tensor([[1e4, 0.0], [0.0, 1e-4]])
    assert torch.equal(natural_gradient(torch.zeros(2), information), torch.zeros(2))
    damped = natural_gradient(gradient, information, damping=1e8) * 1e8
    torch.testing.assert_close(damped, gradient, rtol=1e-3, atol=0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not positive definite with damping 0.0"):
        natural_gradient(torch.ones(2), torch.ones(2, 2) - 1)
    with pytest.raises(ValueError, match=r"damping is -1.0; it must be 0 or more"):
        natural_gradient(torch.ones(2), torch.eye(2), -1.0)
    with pytest.raises(ValueError, match="scores has no rows"):
        fisher_information(torch.zeros(0, 3))
    with pytest.raises(ValueError, match=r"weights holds -0.5"):
        fisher_information(torch.ones(2, 3), torch.tensor([-0.5, 1.5]))
