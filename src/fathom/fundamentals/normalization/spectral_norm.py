"""Spectral normalisation: a weight matrix is divided by its largest singular value.

A layer W stretches no vector by more than sigma(W), its largest singular value. Miyato, Kataoka, Koyama and
Yoshida (2018, equation 8) divide by it, so that the layer is Lipschitz with constant 1; a discriminator made
of such layers cannot change abruptly, which keeps a GAN's training steady. One step of the power method for
each update is enough, since weights move slowly and the vectors are remembered (algorithm 1):

    v <- W^T u / |W^T u|      u <- W v / |W v|      sigma = u^T W v      W' = W / sigma

u and v count as constants: the gradient of sigma is u v^T (equations 9 and 10). A convolution's weight is the
matrix of its outputs by all the rest.

Axes used below
    o  outputs      n  all other numbers of a filter
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Spectral normalisation",
    paper="https://arxiv.org/abs/1802.05957",
    year=2018,
    summary="Divides a layer's weights by their largest singular value, so that it stretches no vector.",
    rows=("RN13",),
    differs=(
        "Updates u before v, as torch does; the paper begins with v. Both walk along the same vectors.",
    ),
    oracle="torch.nn.utils.parametrizations.spectral_norm: weights, vectors and gradients over several steps",
)

WARM_UP = 15  # steps of the power method when a layer is made, as many as torch takes


class SpectralNorm(nn.Module):
    """The parametrisation: gives ``weight`` (o, ...) divided by its largest singular value.

    Remembers u (o,) and v (n,), and moves them by ``iterations`` steps whenever the weight is asked for in
    training. ``axis`` is that of the outputs. A vector is divided by its length.
    """

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, *, iterations: int = 1, epsilon: float = 1e-12, axis: int = 0) -> None:
        super().__init__()
        if not weight.is_floating_point() or weight.ndim < 1:
            raise ValueError(
                f"weight is {weight.dtype} of shape {tuple(weight.shape)}; it must be floating, with an axis"
            )
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}; it must be 1 or more")
        if not epsilon > 0:
            raise ValueError(f"epsilon is {epsilon}; it must be positive")
        if not -weight.ndim <= axis < weight.ndim:
            raise ValueError(f"axis is {axis}; a weight of shape {tuple(weight.shape)} has no such axis")
        self.iterations, self.epsilon, self.axis = iterations, epsilon, axis
        if weight.ndim > 1:
            matrix = self.matrix(weight.detach())
            for name, size in (("_u", len(matrix)), ("_v", matrix.shape[1])):
                self.register_buffer(name, F.normalize(matrix.new_empty(size).normal_(), dim=0, eps=epsilon))
            self.step(matrix, WARM_UP)

    def matrix(self, weight: Tensor) -> Float[Tensor, "o n"]:
        return weight.movedim(self.axis, 0).flatten(1)

    @torch.no_grad()
    def step(self, matrix: Float[Tensor, "o n"], count: int) -> None:
        """``count`` steps of the power method; u and v keep their place in memory."""
        for _ in range(count):
            self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.epsilon))
            self._v.copy_(F.normalize(matrix.T @ self._u, dim=0, eps=self.epsilon))

    def forward(self, weight: Tensor) -> Float[Tensor, "..."]:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.epsilon)
        matrix = self.matrix(weight)
        if self.training:
            self.step(matrix.detach(), self.iterations)
        # Copies: a discriminator runs twice, on true and made pictures, before one backward pass.
        u, v = self._u.clone(), self._v.clone()
        return weight / (u @ (matrix @ v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """Setting the weight sets what is divided."""
        return value


def spectral_norm(
    layer: nn.Module,
    name: str = "weight",
    *,
    iterations: int = 1,
    epsilon: float = 1e-12,
    axis: int | None = None,
) -> nn.Module:
    """``layer`` itself, whose parameter ``name`` is from now on divided by its largest singular value.

    ``axis`` is that of the outputs: 0, and 1 for transposed convolutions. The state dict has torch's names.
    Raises ``ValueError`` for an unknown parameter and settings out of range.
    """
    weight = getattr(layer, name, None)
    if not isinstance(weight, Tensor):
        known = ", ".join(n for n, _ in layer.named_parameters(recurse=False)) or "none"
        raise ValueError(f"name is {name!r}; the parameters of {type(layer).__name__} are: {known}")
    if axis is None:
        transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
        axis = 1 if isinstance(layer, transposed) else 0
    norm = SpectralNorm(weight, iterations=iterations, epsilon=epsilon, axis=axis)
    parametrize.register_parametrization(layer, name, norm)
    return layer


def spectral_norm_by_hand(
    weight: Float[Tensor, "o n"], u: Float[Tensor, "o"], v: Float[Tensor, "n"], steps: int
) -> Float[Tensor, "o n"]:
    """``steps`` of the power method from ``v``, then the quotient, with u and v as constants."""
    with torch.no_grad():
        for _ in range(steps):
            u = torch.stack([(row * v).sum() for row in weight])
            u = u / torch.sqrt((u * u).sum())
            v = torch.stack([(column * u).sum() for column in weight.T])
            v = v / torch.sqrt((v * v).sum())
    sigma = sum(u[o] * weight[o, n] * v[n] for o in range(len(u)) for n in range(len(v)))
    return weight / sigma


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares. Gradients with u and v held, as constants are."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 4, dtype=torch.float64, generator=dice)
    u, v = (F.normalize(torch.randn(n, dtype=torch.float64, generator=dice), dim=0) for n in (3, 4))

    def ours(weight: Tensor, steps: int) -> Tensor:
        norm = SpectralNorm(torch.eye(3, 4, dtype=torch.float64), iterations=max(1, steps)).train(steps > 0)
        norm._u.copy_(u)
        norm._v.copy_(v)
        return norm(weight)

    def plain(weight: Tensor, steps: int) -> Tensor:
        return spectral_norm_by_hand(weight, u, v, steps)

    yield Twin("vectors held", ours, plain, (weight, 0))
    yield Twin("three steps", ours, plain, (weight, 3), gradients=False)
