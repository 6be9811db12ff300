"""What scores the next tokens of texts: a model's guesses, and all targets one after the other."""

from typing import Any

import numpy as np
import torch

from fathom.task import Network
from fathom.training.objectives import IGNORE


def guesses(network: Network, split: Any, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nats and whether it was guessed right of each next token, given the true ones before it; tokens a row.

    ``rows`` of ``split`` go through ``network`` at a time. Places of the target that are ``IGNORE`` do not
    count.
    """
    loss, right, sizes = [], [], []
    for first in range(0, len(split), rows):
        index = torch.arange(first, min(first + rows, len(split)))
        source, previous, target = (column.numpy() for column in split.rows(index))
        logits = network({"source": source, "previous": previous})["logits"][target != IGNORE]
        wanted = target[target != IGNORE]
        top = logits.max(axis=1, keepdims=True).astype(np.float64)
        total = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
        loss.append(total - logits[np.arange(len(wanted)), wanted])
        right.append((logits.argmax(axis=1) == wanted).astype(np.float64))
        sizes.append((target != IGNORE).sum(axis=1))
    return np.concatenate(loss), np.concatenate(right), np.concatenate(sizes)


def chained(split: Any, end: int) -> tuple[np.ndarray, np.ndarray]:
    """All targets one after the other, an ``end`` before the first, and how many tokens each has."""
    target = split.rows(torch.arange(len(split)))[-1].numpy()
    kept = target != IGNORE
    return np.concatenate([[end], target[kept]]), kept.sum(axis=1)
