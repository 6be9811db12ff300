"""Discrete distributions against torch.distributions and scipy, and their draws against their masses."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch import distributions as theirs

from fathom.fundamentals.mathematics.discrete_distributions import Bernoulli, Binomial, Categorical, Poisson

DICE = torch.Generator().manual_seed(0)
CHANCE = torch.rand(4, 1, dtype=torch.float64, generator=DICE)
TABLE = torch.rand(3, 5, dtype=torch.float64, generator=DICE).softmax(-1)
RATE = 10 * torch.rand(4, 1, dtype=torch.float64, generator=DICE)
COUNTS = torch.arange(8.0, dtype=torch.float64)


def agree(ours: Any, oracle: Any, parameter: Tensor, value: Tensor) -> None:
    found = []
    for kind in (ours, oracle):
        leaf = parameter.clone().requires_grad_()
        mass = kind(leaf).log_prob(value)
        mass.sum().backward()
        found.append([mass, leaf.grad])
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)


def test_log_prob_and_its_gradients_equal_torch() -> None:
    agree(
        Bernoulli, lambda p: theirs.Bernoulli(probs=p), CHANCE, torch.tensor([0.0, 1.0], dtype=torch.float64)
    )
    agree(lambda p: Binomial(9, p), lambda p: theirs.Binomial(9, probs=p), CHANCE, COUNTS)
    agree(Poisson, theirs.Poisson, RATE, COUNTS)
    classes = torch.tensor([[0, 4, 2], [1, 1, 3]])
    leaves = [TABLE.clone().requires_grad_() for _ in range(2)]
    masses = [Categorical(leaves[0]).log_prob(classes), theirs.Categorical(leaves[1]).log_prob(classes)]
    torch.testing.assert_close(masses[0], masses[1], rtol=1e-12, atol=1e-12)
    # torch divides by the sum first, so its gradients are ours less their part along the sum
    slopes = [torch.autograd.grad(mass.sum(), leaf)[0] for mass, leaf in zip(masses, leaves, strict=True)]
    projected = slopes[0] - (slopes[0] * TABLE).sum(-1, keepdim=True)
    torch.testing.assert_close(projected, slopes[1], rtol=1e-12, atol=1e-12)


def test_entropy_equals_torch_and_scipy() -> None:
    pairs = [
        (Bernoulli(CHANCE), theirs.Bernoulli(probs=CHANCE)),
        (Binomial(9, CHANCE), theirs.Binomial(9, probs=CHANCE)),
        (Categorical(TABLE), theirs.Categorical(TABLE)),
    ]
    for ours, oracle in pairs:
        torch.testing.assert_close(ours.entropy(), oracle.entropy(), rtol=1e-10, atol=1e-10)
    for rate in (0.01, 0.5, 3.0, 49.0, 80.0, 700.0):  # scipy sums a narrower window: equal to 1e-6
        value = float(Poisson(torch.tensor(rate, dtype=torch.float64)).entropy())
        k = np.arange(2000)
        exact = scipy.stats.entropy(scipy.stats.poisson(rate).pmf(k))
        assert value == pytest.approx(exact, rel=1e-10)
        assert value == pytest.approx(scipy.stats.poisson(rate).entropy(), rel=1e-6)


def test_counts_of_different_throws_broadcast() -> None:
    counts, chance = torch.tensor([0.0, 3.0, 12.0]), torch.tensor([[0.2], [0.7]])
    ours = Binomial(counts, chance).entropy()
    for row in range(2):
        for column in range(3):
            exact = scipy.stats.binom(int(counts[column]), float(chance[row, 0])).entropy()
            assert float(ours[row, column]) == pytest.approx(float(exact), abs=1e-5)


def test_poisson_entropy_has_no_seam() -> None:
    """The sum and the expansion give the same where they meet."""
    rate = torch.tensor([999.999999, 1000.0, 1000.000001], dtype=torch.float64)
    found = Poisson(rate).entropy()
    assert float((found - 0.5 * rate.log()).diff().abs().max()) < 1e-11
    assert float(Poisson(1e6).entropy()) == pytest.approx(
        0.5 * math.log(2 * math.pi * math.e * 1e6), abs=1e-5
    )


@pytest.mark.parametrize(
    ("ours", "oracle"),
    [
        (Bernoulli(0.3), scipy.stats.bernoulli(0.3)),
        (Binomial(12, 0.4), scipy.stats.binom(12, 0.4)),
        (Poisson(4.5), scipy.stats.poisson(4.5)),
        (Categorical(torch.tensor([0.1, 0.0, 0.6, 0.3, 0.0])),
         scipy.stats.rv_discrete(values=([0, 2, 3], [0.1, 0.6, 0.3]))),
    ],
    ids=lambda p: type(p).__name__,
)  # fmt: skip
def test_draws_fit_their_masses(ours: Any, oracle: Any) -> None:
    """Chi-squared of the counts, and the Kolmogorov-Smirnov distance, whose bound holds for steps too."""
    drawn = ours.sample((20_000,), torch.Generator().manual_seed(2)).numpy().astype(int)
    top = int(drawn.max())
    seen, expected = np.bincount(drawn), 20_000 * oracle.pmf(np.arange(top + 1))
    assert not seen[expected == 0].any()
    often = expected >= 5
    seen = np.append(seen[often], 20_000 - seen[often].sum())
    expected = np.append(expected[often], 20_000 - expected[often].sum())
    kept = expected > 1
    assert (
        scipy.stats.chisquare(seen[kept], expected[kept] * seen[kept].sum() / expected[kept].sum()).pvalue
        > 0.01
    )
    steps = np.cumsum(np.bincount(drawn)) / 20_000
    assert np.abs(steps - oracle.cdf(np.arange(top + 1))).max() < scipy.stats.kstwo(20_000).ppf(0.99)


def test_a_draw_depends_on_its_generator_alone() -> None:
    for ours in (Bernoulli(CHANCE), Binomial(9, CHANCE), Categorical(TABLE), Poisson(RATE)):
        first = ours.sample((50,), torch.Generator().manual_seed(3))
        torch.rand(5)  # the global generator moves on
        assert torch.equal(first, ours.sample((50,), torch.Generator().manual_seed(3)))
        assert first.shape == (50, *ours.entropy().shape)
        assert not torch.equal(first, ours.sample((50,), torch.Generator().manual_seed(4)))


def test_sure_things_and_extremes() -> None:
    sure = torch.tensor([0.0, 1.0], requires_grad=True)
    mass = Bernoulli(sure).log_prob(torch.tensor([0.0, 1.0]))
    mass.sum().backward()
    assert mass.tolist() == [0, 0]
    assert sure.grad is not None and sure.grad.isfinite().all()
    assert Bernoulli(sure.detach()).entropy().tolist() == [0, 0]
    assert Bernoulli(0.0).log_prob(torch.tensor(1)).item() == -math.inf
    assert Binomial(10_000, 1.0).log_prob(torch.tensor(10_000)).item() == pytest.approx(0)
    assert Binomial(0, 0.5).entropy().item() == 0
    assert Poisson(0.0).log_prob(torch.tensor([0, 1])).tolist() == [0, -math.inf]
    assert Poisson(0.0).entropy().item() == 0
    assert (
        Poisson(torch.tensor(1e4, dtype=torch.float64)).log_prob(torch.tensor([0, 20_000])).isfinite().all()
    )
    assert Categorical(torch.tensor([1.0])).entropy().item() == 0
    assert Poisson(torch.zeros(0)).entropy().shape == (0,)
    assert Binomial(torch.zeros(0), 0.5).entropy().shape == (0,)
    assert (Categorical(torch.tensor([0.0, 1.0, 0.0])).sample((500,), torch.Generator()) == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    chance = torch.tensor([0.25, 0.75], dtype=dtype)
    expected = theirs.Bernoulli(probs=chance.float()).entropy()
    torch.testing.assert_close(Bernoulli(chance).entropy().float(), expected, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(
        Categorical(chance).entropy().float(), expected[:1].squeeze(), rtol=2e-2, atol=2e-2
    )
    for ours in (Bernoulli(chance), Binomial(4, chance), Poisson(4 * chance)):
        assert ours.sample((3,), torch.Generator()).dtype == dtype
        assert ours.log_prob(torch.tensor(1)).dtype == dtype


def test_bad_input_is_refused() -> None:
    half = torch.tensor([0.5, 0.5])
    cases = [
        (lambda: Bernoulli(1.5), "probability holds 1.5; it must be in"),
        (lambda: Bernoulli(math.nan), "probability holds nan"),
        (lambda: Bernoulli(0.5).log_prob(torch.tensor(2)), "value holds 2.0; it must be 0 or 1"),
        (lambda: Bernoulli(0.5).log_prob(torch.tensor(0.5)), "value holds 0.5; it must be a whole number"),
        (lambda: Binomial(2.5, 0.5), "count holds 2.5; it must be a whole number"),
        (lambda: Binomial(-1, 0.5), "count holds -1.0"),
        (lambda: Binomial(3, 0.5).log_prob(torch.tensor(4)), "value holds 4.0; it must be at most count"),
        (lambda: Binomial(3, half).log_prob(torch.zeros(3)), r"value has shape \(3,\)"),
        (lambda: Binomial(3, 0.5).sample((-2,), torch.Generator()), r"shape is \(-2,\)"),
        (lambda: Categorical(torch.tensor([0.5, 0.6])), "the sum of probabilities holds 1.1"),
        (lambda: Categorical(torch.tensor([1.5, -0.5])), "probabilities holds 1.5; it must be in"),
        (lambda: Categorical(torch.tensor(1.0)), r"probabilities has shape \(\); it must be"),
        (
            lambda: Categorical(half).log_prob(torch.tensor(2)),
            r"value holds 2; it must be a class in \[0, 2\)",
        ),
        (lambda: Categorical(half).log_prob(torch.tensor(0.0)), "value is of type torch.float32; classes"),
        (
            lambda: Categorical(TABLE).log_prob(torch.tensor([0, 1])),
            r"value has shape \(2,\); it must broadcast",
        ),
        (lambda: Poisson(-1.0), "rate holds -1.0; it must be 0 or more"),
        (lambda: Poisson(1.0).log_prob(torch.tensor(-1)), "value holds -1; it must be a whole number"),
        (lambda: Poisson(1.0).log_prob(torch.tensor(math.inf)), "value holds inf"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
