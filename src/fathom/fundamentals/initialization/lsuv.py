"""LSUV, layer-sequential unit variance: measure the scale of each layer's outputs, and divide by it.

Xavier and He derive a layer's scale from its shape and a theory of its activation. Mishkin and Matas (2016,
algorithm 1) measure it instead. The weights of every layer start orthonormal; then, layer by layer in the
order of the forward pass,

    run a batch;  v = variance of the layer's outputs, over examples and units;  W <- W / sqrt(v)

until v is 1 within a tolerance. What comes later in the network sees inputs of the right scale already,
whatever activations, pooling or branches lie between, so no formula for them is needed. Biases are set to
zero: a layer without bias is linear, and the first division is exact but for rounding.

The batch runs in evaluation mode, so that dropout adds no noise and running averages stay untouched;
afterwards each module has its mode back.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.orthogonal import orthogonal_, orthogonal_by_hand

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="LSUV",
    paper="https://arxiv.org/abs/1511.06422",
    year=2015,
    summary="Starts every layer at unit variance by running a batch and dividing by what is measured.",
    rows=("IN04",),
    builds_on=("orthogonal",),
    differs=(
        "The tolerance is 0.01 where the paper has 0.1.",
        "Biases become zero, where the paper leaves what they were.",
    ),
    oracle="the by-hand algorithm for a chain of linear layers; variances measured anew",
)

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


@torch.no_grad()
def lsuv_(
    model: nn.Module,
    batch: Tensor,
    tolerance: float = 0.01,
    tries: int = 10,
    generator: torch.Generator | None = None,
) -> dict[str, float]:
    """Give each linear and convolution layer of ``model`` outputs of variance 1 on ``batch``, in place.

    ``model(batch)`` must run. Returns the variance reached by each layer, in the order in which they run. A
    layer used several times is judged by its first use. Draws from ``generator``, or torch's global one.
    Raises ValueError for an empty batch, a tolerance or number of tries that is not positive, a model
    without such layers, and a layer whose outputs do not vary or whose variance does not settle; the name
    of the layer is given.
    """
    if not batch.numel():
        raise ValueError(f"batch has shape {tuple(batch.shape)}, without an example; give at least one")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance is {tolerance}; it must be positive and finite")
    if tries < 1:
        raise ValueError(f"tries is {tries}; it must be 1 or more")
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        layers = _in_order(model, batch)
        for layer in layers.values():
            orthogonal_(layer.weight, generator=generator)
            if layer.bias is not None:
                layer.bias.zero_()
        return {name: _rescale(model, name, layer, batch, tolerance, tries) for name, layer in layers.items()}
    finally:
        for module, mode in modes.items():
            module.training = mode


def lsuv_by_hand(
    shapes: Sequence[tuple[int, int]],
    batch: Tensor,
    activation: Callable[[Tensor], Tensor],
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """The weights (outputs, inputs) of a chain of linear layers with an activation after each."""
    weights, x = [], batch
    for shape in shapes:
        weight = orthogonal_by_hand(torch.empty(shape, dtype=batch.dtype), generator=generator)
        outputs = x @ weight.T
        variance = ((outputs - outputs.mean()) ** 2).mean()
        weights.append(weight / variance.sqrt())
        x = activation(x @ weights[-1].T)
    return weights


def _in_order(model: nn.Module, batch: Tensor) -> dict[str, Layer]:
    """The layers by name, as they are first used in a forward pass."""
    order: dict[str, Layer] = {}

    def note(name: str, layer: Layer) -> Callable[..., None]:
        return lambda *call: order.setdefault(name, layer) and None

    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, Layer)]
    hooks = [layer.register_forward_pre_hook(note(name, layer)) for name, layer in layers]
    try:
        model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not order:
        raise ValueError("model uses no linear or convolution layer on this batch; there is nothing to scale")
    return order


def _rescale(model: nn.Module, name: str, layer: Layer, batch: Tensor, tolerance: float, tries: int) -> float:
    variance = _variance(model, layer, batch)
    for _ in range(tries):
        if not (math.isfinite(variance) and variance > 0):
            raise ValueError(
                f"layer {name!r} has outputs of variance {variance} on this batch; it must be positive"
            )
        if abs(variance - 1) <= tolerance:
            return variance
        layer.weight.div_(math.sqrt(variance))
        variance = _variance(model, layer, batch)
    if abs(variance - 1) <= tolerance:
        return variance
    raise ValueError(
        f"layer {name!r} has variance {variance} after {tries} tries; it must come within {tolerance} of 1"
    )


def _variance(model: nn.Module, layer: Layer, batch: Tensor) -> float:
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda *call: seen.append(call[-1]))
    try:
        model(batch)
    finally:
        hook.remove()
    return float(seen[0].double().var(correction=0))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: equal draws from generators in the same state."""
    from fathom.fundamentals.twin import Twin

    shapes = [(6, 5), (4, 6), (3, 4)]

    def ours(batch: Tensor) -> list[Tensor]:
        layers = [nn.Linear(inputs, outputs, bias=False).to(batch.dtype) for outputs, inputs in shapes]
        model = nn.Sequential(*[part for layer in layers for part in (layer, nn.Tanh())])
        lsuv_(model, batch, tolerance=1e-9, generator=torch.Generator().manual_seed(7))
        return [layer.weight.detach() for layer in layers]

    def by_hand(batch: Tensor) -> list[Tensor]:
        return lsuv_by_hand(shapes, batch, torch.tanh, torch.Generator().manual_seed(7))

    batch = torch.linspace(0, 40, 40, dtype=torch.float64).sin().reshape(8, 5)
    yield Twin("lsuv_", ours, by_hand, (batch,), gradients=False)
