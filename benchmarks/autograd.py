"""What the NumPy engine costs: a training step of an MLP 784-256-10 against the same step in torch.

The same weights, batches of 64 in float32, cross-entropy, plain SGD, and one thread on both sides. A step
is forward, loss, backward and update; the torch side is the loop of its tutorials. First both take
the same steps, and their losses must agree.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read once, when NumPy and torch are loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np
import torch
from pairs import arguments, keep, paired, shown
from torch import nn

from fathom.fundamentals.autograd import Tensor
from fathom.fundamentals.autograd_functions import cross_entropy
from fathom.fundamentals.autograd_networks import MLP
from fathom.fundamentals.autograd_training import SGD

SIZES, BATCH, RATE, STEPS = (784, 256, 10), 64, 0.05, 300


def ours(network: MLP, images: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    optimizer = SGD(network.parameters(), RATE)

    def step() -> float:
        loss = cross_entropy(network(Tensor(images)), labels)
        for parameter in optimizer.parameters:
            parameter.grad = None
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def theirs(network: MLP, images: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """The step in torch, from the same weights."""
    model = nn.Sequential(nn.Linear(*SIZES[:2]), nn.ReLU(), nn.Linear(*SIZES[1:]))
    with torch.no_grad():
        for layer, source in zip((model[0], model[2]), network.layers, strict=True):
            layer.weight.copy_(torch.from_numpy(source.weight.data.T.copy()))
            layer.bias.copy_(torch.from_numpy(source.bias.data))
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)

    def step() -> float:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def seconds(step: Callable[[], float]) -> float:
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - began) / STEPS


def main() -> None:
    args = arguments(__doc__)
    torch.set_num_threads(1)
    dice = np.random.default_rng(0)
    images = dice.normal(size=(BATCH, SIZES[0])).astype(np.float32)
    labels = dice.integers(0, SIZES[-1], BATCH)
    network = MLP(SIZES, dice)
    other = theirs(network, images, labels)  # before ours moves the weights
    own = ours(network, images, labels)
    gap = max(abs(own() - other()) for _ in range(50))  # this warms both sides, too
    if gap > 1e-4:
        raise SystemExit(f"the losses of the two sides differ by {gap}: they do not do the same")
    found = paired(lambda: seconds(own), lambda: seconds(other), args.pairs)
    row = {
        "what": "NumPy engine, MLP 784-256-10, batch 64, one thread: seconds per step",
        "ours": f"{found['ours_median'] * 1e3:.2f} ms",
        "other": f"torch {found['other_median'] * 1e3:.2f} ms",
        "ratio": shown(found),
        "goal": "at most 2",
    }
    keep("autograd", [row], {"step": found, "largest difference of losses": gap}, args.out)


if __name__ == "__main__":
    main()
