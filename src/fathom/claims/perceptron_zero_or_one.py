"""A perceptron tells zero from one, and never learns XOR.

The rule adds every example that was answered wrong to the weights, with its sign (Rosenblatt 1958). If a
plane parts the classes it finds one; in 784 pixels zeros and ones are nearly parted, so it reads new ones,
too. No line parts XOR: its two yes are opposite corners of a square (Minsky and Papert 1969), so one of the
four is wrong at all times, or more, and the weights go round for ever.

The seed sets the order of the examples. ``zero_or_one``: ten passes over the zeros and ones of MNIST's
training set; ``test/accuracy`` on the 2,115 of the test set. ``exclusive_or``: 1,000 passes; ``most_right``:
how many of the four the best of all weights on the way got right; ``cycle``: after how many passes the
weights come back, else 0. ``logical_and``: the same for AND, which a line parts. ``converged``:
1 if the last pass had no mistake.
"""

from typing import TYPE_CHECKING

from fathom.claim import Claim

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

CLAIM = Claim(
    sentence="A perceptron tells zero from one on MNIST, and never gets all four cases of XOR right.",
    rows=("NF02",),
    expect=(
        "test/accuracy: zero_or_one >= 0.98",
        "most_right: exclusive_or <= 3",
        "converged: exclusive_or <= 0",
        "cycle: exclusive_or >= 1",
        "most_right: logical_and >= 4",
        "converged: logical_and >= 1",
    ),
    source="Rosenblatt 1958; Minsky and Papert 1969, Perceptrons",
    builds_on=("perceptron",),
    seeds=5,
)


def measure(seed: int) -> dict[str, dict[str, float]]:
    import torch

    from fathom.data.sets import mnist
    from fathom.fundamentals.networks.perceptron import Perceptron, exclusive_or

    dice = torch.Generator().manual_seed(seed)
    digits = mnist.read()

    def zeros_and_ones(images: "np.ndarray", labels: "np.ndarray") -> "tuple[Tensor, Tensor]":
        chosen = labels < 2
        return torch.tensor(images[chosen]).flatten(1).double() / 255, torch.tensor(labels[chosen])

    x, y = zeros_and_ones(digits.train_images, digits.train_labels)
    order = torch.randperm(len(y), generator=dice)
    learned = Perceptron.fit(x[order], y[order], epochs=10)
    x, y = zeros_and_ones(digits.test_images, digits.test_labels)
    found = {
        "zero_or_one": {
            "test/accuracy": float((learned.predict(x) == y).double().mean()),
            "converged": float(learned.converged),
        }
    }
    corners, one_of_two = exclusive_or()
    order = torch.randperm(4, generator=dice)
    found["exclusive_or"] = corner_cases(corners[order], one_of_two[order])
    found["logical_and"] = corner_cases(corners[order], corners[order].prod(1).long())
    return found


def corner_cases(inputs: "Tensor", labels: "Tensor", epochs: int = 1000) -> dict[str, float]:
    from fathom.fundamentals.networks.perceptron import Perceptron, cycle, updates

    most = 0
    for update in updates(inputs, labels, epochs):
        answers = (inputs @ update.weight + update.bias > 0).long()
        most = max(most, int((answers == labels).sum()))
    round_trip = cycle(inputs, labels, epochs)
    return {
        "most_right": float(most),
        "converged": float(Perceptron.fit(inputs, labels, epochs).converged),
        "cycle": float(round_trip.length if round_trip else 0),
    }
