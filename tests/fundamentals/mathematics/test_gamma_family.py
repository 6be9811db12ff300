"""Gamma, beta, Dirichlet and Student's t against torch.distributions, their draws against scipy's."""

import math
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor
from torch import distributions as theirs

from fathom.fundamentals.mathematics.gamma_family import (
    Beta,
    Dirichlet,
    Gamma,
    StudentT,
    gamma_function_by_hand,
    log_gamma_draws,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


A, B, SHARES = random(4, 1, seed=1).exp(), random(1, 5, seed=2).exp(), random(6, 2, 3, seed=3).softmax(-1)
PAIRS = [
    (Gamma, theirs.Gamma, (A, B), random(3, 4, 5, seed=4).exp()),
    (Beta, theirs.Beta, (A, B), random(3, 4, 5, seed=5).sigmoid()),
    (Dirichlet, theirs.Dirichlet, (random(2, 3, seed=6).exp(),), SHARES),
    (StudentT, theirs.StudentT, (A, random(4, 5, seed=7), B), 5 * random(3, 4, 5, seed=8)),
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
        found.append([density, *(t.grad for t in leaves)])
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


@EVERY
def test_entropy_equals_torch(ours: Any, oracle: Any, given: tuple, value: Tensor) -> None:
    torch.testing.assert_close(ours(*given).entropy(), oracle(*given).entropy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("ours", "oracle"),
    [
        (Gamma(0.3, 2.0), scipy.stats.gamma(0.3, scale=0.5)),
        (Gamma(1.0, 1.0), scipy.stats.gamma(1.0)),
        (Gamma(7.5, 0.2), scipy.stats.gamma(7.5, scale=5.0)),
        (Beta(0.5, 0.7), scipy.stats.beta(0.5, 0.7)),
        (Beta(3.0, 8.0), scipy.stats.beta(3.0, 8.0)),
        (StudentT(1.0), scipy.stats.t(1.0)),
        (StudentT(4.0, -2.0, 3.0), scipy.stats.t(4.0, -2.0, 3.0)),
    ],
    ids=lambda p: type(p).__name__,
)
def test_draws_pass_kolmogorov_smirnov(ours: Any, oracle: Any) -> None:
    drawn = ours.sample((20_000,), torch.Generator().manual_seed(2)).double()
    assert scipy.stats.kstest(drawn.numpy(), oracle.cdf).pvalue > 0.01


def test_dirichlet_shares_pass_kolmogorov_smirnov() -> None:
    """Each share of a Dirichlet is beta-distributed, and so is the sum of two."""
    concentration = torch.tensor([0.4, 2.0, 5.0])
    drawn = Dirichlet(concentration).sample((20_000,), torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(drawn.sum(-1), torch.ones(20_000, dtype=torch.float64))
    for part, own in enumerate(concentration.tolist()):
        expected = scipy.stats.beta(own, 7.4 - own).cdf
        assert scipy.stats.kstest(drawn[:, part].numpy(), expected).pvalue > 0.01
    assert scipy.stats.kstest((drawn[:, 0] + drawn[:, 1]).numpy(), scipy.stats.beta(2.4, 5).cdf).pvalue > 0.01


def test_a_draw_depends_on_its_generator_alone() -> None:
    for ours in (Gamma(A, B), Beta(A, B), Dirichlet(A.T), StudentT(A)):
        first = ours.sample((6,), torch.Generator().manual_seed(3))
        torch.rand(5)  # the global generator moves on
        assert torch.equal(first, ours.sample((6,), torch.Generator().manual_seed(3)))
        assert first.dtype == torch.float64
        assert not torch.equal(first, ours.sample((6,), torch.Generator().manual_seed(4)))


def test_draws_that_no_float_can_hold() -> None:
    """At a concentration of 0.001 most gamma draws are below the smallest float, their shares are not."""
    dice, tiny = torch.Generator().manual_seed(0), torch.tensor([1e-3, 1e-3, 1e-3])
    assert float(log_gamma_draws(tiny, (100,), dice).min()) < -1000
    gamma = Gamma(tiny).sample((500,), dice)
    assert ((gamma > 0) & gamma.isfinite()).all()
    shares = Dirichlet(tiny).sample((500,), dice)
    assert (shares > 0).all() and shares.isfinite().all()
    assert Dirichlet(tiny).log_prob(shares).isfinite().all()
    assert shares.amax(-1).gt(0.9).double().mean() > 0.95  # nearly always one part is nearly all
    sure = Beta(1e-3, 1e-3).sample((500,), dice)
    assert ((sure > 0) & (sure < 1)).all()
    assert Beta(1e-3, 1e-3).log_prob(sure).isfinite().all()
    assert StudentT(1e-3).sample((500,), dice).isfinite().all()
    assert Gamma(1e8, 1e8).sample((50,), dice).sub(1).abs().max() < 1e-2


def test_extremes_stay_finite() -> None:
    far = torch.tensor([-1e4, 0.0, 1e4], dtype=torch.float64)
    assert StudentT(0.01).log_prob(far).isfinite().all()
    assert Gamma(1e4, 1e-4).log_prob(far.abs() + 1e-4).isfinite().all()
    assert Gamma(1.0, 2.0).log_prob(torch.tensor(0.0)).item() == pytest.approx(math.log(2))
    assert Gamma(0.5).log_prob(torch.tensor(0.0)).item() == math.inf
    assert Beta(1.0, 1.0).log_prob(torch.tensor([0.0, 1.0])).tolist() == [0, 0]
    assert Gamma(torch.zeros(0) + 1).sample((2,), torch.Generator()).shape == (2, 0)


def test_the_gamma_function_is_its_integral() -> None:
    for number, factorial in ((1.0, 1), (5.0, 24), (0.5, math.sqrt(math.pi))):
        found = gamma_function_by_hand(torch.tensor(number, dtype=torch.float64))
        assert float(found) == pytest.approx(factorial, rel=1e-11)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    two, value = torch.tensor(2.0, dtype=dtype), torch.tensor([0.25, 0.5], dtype=dtype)
    for ours, oracle in ((Gamma, theirs.Gamma), (Beta, theirs.Beta)):
        found, expected = ours(two, two).log_prob(value), oracle(2.0, 2.0).log_prob(value.float())
        torch.testing.assert_close(found.float(), expected, rtol=3e-2, atol=3e-2)
        assert ours(two, two).sample((3,), torch.Generator()).dtype == dtype


def test_bad_input_is_refused() -> None:
    cases = [
        (lambda: Gamma(0.0), "concentration holds 0.0; it must be positive"),
        (lambda: Gamma(1.0, -1.0), "rate holds -1.0"),
        (lambda: Gamma(1.0).log_prob(torch.tensor(-1.0)), "value holds -1.0; it must be 0 or more"),
        (lambda: Beta(1.0, 0.0), "beta holds 0.0"),
        (lambda: Beta(2.0, 2.0).log_prob(torch.tensor(1.5)), "value holds 1.5; it must be in"),
        (lambda: Dirichlet(torch.tensor([1.0])), r"concentration has shape \(1,\)"),
        (lambda: Dirichlet(torch.tensor([1.0, -1.0])), "concentration holds -1.0"),
        (lambda: Dirichlet(torch.ones(2)).log_prob(torch.tensor([0.5, 0.6])), "the sum of value holds 1.1"),
        (lambda: Dirichlet(torch.ones(2)).log_prob(torch.tensor([1.5, -0.5])), "value holds -0.5"),
        (lambda: StudentT(0.0), "degrees holds 0.0"),
        (lambda: StudentT(1.0, 0.0, 0.0), "scale holds 0.0"),
        (lambda: StudentT(1.0).log_prob(torch.tensor(math.nan)), "value holds nan"),
        (lambda: Gamma(1.0).sample((-1,), torch.Generator()), r"shape is \(-1,\)"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
