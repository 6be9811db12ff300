"""Class balance against scikit-learn and the equations of the papers."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.regularization.class_balance import (
    class_counts,
    class_weights,
    effective_number_weights,
    logit_adjusted_cross_entropy,
    logit_adjustment,
    sampling_probabilities,
)


def long_tail(classes: int = 10, most: int = 500) -> torch.Tensor:
    """Labels whose counts fall by equal factors from ``most`` to a hundredth of it, shuffled."""
    counts = [round(most * 0.01 ** (k / (classes - 1))) for k in range(classes)]
    labels = torch.tensor([k for k, count in enumerate(counts) for _ in range(count)])
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


@pytest.mark.slow
def test_weights_and_sampler_equal_scikit_learn() -> None:
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

    dice = np.random.default_rng(0)
    for case in range(50):
        classes = int(dice.integers(1, 12))
        extra = torch.from_numpy(dice.integers(0, classes, int(dice.integers(0, 200))) // 2)
        labels = torch.cat([torch.arange(classes), extra]) if case else long_tail(classes=10)
        classes = 10 if not case else classes
        known = np.unique(labels.numpy())
        theirs = compute_class_weight("balanced", classes=known, y=labels.numpy())
        ours = class_weights(class_counts(labels, classes))
        torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-14, atol=0)
        weights = torch.from_numpy(compute_sample_weight("balanced", labels.numpy()))
        drawn = sampling_probabilities(labels, classes)
        torch.testing.assert_close(drawn, weights / weights.sum(), rtol=1e-12, atol=0)


def test_weighted_classes_have_the_same_say() -> None:
    labels = long_tail()
    weights = class_weights(class_counts(labels, 10))
    say = torch.zeros(10, dtype=torch.float64).index_add_(0, labels, weights[labels])
    torch.testing.assert_close(say, torch.full((10,), len(labels) / 10, dtype=torch.float64))
    assert weights[labels].mean().item() == pytest.approx(1.0)


def test_the_sampler_draws_classes_alike() -> None:
    labels = long_tail()
    drawn = torch.multinomial(sampling_probabilities(labels, 10), 50_000, replacement=True)
    assert class_counts(labels[drawn], 10).double().div(50_000).sub(0.1).abs().max() < 0.01
    torch.testing.assert_close(
        sampling_probabilities(labels, 10, 0.0), torch.full((len(labels),), 1 / len(labels)).double()
    )
    half = sampling_probabilities(labels, 12, 0.5)  # two classes have no example
    shares = torch.zeros(12, dtype=torch.float64).index_add_(0, labels, half)
    expected = class_counts(labels, 12).double().sqrt()
    torch.testing.assert_close(shares, expected / expected.sum())


def test_effective_number_runs_from_no_weighting_to_the_inverse_of_counts() -> None:
    counts = class_counts(long_tail(), 10)
    torch.testing.assert_close(effective_number_weights(counts, 0.0), torch.ones(10).double())
    inverse = class_weights(counts) / class_weights(counts).mean()
    almost = effective_number_weights(counts, 1 - 1e-10)
    torch.testing.assert_close(almost, inverse, rtol=1e-5, atol=0)
    for beta in (0.9, 0.999):
        written = (1 - beta) / (1 - beta ** counts.double())
        found = effective_number_weights(counts, beta)
        torch.testing.assert_close(found, written / written.mean(), rtol=1e-12, atol=0)
        assert found.sum().item() == pytest.approx(10)


def test_adjusted_logits_rank_as_if_classes_were_equally_frequent() -> None:
    """Bayes: where p(y) ~ n_y, the posterior of equal classes is the fitted one divided by n_y."""
    counts = torch.tensor([900, 90, 10])
    likelihood = torch.rand(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    posterior = (likelihood * counts).log()  # the logits of a perfect classifier of the data as they are
    fair = logit_adjustment(posterior, counts, -1.0)
    torch.testing.assert_close(fair.softmax(1), likelihood / likelihood.sum(1, keepdim=True))
    target = torch.randint(3, (200,))
    whole = logit_adjusted_cross_entropy(likelihood.log(), target, counts)
    torch.testing.assert_close(whole, F.cross_entropy(posterior, target), rtol=1e-12, atol=1e-12)


def test_extremes_and_half_precision() -> None:
    assert class_weights(torch.tensor([5])).tolist() == [1.0]
    assert class_counts(torch.zeros(0, dtype=torch.int64), 3).tolist() == [0, 0, 0]
    huge = torch.tensor([10**9, 1])
    assert effective_number_weights(huge, 0.99999).isfinite().all() and class_weights(huge).isfinite().all()
    for dtype in (torch.float16, torch.bfloat16):
        made = logit_adjustment(torch.zeros(1, 2, dtype=dtype), huge)
        assert made.dtype == dtype and made[0, 1].item() == pytest.approx(-20.72, rel=1e-2)
    assert logit_adjusted_cross_entropy(torch.full((1, 2), 1e4), torch.tensor([1]), huge).isfinite()


BAD: list[tuple[Any, str]] = [
    (lambda: class_counts(torch.tensor([0.5]), 2), "labels are torch.float32"),
    (lambda: class_counts(torch.tensor([0, 2]), 2), r"labels hold 0 to 2; they must be in \[0, 2\)"),
    (lambda: class_counts(torch.tensor([-1]), 2), "labels hold -1 to -1"),
    (lambda: class_counts(torch.tensor([0]), 0), "classes is 0; it must be 1 or more"),
    (lambda: class_weights(torch.tensor([3, 0, 0])), r"counts are below 1 for classes \[1, 2\]"),
    (lambda: class_weights(torch.tensor([0.5, 0.5])), "counts are torch.float32; they must be whole"),
    (lambda: class_weights(torch.zeros(0, dtype=torch.int64)), "counts is empty"),
    (lambda: effective_number_weights(torch.tensor([1]), 1.0), r"beta is 1.0; it must be in \[0, 1\)"),
    (lambda: sampling_probabilities(torch.tensor([0]), 1, 1.5), r"power is 1.5; it must be in \[0, 1\]"),
    (lambda: sampling_probabilities(torch.zeros(0, dtype=torch.int64), 2), "labels is empty"),
    (lambda: logit_adjustment(torch.zeros(1, 2), torch.tensor([1, 2, 3])), "of 2 classes and counts of 3"),
    (lambda: logit_adjustment(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([1, 2])), "logits are"),
    (lambda: logit_adjustment(torch.zeros(1, 2), torch.tensor([1, 0])), r"below 1 for classes \[1\]"),
    (lambda: logit_adjusted_cross_entropy(torch.zeros(1, 2), torch.tensor([2]), torch.tensor([1, 2])),
     r"labels hold 2 to 2; they must be in \[0, 2\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_refused(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
