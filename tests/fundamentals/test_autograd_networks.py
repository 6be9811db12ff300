"""Networks of the NumPy engine against torch and scikit-learn, with the same weights."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fathom.fundamentals.autograd import Tensor
from fathom.fundamentals.autograd_functions import softmax
from fathom.fundamentals.autograd_networks import (
    MLP,
    AttentionBlock,
    Layer,
    Linear,
    LSTMCell,
    SmallCNN,
    attention,
    perceptron,
)


def dice() -> np.random.Generator:
    return np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def to_torch(weight: Tensor) -> torch.Tensor:
    """A weight of ours as torch holds it: matrices turned round."""
    return torch.from_numpy((weight.data.T if weight.ndim == 2 else weight.data).copy())


def load(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    layer.load_state_dict({"weight": to_torch(weight), "bias": to_torch(bias)})


def assert_equal(ours: np.ndarray | None, theirs: torch.Tensor | None, turned: bool = False) -> None:
    assert ours is not None and theirs is not None
    expected = theirs.detach().numpy()
    np.testing.assert_allclose(ours, expected.T if turned else expected, rtol=1e-10, atol=1e-12)


def test_mlp_is_the_sequential_of_torch() -> None:
    ours = MLP((6, 5, 4, 3), dice(), np.float64)
    theirs = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    for layer, other in zip(ours.layers, (theirs[0], theirs[2], theirs[4]), strict=True):
        layer.bias.data += 0.1
        load(other, layer.weight, layer.bias)
    x = normal(7, 6)
    y, z = ours(Tensor(x.reshape(7, 2, 3))), theirs(torch.from_numpy(x))
    assert_equal(y.data, z)
    (y * y).sum().backward()
    (z * z).sum().backward()
    for layer, other in zip(ours.layers, (theirs[0], theirs[2], theirs[4]), strict=True):
        assert_equal(layer.weight.grad, other.weight.grad, turned=True)
        assert_equal(layer.bias.grad, other.bias.grad)


@pytest.mark.slow
def test_mlp_is_that_of_scikit_learn() -> None:
    """The same weights give the same logits, up to the constant that a softmax takes away, to 1e-5."""
    from sklearn.neural_network import MLPClassifier

    x, labels = normal(60, 6), np.arange(60) % 3
    theirs = MLPClassifier((5, 4), max_iter=600, random_state=0, tol=0.1).fit(x, labels)
    ours = MLP((6, 5, 4, 3), dice())
    for layer, weight, bias in zip(ours.layers, theirs.coefs_, theirs.intercepts_, strict=True):
        layer.weight, layer.bias = Tensor(weight.astype(np.float32)), Tensor(bias.astype(np.float32))
    logits = ours(Tensor(x.astype(np.float32)))
    np.testing.assert_allclose(softmax(logits).data, theirs.predict_proba(x), rtol=0, atol=1e-5)
    gaps = logits.data - logits.data.mean(axis=1, keepdims=True)
    logs = theirs.predict_log_proba(x)
    np.testing.assert_allclose(gaps, logs - logs.mean(axis=1, keepdims=True), rtol=0, atol=1e-5)


def test_cnn_is_that_of_torch() -> None:
    ours = SmallCNN(dice(), side=8, channels=(3, 4), classes=5, dtype=np.float64)
    theirs = nn.Sequential(
        nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16, 5),
    ).double()  # fmt: skip
    pairs = ((ours.first, theirs[0]), (ours.second, theirs[3]), (ours.head, theirs[7]))
    for layer, other in pairs:
        load(other, layer.weight, layer.bias)
    x = normal(2, 1, 8, 8)
    y, z = ours(Tensor(x)), theirs(torch.from_numpy(x))
    assert_equal(y.data, z)
    (y * y).sum().backward()
    (z * z).sum().backward()
    for layer, other in pairs:
        assert_equal(layer.weight.grad, other.weight.grad, turned=isinstance(layer, Linear))
        assert_equal(layer.bias.grad, other.bias.grad)


def test_lstm_cell_is_that_of_torch_over_several_steps() -> None:
    ours, theirs = LSTMCell(3, 4, dice(), np.float64), nn.LSTMCell(3, 4).double()
    theirs.load_state_dict(
        {
            "weight_ih": to_torch(ours.from_input), "weight_hh": to_torch(ours.from_output),
            "bias_ih": to_torch(ours.bias), "bias_hh": torch.zeros(16),
        }
    )  # fmt: skip
    h = c = Tensor(np.zeros((2, 4)))
    other = torch.zeros(2, 4).double(), torch.zeros(2, 4).double()
    for x in normal(5, 2, 3):
        h, c = ours(Tensor(x), h, c)
        other = theirs(torch.from_numpy(x), other)
    assert_equal(h.data, other[0])
    assert_equal(c.data, other[1])
    (h * h + c).sum().backward()
    (other[0] ** 2 + other[1]).sum().backward()
    assert_equal(ours.from_input.grad, theirs.weight_ih.grad, turned=True)
    assert_equal(ours.from_output.grad, theirs.weight_hh.grad, turned=True)
    assert_equal(ours.bias.grad, theirs.bias_ih.grad)
    assert ours.bias.data.tolist() == [0] * 4 + [1] * 4 + [0] * 8  # it remembers at first


@pytest.mark.parametrize("causal", [False, True])
def test_attention_block_is_that_of_torch(causal: bool) -> None:
    ours = AttentionBlock(6, 2, dice(), causal, np.float64)
    theirs = nn.TransformerEncoderLayer(
        6, 2, 24, dropout=0.0, activation=lambda x: nn.functional.gelu(x, approximate="tanh"),
        batch_first=True, norm_first=True, dtype=torch.float64,
    )  # fmt: skip
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": to_torch(ours.query_key_value.weight),
            "self_attn.in_proj_bias": to_torch(ours.query_key_value.bias),
            "self_attn.out_proj.weight": to_torch(ours.out.weight),
            "self_attn.out_proj.bias": to_torch(ours.out.bias),
            "linear1.weight": to_torch(ours.wide.weight), "linear1.bias": to_torch(ours.wide.bias),
            "linear2.weight": to_torch(ours.narrow.weight), "linear2.bias": to_torch(ours.narrow.bias),
            "norm1.weight": to_torch(ours.scales[0]), "norm1.bias": to_torch(ours.shifts[0]),
            "norm2.weight": to_torch(ours.scales[1]), "norm2.bias": to_torch(ours.shifts[1]),
        }
    )  # fmt: skip
    x = normal(2, 5, 6)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64) if causal else None
    y, z = ours(Tensor(x)), theirs(torch.from_numpy(x), src_mask=mask, is_causal=causal)
    assert_equal(y.data, z)
    (y * y).sum().backward()
    (z * z).sum().backward()
    for mine, other in (
        (ours.query_key_value.weight, theirs.self_attn.in_proj_weight),
        (ours.out.weight, theirs.self_attn.out_proj.weight),
        (ours.wide.weight, theirs.linear1.weight),
        (ours.narrow.weight, theirs.linear2.weight),
        (ours.scales[0], theirs.norm1.weight),
        (ours.shifts[1], theirs.norm2.bias),
    ):
        assert_equal(mine.grad, other.grad, turned=mine.ndim == 2)


def test_causal_attention_does_not_look_ahead() -> None:
    block, x = AttentionBlock(4, 2, dice(), causal=True, dtype=np.float64), normal(1, 6, 4)
    before = block(Tensor(x)).data
    x[:, 3:] += 1
    after = block(Tensor(x)).data
    assert np.array_equal(before[:, :3], after[:, :3]) and not np.allclose(before[:, 3:], after[:, 3:])


def test_every_parameter_is_found_and_moved_by_a_loss() -> None:
    networks: tuple[tuple[Layer, int, Tensor], ...] = (
        (MLP((4, 5, 3), dice()), 4, Tensor(normal(2, 4))),
        (SmallCNN(dice(), side=4), 6, Tensor(normal(2, 1, 4, 4))),
        (AttentionBlock(4, 2, dice()), 12, Tensor(normal(2, 3, 4))),
    )
    for network, count, x in networks:
        parameters = network.parameters()
        assert len({id(p) for p in parameters}) == len(parameters) == count
        (network(x) ** 2).sum().backward()  # type: ignore[operator]
        assert all(p.grad is not None and np.abs(p.grad).sum() > 0 for p in parameters)
    assert len(LSTMCell(2, 3, dice()).parameters()) == 3


def test_weights_start_with_the_variance_of_he() -> None:
    weight = Linear(400, 300, dice()).weight
    assert weight.dtype == np.float32 and weight.data.var() == pytest.approx(2 / 400, rel=0.02)
    assert SmallCNN(dice(), channels=(64, 64)).second.weight.data.var() == pytest.approx(2 / 1600, rel=0.02)


def two_clouds() -> tuple[np.ndarray, np.ndarray]:
    """Points on both sides of a line, none nearer to it than 0.2; the first is of class 1."""
    x = np.random.default_rng(1).uniform(-1, 1, (300, 2))
    side = (x @ np.array([0.6, 0.8])) - 0.1
    x, side = x[np.abs(side) > 0.2], side[np.abs(side) > 0.2]
    order = np.argsort(side < 0, kind="stable")
    return x[order][::3], (side[order] > 0).astype(int)[::3]


def test_perceptron_parts_what_a_line_parts() -> None:
    """With no more mistakes than (R / margin)^2, Novikoff's bound, where the bias counts as an input."""
    x, labels = two_clouds()
    weight, bias, mistakes = perceptron(x, labels)
    assert ((x @ weight + bias > 0) == labels).all() and mistakes[-1] == 0
    wide = np.hstack([x, np.ones((len(x), 1))])
    plane = np.array([0.6, 0.8, -0.1]) / np.sqrt(1.01)
    margin = ((2 * labels - 1) * (wide @ plane)).min()
    assert 0 < sum(mistakes) <= (wide**2).sum(axis=1).max() / margin**2


def test_perceptron_fails_on_xor_and_an_mlp_represents_it() -> None:
    x, labels = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    _, _, mistakes = perceptron(x, labels, epochs=200)
    assert len(mistakes) == 200 and min(mistakes) > 0
    network = MLP((2, 2, 1), dice(), np.float64)  # relu(a + b) - 2 relu(a + b - 1)
    network.layers[0].weight, network.layers[0].bias = Tensor(np.ones((2, 2))), Tensor(np.array([0.0, -1.0]))
    network.layers[1].weight = Tensor(np.array([[1.0], [-2.0]]))
    assert network(Tensor(x)).data[:, 0].tolist() == labels.tolist()


@pytest.mark.slow
def test_perceptron_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import Perceptron

    x, labels = two_clouds()
    weight, bias, mistakes = perceptron(x, labels)
    theirs = Perceptron(shuffle=False, tol=None, max_iter=len(mistakes)).fit(x, labels)
    np.testing.assert_allclose([*weight, bias], [*theirs.coef_[0], theirs.intercept_[0]], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: Linear(0, 3, dice()), "inputs is 0; it must be 1 or more"),
        (lambda: MLP((3,), dice()), r"sizes is \[3\]; an MLP needs those of its input and its output"),
        (lambda: SmallCNN(dice(), side=10), "side is 10; it must be a multiple of 4"),
        (lambda: LSTMCell(2, -1, dice()), "width is -1"),
        (lambda: AttentionBlock(6, 4, dice()), "heads is 4; it must divide width, 6"),
        (lambda: attention(Tensor(normal(2, 3)), Tensor(normal(2, 4)), Tensor(normal(2, 4))), "do not fit"),
        (lambda: attention(Tensor(normal(2, 3)), Tensor(normal(4, 3)), Tensor(normal(2, 3))), "do not fit"),
        (lambda: perceptron(np.ones((2, 3)), np.array([0, 2])), r"labels \(2,\) do not fit"),
        (lambda: perceptron(np.ones((2, 3)), np.array([0])), r"labels \(1,\) do not fit"),
        (lambda: MLP((3, 2), dice())(Tensor(normal(2, 4))), r"shapes \(2, 4\) and \(3, 2\) do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(act: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        act()
