"""Automatic differentiation of n-dimensional arrays, on NumPy alone: the engine under every network.

A ``Tensor`` holds an array and remembers the operation that made it as pairs (parent, pull). With L the
result to be differentiated and g = dL/dy the gradient of a tensor y, the pull of a parent x gives x's part,

    pull(g, y) = (dy/dx)^T g           the vector-Jacobian product (Baydin et al. 2018, section 3.2)

and parts that reach x by several paths add up. Three decisions make the rest short:

  - Tensors are numbered as they are made. A parent's number is smaller than its child's, so walking
    down the numbers meets every tensor after all that was made of it.
  - A pull is itself made of tensor operations. Where they are recorded (``create_graph``), a gradient can
    be differentiated again, to any order; else they leave no trace and cost what NumPy costs.
  - Broadcasting is undone in one place (``fit``): a gradient is summed over the axes that were stretched.

Linear operations come in pairs, each the other's pull: sum and ``broadcast_to``, indexing and ``scatter``,
and in ``autograd_functions`` cutting into windows and adding windows up. Division by zero, overflow and
logarithms outside their domain do what NumPy does: an infinity or NaN, and its RuntimeWarning.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fathom.card import Card
from fathom.fundamentals.scalar_autograd import Scalar

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Automatic differentiation on NumPy",
    paper="https://arxiv.org/abs/1502.05767",
    year=2018,
    summary="Arrays that remember how they were made, so that gradients of any order follow by themselves.",
    rows=("MA04",),
    builds_on=("scalar_autograd",),
    differs=("Reverse mode only; the survey also treats forward mode.",),
    oracle="torch autograd: random graphs of up to 200 nodes, first and second order, 1e-6 in float64; "
    "central differences for each operation",
)

Pull = Callable[["Tensor", "Tensor"], "Tensor"]  # (gradient of the result, the result) -> parent's part
Axis = int | tuple[int, ...] | None
RECORDING: ContextVar[bool] = ContextVar("recording", default=True)
NUMBERS = itertools.count()


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside, operations are not recorded: their results require no gradient."""
    token = RECORDING.set(False)
    try:
        yield
    finally:
        RECORDING.reset(token)


class Tensor:
    """An array of numbers that remembers how it was made.

    ``data`` is shared with the array that is given, not copied; Python floats become float64. ``grad`` is a
    NumPy array of the same shape once ``backward`` has reached this tensor, and adds up over calls. Only
    tensors made with ``requires_grad=True`` (leaves) and results computed from them are followed. Operators
    take tensors, arrays and plain numbers; a plain number leaves float32 as it is. Comparisons give boolean
    arrays, but ``==`` compares identity. Raises ValueError for data that is not real numbers, and for
    ``requires_grad`` with a dtype that is not floating.
    """

    __slots__ = ("data", "grad", "number", "parents", "requires_grad")
    __array_ufunc__ = None  # an array on the left of an operator leaves the operation to us

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        array = np.asarray(data)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"data has dtype {array.dtype}; a tensor holds real numbers or booleans")
        if requires_grad and array.dtype.kind != "f":
            raise ValueError(f"requires_grad is set for dtype {array.dtype}; it must be floating, as 1.0 is")
        self.data, self.requires_grad = array, requires_grad
        self.grad: np.ndarray | None = None
        self.parents: tuple[tuple[Tensor, Pull], ...] = ()
        self.number = next(NUMBERS)

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)
    T = property(lambda self: self.transpose())

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r}{', requires_grad=True' if self.requires_grad else ''})"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype) if copy else np.asarray(self.data, dtype)

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy."""
        return self.data

    def item(self) -> float | int:
        """The one number in it; ValueError where there are more."""
        return self.data.item()

    def detach(self) -> "Tensor":
        """The same numbers without a history."""
        return Tensor(self.data)

    def backward(self, gradient: Any = None) -> None:
        """Add the gradient of this tensor with respect to each leaf x of its history to ``x.grad``.

        ``gradient`` is dL/d(self), of the same shape; a single number needs none. Raises ValueError where it
        is missing or of another shape, and where nothing in the history requires a gradient.
        """
        if not self.requires_grad:
            raise ValueError("backward was called on a tensor that does not require a gradient")
        nodes = history(self)
        leaves = {id(node): node for node in nodes if not node.parents}
        with no_grad():
            found = flow(nodes, seed(self, gradient), set(leaves))
        for key, part in found.items():
            leaf = leaves[key]
            leaf.grad = np.array(part.data if leaf.grad is None else leaf.grad + part.data)

    def __add__(self, other: Any) -> "Tensor":
        b = lift(other, self)
        return record(self.data + b.data, (self, lambda g, y: g), (b, lambda g, y: g))

    def __sub__(self, other: Any) -> "Tensor":
        b = lift(other, self)
        return record(self.data - b.data, (self, lambda g, y: g), (b, lambda g, y: -g))

    def __mul__(self, other: Any) -> "Tensor":
        b = lift(other, self)
        return record(self.data * b.data, (self, lambda g, y: g * b), (b, lambda g, y: g * self))

    def __truediv__(self, other: Any) -> "Tensor":
        b = lift(other, self)
        return record(self.data / b.data, (self, lambda g, y: g / b), (b, lambda g, y: -g * y / b))

    def __matmul__(self, other: Any) -> "Tensor":
        return matmul(self, lift(other, self))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> "Tensor":
        return lift(other, self) - self

    def __rtruediv__(self, other: Any) -> "Tensor":
        return lift(other, self) / self

    def __rmatmul__(self, other: Any) -> "Tensor":
        return matmul(lift(other, self), self)

    def __neg__(self) -> "Tensor":
        return record(-self.data, (self, lambda g, y: -g))

    def __pow__(self, power: Any) -> "Tensor":
        """A power that is a plain number, or a tensor of powers, for which ``self`` must be positive."""
        if not isinstance(power, int | float):
            return (self.log() * power).exp()
        return record(
            self.data**power, (self, lambda g, y: g * (self ** (power - 1) * power if power else 0.0))
        )

    def __lt__(self, other: Any) -> np.ndarray:
        return self.data < np.asarray(other)

    def __gt__(self, other: Any) -> np.ndarray:
        return self.data > np.asarray(other)

    def __le__(self, other: Any) -> np.ndarray:
        return self.data <= np.asarray(other)

    def __ge__(self, other: Any) -> np.ndarray:
        return self.data >= np.asarray(other)

    def exp(self) -> "Tensor":
        return record(np.exp(self.data), (self, lambda g, y: g * y))

    def log(self) -> "Tensor":
        return record(np.log(self.data), (self, lambda g, y: g / self))

    def sqrt(self) -> "Tensor":
        return record(np.sqrt(self.data), (self, lambda g, y: g / (y * 2.0)))

    def sin(self) -> "Tensor":
        return record(np.sin(self.data), (self, lambda g, y: g * self.cos()))

    def cos(self) -> "Tensor":
        return record(np.cos(self.data), (self, lambda g, y: -g * self.sin()))

    def tanh(self) -> "Tensor":
        return record(np.tanh(self.data), (self, lambda g, y: g * (1.0 - y * y)))

    def sigmoid(self) -> "Tensor":
        small = np.exp(-np.abs(self.data))  # never above 1, so it cannot overflow
        value = np.where(self.data >= 0, 1.0, small) / (1.0 + small)
        return record(value.astype(small.dtype, copy=False), (self, lambda g, y: g * (y * (1.0 - y))))

    def relu(self) -> "Tensor":
        return record(np.maximum(self.data, 0), (self, lambda g, y: g * (self.data > 0)))

    def abs(self) -> "Tensor":
        return record(np.abs(self.data), (self, lambda g, y: g * np.sign(self.data)))

    def clip(self, low: float | int, high: float | int) -> "Tensor":
        """Values outside [low, high] moved to its nearest end, where they pass no gradient on."""
        inside = (self.data >= low) & (self.data <= high)
        return record(np.clip(self.data, low, high), (self, lambda g, y: g * inside))

    def astype(self, dtype: Any) -> "Tensor":
        return record(self.data.astype(dtype), (self, lambda g, y: g))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        kept = kept_shape(self.shape, axis)
        value = self.data.sum(axis=axis, keepdims=keepdims)
        return record(value, (self, lambda g, y: g.reshape(kept).broadcast_to(self.shape)))

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """Raises ValueError where there is nothing to average."""
        kept = kept_shape(self.shape, axis)
        count = math.prod(n // k for n, k in zip(self.shape, kept, strict=True) if k)
        if not count:
            raise ValueError(f"the mean of shape {self.shape} over axis {axis} has no values")
        return self.sum(axis, keepdims) / float(count)

    def var(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The mean squared distance from the mean: divided by n, not by n - 1."""
        return ((self - self.mean(axis, keepdims=True)) ** 2).mean(axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The largest values; where several are largest, the gradient is shared evenly among them."""
        kept = self.data.max(axis=axis, keepdims=True)
        value = self.data.max(axis=axis, keepdims=keepdims)

        def pull(g: Tensor, y: Tensor) -> Tensor:
            largest = self.data == kept
            share = largest / largest.sum(axis=axis, keepdims=True, dtype=self.dtype)
            return g.reshape(kept.shape) * share

        return record(value, (self, pull))

    def min(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        return -(-self).max(axis, keepdims)

    def reshape(self, *shape: Any) -> "Tensor":
        wanted = shape[0] if len(shape) == 1 else shape
        return record(self.data.reshape(wanted), (self, lambda g, y: g.reshape(self.shape)))

    def transpose(self, *axes: int) -> "Tensor":
        """The axes in the order given, or all in reverse."""
        order = axes or tuple(reversed(range(self.ndim)))
        back = tuple(int(i) for i in np.argsort([axis % self.ndim for axis in order]))
        return record(self.data.transpose(order), (self, lambda g, y: g.transpose(*back) if back else g))

    def swapaxes(self, first: int, second: int) -> "Tensor":
        return record(self.data.swapaxes(first, second), (self, lambda g, y: g.swapaxes(first, second)))

    def broadcast_to(self, shape: tuple[int, ...]) -> "Tensor":
        return record(np.broadcast_to(self.data, shape), (self, lambda g, y: g))

    def __getitem__(self, index: Any) -> "Tensor":
        """Slices, integers, None, ..., integer arrays (repeated places add up backwards) and masks."""
        parts = index if isinstance(index, tuple) else (index,)
        plain = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
        return record(self.data[plain], (self, lambda g, y: scatter(g, plain, self.shape)))


def record(data: Any, *parents: tuple[Tensor, Pull]) -> Tensor:
    """A result, with what it was made of where that is followed: how every operation ends."""
    out = Tensor(data)
    if RECORDING.get():
        out.parents = tuple([pair for pair in parents if pair[0].requires_grad])
        out.requires_grad = bool(out.parents)
    return out


def lift(value: Any, like: Tensor) -> Tensor:
    """``value`` as a tensor without a history; a plain number takes the floating dtype of ``like``."""
    if isinstance(value, Tensor):
        return value
    if type(value) in (int, float):
        return Tensor(np.asarray(value, like.dtype if like.dtype.kind == "f" else None))
    return Tensor(value)


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """``shape`` with 1 for the axes that are summed over."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    summed = {a % len(shape) for a in axes} if shape else set()
    return tuple([1 if i in summed else n for i, n in enumerate(shape)])


def history(output: Tensor) -> list[Tensor]:
    """``output`` and all followed tensors that went into it, in the order in which they were made."""
    seen = {id(output): output}
    stack = [output]
    while stack:
        for parent, _ in stack.pop().parents:
            if id(parent) not in seen:
                seen[id(parent)] = parent
                stack.append(parent)
    return sorted(seen.values(), key=lambda node: node.number)


def seed(output: Tensor, gradient: Any) -> Tensor:
    """The gradient to begin with: the one given, or 1 for a single number."""
    if gradient is None:
        if output.size != 1:
            raise ValueError(f"gradient is missing; an output of shape {output.shape} needs one like it")
        return Tensor(np.ones_like(output.data))
    given = lift(gradient, output)
    if given.shape != output.shape:
        raise ValueError(f"gradient has shape {given.shape}; it must be that of the output, {output.shape}")
    return given.astype(output.dtype) if given.dtype != output.dtype else given


def flow(nodes: list[Tensor], start: Tensor, wanted: set[int]) -> dict[int, Tensor]:
    """The gradient of the last of ``nodes`` with respect to those whose id is in ``wanted``, by id."""
    needed: set[int] = set()  # wanted, or on a path to what is wanted: nothing else is computed
    for node in nodes:
        if id(node) in wanted or any([id(parent) in needed for parent, _ in node.parents]):
            needed.add(id(node))
    gradients, found = {id(nodes[-1]): start}, {}
    for node in reversed(nodes):
        gradient = gradients.pop(id(node), None)
        if gradient is None:
            continue
        if id(node) in wanted:
            found[id(node)] = gradient
        for parent, pull in node.parents:
            key = id(parent)
            if key in needed:
                part = fit(pull(gradient, node), parent)
                gradients[key] = gradients[key] + part if key in gradients else part
    return found


def fit(gradient: Tensor, like: Tensor) -> Tensor:
    """``gradient`` summed over the axes along which ``like`` was stretched, in the dtype of ``like``."""
    if gradient.shape != like.shape:
        extra = gradient.ndim - like.ndim
        stretched = [i + extra for i, n in enumerate(like.shape) if n == 1]
        gradient = gradient.sum((*range(extra), *stretched)).reshape(like.shape)
    return gradient.astype(like.dtype) if gradient.dtype != like.dtype else gradient


def grad(
    output: Tensor, inputs: Tensor | Sequence[Tensor], gradient: Any = None, create_graph: bool = False
) -> tuple[Tensor, ...]:
    """The gradient of ``output`` with respect to each of ``inputs``, leaves or not; ``.grad`` stays as it is.

    With ``create_graph`` the gradients can be differentiated in turn. An input that the output does not
    depend on has a gradient of zeros. ``gradient`` is as in ``backward``. Raises ValueError for an input that
    does not require a gradient.
    """
    asked = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for place, tensor in enumerate(asked):
        if not tensor.requires_grad:
            raise ValueError(f"inputs[{place}] does not require a gradient; make it with requires_grad=True")
    token = RECORDING.set(create_graph)
    try:
        found = flow(history(output), seed(output, gradient), {id(tensor) for tensor in asked})
    finally:
        RECORDING.reset(token)
    return tuple([found[id(x)] if id(x) in found else Tensor(np.zeros_like(x.data)) for x in asked])


def scatter(x: Tensor, index: tuple[Any, ...], shape: tuple[int, ...]) -> Tensor:
    """Zeros of ``shape`` with ``x`` added at ``index``: indexing backwards, and padding forwards."""
    out = np.zeros(shape, x.dtype)
    if all([isinstance(part, int | slice | type(None) | type(...)) for part in index]):
        out[index] = x.data  # no place occurs twice
    else:
        np.add.at(out, index, x.data)
    return record(out, (x, lambda g, y: g[index]))


def where(condition: np.ndarray, a: Any, b: Any) -> Tensor:
    """``a`` where ``condition`` holds and ``b`` elsewhere; one of them at least is a tensor.

    Raises ValueError for a condition that is not boolean, and for shapes that do not broadcast.
    """
    a = lift(a, b) if isinstance(b, Tensor) else lift(a, Tensor(0.0))
    b = lift(b, a)
    if condition.dtype != bool:
        raise ValueError(f"condition has dtype {condition.dtype}; it must be boolean, as x > 0 is")
    try:
        value = np.where(condition, a.data, b.data)
    except ValueError as error:
        raise ValueError(f"condition {condition.shape}, a {a.shape}, b {b.shape} do not broadcast") from error
    return record(
        value, (a, lambda g, y: where(condition, g, 0.0)), (b, lambda g, y: where(condition, 0.0, g))
    )


def concatenate(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape but for the length of ``axis``, one after the other along it."""
    if not tensors or not tensors[0].ndim:
        raise ValueError("tensors is empty or holds single numbers; concatenate needs something with axes")
    before = (slice(None),) * (axis % tensors[0].ndim)
    ends = list(itertools.accumulate(tensor.shape[axis] for tensor in tensors))
    places = [(*before, slice(end - t.shape[axis], end)) for end, t in zip(ends, tensors, strict=True)]
    pulls = [partial(lambda place, g, y: g[place], place) for place in places]
    value = np.concatenate([tensor.data for tensor in tensors], axis)
    return record(value, *zip(tensors, pulls, strict=True))


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new ``axis``."""
    if not tensors:
        raise ValueError("tensors is empty; stack needs at least one")
    place = axis % (tensors[0].ndim + 1)
    return concatenate([t.reshape(*t.shape[:place], 1, *t.shape[place:]) for t in tensors], place)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """(..., m, k) @ (..., k, n) -> (..., m, n), where a missing m or n is left out of the result too."""
    if not a.ndim or not b.ndim or a.shape[-1] != b.shape[max(-2, -b.ndim)]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not fit; (..., m, k) and (..., k, n) do")
    if a.ndim == 1:
        return matmul(a.reshape(1, -1), b)[0] if b.ndim == 1 else matmul(a.reshape(1, -1), b)[..., 0, :]
    if b.ndim == 1:
        return matmul(a, b.reshape(-1, 1))[..., 0]
    if a.ndim > 2 and b.ndim == 2:  # one large product is faster than many, and so is its gradient
        return matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[-1])
    return record(
        a.data @ b.data,
        (a, lambda g, y: g @ b.swapaxes(-1, -2)),
        (b, lambda g, y: a.swapaxes(-1, -2) @ g),
    )


def network_gradients(inputs: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, ...]:
    """The gradients of the sum of tanh(X A) B with respect to A and B, as arrays."""
    a, b = Tensor(first, requires_grad=True), Tensor(second, requires_grad=True)
    found = grad(((Tensor(inputs) @ a).tanh() @ b).sum(), (a, b))
    return tuple(part.data for part in found)


def network_gradients_by_hand(
    inputs: np.ndarray, first: np.ndarray, second: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The same, one number at a time."""
    a, b = ([[Scalar(value) for value in row] for row in matrix] for matrix in (first, second))
    total = Scalar(0.0)
    for x in inputs:
        for j, weights in enumerate(b):
            z = sum((a[i][j] * value for i, value in enumerate(x)), Scalar(0.0))
            total = total + z.tanh() * sum(weights, Scalar(0.0))
    total.backward()
    return tuple(np.array([[number.grad for number in row] for row in matrix]) for matrix in (a, b))


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = np.random.default_rng(0)
    arrays = dice.normal(size=(4, 3)), dice.normal(size=(3, 5)), dice.normal(size=(5, 2))
    yield Twin("network", network_gradients, network_gradients_by_hand, arrays, gradients=False)
