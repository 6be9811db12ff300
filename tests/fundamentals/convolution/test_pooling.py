"""Pooling on 240 seeded shapes against torch.nn, window by window, and for sizes of every kind."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from tests.fundamentals.convolution.test_convolution import outcome
from torch import Tensor, nn

from fathom.fundamentals.convolution.convolution import convolution
from fathom.fundamentals.convolution.pooling import (
    adaptive_average_pool,
    adaptive_average_pool_by_hand,
    adaptive_max_pool,
    adaptive_max_pool_by_hand,
    adaptive_windows,
    average_pool,
    average_pool_by_hand,
    global_average_pool,
    global_average_pool_by_hand,
    global_max_pool,
    global_max_pool_by_hand,
    max_pool,
    max_pool_by_hand,
    pooled_size,
)

LARGEST = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_LARGEST = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
ADAPTIVE_MEANS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
KINDS = ("max", "average", "adaptive max", "adaptive average", "global max", "global average")
Function = Callable[..., Tensor]
Case = tuple[str, tuple[int, ...], Function, Function, Function]  # kind, shape, ours, by hand, torch's


def cases(count: int, seed: int) -> list[Case]:
    """``count`` cases that all fit; kinds and dimensions take turns."""
    dice = random.Random(seed)
    return [case(dice, KINDS[i % 6], 1 + i // 6 % 3) for i in range(count)]


def case(dice: random.Random, kind: str, axes: int) -> Case:
    size = [1 if dice.random() < 0.1 else dice.randint(1, 7 - axes) for _ in range(axes)]
    shape = (dice.randint(1, 2), dice.randint(1, 3), *size)
    if kind.startswith("global"):
        largest = kind.endswith("max")
        theirs = (ADAPTIVE_LARGEST if largest else ADAPTIVE_MEANS)[axes - 1](1)
        ours = global_max_pool if largest else global_average_pool
        by_hand = global_max_pool_by_hand if largest else global_average_pool_by_hand
        return kind, shape, ours, by_hand, lambda x: theirs(x).flatten(1)
    if kind.startswith("adaptive"):
        places = tuple(dice.randint(1, 6) for _ in size)
        wanted = places[0] if dice.random() < 0.3 else places
        if kind.endswith("max"):
            theirs = ADAPTIVE_LARGEST[axes - 1](wanted)
            both = adaptive_max_pool, adaptive_max_pool_by_hand
        else:
            theirs = ADAPTIVE_MEANS[axes - 1](wanted)
            both = adaptive_average_pool, adaptive_average_pool_by_hand
        return kind, shape, partial(both[0], places=wanted), partial(both[1], places=wanted), theirs
    kernel = tuple(dice.randint(1, n) for n in size)
    settings: dict[str, Any] = {
        "stride": None if dice.random() < 0.3 else tuple(dice.randint(1, 3) for _ in kernel),
        "padding": tuple(dice.randint(0, k // 2) for k in kernel),
        "ceil_mode": dice.random() < 0.5,
    }
    if kind == "average":
        settings["count_include_pad"] = dice.random() < 0.5
        theirs, both = MEANS[axes - 1](kernel, **settings), (average_pool, average_pool_by_hand)
    else:
        settings["dilation"] = tuple(
            dice.randint(1, max(1, min(n, (n + 2 * p - 1) // max(1, k - 1))))
            for n, k, p in zip(size, kernel, settings["padding"], strict=True)
        )
        theirs, both = LARGEST[axes - 1](kernel, **settings), (max_pool, max_pool_by_hand)
    arguments = settings | {"kernel": kernel}
    return kind, shape, partial(both[0], **arguments), partial(both[1], **arguments), theirs


SHAPES = cases(240, seed=0)


def test_the_shapes_hold_what_they_are_to_hold() -> None:
    seen = Counter((kind, len(shape) - 2) for kind, shape, *_ in SHAPES)
    assert len(seen) == 18 and min(seen.values()) >= 13
    assert sum(shape[0] == 1 for _, shape, *_ in SHAPES) > 80
    assert sum(max(shape[2:]) == 1 for _, shape, *_ in SHAPES) > 10
    settings = [c[2].keywords for c in SHAPES if isinstance(c[2], partial) and "kernel" in c[2].keywords]
    assert sum(s["ceil_mode"] for s in settings) > 25
    assert sum(s["stride"] is None for s in settings) > 10
    assert sum(max(s["padding"]) > 0 for s in settings) > 25
    assert sum("dilation" in s and max(s["dilation"]) > 1 for s in settings) > 10
    assert sum(not s.get("count_include_pad", True) and max(s["padding"]) > 0 for s in settings) > 8


@pytest.mark.parametrize("version", ["ours", "by hand"])
def test_values_and_gradients_are_torchs_on_240_shapes(version: str) -> None:
    for i, (_, shape, ours, by_hand, theirs) in enumerate(SHAPES):
        dice = torch.Generator().manual_seed(i)
        x: list[Tensor | None] = [torch.randn(shape, dtype=torch.float64, generator=dice)]
        made, expected = outcome(ours if version == "ours" else by_hand, x), outcome(theirs, x)
        for a, b in zip(made, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12, msg=lambda m, i=i: f"{SHAPES[i]}: {m}")


def test_gradients_match_finite_differences() -> None:
    for i, (_, shape, ours, by_hand, _) in enumerate(cases(36, seed=1)):
        dice = torch.Generator().manual_seed(i)
        x = torch.randperm(torch.Size(shape).numel(), generator=dice).double().view(shape)  # no near ties
        for function in (ours, by_hand):
            assert torch.autograd.gradcheck(function, x.clone().requires_grad_(), fast_mode=True)


SLIDING = tuple(  # size, kernel, stride, padding, dilation and ceil_mode
    itertools.product((1, 2, 3, 6, 9), (1, 2, 3, 5), (1, 2, 3, 7), (0, 1, 2, 3), (1, 2, 3), (False, True))
)


@pytest.mark.parametrize("theirs", LARGEST)
def test_max_pool_accepts_what_torch_does_but_windows_that_see_nothing(theirs: type[nn.Module]) -> None:
    """Of those torch makes -inf, and an index outside of the picture for the gradient to go to."""
    counts, axes = Counter[str](), LARGEST.index(theirs) + 1
    for n, k, s, p, d, c in SLIDING:
        if axes == 3 and n > 3:
            continue
        x = torch.randn(1, 1, *[n] * axes)
        try:
            expected = theirs(k, s, p, d, ceil_mode=c)(x)
        except RuntimeError:
            expected = None
        if expected is not None and expected.isfinite().all():
            counts["accepted"] += 1
            assert torch.equal(max_pool(x, k, stride=s, padding=p, dilation=d, ceil_mode=c), expected)
            size = pooled_size(n, k, stride=s, padding=p, dilation=d, ceil_mode=c)
            assert expected.shape[2:] == (size,) * axes
            continue
        counts["refused" if expected is None else "empty"] += 1
        words = r"it must be at most|spans \d+ places" if expected is None else "all taps of a window miss"
        with pytest.raises(ValueError, match=words):
            max_pool(x, k, stride=s, padding=p, dilation=d, ceil_mode=c)
    assert min(counts.values()) > 10 and len(counts) == 3, counts


@pytest.mark.parametrize("theirs", MEANS)
def test_average_pool_accepts_what_torch_does(theirs: type[nn.Module]) -> None:
    counts, axes = Counter[bool](), MEANS.index(theirs) + 1
    for n, k, s, p, include, c in SLIDING:
        if include == 3 or (axes == 3 and n > 3):
            continue
        x = torch.randn(1, 1, *[n] * axes)
        settings: dict[str, Any] = {
            "stride": s,
            "padding": p,
            "ceil_mode": c,
            "count_include_pad": include == 1,
        }
        try:
            expected = theirs(k, **settings)(x)
        except RuntimeError:
            expected = None
        counts[expected is None] += 1
        if expected is None:
            with pytest.raises(ValueError, match=r"it must be at most|spans \d+ places"):
                average_pool(x, k, **settings)
        else:
            torch.testing.assert_close(average_pool(x, k, **settings), expected)
    assert min(counts.values()) > 100, counts


def test_without_ceil_mode_windows_are_whole_and_with_it_nothing_is_left_out() -> None:
    for n, k, s in itertools.product(range(1, 20), range(1, 6), range(1, 6)):
        if k <= n:
            last = (pooled_size(n, k, stride=s) - 1) * s + k
            assert last <= n < last + s
        if s <= k:
            windows = pooled_size(n, k, stride=s, ceil_mode=True) if n > k - s else 0
            if windows:
                assert (windows - 1) * s < n <= (windows - 1) * s + k


def test_adaptive_windows_cover_all_and_differ_by_two_at_most() -> None:
    for n, m in itertools.product(range(1, 25), repeat=2):
        windows = adaptive_windows(n, m)
        assert len(windows) == m and all(windows)
        assert set(itertools.chain(*windows)) == set(range(n))
        if n % m == 0:
            assert windows == [list(range(i * n // m, (i + 1) * n // m)) for i in range(m)]
        elif m < n:
            assert all(0 <= a[-1] - b[0] + 1 <= 1 for a, b in itertools.pairwise(windows))  # overlap


def test_a_mean_is_a_depthwise_convolution_with_equal_weights() -> None:
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    weight = torch.full((3, 1, 3, 2), 1 / 6, dtype=torch.float64)
    expected = convolution(x, weight, stride=(2, 1), padding=(1, 1), groups=3)
    torch.testing.assert_close(average_pool(x, (3, 2), stride=(2, 1), padding=(1, 1)), expected)


def test_a_step_aside_within_a_window_changes_no_maximum() -> None:
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 2, 4] = 1.0
    assert torch.equal(max_pool(x, 2), max_pool(x.roll((1, 1), (2, 3)), 2))
    assert not torch.equal(max_pool(x, 2), max_pool(x.roll(-1, 2), 2))


def test_the_gradient_of_a_maximum_goes_to_one_value_even_among_equals() -> None:
    x = torch.zeros(1, 1, 4, 4, requires_grad=True)
    max_pool(x, 2).sum().backward()
    assert x.grad is not None and sorted(x.grad.flatten().tolist()) == [0.0] * 12 + [1.0] * 4


def test_padding_never_wins_and_a_nan_always_does() -> None:
    below = torch.full((1, 1, 3), -5.0)
    assert torch.equal(max_pool(below, 3, stride=1, padding=1), below)
    x = torch.randn(1, 1, 4, 4)
    x[0, 0, 0, 1] = torch.nan
    assert max_pool(x, 2).isnan().flatten().tolist() == [True, False, False, False]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_and_an_empty_batch(kind: torch.dtype) -> None:
    x = torch.randn(2, 3, 5, 6).to(kind)
    assert torch.equal(max_pool(x, 2).double(), max_pool_by_hand(x.double(), 2))
    for ours, by_hand in (
        (partial(average_pool, kernel=2), partial(average_pool_by_hand, kernel=2)),
        (partial(adaptive_average_pool, places=2), partial(adaptive_average_pool_by_hand, places=2)),
        (global_average_pool, global_average_pool_by_hand),
    ):
        assert ours(x).dtype == kind
        torch.testing.assert_close(ours(x).double(), by_hand(x.double()), rtol=0.01, atol=0.01)
    for ours in (partial(max_pool, kernel=2), partial(average_pool, kernel=2)):
        assert ours(x[:0]).shape == (0, 3, 2, 3)
    assert global_max_pool(x[:0]).shape == global_average_pool(x[:0]).shape == (0, 3)


def test_bad_input_is_refused() -> None:
    x = torch.randn(2, 3, 6, 6)
    for wrong, words in (
        (lambda: max_pool(x[0, 0], 2), r"x has shape \(6, 6\); it must be \(batch, channels\) and 1 to 3"),
        (lambda: global_average_pool(x[:, :, :0]), r"x has shape \(2, 3, 0, 6\)"),
        (lambda: adaptive_max_pool(x.long(), 2), "x has dtype torch.int64"),
        (lambda: max_pool(x, 0), "kernel is 0; it must be a whole number of 1 or more"),
        (lambda: max_pool(x, (2, 2, 2)), "or 2 of them"),
        (lambda: average_pool(x, 2, stride=0), "stride is 0"),
        (lambda: average_pool(x, 2, padding=-1), "padding is -1; it must be a whole number of 0 or more"),
        (lambda: max_pool(x, 3, padding=2), "padding is 2; it must be at most 1, half of kernel 3"),
        (lambda: max_pool(x, 3, dilation=0), "dilation is 0"),
        (lambda: max_pool(x, 7), "kernel is 7 and dilation 1, which spans 7 places; size 6"),
        (lambda: average_pool(x[..., None], 7), "spans 7 places; size 6"),
        (
            lambda: average_pool(x[..., None], (2, 2, 2), padding=1),
            r"kernel is \(2, 2, 2\); in a volume it must be at most \(6, 6, 1\)",
        ),
        (lambda: max_pool(x[:, :, :1, :1], 2, padding=1, dilation=2), "take a dilation of at most 1"),
        (lambda: adaptive_average_pool(x, (2, 0)), r"places is \(2, 0\); it must be a whole number of 1"),
        (lambda: adaptive_max_pool(x, (2, 2, 2)), "or 2 of them"),
        (lambda: pooled_size(0, 1), "size is 0"),
        (lambda: pooled_size(3, 2, stride=0, ceil_mode=True), "stride is 0; it must be 1 or more"),
        (lambda: pooled_size(3, 2, padding=-1), "padding is .*-1.*; it must be 0 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
