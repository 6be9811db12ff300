"""The residual network for CIFAR against torchvision's blocks, loops for option A, and the paper's counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.architectures.convolutional import cifar_resnet
from fathom.architectures.convolutional.cifar_resnet import Block, CifarResNet, Config, EverySecond
from fathom.errors import InputError
from fathom.settings import diff, override

PROJECTION = Config(depth=14, width=4, classes=5, image_size=16, shortcut="projection")


def oracle(cfg: Config) -> nn.Sequential:
    """The same net, made of torchvision's blocks."""
    from torchvision.models.resnet import BasicBlock

    layers: list[nn.Module] = [
        nn.Conv2d(cfg.channels, cfg.width, 3, padding=1, bias=False), nn.BatchNorm2d(cfg.width), nn.ReLU(),
    ]  # fmt: skip
    inputs = cfg.width
    for stage in range(3):
        for place in range((cfg.depth - 2) // 6):
            outputs, stride = cfg.width << stage, 2 if stage and not place else 1
            way = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            layers.append(BasicBlock(inputs, outputs, stride, way if stride > 1 else None))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, cfg.classes))


def with_our_weights(theirs: nn.Module, ours: nn.Module) -> nn.Module:
    """The same tensors stand in the same order."""
    for tensor in (p for p in ours.parameters() if p.ndim == 1):
        tensor.data.add_(torch.randn_like(tensor) * 0.2)  # away from ones and zeros
    state = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(state)
    return theirs


def assert_same_gradients(ours: nn.Module, theirs: nn.Module) -> None:
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4 * float(b.grad.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(6, 6, 1), (6, 12, 2)])
def test_a_block_is_torchvisions(inputs: int, outputs: int, stride: int) -> None:
    from torchvision.models.resnet import BasicBlock

    ours = Block(PROJECTION, inputs, outputs, stride)
    way = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    theirs = with_our_weights(BasicBlock(inputs, outputs, stride, way if stride > 1 else None), ours)
    found = []
    x = torch.randn(4, inputs, 9, 9)
    for block in (ours, theirs):
        own = x.clone().requires_grad_()
        y = block(own)
        (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
        found.append((y, own.grad))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-4)
    assert_same_gradients(ours, theirs)


@pytest.mark.slow
def test_a_net_of_torchvisions_blocks_learns_the_same() -> None:
    """Three steps in training: losses, gradients, statistics of batch normalisation; then in use."""
    ours = PROJECTION.build()
    theirs = with_our_weights(oracle(PROJECTION), ours)
    image, target = torch.empty(0), torch.tensor([3, 1, 4, 1, 0, 2])
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.02) for net in (ours, theirs)]
    for _ in range(3):
        image = torch.randn(6, 3, 16, 16)
        logits = [net(image) for net in (ours, theirs)]
        torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
        for optimizer, out in zip(optimizers, logits, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(out, target).backward()
        assert_same_gradients(ours, theirs)
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [5, 6])
def test_option_a_by_loops(side: int) -> None:
    x = torch.randn(2, 3, side, side, dtype=torch.float64, requires_grad=True)
    rows = (side + 1) // 2
    slow = torch.zeros(2, 6, rows, rows, dtype=torch.float64)
    slope = torch.zeros_like(x)
    g = torch.randn_like(slow)
    for b in range(2):
        for c in range(3):
            for row in range(rows):
                for column in range(rows):
                    slow[b, c, row, column] = x.detach()[b, c, 2 * row, 2 * column]
                    slope[b, c, 2 * row, 2 * column] = g[b, c, row, column]
    y = EverySecond(3)(x)
    y.backward(g)
    assert torch.equal(y, slow) and x.grad is not None and torch.equal(x.grad, slope)


def batch_norm(x: Tensor, layer: Any) -> Tensor:
    """Of a batch, in elementary operations."""
    mean = x.mean(dim=(0, 2, 3), keepdim=True)
    spread = ((x - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
    return (x - mean) / (spread + 1e-5).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]


@pytest.mark.parametrize("skip", [True, False])
def test_the_net_of_option_a_and_the_plain_net_from_the_equations(skip: bool) -> None:
    """Forward and gradients of all weights, in float64, against the equations written out."""
    model = Config(depth=14, width=3, classes=4, image_size=9, skip=skip).build().double()
    image = torch.randn(3, 3, 9, 9, dtype=torch.float64)

    def by_hand(image: Tensor) -> Tensor:
        x = batch_norm(F.conv2d(image, model.convolution.weight, padding=1), model.norm).relu()
        for number, block in enumerate(model.blocks):
            assert isinstance(block, Block)
            first = number in (2, 4)
            y = F.conv2d(x, block.convolution_1.weight, stride=2 if first else 1, padding=1)
            y = batch_norm(y, block.norm_1).relu()
            y = batch_norm(F.conv2d(y, block.convolution_2.weight, padding=1), block.norm_2)
            if skip:
                short = x[..., ::2, ::2] if first else x
                zeros = torch.zeros(len(x), y.shape[1] - x.shape[1], *y.shape[2:], dtype=x.dtype)
                y = y + torch.cat([short, zeros], dim=1)
            x = y.relu()
        return x.mean(dim=(2, 3)) @ model.head.weight.T + model.head.bias

    found = []
    for forward in (model, by_hand):
        logits = forward(image)
        loss = F.cross_entropy(logits, torch.tensor([0, 3, 1]))
        found.append((logits, torch.autograd.grad(loss, list(model.parameters()))))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-10, atol=1e-10)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (cifar_resnet.cifar_resnet20, "0.27"),
        (cifar_resnet.cifar_resnet32, "0.46"),
        (cifar_resnet.cifar_resnet44, "0.66"),
        (cifar_resnet.cifar_resnet56, "0.85"),
        (cifar_resnet.cifar_resnet110, "1.7"),
    ],
)
def test_parameters_of_table_6(build: Any, millions: str) -> None:
    with torch.device("meta"):
        model = build()
    count = sum(p.numel() for p in model.parameters())
    assert f"{count / 1e6:.{len(millions) - 2}f}" == millions
    weighty = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighty) == model.cfg.depth


@pytest.mark.parametrize(
    "cfg",
    [Config(), Config(depth=14, width=6, image_size=17), PROJECTION, replace(PROJECTION, skip=False)],
)
def test_multiply_adds_are_those_of_the_layers(cfg: Config) -> None:
    counted = 0

    def count(layer: Any, given: Any, made: Tensor) -> None:
        nonlocal counted
        counted += layer.weight.numel() * made[0, 0].numel()

    with torch.device("meta"):
        model = cfg.build()
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(count)
        model.eval()(torch.empty(1, 3, cfg.image_size, cfg.image_size))
    assert cfg.multiply_adds == counted


def test_a_block_that_adds_nothing_hands_on_what_it_was_given() -> None:
    block = Block(Config(), 16, 16, 1)
    nn.init.zeros_(block.norm_2.weight)  # type: ignore[arg-type]
    x = torch.rand(2, 16, 8, 8)
    assert torch.equal(block(x), x)
    plain = Block(Config(skip=False), 16, 16, 1)
    nn.init.zeros_(plain.norm_2.weight)  # type: ignore[arg-type]
    assert not plain(x).any()


def test_shortcuts_carry_the_gradient_to_the_first_layer() -> None:
    """Without normalisation next to nothing arrives through 50 plain layers; by the shortcuts it does."""
    cfg = Config(depth=50, width=4, normalization="identity", initialization="xavier", image_size=16)
    image = torch.randn(8, 3, 16, 16)
    arrived = {}
    for skip in (True, False):
        torch.manual_seed(0)
        model = replace(cfg, skip=skip).build()
        F.cross_entropy(model(image), torch.arange(8)).backward()
        assert model.convolution.weight.grad is not None
        arrived[skip] = float(model.convolution.weight.grad.norm())
    assert arrived[False] < 1e-3 * arrived[True]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("shortcut", cifar_resnet.Shortcut),
        ("activation", cifar_resnet.Activation),
        ("normalization", cifar_resnet.Normalization),
        ("initialization", cifar_resnet.Initialization),
    ],
)
def test_every_switch_turns_from_the_command_line_and_changes_the_answer(name: str, kinds: Any) -> None:
    image, answers = torch.randn(2, 3, 16, 16), []
    for kind in get_args(kinds):
        cfg = override(Config(depth=8, width=4, image_size=16), name, kind)
        assert getattr(cfg, name) == kind
        torch.manual_seed(0)
        model = cfg.build()
        logits = model(image)
        logits.square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        answers.append(logits)
    for i, answer in enumerate(answers):
        assert answer.isfinite().all() and not any(torch.equal(answer, other) for other in answers[:i])


def test_layer_normalisation_measures_a_picture_alone() -> None:
    x = torch.randn(3, 8, 5, 5, dtype=torch.float64) * 4 + 1
    layer = cifar_resnet.normalization(Config(normalization="layer"), 8).double()
    torch.testing.assert_close(layer(x), F.layer_norm(x, x.shape[1:]))
    group = cifar_resnet.normalization(Config(normalization="group"), 6).double()
    torch.testing.assert_close(group(x[:, :6]), F.group_norm(x[:, :6], 2))


def test_without_normalisation_convolutions_have_biases() -> None:
    for kind in get_args(cifar_resnet.Normalization):
        model = Config(depth=8, normalization=kind, shortcut="projection").build()
        convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
        assert len(convolutions) == 9 and all(
            (m.bias is not None) == (kind == "identity") for m in convolutions
        )
        assert all(not m.bias.any() for m in convolutions if m.bias is not None)


def test_initial_weights_have_the_scale_that_is_promised() -> None:
    for kind, variance in (("he", 2 / 576), ("xavier", 2 / (576 + 576))):
        block: Any = override(Config(depth=8), "initialization", kind).build().blocks[-1]
        assert block.convolution_2.weight.var().item() == pytest.approx(variance, rel=0.03)


def test_memory_order_and_size_of_pictures_do_not_matter() -> None:
    model = Config(depth=8, width=4).build().eval()
    image = torch.randn(2, 3, 19, 24)
    turned = image.to(memory_format=torch.channels_last)
    torch.testing.assert_close(model(image), model(turned), rtol=1e-5, atol=1e-5)
    assert model.blocks(model.convolution(image)).is_contiguous(memory_format=torch.channels_last)


def test_weights_come_in_with_a_report(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = cifar_resnet.cifar_resnet20()
    save_file({n: t.contiguous() for n, t in source.state_dict().items()}, tmp_path / "net.safetensors")
    same = cifar_resnet.cifar_resnet20(weights=tmp_path / "net.safetensors")
    assert torch.equal(same.head.weight, source.head.weight)
    tuned: Any = cifar_resnet.cifar_resnet20(weights=source.state_dict(), classes=4)
    assert isinstance(tuned, CifarResNet) and tuple(tuned.load_report.new) == ("head.weight", "head.bias")
    assert torch.equal(tuned.convolution.weight, source.convolution.weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 2}, r"depth is 2; it must be 6n \+ 2"),
        ({"depth": 18}, "depth is 18"),
        ({"width": 0}, "width is 0; it must be 1 or more"),
        ({"classes": 0}, "classes is 0"),
        ({"channels": -1}, "channels is -1"),
        ({"image_size": 7}, "image_size is 7; it must be 8 or more"),
    ],
)
def test_wrong_sizes_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**settings)


@pytest.mark.parametrize("name", ["shortcut", "activation", "normalization", "initialization"])
def test_switches_that_do_not_exist_are_refused(name: str) -> None:
    cfg = Config()
    object.__setattr__(cfg, name, "softmax")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match=f"{name} is 'softmax'; it must be one of"):
        cfg.__post_init__()
    with pytest.raises(InputError, match=f"--set {name}=softmax"):
        override(Config(), name, "softmax")


def test_the_mixed_recipe_differs_by_mixup_alone() -> None:
    from fathom.recipes.cifar_resnet import cifar10_few, cifar10_few_mixup

    few, mixed = cifar10_few(), cifar10_few_mixup()
    assert mixed.augment[:-1] == few.augment
    assert diff(few, replace(mixed, augment=few.augment)) == {}
