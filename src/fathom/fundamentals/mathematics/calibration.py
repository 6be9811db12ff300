"""Calibration: does a confidence of 0.8 mean right in 80 of 100 cases?

Networks trained to the end are too sure of themselves (Guo et al. 2017). To see it, predictions are put
into bins by confidence, the largest probability of each, and the accuracy of every bin is compared with its
mean confidence; the reliability curve of an honest model is the diagonal. Their section 2, equation 3:

    ECE   = sum_bins (n_bin / n) |accuracy(bin) - confidence(bin)|     bins (lower, upper] of equal width
    ACE   = the same over bins that hold equally many                  (Nguyen and O'Connor 2015)
    Brier = mean_n sum_c (p_c - [c is the class])^2                    from 0 to 2 (Brier 1950)

The cure is one number (their section 4.2): divide the logits by a temperature T > 0, the one under which
held-out labels are likeliest. No prediction changes, only how sure it is. In a = 1 / T the negative
log-likelihood is convex: its slope is the mean of E[z] - z_class and its curvature that of Var[z], both under
softmax(a z), so Newton's method finds the minimum in a few steps; a bracket keeps it from leaping away.

Axes: n  predictions     c  classes     m  bins
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Calibration",
    paper="https://arxiv.org/abs/1706.04599",
    year=2017,
    summary="Measures how far confidences are from accuracies, and mends them with one temperature.",
    rows=("MA10",),
    differs=("The temperature is found by Newton's method in 1 / T; the paper does not fix a method.",),
    oracle="torchmetrics calibration_error; sklearn calibration_curve and brier_score_loss; scipy for T",
)


class Curve(NamedTuple):
    """A reliability curve: the bins that hold anything, least confident first."""

    confidence: Float[Tensor, "m"]  # (m,) mean confidence of each bin
    accuracy: Float[Tensor, "m"]  # (m,) share of its predictions that are right
    size: Int[Tensor, "m"]  # (m,) how many it holds
    place: Int[Tensor, "m"]  # (m,) which of all bins it is, from 0


def reliability_curve(
    probabilities: Tensor, labels: Tensor, bins: int = 15, *, equal: str = "width"
) -> Curve:
    """The curve of ``probabilities`` (n, c), rows that sum to 1, and ``labels`` (n,), classes in [0, c).

    ``equal`` is "width" for bins (lower, upper] of the same width, or "count" for bins of as equal a count
    as ``bins`` parts allow. Raises ValueError for other shapes, sums and classes.
    """
    _predictions(probabilities, labels)
    sure, predicted = probabilities.detach().max(-1)
    return confidence_curve(sure, predicted == labels, bins, equal=equal)


def confidence_curve(confidence: Tensor, correct: Tensor, bins: int = 15, *, equal: str = "width") -> Curve:
    """The same where the ``confidence`` (n,), in [0, 1], of each prediction is known and whether it is right.

    ``correct`` (n,) holds 0 and 1, or truth values. Raises ValueError for other shapes and values.
    """
    _hits(confidence, correct)
    if bins < 1:
        raise ValueError(f"bins is {bins}; it must be 1 or more")
    if equal not in ("width", "count"):
        raise ValueError(f"equal is {equal!r}; it must be 'width' or 'count'")
    sure = confidence.detach().to(torch.promote_types(confidence.dtype, torch.float32))
    if equal == "width":
        inner = torch.linspace(0, 1, bins + 1, dtype=sure.dtype, device=sure.device)[1:-1]
        place = torch.bucketize(sure, inner)
    else:
        rank = sure.argsort(stable=True).argsort()
        parts = [len(part) for part in torch.arange(len(sure)).tensor_split(bins)]
        place = torch.repeat_interleave(torch.tensor(parts, device=sure.device))[rank]
    count = torch.bincount(place, minlength=bins)
    held = count > 0
    sums = [sure.new_zeros(bins).index_add(0, place, x)[held] for x in (sure, correct.to(sure.dtype))]
    return Curve(sums[0] / count[held], sums[1] / count[held], count[held], held.nonzero()[:, 0])


def mean_gap(curve: Curve) -> Float[Tensor, ""]:
    """The mean distance of accuracy and confidence, each bin weighted by what it holds (equation 3)."""
    return ((curve.accuracy - curve.confidence).abs() * curve.size).sum() / curve.size.sum()


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Float[Tensor, ""]:
    """The mean distance of accuracy and confidence, in [0, 1], over bins of equal width."""
    return mean_gap(reliability_curve(probabilities, labels, bins))


def adaptive_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Float[Tensor, ""]:
    """The mean distance of accuracy and confidence, in [0, 1], over bins of equal count."""
    return mean_gap(reliability_curve(probabilities, labels, bins, equal="count"))


def brier_score(probabilities: Tensor, labels: Tensor) -> Float[Tensor, ""]:
    """The mean squared distance, in [0, 2], of ``probabilities`` (n, c) from the truth of ``labels`` (n,)."""
    _predictions(probabilities, labels)
    truth = F.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    return (probabilities - truth).square().sum(-1).mean()


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T under which softmax(``logits`` / T) makes ``labels`` likeliest; logits (n, c), labels (n,).

    Use logits that training has not seen. Raises ValueError where no T is best: when every label has the
    largest logit (T would be 0), or labels have no larger logits than chance (T would be infinite).
    """
    _classified("logits", logits, labels)
    if not bool(logits.isfinite().all()):
        raise ValueError("logits holds NaN or infinity; every logit must be finite")
    z = logits.detach().double()
    z = z - z.amax(-1, keepdim=True)
    own = z.gather(-1, labels[:, None])[:, 0]
    if not bool((own < 0).any()):
        raise ValueError("labels all have the largest logit; no temperature is best, add rows with errors")
    if float((z.mean(-1) - own).mean()) >= 0:
        raise ValueError("labels have no larger logits than chance; no temperature is best")
    low, high, a = 0.0, math.inf, 1 / float(z.mean(-1).abs().mean())
    for _ in range(200):
        p = (a * z).softmax(-1)
        expected = (p * z).sum(-1)
        slope = float((expected - own).mean())
        low, high = (a, high) if slope < 0 else (low, a)
        following = a - slope / max(float((p * (z - expected[:, None]).square()).sum(-1).mean()), 1e-300)
        if not low < following < high:
            following = 2 * a if high == math.inf else (low + high) / 2
        if abs(following - a) <= 1e-14 * a:
            break
        a = following
    return 1 / a


def apply_temperature(logits: Tensor, temperature: float | int) -> Float[Tensor, "..."]:
    """Probabilities softmax(``logits`` / ``temperature``) of (..., c): above 1 less sure, below 1 more."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; it must be positive and finite")
    if not logits.is_floating_point() or logits.ndim < 1:
        given = f"{logits.dtype} of shape {tuple(logits.shape)}"
        raise ValueError(f"logits is {given}; it must be floating-point (..., c)")
    return (logits / temperature).softmax(-1)


def _classified(name: str, rows: Tensor, labels: Tensor) -> None:
    if rows.ndim != 2 or labels.shape != rows.shape[:1] or not rows.numel():
        shapes = f"{tuple(rows.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"{name} has shape {shapes}; they must be (n, c) and (n,), none of them empty")
    if not rows.is_floating_point() or labels.dtype != torch.int64:
        types = f"{rows.dtype} and labels {labels.dtype}"
        raise ValueError(f"{name} is of type {types}; they must be floating-point and int64")
    if not bool(((labels >= 0) & (labels < rows.shape[1])).all()):
        ends = f"{int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"labels holds {ends}; classes lie in [0, {rows.shape[1]})")


def _predictions(probabilities: Tensor, labels: Tensor) -> None:
    _classified("probabilities", probabilities, labels)
    p = probabilities.detach().double()
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"probabilities holds {float(p.min())} to {float(p.max())}; they lie in [0, 1]")
    slack = 1e-5 if probabilities.dtype == torch.float64 else 1e-4 + 2 * torch.finfo(probabilities.dtype).eps
    off = (p.sum(-1) - 1).abs()
    if not float(off.max()) <= slack:
        row = int(off.argmax())
        raise ValueError(f"probabilities of row {row} sum to {float(p[row].sum())}; they must sum to 1")


def _hits(confidence: Tensor, correct: Tensor) -> None:
    if confidence.ndim != 1 or correct.shape != confidence.shape or not len(confidence):
        shapes = f"{tuple(confidence.shape)} and correct {tuple(correct.shape)}"
        raise ValueError(f"confidence has shape {shapes}; both must be (n,), with n 1 or more")
    if not confidence.is_floating_point():
        raise ValueError(f"confidence has dtype {confidence.dtype}; it must hold floating-point numbers")
    if not bool(((confidence >= 0) & (confidence <= 1)).all()):
        ends = f"{float(confidence.min())} to {float(confidence.max())}"
        raise ValueError(f"confidence holds {ends}; confidences lie in [0, 1]")
    if not bool(((correct == 0) | (correct == 1)).all()):
        raise ValueError(f"correct holds {correct.unique().tolist()[:5]}; it is 0 or 1")


def expected_calibration_error_by_hand(
    probabilities: Float[Tensor, "n c"], labels: Int[Tensor, "n"], bins: int = 15
) -> Float[Tensor, ""]:
    """Every prediction into its bin; then bin by bin."""
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        sure = max(row)
        held[max(0, math.ceil(sure * bins) - 1)].append((sure, row.index(sure) == label))
    return _mean_gap_by_hand(held)


def adaptive_calibration_error_by_hand(
    probabilities: Float[Tensor, "n c"], labels: Int[Tensor, "n"], bins: int = 15
) -> Float[Tensor, ""]:
    """Sort by confidence and deal out: the first n mod m bins get one more."""
    rows = zip(probabilities.tolist(), labels.tolist(), strict=True)
    ordered = sorted((max(row), row.index(max(row)) == label) for row, label in rows)
    size, more = divmod(len(ordered), bins)
    held = [[ordered.pop(0) for _ in range(size + (place < more))] for place in range(bins)]
    return _mean_gap_by_hand(held)


def _mean_gap_by_hand(held: list[list[tuple[float, bool]]]) -> Tensor:
    total = 0.0
    for bin in held:
        if bin:
            confidence = sum(sure for sure, _ in bin) / len(bin)
            accuracy = sum(right for _, right in bin) / len(bin)
            total += len(bin) * abs(accuracy - confidence)
    return torch.tensor(total / sum(len(bin) for bin in held), dtype=torch.float64)


def brier_score_by_hand(probabilities: Float[Tensor, "n c"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    total = torch.zeros((), dtype=probabilities.dtype)
    for row, label in zip(probabilities, labels.tolist(), strict=True):
        for place, probability in enumerate(row):
            total = total + (probability - float(place == label)) ** 2
    return total / len(labels)


def fit_temperature_by_hand(logits: Float[Tensor, "n c"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """Halve the range of log T to a point: too warm is where more warmth makes the labels less likely."""
    cold, warm = math.log(1e-3), math.log(1e3)
    for _ in range(60):
        middle = torch.tensor((cold + warm) / 2, dtype=torch.float64, requires_grad=True)
        loss = F.cross_entropy(logits / middle.exp(), labels)
        if torch.autograd.grad(loss, middle)[0] > 0:
            warm = middle.item()
        else:
            cold = middle.item()
    return torch.tensor(math.exp(cold), dtype=torch.float64)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(47, 4, generator=dice, dtype=torch.float64)
    labels = torch.randint(4, (47,), generator=dice)
    labels[::2] = logits[::2].argmax(-1)
    p = logits.softmax(-1)
    yield Twin("expected calibration error", expected_calibration_error, expected_calibration_error_by_hand,
               (p, labels), gradients=False)  # fmt: skip
    yield Twin("adaptive calibration error", adaptive_calibration_error, adaptive_calibration_error_by_hand,
               (p, labels), gradients=False)  # fmt: skip
    yield Twin("brier score", brier_score, brier_score_by_hand, (p[:5], labels[:5]))
    yield Twin("temperature", lambda z, y: torch.tensor(fit_temperature(z, y), dtype=torch.float64),
               fit_temperature_by_hand, (logits, labels), tolerance=1e-10, gradients=False)  # fmt: skip
