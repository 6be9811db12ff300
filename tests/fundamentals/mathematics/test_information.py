"""Entropies and divergences against scipy, and the identities that hold among them."""

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from fathom.fundamentals.mathematics.information import (
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    mutual_information,
)

DOUBLE = torch.float64


def random(*shape: int, seed: int) -> Tensor:
    """Distributions, some of whose outcomes are impossible."""
    dice = torch.Generator().manual_seed(seed)
    weights = torch.rand(*shape, dtype=DOUBLE, generator=dice)
    weights = torch.where(torch.rand(*shape, generator=dice) < 0.2, 0, weights)
    weights[..., 0] += 0.1
    return weights / weights.sum(-1, keepdim=True)


def test_all_equal_scipy() -> None:
    for seed in range(50):
        shape = (3, 1 + seed % 9)
        p, q = random(*shape, seed=seed), random(*shape, seed=seed + 1000)
        base = (math.e, 2, 10)[seed % 3]
        surprise = scipy.special.entr(p.numpy()) + scipy.special.rel_entr(p.numpy(), q.numpy())
        pairs = [
            (entropy(p, base=base), scipy.stats.entropy(p, base=base, axis=-1)),
            (kl_divergence(p, q, base=base), scipy.stats.entropy(p, q, base=base, axis=-1)),
            (cross_entropy(p, q, base=base), surprise.sum(-1) / math.log(base)),
        ]  # fmt: skip
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=1e-10, atol=1e-12)
        distance = scipy.spatial.distance.jensenshannon(p.numpy(), q.numpy(), base=base, axis=-1)
        np.testing.assert_allclose(
            js_divergence(p, q, base=base).clamp(min=0).sqrt().numpy(), distance, atol=1e-6
        )


@pytest.mark.slow
def test_mutual_information_equals_sklearn() -> None:
    from sklearn.metrics import mutual_info_score

    for seed in range(30):
        dice = np.random.default_rng(seed)
        table = dice.poisson(3, (1 + seed % 5, 2 + seed % 4))
        table[0, 0] += 1
        ours = float(mutual_information(torch.tensor(table / table.sum())))
        assert ours == pytest.approx(mutual_info_score(None, None, contingency=table), abs=1e-10)


def test_mutual_information_is_a_divergence_from_independence() -> None:
    for seed in range(20):
        joint = random(4 * 3, seed=seed).reshape(4, 3)
        apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
        ours = float(mutual_information(joint))
        assert ours == pytest.approx(float(scipy.stats.entropy(joint.flatten(), apart.flatten())), abs=1e-10)
        assert abs(float(mutual_information(apart))) < 1e-12


chances = some.lists(some.tuples(some.floats(0, 1), some.floats(0.001, 1)), min_size=1, max_size=12).filter(
    lambda rows: sum(row[0] for row in rows) > 1e-3
)


@settings(max_examples=60, deadline=None)
@given(chances)
def test_cross_entropy_is_entropy_plus_divergence(rows: list[tuple[float, float]]) -> None:
    p, q = (column / column.sum() for column in torch.tensor(rows, dtype=DOUBLE).T)
    together = entropy(p) + kl_divergence(p, q)
    torch.testing.assert_close(cross_entropy(p, q), together, rtol=1e-9, atol=1e-9)
    assert float(kl_divergence(p, q)) >= -1e-12
    assert -1e-12 <= float(entropy(p)) <= math.log(len(p)) + 1e-12
    assert -1e-12 <= float(js_divergence(p, q)) <= math.log(2) + 1e-12
    torch.testing.assert_close(js_divergence(p, q), js_divergence(q, p), rtol=1e-9, atol=1e-12)


def test_known_values() -> None:
    assert float(entropy(torch.tensor([0.5, 0.5]), base=2)) == pytest.approx(1)
    assert entropy(torch.tensor([1.0, 0.0])).item() == 0
    assert entropy(torch.full((3, 8), 0.125), base=2).tolist() == pytest.approx([3, 3, 3])
    apart = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert kl_divergence(*apart).item() == math.inf
    assert cross_entropy(*apart).item() == math.inf
    assert float(js_divergence(*apart, base=2)) == pytest.approx(1)
    assert float(mutual_information(apart / 2, base=2)) == pytest.approx(1)
    assert entropy(torch.zeros(0, 3)).shape == (0,)
    assert entropy(torch.ones(1)).item() == 0


def test_shared_impossible_outcomes_have_no_gradient() -> None:
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.75, 0.0], requires_grad=True)
    for divergence in (cross_entropy, kl_divergence):
        (slope,) = torch.autograd.grad(divergence(p, q), q)
        torch.testing.assert_close(slope, torch.tensor([-2.0, -2 / 3, 0.0]))


def test_batches_broadcast_and_logits_of_1e4_are_finite() -> None:
    p, q = random(4, 1, 3, seed=0), random(2, 3, seed=1) * 0 + 1 / 3
    assert kl_divergence(p, q).shape == (4, 2)
    sharp = torch.tensor([1e4, 0.0, -1e4]).softmax(-1)
    assert entropy(sharp).isfinite()
    assert js_divergence(sharp, sharp.flip(-1)).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    p, q = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.125, 0.375, 0.5])
    for measure in (cross_entropy, kl_divergence, js_divergence):
        found = measure(p.to(dtype), q.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), measure(p, q), rtol=2e-2, atol=2e-2)


def test_bad_input_is_refused() -> None:
    half = torch.tensor([0.5, 0.5])
    cases = [
        (lambda: entropy(torch.tensor([0.5, 0.6])), "p sums to 1.1"),
        (lambda: entropy(torch.tensor([math.nan, 0.5])), "p holds nan"),
        (lambda: entropy(torch.tensor([1.5, -0.5])), "p holds -0.5; probabilities are 0 or more"),
        (lambda: entropy(torch.tensor([1])), "p is of type torch.int64"),
        (lambda: entropy(torch.tensor(1.0)), r"p has shape \(\)"),
        (lambda: entropy(half, base=1), "base is 1; it must be positive"),
        (lambda: entropy(half, base=-2), "base is -2"),
        (lambda: cross_entropy(half, 2 * half), "q sums to 2.0"),
        (lambda: kl_divergence(half, torch.ones(1)), "p and q have 2 and 1 outcomes"),
        (lambda: js_divergence(half.expand(2, 2), half.expand(3, 2)), "batch axes must broadcast"),
        (lambda: mutual_information(half), r"joint has shape \(2,\)"),
        (lambda: mutual_information(torch.ones(2, 2)), "joint sums to 4.0"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
