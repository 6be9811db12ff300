"""Synchronised batch normalisation: the batch is spread over processes, and measured as one.

Where each process holds only a few samples, batch normalisation over them is noise. Peng et al. (2018)
let the processes exchange what the statistics are made of. With sums over all processes:

    n = sum(count)    mu = sum(x) / n    s2 = sum((x - mu)^2) / n        two exchanges of c numbers
    y = weight * h + bias,    h = (x - mu) / sqrt(s2 + epsilon)

The loss of every process depends on every process' x through mu and s2, so the gradient is exchanged as well.
With g the gradient of y in one process (batch_norm gives the formula; its means now run over all processes):

    dx = weight / sqrt(s2 + epsilon) * (g - sum(g) / n - h * sum(g h) / n)        one exchange of 2 c numbers

The gradients of weight and bias are those of the own samples: data-parallel training adds them up as all
others. The sum of squares is taken around the mean, at the price of a second exchange: E[x^2] - mu^2 loses
all digits where the mean is large.

Axes used below
    b  batch of this process      c  channels (features)      *size  positions
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fathom.card import Card
from fathom.fundamentals.normalization.batch_norm import BatchNorm

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Synchronised batch normalisation",
    paper="https://arxiv.org/abs/1711.07240",
    year=2018,
    summary="Batch normalisation whose statistics come from the batches of all processes together.",
    rows=("RN13",),
    builds_on=("batch_norm",),
    oracle="batch normalisation of the whole batch in one process; torch.nn.BatchNorm; two gloo processes",
)


def total(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes; ``value`` itself where there is one."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return value


class _Normalize(torch.autograd.Function):
    """The equations in the head of this file, for one process."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        axes = [a for a in range(x.ndim) if a != 1]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # sums of half precision overflow
        own = wide.new_tensor([x.numel() // x.shape[1]])
        sums = total(torch.cat([wide.sum(axes), own]))
        n = sums[-1]
        mean = sums[:-1] / n
        centred = wide - _over(mean, x)
        variance = total((centred * centred).sum(axes)) / n
        deviation = torch.sqrt(variance + epsilon)
        h = centred / _over(deviation, x)
        ctx.save_for_backward(h, deviation, n)
        ctx.mark_non_differentiable(mean, variance, n)
        return h.to(x.dtype), mean, variance, n

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        g = gradients[0]  # the statistics are only remembered
        h, deviation, n = ctx.saved_tensors
        axes = [a for a in range(g.ndim) if a != 1]
        wide = g.to(h.dtype)
        straight, along = total(torch.stack([wide.sum(axes), (wide * h).sum(axes)])) / n
        slope = (wide - _over(straight, g) - h * _over(along, g)) / _over(deviation, g)
        return slope.to(g.dtype), None


def _over(vector: Tensor, x: Tensor) -> Tensor:
    """``vector`` (c,) as (1, c, 1, ...), to stand beside x."""
    return vector.reshape(1, -1, *[1] * (x.ndim - 2))


class SynchronizedBatchNorm(BatchNorm):
    """`BatchNorm` whose training statistics are those of all processes' batches together.

    For inputs (b, features, *size), where b may differ between processes; all must call it alike. Outside of
    training, and without a process group, it is `BatchNorm`. State dicts are exchangeable with it and
    torch's.
    """

    def forward(self, input: Tensor) -> Float[Tensor, "b c *size"]:
        self._check_input_dim(input)
        if not self.training:
            return super().forward(input)
        h, mean, variance, n = _Normalize.apply(input, self.eps)
        if self.track_running_stats:
            self.remember(mean, variance * n / (n - 1))
        if self.weight is None:
            return h
        return (h * _over(self.weight, h) + _over(self.bias, h)).to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        alone = not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)
        if alone or not self.training:
            super()._check_input_dim(input)
        elif input.ndim < 2 or input.shape[1] != self.num_features or not input.is_floating_point():
            raise ValueError(
                f"x is {input.dtype} of shape {tuple(input.shape)}; it must be floating, "
                f"(batch, {self.num_features}, ...)"
            )

    @torch.no_grad()
    def remember(self, mean: Float[Tensor, "c"], variance: Float[Tensor, "c"]) -> None:
        """Move the running statistics towards those of this batch."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronized_batch_norm_by_hand(
    shards: Sequence[Float[Tensor, "_ c *size"]],
    weight: Float[Tensor, "c"],
    bias: Float[Tensor, "c"],
    epsilon: float = 1e-5,
) -> list[Float[Tensor, "_ c *size"]]:
    """What the ``shards`` of the processes become, in one place; autograd finds the exchanged gradient."""
    axes = [a for a in range(shards[0].ndim) if a != 1]
    n = sum(s.numel() // s.shape[1] for s in shards)
    mean = torch.stack([s.sum(axes, keepdim=True) for s in shards]).sum(0) / n
    variance = torch.stack([((s - mean) ** 2).sum(axes, keepdim=True) for s in shards]).sum(0) / n
    return [_over(weight, s) * (s - mean) / torch.sqrt(variance + epsilon) + _over(bias, s) for s in shards]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: one process here, two in the tests."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x = torch.randn(9, 3, 2, dtype=torch.float64, generator=dice) * 2 + 1
    weight, bias = torch.randn(2, 3, dtype=torch.float64, generator=dice)

    def ours(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layer = SynchronizedBatchNorm(3).double()
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    def plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.cat(synchronized_batch_norm_by_hand(x.split([2, 4, 3]), weight, bias))

    yield Twin("three shards", ours, plain, (x, weight, bias))
