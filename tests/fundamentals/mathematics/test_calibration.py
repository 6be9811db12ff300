"""Calibration against torchmetrics, scikit-learn and scipy, and a temperature that was planted."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.fundamentals.mathematics.calibration import (
    adaptive_calibration_error,
    apply_temperature,
    brier_score,
    confidence_curve,
    expected_calibration_error,
    fit_temperature,
    mean_gap,
    reliability_curve,
)


def planted(rows: int, classes: int, temperature: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits whose labels are drawn from softmax(logits / temperature): that temperature is the right one."""
    dice = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(rows, classes, dtype=torch.float64, generator=dice)
    labels = torch.multinomial((logits / temperature).softmax(-1), 1, generator=dice)[:, 0]
    return logits, labels


@pytest.mark.slow
def test_expected_error_equals_torchmetrics() -> None:
    """To 1e-6: torchmetrics adds up in float32, whatever it is given."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    for seed in range(30):
        classes, bins = 2 + seed % 6, 1 + seed % 20
        logits, labels = planted(200, classes, 1.0 + seed % 3, seed)
        p = logits.softmax(-1)
        theirs = multiclass_calibration_error(p, labels, classes, n_bins=bins, norm="l1")
        assert float(expected_calibration_error(p, labels, bins)) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.slow
def test_curves_equal_sklearn() -> None:
    """Confidences and hits as a binary problem; 240 predictions fill up to 24 bins evenly."""
    from sklearn.calibration import calibration_curve

    for seed in range(20):
        bins = (1, 2, 5, 10, 24)[seed % 5]
        logits, labels = planted(240, 3, 2.0, seed)
        p = logits.softmax(-1)
        sure, predicted = p.max(-1)
        for equal, strategy in (("width", "uniform"), ("count", "quantile")):
            ours = reliability_curve(p, labels, bins, equal=equal)
            accuracy, confidence = calibration_curve(
                (predicted == labels).numpy(), sure.numpy(), n_bins=bins, strategy=strategy
            )
            np.testing.assert_allclose(ours.accuracy.numpy(), accuracy, rtol=1e-12)
            np.testing.assert_allclose(ours.confidence.numpy(), confidence, rtol=1e-12)
            assert int(ours.size.sum()) == 240


@pytest.mark.slow
def test_brier_equals_sklearn() -> None:
    from sklearn.metrics import brier_score_loss

    for seed in range(10):
        classes = 2 + seed % 4
        logits, labels = planted(100, classes, 1.5, seed)
        p = logits.softmax(-1)
        theirs = brier_score_loss(labels.numpy(), p.numpy(), labels=list(range(classes)), scale_by_half=False)
        assert float(brier_score(p, labels)) == pytest.approx(theirs, abs=1e-12)


def test_equal_counts_by_hand() -> None:
    """Five predictions in two bins: three and two."""
    sure = torch.tensor([0.9, 0.6, 0.8, 0.7, 0.55], dtype=torch.float64)
    p = torch.stack([sure, 1 - sure], -1)
    labels = torch.tensor([0, 1, 1, 0, 0])
    curve = reliability_curve(p, labels, 2, equal="count")
    assert curve.size.tolist() == [3, 2]
    assert curve.confidence.tolist() == pytest.approx([(0.55 + 0.6 + 0.7) / 3, 0.85])
    assert curve.accuracy.tolist() == pytest.approx([2 / 3, 1 / 2])
    expected = 3 / 5 * abs(2 / 3 - 1.85 / 3) + 2 / 5 * 0.35
    assert float(adaptive_calibration_error(p, labels, 2)) == pytest.approx(expected)
    assert reliability_curve(p, labels, 9, equal="count").size.tolist() == [1] * 5


def test_edges_belong_to_the_lower_bin() -> None:
    sure = torch.tensor([0.5, 0.75, 1.0, 0.76], dtype=torch.float64)
    curve = reliability_curve(torch.stack([sure, 1 - sure], -1), torch.zeros(4, dtype=torch.int64), 4)
    assert curve.size.tolist() == [1, 1, 2]
    assert curve.confidence.tolist() == pytest.approx([0.5, 0.75, 0.88])


def test_confidences_alone_give_the_same_curve() -> None:
    for seed in range(10):
        logits, labels = planted(80, 3, 2.0, seed)
        p = logits.softmax(-1)
        sure, guess = p.max(-1)
        for equal in ("width", "count"):
            for correct in (guess == labels, (guess == labels).long()):
                curve = confidence_curve(sure, correct, 7, equal=equal)
                torch.testing.assert_close(
                    curve, reliability_curve(p, labels, 7, equal=equal), rtol=0, atol=0
                )
        error = expected_calibration_error(p, labels, 7)
        assert mean_gap(confidence_curve(sure, guess == labels, 7)) == error
    low = confidence_curve(torch.tensor([0.0, 0.1, 0.95]), torch.tensor([0, 1, 1]), 10)
    assert low.place.tolist() == [0, 9] and low.size.tolist() == [2, 1]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5, 6.0])
def test_a_planted_temperature_is_found_and_mends(temperature: float) -> None:
    logits, labels = planted(20_000, 5, temperature)
    held = logits[10_000:], labels[10_000:]
    found = fit_temperature(logits[:10_000], labels[:10_000])
    assert found == pytest.approx(temperature, rel=0.06)
    before = float(expected_calibration_error(held[0].softmax(-1), held[1]))
    after = float(expected_calibration_error(apply_temperature(held[0], found), held[1]))
    assert after < 0.02
    if temperature != 1:
        assert after < 0.7 * before  # at least 30 % lower
    mended = apply_temperature(held[0], found)
    assert torch.equal(mended.argmax(-1), held[0].argmax(-1))
    assert brier_score(mended, held[1]) <= brier_score(held[0].softmax(-1), held[1]) + 1e-4


def test_temperature_equals_scipy() -> None:
    for seed in range(30):
        logits, labels = planted(60, 2 + seed % 5, (0.3, 1.0, 5.0)[seed % 3], seed)
        scale = 10.0 ** (seed % 9 - 4)  # logits from 1e-4 to 1e4

        def loss(log_t: float, logits: Tensor = logits, labels: Tensor = labels) -> float:
            return float(F.cross_entropy(logits / math.exp(log_t), labels))

        best = scipy.optimize.minimize_scalar(
            loss, bounds=(-5, 8), method="bounded", options={"xatol": 1e-10}
        )
        found = fit_temperature(scale * logits, labels)
        assert found == pytest.approx(scale * math.exp(best.x), rel=1e-5)
        z = logits.clone() / (found / scale)
        slope = (z.softmax(-1) * z).sum(-1).mean() - z.gather(-1, labels[:, None]).mean()
        assert abs(float(slope)) < 1e-12


def test_perfect_and_worst_predictions() -> None:
    one_hot, labels = torch.eye(3), torch.arange(3)
    for measure in (expected_calibration_error, adaptive_calibration_error, brier_score):
        assert measure(one_hot, labels).item() == 0
    assert expected_calibration_error(one_hot, labels.roll(1)).item() == 1
    assert brier_score(one_hot, labels.roll(1)).item() == 2
    assert expected_calibration_error(torch.ones(1, 1), torch.tensor([0])).item() == 0
    sharp = apply_temperature(torch.tensor([[1e4, -1e4]]), 1e-4)
    assert sharp.tolist() == [[1, 0]]
    assert fit_temperature(torch.tensor([[1e4, -1e4], [1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 1, 1])) > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    logits, labels = planted(50, 3, 2.0)
    p = logits.softmax(-1)
    for measure in (expected_calibration_error, adaptive_calibration_error, brier_score):
        assert float(measure(p.to(dtype), labels)) == pytest.approx(float(measure(p, labels)), abs=0.05)
    assert fit_temperature(logits.to(dtype), labels) == pytest.approx(
        fit_temperature(logits, labels), rel=0.05
    )


def test_bad_input_is_refused() -> None:
    p, labels = torch.full((2, 2), 0.5), torch.tensor([0, 1])
    z = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    cases = [
        (lambda: expected_calibration_error(2 * p, labels), "row 0 sum to 2.0; they must sum to 1"),
        (lambda: brier_score(torch.tensor([[0.5, 0.5], [0.5, 0.4]]), labels), "row 1 sum to 0.9"),
        (
            lambda: brier_score(torch.tensor([[1.5, -0.5], [0.5, 0.5]]), labels),
            "probabilities holds -0.5 to 1.5",
        ),
        (lambda: brier_score(p * math.nan, labels), "probabilities holds nan"),
        (
            lambda: adaptive_calibration_error(p, torch.tensor([0, 2])),
            r"labels holds 0 to 2; classes lie in \[0, 2\)",
        ),
        (lambda: adaptive_calibration_error(p, labels[:1]), r"\(2, 2\) and labels \(1,\)"),
        (lambda: brier_score(p[:0], labels[:0]), "none of them empty"),
        (lambda: brier_score(p.long(), labels), "probabilities is of type torch.int64"),
        (lambda: brier_score(p, labels.float()), "labels torch.float32"),
        (lambda: reliability_curve(p, labels, 0), "bins is 0"),
        (lambda: reliability_curve(p, labels, equal="depth"), "equal is 'depth'"),
        (lambda: confidence_curve(p[0], labels[:1]), r"confidence has shape \(2,\) and correct \(1,\)"),
        (lambda: confidence_curve(p, p > 0), r"confidence has shape \(2, 2\)"),
        (lambda: confidence_curve(p[0, :0], labels[:0]), "with n 1 or more"),
        (lambda: confidence_curve(labels, labels), "confidence has dtype torch.int64"),
        (lambda: confidence_curve(z[0], labels), "confidence holds 0.0 to 2.0; confidences lie in"),
        (lambda: confidence_curve(p[0], labels + 1), r"correct holds \[1, 2\]; it is 0 or 1"),
        (lambda: confidence_curve(p[0], labels, 0), "bins is 0"),
        (lambda: fit_temperature(z, labels), "labels all have the largest logit"),
        (lambda: fit_temperature(z, labels.flip(0)), "labels have no larger logits than chance"),
        (lambda: fit_temperature(torch.zeros(2, 2), labels), "labels all have the largest logit"),
        (lambda: fit_temperature(z * math.inf, labels), "logits holds NaN or infinity"),
        (lambda: apply_temperature(z, 0.0), "temperature is 0.0; it must be positive"),
        (lambda: apply_temperature(z.long(), 1.0), "logits is torch.int64"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
