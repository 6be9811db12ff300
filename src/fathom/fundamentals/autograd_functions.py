"""What networks are made of, on the NumPy engine: convolution, pooling, softmax, normalisation, losses.

Almost all of it is composed of differentiable operations of ``autograd``, so that its gradients, of any
order, need no further mathematics. Two ideas carry the rest.

A convolution is a matrix product (Chellapilla et al. 2006, section 4.1). Every place of the kernel on the
picture gives a window; windows laid out as rows, times kernels laid out as columns, are the whole
convolution. Cutting into windows is linear, and its transpose adds windows up where they overlap:

    Y[(b oh ow), o] = X[(b oh ow), (kh kw c)] W[(kh kw c), o]

Pooling takes the mean or the largest value of the same windows. The softmax, its logarithm and the losses
built on them subtract the largest score first: that changes no result and keeps exp from overflowing.

Axes used below
    b  batch      c  channels      h, w  height and width      o  channels of the output
    kh, kw  height and width of the kernel      oh, ow  of the output      k  classes
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fathom.card import Card
from fathom.fundamentals.autograd import Axis, Tensor, grad, lift, record, scatter

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Functions of networks on NumPy",
    paper="https://inria.hal.science/inria-00112631",
    year=2006,
    summary="Convolution as one matrix product, and the other functions that networks need, without torch.",
    rows=("MA04",),
    builds_on=("autograd",),
    differs=(
        "Windows are rows of the matrix with channels innermost, which suits pictures that hold them so.",
        "The paper is the source of convolution by matrix product only.",
    ),
    oracle="torch.nn.functional, values, gradients and second derivatives in float64; central differences; "
    "plain loops for the twins",
)

Pair = int | tuple[int, int]


def einsum(subscripts: str, *operands: Tensor) -> Tensor:
    """Einstein's sum, as in ``numpy.einsum``: ``einsum("bij,bjk->bik", a, b)``.

    Raises ValueError where letters and axes do not agree, for an ellipsis, and for a letter that stands
    twice in one operand (index the diagonal instead).
    """
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        output = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    shapes = ", ".join(str(operand.shape) for operand in operands)
    if [len(term) for term in terms] != [operand.ndim for operand in operands]:
        raise ValueError(f"subscripts {subscripts!r} do not fit shapes {shapes}; write one letter an axis")
    if "." in left or any(len(set(term)) < len(term) for term in (*terms, output)):
        raise ValueError(f"subscripts {subscripts!r} hold an ellipsis, or a letter twice in one operand")

    def pull(place: int, g: Tensor, y: Tensor) -> Tensor:
        others = [i for i in range(len(terms)) if i != place]
        known = "".join([output, *(terms[i] for i in others)])
        lone = [axis for axis, letter in enumerate(terms[place]) if letter not in known]  # summed at once
        ones = Tensor(np.ones([operands[place].shape[axis] for axis in lone], operands[place].dtype))
        names = [output, *(terms[i] for i in others), "".join(terms[place][axis] for axis in lone)]
        return einsum(f"{','.join(names)}->{terms[place]}", g, *(operands[i] for i in others), ones)

    value = np.einsum(f"{left}->{output}", *(operand.data for operand in operands), optimize=True)
    return record(value, *((operand, partial(pull, i)) for i, operand in enumerate(operands)))


def maximum(a: Tensor, b: Tensor | np.ndarray | float | int) -> Tensor:
    """The larger of each pair; where both are equal, each gets half of the gradient.

    Raises ValueError for shapes that do not broadcast.
    """
    other = lift(b, a)
    try:
        value = np.maximum(a.data, other.data)
    except ValueError as error:
        raise ValueError(f"a {a.shape}, b {other.shape} do not broadcast; make axes equal, or 1") from error
    share = ((a.data > other.data) + 0.5 * (a.data == other.data)).astype(a.dtype)
    return record(value, (a, lambda g, y: g * share), (other, lambda g, y: g * (1.0 - share)))


def pad(x: Tensor, padding: Pair) -> Tensor:
    """Rows and columns of zeros around (b, c, h, w); ValueError for other shapes and less than none."""
    rows, columns = pair("padding", padding, least=0)
    if x.ndim != 4:
        raise ValueError(f"x has shape {x.shape}; it must be (b, c, h, w): reshape it first")
    if not rows and not columns:
        return x
    b, c, h, w = x.shape
    inner = (slice(None), slice(None), slice(rows, rows + h), slice(columns, columns + w))
    return scatter(x, inner, (b, c, h + 2 * rows, w + 2 * columns))


def windows(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Every window of (b, h, w, c), as (b, oh, ow, kh, kw, c): a view that copies nothing."""
    view = sliding_window_view(x.data, kernel, axis=(1, 2))  # type: ignore[call-overload]
    view = view[:, :: stride[0], :: stride[1]].transpose(0, 1, 2, 4, 5, 3)
    return record(view, (x, lambda g, y: overlap_add(g, x.shape, stride)))


def overlap_add(x: Tensor, shape: tuple[int, ...], stride: tuple[int, int]) -> Tensor:
    """Windows (b, oh, ow, kh, kw, c) added up where they lie in ``shape`` (b, h, w, c)."""
    out = np.zeros(shape, x.dtype)
    _, oh, ow, kh, kw, _ = x.shape
    for i in range(kh):
        rows = slice(i, i + stride[0] * (oh - 1) + 1, stride[0])
        for j in range(ow):  # a row of a window lies together in memory, so it is added as one piece
            out[:, rows, j * stride[1] : j * stride[1] + kw] += x.data[:, :, j, i]
    return record(out, (x, lambda g, y: windows(g, (kh, kw), stride)))


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Pair = 1, padding: Pair = 0
) -> Tensor:
    """(b, c, h, w) with kernels (o, c, kh, kw) and bias (o,) -> (b, o, oh, ow); as ``torch.conv2d``.

    oh = (h + 2 padding - kh) / stride + 1, rounded down. Raises ValueError for shapes that do not fit.
    """
    if x.ndim != 4 or weight.ndim != 4 or x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x {x.shape} and weight {weight.shape} do not fit; (b, c, h, w) and (o, c, kh, kw) do"
        )
    o, c, kh, kw = weight.shape
    if bias is not None and bias.shape != (o,):
        raise ValueError(f"bias has shape {bias.shape}; {o} kernels need ({o},)")
    last = cut(pad(x, padding), (kh, kw), pair("stride", stride))  # channels last, as in memory below
    b, oh, ow = last.shape[:3]
    out = last.reshape(b * oh * ow, kh * kw * c) @ weight.transpose(2, 3, 1, 0).reshape(-1, o)
    out = out if bias is None else out + bias
    return out.reshape(b, oh, ow, o).transpose(0, 3, 1, 2)


def cut(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Windows of (b, c, h, w), channels last; ValueError where the kernel is larger than the picture."""
    if x.ndim != 4 or x.shape[2] < kernel[0] or x.shape[3] < kernel[1]:
        raise ValueError(f"kernel {kernel} does not fit into x of shape {x.shape}; x is (b, c, h, w)")
    return windows(x.transpose(0, 2, 3, 1), kernel, stride)


def max_pool(x: Tensor, kernel: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """The largest value of each window, (b, c, h, w) -> (b, c, oh, ow); the first of equal ones counts.

    The stride is the kernel unless given; padding is never chosen and is at most half of the kernel.
    """
    sizes, steps = pair("kernel", kernel), pair("stride", kernel if stride is None else stride)
    margins = pair("padding", padding, least=0)
    if any(2 * margin > size for margin, size in zip(margins, sizes, strict=True)):
        raise ValueError(f"padding is {padding}; it is at most half of the kernel, {kernel}")
    views = cut(pad(x, padding), sizes, steps)
    edges = [(0, 0), (0, 0), *((margin, margin) for margin in margins)]
    seen = views
    if any(margins):
        seen = cut(Tensor(np.pad(x.data, edges, constant_values=-np.inf)), sizes, steps)
    b, oh, ow, kh, kw, c = views.shape
    first = seen.data.reshape(b, oh, ow, kh * kw, c).argmax(axis=3)
    chosen = np.arange(kh * kw)[:, None] == first[:, :, :, None]
    return (views * chosen.reshape(views.shape)).sum(axis=(3, 4)).transpose(0, 3, 1, 2)


def average_pool(x: Tensor, kernel: Pair, stride: Pair | None = None, padding: Pair = 0) -> Tensor:
    """The mean of each window, (b, c, h, w) -> (b, c, oh, ow); zeros of the padding count."""
    sizes, steps = pair("kernel", kernel), pair("stride", kernel if stride is None else stride)
    views = cut(pad(x, padding), sizes, steps)
    return views.mean(axis=(3, 4)).transpose(0, 3, 1, 2)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) over its sum along ``axis``. Scores of -inf get 0; a row of nothing else is refused."""
    powers = np.exp(x.data - finite_peak(x.data, axis))
    value = powers / powers.sum(axis=axis, keepdims=True)
    return record(value, (x, lambda g, y: y * (g - (g * y).sum(axis, keepdims=True))))


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of ``softmax``, exact where the softmax itself would round to 0 or 1."""
    shifted = x.data - finite_peak(x.data, axis)
    value = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return record(value, (x, lambda g, y: g - y.exp() * g.sum(axis, keepdims=True)))


def finite_peak(x: np.ndarray, axis: int) -> np.ndarray:
    peak = x.max(axis=axis, keepdims=True)
    if not np.isfinite(peak).all():
        raise ValueError(f"x holds a row along axis {axis} whose largest score is NaN or infinite")
    return peak


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), for any x."""
    return record(np.logaddexp(0, x.data), (x, lambda g, y: g * x.sigmoid()))


def gelu(x: Tensor) -> Tensor:
    """The input times the share of a bell curve below it, by tanh (Hendrycks and Gimpel 2016, section 2)."""
    return x * 0.5 * (1.0 + ((x + x**3 * 0.044715) * (2 / np.pi) ** 0.5).tanh())


def normalize(x: Tensor, axis: Axis, epsilon: float) -> Tensor:
    """``x`` with mean 0 and variance 1 over ``axis``, but for ``epsilon`` > 0 added to the variance."""
    if not epsilon > 0:
        raise ValueError(f"epsilon is {epsilon}; it must be positive")
    centred = x - x.mean(axis, keepdims=True)
    return centred / ((centred * centred).mean(axis, keepdims=True) + epsilon).sqrt()


def batch_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    running: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    training: bool = True,
    momentum: float = 0.1,
    epsilon: float = 1e-5,
) -> Tensor:
    """(b, c, ...) normalised over all axes but c, scaled and shifted by (c,); as ``torch.batch_norm``.

    ``running``, mean and variance (c,), is moved by ``momentum`` towards those of the batch in training,
    and used instead of them elsewhere. Raises ValueError for shapes that do not fit or one value a channel.
    """
    c = x.shape[1] if x.ndim > 1 else -1
    if weight.shape != (c,) or bias.shape != (c,):
        raise ValueError(f"weight {weight.shape} and bias {bias.shape} do not fit x {x.shape}; both are (c,)")
    axes, wide = (0, *range(2, x.ndim)), (1, c, *[1] * (x.ndim - 2))
    count = x.size // c
    if not training:
        if running is None:
            raise ValueError("running is None; outside training its mean and variance are needed")
        scale = 1 / np.sqrt(running[1] + epsilon)
        out = (x - running[0].reshape(wide)) * scale.reshape(wide)
    elif count < 2:
        raise ValueError(f"x has shape {x.shape}; a variance in training needs two values a channel")
    else:
        out = normalize(x, axes, epsilon)
        if running is not None:
            for kept, seen in zip(running, (x.data.mean(axes), x.data.var(axes, ddof=1)), strict=True):
                kept += momentum * (seen - kept)
    return out * weight.reshape(wide) + bias.reshape(wide)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float = 1e-5) -> Tensor:
    """(..., d) normalised over d, scaled and shifted by (d,)."""
    if weight.shape != x.shape[-1:] or bias.shape != x.shape[-1:]:
        raise ValueError(f"weight {weight.shape} and bias {bias.shape} do not fit x {x.shape}; both are (d,)")
    return normalize(x, -1, epsilon) * weight + bias


def dropout(x: Tensor, probability: float, generator: np.random.Generator, training: bool = True) -> Tensor:
    """Each value set to 0 with ``probability`` in [0, 1), the others scaled up to keep the mean."""
    if not 0 <= probability < 1:
        raise ValueError(f"probability is {probability}; it must be in [0, 1)")
    if not training or not probability:
        return x
    keep = generator.random(x.shape) >= probability
    return x * (keep / x.dtype.type(1 - probability))


def embedding(tokens: np.ndarray, weight: Tensor) -> Tensor:
    """Row ``tokens[i]`` of ``weight`` (v, d) for each whole number, (...) -> (..., d)."""
    check_classes("tokens", tokens, len(weight))
    return weight[tokens]


def check_classes(name: str, given: np.ndarray, count: int) -> None:
    if given.dtype.kind not in "iu":
        raise ValueError(f"{name} has dtype {given.dtype}; it must hold whole numbers")
    if given.size and not (0 <= given.min() and given.max() < count):
        raise ValueError(f"{name} holds {given.min()} to {given.max()}; 0 to {count - 1} are allowed")


def pair(name: str, value: Pair, least: int = 1) -> tuple[int, int]:
    """``value`` for height and width."""
    both = (value, value) if isinstance(value, int) else value
    if len(both) != 2 or min(both) < least:
        raise ValueError(f"{name} is {value}; it is a whole number of at least {least}, or two of them")
    return both


def cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """The mean of -log softmax(logits)[label]: scores (b, k) and classes (b,)."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(f"logits {logits.shape} and labels {labels.shape} do not fit; (b, k) and (b,) do")
    check_classes("labels", labels, logits.shape[1])
    return -log_softmax(logits)[np.arange(len(labels)), labels].mean()


def binary_cross_entropy(logits: Tensor, targets: np.ndarray) -> Tensor:
    """The mean of -t log p - (1 - t) log(1 - p), p = sigmoid(logits), for targets t in [0, 1]."""
    same_shape("targets", targets, logits)
    if not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(f"targets hold {targets.min()} to {targets.max()}; probabilities are in [0, 1]")
    return (softplus(logits) - logits * targets).mean()


def mean_squared_error(prediction: Tensor, targets: np.ndarray) -> Tensor:
    """The mean squared difference."""
    same_shape("targets", targets, prediction)
    return ((prediction - targets) ** 2).mean()


def same_shape(name: str, given: np.ndarray, like: Tensor) -> None:
    if given.shape != like.shape:
        raise ValueError(f"{name} has shape {given.shape}; it must be that of the prediction, {like.shape}")


def gradcheck(
    function: Callable[..., Tensor], arrays: Sequence[np.ndarray], step: float = 1e-6, tolerance: float = 1e-6
) -> float:
    """The largest difference between the gradient of ``function`` and central differences, in float64.

    The output is reduced to one number with fixed uneven weights. ValueError names the first entry
    that differs by more than ``tolerance``, relative to values above 1.
    """
    inputs = [Tensor(np.array(array, np.float64), requires_grad=True) for array in arrays]
    output = function(*inputs)
    weights = np.cos(np.arange(output.size)).reshape(output.shape)
    worst = 0.0
    for place, (x, slope) in enumerate(zip(inputs, grad(output, inputs, weights), strict=True)):
        for index in np.ndindex(x.shape):
            centre, ends = x.data[index], []
            for end in (centre + step, centre - step):
                x.data[index] = end
                ends.append(float((function(*inputs).data * weights).sum()))
            x.data[index] = centre
            numeric, ours = (ends[0] - ends[1]) / (2 * step), float(slope.data[index])
            gap = abs(numeric - ours) / max(1.0, abs(numeric))
            if not gap <= tolerance:
                raise ValueError(f"inputs[{place}][{index}] has gradient {ours}; differences give {numeric}")
            worst = max(worst, gap)
    return worst


def convolution_by_hand(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int
) -> np.ndarray:
    """One multiplication after another: each kernel at each place of each picture."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    o, _, kh, kw = weight.shape
    oh, ow = ((n - k) // stride + 1 for n, k in zip(x.shape[2:], (kh, kw), strict=True))
    out = np.zeros((len(x), o, oh, ow))
    for b, to, i, j in np.ndindex(out.shape):
        out[b, to, i, j] = bias[to]
        for c, di, dj in np.ndindex(weight.shape[1:]):
            out[b, to, i, j] += x[b, c, i * stride + di, j * stride + dj] * weight[to, c, di, dj]
    return out


def pool_by_hand(
    reduce: Callable[[np.ndarray], float], x: np.ndarray, kernel: int, stride: int
) -> np.ndarray:
    """``reduce``, the mean or the maximum, of each window in turn."""
    oh, ow = ((n - kernel) // stride + 1 for n in x.shape[2:])
    out = np.zeros((*x.shape[:2], oh, ow))
    for b, c, i, j in np.ndindex(out.shape):
        top, left = i * stride, j * stride
        out[b, c, i, j] = reduce(x[b, c, top : top + kernel, left : left + kernel])
    return out


def softmax_by_hand(x: np.ndarray) -> np.ndarray:
    """The definition, without the guard against overflow."""
    return np.array([[np.exp(score) / sum(np.exp(row)) for score in row] for row in x])


def cross_entropy_by_hand(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean surprise, -log p, at the right class."""
    right = [row[label] for row, label in zip(softmax_by_hand(logits), labels, strict=True)]
    return np.asarray(-np.mean(np.log(right)))


def layer_norm_by_hand(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Each row for itself: less its mean, over its standard deviation."""
    rows = [(row - sum(row) / len(row)) / np.sqrt(np.var(row) + 1e-5) for row in x]
    return np.array(rows) * weight + bias


def batch_norm_by_hand(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Each channel for itself, over all pictures and places: layer norm of the table turned round."""
    table = np.moveaxis(x, 1, 0)
    flat = table.reshape(len(table), -1)
    normal = layer_norm_by_hand(flat, np.ones(1), np.zeros(1)) * weight[:, None] + bias[:, None]
    return np.moveaxis(normal.reshape(table.shape), 0, 1)


def on_arrays(function: Callable[..., Tensor]) -> Callable[..., np.ndarray]:
    """``function`` of tensors as one of arrays; whole numbers stay arrays."""

    def run(*arrays: np.ndarray) -> np.ndarray:
        return function(*(Tensor(a) if a.dtype.kind == "f" else a for a in arrays)).data

    return run


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    def twin(
        name: str, ours: Callable[..., Tensor], by_hand: Callable[..., np.ndarray], *arrays: np.ndarray
    ) -> Twin:
        return Twin(name, on_arrays(ours), by_hand, arrays, gradients=False)

    dice = np.random.default_rng(0)
    x, weight, bias = (dice.normal(size=shape) for shape in ((2, 3, 6, 5), (4, 3, 3, 2), (4,)))
    table, scale, shift = dice.normal(size=(4, 3)), dice.normal(size=3), dice.normal(size=3)
    settings = {"stride": 2, "padding": 1}
    by_hand = partial(convolution_by_hand, **settings)
    yield twin("convolution", partial(convolution, **settings), by_hand, x, weight, bias)
    settings = {"kernel": 3, "stride": 2}
    largest, average = partial(pool_by_hand, np.max), partial(pool_by_hand, np.mean)
    yield twin("max pool", partial(max_pool, **settings), partial(largest, **settings), x)
    yield twin("average pool", partial(average_pool, **settings), partial(average, **settings), x)
    yield twin("softmax", softmax, softmax_by_hand, table)
    yield twin("cross-entropy", cross_entropy, cross_entropy_by_hand, table, np.array([2, 0, 1, 1]))
    yield twin("layer norm", layer_norm, layer_norm_by_hand, table, scale, shift)
    yield twin("batch norm", batch_norm, batch_norm_by_hand, x, scale, shift)
