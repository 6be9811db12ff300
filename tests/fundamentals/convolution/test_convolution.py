"""Convolution and its twins on 300 seeded shapes against torch; what the settings mean; the size formula."""

import random
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.fundamentals.convolution.shapes import KINDS, Case, convolutions
from torch import Tensor

from fathom.fundamentals.convolution.convolution import (
    convolution,
    convolution_as_product_by_hand,
    convolution_by_hand,
    output_size,
    spread,
    windows,
)

SHAPES = convolutions(300, seed=0)
VERSIONS = (convolution, convolution_by_hand, convolution_as_product_by_hand)
TORCHS: dict[int, Callable[..., Tensor]] = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}


def oracle(case: Case) -> Callable[..., Tensor]:
    def run(*tensors: Tensor | None) -> Tensor:
        with warnings.catch_warnings():  # torch finds an even kernel of the same size worth a word
            warnings.simplefilter("ignore", UserWarning)
            return TORCHS[len(case.x)](*tensors, **case.settings)

    return run


def outcome(function: Callable[..., Tensor], tensors: list[Tensor | None]) -> list[Tensor]:
    """The value and the gradient of each input, under a slope that differs from place to place."""
    leaves = [None if t is None else t.clone().requires_grad_() for t in tensors]
    y = function(*leaves)
    slope = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    return [y, *torch.autograd.grad(y, [t for t in leaves if t is not None], slope)]


def test_the_shapes_hold_what_they_are_to_hold() -> None:
    seen = Counter((case.kind, len(case.x) - 2) for case in SHAPES)
    assert set(seen) == {(kind, axes) for kind in KINDS for axes in (1, 2, 3)}
    assert min(seen.values()) >= 10
    assert sum(case.x[0] == 1 for case in SHAPES) > 100
    assert sum(max(case.x[2:]) == 1 for case in SHAPES) > 30
    assert (
        sum(not min(x - k for x, k in zip(case.x[2:], case.weight[2:], strict=True)) for case in SHAPES) > 60
    )
    assert sum(isinstance(case.settings["padding"], tuple) for case in SHAPES) > 60
    assert sum(case.kind == "same" and min(k % 2 for k in case.weight[2:]) == 0 for case in SHAPES) > 10


@pytest.mark.parametrize("ours", VERSIONS)
def test_values_and_gradients_are_torchs_on_300_shapes(ours: Callable[..., Tensor]) -> None:
    """float64 to 1e-10: a hundred thousandth of what is asked for."""
    for i, case in enumerate(SHAPES):
        tensors = case.tensors(i)
        expected = outcome(oracle(case), tensors)
        made = outcome(lambda *given, case=case: ours(*given, **case.settings), tensors)
        for a, b in zip(made, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=lambda m, case=case: f"{case}: {m}")


@pytest.mark.parametrize("ours", VERSIONS)
def test_float32_agrees_on_300_shapes(ours: Callable[..., Tensor]) -> None:
    for i, case in enumerate(SHAPES):
        tensors = case.tensors(i, torch.float32)
        expected = oracle(case)(*tensors)
        torch.testing.assert_close(ours(*tensors, **case.settings), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ours", VERSIONS)
def test_gradients_match_finite_differences_twice(ours: Callable[..., Tensor]) -> None:
    for i, case in enumerate(convolutions(27, seed=1)):
        inputs = [t.requires_grad_() for t in case.tensors(i) if t is not None]
        function = lambda *given, case=case: ours(*given, **case.settings)  # noqa: E731
        assert torch.autograd.gradcheck(function, inputs, fast_mode=True), case
        assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True), case


def test_the_size_formula_counts_the_places_where_a_kernel_fits() -> None:
    dice, fitting = random.Random(0), 0
    for _ in range(2000):
        n, k, s, d = dice.randint(1, 12), dice.randint(1, 5), dice.randint(1, 4), dice.randint(1, 3)
        before, after = dice.randint(0, 3), dice.randint(0, 3)
        last = before + n + after - 1  # the last position that there is
        places = sum(s * i + d * (k - 1) <= last for i in range(30))
        if places:
            assert output_size(n, k, stride=s, padding=(before, after), dilation=d) == places
            fitting += 1
            if before == after:
                y = F.conv1d(torch.zeros(1, 1, n), torch.zeros(1, 1, k), None, s, before, d)
                assert output_size(n, k, stride=s, padding=before, dilation=d) == y.shape[-1]
        else:
            with pytest.raises(ValueError, match=f"spans {d * (k - 1) + 1} places; size {n}"):
                output_size(n, k, stride=s, padding=(before, after), dilation=d)
    assert 1000 < fitting < 2000


def test_an_odd_kernel_with_half_of_it_as_padding_keeps_the_size_and_a_stride_divides_it() -> None:
    for n in range(1, 40):
        for k in (1, 3, 5, 7):
            for s in (1, 2, 3, 4):
                assert output_size(n, k, stride=s, padding=k // 2) == -(-n // s)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def test_what_moves_in_the_picture_moves_in_the_output() -> None:
    x, weight = torch.zeros(1, 2, 12, 12, dtype=torch.float64), normal(3, 2, 3, 3)
    x[:, :, 3:6, 2:6] = normal(1, 2, 3, 4)
    moved = convolution(x.roll((4, 3), (2, 3)), weight)
    torch.testing.assert_close(moved, convolution(x, weight).roll((4, 3), (2, 3)), rtol=0, atol=1e-12)
    assert moved.abs().max() > 0.1


def test_settings_mean_what_the_table_says() -> None:
    x, weight = normal(2, 4, 9, 8), normal(6, 4, 3, 2)
    whole = convolution(x, weight)
    torch.testing.assert_close(convolution(x, weight, stride=(2, 3)), whole[:, :, ::2, ::3])
    torch.testing.assert_close(
        convolution(x, weight, dilation=(2, 3)), convolution(x, spread(weight, (2, 3)))
    )
    torch.testing.assert_close(convolution(x, weight, padding="valid"), whole)
    assert convolution(x, weight, padding="same").shape == (2, 6, 9, 8)

    blocks = torch.zeros(6, 4, 3, 2, dtype=torch.float64)  # groups: a weight of blocks, zero elsewhere
    blocks[:3, :2], blocks[3:, 2:] = weight[:3, :2], weight[3:, :2]
    torch.testing.assert_close(convolution(x, weight[:, :2], groups=2), convolution(x, blocks))

    depthwise = convolution(x, weight[:4, :1], groups=4)
    for c in range(4):
        torch.testing.assert_close(depthwise[:, [c]], convolution(x[:, [c]], weight[[c], :1]))

    mixing = normal(5, 4)  # a kernel of size 1 is a dense layer at every place
    by_place = F.linear(x.movedim(1, -1), mixing).movedim(-1, 1)
    torch.testing.assert_close(convolution(x, mixing[..., None, None]), by_place)
    kernel = normal(5, 4, 9, 8)  # and one as large as the picture is a dense layer of it all
    torch.testing.assert_close(convolution(x, kernel).flatten(1), F.linear(x.flatten(1), kernel.flatten(1)))


def test_windows_are_a_view() -> None:
    x = normal(1, 2, 6, 6)
    seen = windows(x, (3, 2), (1, 2), (2, 1))
    assert seen.shape == (1, 2, 2, 3, 3, 2)
    assert seen.data_ptr() == x.data_ptr()
    assert torch.equal(seen[0, 1, 1, 2], x[0, 1, 1:6:2, 4:6])


def test_an_empty_batch_and_half_precision() -> None:
    assert convolution(torch.zeros(0, 2, 5, 5), torch.zeros(3, 2, 2, 2), padding="same").shape == (0, 3, 5, 5)
    x, weight = torch.randn(2, 3, 6, 6), torch.randn(4, 3, 3, 3)
    for kind in (torch.float16, torch.bfloat16):
        made = convolution(x.to(kind), weight.to(kind))
        assert made.dtype == kind
        expected = convolution_by_hand(x.to(kind).double(), weight.to(kind).double())
        torch.testing.assert_close(made.double(), expected, rtol=0.02, atol=0.02)


def test_what_torch_refuses_is_refused_with_a_reason() -> None:
    """Settings drawn without care: torch and ours accept the same ones, and agree on those."""
    dice, counts = random.Random(0), Counter[bool]()
    for _ in range(1500):
        axes = dice.randint(1, 3)
        groups = dice.choice((0, *(1, 2, 3) * 4))
        x = torch.randn(1, dice.randint(1, 6), *(dice.randint(1, 4) for _ in range(axes)))
        outputs = dice.randint(1, 6) if dice.random() < 0.2 else max(1, groups) * dice.randint(1, 3)
        weight = torch.randn(outputs, dice.randint(1, 3), *(dice.randint(1, 4) for _ in range(axes)))
        if dice.random() < 0.8:
            x = torch.randn(1, groups * weight.shape[1] or 1, *x.shape[2:])
        settings: dict[str, Any] = {
            "stride": tuple(dice.choice((0, *(1, 2, 3) * 8)) for _ in range(axes)),
            "padding": tuple(dice.choice((-1, *(0, 1, 2) * 8)) for _ in range(axes)),
            "dilation": tuple(dice.choice((0, *(1, 1, 2) * 8)) for _ in range(axes)),
            "groups": groups,
        }
        try:
            expected = TORCHS[x.ndim](x, weight, **settings)
        except RuntimeError:
            expected = None
        counts[expected is None] += 1
        if expected is None:
            with pytest.raises(ValueError, match=r"it must|take a smaller kernel"):
                convolution(x, weight, **settings)
        else:
            torch.testing.assert_close(convolution(x, weight, **settings), expected)
    assert min(counts.values()) > 200, counts


def test_bad_input_is_refused() -> None:
    x, weight = torch.randn(2, 4, 6, 6), torch.randn(6, 4, 3, 3)
    for wrong, words in (
        (lambda: convolution(x[0], weight), r"x has shape \(4, 6, 6\); beside weight \(6, 4, 3, 3\)"),
        (lambda: convolution(x, weight[0, 0]), r"weight has shape \(3, 3\); it must have 3 to 5 axes"),
        (lambda: convolution(x, weight[:0]), r"weight has shape \(0, 4, 3, 3\)"),
        (lambda: convolution(x.long(), weight.long()), "x has dtype torch.int64"),
        (lambda: convolution(x, weight[:, :3]), r"for 4 channels in groups=1 it must be \(outputs, 4, \*ke"),
        (lambda: convolution(x, weight, torch.ones(4)), r"bias has shape \(4,\); weight asks for \(6,\)"),
        (lambda: convolution(x, weight, groups=3), "groups is 3; it must divide the 4 channels of x and 6"),
        (lambda: convolution(x, weight, groups=0), "groups is 0"),
        (
            lambda: convolution(x, weight, stride=(1, 0)),
            r"stride is \(1, 0\); it must be a whole number of 1",
        ),
        (lambda: convolution(x, weight, stride=(1, 1, 1)), "or more, or 2 of them"),
        (lambda: convolution(x, weight, padding=-1), "padding is -1; it must be a whole number of 0 or more"),
        (lambda: convolution(x, weight, dilation=0), "dilation is 0"),
        (lambda: convolution(x, weight, padding="same", stride=2), "stride is 2; with padding 'same'"),
        (lambda: convolution(x, weight, dilation=3), "dilation 3, which spans 7 places; size 6 with padding"),
        (lambda: output_size(0, 1), "size is 0; it must be 1 or more"),
        (lambda: output_size(3, 0), "kernel is 0"),
        (lambda: output_size(3, 1, stride=0), "stride is 0"),
        (lambda: output_size(3, 1, padding=(0, -1)), r"padding is \(0, -1\); it must be 0 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
