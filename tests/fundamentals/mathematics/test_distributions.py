"""Continuous distributions against torch.distributions, and their draws against scipy's cumulative ones."""

import math
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor
from torch import distributions as theirs

from fathom.fundamentals.mathematics.distributions import (
    Exponential,
    Laplace,
    MultivariateNormal,
    Normal,
    Uniform,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


MEAN, SPREAD, VALUE = random(4, 1, seed=1), random(1, 5, seed=2).exp(), random(3, 4, 5, seed=3)
ROOT = random(2, 3, 3, seed=4)
COVARIANCE = ROOT @ ROOT.mT + 0.3 * torch.eye(3)
PAIRS = [
    (Normal, theirs.Normal, (MEAN, SPREAD), VALUE),
    (Laplace, theirs.Laplace, (MEAN, SPREAD), VALUE),
    (Uniform, theirs.Uniform, (MEAN - SPREAD, MEAN + SPREAD), MEAN + SPREAD * VALUE.tanh()),
    (Exponential, theirs.Exponential, (SPREAD,), VALUE.exp()),
    (MultivariateNormal, theirs.MultivariateNormal, (random(3, seed=5), COVARIANCE), random(7, 2, 3, seed=6)),
]
EVERY = pytest.mark.parametrize(
    ("ours", "oracle", "given", "value"), PAIRS, ids=lambda p: getattr(p, "__name__", "")
)


@EVERY
def test_log_prob_and_its_gradients_equal_torch(ours: Any, oracle: Any, given: tuple, value: Tensor) -> None:
    found = []
    for kind in (ours, oracle):
        leaves = [t.clone().requires_grad_() for t in (*given, value)]
        density = kind(*leaves[:-1]).log_prob(leaves[-1])
        density.sum().backward()
        # torch gives no gradient where a uniform density does not change; ours is zero there
        found.append([density, *(torch.zeros_like(t) if t.grad is None else t.grad for t in leaves)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


@EVERY
def test_entropy_equals_torch(ours: Any, oracle: Any, given: tuple, value: Tensor) -> None:
    torch.testing.assert_close(ours(*given).entropy(), oracle(*given).entropy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "cumulative"),
    [
        (Normal(-1.5, 2.0), scipy.stats.norm(-1.5, 2).cdf),
        (Laplace(0.5, 3.0), scipy.stats.laplace(0.5, 3).cdf),
        (Uniform(-2.0, 5.0), scipy.stats.uniform(-2, 7).cdf),
        (Exponential(0.25), scipy.stats.expon(scale=4).cdf),
    ],
    ids=lambda p: type(p).__name__,
)
def test_draws_pass_kolmogorov_smirnov(ours: Any, cumulative: Any) -> None:
    drawn = ours.sample((20_000,), torch.Generator().manual_seed(1))
    assert scipy.stats.kstest(drawn.numpy(), cumulative).pvalue > 0.01


def test_multivariate_draws_pass_kolmogorov_smirnov() -> None:
    """Whitened, each coordinate is a standard normal; and so is any projection of them."""
    ours = MultivariateNormal(torch.tensor([1.0, -2.0]), torch.tensor([[2.0, 1.2], [1.2, 1.5]]))
    drawn = ours.sample((20_000,), torch.Generator().manual_seed(0)).double()
    for direction in (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), torch.tensor([0.6, -0.8])):
        weights = direction.double()
        spread = (weights @ ours.covariance.double() @ weights).sqrt()
        z = ((drawn - ours.mean.double()) @ weights) / spread
        assert scipy.stats.kstest(z.numpy(), scipy.stats.norm.cdf).pvalue > 0.01


def test_a_draw_depends_on_its_generator_alone() -> None:
    for ours in (Normal(MEAN, SPREAD), Laplace(MEAN, SPREAD), Uniform(MEAN, MEAN + 1), Exponential(SPREAD)):
        first = ours.sample((2,), torch.Generator().manual_seed(3))
        torch.rand(5)  # the global generator moves on
        again = ours.sample((2,), torch.Generator().manual_seed(3))
        assert torch.equal(first, again)
        assert first.shape == (2, *ours.entropy().shape)
        assert first.dtype == torch.float64
        assert not first.requires_grad
        assert not torch.equal(first, ours.sample((2,), torch.Generator().manual_seed(4)))
    assert MultivariateNormal(random(3), COVARIANCE).sample((4,), torch.Generator()).shape == (4, 2, 3)


def test_every_draw_has_a_density() -> None:
    dice = torch.Generator().manual_seed(0)
    for dtype in (torch.float32, torch.bfloat16):
        scale = torch.tensor(3.0, dtype=dtype)
        for ours in (
            Normal(scale, scale),
            Laplace(scale, scale),
            Uniform(scale, 2 * scale),
            Exponential(scale),
        ):
            drawn = ours.sample((2000,), dice)
            assert drawn.dtype == dtype
            assert ours.log_prob(drawn).isfinite().all()


def test_extremes_stay_finite() -> None:
    far = torch.tensor([-1e4, 0.0, 1e4], dtype=torch.float64)
    for ours in (Normal(0.0, 1e-4), Normal(1e4, 1e4), Laplace(0.0, 1e-4), Uniform(-1e4, 1e4)):
        assert ours.log_prob(far).isfinite().all()
    assert Exponential(1e-4).log_prob(far.abs()).isfinite().all()
    assert Normal().log_prob(torch.zeros(0)).shape == (0,)
    assert Normal(torch.zeros(0), 1.0).entropy().shape == (0,)
    assert float(Normal().log_prob(torch.tensor(0.0))) == pytest.approx(-0.5 * math.log(2 * math.pi))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    value, two = torch.tensor([0.25, 1.5, 3.0], dtype=dtype), torch.tensor(2.0, dtype=dtype)
    for ours, oracle in ((Normal, theirs.Normal), (Laplace, theirs.Laplace)):
        found, expected = ours(two, two).log_prob(value), oracle(2.0, 2.0).log_prob(value.float())
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)


def test_bad_input_is_refused() -> None:
    cases = [
        (lambda: Normal(0.0, 0.0), "std holds 0.0; it must be positive"),
        (lambda: Normal(0.0, -1.0), "std holds -1.0"),
        (lambda: Normal(math.nan, 1.0), "mean holds nan; it must be finite"),
        (lambda: Normal(torch.zeros(2), torch.ones(3)), r"mean \(2,\), std \(3,\); they must broadcast"),
        (lambda: Normal(torch.tensor([1]), 1.0), "mean is of type torch.int64"),
        (lambda: Laplace(0.0, math.inf), "scale holds inf"),
        (lambda: Uniform(1.0, 1.0), "high holds 1.0; it must be above low"),
        (lambda: Exponential(0.0), "rate holds 0.0"),
        (lambda: Normal().log_prob(torch.tensor([0.0, math.nan])), "value holds nan"),
        (lambda: Normal().log_prob(torch.tensor([1])), "value is of type torch.int64"),
        (lambda: Normal(torch.zeros(2), 1.0).log_prob(torch.zeros(3)), r"value has shape \(3,\)"),
        (lambda: Uniform().log_prob(torch.tensor([0.5, 1.5])), "value holds 1.5; it must be between low"),
        (lambda: Exponential().log_prob(torch.tensor(-0.5)), "value holds -0.5; it must be 0 or more"),
        (lambda: Normal().sample((-1,), torch.Generator()), r"shape is \(-1,\)"),
        (lambda: Laplace().sample((-1,), torch.Generator()), r"shape is \(-1,\)"),
        (
            lambda: MultivariateNormal(torch.zeros(2), torch.eye(3)),
            r"covariance has shape \(3, 3\) for a mean",
        ),
        (lambda: MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "symmetric"),
        (lambda: MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 2], [2, 1]])), "positive definite"),
        (
            lambda: MultivariateNormal(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(3)),
            r"must be \(..., 2\)",
        ),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
