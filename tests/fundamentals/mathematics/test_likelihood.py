"""Losses as likelihoods, against the densities of torch.distributions; MAP weights against scikit-learn."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor
from torch import distributions as theirs

from fathom.fundamentals.mathematics.likelihood import (
    bernoulli_negative_log_likelihood,
    categorical_negative_log_likelihood,
    fit_categorical,
    fit_normal,
    gaussian_negative_log_likelihood,
    gaussian_prior,
    laplace_negative_log_likelihood,
    laplace_prior,
    map_linear,
    weight_decay,
)

DOUBLE = torch.float64


def random(*shape: int, seed: int) -> Tensor:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=DOUBLE, generator=dice)


def same(ours: Tensor, oracle: Tensor, *leaves: Tensor) -> None:
    """Values and gradients; 1e-12 where the row asks for 1e-6."""
    torch.testing.assert_close(ours, oracle, rtol=1e-12, atol=1e-12)
    for a, b in zip(torch.autograd.grad(ours, leaves), torch.autograd.grad(oracle, leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_cross_entropy_is_the_categorical_likelihood() -> None:
    for seed in range(20):
        logits = random(7, 2 + seed % 5, seed=seed).requires_grad_()
        classes = torch.randint(logits.shape[1], (7,), generator=torch.Generator().manual_seed(seed))
        oracle = -theirs.Categorical(logits=logits).log_prob(classes).mean()
        same(categorical_negative_log_likelihood(logits, classes), oracle, logits)
        same(categorical_negative_log_likelihood(logits, classes), F.cross_entropy(logits, classes), logits)


def test_binary_cross_entropy_is_the_bernoulli_likelihood() -> None:
    logits = random(4, 5, seed=0).requires_grad_()
    targets = (random(4, 5, seed=1) > 0).double()
    oracle = -theirs.Bernoulli(logits=logits).log_prob(targets).mean()
    same(bernoulli_negative_log_likelihood(logits, targets), oracle, logits)


def test_squared_error_is_the_normal_likelihood() -> None:
    for std in (0.1, 1.0, 30.0):
        y, t = random(4, 5, seed=0).requires_grad_(), random(4, 5, seed=1)
        same(gaussian_negative_log_likelihood(y, t, std), -theirs.Normal(y, std).log_prob(t).mean(), y)
        (ours,) = torch.autograd.grad(gaussian_negative_log_likelihood(y, t, std), y)
        (loss,) = torch.autograd.grad(F.mse_loss(y, t), y)
        torch.testing.assert_close(ours * 2 * std**2, loss, rtol=1e-12, atol=1e-12)


def test_absolute_error_is_the_laplace_likelihood() -> None:
    y, t = random(4, 5, seed=0).requires_grad_(), random(4, 5, seed=1)
    same(laplace_negative_log_likelihood(y, t, 0.3), -theirs.Laplace(y, 0.3).log_prob(t).mean(), y)


def test_penalties_are_priors() -> None:
    """Up to the log-density of weights that are all 0, which no gradient sees."""
    weights = random(3, 4, seed=2).requires_grad_()
    for ours, oracle in ((gaussian_prior, theirs.Normal), (laplace_prior, theirs.Laplace)):
        prior = oracle(torch.tensor(0.0, dtype=DOUBLE), 0.7)
        expected = -(prior.log_prob(weights) - prior.log_prob(torch.zeros_like(weights))).sum()
        same(ours(weights, 0.7), expected, weights)


def test_a_step_of_weight_decay_is_a_step_of_map() -> None:
    """SGD with weight decay on the mean loss, and SGD on the mean loss less the log-prior over n."""
    features, target = random(20, 3, seed=0), random(20, seed=1)
    found = []
    for decayed in (True, False):
        weights = random(3, seed=2).requires_grad_()
        decay = weight_decay(0.5, 20) if decayed else 0.0
        optimizer = torch.optim.SGD([weights], lr=0.05, weight_decay=decay)
        for _ in range(30):
            loss = gaussian_negative_log_likelihood(features @ weights, target)
            loss = loss if decayed else loss + gaussian_prior(weights, 0.5) / 20
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found.append(weights.detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_the_map_weights_have_no_slope() -> None:
    for seed in range(10):
        features, target = random(30, 4, seed=seed), random(30, seed=seed + 100)
        for prior_std in (0.2, 3.0, math.inf):
            weights = map_linear(features, target, 0.6, prior_std).requires_grad_()
            loss = 30 * gaussian_negative_log_likelihood(features @ weights, target, 0.6)
            if prior_std < math.inf:
                loss = loss + gaussian_prior(weights, prior_std)
            (slope,) = torch.autograd.grad(loss, weights)
            assert float(slope.abs().max()) < 1e-10


def test_maximum_likelihood_is_least_squares() -> None:
    features, target = random(30, 4, seed=0), random(30, seed=1)
    expected = np.linalg.lstsq(features.numpy(), target.numpy(), rcond=None)[0]
    np.testing.assert_allclose(map_linear(features, target).numpy(), expected, rtol=1e-10)
    torch.testing.assert_close(map_linear(features, target, 1.0, 1e7), map_linear(features, target))


@pytest.mark.slow
def test_map_equals_sklearn() -> None:
    """Ridge minimises squared error + alpha sum w^2: alpha is the noise variance over the prior variance."""
    from sklearn.linear_model import LogisticRegression, Ridge

    features, target = random(30, 4, seed=0), random(30, seed=1)
    ridge = Ridge(alpha=0.6**2 / 0.4**2, fit_intercept=False).fit(features.numpy(), target.numpy())
    np.testing.assert_allclose(map_linear(features, target, 0.6, 0.4).numpy(), ridge.coef_, rtol=1e-9)

    labels = (features[:, 0] + target > 0).long()
    logistic = LogisticRegression(C=0.5**2, fit_intercept=False, tol=1e-12, max_iter=1000)
    logistic.fit(features.numpy(), labels.numpy())
    weights = torch.tensor(logistic.coef_[0]).requires_grad_()
    loss = 30 * bernoulli_negative_log_likelihood(features @ weights, labels.double()) + gaussian_prior(
        weights, 0.5
    )
    (slope,) = torch.autograd.grad(loss, weights)
    assert float(slope.abs().max()) < 1e-6  # theirs is the top of our posterior


def test_closed_form_estimates_are_the_likeliest() -> None:
    values = random(50, seed=3) * 2 + 1
    mean, std = fit_normal(values)
    assert (float(mean), float(std)) == pytest.approx(scipy.stats.norm.fit(values.numpy()), rel=1e-12)
    leaves = [mean.clone().requires_grad_(), std.clone().requires_grad_()]
    slopes = torch.autograd.grad(theirs.Normal(*leaves).log_prob(values).sum(), leaves)
    assert max(float(slope.abs()) for slope in slopes) < 1e-10
    labels = torch.tensor([2, 0, 2, 1, 2])
    torch.testing.assert_close(fit_categorical(labels, 4), torch.tensor([0.2, 0.2, 0.6, 0.0]))
    best = theirs.Categorical(torch.tensor([0.2, 0.2, 0.6])).log_prob(labels).sum()
    for other in random(20, 3, seed=4).softmax(-1):
        assert theirs.Categorical(other).log_prob(labels).sum() < best


def test_extremes_stay_finite() -> None:
    far = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]])
    assert categorical_negative_log_likelihood(far, torch.tensor([1, 0, 1])).isfinite()
    assert bernoulli_negative_log_likelihood(far, torch.ones(3, 2)).isfinite()
    assert gaussian_negative_log_likelihood(far, -far, 1e-4).isfinite()
    assert laplace_negative_log_likelihood(far, -far, 1e-4).isfinite()
    assert map_linear(far, torch.tensor([1e4, 0.0, -1e4]), 1e-4, 1e4).isfinite().all()
    assert categorical_negative_log_likelihood(torch.zeros(1, 1), torch.tensor([0])).item() == 0
    assert gaussian_prior(torch.zeros(0), 1.0).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    y, t = torch.tensor([0.5, -1.25, 2.0]), torch.tensor([0.25, 1.0, 0.0])
    for loss in (
        bernoulli_negative_log_likelihood,
        gaussian_negative_log_likelihood,
        laplace_negative_log_likelihood,
    ):
        found = loss(y.to(dtype), t.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), loss(y, t), rtol=2e-2, atol=2e-2)


def test_bad_input_is_refused() -> None:
    two, classes = torch.zeros(2, 3), torch.tensor([0, 2])
    cases = [
        (
            lambda: categorical_negative_log_likelihood(two, torch.tensor([0, 3])),
            r"0 to 3; it must be int64 in \[0, 3\)",
        ),
        (lambda: categorical_negative_log_likelihood(two, torch.tensor([-1, 0])), "from -1 to 0"),
        (lambda: categorical_negative_log_likelihood(two, classes.int()), "classes is torch.int32"),
        (lambda: categorical_negative_log_likelihood(two, classes[:1]), r"\(2, 3\) and classes \(1,\)"),
        (lambda: categorical_negative_log_likelihood(two[:0], classes[:0]), "none of them empty"),
        (lambda: categorical_negative_log_likelihood(two.long(), classes), "logits is of type torch.int64"),
        (lambda: bernoulli_negative_log_likelihood(two, two + 1.5), "targets is from 1.5 to 1.5"),
        (lambda: bernoulli_negative_log_likelihood(two, two[:1]), r"\(2, 3\) and target \(1, 3\)"),
        (lambda: gaussian_negative_log_likelihood(two, two, 0), "std is 0; it must be positive"),
        (lambda: gaussian_negative_log_likelihood(two, two, -1.0), "std is -1.0"),
        (lambda: gaussian_negative_log_likelihood(two, two[:, :1]), "they must be the same"),
        (lambda: laplace_negative_log_likelihood(two, two, math.nan), "scale is nan"),
        (lambda: gaussian_prior(two, -1.0), "std is -1.0"),
        (lambda: laplace_prior(two.long(), 1.0), "weights is of type torch.int64"),
        (lambda: weight_decay(0.0, 3), "prior_std is 0.0"),
        (lambda: weight_decay(1.0, 0), "examples is 0"),
        (lambda: fit_normal(torch.zeros(0)), r"values has shape \(0,\)"),
        (lambda: fit_categorical(torch.tensor([0, 5]), 5), r"labels holds 0 to 5; they lie in \[0, 5\)"),
        (lambda: fit_categorical(torch.tensor([0.0]), 5), "labels is torch.float32"),
        (lambda: map_linear(two, torch.zeros(3)), r"\(2, 3\) and target \(3,\)"),
        (lambda: map_linear(two, torch.zeros(2)), "features has rank 0 in 3 columns"),
        (lambda: map_linear(two, torch.zeros(2), noise=0.0), "noise is 0.0"),
        (lambda: map_linear(two, torch.zeros(2), prior_std=-1.0), "prior_std is -1.0"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
