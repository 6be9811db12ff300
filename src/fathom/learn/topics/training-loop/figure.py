"""Two figures: the five lines of a step in any order, and epochs with a look at data that was kept aside."""

import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from fathom.fundamentals.losses.cross_entropy import cross_entropy
from fathom.fundamentals.networks.dense import Dense
from fathom.fundamentals.networks.training_loop import train
from fathom.fundamentals.optimizers.sgd import sgd
from fathom.learn.engine.figure import choice, figure, log_slider, whole
from fathom.learn.engine.marks import Curve, Frame, Panel, frame, number

STEPS, BATCH, COUNT = 100, 32, 256


def moons(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points on two half circles, and which of them."""
    dice = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    side, angle = 1 - 2 * labels, math.pi * torch.rand(count, generator=dice)
    x = torch.stack([angle.cos() * side + labels, angle.sin() * side + labels / 2], dim=1)
    return x + 0.15 * torch.randn(count, 2, generator=dice), labels


def network(seed: int) -> nn.Sequential:
    dice = torch.Generator().manual_seed(seed)
    return nn.Sequential(Dense(2, 16, generator=dice), nn.ReLU(), Dense(16, 2, generator=dice))


def slope_length(model: nn.Module) -> float:
    """How long the list of all slopes is that a step would use now."""
    slopes = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return float(torch.cat(slopes).norm()) if slopes else 0.0


class Stopped(Exception):
    """What Python or torch would say to this order, in plain words."""


def run(lines: list[str], rate: float) -> Iterator[tuple[float, float]]:
    """The chosen lines, again and again.

    The loss on all data and the length of the slopes after each step.
    """
    x, labels = moons(COUNT, 0)
    model = network(0)
    optimizer = sgd(model.parameters(), rate)
    dice = torch.Generator().manual_seed(1)
    seen: dict[str, Any] = {}
    for _ in range(STEPS):
        rows = torch.randperm(COUNT, generator=dice)[:BATCH]
        length = 0.0
        for line in lines:
            if line == "optimizer.step()":
                length = slope_length(model)
            obey(line, model, optimizer, seen, x[rows], labels[rows])
        with torch.no_grad():
            loss = float(cross_entropy(model(x), labels))
        yield loss, length


def obey(
    line: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    seen: dict[str, Any],
    x: Tensor,
    labels: Tensor,
) -> None:
    """Run one line. ``seen`` holds what the names output and loss stand for."""
    if line == "output = model(x)":
        seen["output"] = model(x)
    elif line == "loss = f(output, y)":
        if "output" not in seen:
            raise Stopped("there is no output yet that the loss could look at")
        seen["loss"] = cross_entropy(seen["output"], labels)
    elif line == "optimizer.zero_grad()":
        optimizer.zero_grad()
    elif line == "loss.backward()":
        if "loss" not in seen:
            raise Stopped("there is no loss yet to walk back from")
        try:
            seen["loss"].backward()
        except RuntimeError:
            raise Stopped("this loss was walked back from before, and its notes are gone") from None
    elif line == "optimizer.step()":
        optimizer.step()


@figure(
    first=choice(
        ("output = model(x)", "loss = f(output, y)", "optimizer.zero_grad()", "loss.backward()",
         "optimizer.step()", "nothing"),
        "output = model(x)", "line 1",
    ),
    second=choice(
        ("output = model(x)", "loss = f(output, y)", "optimizer.zero_grad()", "loss.backward()",
         "optimizer.step()", "nothing"),
        "loss = f(output, y)", "line 2",
    ),
    third=choice(
        ("output = model(x)", "loss = f(output, y)", "optimizer.zero_grad()", "loss.backward()",
         "optimizer.step()", "nothing"),
        "optimizer.zero_grad()", "line 3",
    ),
    fourth=choice(
        ("output = model(x)", "loss = f(output, y)", "optimizer.zero_grad()", "loss.backward()",
         "optimizer.step()", "nothing"),
        "loss.backward()", "line 4",
    ),
    fifth=choice(
        ("output = model(x)", "loss = f(output, y)", "optimizer.zero_grad()", "loss.backward()",
         "optimizer.step()", "nothing"),
        "optimizer.step()", "line 5",
    ),
    rate=log_slider(0.03, 1.0, 0.3, "learning rate"),
)  # fmt: skip
def lines(c: SimpleNamespace) -> Iterator[Frame]:
    """The five lines of a step, in your order, beside the right order."""
    right = list(run(list(RIGHT), c.rate))
    mine: list[tuple[float, float]] = []
    stopped = ""
    made = run([c.first, c.second, c.third, c.fourth, c.fifth], c.rate)
    try:
        for step, pair in enumerate(made, 1):
            if not all(map(math.isfinite, pair)):
                stopped = "the numbers ran away"
                break
            mine.append(pair)
            if step % 4 == 0:
                beside = right[step - 1][0]
                told = f"step {step}: loss {pair[0]:.3f}, in the right order {beside:.3f}."
                yield shown(mine, right[:step], told)
    except Stopped as error:
        stopped = str(error)
    if stopped:
        told = f"stopped in step {len(mine) + 1}: {stopped}."
        yield shown(mine, right[: len(mine)], told)


RIGHT = (
    "output = model(x)",
    "loss = f(output, y)",
    "optimizer.zero_grad()",
    "loss.backward()",
    "optimizer.step()",
)


def shown(mine: list[tuple[float, float]], right: list[tuple[float, float]], say: str) -> Frame:
    """Losses and lengths of slopes; a logarithm needs something above zero."""

    def curve(pairs: list[tuple[float, float]], which: int) -> tuple[tuple[float, float], ...]:
        return tuple((float(k), number(min(max(p[which], 1e-4), 1e6))) for k, p in enumerate(pairs, 1))

    panels = [
        Panel(
            title=title,
            marks=(
                Curve(name="your order", points=curve(mine, which), tone=1),
                Curve(name="the right order", points=curve(right, which), tone=0, dashed=True),
            ),
            x="step",
            y=unit,
            x_range=(0.0, float(STEPS)),
            y_range=bounds,
            log_y=True,
        )
        for which, title, unit, bounds in (
            (0, "The loss", "loss", (0.05, 10.0)),
            (1, "The length of the slopes that the step uses", "length", (0.003, 100.0)),
        )
    ]
    return frame(*panels, say=say)


@figure(
    batch=whole(4, 256, 32, "batch size"),
    rate=log_slider(0.01, 1.0, 0.2, "learning rate"),
    seed=whole(0, 9, 0, "seed"),
)
def epochs(c: SimpleNamespace) -> Iterator[Frame]:
    """Twenty epochs: the loss of every step, and the loss on data that was kept aside after every epoch."""
    x, labels = moons(COUNT, c.seed)
    aside = [moons(400, 100 + c.seed)]
    model = network(c.seed)
    optimizer = sgd(model.parameters(), c.rate)
    dice = torch.Generator().manual_seed(c.seed)
    losses: list[float] = []
    kept: list[tuple[float, float]] = []
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
    for epoch in range(1, 21):
        batches = [(x[rows], labels[rows]) for rows in torch.randperm(COUNT, generator=dice).split(c.batch)]
        history = train(model, optimizer, loss, batches, validation=aside)
        losses += history.losses
        kept.append((float(epoch), number(history.validation[0])))
        steps = len(losses)
        yield frame(
            Panel(
                title="The loss of each step",
                marks=(
                    Curve(
                        name="training", points=tuple((float(k + 1), number(v)) for k, v in enumerate(losses))
                    ),
                ),
                x="step",
                y="loss",
                x_range=(0.0, 20.0 * len(batches)),
                y_range=(0.0, 1.0),
            ),
            Panel(
                title="The loss on data kept aside",
                marks=(Curve(name="validation", points=tuple(kept), tone=1, dots=True),),
                x="epoch",
                y="loss",
                x_range=(0.0, 20.0),
                y_range=(0.0, 1.0),
            ),
            say=f"epoch {epoch}: {steps} steps so far; validation loss {kept[-1][1]:.3f}.",
        )
