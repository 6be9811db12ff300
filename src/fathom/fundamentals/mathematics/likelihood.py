"""Maximum likelihood and MAP: where the common losses come from.

A model with parameters w says how likely it finds the data. Maximum likelihood takes the w under which the
data are likeliest (Fisher 1922); the negative logarithm makes a product of many examples a mean that is
minimised. What a loss assumes of the noise is then plain to see (Bishop 2006, sections 1.2.5, 3.1 and 4.3):

    noise around the prediction           -log P(data | w)                             loss
    categorical, softmax of the logits    -mean log p_class                            cross-entropy
    Bernoulli, sigmoid of the logit       -mean(y log p + (1 - y) log(1 - p))          binary cross-entropy
    normal with standard deviation s      mean (t - y)^2 / (2 s^2) + log(s sqrt(2pi))  squared error
    Laplace with scale s                  mean |t - y| / s + log(2 s)                  absolute error

MAP, maximum a posteriori, also weighs how plausible w was before, by Bayes' theorem: it adds -log P(w). For a
normal prior of standard deviation r that is sum w^2 / (2 r^2): L2 regularisation, and of n examples whose
mean loss is minimised the weight decay is 1 / (n r^2). A Laplace prior gives L1.

Axes: n  examples     c  classes     v  features; "..." stands for any axes, over all of which is averaged.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Maximum likelihood and MAP",
    paper="https://doi.org/10.1098/rsta.1922.0009",
    year=1922,
    summary="Shows that losses are negative log-likelihoods, and that weight decay is a prior belief.",
    rows=("MA12",),
    oracle="torch.distributions and torch.nn.functional, values and gradients; sklearn Ridge for MAP weights",
)


def categorical_negative_log_likelihood(logits: Tensor, classes: Tensor) -> Float[Tensor, ""]:
    """Cross-entropy: the mean over n of -log softmax(``logits``)[class], logits (n, c), ``classes`` (n,)."""
    _floating("logits", logits)
    if logits.ndim != 2 or classes.shape != logits.shape[:1] or not logits.numel():
        shapes = f"{tuple(logits.shape)} and classes {tuple(classes.shape)}"
        raise ValueError(f"logits has shape {shapes}; they must be (n, c) and (n,), none of them empty")
    if classes.dtype != torch.int64 or not bool(((classes >= 0) & (classes < logits.shape[1])).all()):
        given = f"{classes.dtype} from {int(classes.min())} to {int(classes.max())}"
        raise ValueError(f"classes is {given}; it must be int64 in [0, {logits.shape[1]})")
    return F.cross_entropy(logits, classes)


def bernoulli_negative_log_likelihood(logits: Tensor, targets: Tensor) -> Float[Tensor, ""]:
    """Binary cross-entropy: the mean of -log P(target), ``logits`` (...), ``targets`` (...) in [0, 1]."""
    _alike("logits", logits, targets)
    if not bool(((targets >= 0) & (targets <= 1)).all()):
        ends = f"{float(targets.detach().min())} to {float(targets.detach().max())}"
        raise ValueError(f"targets is from {ends}; it must be in [0, 1]")
    return F.binary_cross_entropy_with_logits(logits, targets)


def gaussian_negative_log_likelihood(
    prediction: Tensor, target: Tensor, std: float | int = 1.0
) -> Float[Tensor, ""]:
    """The mean of -log N(target; prediction, std) over (...): the squared error, scaled and shifted."""
    _alike("prediction", prediction, target)
    _positive("std", std)
    return F.mse_loss(prediction, target) / (2 * std**2) + math.log(std * math.sqrt(2 * math.pi))


def laplace_negative_log_likelihood(
    prediction: Tensor, target: Tensor, scale: float | int = 1.0
) -> Float[Tensor, ""]:
    """The mean of -log Laplace(target; prediction, scale) over (...): the absolute error, scaled, shifted."""
    _alike("prediction", prediction, target)
    _positive("scale", scale)
    return F.l1_loss(prediction, target) / scale + math.log(2 * scale)


def gaussian_prior(weights: Tensor, std: float | int) -> Float[Tensor, ""]:
    """-log P(weights), summed, for a normal prior around 0, without the part that no weight changes: L2."""
    _floating("weights", weights)
    _positive("std", std)
    return weights.square().sum() / (2 * std**2)


def laplace_prior(weights: Tensor, scale: float | int) -> Float[Tensor, ""]:
    """-log P(weights), summed, for a Laplace prior around 0, without the part that no weight changes: L1."""
    _floating("weights", weights)
    _positive("scale", scale)
    return weights.abs().sum() / scale


def weight_decay(prior_std: float | int, examples: int) -> float:
    """The ``weight_decay`` of SGD that equals a normal prior, where the loss is a mean over ``examples``."""
    _positive("prior_std", prior_std)
    if examples < 1:
        raise ValueError(f"examples is {examples}; it must be 1 or more")
    return 1 / (examples * prior_std**2)


def fit_normal(values: Tensor) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The likeliest mean and standard deviation of ``values`` (n,): the mean square, so a bit too small."""
    _floating("values", values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values has shape {tuple(values.shape)}; it must be (n,), n >= 1")
    return values.mean(), values.std(correction=0)


def fit_categorical(labels: Tensor, classes: int) -> Float[Tensor, "c"]:
    """The likeliest probabilities (c,) of ``labels`` (n,), integers in [0, classes): their shares."""
    if labels.ndim != 1 or not len(labels) or labels.dtype != torch.int64:
        given = f"{labels.dtype} of shape {tuple(labels.shape)}"
        raise ValueError(f"labels is {given}; it must be int64 (n,), n >= 1")
    if not bool(((labels >= 0) & (labels < classes)).all()):
        raise ValueError(
            f"labels holds {int(labels.min())} to {int(labels.max())}; they lie in [0, {classes})"
        )
    return torch.bincount(labels, minlength=classes) / len(labels)


def map_linear(
    features: Tensor, target: Tensor, noise: float | int = 1.0, prior_std: float | int = math.inf
) -> Float[Tensor, "v"]:
    """The likeliest weights (v,) of a linear model ``features`` (n, v) -> ``target`` (n,).

    The noise around the line is normal with standard deviation ``noise``; so is the prior of each weight,
    with ``prior_std`` around 0. An infinite one is no prior: least squares, the maximum likelihood. A prior
    is v more rows of data, which say that each weight is 0. Raises ValueError where without a prior many
    weights are equally likely.
    """
    _floating("features", features)
    if features.ndim != 2 or target.shape != features.shape[:1]:
        shapes = f"{tuple(features.shape)} and target {tuple(target.shape)}"
        raise ValueError(f"features has shape {shapes}; they must be (n, v) and (n,)")
    _positive("noise", noise)
    rows, wanted = features / noise, target / noise
    if prior_std != math.inf:
        _positive("prior_std", prior_std)
        belief = torch.eye(features.shape[1], dtype=features.dtype, device=features.device) / prior_std
        rows, wanted = torch.cat([rows, belief]), torch.cat([wanted, wanted.new_zeros(features.shape[1])])
    elif (rank := int(torch.linalg.matrix_rank(features))) < features.shape[1]:
        given = f"rank {rank} in {features.shape[1]} columns"
        raise ValueError(f"features has {given}; without a prior_std no weights are likeliest")
    q, r = torch.linalg.qr(rows)
    return torch.linalg.solve_triangular(r, (q.mT @ wanted)[:, None], upper=True)[:, 0]


def _floating(name: str, value: Tensor) -> None:
    if not value.is_floating_point():
        raise ValueError(f"{name} is of type {value.dtype}; it must be a floating-point tensor")


def _alike(name: str, value: Tensor, target: Tensor) -> None:
    _floating(name, value)
    _floating("target", target)
    if value.shape != target.shape or not value.numel():
        shapes = f"{tuple(value.shape)} and target {tuple(target.shape)}"
        raise ValueError(f"{name} has shape {shapes}; they must be the same, and not empty")


def _positive(name: str, value: float | int) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} is {value}; it must be positive and finite")


def categorical_negative_log_likelihood_by_hand(
    logits: Float[Tensor, "n c"], classes: Int[Tensor, "n"]
) -> Float[Tensor, ""]:
    """The probability of all that was seen is a product; its logarithm is shared among the examples."""
    probability = torch.ones((), dtype=logits.dtype)
    for row, seen in zip(logits, classes.tolist(), strict=True):
        probability = probability * torch.exp(row[seen]) / torch.exp(row).sum()
    return -torch.log(probability) / len(logits)


def bernoulli_negative_log_likelihood_by_hand(
    logits: Float[Tensor, "n"], targets: list[int]
) -> Float[Tensor, ""]:
    probability = torch.ones((), dtype=logits.dtype)
    for logit, seen in zip(logits, targets, strict=True):
        one = 1 / (1 + torch.exp(-logit))
        probability = probability * (one if seen else 1 - one)
    return -torch.log(probability) / len(logits)


def gaussian_negative_log_likelihood_by_hand(
    prediction: Float[Tensor, "n"], target: Float[Tensor, "n"], std: float
) -> Float[Tensor, ""]:
    density = torch.exp(-((target - prediction) ** 2) / (2 * std**2)) / math.sqrt(2 * math.pi * std**2)
    return -torch.log(density.prod()) / len(target)


def laplace_negative_log_likelihood_by_hand(
    prediction: Float[Tensor, "n"], target: Float[Tensor, "n"], scale: float
) -> Float[Tensor, ""]:
    density = torch.exp(-(target - prediction).abs() / scale) / (2 * scale)
    return -torch.log(density.prod()) / len(target)


def gaussian_prior_by_hand(weights: Float[Tensor, "v"], std: float) -> Float[Tensor, ""]:
    """The density of the weights, relative to that of weights that are all 0."""
    return -torch.log(torch.exp(-(weights**2) / (2 * std**2)).prod())


def laplace_prior_by_hand(weights: Float[Tensor, "v"], scale: float) -> Float[Tensor, ""]:
    return -torch.log(torch.exp(-weights.abs() / scale).prod())


def map_linear_by_hand(
    features: Float[Tensor, "n v"], target: Float[Tensor, "n"], noise: float, prior_std: float
) -> Float[Tensor, "v"]:
    """Walk down the gradient of -log posterior, which is a bowl, until it is flat."""
    weights = torch.zeros(features.shape[1], dtype=features.dtype)
    step = 1 / (features.square().sum() / noise**2 + 1 / prior_std**2)
    for _ in range(5000):
        slope = features.T @ (features @ weights - target) / noise**2 + weights / prior_std**2
        weights = weights - step * slope
    return weights


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    logits = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.0, -0.3]], dtype=torch.float64)
    x = torch.tensor([0.5, -1.2, 2.0, 0.1], dtype=torch.float64)
    t = torch.tensor([0.1, -1.0, 2.6, -0.7], dtype=torch.float64)
    classes, ones = torch.tensor([2, 0]), torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    features = torch.tensor([[1.0, 0.2], [1.0, -0.7], [1.0, 1.1], [1.0, 0.4]], dtype=torch.float64)
    yield Twin("cross-entropy", lambda z: categorical_negative_log_likelihood(z, classes),
               lambda z: categorical_negative_log_likelihood_by_hand(z, classes), (logits,))  # fmt: skip
    yield Twin("binary cross-entropy", lambda z: bernoulli_negative_log_likelihood(z, ones),
               lambda z: bernoulli_negative_log_likelihood_by_hand(z, [1, 0, 0, 1]), (x,))  # fmt: skip
    yield Twin("squared error", lambda y, t: gaussian_negative_log_likelihood(y, t, 0.7),
               lambda y, t: gaussian_negative_log_likelihood_by_hand(y, t, 0.7), (x, t))  # fmt: skip
    yield Twin("absolute error", lambda y, t: laplace_negative_log_likelihood(y, t, 0.7),
               lambda y, t: laplace_negative_log_likelihood_by_hand(y, t, 0.7), (x, t))  # fmt: skip
    yield Twin("L2", lambda w: gaussian_prior(w, 0.9), lambda w: gaussian_prior_by_hand(w, 0.9), (x,))
    yield Twin("L1", lambda w: laplace_prior(w, 0.9), lambda w: laplace_prior_by_hand(w, 0.9), (x,))
    yield Twin("MAP of a line", lambda x, t: map_linear(x, t, 0.5, 2.0),
               lambda x, t: map_linear_by_hand(x, t, 0.5, 2.0), (features, t), gradients=False)  # fmt: skip
