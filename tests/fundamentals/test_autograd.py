"""The NumPy engine against torch on random graphs, against central differences, and at its edges."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from fathom.fundamentals.autograd import (
    Tensor,
    concatenate,
    grad,
    history,
    matmul,
    no_grad,
    stack,
    where,
)
from fathom.fundamentals.autograd_functions import einsum, gradcheck, log_softmax, maximum, softmax

MASK = np.array([[True, False, True, False], [False, True, True, True], [True, True, False, False]])
ROWS = np.array([2, 0, 2])

# Operations on (3, 4), which both libraries spell alike; values stay small at any depth.
SAME: tuple[tuple[int, Callable[..., Any]], ...] = (
    (2, lambda a, b: a + 0.5 * b),
    (2, lambda a, b: 1.0 - a - b),
    (2, lambda a, b: a * b.tanh()),
    (2, lambda a, b: a / (b * b + 1.0)),
    (2, lambda a, b: a * b[:1] - b[:, 1:2]),
    (2, lambda a, b: (a @ b.T).tanh() @ b),
    (2, lambda a, b: (a * 0.5).tanh() * b.sum(axis=0)),
    (1, lambda a: a.tanh().exp() - a),
    (1, lambda a: (a * a + 0.5).log()),
    (1, lambda a: (a**2 + 0.1).sqrt() + a**3 / (a**4 + 1.0)),
    (1, lambda a: a.sigmoid() + a.sin() * a.cos()),
    (1, lambda a: a.reshape(2, 6)[:, ::2].swapaxes(0, 1).reshape(1, 6)[:, :4] + a.mean()),
    (1, lambda a: a[ROWS] * a[[1, 1, 0]]),
    (1, lambda a: a.reshape(3, 2, 2).swapaxes(1, 2).reshape(3, 4)),
)
# The same with places where the slope jumps.
KINKED: tuple[tuple[int, Callable[..., Any]], ...] = (
    (1, lambda a: 1.0 / (a.relu() + (-a).relu() + 1.0)),
    (1, lambda a: a.relu() - a.mean(axis=1, keepdims=True)),
    (1, lambda a: a.clip(-1.0, 1.0)),
)
# The others, as (number of operands, ours, torch's).
OTHER: tuple[tuple[int, Callable[..., Any], Callable[..., Any]], ...] = (
    (1, lambda a: a.var(axis=1, keepdims=True) * a, lambda a: a.var(dim=1, keepdim=True, correction=0) * a),
    (1, lambda a: softmax(a, 0) + log_softmax(a), lambda a: a.softmax(0) + a.log_softmax(-1)),
    (2, lambda a, b: where(MASK, a, b), lambda a, b: torch.where(torch.from_numpy(MASK), a, b)),
    (2, lambda a, b: concatenate([a, b])[2:5], lambda a, b: torch.cat([a, b])[2:5]),
    (2, lambda a, b: stack([a, b], 1).mean(axis=1), lambda a, b: torch.stack([a, b], 1).mean(dim=1)),
    (
        2,
        lambda a, b: einsum("ij,kj->ik", a, b).tanh() @ a,
        lambda a, b: torch.einsum("ij,kj->ik", a, b).tanh() @ a,
    ),
)
LARGEST: tuple[tuple[int, Callable[..., Any], Callable[..., Any]], ...] = (
    (1, lambda a: a.max(axis=0) + a.min(), lambda a: a.amax(dim=0) + a.amin()),
    (2, maximum, torch.maximum),
)
SMOOTH = [*((takes, same, same) for takes, same in SAME), *OTHER]
TABLE = [*SMOOTH, *((takes, same, same) for takes, same in KINKED), *LARGEST]
KINKS = 1e-7  # the closest that a value may come to one: rounding must not decide on which side it lies


def random_program(dice: np.random.Generator, leaves: list[np.ndarray], steps: int) -> list[tuple[int, ...]]:
    """Numbers of operations and operands; what would leave [-20, 20] or meets a kink is drawn again."""
    program: list[tuple[int, ...]] = []
    values = [Tensor(leaf) for leaf in leaves]
    while len(program) < steps:
        number = int(dice.integers(len(TABLE)))
        places = [int(i) for i in dice.integers(max(0, len(values) - 12), len(values), size=TABLE[number][0])]
        operands = [values[i] for i in places]
        if number >= len(SMOOTH) and any(near_a_kink(x.data) for x in operands):
            continue
        value = TABLE[number][1](*operands) + np.zeros((3, 4))
        if np.abs(value.data).max() < 20:
            values.append(value)
            program.append((number, *places))
    return program


def near_a_kink(x: np.ndarray) -> bool:
    """Whether values nearly equal 0, an end of the clip, or each other."""
    gaps = np.diff(np.sort(x, axis=None))
    return bool(min(np.abs(x).min(), np.abs(np.abs(x) - 1).min(), gaps.min()) < KINKS)


def run(program: list[tuple[int, ...]], values: list[Any], side: int, array: Callable[..., Any]) -> Any:
    """The last results, weighted and added up."""
    values, zeros = list(values), array(np.zeros((3, 4)))
    for number, *places in program:
        values.append(TABLE[number][side](*(values[i] for i in places)) + zeros)
    return (sum(values[-8:], start=zeros) * array(np.cos(np.arange(12.0)).reshape(3, 4))).sum()


def both(number: int, steps: int) -> tuple[Any, list[Any], Any, list[Any]]:
    dice = np.random.default_rng(number)
    leaves = [dice.normal(size=(3, 4)) for _ in range(4)]
    program = random_program(dice, leaves, steps)
    ours = [Tensor(leaf, requires_grad=True) for leaf in leaves]
    theirs = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
    return run(program, ours, 1, Tensor), ours, run(program, theirs, 2, torch.from_numpy), theirs


def close(ours: np.ndarray | Tensor, theirs: torch.Tensor) -> bool:
    """Within 1e-6, relative to the largest entry where that is above 1."""
    expected = theirs.detach().numpy()
    limit = 1e-6 * max(1.0, float(np.abs(expected).max()))
    return bool(np.abs(np.asarray(ours) - expected).max() <= limit)


def test_random_graphs_have_the_gradients_of_torch() -> None:
    sizes = []
    for number in range(36):
        ours, leaves, theirs, their_leaves = both(number, steps=1 + number * 8 // 5)
        sizes.append(len(history(ours)))
        ours.backward()
        theirs.backward()
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-9, abs=1e-9)
        for a, b in zip(leaves, their_leaves, strict=True):
            if b.grad is None:
                assert a.grad is None, f"graph {number}"
            else:
                assert isinstance(a.grad, np.ndarray) and close(a.grad, b.grad), f"graph {number}"
    assert max(sizes) >= 150 and sorted(sizes)[18] >= 50


def test_random_graphs_have_the_second_derivatives_of_torch() -> None:
    for number in range(100, 124):
        ours, leaves, theirs, their_leaves = both(number, steps=number % 12 + 1)
        slopes = grad(ours, leaves, create_graph=True)
        their_slopes = torch.autograd.grad(
            theirs, their_leaves, create_graph=True, allow_unused=True, materialize_grads=True
        )
        total = sum(((slope * slope).sum() for slope in slopes), start=Tensor(0.0))
        their_total = sum(((slope * slope).sum() for slope in their_slopes), start=torch.zeros(()))
        if not their_total.requires_grad:  # the graph was linear
            continue
        second = grad(total, leaves)
        expected = torch.autograd.grad(their_total, their_leaves, allow_unused=True, materialize_grads=True)
        for a, b in zip(second, expected, strict=True):
            assert close(a, b), f"graph {number}"


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


EACH: dict[str, tuple[Callable[..., Tensor], tuple[np.ndarray, ...]]] = {
    "add": (lambda a, b: a + b, (normal(2, 3), normal(3))),
    "radd": (lambda a: 2 + a, (normal(3),)),
    "sub": (lambda a, b: a - b, (normal(2, 1), normal(3))),
    "rsub": (lambda a: np.ones(3) - a, (normal(3),)),
    "mul": (lambda a, b: a * b, (normal(2, 3), normal(2, 1))),
    "div": (lambda a, b: a / b, (normal(3), np.array([0.5, -2.0, 1.5]))),
    "rdiv": (lambda a: 1 / a, (np.array([0.5, -2.0, 1.5]),)),
    "neg": (lambda a: -a, (normal(3),)),
    "square": (lambda a: a**2, (normal(3),)),
    "inverse root": (lambda a: a**-0.5, (np.array([0.5, 2.0]),)),
    "power of a tensor": (lambda a, b: a**b, (np.array([0.5, 2.0]), normal(2))),
    "exp": (lambda a: a.exp(), (normal(3),)),
    "log": (lambda a: a.log(), (np.array([0.5, 2.0]),)),
    "sqrt": (lambda a: a.sqrt(), (np.array([0.5, 2.0]),)),
    "sin": (lambda a: a.sin(), (normal(3),)),
    "cos": (lambda a: a.cos(), (normal(3),)),
    "tanh": (lambda a: a.tanh(), (normal(3),)),
    "sigmoid": (lambda a: a.sigmoid(), (normal(3),)),
    "relu": (lambda a: a.relu(), (np.array([-1.0, 0.5, 2.0]),)),
    "abs": (lambda a: a.abs(), (np.array([-1.0, 0.5]),)),
    "clip": (lambda a: a.clip(-1, 1.0), (np.array([-2.0, 0.5, 3.0]),)),
    "sum": (lambda a: a.sum(axis=(0, 2)), (normal(2, 3, 2),)),
    "sum of all": (lambda a: a.sum(keepdims=True), (normal(2, 3),)),
    "mean": (lambda a: a.mean(axis=-1), (normal(2, 3),)),
    "var": (lambda a: a.var(axis=0), (normal(2, 3),)),
    "max": (lambda a: a.max(axis=1, keepdims=True), (normal(2, 3),)),
    "min": (lambda a: a.min(), (normal(2, 3),)),
    "reshape": (lambda a: a.reshape((3, 2)) ** 2, (normal(2, 3),)),
    "transpose": (lambda a: a.transpose(2, 0, -2) ** 2, (normal(2, 3, 2),)),
    "T": (lambda a: a.T**2, (normal(2, 3),)),
    "swapaxes": (lambda a: a.swapaxes(0, -1) ** 2, (normal(2, 3, 2),)),
    "broadcast": (lambda a: a.broadcast_to((2, 3)) ** 2, (normal(3),)),
    "slices": (lambda a: a[..., ::-2, None, 1] ** 2, (normal(2, 3, 2),)),
    "integer array": (lambda a: a[np.array([[0, 1], [1, 1]]), 2] ** 2, (normal(2, 3),)),
    "mask": (lambda a: a[np.array([True, False, True])] ** 2, (normal(3),)),
    "where": (lambda a, b: where(np.array([True, False]), a, b), (normal(3, 2), normal(2))),
    "concatenate": (lambda a, b: concatenate([a, b], -1) ** 2, (normal(2, 3), normal(2, 1))),
    "stack": (lambda a, b: stack([a, b], -1) ** 2, (normal(2, 3), normal(2, 3))),
    "matrices": (lambda a, b: a @ b, (normal(2, 3), normal(3, 2))),
    "batches": (lambda a, b: a @ b, (normal(2, 1, 2, 3), normal(2, 3, 2))),
    "batch by matrix": (lambda a, b: a @ b, (normal(2, 2, 3), normal(3, 2))),
    "vectors": (lambda a, b: a @ b, (normal(3), normal(3))),
    "vector by batch": (lambda a, b: a @ b, (normal(3), normal(2, 3, 2))),
    "batch by vector": (lambda a, b: a @ b, (normal(2, 2, 3), normal(3))),
    "array by tensor": (lambda a: np.ones((2, 3)) @ a, (normal(3),)),
}


@pytest.mark.parametrize("name", list(EACH))
def test_each_operation_by_central_differences(name: str) -> None:
    """The gradient, and the gradient of a gradient's square: the second derivative."""
    function, arrays = EACH[name]
    gradcheck(function, arrays, tolerance=1e-6)

    def slope(*inputs: Tensor) -> Tensor:
        return grad((function(*inputs) ** 2).sum(), inputs[-1], create_graph=True)[0]

    gradcheck(slope, arrays, tolerance=1e-5)


def test_derivatives_of_every_order() -> None:
    x = Tensor(np.array([0.3, -1.2]), requires_grad=True)
    y = x.sin()
    for order, expected in enumerate((np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin, np.cos)):
        (y,) = grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.data, expected(x.data), rtol=0, atol=1e-14, err_msg=f"order {order + 1}")


def test_backward_goes_through_a_gradient() -> None:
    """A penalty on the slope, as in WGAN-GP: d/dw (dy/dx)^2 for y = tanh(w x)."""
    w, x = Tensor(0.7, requires_grad=True), Tensor(0.4, requires_grad=True)
    (slope,) = grad((w * x).tanh(), x, create_graph=True)
    (slope**2).backward()
    v, u = (
        torch.tensor(0.7, dtype=torch.float64, requires_grad=True),
        torch.tensor(0.4, dtype=torch.float64, requires_grad=True),
    )
    (expected,) = torch.autograd.grad((v * u).tanh(), u, create_graph=True)
    (expected**2).backward()
    assert w.grad is not None and v.grad is not None
    assert float(w.grad) == pytest.approx(v.grad.item(), abs=1e-14)


def test_gradients_add_up_and_belong_to_one_tensor_each() -> None:
    a, b = Tensor(np.ones(3), requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    (a + b).sum().backward()
    (a + b).backward(np.array([1.0, 2.0, 3.0]))
    assert a.grad is not None and b.grad is not None
    assert a.grad.tolist() == [2, 3, 4] and a.grad is not b.grad
    a.grad *= 0  # a view of what another tensor holds would show there
    assert b.grad.tolist() == [2, 3, 4]
    single = Tensor(2.0, requires_grad=True)
    for _ in range(2):
        (single * single).backward()
    assert isinstance(single.grad, np.ndarray) and single.grad == 8


def test_gradients_of_what_lies_between() -> None:
    x, lone = Tensor(2.0, requires_grad=True), Tensor(np.ones(2), requires_grad=True)
    y = x * x
    z = y * 3.0 + x
    along_y, along_x, nothing, itself = grad(z, (y, x, lone, z))
    assert (along_y.item(), along_x.item(), nothing.data.tolist(), itself.item()) == (3, 13, [0, 0], 1)
    assert x.grad is None and not along_y.requires_grad


def test_nothing_is_recorded_where_it_is_not_wanted() -> None:
    x = Tensor(np.ones(2), requires_grad=True)
    with no_grad():
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad and not x.detach().requires_grad and not (Tensor(1.0) * 2).requires_grad
    with pytest.raises(RuntimeError), no_grad():
        raise RuntimeError
    assert (x * 2).requires_grad


def test_a_long_chain_needs_no_recursion() -> None:
    x = y = Tensor(1.0, requires_grad=True)
    for _ in range(5_000):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0


def test_a_graph_is_freed_without_the_garbage_collector() -> None:
    """Pulls hold parents and never results, so there are no cycles, and memory does not pile up."""
    x = Tensor(np.ones(3), requires_grad=True)
    gc.disable()
    try:
        y = (softmax(x.exp().tanh()) / x.max()).sigmoid().sqrt()
        y.sum().backward()
        watched = weakref.ref(y.data)
        del y
        assert watched() is None
    finally:
        gc.enable()


def test_dtypes_stay_what_they_are() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = Tensor(np.array([0.5, 1.5], dtype), requires_grad=True)
        y = (1 - x * 2.0 + 1) / 3 + x.sigmoid() + x.relu() + x.mean() + x.var() + x.max() + x**2 + softmax(x)
        assert y.dtype == dtype
        y.sum().backward()
        assert x.grad is not None and x.grad.dtype == dtype
    small = Tensor(np.ones(2, np.float32), requires_grad=True)
    wide = small * np.ones(2)  # an array brings its own precision, the gradient comes back in the tensor's
    wide.sum().backward()
    assert wide.dtype == np.float64 and small.grad is not None and small.grad.dtype == np.float32
    assert (Tensor(np.array([1, 2])) * 0.5).data.tolist() == [0.5, 1]


def test_half_precision_is_near_to_double() -> None:
    x = normal(4, 5)
    half, double = (Tensor(x.astype(dtype), requires_grad=True) for dtype in (np.float16, np.float64))
    for tensor in (half, double):
        (log_softmax(tensor.tanh() @ tensor.T)[:, 0].mean() + tensor.sigmoid().sum()).backward()
    assert half.grad is not None and double.grad is not None
    np.testing.assert_allclose(half.grad, double.grad, rtol=0, atol=0.02)


def test_extreme_values_stay_finite() -> None:
    x = Tensor(np.array([-1e4, -1.0, 0.0, 1.0, 1e4]), requires_grad=True)
    for function in (Tensor.sigmoid, Tensor.tanh, Tensor.relu, Tensor.abs, softmax, log_softmax):
        y = function(x)
        (slope,) = grad(y.sum(), x)
        assert np.isfinite(y.data).all() and np.isfinite(slope.data).all()
    assert Tensor(0.0).sigmoid().item() == 0.5


def test_largest_values_share_the_gradient() -> None:
    """As torch.amax does; maximum of a pair gives each a half."""
    x = Tensor(np.array([2.0, 1.0, 2.0]), requires_grad=True)
    x.max().backward()
    assert x.grad is not None and x.grad.tolist() == [0.5, 0, 0.5]
    (share,) = grad(maximum(x, 2.0).sum(), x)
    assert share.data.tolist() == [0.5, 0, 0.5]


def test_nothing_and_single_numbers() -> None:
    empty = Tensor(np.zeros((0, 3)), requires_grad=True)
    (empty.sum() + (empty @ np.ones((3, 2))).sum()).backward()
    assert empty.grad is not None and empty.grad.shape == (0, 3)
    assert empty.mean(axis=1).shape == (0,)
    with pytest.raises(ValueError, match="has no values"):
        empty.mean()
    one = Tensor([[3.0]], requires_grad=True)
    one.sqrt().backward()
    assert one.grad is not None and one.grad.shape == (1, 1)


def test_it_behaves_like_an_array() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert (x.shape, x.ndim, x.size, len(x), x.dtype) == ((2, 2), 2, 4, 2, np.float64)
    assert x.numpy() is x.data and x[0, 1].item() == 2 and Tensor(3).item() == 3
    assert [row.sum().item() for row in (x[0], x[1])] == [3, 7]
    assert (x > 2).tolist() == [[False, False], [True, True]] and (x <= x).all() and not (x < x).any()
    assert (x >= Tensor(4.0)).sum() == 1 and bool(Tensor(1.0)) and not Tensor(0.0)
    assert np.asarray(x).sum() == 10 and np.array(x, np.float32).dtype == np.float32
    assert repr(x[0, 0]) == "Tensor(array(1.), requires_grad=True)"
    assert x[Tensor(np.array([1]))].data.tolist() == [[3, 4]]
    with pytest.raises(IndexError):
        x[2]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Tensor(["a"]), "dtype <U1; a tensor holds real numbers"),
        (lambda: Tensor(np.ones(2, complex)), "dtype complex128"),
        (lambda: Tensor([1, 2], requires_grad=True), "requires_grad is set for dtype int64"),
        (lambda: Tensor(1.0).backward(), "does not require a gradient"),
        (lambda: Tensor(np.ones(2), requires_grad=True).backward(), r"shape \(2,\) needs one like it"),
        (lambda: Tensor(np.ones(2), requires_grad=True).backward(np.ones(3)), r"gradient has shape \(3,\)"),
        (lambda: grad(Tensor(1.0), Tensor(1.0)), r"inputs\[0\] does not require a gradient"),
        (lambda: Tensor(np.ones((2, 3))) @ np.ones((2, 3)), r"shapes \(2, 3\) and \(2, 3\) do not fit"),
        (lambda: matmul(Tensor(2.0), Tensor(np.ones(1))), r"shapes \(\) and \(1,\) do not fit"),
        (lambda: concatenate([]), "tensors is empty"),
        (lambda: concatenate([Tensor(1.0)]), "single numbers"),
        (lambda: stack([]), "tensors is empty"),
        (lambda: where(np.ones(2), Tensor(1.0), 0.0), "condition has dtype float64; it must be boolean, as"),
        (
            lambda: where(np.ones(2, bool), Tensor(np.ones(3)), 0.0),
            r"condition \(2,\), a \(3,\), b \(\) do not broadcast",
        ),
        (
            lambda: where(np.ones((4, 1), bool), 0.0, Tensor(np.ones((3, 2)))),
            r"a \(\), b \(3, 2\) do not broadcast",
        ),
        (lambda: Tensor(np.ones(2)).sum(axis=1), "axis 1 is out of bounds"),
        (lambda: Tensor(np.ones(3)).reshape(2, 2), "cannot reshape"),
        (lambda: Tensor(np.ones(3)) + np.ones(2), "could not be broadcast"),
        (lambda: Tensor(np.ones(2)).item(), "size 1"),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def test_what_has_no_value_says_so_as_numpy_does() -> None:
    for act in (lambda: Tensor(0.0).log(), lambda: Tensor(-1.0).sqrt(), lambda: 1 / Tensor(0.0)):
        with pytest.raises(RuntimeWarning, match=r"divide by zero|invalid value"):
            act()


def test_importing_and_training_import_no_torch() -> None:
    code = """
import sys
import numpy as np
from fathom.fundamentals import scalar_autograd
from fathom.fundamentals.autograd_networks import MLP, SmallCNN
from fathom.fundamentals.autograd_training import SGD, Adam, batches, train

dice = np.random.default_rng(0)
images, labels = dice.normal(size=(32, 1, 28, 28)).astype(np.float32), dice.integers(0, 10, 32)
for network, kind in ((MLP((784, 16, 10), dice), SGD), (SmallCNN(dice), Adam)):
    losses = train(network, kind(network.parameters()), batches(images, labels, 8, dice))
    assert len(losses) == 4
assert not {"torch", "jax", "tensorflow"} & set(sys.modules), "a framework was imported"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
