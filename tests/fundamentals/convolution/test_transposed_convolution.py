"""Transposed convolution and its twins on 300 seeded shapes against torch; it transposes; sizes come back."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.fundamentals.convolution.shapes import Case, convolutions, transposed_convolutions
from tests.fundamentals.convolution.test_convolution import outcome
from torch import Tensor

from fathom.fundamentals.convolution.convolution import (
    convolution,
    convolution_as_product_by_hand,
    output_size,
    per_axis,
)
from fathom.fundamentals.convolution.fourier_convolution import (
    fourier_convolution,
    fourier_convolution_by_hand,
)
from fathom.fundamentals.convolution.transposed_convolution import (
    transposed_convolution,
    transposed_convolution_as_convolution_by_hand,
    transposed_convolution_as_product_by_hand,
    transposed_convolution_by_hand,
    transposed_size,
)

SHAPES = transposed_convolutions(300, seed=0)
TURNED = transposed_convolution_as_convolution_by_hand
VERSIONS = {
    "ours": transposed_convolution,
    "stamps": transposed_convolution_by_hand,
    "a product": transposed_convolution_as_product_by_hand,
    "sliding": TURNED,
    "sliding, as a product": partial(TURNED, convolve=convolution_as_product_by_hand),
    "frequencies": partial(TURNED, convolve=fourier_convolution),
    "frequencies by hand": partial(TURNED, convolve=fourier_convolution_by_hand),
}
TORCHS: dict[int, Callable[..., Tensor]] = {
    3: F.conv_transpose1d,
    4: F.conv_transpose2d,
    5: F.conv_transpose3d,
}
EACH = pytest.mark.parametrize("version", list(VERSIONS))


def test_the_shapes_hold_what_they_are_to_hold() -> None:
    seen = Counter((case.kind, len(case.x) - 2) for case in SHAPES)
    assert len(seen) == 21 and min(seen.values()) >= 10
    assert sum(case.x[0] == 1 for case in SHAPES) > 100
    assert sum(max(case.x[2:]) == 1 for case in SHAPES) > 30
    for name in ("stride", "padding", "output_padding", "dilation"):
        assert sum(isinstance(case.settings[name], tuple) for case in SHAPES) > 60, name


@EACH
def test_values_and_gradients_are_torchs_on_300_shapes(version: str) -> None:
    ours = VERSIONS[version]
    for i, case in enumerate(SHAPES):
        tensors = case.tensors(i)
        expected = outcome(partial(TORCHS[len(case.x)], **case.settings), tensors)
        for a, b in zip(outcome(partial(ours, **case.settings), tensors), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10, msg=lambda m, case=case: f"{case}: {m}")


@EACH
def test_float32_agrees_on_300_shapes(version: str) -> None:
    for i, case in enumerate(SHAPES):
        tensors = case.tensors(i, torch.float32)
        expected = TORCHS[len(case.x)](*tensors, **case.settings)
        gap = (VERSIONS[version](*tensors, **case.settings) - expected).abs().max()
        assert gap <= 1e-5 * max(1.0, float(expected.abs().max())), case


@EACH
def test_gradients_match_finite_differences(version: str) -> None:
    for i, case in enumerate(transposed_convolutions(21, seed=1)):
        inputs = [t.requires_grad_() for t in case.tensors(i) if t is not None]
        assert torch.autograd.gradcheck(partial(VERSIONS[version], **case.settings), inputs, fast_mode=True)


def test_it_is_the_transpose_and_so_the_gradient_of_a_convolution() -> None:
    """<conv(x), y> = <x, transposed(y)>, where output_padding returns to the very size of x."""
    compared = 0
    for i, case in enumerate(convolutions(200, seed=2)):
        if case.kind == "same":
            continue
        x, weight, _ = case.tensors(i)
        assert x is not None and weight is not None
        x.requires_grad_()
        y = convolution(x, weight, **case.settings)
        slope = torch.randn_like(y)
        back = transposed_convolution(slope, weight, output_padding=left_over(case), **case.settings)
        torch.testing.assert_close((y * slope).sum(), (x * back).sum(), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(torch.autograd.grad(y, x, slope)[0], back, rtol=1e-10, atol=1e-10)
        compared += 1
    assert compared > 150


def left_over(case: Case) -> tuple[int, ...]:
    """How many places behind its last window a convolution did not look at."""
    axes = len(case.x) - 2
    s, p, d = (per_axis(n, case.settings[n], axes, least=0) for n in ("stride", "padding", "dilation"))
    return tuple((case.x[2 + i] + 2 * p[i] - d[i] * (case.weight[2 + i] - 1) - 1) % s[i] for i in range(axes))


def test_sizes_that_a_convolution_maps_on_one_are_those_that_output_padding_returns_to() -> None:
    for k in (1, 2, 3, 5):
        for s in (1, 2, 3, 4):
            for p in range(k // 2 + 1):
                shrunk = {n: output_size(n, k, stride=s, padding=p) for n in range(max(1, k - 2 * p), 40)}
                for n in set(shrunk.values()):
                    most = transposed_size(n, k, stride=s, padding=p, output_padding=s - 1)
                    sizes = {size for size in range(most - s + 1, most + 1) if size >= 1}
                    for size in sizes:
                        e = size - most + s - 1
                        assert transposed_size(n, k, stride=s, padding=p, output_padding=e) == size
                        assert output_size(size, k, stride=s, padding=p) == n
                    origins = {large for large, small in shrunk.items() if small == n}
                    assert origins == {size for size in sizes if size < 40}


def test_a_kernel_that_the_stride_does_not_divide_makes_a_checkerboard() -> None:
    """How many stamps cover each place, borders aside."""
    x = torch.ones(1, 1, 8, dtype=torch.float64)
    for k, uneven in ((4, False), (2, False), (3, True), (5, True)):
        inner = transposed_convolution(x, torch.ones(1, 1, k, dtype=torch.float64), stride=2)[0, 0, 6:-6]
        assert (float(inner.max() - inner.min()) > 0) == uneven


def test_an_empty_batch_and_half_precision() -> None:
    x, weight = torch.randn(2, 3, 4, 4), torch.randn(3, 2, 3, 3)
    assert transposed_convolution(x[:0], weight, stride=2).shape == (0, 2, 9, 9)
    for kind in (torch.float16, torch.bfloat16):
        made = transposed_convolution(x.to(kind), weight.to(kind), stride=2)
        expected = transposed_convolution_by_hand(x.to(kind).double(), weight.to(kind).double(), stride=2)
        torch.testing.assert_close(made.double(), expected, rtol=0.02, atol=0.02)


def test_what_torch_refuses_is_refused_with_a_reason() -> None:
    """Settings drawn without care: torch and ours accept the same ones, and agree on those."""
    dice, counts = random.Random(0), Counter[bool]()
    for _ in range(1500):
        axes, groups = dice.randint(1, 3), dice.randint(1, 3)
        weight = torch.randn(
            dice.randint(1, 6), dice.randint(1, 3), *(dice.randint(1, 3) for _ in range(axes))
        )
        channels = len(weight) if dice.random() < 0.8 else dice.randint(1, 6)
        x = torch.randn(1, channels, *(dice.randint(1, 3) for _ in range(axes)))
        settings: dict[str, Any] = {
            "stride": tuple(dice.choice((0, *(1, 2, 3) * 8)) for _ in range(axes)),
            "padding": tuple(dice.choice((-1, *(0, 0, 1) * 8)) for _ in range(axes)),
            "output_padding": tuple(dice.choice((0, 0, 0, 1, 2)) for _ in range(axes)),
            "dilation": tuple(dice.choice((0, *(1, 1, 2) * 8)) for _ in range(axes)),
            "groups": groups,
        }
        try:
            expected = TORCHS[x.ndim](x, weight, **settings)
        except RuntimeError:
            expected = None
        if 0 in settings["dilation"] or (expected is not None and not expected.numel()):
            expected = None  # torch piles all taps on one place, or makes a picture of nothing
        counts[expected is None] += 1
        if expected is None:
            with pytest.raises(ValueError, match=r"it must|take less"):
                transposed_convolution(x, weight, **settings)
        else:
            torch.testing.assert_close(transposed_convolution(x, weight, **settings), expected)
    assert min(counts.values()) > 150, counts


def test_bad_input_is_refused() -> None:
    x, weight = torch.randn(2, 4, 3, 3), torch.randn(4, 3, 3, 3)
    ours = transposed_convolution
    for wrong, words in (
        (lambda: ours(x[0], weight), r"x has shape \(4, 3, 3\); beside weight \(4, 3, 3, 3\)"),
        (lambda: ours(x.long(), weight), "x has dtype torch.int64"),
        (lambda: ours(x, weight[:3]), r"for the 4 channels of x it must be \(4, outputs / groups, \*kernel"),
        (lambda: ours(x, weight, torch.ones(3), groups=2), r"bias has shape \(3,\); weight asks for \(6,\)"),
        (lambda: ours(x, weight, groups=3), "groups is 3; it must divide the 4 channels of x"),
        (lambda: ours(x, weight, stride=0), "stride is 0; it must be a whole number of 1 or more"),
        (lambda: ours(x, weight, padding=(0, -1)), r"padding is \(0, -1\); it must be a whole number of 0"),
        (lambda: ours(x, weight, dilation=(1, 1, 1)), "or 2 of them"),
        (lambda: ours(x, weight, output_padding=1), "output_padding is 1; it must be 0 to 0: smaller than"),
        (lambda: ours(x, weight, padding=3), "padding is 3; it cuts 6 of 5 places off; take less"),
        (lambda: transposed_size(0, 1), "size is 0; it must be 1 or more"),
        (lambda: transposed_size(1, 1, padding=-1), "padding is -1; it must be 0 or more"),
        (lambda: transposed_size(2, 2, stride=2, output_padding=2), "it must be 0 to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
