"""Batch normalisation: each feature is measured over the batch, and brought to mean 0 and variance 1.

Ioffe and Szegedy (2015, algorithm 1) normalise a feature by the mean and variance of the mini-batch, then let
it have any scale and place again. In use there may be no batch, so running averages of both take over:

    mu = mean(x)    s2 = mean((x - mu)^2)                         over b and all positions
    y  = weight * (x - mu) / sqrt(s2 + epsilon) + bias
    running mean     <- (1 - momentum) * running mean     + momentum * mu
    running variance <- (1 - momentum) * running variance + momentum * s2 * n / (n - 1)

The variance that normalises is divided by n, the one that is remembered by n - 1. Both depend on who else is
in the batch: with few samples the estimate is noise, in training and in what is remembered, so the layer
warns. For the gradient g of y, with h = (x - mu) / sqrt(s2 + epsilon) (the paper's section 3, gathered):

    dx = weight / sqrt(s2 + epsilon) * (g - mean(g) - h * mean(g * h))

Axes used below
    b  batch      c  channels (features)      *size  positions: none, time, or height and width
"""

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Batch normalisation",
    paper="https://arxiv.org/abs/1502.03167",
    year=2015,
    summary="Keeps each feature of a network at mean 0 and variance 1 over the batch: it trains faster.",
    rows=("RN09",),
    differs=("Warns where a training batch has fewer than 8 samples; neither the paper nor torch does.",),
    oracle="torch.nn.BatchNorm1d to 3d: outputs, running statistics and gradients, float64",
)


class SmallBatch(UserWarning):
    """Statistics of so few samples are mostly noise."""


def batch_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    running_mean: Tensor | None = None,
    running_variance: Tensor | None = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
) -> Float[Tensor, "b c *size"]:
    """``x`` (b, c, *size) normalised over b and size; ``weight``, ``bias`` and running statistics are (c,).

    In training the running statistics, where given, are changed in place. Else they are what normalises.
    Raises ``ValueError`` for a dtype that is not floating, other shapes, momentum outside [0, 1), epsilon not
    positive, one value per channel in training, and no running statistics outside of it.
    """
    _check_input(x, training)
    vectors = {
        "weight": weight, "bias": bias, "running_mean": running_mean, "running_variance": running_variance,
    }  # fmt: skip
    for name, vector in vectors.items():
        if vector is not None and vector.shape != x.shape[1:2]:
            raise ValueError(f"{name} has shape {tuple(vector.shape)}; x asks for ({x.shape[1]},)")
    if not training and (running_mean is None or running_variance is None):
        raise ValueError("running_mean or running_variance is None; outside of training both are needed")
    _check_settings(momentum, epsilon)
    return F.batch_norm(x, running_mean, running_variance, weight, bias, training, momentum, epsilon)


class BatchNorm(_BatchNorm):
    """`batch_norm` as a layer for inputs (b, features, *size). Its weights carry the names of torch's.

    ``momentum=None`` remembers the plain average of all batches. A training batch of fewer samples than
    ``smallest`` gives one warning, `SmallBatch`.
    """

    def __init__(
        self,
        features: int,
        *,
        epsilon: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track: bool = True,
        smallest: int = 8,
    ) -> None:
        if features < 1:
            raise ValueError(f"features is {features}; it must be 1 or more")
        _check_settings(momentum, epsilon)
        super().__init__(features, epsilon, momentum, affine, track)
        self.smallest, self.warned = smallest, False

    def _check_input_dim(self, input: Tensor) -> None:
        uses_batch = self.training or not self.track_running_stats
        _check_input(input, uses_batch)
        if input.shape[1] != self.num_features:
            raise ValueError(f"x has {input.shape[1]} channels; this layer has features={self.num_features}")
        if uses_batch and len(input) < self.smallest and not self.warned:
            self.warned = True
            warnings.warn(
                f"batch normalisation over {len(input)} samples (fewer than {self.smallest}): the statistics "
                "are mostly noise; take a larger batch, GroupNorm, or SynchronizedBatchNorm",
                SmallBatch,
                stacklevel=4,
            )


@torch.no_grad()
def train_eval_gap(layer: _BatchNorm, x: Float[Tensor, "b c *size"]) -> Float[Tensor, ""]:
    """Mean distance between what ``layer`` gives for ``x`` with this batch's statistics and with its own."""
    mean, variance = layer.running_mean, layer.running_var
    if mean is None or variance is None:
        raise ValueError("layer has no running statistics; it is the same in training and in use")
    by_batch = batch_norm(x, layer.weight, layer.bias, epsilon=layer.eps)
    by_memory = batch_norm(x, layer.weight, layer.bias, mean, variance, training=False, epsilon=layer.eps)
    return (by_batch - by_memory).abs().mean()


def batch_norm_by_hand(
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "c"],
    bias: Float[Tensor, "c"],
    running_mean: Float[Tensor, "c"],
    running_variance: Float[Tensor, "c"],
    training: bool = True,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
) -> tuple[Float[Tensor, "b c *size"], Float[Tensor, "c"], Float[Tensor, "c"]]:
    """Channel by channel: the output, and both running statistics afterwards."""
    channels, means, variances = [], [], []
    for c in range(x.shape[1]):
        values = x[:, c]
        n, mean, variance = values.numel(), running_mean[c], running_variance[c]
        if training:
            mean = values.sum() / n
            variance = ((values - mean) ** 2).sum() / n
            means.append((1 - momentum) * running_mean[c] + momentum * mean.detach())
            remembered = variance.detach() * n / (n - 1)
            variances.append((1 - momentum) * running_variance[c] + momentum * remembered)
        else:
            means.append(mean)
            variances.append(variance)
        channels.append(weight[c] * (values - mean) / torch.sqrt(variance + epsilon) + bias[c])
    return torch.stack(channels, dim=1), torch.stack(means), torch.stack(variances)


def batch_norm_gradient_by_hand(
    g: Float[Tensor, "b c *size"],
    x: Float[Tensor, "b c *size"],
    weight: Float[Tensor, "c"],
    epsilon: float = 1e-5,
) -> tuple[Float[Tensor, "b c *size"], Float[Tensor, "c"], Float[Tensor, "c"]]:
    """From ``g``, the gradient of the output, those of ``x``, ``weight`` and bias, as derived above."""
    slopes = torch.empty_like(x)
    for c in range(x.shape[1]):
        values, incoming = x[:, c], g[:, c]
        deviation = torch.sqrt(((values - values.mean()) ** 2).mean() + epsilon)
        h = (values - values.mean()) / deviation
        slopes[:, c] = weight[c] / deviation * (incoming - incoming.mean() - h * (incoming * h).mean())
    every = [a for a in range(x.ndim) if a != 1]
    shape = [-1 if a == 1 else 1 for a in range(x.ndim)]
    mean, variance = x.mean(every).reshape(shape), x.var(every, correction=0).reshape(shape)
    return slopes, (g * (x - mean) / torch.sqrt(variance + epsilon)).sum(every), g.sum(every)


def _check_input(x: Tensor, uses_batch: bool) -> None:
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, channels, ...)")
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; it must hold floating-point numbers")
    if uses_batch and len(x) * math.prod(x.shape[2:]) == 1:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: one value per channel, whose variance is 0; give at least 2"
        )


def _check_settings(momentum: float | None, epsilon: float) -> None:
    if momentum is not None and not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, 2, 4, dtype=torch.float64, generator=dice) * 2 + 1
    weight, bias, mean = torch.randn(3, 3, dtype=torch.float64, generator=dice)
    variance = mean**2 + 0.5

    def ours(x: Tensor, weight: Tensor, bias: Tensor, training: bool) -> tuple[Tensor, ...]:
        running = mean.clone(), variance.clone()
        return batch_norm(x, weight, bias, *running, training=training), *running

    def plain(x: Tensor, weight: Tensor, bias: Tensor, training: bool) -> tuple[Tensor, ...]:
        return batch_norm_by_hand(x, weight, bias, mean, variance, training)

    for training in (True, False):
        yield Twin("in training" if training else "in use", ours, plain, (x, weight, bias, training))

    def slopes(g: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        leaves = [t.clone().requires_grad_() for t in (x, weight, bias)]
        return torch.autograd.grad(batch_norm(*leaves), leaves, g)

    g = torch.randn(x.shape, dtype=torch.float64, generator=dice)
    yield Twin("gradient", slopes, batch_norm_gradient_by_hand, (g, x, weight), gradients=False)
