"""Everything that the next update reads, as one nested value, and back."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from fathom.training.checkpoint import CheckpointFolder, Loaded, unflatten
from fathom.training.loop import Learner
from fathom.training.randomness import key


def gather(learner: Learner, keepers: dict[str, Any]) -> dict[str, Any]:
    """Modules, optimizers, and whatever else keeps a state: learner, batch source, early stopping."""
    return {
        "modules": {n: m.state_dict() for n, m in learner.modules.items()},
        "optimizers": {n: o.state_dict() for n, o in learner.optimizers.items()},
        "keepers": {n: k.state() for n, k in keepers.items() if hasattr(k, "state")},
    }


def scatter(state: dict[str, Any], learner: Learner, keepers: dict[str, Any]) -> None:
    """Put back what ``gather`` took."""
    for name, module in learner.modules.items():
        module.load_state_dict(state["modules"][name])
    for name, optimizer in learner.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
        lay_out(optimizer)
    for name, keeper in keepers.items():
        if hasattr(keeper, "load_state") and name in state["keepers"]:
            keeper.load_state(state["keepers"][name])


def lay_out(optimizer: Optimizer) -> None:
    """Give each loaded tensor the memory layout of its parameter.

    A checkpoint stores rows in the usual order. Fused kernels walk parameter and momentum side by side
    through memory, so for a channels-last model they would pair the wrong numbers.
    """
    for parameter, held in optimizer.state.items():
        for name, tensor in held.items():
            if isinstance(tensor, Tensor) and tensor.shape == parameter.shape:
                if tensor.stride() != parameter.stride():
                    held[name] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def unpack(loaded: Loaded) -> dict[str, Any]:
    """The nested state of a checkpoint."""
    return unflatten(loaded.tensors, loaded.facts["state"])


def restore_best(learner: Learner, folder: CheckpointFolder) -> None:
    """Put the best evaluated weights back."""
    best = folder.load_best()
    if best is not None:
        state = unpack(best)
        for name, module in learner.modules.items():
            module.load_state_dict(state["modules"][name])


def identify(name: str, learner: Learner) -> str:
    """A hash of the recipe's name and of all keys and shapes: whose checkpoint is this?"""
    shapes = [
        f"{m}.{n}:{tuple(t.shape)}"
        for m, net in sorted(learner.modules.items())
        for n, t in net.state_dict().items()
    ]
    return f"{name}-{key(*shapes):016x}"
