"""The functions of the NumPy engine against torch: values, gradients, second derivatives, refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fathom.fundamentals.autograd import Tensor, grad
from fathom.fundamentals.autograd_functions import (
    average_pool,
    batch_norm,
    binary_cross_entropy,
    convolution,
    cross_entropy,
    dropout,
    einsum,
    embedding,
    gelu,
    gradcheck,
    layer_norm,
    log_softmax,
    max_pool,
    maximum,
    mean_squared_error,
    pad,
    softmax,
    softplus,
)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


LABELS, SHARES = np.array([2, 0, 1, 1]), np.random.default_rng(0).random((4, 3))
TOKENS = np.array([[0, 3, 3], [1, 3, 0]])
Case = tuple[Callable[..., Any], Callable[..., Any], tuple[np.ndarray, ...]]

CASES: dict[str, Case] = {
    "convolution": (convolution, F.conv2d, (normal(2, 3, 5, 6), normal(4, 3, 3, 2), normal(4))),
    "convolution, stride and padding": (
        lambda x, w: convolution(x, w, stride=(2, 3), padding=(2, 1)),
        lambda x, w: F.conv2d(x, w, stride=(2, 3), padding=(2, 1)),
        (normal(2, 2, 6, 7), normal(3, 2, 3, 3)),
    ),
    "convolution by one point": (convolution, F.conv2d, (normal(1, 2, 3, 3), normal(4, 2, 1, 1), normal(4))),
    "max pool": (lambda x: max_pool(x, 2), lambda x: F.max_pool2d(x, 2), (normal(2, 3, 5, 4),)),
    "max pool, overlapping and padded": (
        lambda x: max_pool(x, (3, 2), (2, 1), (1, 1)),
        lambda x: F.max_pool2d(x, (3, 2), (2, 1), (1, 1)),
        (normal(2, 2, 5, 4),),
    ),
    "max pool of equal values": (
        lambda x: max_pool(x.relu(), 2, 1, 1),
        lambda x: F.max_pool2d(x.relu(), 2, 1, 1),
        (normal(2, 2, 5, 4) - 1,),
    ),
    "average pool": (
        lambda x: average_pool(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        (normal(2, 2, 5, 6),),
    ),
    "softmax": (lambda x: softmax(x, 1), lambda x: F.softmax(x, 1), (normal(2, 4, 3),)),
    "log-softmax": (log_softmax, lambda x: F.log_softmax(x, -1), (normal(2, 4, 3),)),
    "softplus": (softplus, F.softplus, (normal(9),)),
    "GELU": (gelu, lambda x: F.gelu(x, approximate="tanh"), (normal(9),)),
    "maximum": (maximum, torch.maximum, (normal(2, 3), normal(3))),
    "batch norm": (
        batch_norm,
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        (normal(3, 2, 2, 3), normal(2), normal(2)),
    ),
    "layer norm": (
        layer_norm,
        lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b),
        (normal(2, 3, 5), normal(5), normal(5)),
    ),
    "embedding": (
        lambda w: embedding(TOKENS, w) ** 2,
        lambda w: F.embedding(torch.from_numpy(TOKENS), w) ** 2,
        (normal(5, 2),),
    ),
    "cross-entropy": (
        lambda x: cross_entropy(x, LABELS),
        lambda x: F.cross_entropy(x, torch.from_numpy(LABELS)),
        (normal(4, 3),),
    ),
    "binary cross-entropy": (
        lambda x: binary_cross_entropy(x, SHARES),
        lambda x: F.binary_cross_entropy_with_logits(x, torch.from_numpy(SHARES)),
        (normal(4, 3),),
    ),
    "mean squared error": (
        lambda x: mean_squared_error(x, SHARES),
        lambda x: F.mse_loss(x, torch.from_numpy(SHARES)),
        (normal(4, 3),),
    ),
    "einsum over all": (
        lambda a, b: einsum("bij,bkj->ikb", a, b),
        lambda a, b: torch.einsum("bij,bkj->ikb", a, b),
        (normal(2, 3, 4), normal(2, 2, 4)),
    ),
    "einsum of three": (
        lambda a, b, c: einsum("ij, jk, k -> i", a, b, c),
        lambda a, b, c: torch.einsum("ij,jk,k->i", a, b, c),
        (normal(2, 3), normal(3, 4), normal(4)),
    ),
    "einsum that sums one operand alone": (
        lambda a, b: einsum("ijk,l->jl", a, b) ** 2,
        lambda a, b: torch.einsum("ijk,l->jl", a, b) ** 2,
        (normal(2, 3, 4), normal(2)),
    ),
    "einsum with the output left out": (
        lambda a, b: einsum("kj,ji", a, b),
        lambda a, b: torch.einsum("kj,ji", a, b),
        (normal(2, 3), normal(3, 4)),
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_values_and_both_derivatives_are_those_of_torch(name: str) -> None:
    """Values and gradients to 1e-12, the gradient of the gradient's square to 1e-10."""
    ours, theirs, arrays = CASES[name]
    inputs = [Tensor(a, requires_grad=True) for a in arrays]
    others = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*inputs), theirs(*others)
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-12, atol=1e-12)

    weights = np.cos(np.arange(y.size)).reshape(y.shape)
    slopes = grad((y * y * weights).sum(), inputs, create_graph=True)
    expected = torch.autograd.grad((z * z * torch.from_numpy(weights)).sum(), others, create_graph=True)
    for a, b in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-12, atol=1e-12)

    total = sum(((s * s).sum() for s in slopes), start=Tensor(0.0))
    their_total = sum(((s * s).sum() for s in expected), start=torch.zeros(()))
    for a, b in zip(grad(total, inputs), torch.autograd.grad(their_total, others), strict=True):
        np.testing.assert_allclose(a.data, b.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in CASES if "equal" not in name])
def test_each_function_by_central_differences(name: str) -> None:
    ours, _, arrays = CASES[name]
    assert gradcheck(ours, arrays) < 1e-6


def test_batch_norm_keeps_statistics_as_torch_does() -> None:
    layer = torch.nn.BatchNorm1d(3, momentum=0.2).double()
    weight, bias = Tensor(np.ones(3)), Tensor(np.zeros(3))
    running = np.zeros(3), np.ones(3)
    for step in range(3):
        x = normal(5, 3) * (step + 1)
        batch_norm(Tensor(x), weight, bias, running, momentum=0.2)
        layer(torch.from_numpy(x))
    np.testing.assert_allclose(running[0], layer.running_mean, rtol=1e-12)
    np.testing.assert_allclose(running[1], layer.running_var, rtol=1e-12)
    ours = batch_norm(Tensor(x), weight, bias, running, training=False)
    np.testing.assert_allclose(ours.data, layer.eval()(torch.from_numpy(x)).detach(), rtol=1e-12)


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    x = Tensor(np.ones((200, 200), np.float32), requires_grad=True)
    y = dropout(x, 0.3, np.random.default_rng(0))
    dropped = y.data == 0
    assert dropped.mean() == pytest.approx(0.3, abs=0.01) and y.data.mean() == pytest.approx(1, abs=0.02)
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad is not None and ((x.grad == 0) == dropped).all()
    assert (dropout(x, 0.3, np.random.default_rng(0)).data == y.data).all()
    assert dropout(x, 0.3, np.random.default_rng(0), training=False) is x
    assert dropout(x, 0.0, np.random.default_rng(0)) is x


def test_extreme_scores_give_finite_losses_and_gradients() -> None:
    for values in ([[1e4, -1e4, 0.0]], [[0.0, 0.0, 0.0]], [[-1e4, -1e4, -1e4]]):
        x = Tensor(np.array(values), requires_grad=True)
        for loss in (cross_entropy(x, np.array([1])), binary_cross_entropy(x, np.array([[0.0, 1.0, 0.5]]))):
            (slope,) = grad(loss, x)
            assert np.isfinite(loss.data).all() and np.isfinite(slope.data).all()
        assert softmax(x).data.sum() == pytest.approx(1)
    assert softplus(Tensor(np.array([-1e4, 1e4]))).data.tolist() == [0, 1e4]


def test_a_masked_score_gets_nothing() -> None:
    x = Tensor(np.array([[1.0, -np.inf, 1.0]]), requires_grad=True)
    (slope,) = grad((softmax(x) * np.arange(3.0)).sum(), x)
    assert softmax(x).data.tolist() == [[0.5, 0, 0.5]] and slope.data[0, 1] == 0
    with pytest.raises(ValueError, match="NaN or infinite"):
        softmax(Tensor(np.full((1, 2), -np.inf)))
    with pytest.raises(ValueError, match="NaN or infinite"):
        log_softmax(Tensor(np.array([np.nan, 1.0])))


def test_half_precision_is_near_to_double() -> None:
    arrays = normal(1, 2, 5, 5), normal(2, 2, 3, 3)
    found = []
    for dtype in (np.float16, np.float64):
        x, weight = (Tensor(a.astype(dtype), requires_grad=True) for a in arrays)
        out = max_pool(convolution(x, weight, padding=1), 2)
        assert out.dtype == dtype
        layer_norm(gelu(out), Tensor(np.ones(2, dtype)), Tensor(np.zeros(2, dtype)))[0].sum().backward()
        cross_entropy(out.reshape(2, 4), np.array([0, 3])).backward()
        found.append(weight.grad)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=0.05)


def test_one_pixel_and_no_picture() -> None:
    one = convolution(Tensor(np.ones((1, 1, 1, 1))), Tensor(np.full((2, 1, 1, 1), 3.0)))
    assert one.data.reshape(-1).tolist() == [3, 3] and pad(one, 0) is one
    none = Tensor(np.zeros((0, 1, 4, 4)), requires_grad=True)
    assert max_pool(none, 2).shape == (0, 1, 2, 2)
    assert convolution(none, Tensor(np.ones((2, 1, 3, 3)))).shape == (0, 2, 2, 2)
    assert embedding(np.zeros((0,), int), Tensor(np.ones((3, 2)))).shape == (0, 2)


def test_gradcheck_finds_a_wrong_gradient() -> None:
    def halved(x: Tensor) -> Tensor:
        return x * x.detach()

    with pytest.raises(ValueError, match=r"inputs\[0\]\[\(0,\)\] has gradient .*; differences give"):
        gradcheck(halved, [np.array([1.5, 2.0])])


X, ONES = Tensor(np.ones((2, 3, 4, 4))), Tensor(np.ones(3))
WEIGHT, DICE = Tensor(np.ones((2, 3, 3, 3))), np.random.default_rng(0)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: convolution(ONES, WEIGHT), r"x \(3,\) and weight \(2, 3, 3, 3\) do not fit"),
        (lambda: convolution(X, Tensor(np.ones((2, 1, 3, 3)))), r"weight \(2, 1, 3, 3\) do not fit"),
        (lambda: convolution(X, WEIGHT, ONES), r"bias has shape \(3,\); 2 kernels need \(2,\)"),
        (lambda: convolution(X, WEIGHT, stride=0), "stride is 0; it is a whole number of at least 1"),
        (lambda: convolution(X, WEIGHT, padding=-1), "padding is -1; it is a whole number of at least 0"),
        (lambda: convolution(X, Tensor(np.ones((2, 3, 5, 5)))), r"kernel \(5, 5\) does not fit into x"),
        (lambda: pad(ONES, 1), r"x has shape \(3,\); it must be \(b, c, h, w\): reshape it first"),
        (lambda: pad(ONES, 0), r"x has shape \(3,\)"),
        (lambda: pad(X, (1, -1)), r"padding is \(1, -1\); it is a whole number of at least 0"),
        (lambda: maximum(ONES, np.ones(2)), r"a \(3,\), b \(2,\) do not broadcast; make axes equal, or 1"),
        (lambda: maximum(X, ONES), r"a \(2, 3, 4, 4\), b \(3,\) do not broadcast"),
        (lambda: max_pool(X, 5), r"kernel \(5, 5\) does not fit into x of shape \(2, 3, 4, 4\)"),
        (lambda: max_pool(X, 2, padding=2), "padding is 2; it is at most half of the kernel, 2"),
        (lambda: average_pool(X, (0, 1)), r"kernel is \(0, 1\)"),
        (lambda: average_pool(X, 2, 0), "stride is 0"),
        (lambda: layer_norm(X, ONES, ONES), r"weight \(3,\) and bias \(3,\) do not fit x \(2, 3, 4, 4\)"),
        (lambda: layer_norm(ONES, ONES, ONES, epsilon=0.0), "epsilon is 0.0; it must be positive"),
        (lambda: batch_norm(ONES, ONES, ONES), r"do not fit x \(3,\)"),
        (lambda: batch_norm(X, ONES, Tensor(np.ones(4))), r"bias \(4,\) do not fit"),
        (lambda: batch_norm(X, ONES, ONES, training=False), "running is None"),
        (lambda: batch_norm(Tensor(np.ones((1, 3))), ONES, ONES), "needs two values a channel"),
        (lambda: dropout(X, 1.0, DICE), r"probability is 1.0; it must be in \[0, 1\)"),
        (lambda: dropout(X, -0.1, DICE), "probability is -0.1"),
        (lambda: embedding(np.array([0, 3]), ONES), "tokens holds 0 to 3; 0 to 2 are allowed"),
        (lambda: embedding(np.array([-1, 0]), ONES), "tokens holds -1 to 0"),
        (lambda: embedding(np.array([0.0]), ONES), "tokens has dtype float64"),
        (lambda: cross_entropy(X, LABELS), r"logits \(2, 3, 4, 4\) and labels \(4,\) do not fit"),
        (lambda: cross_entropy(Tensor(np.ones((4, 2))), LABELS), "labels holds 0 to 2; 0 to 1 are allowed"),
        (lambda: cross_entropy(Tensor(np.ones((0, 2))), LABELS[:0]), "do not fit"),
        (lambda: binary_cross_entropy(ONES, np.full(3, 1.5)), r"targets hold 1.5 to 1.5; probabilities"),
        (lambda: binary_cross_entropy(ONES, np.ones(2)), r"targets has shape \(2,\)"),
        (lambda: mean_squared_error(ONES, np.ones(1)), r"targets has shape \(1,\); it must be .* \(3,\)"),
        (lambda: einsum("ij->i", ONES), r"subscripts 'ij->i' do not fit shapes \(3,\)"),
        (lambda: einsum("i,i->i", ONES), "do not fit"),
        (lambda: einsum("ii->i", Tensor(np.ones((3, 3)))), "a letter twice in one operand"),
        (lambda: einsum("...->", Tensor(np.ones((3, 3, 3)))), "hold an ellipsis"),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()
