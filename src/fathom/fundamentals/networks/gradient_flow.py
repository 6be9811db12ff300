"""Gradient flow: how much of the gradient is left when it has come back through thirty layers.

The gradient goes back through one factor for each layer (Hochreiter 1991; Bengio, Simard and Frasconi 1994):

    dL/dz_l = diag(f'(z_l)) W_(l+1)^T dL/dz_(l+1)            dL/dW_l = dL/dz_l x_l^T

A product of many factors does not stay of its size by itself. A sigmoid's slope is at most 1/4: with weights
of Xavier's size, which keep lengths, each layer leaves a quarter or less (Glorot and Bengio 2010), and the
first of 24 layers gets 1e-15 of what the last one gets. He's weights make up for what a ReLU takes (He et
al. 2015), but only just: 30 % too small in each layer is a factor of thousands after 24. Batch norm makes
the scale of the weights irrelevant and lets gradients grow by a fifth in each layer (Yang et al. 2019). With
a skip, x + W relu(BN(x)), there is a short way back as well (He et al. 2016): block l adds 1 to a variance of
l, so its share falls as 1 / l, and gradients grow like a power of the depth, not exponentially:

    |dL/dz_1|^2 / |dL/dz_L|^2  =  c^(L-1) without,   prod (1 + c / (1 + l)) with skips,   c = pi / (pi - 1)

So He's weights and skips both keep gradients alive, but only skips do so whatever the weights are.

Two things can be measured. dL/dz says how much signal arrives. dL/dW is what the optimizer sees; it holds the
size of x too, and in a ReLU chain the two errors cancel: sum(W * dL/dW) is the same in every layer, whatever
the scale. Whoever looks at the ratio of weight gradients alone does not see a ReLU chain explode.

Axes used below
    b  batch      i, o  inputs, outputs of a layer
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card
from fathom.fundamentals.initialization.he import he_normal_
from fathom.fundamentals.initialization.xavier import xavier_normal_

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Vanishing and exploding gradients",
    paper="https://proceedings.mlr.press/v9/glorot10a.html",
    year=1991,
    summary="Measures the gradient of every layer: in which networks it dies or blows up with depth.",
    rows=("NF15",),
    builds_on=("xavier", "he"),
    differs=(
        "Stacks of dense layers without biases; He et al. have convolutions, and two of them in each block.",
    ),
    oracle="backpropagation written out; torch's own .grad; the closed forms of the growth per layer",
)

LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
KINDS = ("sigmoid", "tanh", "relu", "norm", "residual")
OF = ("weights", "outputs")


def gradient_norms(
    model: nn.Module, loss: Callable[[nn.Module], Tensor], of: str = "weights"
) -> dict[str, float]:
    """The norm of the gradient at each linear and convolution layer, by name, in the order they run.

    ``loss(model)`` runs a batch and returns one number. ``of`` is "weights", dL/dW, or "outputs", dL/dz, over
    all calls where a layer is used more than once. Layers that are frozen are left out. Costs a forward and a
    backward pass, and leaves no trace: gradients, running averages and torch's CPU generator stay what they
    were. Raises ``ValueError`` for another ``of``, a loss that is not one number or reaches no layer, and a
    gradient that is not finite, with the name of the layer.
    """
    if of not in OF:
        raise ValueError(f"of is {of!r}; it must be 'weights' or 'outputs'")
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            value, calls = _forward(model, loss)
            if value.ndim:
                raise ValueError(f"loss has shape {tuple(value.shape)}; it must be one number")
            weights = {n: layer.weight for n, layer in model.named_modules() if isinstance(layer, LAYERS)}
            chosen = {n: [weights[n]] if of == "weights" else made for n, made in calls.items()}
            chosen = {n: [t for t in tensors if t.requires_grad] for n, tensors in chosen.items()}
            listed = [tensor for tensors in chosen.values() for tensor in tensors]
            if not listed or not value.requires_grad:
                raise ValueError("loss reaches no linear or convolution layer that is trained")
            slopes = iter(torch.autograd.grad(value, listed, allow_unused=True))
    finally:
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)
    return {n: _norm(n, [next(slopes) for _ in tensors]) for n, tensors in chosen.items() if tensors}


def _forward(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> tuple[Tensor, dict[str, list[Tensor]]]:
    """The loss, and what each layer put out in each of its calls."""
    calls: dict[str, list[Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda layer, inputs, output: calls.setdefault(name, []).append(output)

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LAYERS)]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in layers]
    try:
        return loss(model), calls
    finally:
        for hook in hooks:
            hook.remove()


def _norm(name: str, slopes: Sequence[Tensor | None]) -> float:
    squares = [
        float(torch.linalg.vector_norm(slope, dtype=torch.float64)) ** 2
        for slope in slopes
        if slope is not None
    ]
    norm = math.sqrt(sum(squares))
    if not math.isfinite(norm):
        raise ValueError(f"the gradient at layer {name!r} is {norm}; it must be finite")
    return norm


def gradient_norms_by_hand(
    weights: Sequence[Float[Tensor, "_ _"]],
    inputs: Float[Tensor, "b _"],
    targets: Float[Tensor, "b _"],
    activation: str,
    of: str = "weights",
) -> list[float]:
    """A chain of linear layers with "relu" or "sigmoid" between them, and mean squared error."""
    x, kept = inputs, []
    for weight in weights:
        z = x @ weight.T
        y = z.clamp(min=0) if activation == "relu" else 1 / (1 + torch.exp(-z))
        slope = (z > 0).to(z) if activation == "relu" else y * (1 - y)
        kept.append((x, z, slope))
        x = y
    arriving = 2 * (kept[-1][1] - targets) / targets.numel()  # at the last z, which has no activation
    norms: list[float] = []
    for layer in reversed(range(len(weights))):
        gradient = arriving.T @ kept[layer][0] if of == "weights" else arriving
        norms.insert(0, math.sqrt(float((gradient * gradient).sum())))
        if layer:
            arriving = (arriving @ weights[layer]) * kept[layer - 1][2]
    return norms


def ratio(norms: Mapping[str, float] | Sequence[float]) -> float:
    """First over last: 1 where gradients come through whole, near 0 where they vanish, large if they explode.

    ``ValueError`` for fewer than two norms, and where the last one is 0.
    """
    values = list(norms.values()) if isinstance(norms, Mapping) else list(norms)
    if len(values) < 2 or not values[-1] > 0:
        raise ValueError(f"norms are {values}; give two or more, the last above 0")
    return values[0] / values[-1]


class Skip(nn.Module):
    """x + W relu(BN(x)), (b, width) to (b, width): norm and activation first, so the way past is clear."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.norm, self.layer = nn.BatchNorm1d(layer.in_features), layer

    def forward(self, x: Float[Tensor, "b i"]) -> Float[Tensor, "b i"]:
        return x + self.layer(torch.relu(self.norm(x)))


def stack(
    kind: str,
    depth: int = 24,
    width: int = 64,
    classes: int = 10,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
) -> nn.Sequential:
    """A network (b, width) -> (b, classes) of ``depth`` layers of one ``kind``, and a linear layer behind.

    "sigmoid" and "tanh" have Xavier's weights; "relu", "norm" (batch norm, then ReLU) and "residual"
    (``Skip``) have He's. All but the last are multiplied by ``scale``. Draws from ``generator``, or torch's
    global one.
    Raises ``ValueError`` for another kind, sizes below 1 and a scale that is not positive and finite.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    for name, value in (("depth", depth), ("width", width), ("classes", classes)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be 1 or more")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale is {scale}; it must be positive and finite")
    parts: list[nn.Module] = []
    for _ in range(depth):
        parts += _block(kind, _layer(kind, width, width, scale, generator))
    if kind == "residual":  # the last sum has had no norm of its own
        parts += [nn.BatchNorm1d(width), nn.ReLU()]
    return nn.Sequential(*parts, _layer(kind, width, classes, 1.0, generator))


def _layer(
    kind: str, inputs: int, outputs: int, scale: float, generator: torch.Generator | None
) -> nn.Linear:
    # skip_init: the layer's own initialisation would draw from the global generator, for nothing
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=False)
    assert isinstance(layer, nn.Linear)
    fill = xavier_normal_ if kind in ("sigmoid", "tanh") else he_normal_
    fill(layer.weight, generator=generator)
    with torch.no_grad():
        layer.weight.mul_(scale)
    return layer


def _block(kind: str, layer: nn.Linear) -> list[nn.Module]:
    if kind == "residual":
        return [Skip(layer)]
    norm: list[nn.Module] = [nn.BatchNorm1d(layer.out_features)] if kind == "norm" else []
    activation = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}.get(kind, nn.ReLU)()
    return [layer, *norm, activation]


def at_initialization(
    kind: str,
    depth: int = 24,
    width: int = 64,
    batch: int = 512,
    scale: float = 1.0,
    seed: int = 0,
    of: str = "weights",
) -> list[float]:
    """``gradient_norms`` of the ``depth`` layers of a fresh ``stack`` on one batch of noise, the first first.

    Inputs are standard normal, ten classes are random, the loss is cross-entropy; all are drawn from
    ``seed``. The last layer, which has another shape, is left out. Raises ``ValueError`` where ``stack`` and
    ``gradient_norms`` do, and for a batch of less than 2, which batch norm cannot normalise.
    """
    if batch < 2:
        raise ValueError(f"batch is {batch}; it must be 2 or more")
    dice = torch.Generator().manual_seed(seed)
    network = stack(kind, depth, width, scale=scale, generator=dice)
    inputs = torch.randn(batch, width, generator=dice)
    labels = torch.randint(10, (batch,), generator=dice)
    norms = gradient_norms(network, lambda net: nn.functional.cross_entropy(net(inputs), labels), of)
    return list(norms.values())[:-1]


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    sizes = ((5, 3), (4, 5), (4, 4), (2, 4))
    weights = [torch.randn(size, generator=dice, dtype=torch.float64) for size in sizes]
    x, y = (torch.randn(size, generator=dice, dtype=torch.float64) for size in ((7, 3), (7, 2)))

    def ours(activation: str, of: str) -> list[float]:
        parts: list[nn.Module] = []
        for weight in weights:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=torch.float64)
            layer.weight = nn.Parameter(weight.clone())
            parts += [layer, nn.ReLU() if activation == "relu" else nn.Sigmoid()]
        model = nn.Sequential(*parts[:-1])
        return list(gradient_norms(model, lambda net: nn.functional.mse_loss(net(x), y), of).values())

    for activation in ("relu", "sigmoid"):
        for of in OF:
            yield Twin(
                f"gradient norms of {of}, {activation}",
                lambda a=activation, o=of: ours(a, o),
                lambda a=activation, o=of: gradient_norms_by_hand(weights, x, y, a, o),
                (),
                gradients=False,
            )
