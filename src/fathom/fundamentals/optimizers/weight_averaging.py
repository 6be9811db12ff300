"""Averages of weights: the last step of a noisy training is not the best guess of where it was heading.

    EMA    a <- d a + (1 - d) w                     after each step; remembers about the last 1 / (1 - d)
    SWA    a <- a + (w - a) / (n + 1)               the plain mean of the n + 1 weights seen, one an epoch
    both   a <- a + share (w - a)                   with a share of its own for each step

Near a minimum SGD with a constant rate walks around it and never arrives; the mean of the walk does.
Averaging weights is not averaging models, it works because the walk stays in one valley. EMA serves where
the rate decays as well (GANs, diffusion, detection), SWA with a rate kept high on purpose: its average then
lies in the middle of a wide valley whose edges the walk explored. The average was never trained on, so the
running statistics of batch normalisation do not fit it: average them too (EMA), or count them anew (SWA,
Algorithm 1, last line).

Source: Polyak and Juditsky (1992); Izmailov et al. (2018), https://arxiv.org/abs/1803.05407. The warm-up of
d, min(d, (1 + t) / (10 + t)), is that of TensorFlow's ExponentialMovingAverage.

Legend: w weights, a average, d decay, n weights averaged so far, t step from 0
"""

# torch names its multi-tensor functions with an underscore.
# pyright: reportPrivateImportUsage=false

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Averages of weights: EMA and SWA",
    paper="https://arxiv.org/abs/1803.05407",
    year=2018,
    summary="Evaluates a running mean of the weights instead of where the last step happened to land.",
    rows=("OP13",),
    oracle="timm.utils.ModelEmaV3 bit for bit, with buffers; torch.optim.swa_utils.AveragedModel to 1e-12",
)

Share = Callable[[int], float]


def exponential(decay: float, warm: bool = False) -> Share:
    """The share of the new weights in an exponential average; ``decay`` in (0, 1).

    ``warm``: the decay begins small, so that the average forgets the random start.
    """
    if not 0 < decay < 1:
        raise ValueError(f"decay is {decay}; it must be in (0, 1)")
    return lambda step: 1 - (min(decay, (1 + step) / (10 + step)) if warm else decay)


def equal(step: int) -> float:
    """The share that makes the average a plain mean: 1 for the first weights, 1/2 for the second, ..."""
    return 1 / (step + 1)


class WeightAverage:
    """A copy of a model that follows it: ``update`` moves it by ``share(step)`` of the way.

    ``model`` is the average: it is in evaluation mode and needs no gradients. Buffers of floating point are
    averaged with the weights, or copied where ``average_buffers`` is off; counters are always copied.
    """

    def __init__(self, model: nn.Module, share: Share, average_buffers: bool = True) -> None:
        self.share, self.average_buffers = share, average_buffers
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take in the weights after ``step`` (from 0). ValueError unless names and shapes are the copy's."""
        if step < 0:
            raise ValueError(f"step is {step}; it must be 0 or more")
        own, new = self.model.state_dict(), model.state_dict()
        if [(n, t.shape) for n, t in own.items()] != [(n, t.shape) for n, t in new.items()]:
            raise ValueError("model has other names or shapes than the one that is averaged")
        copied = set() if self.average_buffers else {n for n, _ in self.model.named_buffers()}
        moving = [n for n, t in own.items() if t.is_floating_point() and n not in copied]
        if moving:
            torch._foreach_lerp_([own[n] for n in moving], [new[n] for n in moving], self.share(step))
        for name in own.keys() - set(moving):
            own[name].copy_(new[name])


def refit_normalization(model: nn.Module, batches: Iterable[Any]) -> None:
    """Count the running statistics of batch normalisation anew over ``batches`` (``swa_utils.update_bn``).

    Raises ``ValueError`` where there is no batch, which would leave none; the old ones are kept then.
    """
    coming = iter(batches)
    for first in coming:
        return update_bn(itertools.chain([first], coming), model)
    raise ValueError("batches is empty; give at least one, to count statistics over")


def follow(values: Float[Tensor, "steps *n"], share: Share) -> list[Tensor]:
    """Where the average stands after each of ``values``; it begins as the first of them."""
    model = nn.ParameterList([values[0].clone()])
    average = WeightAverage(model, share)
    path = []
    for step, value in enumerate(values):
        model[0].data.copy_(value)
        average.update(model, step)
        path.append(next(average.model.parameters()).clone())
    return path


def exponential_by_hand(values: Float[Tensor, "steps *n"], decay: float, warm: bool = False) -> list[Tensor]:
    path, average = [], values[0]
    for step, value in enumerate(values):
        keep = min(decay, (1 + step) / (10 + step)) if warm else decay
        average = keep * average + (1 - keep) * value
        path.append(average)
    return path


def equal_by_hand(values: Float[Tensor, "steps *n"]) -> list[Tensor]:
    return [values[: n + 1].mean(0) for n in range(len(values))]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    values = torch.randn(60, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for name, warm in (("exponential", False), ("exponential, warm", True)):
        yield Twin(
            name,
            lambda v, w=warm: follow(v, exponential(0.9, w)),
            lambda v, w=warm: exponential_by_hand(v, 0.9, w),
            (values,),
            gradients=False,
        )
    yield Twin("equal", lambda v: follow(v, equal), equal_by_hand, (values,), gradients=False)
