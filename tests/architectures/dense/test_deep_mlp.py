"""The fully connected network against torch's own layers and plain loops, for every value of every switch."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.architectures.dense import deep_mlp

ACTIVATIONS = {
    "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
    "selu": nn.SELU, "swish": nn.SiLU, "gelu": nn.GELU, "mish": nn.Mish, "hardswish": nn.Hardswish,
}  # fmt: skip
NORMS = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "rms": lambda width: nn.RMSNorm(width, eps=1e-6),
}
SMALL = deep_mlp.Config(image_size=4, channels=2, classes=3, width=6, depth=3)


def sequential(cfg: deep_mlp.Config) -> nn.Sequential:
    """The plain net: linear, norm, activation, dropout, over and over."""
    parts: list[nn.Module] = [nn.Flatten()]
    for layer in range(cfg.depth):
        parts += [nn.Linear(cfg.width if layer else 2 * 4 * 4, cfg.width)]
        parts += [NORMS[cfg.normalization](cfg.width)] if cfg.normalization in NORMS else []
        parts += [ACTIVATIONS[cfg.activation](), nn.Dropout(cfg.dropout)]
    return nn.Sequential(*parts, nn.Linear(cfg.width, cfg.classes))


def by_loops(cfg: deep_mlp.Config, w: dict[str, Tensor], image: Tensor) -> Tensor:
    """The nets with a skip, as the equations say, from nothing but the tensors ``w``."""

    def bend(x: Tensor, name: str) -> Tensor:
        if cfg.normalization == "rms":
            x = x / (x.square().mean(1, keepdim=True) + 1e-6).sqrt()
        elif cfg.normalization != "none":
            axis = 0 if cfg.normalization == "batch" else 1
            off = x - x.mean(axis, keepdim=True)
            x = off / (off.square().mean(axis, keepdim=True) + 1e-5).sqrt()
        if f"{name}.norm.weight" in w:
            x = x * w[f"{name}.norm.weight"] + w.get(f"{name}.norm.bias", 0.0)
        return ACTIVATIONS[cfg.activation]()(x)

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    x = image.reshape(len(image), -1)
    if cfg.skip == "residual":
        x = linear(x, "entry")
        for i in range(cfg.depth - 1):
            x = x + linear(bend(x, f"layers.{i}.activated"), f"layers.{i}.linear")
        return linear(bend(x, f"layers.{cfg.depth - 1}"), "head")
    x = bend(linear(x, "entry.linear"), "entry.activated")
    for i in range(cfg.depth - 1):
        t = 1 / (1 + torch.exp(-linear(x, f"layers.{i}.gate")))
        h = bend(linear(x, f"layers.{i}.plain.linear"), f"layers.{i}.plain.activated")
        x = t * h + (1 - t) * x
    return linear(x, "head")


def shaken(cfg: deep_mlp.Config) -> deep_mlp.DeepMLP:
    """A net in float64 in which no bias is 0 and no scale is 1, so that each of them counts."""
    model = cfg.build().double()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def combinations() -> Iterator[deep_mlp.Config]:
    """Every activation with every norm and skip. First weights, replaced by others anyway, take turns."""
    first = itertools.cycle(get_args(deep_mlp.Initialization))
    for activation, normalization, skip in itertools.product(
        get_args(deep_mlp.Activation), get_args(deep_mlp.Normalization), get_args(deep_mlp.Skip)
    ):
        yield dataclasses.replace(
            SMALL, activation=activation, normalization=normalization, skip=skip, initialization=next(first)
        )


def test_outputs_and_gradients_match_for_every_value_of_every_switch() -> None:
    """10 x 4 x 3 nets in float64: the plain ones are torch's, those with a skip are loops."""
    image, target = torch.randn(9, 2, 4, 4, dtype=torch.float64), torch.arange(9) % 3
    seen = 0
    for cfg in combinations():
        ours = shaken(cfg)
        if cfg.skip == "none":
            net = sequential(cfg).double()
            net.load_state_dict(dict(zip(net.state_dict(), ours.state_dict().values(), strict=True)))
            wanted, theirs = net(image), list(net.parameters())
        else:
            copies = {n: p.detach().clone().requires_grad_() for n, p in ours.named_parameters()}
            wanted, theirs = by_loops(cfg, copies, image), list(copies.values())
        made = ours(image)
        torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-9, msg=str(cfg))
        slopes = torch.autograd.grad(F.cross_entropy(made, target), list(ours.parameters()))
        others = torch.autograd.grad(F.cross_entropy(wanted, target), theirs)
        together, theirs = (torch.cat([s.flatten() for s in each]) for each in (slopes, others))
        torch.testing.assert_close(together, theirs, rtol=1e-7, atol=1e-9, msg=str(cfg))
        seen += 1
    assert seen == 120


def test_in_use_it_remembers_batches_and_drops_nothing() -> None:
    """Batch norm's statistics and dropout, in training and afterwards, against torch's from the same dice."""
    cfg = dataclasses.replace(SMALL, normalization="batch", dropout=0.4)
    ours, net = shaken(cfg), sequential(cfg).double()
    net.load_state_dict(dict(zip(net.state_dict(), ours.state_dict().values(), strict=True)))
    image = torch.randn(9, 2, 4, 4, dtype=torch.float64)
    for _ in range(3):
        made = []
        for model in (ours, net):
            torch.manual_seed(4)
            made.append(model(image))
        torch.testing.assert_close(made[0], made[1])
    ours.eval(), net.eval()
    torch.testing.assert_close(ours(image), net(image))
    torch.testing.assert_close(ours(image[:1]), ours(image)[:1])
    ours.train()
    assert not torch.allclose(ours(image), ours(image))  # other values are dropped each time


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_logits_match_scikit_learn(activation: Any) -> None:
    from sklearn.neural_network import MLPClassifier

    pixels, label = torch.randn(60, 32, dtype=torch.float64), torch.arange(60) % 3
    name = {"sigmoid": "logistic"}.get(activation, activation)
    peer = MLPClassifier((6, 6, 6), activation=name, max_iter=400, tol=1.0, random_state=0)
    peer.fit(pixels.numpy(), label.numpy())  # so large a tol ends it after a few passes
    ours = dataclasses.replace(SMALL, activation=activation).build().double()
    linears = [m for m in ours.modules() if isinstance(m, nn.Linear)]
    for layer, weight, bias in zip(linears, peer.coefs_, peer.intercepts_, strict=True):
        layer.weight.data, layer.bias.data = torch.from_numpy(weight.T.copy()), torch.from_numpy(bias)
    made = ours(pixels.reshape(60, 2, 4, 4)).log_softmax(1)  # logits, but for the constant that softmax drops
    wanted = torch.from_numpy(peer.predict_log_proba(pixels.numpy()))
    torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-9)


def test_first_weights_have_the_variance_that_is_promised() -> None:
    wanted = {
        "he": (2 / 784, 2 / 256),
        "xavier": (2 / (784 + 256), 1 / 256),
        "lecun": (1 / 784, 1 / 256),
        "orthogonal": (2 / 784, 2 / 256),
        "normal": (1e-4, 1e-4),
    }
    for name, skip in itertools.product(wanted, get_args(deep_mlp.Skip)):
        model = deep_mlp.Config(width=256, depth=4, initialization=name, skip=skip).build()
        linears = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]
        entry, *hidden, head = (m for n, m in linears if not n.endswith("gate"))
        gates = [m for n, m in linears if n.endswith("gate")]
        share = 1 / 3 if skip == "residual" else 1.0
        assert (len(hidden), len(gates)) == (3, 3 if skip == "highway" else 0)
        assert variance(entry) == pytest.approx(wanted[name][0], rel=0.05)
        assert all(variance(m) == pytest.approx(share * wanted[name][1], rel=0.05) for m in hidden)
        assert all(variance(m) == pytest.approx(1 / 256, rel=0.05) for m in gates)
        assert variance(head) == pytest.approx(1 / 256, rel=0.15)
        assert not any(m.bias.any() for m in (entry, *hidden, head))
        assert all(torch.equal(m.bias, torch.full((256,), -3.0)) for m in gates)
        if name == "orthogonal":
            square = hidden[0].weight @ hidden[0].weight.T
            torch.testing.assert_close(square, 2 * share * torch.eye(256), rtol=0, atol=1e-4)


def variance(layer: nn.Linear) -> float:
    return float(layer.weight.detach().var())


def test_he_carries_a_signal_down_where_xavier_and_small_weights_lose_it() -> None:
    """A ReLU takes half of the mean square each time: 2^-20 after twenty layers of Xavier."""
    image = torch.randn(256, 1, 28, 28)

    @torch.no_grad()
    def left(**switches: Any) -> float:
        model = deep_mlp.Config(width=256, **switches).build()
        return float(model.layers(model.entry(image.flatten(1))).square().mean())

    assert 0.1 < left(initialization="he") < 10
    assert 0.1 < left(initialization="orthogonal") < 10
    assert left(initialization="xavier") < 1e-4
    assert left(initialization="normal") < 1e-20
    assert 0.1 < left(initialization="he", skip="residual") < 10  # not 2^19, thanks to the smaller branches
    assert 0.1 < left(initialization="xavier", skip="highway") < 10


def test_number_of_parameters() -> None:
    """784-256-10 has 203,530. A skip costs nothing but its gates, a norm two numbers a unit, RMS one."""

    def count(**fields: Any) -> int:
        return sum(p.numel() for p in deep_mlp.Config(**fields).build().parameters())

    assert count(width=256, depth=1) == 203_530
    plain = count()
    assert plain == 784 * 64 + 64 + 19 * (64 * 64 + 64) + 64 * 10 + 10
    assert count(skip="residual") == plain
    assert count(skip="highway") == plain + 19 * (64 * 64 + 64)
    assert count(normalization="batch") == count(normalization="layer") == plain + 20 * 128
    assert count(normalization="rms", skip="residual") == plain + 20 * 64


def test_one_hidden_layer_is_allowed_with_every_skip() -> None:
    for skip in get_args(deep_mlp.Skip):
        model = dataclasses.replace(SMALL, depth=1, skip=skip).build()
        assert model(torch.randn(5, 2, 4, 4)).shape == (5, 3)


def test_wrong_settings_are_refused() -> None:
    for name in deep_mlp.SWITCHES:
        wrong = copy.copy(SMALL)
        object.__setattr__(wrong, name, "reluu")  # Config(...) itself: in tests the types are checked before
        with pytest.raises(ValueError, match=f"{name} is 'reluu'; it must be one of"):
            wrong.__post_init__()
    with pytest.raises(ValueError, match="depth is 0; it must be 1 or more"):
        deep_mlp.Config(depth=0)
    with pytest.raises(ValueError, match=r"dropout is 1\.0; it must be in \[0, 1\)"):
        deep_mlp.Config(dropout=1.0)
