"""Gradients by depth: the monitor beside torch's own gradients, the stacks beside theory."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.networks.gradient_flow import (
    KINDS,
    Skip,
    at_initialization,
    gradient_norms,
    gradient_norms_by_hand,
    ratio,
    stack,
)

SEEDS = range(5)


def ratios(kind: str, **settings: Any) -> list[float]:
    return [ratio(at_initialization(kind, seed=seed, **settings)) for seed in SEEDS]


def away(ratio: float) -> float:
    """How far a ratio is from 1, in factors of e."""
    return abs(math.log(ratio))


@pytest.mark.parametrize("depth", [20, 30])
def test_the_order_at_initialisation(depth: int) -> None:
    """First over last layer: a sigmoid leaves nothing, ReLUs a part, ReLUs with norm and skip all of it."""
    kinds = (ratios(kind, depth=depth) for kind in ("sigmoid", "relu", "residual"))
    for sigmoid, relu, residual in zip(*kinds, strict=True):
        assert sigmoid < 1e-9 * relu
        assert 0.02 < relu < 1 < residual < 10


def test_with_skips_the_ratio_stays_near_one_whatever_the_weights() -> None:
    """Weights 30 % too small, right, 40 % too large: the worst ratio of what arrives is nearest 1 there."""
    worst = {
        kind: [
            max(
                away(ratio(at_initialization(kind, scale=s, seed=seed, of="outputs")))
                for s in (0.7, 1.0, 1.4)
            )
            for seed in SEEDS
        ]
        for kind in ("sigmoid", "relu", "residual")
    }
    for sigmoid, relu, residual in zip(*worst.values(), strict=True):
        assert residual < math.log(10) < math.log(1000) < relu < sigmoid


def test_gradients_vanish_in_small_weights_and_explode_in_large_ones() -> None:
    small, large = ratios("relu", scale=0.7, of="outputs"), ratios("relu", scale=1.4, of="outputs")
    assert max(small) < 1e-3 and min(large) > 1e3
    # What the optimizer sees of it is hidden in the ratio, and shows in the size.
    assert all(0.02 < r < 5 for r in ratios("relu", scale=1.4))
    for of in ("weights", "outputs"):
        assert min(ratios("tanh", scale=3.0, of=of)) > 100
    norms, right = at_initialization("relu", scale=1.4), at_initialization("relu")
    assert min(norms) > 100 * max(right)


def test_each_sigmoid_leaves_at_most_a_quarter() -> None:
    norms = at_initialization("sigmoid", width=256, of="outputs")
    assert 0.2 < ratio(norms) ** (1 / (len(norms) - 1)) < 0.25


def test_tanh_with_large_weights_grows_as_mean_field_theory_says() -> None:
    """Per layer sqrt(s^2 E tanh'^2) at the fixed point of the variance (Schoenholz et al. 2017)."""
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    variance = 1.0
    for _ in range(200):
        variance = 9 * float((np.tanh(math.sqrt(variance) * z) ** 2 * density).sum())
    slope = 1 - np.tanh(math.sqrt(variance) * z) ** 2
    expected = math.sqrt(9 * float((slope**2 * density).sum()))
    norms = at_initialization("tanh", width=256, scale=3.0, of="outputs")
    measured = (norms[4] / norms[-1]) ** (1 / (len(norms) - 5))  # past the first layers, which approach it
    assert expected > 1.3 and measured == pytest.approx(expected, rel=0.03)


def test_batch_norm_without_skips_explodes_at_its_own_rate() -> None:
    """By sqrt(pi / (pi - 1)) a layer, for any weights (Yang et al. 2019)."""
    norms = at_initialization("norm", width=256, of="outputs")
    assert (norms[0] / norms[-1]) ** (1 / 23) == pytest.approx(math.sqrt(math.pi / (math.pi - 1)), abs=0.03)
    scaled = at_initialization("norm", width=256, scale=4.0, of="outputs")
    assert ratio(scaled) == pytest.approx(ratio(norms), rel=0.01)


def test_with_skips_the_gradient_grows_like_a_power_of_the_depth() -> None:
    """What a block adds to a variance of l it takes from the gradient: a product that falls off as 1 / l."""
    found = []
    for depth in (6, 24, 96):
        grown = math.prod(1 + math.pi / (math.pi - 1) / (1 + block) for block in range(1, depth))
        found.append(ratio(at_initialization("residual", depth=depth, of="outputs")))
        assert found[-1] == pytest.approx(math.sqrt(grown), rel=0.15)
    assert found[2] / found[1] < 3 < found[1]  # four times the depth: not even three times as much


def test_in_a_relu_chain_weights_and_gradients_have_the_same_product_everywhere() -> None:
    """Euler: the output is of degree 1 in every layer. Ratios of weight gradients hide what grows."""
    dice = torch.Generator().manual_seed(0)
    network = stack("relu", 12, 32, scale=1.7, generator=dice).double()
    x, label = torch.randn(16, 32, generator=dice).double(), torch.arange(16) % 10
    F.cross_entropy(network(x), label).backward()
    products = torch.stack([(p * p.grad).sum() for p in network.parameters() if p.grad is not None])
    assert len(products) == 13 and products.abs().min() > 1e-3
    torch.testing.assert_close(products, products[:1].expand(13), rtol=1e-9, atol=0)


class Branched(nn.Module):
    """Runs its layers in another order than it names them, one of them twice, another not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.idle = nn.Linear(6, 3), nn.Linear(2, 2)
        self.twice, self.first = nn.Linear(6, 6), nn.Conv1d(2, 3, kernel_size=3)
        self.norm, self.drop = nn.BatchNorm1d(6), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(1)
        return self.last(self.drop(self.twice(torch.tanh(self.norm(self.twice(x))))))


def test_norms_are_those_of_torch_in_the_order_the_layers_run() -> None:
    model, x, label = Branched(), torch.randn(8, 2, 4), torch.arange(8) % 3
    model.last.bias.grad = torch.full((3,), 7.0)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    dice = torch.get_rng_state()
    found = gradient_norms(model, lambda net: F.cross_entropy(net(x), label))
    assert list(found) == ["first", "twice", "last"]
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), dice) and model.training
    assert model.first.weight.grad is None and torch.equal(model.last.bias.grad, torch.full((3,), 7.0))
    assert not any(layer._forward_hooks for layer in model.modules())

    outputs = gradient_norms(model, lambda net: F.cross_entropy(net(x), label), of="outputs")
    calls: list[Tensor] = []
    model.twice.register_forward_hook(lambda layer, given, made: (made.retain_grad(), calls.append(made))[0])
    F.cross_entropy(model(x), label).backward()
    for name in found:
        assert found[name] == pytest.approx(float(getattr(model, name).weight.grad.norm()), rel=1e-6)
    both = torch.stack([c.grad for c in calls if c.grad is not None])
    assert len(both) == 2 and outputs["twice"] == pytest.approx(float(both.norm()), rel=1e-6)


def test_frozen_layers_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1))
    model[0].requires_grad_(False)
    loss: Callable[[nn.Module], Tensor] = lambda net: net(torch.ones(2, 3)).square().mean()  # noqa: E731
    assert list(gradient_norms(model, loss)) == ["1", "2"]
    assert list(gradient_norms(model, loss, of="outputs")) == ["1", "2"]
    with torch.no_grad():  # it turns gradients on where it needs them
        assert gradient_norms(model, loss)["2"] > 0
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="loss reaches no linear or convolution layer that is trained"):
        gradient_norms(model, loss)


def test_extremes() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # dead: nothing comes back
    found = gradient_norms(model, lambda net: net(torch.ones(1, 2)).sum())
    assert found["0"] == 0 and found["2"] == 0
    tiny = at_initialization("sigmoid", depth=60)  # below the smallest number of float32 at the square
    assert all(norm >= 0 for norm in tiny) and 0 <= tiny[0] < 1e-30
    for size in (1e4, -1e4):
        assert gradient_norms(nn.Linear(2, 1), lambda net, s=size: net(torch.full((1, 2), s)).sum())[""] > 1e4
    one = nn.Linear(1, 1)
    assert gradient_norms(one, lambda net: net(torch.zeros(1, 1)).sum()) == {"": 0.0}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    network, x = stack("relu", 3, 8, generator=torch.Generator().manual_seed(0)), torch.ones(2, 8)
    exact = gradient_norms(network, lambda net: net(x).square().mean())
    half = gradient_norms(network.to(dtype), lambda net: net(x.to(dtype)).float().square().mean())
    assert list(half.values()) == pytest.approx(list(exact.values()), rel=0.05)


def test_stacks_are_what_they_say() -> None:
    sizes = {kind: len(stack(kind, 4, 8)) for kind in KINDS}
    assert sizes == {"sigmoid": 9, "tanh": 9, "relu": 9, "norm": 13, "residual": 7}
    before = torch.get_rng_state()
    dice = torch.Generator().manual_seed(0)
    network = stack("residual", 2, 64, scale=0.5, generator=dice)
    assert torch.equal(torch.get_rng_state(), before)
    block = network[0]
    assert isinstance(block, Skip)
    assert float(block.layer.weight.detach().std()) == pytest.approx(0.5 * math.sqrt(2 / 64), rel=0.05)
    x = torch.randn(8, 64)
    torch.testing.assert_close(
        block(x), x + F.relu(F.batch_norm(x, None, None, training=True)) @ block.layer.weight.T
    )
    assert at_initialization("tanh", 3, 8, seed=4) == at_initialization("tanh", 3, 8, seed=4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: stack("gelu"), "kind is 'gelu'; it must be one of sigmoid"),
        (lambda: stack("relu", depth=0), "depth is 0; it must be 1 or more"),
        (lambda: stack("relu", width=0), "width is 0"),
        (lambda: stack("relu", classes=0), "classes is 0"),
        (lambda: stack("relu", scale=0.0), "scale is 0.0; it must be positive and finite"),
        (lambda: stack("relu", scale=math.inf), "scale is inf"),
        (lambda: at_initialization("relu", batch=1), "batch is 1; it must be 2 or more"),
        (lambda: ratio([1.0]), "two or more"),
        (lambda: ratio({"a": 1.0, "b": 0.0}), "the last above 0"),
        (lambda: gradient_norms(nn.Linear(1, 1), lambda n: n(torch.ones(1, 1)).sum(), "x"), "of is 'x'"),
        (lambda: gradient_norms(nn.Linear(1, 1), lambda n: n(torch.ones(2, 1))), r"loss has shape \(2, 1\)"),
        (lambda: gradient_norms(nn.Linear(1, 1), lambda n: torch.ones(())), "loss reaches no"),
        (lambda: gradient_norms(nn.ReLU(), lambda n: n(torch.ones(())).sum()), "loss reaches no"),
        (
            lambda: gradient_norms(
                nn.Sequential(nn.Linear(1, 1)), lambda n: n(torch.full((1, 1), math.inf)).sum()
            ),
            "the gradient at layer '0' is inf; it must be finite",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_a_failing_loss_leaves_no_hook() -> None:
    model = nn.Linear(2, 1)

    def broken(net: nn.Module) -> Tensor:
        net(torch.ones(1, 2))
        raise RuntimeError("no data")

    with pytest.raises(RuntimeError, match="no data"):
        gradient_norms(model, broken)
    assert not model._forward_hooks


def test_by_hand_agrees_on_a_deep_chain() -> None:
    dice = torch.Generator().manual_seed(3)
    weights = [torch.randn(16, 16, generator=dice, dtype=torch.float64) / 4 for _ in range(20)]
    x, y = (torch.randn(9, 16, generator=dice, dtype=torch.float64) for _ in range(2))
    for activation, between in (("relu", nn.ReLU), ("sigmoid", nn.Sigmoid)):
        parts: list[nn.Module] = []
        for weight in weights:
            layer = nn.Linear(16, 16, bias=False)
            layer.weight = nn.Parameter(weight.clone())
            parts += [layer, between()]
        model = nn.Sequential(*parts[:-1])
        for of in ("weights", "outputs"):
            ours = list(gradient_norms(model, lambda net: F.mse_loss(net(x), y), of).values())
            assert ours == pytest.approx(gradient_norms_by_hand(weights, x, y, activation, of), rel=1e-10)
