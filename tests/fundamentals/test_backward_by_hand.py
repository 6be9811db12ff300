"""Sixteen backward passes against torch autograd and finite differences, and at their edges."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals import backward_by_hand as by_hand
from fathom.fundamentals.backward_by_hand import differentiable
from fathom.fundamentals.twin import Twin

TWINS = list(by_hand.twins())


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def outcome(function: Callable[..., Any], twin: Twin) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """All outputs, and the gradients of a weighted sum of them with respect to the float inputs."""
    inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in twin.inputs]
    out = function(*inputs)
    outputs = list(out) if isinstance(out, tuple) else [out]
    total = sum((v * torch.arange(1.0, v.numel() + 1).cos().view(v.shape)).sum() for v in outputs)
    return outputs, list(torch.autograd.grad(total, [x for x in inputs if x.requires_grad]))  # type: ignore[arg-type]


def test_at_least_fifteen_layers_equal_autograd_and_pass_gradcheck() -> None:
    """The row's criterion: 1e-8 in float64, and the slow, complete gradcheck."""
    assert len({twin.name for twin in TWINS}) >= 15
    for twin in TWINS:
        ours, theirs = outcome(twin.ours, twin), outcome(twin.by_hand, twin)
        for mine, other in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
            torch.testing.assert_close(mine, other, rtol=0, atol=1e-8, msg=twin.name)
        inputs = [x.clone().requires_grad_(x.is_floating_point()) for x in twin.inputs]
        assert torch.autograd.gradcheck(twin.ours, inputs), twin.name


def test_no_pass_uses_autograd() -> None:
    """With gradients switched off everything still comes out, because it is written out."""
    with torch.no_grad():
        x, weight, bias = draw(3, 4), draw(2, 4), draw(2)
        _, kept = by_hand.linear(x, weight, bias)
        g = torch.ones(3, 2, dtype=torch.float64)
        to_x, to_weight, to_bias = by_hand.linear_backward(kept, g)
    torch.testing.assert_close(to_x, weight.sum(0).expand(3, 4))
    torch.testing.assert_close(to_weight, x.sum(0).expand(2, 4))
    assert to_bias.tolist() == [3, 3]


def test_a_second_derivative_is_refused() -> None:
    """A pass written once is differentiable once, and says so."""
    x = draw(3).requires_grad_()
    y = differentiable(by_hand.tanh, by_hand.tanh_backward)(x)
    (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_a_network_of_them_is_a_network_of_torch() -> None:
    """Convolution, pooling, a linear layer and the loss, one backward pass after the other."""
    x, kernels, bias = draw(2, 1, 6, 6), draw(3, 1, 3, 3), draw(3)
    weight, shift, labels = draw(4, 12), draw(4), torch.tensor([3, 1])
    a, kept_a = by_hand.convolution(x, kernels, bias)
    b, kept_b = by_hand.relu(a)
    c, kept_c = by_hand.max_pool(b, 2, 2)
    d, kept_d = by_hand.linear(c.flatten(1), weight, shift)
    loss, kept = by_hand.softmax_cross_entropy(d, labels)

    g, _ = by_hand.softmax_cross_entropy_backward(kept, torch.ones((), dtype=torch.float64))
    g, to_weight, to_shift = by_hand.linear_backward(kept_d, g)
    g = by_hand.relu_backward(kept_b, by_hand.max_pool_backward(kept_c, g.view(c.shape)))
    to_x, to_kernels, to_bias = by_hand.convolution_backward(kept_a, g)

    leaves = [t.clone().requires_grad_() for t in (x, kernels, bias, weight, shift)]
    hidden = F.max_pool2d(F.conv2d(*leaves[:3]).relu(), 2).flatten(1)
    expected = F.cross_entropy(F.linear(hidden, *leaves[3:]), labels)
    torch.testing.assert_close(loss, expected)
    found = to_x, to_kernels, to_bias, to_weight, to_shift
    torch.testing.assert_close(found, torch.autograd.grad(expected, leaves), rtol=0, atol=1e-12)


def test_lstm_goes_back_through_time() -> None:
    """Two steps: what the second sends back for h and c is what the first receives."""
    into, back, bias = draw(12, 2), draw(12, 3), draw(12)
    first, second, h, c = draw(4, 2), draw(4, 2), draw(4, 3), draw(4, 3)
    (h1, c1), kept1 = by_hand.lstm_cell(first, h, c, into, back, bias)
    (h2, _), kept2 = by_hand.lstm_cell(second, h1, c1, into, back, bias)
    _, g_h, g_c, *late = by_hand.lstm_cell_backward(kept2, torch.ones_like(h2), torch.zeros_like(h2))
    _, g_h, g_c, *early = by_hand.lstm_cell_backward(kept1, g_h, g_c)

    leaves = [t.clone().requires_grad_() for t in (h, c, into, back, bias)]
    zero = torch.zeros(12, dtype=torch.float64)
    state = leaves[0], leaves[1]
    for x in (first, second):
        state = torch.lstm_cell(x, state, leaves[2], leaves[3], leaves[4], zero)
    expected = torch.autograd.grad(state[0].sum(), leaves)
    found = g_h, g_c, *(a + b for a, b in zip(late, early, strict=True))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_equal_values_send_the_gradient_to_the_first() -> None:
    x = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    best, kept = by_hand.max_pool(x, 2, 2)
    assert by_hand.max_pool_backward(kept, torch.ones_like(best)).flatten().tolist() == [1, 0, 0, 0]


def test_pixels_that_no_window_reaches_get_nothing() -> None:
    x, weight, bias = draw(1, 1, 6, 6), draw(1, 1, 3, 3), draw(1)
    out, kept = by_hand.convolution(x, weight, bias, stride=2)
    to_x, _, _ = by_hand.convolution_backward(kept, torch.ones_like(out))
    assert (to_x[..., 5] == 0).all() and (to_x[..., :5, :5] != 0).all()


def test_a_row_that_is_looked_up_twice_adds_up() -> None:
    out, kept = by_hand.embedding(torch.tensor([1, 1, 0]), draw(3, 2))
    _, to_weight = by_hand.embedding_backward(kept, torch.ones_like(out))
    assert to_weight.tolist() == [[1, 1], [2, 2], [0, 0]]


EXTREMES = torch.tensor([[-1e4, -1.0, 0.0, 1.0, 1e4]], dtype=torch.float64)


def test_extreme_inputs_give_finite_values_and_gradients() -> None:
    for name in ("relu", "sigmoid", "tanh", "gelu"):
        y, kept = getattr(by_hand, name)(EXTREMES)
        slope = getattr(by_hand, f"{name}_backward")(kept, torch.ones_like(y))
        assert y.isfinite().all() and slope.isfinite().all(), name
    loss, kept = by_hand.softmax_cross_entropy(EXTREMES, torch.tensor([0]))
    slope, _ = by_hand.softmax_cross_entropy_backward(kept, torch.ones((), dtype=torch.float64))
    assert loss == 2e4 and slope.tolist() == [[-1, 0, 0, 0, 1]]
    q = EXTREMES.view(1, 5, 1)
    mixed, kept = by_hand.attention(q, q, q)
    assert mixed.isfinite().all() and all(g.isfinite().all() for g in by_hand.attention_backward(kept, q))
    same = torch.ones(3, 2, dtype=torch.float64)  # no variance
    out, kept = by_hand.batch_norm(same, same[0], same[0])
    assert all(g.isfinite().all() for g in by_hand.batch_norm_backward(kept, out))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_to_double(dtype: torch.dtype) -> None:
    for twin in TWINS:
        rounded = tuple(x.to(dtype) if x.is_floating_point() else x for x in twin.inputs)
        widened = tuple(x.double() if x.is_floating_point() else x for x in rounded)
        ours = outcome(twin.ours, replace(twin, inputs=rounded))
        theirs = outcome(twin.ours, replace(twin, inputs=widened))
        for mine, other in zip(ours[0] + ours[1], theirs[0] + theirs[1], strict=True):
            assert mine.dtype == dtype, twin.name
            torch.testing.assert_close(mine.double(), other, rtol=0.05, atol=0.1, msg=twin.name)


X, ROW = torch.ones(2, 3), torch.ones(3)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: by_hand.linear(X, torch.ones(4, 2), torch.ones(4)), r"x \(2, 3\), weight \(4, 2\) do not"),
        (lambda: by_hand.linear(X, torch.ones(4, 3), ROW), r"weight \(4, 3\), bias \(3,\) do not fit"),
        (lambda: by_hand.softmax_cross_entropy(X, torch.tensor([0])), r"labels \(1,\) do not fit"),
        (lambda: by_hand.softmax_cross_entropy(X, torch.tensor([0, 3])), "labels holds 0 to 3; 0 to 2"),
        (lambda: by_hand.softmax_cross_entropy(X, torch.ones(2)), "labels has dtype torch.float32"),
        (lambda: by_hand.mean_squared_error(X, ROW), r"prediction \(2, 3\), target \(3,\) do not fit"),
        (lambda: by_hand.convolution(X, X, ROW), "do not fit"),
        (lambda: by_hand.max_pool(torch.ones(1, 1, 2, 2), 3, 1), "kernel 3 x 3 with stride 1 does not fit"),
        (lambda: by_hand.average_pool(torch.ones(1, 1, 2, 2), 2, 0), "stride 0 does not fit"),
        (lambda: by_hand.batch_norm(X[:1], ROW, ROW), "do not fit"),
        (lambda: by_hand.batch_norm(X, ROW, ROW, epsilon=0.0), "epsilon is 0.0; it must be positive"),
        (lambda: by_hand.layer_norm(X, ROW, X), "do not fit"),
        (lambda: by_hand.dropout(X, X > 0, 1.0), r"probability is 1.0; it must be in \[0, 1\)"),
        (lambda: by_hand.dropout(X, ROW > 0, 0.5), r"keep \(3,\) do not fit"),
        (lambda: by_hand.dropout(X, X, 0.5), "keep has dtype torch.float32; it must be boolean"),
        (lambda: by_hand.embedding(torch.tensor([-1]), X), "tokens holds -1 to -1; 0 to 1 are allowed"),
        (lambda: by_hand.lstm_cell(X, X, X, X, X, ROW), "do not fit"),
        (lambda: by_hand.attention(X, X, X), "do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()


def test_settings_are_given_beforehand() -> None:
    """``differentiable`` takes tensors only; a stride is bound by ``partial``."""
    x = draw(1, 1, 4, 4).requires_grad_()
    pool = differentiable(partial(by_hand.average_pool, kernel=2, stride=2), by_hand.average_pool_backward)
    pool(x).sum().backward()
    assert x.grad is not None and (x.grad == 0.25).all()
