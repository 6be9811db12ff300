"""The training loop: the few lines that every network is trained by.

    epoch        one pass over the training data, in batches
    batch        the examples of one step: inputs and targets
    step         forward, loss, backward, update              w <- w - r dL/dw, or as the optimizer has it
    validation   the loss on examples that no step has seen, without gradients

Training and validation differ in three ways. ``model.train()`` and ``model.eval()`` switch layers that behave
differently, dropout and batch normalisation; ``no_grad`` saves the memory of a graph that nobody walks
back; and there is no step. The order inside a step is fixed by two facts: ``backward`` *adds* to the
gradients that are there, so they are cleared once a step; and a schedule says what the rate of the *next*
step is, so it moves last (torch's convention since 1.1).

The engine's loop (``training/loop.py``) counts steps instead of epochs, takes its randomness from the number
of the step, and lets observers evaluate, log and save. Fed with the same batches the two make the same
losses, bit for bit: a test of this file shows it, and ``first_difference`` is what it asks.

Axes used below
    b  batch      i, o  inputs, outputs
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="The training loop",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="Epochs, batches, steps and validation: the 25 lines that train any network with one loss.",
    rows=("NF09",),
    differs=(
        "The paper adds up the gradients of all examples for a step; here a step takes one batch of them.",
    ),
    oracle="the engine's losses on the recipe lenet, 50 steps, bit for bit; torch.optim on its own",
)

Batches = Iterable[Sequence[Tensor]]  # pairs of inputs and targets, (b, ...); each pass is an epoch
Loss = Callable[[Tensor, Tensor], Tensor]  # loss(outputs, targets) -> the mean over the batch


@dataclass
class History:
    """What a training run was like."""

    losses: list[float] = field(default_factory=list)  # of each step, before its update
    validation: list[float] = field(default_factory=list)  # after each epoch; empty without validation data


def train(
    model: nn.Module, optimizer: Optimizer, loss_function: Loss, training: Batches, *,
    validation: Batches = (), epochs: int = 1, scheduler: LRScheduler | None = None,
) -> History:  # fmt: skip
    """Train ``model``, in place, for ``epochs`` passes over ``training``; it is left in evaluation mode.

    ``training`` and ``validation`` give pairs of inputs and targets each time they are iterated: a list, a
    ``DataLoader``, anything but an iterator, which is spent after one pass. ``optimizer`` holds the model's
    parameters; ``scheduler`` is stepped after each update. ``ValueError`` for a negative number of epochs, an
    epoch without a batch, and at a loss that is not a finite number, before it spoils the weights.
    """
    history = History()
    for epoch in range(checked(epochs)):
        model.train()
        for inputs, targets in some(training, epoch):
            loss = loss_function(model(inputs), targets)
            history.losses.append(finite(loss, len(history.losses)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for inputs, targets in validation:  # a last batch that is smaller counts for less
                total += loss_function(model(inputs), targets).item() * len(targets)
                count += len(targets)
        if count:
            history.validation.append(total / count)
    return history


def checked(epochs: int) -> int:
    if epochs < 0:
        raise ValueError(f"epochs is {epochs}; it must be 0 or more")
    return epochs


def some(training: Batches, epoch: int) -> Iterator[Sequence[Tensor]]:
    """The batches of an epoch; ``ValueError`` where there is none."""
    empty = True
    for batch in training:
        empty = False
        yield batch
    if empty:
        raise ValueError(
            f"training gave no batch in epoch {epoch}; it must give some in every pass: an iterator is spent"
            " after one, a list or a DataLoader is not"
        )


def finite(loss: Tensor, step: int) -> float:
    """The loss as a number of Python; ``ValueError`` unless it is one number, and finite."""
    if loss.ndim:
        raise ValueError(
            f"loss has shape {tuple(loss.shape)}; it must be one number, the mean over the batch"
        )
    value = loss.item()
    if not math.isfinite(value):
        raise ValueError(f"loss is {value} at step {step}; it must be finite: lower the learning rate")
    return value


def train_by_hand(
    weight: Float[Tensor, "o i"],
    training: Sequence[tuple[Tensor, Tensor]],
    validation: Sequence[tuple[Tensor, Tensor]],
    learning_rate: float,
    epochs: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loop for y = x W^T and squared errors, without modules, optimizers or automatic gradients.

    Returns the losses of all steps, those of validation, and the last weight.
    """
    losses, scores = [], []
    for _ in range(epochs):
        for x, y in training:
            error = x @ weight.T - y
            losses.append((error * error).sum() / error.numel())
            slope = 2 * error.T @ x / error.numel()
            weight = weight - learning_rate * slope
        errors = torch.cat([x @ weight.T - y for x, y in validation])
        scores.append((errors * errors).sum() / errors.numel())
    return torch.stack(losses), torch.stack(scores), weight


def first_difference(ours: Sequence[float], theirs: Sequence[float]) -> int | None:
    """The first step whose two losses differ in any bit, or that only one of them has; None for the same."""
    for step, (a, b) in enumerate(zip(ours, theirs, strict=False)):
        if float(a).hex() != float(b).hex():
            return step
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weight, x, y = (torch.randn(s, generator=dice, dtype=torch.float64) for s in ((2, 3), (17, 3), (17, 2)))
    training = [(x[rows], y[rows]) for rows in (slice(0, 4), slice(4, 8), slice(8, 11))]
    validation = [(x[11:15], y[11:15]), (x[15:], y[15:])]

    def ours(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model = nn.Linear(3, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            model.weight.copy_(weight)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        told = train(model, optimizer, nn.functional.mse_loss, training, validation=validation, epochs=5)
        losses, scores = (torch.tensor(v, dtype=torch.float64) for v in (told.losses, told.validation))
        return losses, scores, model.weight.detach()

    def by_hand(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return train_by_hand(weight, training, validation, 0.1, 5)

    yield Twin("training loop", ours, by_hand, (weight,), gradients=False)
