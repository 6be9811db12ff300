"""The residual block against torchvision's with the same weights, and timm's pre-activated one."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.fundamentals.networks.residual import (
    BasicBlock,
    PreActivationBlock,
    convolution_by_hand,
    padded_shortcut,
)

SIZES = ((8, 8, 1), (8, 16, 2), (8, 24, 1), (8, 8, 2))  # input channels, output channels, stride


def three_steps(ours: nn.Module, theirs: nn.Module, rename: dict[str, str]) -> tuple[float, float, float]:
    """Largest difference of outputs, of gradients and of running statistics over three training steps."""
    moves = [torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (ours, theirs)]
    largest = {"output": 0.0, "gradient": 0.0, "statistics": 0.0}
    partners = dict(theirs.named_parameters())

    def note(kind: str, a: Tensor, b: Tensor) -> None:
        largest[kind] = max(largest[kind], float((a - b).detach().abs().max()))

    for step in range(3):
        x = torch.randn(6, 8, 9, 7) * 2 + step
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        made, wanted = ours(a), theirs(b)
        for move in moves:
            move.zero_grad()
        g = torch.randn_like(made)
        made.backward(g)
        wanted.backward(g)
        note("output", made, wanted)
        assert a.grad is not None and b.grad is not None
        note("gradient", a.grad, b.grad)
        for name, weight in ours.named_parameters():
            note("gradient", weight.grad, partners[renamed(name, rename)].grad)  # type: ignore[arg-type]
        for move in moves:
            move.step()
    memory = dict(theirs.named_buffers())
    for name, value in ours.named_buffers():
        note("statistics", value, memory[renamed(name, rename)])
    x = torch.randn(2, 8, 9, 7)
    note("output", ours.eval()(x), theirs.eval()(x))
    return largest["output"], largest["gradient"], largest["statistics"]


def renamed(name: str, rename: dict[str, str]) -> str:
    for old, new in rename.items():
        name = name.replace(old, new)
    return name


@pytest.mark.slow
def test_basic_block_is_torchvisions() -> None:
    from torchvision.models.resnet import BasicBlock as Theirs

    for inputs, outputs, stride in SIZES:
        torch.manual_seed(outputs + stride)
        project = None
        if stride > 1 or inputs != outputs:
            narrow = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            project = nn.Sequential(narrow, nn.BatchNorm2d(outputs))
        theirs, ours = Theirs(inputs, outputs, stride, project), BasicBlock(inputs, outputs, stride)
        report = ours.load_state_dict(theirs.state_dict(), strict=True)
        assert not report.missing_keys and not report.unexpected_keys
        output, gradient, statistics = three_steps(ours, theirs, {})
        assert output <= 1e-5 and gradient <= 1e-4 and statistics <= 1e-5


@pytest.mark.slow
def test_pre_activation_block_is_timms() -> None:
    from timm.layers import BatchNormAct2d
    from timm.models.resnetv2 import DownsampleConv, PreActBasic

    rename = {"bn": "norm", "downsample": "downsample.conv"}
    for inputs, outputs, stride in SIZES:
        torch.manual_seed(outputs + stride)
        theirs: Any = PreActBasic(
            inputs, outputs, stride=stride, conv_layer=same_size, norm_layer=BatchNormAct2d,
            proj_layer=DownsampleConv,
        )  # fmt: skip
        ours = PreActivationBlock(inputs, outputs, stride)
        values = theirs.state_dict()
        ours.load_state_dict({name: values[renamed(name, rename)] for name in ours.state_dict()})
        assert len(values) == len(ours.state_dict())
        output, gradient, statistics = three_steps(ours, theirs, rename)
        assert output <= 1e-5 and gradient <= 1e-4 and statistics <= 1e-5


def same_size(inputs: int, outputs: int, size: int, stride: int = 1, **others: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)


def test_convolution_by_hand_is_torchs() -> None:
    for size, stride in ((1, 1), (3, 1), (3, 2), (1, 2), (5, 3)):
        x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
        weight = torch.randn(4, 3, size, size, dtype=torch.float64)
        expected = F.conv2d(x, weight, stride=stride, padding=size // 2)
        torch.testing.assert_close(convolution_by_hand(x, weight, stride), expected, rtol=0, atol=1e-12)


def zeroed(block: BasicBlock | PreActivationBlock) -> BasicBlock | PreActivationBlock:
    """With F(x) = 0."""
    nn.init.zeros_(block.conv2.weight)
    return block.eval()


def test_a_block_that_adds_nothing_is_its_shortcut() -> None:
    x = torch.randn(2, 4, 5, 6)
    assert torch.equal(zeroed(BasicBlock(4, 4))(x), torch.relu(x))
    assert torch.equal(zeroed(PreActivationBlock(4, 4))(x), x)
    for kind, last in ((BasicBlock, torch.relu), (PreActivationBlock, lambda y: y)):
        made = zeroed(kind(4, 7, 2, shortcut="padding"))(x)
        assert made.shape == (2, 7, 3, 3)
        assert torch.equal(made[:, :4], last(x[:, :, ::2, ::2])) and not made[:, 4:].any()
        assert not zeroed(kind(4, 4, skip=False))(x).any()
    assert padded_shortcut(x, 4) is x


def test_a_deep_stack_passes_the_gradient_on_only_with_skips() -> None:
    """28 blocks of two convolutions, as in a network of 56 layers: what reaches the input."""
    reached: dict[bool, float] = {}
    for skip in (True, False):
        torch.manual_seed(0)
        net = nn.Sequential(*(PreActivationBlock(4, 4, skip=skip) for _ in range(28)))
        for part in net.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, std=0.05)
        net.eval()  # norms that rescale nothing
        x = torch.randn(1, 4, 6, 6, requires_grad=True)
        net(x).sum().backward()
        assert x.grad is not None
        reached[skip] = float(x.grad.norm())
    assert reached[True] > 0.5 and reached[False] < 1e-6


def test_parameters_of_plain_and_residual_blocks_are_equally_many() -> None:
    """Identity shortcuts and padding are free (section 3.3 of the paper); only a projection costs."""

    def count(block: nn.Module) -> int:
        return sum(p.numel() for p in block.parameters())

    for kind in (BasicBlock, PreActivationBlock):
        assert count(kind(4, 4)) == count(kind(4, 4, skip=False)) == 2 * 9 * 16 + 2 * 2 * 4
        assert count(kind(4, 8, 2, shortcut="padding")) == count(kind(4, 8, 2, skip=False))
        assert count(kind(4, 8, 2)) > count(kind(4, 8, 2, skip=False))
        assert kind(4, 8, 2, skip=False).downsample is None


def test_extremes() -> None:
    for kind in (BasicBlock, PreActivationBlock):
        block = kind(2, 3, 2)
        assert block.eval()(torch.zeros(0, 2, 4, 4)).shape == (0, 3, 2, 2)
        assert block(torch.zeros(1, 2, 1, 1)).shape == (1, 3, 1, 1)
        for x in (torch.zeros(2, 2, 4, 4), torch.randn(2, 2, 4, 4).sign() * 1e4):
            y = block.train()(x)
            assert y.isfinite().all()
            y.sum().backward()
            assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    for kind in (BasicBlock, PreActivationBlock):
        block, x = kind(2, 3, 2).eval(), torch.randn(2, 2, 4, 4)
        expected = block(x)
        torch.testing.assert_close(block.to(dtype)(x.to(dtype)).float(), expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", [BasicBlock, PreActivationBlock])
def test_bad_input_is_refused(kind: Any) -> None:
    cases: list[tuple[Callable[[], object], str]] = [
        (partial(kind, 0, 4), "inputs is 0; it must be 1 or more"),
        (partial(kind, 4, -1), "outputs is -1"),
        (partial(kind, 4, 4, 0), "stride is 0"),
        (partial(kind, 4, 4, shortcut="none"), "shortcut is 'none'; it must be 'projection' or 'padding'"),
        (partial(kind, 4, 2, shortcut="padding"), "outputs is 2; padding only adds channels to the 4"),
        (
            lambda: kind(4, 4)(torch.zeros(2, 3, 4, 4)),
            r"x has shape \(2, 3, 4, 4\); it must be \(b, 4, h, w\)",
        ),
        (lambda: kind(4, 4)(torch.zeros(4, 4, 4)), r"x has shape \(4, 4, 4\)"),
        (lambda: kind(1, 1)(torch.zeros(1, 1, 2, 2).long()), "x has dtype torch.int64"),
        (lambda: padded_shortcut(torch.zeros(1, 4, 2, 2), 3), "outputs is 3; padding only adds"),
        (lambda: padded_shortcut(torch.zeros(4, 2, 2), 4), r"x has shape \(4, 2, 2\)"),
    ]
    for call, words in cases:
        with pytest.raises(ValueError, match=words):
            call()
