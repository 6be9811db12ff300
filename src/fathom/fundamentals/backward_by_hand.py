"""Backpropagation written out: sixteen layers forward and backward, without automatic differentiation.

A layer is a function y = f(x, w) inside a network with loss L. Its backward pass takes g = dL/dy and gives
dL/dx and dL/dw, from nothing but g and what the forward pass kept (Rumelhart, Hinton and Williams 1986):

    dL/dx_i = sum over j of  g_j dy_j/dx_i

The sum over j never needs the whole Jacobian. For y = x W^T it is g W, and g^T x for W. Functions of single
entries only scale g. Where a forward pass copies a value (a bias, a pixel into windows, a row of an
embedding), the backward pass adds up what comes back; where it averages, the backward pass spreads evenly.
Statistics of the data, as in normalisation, depend on every entry: two terms correct the plain scaling.

Each layer is a pair: ``name(...)`` returns (output, kept), and ``name_backward(kept, g)`` a gradient for each
tensor that went in, None for whole numbers and masks. ``differentiable`` makes one operation of torch of it.

Axes used below
    b  batch      i, o  inputs and outputs      k  classes      c  channels      h, w  height and width
    s, t  places of a query and of a key      e  width of a head      d  width
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from fathom.card import Card

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Backward passes by hand",
    paper="https://doi.org/10.1038/323533a0",
    year=1986,
    summary="How the gradient goes back through sixteen common layers, each formula written out.",
    rows=("NF07",),
    differs=("The paper treats layers of sigmoids; the others follow from the same chain rule.",),
    oracle="torch autograd through torch.nn.functional, 1e-8 in float64, and gradcheck for every layer",
)

Kept = tuple[Any, ...]


def linear(
    x: Float[Tensor, "..."], weight: Float[Tensor, "..."], bias: Float[Tensor, "..."]
) -> tuple[Tensor, Kept]:
    """Y = x W^T + b: (b, i), (o, i), (o,) -> (b, o)."""
    matches(x.ndim == 2 and weight.ndim == 2 and weight.shape[1] == x.shape[1], x=x, weight=weight)
    matches(bias.shape == weight.shape[:1], weight=weight, bias=bias)
    return x @ weight.T + bias, (x, weight)


def linear_backward(kept: Kept, g: Float[Tensor, "b o"]) -> tuple[Tensor, Tensor, Tensor]:
    x, weight = kept
    return g @ weight, g.T @ x, g.sum(0)  # the bias was copied to every row


def relu(x: Float[Tensor, "..."]) -> tuple[Tensor, Kept]:
    """The positive part."""
    return x.clamp(min=0), (x > 0,)


def relu_backward(kept: Kept, g: Float[Tensor, "..."]) -> Tensor:
    return g * kept[0]


def sigmoid(x: Float[Tensor, "..."]) -> tuple[Tensor, Kept]:
    """1 / (1 + exp(-x)), computed so that exp never overflows."""
    small = torch.exp(-x.abs())
    y = torch.where(x >= 0, 1, small) / (1 + small)
    return y, (y,)


def sigmoid_backward(kept: Kept, g: Float[Tensor, "..."]) -> Tensor:
    (y,) = kept
    return g * y * (1 - y)


def tanh(x: Float[Tensor, "..."]) -> tuple[Tensor, Kept]:
    y = x.tanh()
    return y, (y,)


def tanh_backward(kept: Kept, g: Float[Tensor, "..."]) -> Tensor:
    (y,) = kept
    return g * (1 - y * y)


def gelu(x: Float[Tensor, "..."]) -> tuple[Tensor, Kept]:
    """The input x times the share of a standard normal distribution that lies below x."""
    below = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
    return x * below, (x, below)


def gelu_backward(kept: Kept, g: Float[Tensor, "..."]) -> Tensor:
    x, below = kept
    density = torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return g * (below + x * density)


def softmax_cross_entropy(logits: Float[Tensor, "..."], labels: Tensor) -> tuple[Tensor, Kept]:
    """The mean of -log softmax(logits)[label]: (b, k) and classes (b,) -> one number."""
    matches(logits.ndim == 2 and labels.shape == logits.shape[:1], logits=logits, labels=labels)
    whole_numbers("labels", labels, logits.shape[1])
    logs = logits - logits.amax(1, keepdim=True)
    logs = logs - logs.exp().sum(1, keepdim=True).log()
    rows = torch.arange(len(labels))
    return -logs[rows, labels].mean(), (logs, labels)


def softmax_cross_entropy_backward(kept: Kept, g: Float[Tensor, ""]) -> tuple[Tensor, None]:
    """Softmax and logarithm undo each other: what is left is p - 1 at the right class, and p elsewhere."""
    logs, labels = kept
    gap = logs.exp()
    gap[torch.arange(len(labels)), labels] -= 1
    return g * gap / len(labels), None


def mean_squared_error(prediction: Float[Tensor, "..."], target: Float[Tensor, "..."]) -> tuple[Tensor, Kept]:
    matches(prediction.shape == target.shape, prediction=prediction, target=target)
    gap = prediction - target
    return (gap * gap).mean(), (gap,)


def mean_squared_error_backward(kept: Kept, g: Float[Tensor, ""]) -> tuple[Tensor, Tensor]:
    (gap,) = kept
    slope = g * 2 * gap / gap.numel()
    return slope, -slope


def convolution(
    x: Float[Tensor, "..."], weight: Float[Tensor, "..."], bias: Float[Tensor, "..."], stride: int = 1
) -> tuple[Tensor, Kept]:
    """(b, c, h, w), kernels (o, c, kh, kw), bias (o,) -> (b, o, oh, ow), with no padding."""
    matches(x.ndim == 4 and weight.ndim == 4 and x.shape[1] == weight.shape[1], x=x, weight=weight)
    matches(bias.shape == weight.shape[:1], weight=weight, bias=bias)
    views = windows(x, weight.shape[2], weight.shape[3], stride)
    out = torch.einsum("bcyxij,ocij->boyx", views, weight) + bias[:, None, None]
    return out, (x.shape, views, weight, stride)


def convolution_backward(kept: Kept, g: Float[Tensor, "b o oh ow"]) -> tuple[Tensor, Tensor, Tensor]:
    """A kernel was used at every place, a pixel in several windows: their gradients are sums over these."""
    shape, views, weight, stride = kept
    to_windows = torch.einsum("boyx,ocij->bcyxij", g, weight)
    return (
        add_windows(to_windows, shape, stride),
        torch.einsum("boyx,bcyxij->ocij", g, views),
        g.sum((0, 2, 3)),
    )


def max_pool(x: Float[Tensor, "..."], kernel: int, stride: int) -> tuple[Tensor, Kept]:
    """The largest value of each window, (b, c, h, w) -> (b, c, oh, ow); of equal values the first counts."""
    views = windows(x, kernel, kernel, stride)
    best, place = views.flatten(4).max(4)
    return best, (x.shape, views.shape, place, stride)


def max_pool_backward(kept: Kept, g: Float[Tensor, "b c oh ow"]) -> Tensor:
    """All of it goes to the value that was chosen."""
    shape, view_shape, place, stride = kept
    to_windows = g.new_zeros(view_shape).flatten(4).scatter_(4, place[..., None], g[..., None])
    return add_windows(to_windows.view(view_shape), shape, stride)


def average_pool(x: Float[Tensor, "..."], kernel: int, stride: int) -> tuple[Tensor, Kept]:
    """The mean of each window, (b, c, h, w) -> (b, c, oh, ow)."""
    views = windows(x, kernel, kernel, stride)
    return views.mean((4, 5)), (x.shape, views.shape, stride)


def average_pool_backward(kept: Kept, g: Float[Tensor, "b c oh ow"]) -> Tensor:
    """Every value of the window gets the same share."""
    shape, view_shape, stride = kept
    share = g / (view_shape[4] * view_shape[5])
    return add_windows(share[..., None, None].expand(view_shape), shape, stride)


def windows(x: Tensor, kh: int, kw: int, stride: int) -> Tensor:
    """Every window of (b, c, h, w), as a view (b, c, oh, ow, kh, kw)."""
    if stride < 1 or not (x.ndim == 4 and 1 <= kh <= x.shape[2] and 1 <= kw <= x.shape[3]):
        raise ValueError(
            f"kernel {kh} x {kw} with stride {stride} does not fit x of shape {tuple(x.shape)}; x is "
            "(b, c, h, w), the kernel lies within it and the stride is 1 or more"
        )
    return x.unfold(2, kh, stride).unfold(3, kw, stride)


def add_windows(views: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """Windows added up where they lie in ``shape``: ``windows`` transposed."""
    out = views.new_zeros(shape)
    _, _, oh, ow, kh, kw = views.shape
    for i in range(kh):
        for j in range(kw):
            out[:, :, i : i + stride * oh : stride, j : j + stride * ow : stride] += views[..., i, j]
    return out


def batch_norm(
    x: Float[Tensor, "..."], weight: Float[Tensor, "..."], bias: Float[Tensor, "..."], epsilon: float = 1e-5
) -> tuple[Tensor, Kept]:
    """(b, c) normalised over the batch, then scaled and shifted by (c,); as in training."""
    fits = x.ndim == 2 and len(x) > 1 and weight.shape == bias.shape == x.shape[1:]
    matches(fits, x=x, weight=weight, bias=bias)
    return normalized(x, weight, bias, 0, epsilon)


def batch_norm_backward(kept: Kept, g: Float[Tensor, "b c"]) -> tuple[Tensor, Tensor, Tensor]:
    """The statistics are shared by the batch (Ioffe and Szegedy 2015, section 3, gathered in one line)."""
    normal, weight, deviation = kept
    return through_statistics(g * weight, normal, deviation, 0), (g * normal).sum(0), g.sum(0)


def layer_norm(
    x: Float[Tensor, "..."], weight: Float[Tensor, "..."], bias: Float[Tensor, "..."], epsilon: float = 1e-5
) -> tuple[Tensor, Kept]:
    """(b, d) normalised row by row, then scaled and shifted by (d,)."""
    matches(x.ndim == 2 and weight.shape == bias.shape == x.shape[1:], x=x, weight=weight, bias=bias)
    return normalized(x, weight, bias, 1, epsilon)


def layer_norm_backward(kept: Kept, g: Float[Tensor, "b d"]) -> tuple[Tensor, Tensor, Tensor]:
    normal, weight, deviation = kept
    return through_statistics(g * weight, normal, deviation, 1), (g * normal).sum(0), g.sum(0)


def normalized(x: Tensor, weight: Tensor, bias: Tensor, axis: int, epsilon: float) -> tuple[Tensor, Kept]:
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")
    centred = x - x.mean(axis, keepdim=True)
    deviation = ((centred * centred).mean(axis, keepdim=True) + epsilon).sqrt()
    normal = centred / deviation
    return normal * weight + bias, (normal, weight, deviation)


def through_statistics(g: Tensor, normal: Tensor, deviation: Tensor, axis: int) -> Tensor:
    """Less what would move the mean, and less what would stretch all values: both are undone forwards."""
    moved = g.mean(axis, keepdim=True)
    stretched = normal * (g * normal).mean(axis, keepdim=True)
    return (g - moved - stretched) / deviation


def dropout(x: Float[Tensor, "..."], keep: Tensor, probability: float) -> tuple[Tensor, Kept]:
    """``x`` where the mask ``keep`` is true, scaled up by what was dropped with ``probability`` in [0, 1)."""
    matches(x.shape == keep.shape, x=x, keep=keep)
    if keep.dtype != torch.bool:
        raise ValueError(f"keep has dtype {keep.dtype}; it must be boolean")
    if not 0 <= probability < 1:
        raise ValueError(f"probability is {probability}; it must be in [0, 1)")
    scale = keep.to(x.dtype) / (1 - probability)
    return x * scale, (scale,)


def dropout_backward(kept: Kept, g: Float[Tensor, "..."]) -> tuple[Tensor, None]:
    return g * kept[0], None


def embedding(tokens: Tensor, weight: Float[Tensor, "v d"]) -> tuple[Tensor, Kept]:
    """Row ``tokens[...]`` of ``weight`` for each token."""
    whole_numbers("tokens", tokens, len(weight))
    return weight[tokens], (tokens, weight.shape)


def embedding_backward(kept: Kept, g: Float[Tensor, "... d"]) -> tuple[None, Tensor]:
    """A row that was used several times adds up what comes back."""
    tokens, shape = kept
    return None, g.new_zeros(shape).index_add_(0, tokens.flatten(), g.reshape(-1, shape[1]))


def lstm_cell(
    x: Float[Tensor, "..."], h: Float[Tensor, "..."], c: Float[Tensor, "..."],
    into: Float[Tensor, "..."], back: Float[Tensor, "..."], bias: Float[Tensor, "..."],
) -> tuple[tuple[Tensor, Tensor], Kept]:  # fmt: skip
    """One step: x (b, i), h and c (b, d), ``into`` (4d, i), ``back`` (4d, d), bias (4d,) -> new h and c.

    The gates i, f, o are sigmoids and g is a tanh of x into^T + h back^T + bias, in torch's order i, f, g, o;
    c' = f c + i g and h' = o tanh(c').
    """
    matches(h.ndim == 2 and h.shape == c.shape and len(x) == len(h), x=x, h=h, c=c)
    wide = 4 * h.shape[1]
    fits = into.shape == (wide, x.shape[1]) and back.shape == (wide, h.shape[1]) and bias.shape == (wide,)
    matches(fits, x=x, h=h, into=into, back=back, bias=bias)
    i, f, new, o = (x @ into.T + h @ back.T + bias).chunk(4, dim=1)
    gates = sigmoid(i)[0], sigmoid(f)[0], new.tanh(), sigmoid(o)[0]
    cell = gates[1] * c + gates[0] * gates[2]
    shown = cell.tanh()
    return (gates[3] * shown, cell), (x, h, c, into, back, gates, shown)


def lstm_cell_backward(
    kept: Kept, g_h: Float[Tensor, "b d"], g_c: Float[Tensor, "b d"]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What comes back for c' came two ways: from the next step's cell, and through h'."""
    x, h, c, into, back, (i, f, new, o), shown = kept
    g_c = g_c + g_h * o * (1 - shown * shown)
    scores = torch.cat(
        [
            g_c * new * i * (1 - i),
            g_c * c * f * (1 - f),
            g_c * i * (1 - new * new),
            g_h * shown * o * (1 - o),
        ],
        dim=1,
    )
    return scores @ into, scores @ back, g_c * f, scores.T @ x, scores.T @ h, scores.sum(0)


def attention(
    q: Float[Tensor, "..."], k: Float[Tensor, "..."], v: Float[Tensor, "..."]
) -> tuple[Tensor, Kept]:
    """softmax(q k^T / sqrt(e)) v: queries (b, s, e), keys (b, t, e), values (b, t, d) -> (b, s, d)."""
    matches(q.ndim == k.ndim == v.ndim == 3 and k.shape == (len(q), k.shape[1], q.shape[2]), q=q, k=k)
    matches(k.shape[:2] == v.shape[:2], k=k, v=v)
    scores = q @ k.mT / math.sqrt(q.shape[2])
    powers = torch.exp(scores - scores.amax(2, keepdim=True))
    shares = powers / powers.sum(2, keepdim=True)
    return shares @ v, (q, k, v, shares)


def attention_backward(kept: Kept, g: Float[Tensor, "b s d"]) -> tuple[Tensor, Tensor, Tensor]:
    """Through the softmax, a share gains only by what it is better than the average share."""
    q, k, v, shares = kept
    g_shares = g @ v.mT
    average = (g_shares * shares).sum(2, keepdim=True)
    g_scores = shares * (g_shares - average) / math.sqrt(q.shape[2])
    return g_scores @ k, g_scores.mT @ q, shares.mT @ g


def matches(fits: bool, **tensors: Tensor) -> None:
    if not fits:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise ValueError(f"{shapes} do not fit together; the docstring names the shapes that do")


def whole_numbers(name: str, given: Tensor, count: int) -> None:
    if given.dtype != torch.int64:
        raise ValueError(f"{name} has dtype {given.dtype}; it must be int64")
    if given.numel() and not 0 <= int(given.min()) <= int(given.max()) < count:
        low, high = int(given.min()), int(given.max())
        raise ValueError(f"{name} holds {low} to {high}; 0 to {count - 1} are allowed")


class HandWritten(torch.autograd.Function):
    """A pair of passes as one operation of torch, which then uses the written backward pass."""

    @staticmethod
    def forward(ctx: Any, passes: tuple[Callable[..., Any], Callable[..., Any]], *inputs: Any) -> Any:
        out, ctx.kept = passes[0](*inputs)
        ctx.backward_pass = passes[1]
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # type: ignore[override]
        found = ctx.backward_pass(ctx.kept, *gradients)
        return None, *(found if isinstance(found, tuple) else (found,))


def differentiable(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """A pair of passes as a function of tensors that torch can differentiate, once."""
    return partial(HandWritten.apply, (forward, backward))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares: our passes, and torch's functions with its own gradients."""
    dice = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=dice, dtype=torch.float64)

    yield from twins_of_vectors(draw)
    yield from twins_of_pictures_and_sequences(draw)


def twin(
    name: str,
    passes: tuple[Callable[..., Any], Callable[..., Any]],
    oracle: Callable[..., Any],
    *inputs: Tensor,
) -> "Twin":
    from fathom.fundamentals.twin import Twin

    return Twin(name, differentiable(*passes), oracle, inputs, tolerance=1e-10)


def twins_of_vectors(draw: Callable[..., Tensor]) -> "Iterator[Twin]":
    import torch.nn.functional as F

    def batch_norm_oracle(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, weight, bias, training=True)

    def layer_norm_oracle(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[1:], weight, bias)

    x, scale, shift = draw(4, 3), draw(3), draw(3)
    yield twin("linear", (linear, linear_backward), F.linear, x, draw(5, 3), draw(5))
    yield twin("ReLU", (relu, relu_backward), F.relu, x)
    yield twin("sigmoid", (sigmoid, sigmoid_backward), torch.sigmoid, x)
    yield twin("tanh", (tanh, tanh_backward), torch.tanh, x)
    yield twin("GELU", (gelu, gelu_backward), F.gelu, x)
    passes = softmax_cross_entropy, softmax_cross_entropy_backward
    yield twin("softmax cross-entropy", passes, F.cross_entropy, x, torch.tensor([2, 0, 1, 1]))
    passes = mean_squared_error, mean_squared_error_backward
    yield twin("mean squared error", passes, F.mse_loss, x, draw(4, 3))
    yield twin("batch norm", (batch_norm, batch_norm_backward), batch_norm_oracle, x, scale, shift)
    yield twin("layer norm", (layer_norm, layer_norm_backward), layer_norm_oracle, x, scale, shift)
    passes = partial(dropout, probability=0.25), dropout_backward
    yield twin("dropout", passes, lambda x, keep: x * keep / 0.75, x, draw(4, 3) > 0)
    passes = embedding, embedding_backward
    yield twin("embedding", passes, F.embedding, torch.tensor([[0, 3], [3, 1]]), draw(5, 3))


def twins_of_pictures_and_sequences(draw: Callable[..., Tensor]) -> "Iterator[Twin]":
    import torch.nn.functional as F

    def lstm_oracle(x: Tensor, h: Tensor, c: Tensor, into: Tensor, back: Tensor, bias: Tensor) -> Any:
        return torch.lstm_cell(x, (h, c), into, back, bias, torch.zeros_like(bias))

    x = draw(2, 2, 5, 6)
    passes = partial(convolution, stride=2), convolution_backward
    yield twin("convolution", passes, partial(F.conv2d, stride=2), x, draw(3, 2, 3, 2), draw(3))
    passes = partial(max_pool, kernel=3, stride=2), max_pool_backward
    yield twin("max pool", passes, partial(F.max_pool2d, kernel_size=3, stride=2), x)
    passes = partial(average_pool, kernel=3, stride=2), average_pool_backward
    yield twin("average pool", passes, partial(F.avg_pool2d, kernel_size=3, stride=2), x)
    inputs = draw(4, 3), draw(4, 2), draw(4, 2), draw(8, 3), draw(8, 2), draw(8)
    yield twin("LSTM cell", (lstm_cell, lstm_cell_backward), lstm_oracle, *inputs)
    inputs = draw(2, 3, 4), draw(2, 5, 4), draw(2, 5, 2)
    yield twin("attention", (attention, attention_backward), F.scaled_dot_product_attention, *inputs)
