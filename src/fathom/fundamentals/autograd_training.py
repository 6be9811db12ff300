"""Training on the NumPy engine: gradient descent, its momentum and Adam forms, and the loop around them.

With g the gradient of the mean loss of a batch and r the learning rate, every parameter p moves by

    SGD        v <- m v + g          p <- p - r v                  (momentum m; Polyak 1964)
    Adam       u <- b1 u + (1 - b1) g        v <- b2 v + (1 - b2) g^2
               p <- p - r (u / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
                                                    (Kingma and Ba 2015, algorithm 1; t counts steps from 1)

A pass over the data in a fresh order, batch by batch, is an epoch. ``train`` is the whole loop: loss,
gradients, step. ``train_digits`` puts everything together: it learns the handwritten digits of MNIST with
an MLP or a small CNN, whose settings were chosen on 5,000 digits held out of the training set, and
scores the 10,000 test digits once. Nothing here imports torch.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fathom.card import Card
from fathom.fundamentals.autograd import Tensor, no_grad
from fathom.fundamentals.autograd_functions import cross_entropy
from fathom.fundamentals.autograd_networks import MLP, Layer, SmallCNN

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Training on NumPy",
    paper="https://arxiv.org/abs/1412.6980",
    year=2015,
    summary="SGD, momentum and Adam, and a loop that learns handwritten digits in seconds without torch.",
    rows=("MA04", "NF04"),
    builds_on=("autograd", "autograd_functions", "autograd_networks"),
    differs=("The learning rate falls in a straight line to zero; the paper keeps it constant on MNIST.",),
    oracle="torch.optim.SGD and Adam over whole trajectories in float64; MNIST's test set",
)

MEAN, DEVIATION = 0.1307, 0.3081  # of the training pixels, in [0, 1]


class SGD:
    """Stochastic gradient descent, with momentum in [0, 1)."""

    def __init__(
        self, parameters: Sequence[Tensor], learning_rate: float = 0.1, momentum: float = 0.0
    ) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}; it must be in [0, 1)")
        self.parameters, self.learning_rate = checked(parameters, learning_rate)
        self.momentum = momentum
        self.velocity = [np.zeros_like(p.data) for p in self.parameters] if momentum else []

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for n, parameter in enumerate(self.parameters):
            gradient = parameter.grad
            if gradient is None:
                continue
            if self.momentum:
                gradient = np.add(self.velocity[n] * self.momentum, gradient, out=self.velocity[n])
            parameter.data -= self.learning_rate * gradient


class Adam:
    """Steps of about one learning rate in each entry, whatever the size of its gradients."""

    def __init__(
        self,
        parameters: Sequence[Tensor],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}; both must be in [0, 1)")
        if not epsilon > 0:
            raise ValueError(f"epsilon is {epsilon}; it must be positive")
        self.parameters, self.learning_rate = checked(parameters, learning_rate)
        self.betas, self.epsilon, self.steps = betas, epsilon, 0
        self.mean = [np.zeros_like(p.data) for p in self.parameters]
        self.square = [np.zeros_like(p.data) for p in self.parameters]

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.steps += 1
        first, second = self.betas
        rate = self.learning_rate / (1 - first**self.steps)
        unbias = (1 - second**self.steps) ** -0.5
        for parameter, mean, square in zip(self.parameters, self.mean, self.square, strict=True):
            gradient = parameter.grad
            if gradient is None:
                continue
            mean += (1 - first) * (gradient - mean)
            square *= second
            square += (1 - second) * gradient * gradient
            parameter.data -= rate * mean / (np.sqrt(square) * unbias + self.epsilon)


def checked(parameters: Sequence[Tensor], learning_rate: float) -> tuple[list[Tensor], float]:
    if not learning_rate > 0:
        raise ValueError(f"learning_rate is {learning_rate}; it must be positive")
    if not parameters:
        raise ValueError("parameters is empty; there is nothing to train")
    return list(parameters), learning_rate


def batches(
    inputs: np.ndarray, labels: np.ndarray, size: int, generator: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One pass over the data in a fresh order; the last batch may be smaller than ``size``."""
    if size < 1 or len(inputs) != len(labels):
        raise ValueError(
            f"size is {size}, with {len(inputs)} inputs and {len(labels)} labels; size is 1 or more, and "
            "there is one label for each input"
        )
    order = generator.permutation(len(inputs))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield inputs[rows], labels[rows]


def train(
    network: Callable[[Tensor], Tensor],
    optimizer: SGD | Adam,
    data: Iterable[tuple[np.ndarray, np.ndarray]],
    loss: Callable[[Tensor, np.ndarray], Tensor] = cross_entropy,
    rates: Iterable[float] | None = None,
) -> list[float]:
    """One step of ``optimizer`` for each batch of ``data``; returns the losses, each before its step.

    ``rates`` gives the learning rate of each step, where it is to change. Raises ValueError, with the number
    of the step, at a loss that is not finite, before it spoils the weights.
    """
    losses: list[float] = []
    schedule = iter(rates) if rates is not None else None
    for inputs, targets in data:
        value = loss(network(Tensor(inputs)), targets)
        losses.append(value.item())
        if not np.isfinite(losses[-1]):
            raise ValueError(f"the loss of step {len(losses) - 1} is {losses[-1]}; lower the learning rate")
        for parameter in optimizer.parameters:
            parameter.grad = None
        value.backward()
        if schedule is not None:
            optimizer.learning_rate = next(schedule)
        optimizer.step()
    return losses


def accuracy(network: Callable[[Tensor], Tensor], inputs: np.ndarray, labels: np.ndarray) -> float:
    """The share of inputs whose highest score is that of the right class; ValueError where there are none."""
    if not len(inputs) or len(inputs) != len(labels):
        raise ValueError(f"{len(inputs)} inputs and {len(labels)} labels: give one or more, equally many")
    right = 0
    with no_grad():
        for start in range(0, len(inputs), 500):
            scores = network(Tensor(inputs[start : start + 500])).data
            right += int((scores.argmax(axis=1) == labels[start : start + 500]).sum())
    return right / len(inputs)


@dataclass(frozen=True)
class Settings:
    """How a network learns the digits; chosen on the held-out digits."""

    epochs: int
    batch_size: int
    learning_rate: float  # of the first step; it falls in a straight line to zero


SETTINGS = {
    "mlp": Settings(epochs=8, batch_size=64, learning_rate=2e-3),
    "cnn": Settings(epochs=3, batch_size=64, learning_rate=3e-3),
}


@dataclass(frozen=True)
class DigitsResult:
    """What came of a training run: accuracies in [0, 1], the loss of each step, and seconds of training."""

    network: Layer
    held_out: float  # on 5,000 digits of the training set that were not trained on
    test: float | None  # on the test set, where it was asked for
    losses: list[float]
    seconds: float


def train_digits(
    kind: str, seed: int = 0, *, settings: Settings | None = None, examples: int = 55_000, test: bool = True
) -> DigitsResult:
    """Learn MNIST with the network ``kind``, "mlp" (784-256-10) or "cnn", from ``examples`` digits.

    ``settings`` change how; ``test=False`` leaves the test set alone, which is how settings are chosen.
    """
    from fathom.data.sets import mnist

    if kind not in SETTINGS or not 1 <= examples <= 55_000:
        raise ValueError(
            f"kind is {kind!r}, examples {examples}; 'mlp' or 'cnn', and 1 to 55,000 are allowed"
        )
    how, generator = settings or SETTINGS[kind], np.random.default_rng(seed)
    network = MLP((784, 256, 10), generator) if kind == "mlp" else SmallCNN(generator)
    digits = mnist.read()
    inputs, labels = pixels(digits.train_images[:examples]), digits.train_labels[:examples]
    began = time.perf_counter()
    optimizer = Adam(network.parameters(), how.learning_rate)
    steps = how.epochs * -(-examples // how.batch_size)
    rates = (how.learning_rate * (1 - step / steps) for step in range(steps))
    losses: list[float] = []
    for _ in range(how.epochs):
        losses += train(network, optimizer, batches(inputs, labels, how.batch_size, generator), rates=rates)
    seconds = time.perf_counter() - began
    held_out = accuracy(network, pixels(digits.train_images[55_000:]), digits.train_labels[55_000:])
    score = accuracy(network, pixels(digits.test_images), digits.test_labels) if test else None
    return DigitsResult(network, held_out, score, losses, seconds)


def pixels(images: np.ndarray) -> np.ndarray:
    """Pictures (n, 28, 28), uint8, as float32 (n, 1, 28, 28) of mean 0 and deviation 1.

    Raises ValueError for another shape, and for pictures that are not the bytes of the file.
    """
    if images.shape[1:] != (28, 28) or images.dtype != np.uint8:
        raise ValueError(
            f"images has dtype {images.dtype}, shape {images.shape}; it must be uint8, (n, 28, 28): give the"
            " digits as they are read, one as digit[None]"
        )
    scaled = images[:, None].astype(np.float32)
    scaled -= 255 * MEAN
    scaled /= 255 * DEVIATION
    return scaled


def sgd_by_hand(start: np.ndarray, rate: float, momentum: float, steps: int) -> np.ndarray:
    """Where each step leads on the bowl f(p) = sum of (1 + n) p_n^2 / 2, one number at a time."""
    p, v, path = [float(x) for x in start], [0.0] * len(start), []
    for _ in range(steps):
        for n in range(len(p)):
            v[n] = momentum * v[n] + (1 + n) * p[n]
            p[n] = p[n] - rate * v[n]
        path.append(list(p))
    return np.array(path)


def adam_by_hand(start: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """The same path for Adam, with the means divided by their bias as in the paper."""
    p, u, v, path = [float(x) for x in start], [0.0] * len(start), [0.0] * len(start), []
    for t in range(1, steps + 1):
        for n in range(len(p)):
            gradient = (1 + n) * p[n]
            u[n] = 0.9 * u[n] + 0.1 * gradient
            v[n] = 0.999 * v[n] + 0.001 * gradient**2
            p[n] -= rate * (u[n] / (1 - 0.9**t)) / ((v[n] / (1 - 0.999**t)) ** 0.5 + 1e-8)
        path.append(list(p))
    return np.array(path)


def path_on_a_bowl(build: Callable[[list[Tensor]], SGD | Adam], start: np.ndarray, steps: int) -> np.ndarray:
    """The path that an optimizer takes from ``start`` on that bowl."""
    p = Tensor(start.copy(), requires_grad=True)
    optimizer, path = build([p]), []
    for _ in range(steps):
        p.grad = None
        (p * p * np.arange(1.0, len(start) + 1) / 2).sum().backward()
        optimizer.step()
        path.append(p.data.copy())
    return np.array(path)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    start, steps = np.array([1.0, -2.0, 0.5]), 200

    def sgd(start: np.ndarray) -> np.ndarray:
        return path_on_a_bowl(lambda p: SGD(p, 0.1, momentum=0.9), start, steps)

    def adam(start: np.ndarray) -> np.ndarray:
        return path_on_a_bowl(lambda p: Adam(p, 0.05), start, steps)

    yield Twin("SGD", sgd, lambda x: sgd_by_hand(x, 0.1, 0.9, steps), (start,), gradients=False)
    yield Twin("Adam", adam, lambda x: adam_by_hand(x, 0.05, steps), (start,), gradients=False)
