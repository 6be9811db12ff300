"""Orthogonal initialisation: a matrix that turns vectors and changes the length of none.

    Q^T Q = I,    W = gain Q                                   (Saxe, McClelland and Ganguli 2013, section 3)

A random Gaussian matrix keeps lengths on average, but stretches some directions up to twice and crushes
others to nothing; multiplied by itself a hundred times, as a recurrent network does, it leaves only noise.
All singular values of an orthogonal matrix are 1, and so are those of any product of such matrices: signals
and gradients arrive unharmed, whatever the depth.

A matrix of standard normal draws has no preferred direction. Its Gram-Schmidt factor Q is therefore a draw
from the uniform (Haar) distribution over orthogonal matrices - provided that each length that is divided by
is taken positive. A QR routine may take some negative; the signs of the diagonal of R put that right
(Mezzadri 2007).

A weight of more than two axes is seen as a matrix of (outputs, all the rest). If it has fewer columns than
rows its columns are orthonormal, otherwise its rows.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Orthogonal initialisation",
    paper="https://arxiv.org/abs/1312.6120",
    year=2013,
    summary="Starts a layer as a rotation, so that signals keep their length however deep the network is.",
    rows=("IN03",),
    oracle="torch.nn.init.orthogonal_, bit for bit from the same generator; Q^T Q = I",
)


@torch.no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """Fill ``tensor`` (rows, ...) with gain times a matrix of orthonormal columns or rows; return it.

    Drawn in the type of the tensor, half precision in float32 and then rounded. Draws from ``generator``,
    or torch's global one. Raises ValueError for fewer than two axes, a gain that is not positive and
    finite, and unless the tensor is floating-point.
    """
    if not tensor.is_floating_point():
        raise ValueError(f"tensor has dtype {tensor.dtype}; weights must be floating-point numbers")
    if tensor.ndim < 2:
        raise ValueError(f"tensor has shape {tuple(tensor.shape)}; it needs two axes or more")
    if not (math.isfinite(gain) and gain > 0):
        raise ValueError(f"gain is {gain}; it must be positive and finite")
    if not tensor.numel():
        return tensor
    rows = len(tensor)
    wide = tensor.dtype if tensor.dtype in (torch.float32, torch.float64) else torch.float32
    draws = torch.empty(rows, tensor.numel() // rows, dtype=wide, device=tensor.device)
    draws.normal_(generator=generator)
    lying = draws.shape[0] < draws.shape[1]
    q, r = torch.linalg.qr(draws.T if lying else draws)
    q = q * r.diagonal().sign()
    return tensor.copy_((q.T if lying else q).reshape(tensor.shape)).mul_(gain)


def orthogonal_by_hand(tensor: Tensor, gain: float = 1.0, generator: torch.Generator | None = None) -> Tensor:
    """New weights of the shape of ``tensor``, by Gram-Schmidt.

    Vector after vector: take away what points along those before, then make its length 1. It is done twice,
    because what rounding leaves behind the first time is taken away the second.
    """
    rows = len(tensor)
    draws = torch.randn(rows, tensor.numel() // rows, dtype=tensor.dtype, generator=generator)
    vectors = draws if rows < draws.shape[1] else draws.T  # the fewer, longer ones
    done: list[Tensor] = []
    for vector in vectors:
        for _ in range(2):
            for other in done:
                vector = vector - (vector @ other) * other
        done.append(vector / (vector @ vector).sqrt())
    matrix = torch.stack(done)
    return gain * (matrix if rows < draws.shape[1] else matrix.T).reshape(tensor.shape)


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: equal draws from generators in the same state."""
    from fathom.fundamentals.twin import Twin

    for shape in ((7, 4), (4, 7), (5, 5), (3, 2, 3, 3)):
        yield Twin(
            f"orthogonal_ {shape}",
            lambda t: orthogonal_(t.clone(), 1.3, torch.Generator().manual_seed(7)),
            lambda t: orthogonal_by_hand(t, 1.3, torch.Generator().manual_seed(7)),
            (torch.zeros(shape, dtype=torch.float64),),
            gradients=False,
        )
