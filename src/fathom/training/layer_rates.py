"""Learning rates that fall from the head of a model to its stem, for any optimizer.

    r_l = r d^(L - l)        layer l of 0 (what sees the picture first) to L (the head); d the layer decay

What falls by how much, and why, `fathom.fundamentals.optimizers.parameter_groups` explains. Here the layers
are those of the model itself, without a pattern of names: the parts of ``body`` in their order, and last
whatever lies outside of it, the head. A part that is a row of blocks counts as many layers as it has blocks,
as in timm; anything else, a stem of several convolutions say, is one.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from fathom.errors import InputError
from fathom.fundamentals.optimizers.parameter_groups import layer_factors


def layer_numbers(model: nn.Module) -> dict[str, int]:
    """The layer of each parameter, by name: 0, 1, ... without gaps, the head last.

    Raises ``InputError`` for a model that has no order: no ``body`` whose parts have parameters.
    """
    body = getattr(model, "body", None)
    rows = [list(part.parameters()) for part in pieces(body)] if isinstance(body, nn.Sequential) else []
    rows = [row for row in rows if row]
    if not rows:
        raise InputError(
            f"layer_decay needs the order of the layers, and a {type(model).__name__} does not tell it: give"
            " it `body`, an nn.Sequential of its parts from first to last, or leave layer_decay at 1.0"
        )
    place = {id(p): n for n, row in reversed(list(enumerate(rows))) for p in row}  # of a shared one the first
    return {name: place.get(id(p), len(rows)) for name, p in model.named_parameters()}


def pieces(body: nn.Module) -> Iterator[nn.Module]:
    """The layers of ``body`` in order: its parts, and of a part that is a row of blocks, the blocks."""
    for part in body.children():
        if isinstance(part, nn.Sequential) and any(list(block.children()) for block in part):
            yield from pieces(part)
        else:
            yield part


def fall(optimizer: Optimizer, model: nn.Module, layer_decay: float) -> Optimizer:
    """``optimizer``, fresh, with its groups parted by layer, the head first, at rates that fall.

    ``layer_decay`` is in (0, 1]; at 1 nothing changes. Raises ``InputError`` as ``layer_numbers`` does.
    """
    if layer_decay == 1:
        return optimizer
    numbers = layer_numbers(model)
    shares = layer_factors(numbers, layer_decay)
    named = dict(model.named_parameters())
    from_head = {id(p): -numbers[name] for name, p in named.items()}
    share = {id(p): shares[name] for name, p in named.items()}
    part(optimizer, lambda p: from_head[id(p)])
    for group in optimizer.param_groups:
        if group["params"]:
            group["lr"] = group["lr"] * share[id(group["params"][0])]
    return optimizer


def part(optimizer: Optimizer, place: Callable[[Tensor], int]) -> None:
    """Split each group of ``optimizer``, fresh, by the number ``place`` of its tensors, the least first."""
    made: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        numbers = sorted({place(p) for p in group["params"]})
        made += [group | {"params": [p for p in group["params"] if place(p) == n]} for n in numbers]
    optimizer.param_groups[:] = made  # the list stays: an optimizer around this one shares it
