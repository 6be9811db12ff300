"""Two figures: curves of every degree through some points, and a network that learns noise."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from fathom.fundamentals.activations.tanh import tanh
from fathom.fundamentals.losses.squared_error import mean_squared_error
from fathom.fundamentals.networks.bias_variance import polynomial_experiment
from fathom.fundamentals.networks.dense import Dense
from fathom.fundamentals.networks.learning_curves import diagnose
from fathom.fundamentals.optimizers.adamw import adamw
from fathom.fundamentals.regularization.dropout import dropout
from fathom.fundamentals.regularization.early_stopping import EarlyStopping
from fathom.learn.engine.figure import figure, slider, switch, whole
from fathom.learn.engine.marks import Curve, Frame, Panel, Scatter, frame, number, points

HIGHEST = 14  # degree
Arrays = tuple[np.ndarray, np.ndarray]


def wave(count: int, noise: float, seed: int) -> tuple[Arrays, Arrays]:
    """Points near one wave of a sine: those to learn from, and 60 new ones."""
    dice = np.random.default_rng(seed)
    x, new = np.linspace(-1, 1, count), np.sort(dice.uniform(-1, 1, 60))
    learned, fresh = (np.sin(np.pi * v) + noise * dice.standard_normal(len(v)) for v in (x, new))
    return (x, learned), (new, fresh)


@figure(
    degree=whole(0, 14, 3, "degree"),
    count=whole(8, 60, 12, "points to learn from"),
    noise=slider(0.0, 0.8, 0.3, "noise"),
    seed=whole(0, 9, 0, "seed"),
)
def degree(c: SimpleNamespace) -> Frame:
    """A polynomial through noisy points, and its error on these and on new points, for every degree."""
    (x, y), (new_x, new_y) = wave(c.count, c.noise, c.seed)
    most = min(HIGHEST, c.count - 1)
    fitted = [np.polynomial.Chebyshev.fit(x, y, d, domain=[-1, 1]) for d in range(most + 1)]
    known = [float(((curve(x) - y) ** 2).mean()) for curve in fitted]
    new = [float(((curve(new_x) - new_y) ** 2).mean()) for curve in fitted]
    chosen = min(c.degree, most)
    across = np.linspace(-1, 1, 161)
    parts = polynomial_experiment(min(chosen, c.count - 2), c.count, c.noise, resamples=60)
    curve = Panel(
        title=f"The curve of degree {chosen}",
        marks=(
            Scatter(name="new points", points=points(new_x, new_y), tone=3),
            Scatter(name="learned from", points=points(x, y), tone=2),
            Curve(name="the curve", points=points(across, np.clip(fitted[chosen](across), -9, 9))),
        ),
        x="x",
        y="y",
        x_range=(-1.0, 1.0),
        y_range=(-2.5, 2.5),
    )
    best = int(np.argmin(new))
    return frame(
        curve,
        every_degree(known, new, chosen),
        say=f"degree {chosen}: the error is {known[chosen]:.2f} on the points that it learned from, and"
        f" {new[chosen]:.2f} on new ones; degree {best} is the best on new ones."
        f" Over many data sets the bias of degree {chosen} is"
        f" {parts.bias:.2f} and its variance {parts.variance:.2f}.",
    )


def every_degree(known: list[float], new: list[float], chosen: int) -> Panel:
    """The errors of all degrees, on the points that were learned from and on new ones."""
    return Panel(
        title="The error of every degree",
        marks=(
            Curve(name="on new points", points=logarithmic(new), tone=3, dots=True),
            Curve(name="on those learned from", points=logarithmic(known), tone=2, dots=True),
            Scatter(name="yours", points=(logarithmic(new)[chosen], logarithmic(known)[chosen]), tone=1),
        ),
        x="degree",
        y="mean squared error",
        x_range=(0.0, float(HIGHEST)),
        y_range=(1e-3, 1e3),
        log_y=True,
    )


def logarithmic(values: list[float]) -> tuple[tuple[float, float], ...]:
    """A point for each degree; a logarithm needs something above zero."""
    return tuple((float(d), number(min(max(v, 1e-3), 1e3))) for d, v in enumerate(values))


LOOKS, BETWEEN, BATCH = 50, 15, 20  # looks at the validation loss, steps between two of them


@figure(
    count=whole(10, 100, 20, "points to learn from"),
    width=whole(1, 100, 60, "width"),
    decay=slider(0.0, 3.0, 0.0, "weight decay"),
    rate=slider(0.0, 0.6, 0.0, "dropout"),
    stop=switch(False, "stop early"),
    seed=whole(0, 9, 0, "seed"),
)
def training(c: SimpleNamespace) -> Iterator[Frame]:
    """A network learns noisy points: its curve, and its loss on these points and on others."""
    learned, aside = wave(c.count, 0.4, c.seed)
    (x, y), (new_x, new_y) = (
        tuple(torch.tensor(a).float()[:, None] for a in pair) for pair in (learned, aside)
    )
    torch.manual_seed(c.seed)  # dropout draws from it
    dice = torch.Generator().manual_seed(c.seed)
    layers = [Dense(i, o, generator=dice) for i, o in itertools.pairwise((1, c.width, c.width, 1))]
    with torch.no_grad():
        for parameter in layers[0].parameters():
            parameter.mul_(6)  # steep enough for a wave, and for its noise

    def network(given: Tensor, learning: bool) -> Tensor:
        for layer in layers[:-1]:
            given = dropout(tanh(layer(given)), c.rate, learning)
        return layers[-1](given)

    optimizer = adamw([p for layer in layers for p in layer.parameters()], 0.01, weight_decay=c.decay)
    watch = EarlyStopping(patience=10)
    known: list[tuple[float, float]] = []
    new: list[tuple[float, float]] = []
    across = torch.linspace(-1, 1, 121)[:, None]
    for look in range(LOOKS + 1):
        with torch.no_grad():
            known.append((float(look * BETWEEN), float(mean_squared_error(network(x, False), y))))
            new.append((float(look * BETWEEN), float(mean_squared_error(network(new_x, False), new_y))))
            line = network(across, False)[:, 0]
        over = watch.observe(new[-1][1]) and c.stop
        yield frame(
            curve_panel((x, y), (new_x, new_y), across[:, 0], line),
            losses_panel(known, new),
            say=told(known, new, over or look == LOOKS, over),
        )
        if over:
            return
        for _ in range(BETWEEN):
            rows = torch.randperm(c.count, generator=dice)[:BATCH]
            optimizer.zero_grad()
            mean_squared_error(network(x[rows], True), y[rows]).backward()
            optimizer.step()


def curve_panel(
    learned: tuple[Tensor, ...], aside: tuple[Tensor, ...], across: Tensor, line: Tensor
) -> Panel:
    return Panel(
        title="What the network says",
        marks=(
            Scatter(name="kept aside", points=points(aside[0][:, 0], aside[1][:, 0]), tone=3),
            Scatter(name="learned from", points=points(learned[0][:, 0], learned[1][:, 0]), tone=2),
            Curve(name="network", points=points(across, line)),
        ),
        x="x",
        y="y",
        x_range=(-1.0, 1.0),
        y_range=(-2.5, 2.5),
    )


def losses_panel(known: list[tuple[float, float]], new: list[tuple[float, float]]) -> Panel:
    best = min(new, key=lambda pair: pair[1])
    return Panel(
        title="Two losses",
        marks=(
            Curve(name="training", points=rounded(known), tone=2),
            Curve(name="validation", points=rounded(new), tone=3),
            Scatter(name="the lowest", points=rounded([best]), tone=1),
        ),
        x="step",
        y="loss",
        x_range=(0.0, float(LOOKS * BETWEEN)),
        y_range=(0.0, 1.0),
    )


def rounded(pairs: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((step, number(value)) for step, value in pairs)


def told(known: list[tuple[float, float]], new: list[tuple[float, float]], last: bool, stopped: bool) -> str:
    """The two losses; at the end what the library makes of the curves."""
    step, best = min(new, key=lambda pair: pair[1])
    said = f"step {known[-1][0]:.0f}: training loss {known[-1][1]:.3f}, validation loss {new[-1][1]:.3f}"
    said += f", lowest {best:.3f} at step {step:.0f}."
    if last and len(known) >= 5:
        found = diagnose(
            known, new, baseline=0.5 + 0.4**2, floor=0.4**2
        )  # of a sine's mean, and of the noise
        said += f" {'Stopped early. ' if stopped else ''}Diagnosis: {found.regime}."
    return said
