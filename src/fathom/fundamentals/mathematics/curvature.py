"""Curvature: how a slope changes, and how to ask for it without writing the whole matrix down.

A function of many variables has a matrix of slopes, the Jacobian J; a loss has a matrix of second slopes, the
Hessian H. For a network both are far too large to store. What is needed is mostly one product, and a product
costs no more than a few runs of the function:

    J v   (jvp)   how all outputs change as the input moves along v
    J^T u (vjp)   how one weighted sum of outputs, u, depends on each input: what ``backward`` computes
    H v   (hvp)   how the gradient changes along v: the gradient of the number (grad f) . v (Pearlmutter 1994)

J v comes from two backward passes: u -> J^T u is linear in u, and its own vjp is v -> J v. Power iteration
with H v finds the sharpest direction. Along a line x + t d the loss has the slope (grad f) . d and the
curvature d^T H d. A plane is drawn through a trained network along two directions whose rows have the lengths
of the network's own rows; without that a picture says only how large the weights are (Li et al. 2018,
https://arxiv.org/abs/1712.09913, section 4).

Shapes used below
    x, v, d  a point and directions, of one shape      y, u  an output and weights on it, of one shape
    n  entries of a flat vector of weights             t, s  distances along a first and a second direction
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Curvature",
    paper="https://doi.org/10.1162/neco.1994.6.1.147",
    year=1994,
    summary="Jacobians, Hessians, their products with vectors, and the shape of a trained network's loss.",
    rows=("MA05",),
    differs=("Biases and other vectors do not move in a filter direction, as in Li et al.'s own program.",),
    oracle="torch.func: jacrev, hessian, jvp, vjp; in float64",
)

Function = Callable[[Tensor], Tensor]


def vjp(function: Function, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """(y, J^T u): the output at ``x`` and the gradient of its sum weighted by ``weights``, of y's shape.

    This and the products below can be differentiated again where ``x`` or the vector requires a gradient.
    """
    point, value = _run(function, x)
    _same_shape("weights", weights, value)
    keep = x.requires_grad or weights.requires_grad
    return (value if keep else value.detach()), _backward(value, point, weights, keep=keep)


def vjp_by_hand(function: Function, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    matrix = jacobian_by_hand(function, x).reshape(weights.numel(), x.numel())
    return function(x), (weights.reshape(-1) @ matrix).reshape(x.shape)


def jvp(function: Function, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """(y, J v): the output at ``x`` and its rate of change as x moves along ``direction``, of x's shape."""
    _same_shape("direction", direction, x)
    point, value = _run(function, x)
    weights = torch.zeros_like(value, requires_grad=True)
    pulled = _backward(value, point, weights, keep=True)
    keep = x.requires_grad or direction.requires_grad
    return (value if keep else value.detach()), _backward(pulled, weights, direction, keep=keep)


def jvp_by_hand(function: Function, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    value = function(x)
    matrix = jacobian_by_hand(function, x).reshape(value.numel(), x.numel())
    return value, (matrix @ direction.reshape(-1)).reshape(value.shape)


def hvp(function: Function, x: Tensor, direction: Tensor) -> Tensor:
    """H v of a scalar ``function`` at ``x``: as costly as about two gradients, whatever the size of H."""
    _same_shape("direction", direction, x)
    point, value = _run(function, x)
    gradient = _backward(_scalar(value), point, None, keep=True)
    keep = x.requires_grad or direction.requires_grad
    return _backward((gradient * direction).sum(), point, None, keep=keep)


def hvp_by_hand(function: Function, x: Tensor, direction: Tensor) -> Tensor:
    matrix = jacobian_by_hand(partial(_gradient, function), x).reshape(x.numel(), x.numel())
    return (matrix @ direction.reshape(-1)).reshape(x.shape)


def jacobian(function: Function, x: Tensor) -> Tensor:
    """All slopes dy/dx, shape (*y, *x), from one batched backward pass."""
    point, value = _run(function, x)
    rows = torch.eye(value.numel(), dtype=value.dtype, device=value.device).reshape(
        value.numel(), *value.shape
    )
    if not value.requires_grad or not value.numel():
        return value.new_zeros(*value.shape, *x.shape)
    (slopes,) = torch.autograd.grad(
        value,
        point,
        rows,
        is_grads_batched=True,
        create_graph=x.requires_grad,
        allow_unused=True,
        materialize_grads=True,
    )
    return slopes.reshape(*value.shape, *x.shape)


def jacobian_by_hand(function: Function, x: Tensor) -> Tensor:
    """Row by row: the gradient of each output in turn."""
    point, value = _run(function, x)
    rows = [_backward(entry, point, None, keep=True) for entry in value.reshape(-1)]
    return torch.stack(rows).reshape(*value.shape, *x.shape)


def hessian(function: Function, x: Tensor) -> Tensor:
    """All second slopes of a scalar ``function``, shape (*x, *x): the Jacobian of its gradient."""
    return jacobian(partial(_gradient, function), x)


def hessian_by_hand(function: Function, x: Tensor, step: float = 1e-4) -> Tensor:
    """Second differences, entry by entry: (f(++) - f(+-) - f(-+) + f(--)) / 4 h^2, good to about 1e-7."""
    size = x.numel()
    steps = step * torch.eye(size, dtype=x.dtype).reshape(size, *x.shape)
    matrix = x.new_zeros(size, size)
    with torch.no_grad():
        for i, a in enumerate(steps):
            for j, b in enumerate(steps):
                plus, minus = (
                    function(x + a + b) + function(x - a - b),
                    function(x + a - b) + function(x - a + b),
                )
                matrix[i, j] = (plus - minus).reshape(()) / (4 * step**2)
    return matrix.reshape(*x.shape, *x.shape)


def largest_curvature(
    function: Function, x: Tensor, *, steps: int = 200, tolerance: float = 1e-6, seed: int = 0
) -> tuple[float, Tensor]:
    """The eigenvalue of largest size of H at ``x`` and its direction, of length 1: power iteration with H v.

    Stops when |H v - l v| is at most ``tolerance`` of |H v|, or after ``steps`` products.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more")
    dice = torch.Generator().manual_seed(seed)
    v = torch.randn(x.shape, generator=dice, dtype=torch.float64).to(x)
    v, curvature = v / v.norm(), x.new_zeros(())
    for _ in range(steps):
        image = hvp(function, x, v).detach()
        curvature, size = (v * image).sum(), image.norm()
        if (image - curvature * v).norm() <= tolerance * size:
            break
        v = image / size
    return float(curvature), v


def largest_curvature_by_hand(function: Function, x: Tensor) -> tuple[float, Tensor]:
    """From the whole of H, which fits only small functions."""
    matrix = hessian(function, x).detach().reshape(x.numel(), x.numel())
    values, vectors = torch.linalg.eigh(matrix)
    best = int(values.abs().argmax())
    return float(values[best]), vectors[:, best].reshape(x.shape)


class Line(NamedTuple):
    """A function along a line: its value, slope and curvature at each distance."""

    values: Float[Tensor, "t"]
    slopes: Float[Tensor, "t"]
    curvatures: Float[Tensor, "t"]


def along_line(function: Function, x: Tensor, direction: Tensor, distances: Tensor) -> Line:
    """A scalar ``function`` at ``x`` + t ``direction`` for t in ``distances`` (t,); exact derivatives."""
    _same_shape("direction", direction, x)
    _distances("distances", distances)
    found = []
    for distance in distances:
        point, value = _run(function, (x + distance * direction).detach())
        slope = (_backward(_scalar(value), point, None, keep=True) * direction).sum()
        bend = (_backward(slope, point, None, keep=False) * direction).sum()
        found.append(torch.stack([value.reshape(()), slope, bend]).detach())
    return Line(*torch.stack(found).unbind(dim=1))


def along_line_by_hand(
    function: Function, x: Tensor, direction: Tensor, distances: Tensor, step: float = 1e-4
) -> Line:
    """The same from values alone: first and second differences along the line."""
    before, here, after = (
        torch.stack([function(x + (t + shift) * direction).reshape(()) for t in distances])
        for shift in (-step, 0.0, step)
    )
    return Line(here, (after - before) / (2 * step), (after - 2 * here + before) / step**2)


def over_plane(
    function: Function, x: Tensor, first: Tensor, second: Tensor, across: Tensor, up: Tensor
) -> Float[Tensor, "t s"]:
    """A scalar ``function`` at ``x`` + t ``first`` + s ``second``, t in ``across`` (t,), s in ``up`` (s,).

    All points run as one batch (``torch.func.vmap``), 64 at a time.
    """
    for name, direction in (("first", first), ("second", second)):
        _same_shape(name, direction, x)
    for name, distances in (("across", across), ("up", up)):
        _distances(name, distances)
    t, s = (grid.reshape(-1, *[1] * x.ndim) for grid in torch.meshgrid(across, up, indexing="ij"))
    with torch.no_grad():
        values = torch.func.vmap(function, chunk_size=64)(x + t * first + s * second)
    return values.reshape(len(across), len(up))


def over_plane_by_hand(
    function: Function, x: Tensor, first: Tensor, second: Tensor, across: Tensor, up: Tensor
) -> Float[Tensor, "t s"]:
    return torch.stack(
        [torch.stack([function(x + t * first + s * second).reshape(()) for s in up]) for t in across]
    )


def weights_function(
    model: nn.Module, objective: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> tuple[Function, Float[Tensor, "n"]]:
    """The loss of ``model`` on one batch as a function of all its weights in a row, and the weights of today.

    Gives (function, weights (n,)). The model itself is not changed; it keeps its mode, so call ``eval()``
    first where dropout or batch norm should rest. ValueError for a model without parameters.
    """
    named = dict(model.named_parameters())
    if not named:
        raise ValueError(f"model is a {type(model).__name__} without parameters; there is nothing to move")
    sizes = [p.numel() for p in named.values()]

    def function(weights: Tensor) -> Tensor:
        parts = weights.split(sizes)
        moved = {n: w.view(p.shape) for (n, p), w in zip(named.items(), parts, strict=True)}
        return objective(torch.func.functional_call(model, moved, (inputs,)), targets)

    return function, torch.cat([p.detach().reshape(-1) for p in named.values()])


def filter_direction(model: nn.Module, seed: int) -> Float[Tensor, "n"]:
    """A random direction for the weights of ``model`` whose rows have the lengths of the model's own rows.

    A row holds all weights that feed one unit or channel. Vectors (biases, norms) stay where they are.
    """
    dice, parts = torch.Generator().manual_seed(seed), []
    for parameter in model.parameters():
        if parameter.ndim < 2:
            parts.append(torch.zeros_like(parameter.detach()).reshape(-1))
            continue
        rows = parameter.detach().flatten(1)
        drawn = torch.randn(rows.shape, generator=dice).to(rows)
        parts.append((drawn * (rows.norm(dim=1) / drawn.norm(dim=1))[:, None]).reshape(-1))
    return torch.cat(parts)


def _run(function: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    if not x.is_floating_point():
        raise ValueError(f"x has dtype {x.dtype}; only floating-point numbers have slopes")
    point = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        value = function(point)
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise ValueError(
            f"function returned {type(value).__name__}; it must return one floating-point tensor"
        )
    return point, value


def _backward(value: Tensor, point: Tensor, weights: Tensor | None, *, keep: bool) -> Tensor:
    """The gradient by ``point``; zeros where nothing leads there."""
    if not value.requires_grad:
        return torch.zeros_like(point)
    found = torch.autograd.grad(
        value, point, weights, create_graph=keep, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return found[0]


def _gradient(function: Function, x: Tensor) -> Tensor:
    value = function(x)
    return _backward(_scalar(value), x, None, keep=True)


def _scalar(value: Tensor) -> Tensor:
    if value.numel() != 1:
        raise ValueError(
            f"function returned shape {tuple(value.shape)}; second slopes are those of a single number"
        )
    return value.reshape(())


def _same_shape(name: str, given: Tensor, wanted: Tensor) -> None:
    if given.shape != wanted.shape or given.dtype != wanted.dtype:
        raise ValueError(
            f"{name} has shape {tuple(given.shape)}, {given.dtype}; "
            f"it must have {tuple(wanted.shape)}, {wanted.dtype}"
        )


def _distances(name: str, distances: Tensor) -> None:
    if distances.ndim != 1 or not len(distances):
        raise ValueError(
            f"{name} has shape {tuple(distances.shape)}; it must be a row of at least one distance"
        )


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    x, v, u = (torch.randn(shape, generator=dice, dtype=torch.float64) for shape in ((2, 2), (2, 2), (2,)))

    def pair(x: Tensor) -> Tensor:
        return torch.stack([(x[0] * x[1]).sum().sin(), x.exp().sum() * x[0, 0]])

    def bowl(x: Tensor) -> Tensor:
        return (pair(x) ** 2).sum() + x[1].prod()

    yield Twin("vjp", partial(vjp, pair), partial(vjp_by_hand, pair), (x, u))
    yield Twin("jvp", partial(jvp, pair), partial(jvp_by_hand, pair), (x, v))
    yield Twin("hvp", partial(hvp, bowl), partial(hvp_by_hand, bowl), (x, v))
    yield Twin("jacobian", partial(jacobian, pair), partial(jacobian_by_hand, pair), (x,))
    # Differences lose digits: rounding over the squared step is about 1e-16 / 1e-8, times values of about 10.
    yield Twin("hessian", partial(hessian, bowl), partial(hessian_by_hand, bowl), (x,), 1e-5, False)
    t, s = torch.linspace(-0.5, 0.5, 5, dtype=x.dtype), torch.linspace(-0.2, 0.4, 3, dtype=x.dtype)
    yield Twin(
        "along_line", partial(along_line, bowl), partial(along_line_by_hand, bowl), (x, v, t), 1e-5, False
    )
    yield Twin(
        "over_plane",
        partial(over_plane, bowl),
        partial(over_plane_by_hand, bowl),
        (x, v, v.T, t, s),
        1e-12,
        False,
    )

    def sharpest(x: Tensor) -> Tensor:
        return torch.tensor(largest_curvature(bowl, x, tolerance=1e-9)[0], dtype=torch.float64)

    def sharpest_by_hand(x: Tensor) -> Tensor:
        return torch.tensor(largest_curvature_by_hand(bowl, x)[0], dtype=torch.float64)

    yield Twin("largest_curvature", sharpest, sharpest_by_hand, (x,), 1e-7, False)
