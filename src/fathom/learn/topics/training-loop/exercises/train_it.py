"""Train a network.

You get a model, batches of inputs and labels, and a learning rate. Train with plain SGD, which is `w - r * g`
and nothing more, one step for each batch. The loss is cross-entropy. Torch's own `torch.optim.SGD` and
`F.cross_entropy` are welcome. Return the model in the mode for use.

You are graded twice: your weights after 40 given batches must be those of the right loop, and after 300
batches 93 of 100 new points must get the right label.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fathom.learn.engine.grade import Answer, Fail, same

HINTS = (
    "Make torch.optim.SGD(model.parameters(), lr=rate) once. Then come the five lines for each batch.",
    "F.cross_entropy(model(x), y) is the loss. Which line clears, which finds slopes, which moves?",
    "Two modes: model.train() before the loop, model.eval() after it.",
)
PASSED = "Your loop and the library's end at the same weights."


def starter(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], rate: float) -> nn.Module:
    """Train model on batches of (inputs, labels) with plain SGD and cross-entropy; return it for use."""
    raise NotImplementedError


def solution(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], rate: float) -> nn.Module:
    """Train model on batches of (inputs, labels) with plain SGD and cross-entropy; return it for use."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    model.train()
    for x, y in batches:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


Batches = Iterable[tuple[Tensor, Tensor]]


def fit(
    model: nn.Module, batches: Batches, rate: float, *, clear: bool = True, move: bool = True,
    train: bool = True, ready: bool = True, softmax: bool = False, early: bool = False, once: bool = False,
) -> nn.Module:  # fmt: skip
    """The loop with one thing changed, for the twins."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    model.train(train)
    for x, y in batches:
        scores = model(x)
        if early and move:
            optimizer.step()
        if clear:
            optimizer.zero_grad()
        F.cross_entropy(scores.softmax(1) if softmax else scores, y).backward()
        if move and not early:
            optimizer.step()
        if once:
            break
    return model.eval() if ready else model


def wrong_no_clear(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """Slopes pile up: backward() adds to those that are there.

    Call optimizer.zero_grad() once for each batch.

    It may even look faster: it acts like a learning rate that grows.
    """
    return fit(model, batches, rate, clear=False)


def wrong_no_step(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """The weights never moved.

    Is optimizer.step() missing, or does zero_grad() stand between backward() and it?
    """
    return fit(model, batches, rate, move=False)


def wrong_softmax_twice(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """You took the softmax before the loss. Cross-entropy contains it: give it the scores as they are."""
    return fit(model, batches, rate, softmax=True)


def wrong_left_in_training(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """The weights are right, but the model is still in training mode. Return model.eval()."""
    return fit(model, batches, rate, ready=False)


def wrong_trained_in_use(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """You trained in the mode for use.

    A layer called batch norm keeps means of what it sees while it learns; it never learned them. Call
    model.train() first.
    """
    return fit(model, batches, rate, train=False)


def wrong_step_first(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """Each step uses the slopes of the batch before. First loss.backward(), then optimizer.step()."""
    return fit(model, batches, rate, early=True)


def wrong_one_batch(model: nn.Module, batches: Batches, rate: float) -> nn.Module:
    """You took one step only. A return inside the loop ends it: take one step for each batch."""
    return fit(model, batches, rate, once=True)


def moons(count: int, seed: int) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    side, angle = 1 - 2 * labels, math.pi * torch.rand(count, generator=dice)
    x = torch.stack([angle.cos() * side + labels, angle.sin() * side + labels / 2], dim=1)
    return x + 0.12 * torch.randn(count, 2, generator=dice), labels


def case(seed: int, steps: int = 40) -> tuple[nn.Module, list[tuple[Tensor, Tensor]], float]:
    dice = torch.Generator().manual_seed(seed)
    first, last = nn.Linear(2, 16), nn.Linear(16, 2)
    with torch.no_grad():
        for layer in (first, last):
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=dice) / 2)
            layer.bias.zero_()
    model = nn.Sequential(first, nn.BatchNorm1d(16), nn.ReLU(), last)
    x, y = moons(800, seed + 1)
    rows = torch.randint(800, (steps, 32), generator=dice)
    return model, [(x[chosen], y[chosen]) for chosen in rows], 0.5


def check_model(answer: Answer, seed: int) -> None:
    if not isinstance(answer(*case(seed, 2)), nn.Module):
        raise Fail("Return the trained model.")


def check_same_weights(answer: Answer, seed: int) -> None:
    found, wanted = answer(*case(seed)), solution(*case(seed))
    if found.training:
        raise Fail("The model that you return is in training mode.")
    if not same(found, wanted, 1e-4, 1e-6):
        raise Fail("After 40 given batches your weights are not those of plain SGD with one step a batch.")


def check_new_points(answer: Answer, seed: int) -> None:
    model, (x, y) = answer(*case(seed, 300)), moons(1000, seed + 99)
    with torch.no_grad():
        right = float((model(x).argmax(dim=1) == y).double().mean())
    if right < 0.93:
        raise Fail(
            f"After 300 batches {right:.1%} of 1,000 new points are right; it should be more than 93%."
        )
