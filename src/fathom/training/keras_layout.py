"""Arrays of Keras as tensors of torch, and back: other names for the variables, other orders of the axes.

    kernel of a convolution   (h, w, i, o)       weight (o, i, h, w)
    kernel, depthwise         (h, w, c, m)       weight (c m, 1, h, w)
    kernel of a dense layer   (i, o)             weight (o, i)
    gamma, beta               (c,)               weight, bias
    moving_mean, _variance    (c,)               running_mean, running_var

What a table of names cannot do is left to each system's ``rewritten``: Keras flattens maps channels last, so
that the inputs of the first dense layer after them stand in another order. Names that Keras gave of itself,
"dense_7", are counted from the first of their kind, for the number depends on what was built before.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAVES = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
TELLING = ("kernel", "gamma", "depthwise_kernel")  # words that torch has no use for
OWN_NAME = re.compile(r"(conv2d|depthwise_conv2d|dense|batch_normalization)(?:_(\d+))?")


def is_keras(names: Mapping[str, Any]) -> bool:
    """Whether arrays bear the words of Keras."""
    return any(split(name)[1] in TELLING for name in names)


def split(name: str) -> tuple[str, str]:
    """(layer, variable) of "sequential/dense/kernel:0" or "dense.kernel"."""
    parts = name.partition(":")[0].replace("/", ".").split(".")
    return (parts[-2] if len(parts) > 1 else ""), parts[-1]


def from_keras(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """``{v.path: v.numpy() for v in model.variables}``, or the arrays of a file, as a state dict of torch.

    Arrays that are no weights, such as the state of a generator, keep name and axes. Raises ``ValueError``
    where two layers have one name, which nested models may.
    """
    counted = renumbered([split(name)[0] for name in arrays])
    found: dict[str, Tensor] = {}
    for name, array in arrays.items():
        layer, variable = split(name)
        tensor = torch.from_numpy(np.array(array)) if not isinstance(array, Tensor) else array.detach()
        key = f"{counted.get(layer, layer)}.{LEAVES[variable]}" if variable in LEAVES else name
        if key in found:
            raise ValueError(f"two layers are called {layer}: give the arrays of one model, not nested")
        found[key] = turned(tensor, variable).contiguous()
    return found


def turned(tensor: Tensor, variable: str) -> Tensor:
    """A kernel with the axes in torch's order; anything else as it is."""
    if variable == "depthwise_kernel" and tensor.ndim == 4:
        return tensor.permute(2, 3, 0, 1).flatten(0, 1).unsqueeze(1)
    if variable == "kernel" and tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1)
    return tensor.T if variable == "kernel" and tensor.ndim == 2 else tensor


def renumbered(layers: list[str]) -> dict[str, str]:
    """The names that Keras gave of itself -> the same, counted from the first: "dense", "dense_1", ..."""
    kinds: dict[str, set[int]] = {}
    for layer in layers:
        if given := OWN_NAME.fullmatch(layer):
            kinds.setdefault(given[1], set()).add(int(given[2] or 0))
    return {
        f"{kind}_{number}" if number else kind: f"{kind}_{place}" if place else kind
        for kind, numbers in kinds.items()
        for place, number in enumerate(sorted(numbers))
    }


def to_keras(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """A state dict under the names of Keras's layers as its arrays, "conv1_conv/kernel": for ``assign``.

    A layer with a running mean is a normalisation. Counts of batches, which Keras has not, are left out.
    Depthwise convolutions are not told from others of one input channel, and come as those.
    """
    found: dict[str, np.ndarray] = {}
    for name, tensor in state.items():
        layer, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        norm = f"{layer}.running_mean" in state
        word = {
            "weight": "gamma" if norm else "kernel",
            "bias": "beta" if norm else "bias",
            "running_mean": "moving_mean",
            "running_var": "moving_variance",
        }[leaf]
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(tensor.ndim) if word == "kernel" else None
        made = tensor.detach().cpu()
        found[f"{layer}/{word}"] = (made.permute(axes) if axes else made).contiguous().numpy()
    return found
