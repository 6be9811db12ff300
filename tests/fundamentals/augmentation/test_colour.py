"""Colour changes against torchvision at the same amounts, and against what must hold."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.colour import (
    autocontrast,
    brightness,
    contrast,
    equalize,
    grey,
    hue,
    invert_colours,
    posterize,
    saturation,
    sharpness,
    solarize,
)


def pictures(count: int, size: tuple[int, int] = (32, 32), channels: int = 3) -> Tensor:
    """Noise, dark noise, few levels, one level, and a slope: what tables and divisions stumble on."""
    made = torch.randint(256, (count, channels, *size), dtype=torch.uint8)
    made[1::5] //= 4
    made[2::5] = made[2::5] // 64 * 64
    made[3::5] = 77
    made[4::5] = torch.arange(size[1], dtype=torch.uint8) * 5
    return made


def compare(
    ours: Callable[[Tensor, Tensor], Tensor], theirs: Callable[[Tensor, float], Tensor], amounts: Tensor
) -> None:
    """uint8 bit for bit, float32 and float64 within rounding; colour and grey; even and odd sizes."""
    for size, channels in (((32, 32), 3), ((7, 11), 3), ((9, 9), 1)):
        x = pictures(len(amounts), size, channels)
        expected = torch.stack([theirs(p, a) for p, a in zip(x, amounts.tolist(), strict=True)])
        assert torch.equal(ours(x, amounts), expected), (size, channels)
        for kind, near in ((torch.float32, 1e-6), (torch.float64, 1e-12)):
            y = x.to(kind) / 255
            expected = torch.stack([theirs(p, a) for p, a in zip(y, amounts.tolist(), strict=True)])
            torch.testing.assert_close(ours(y, amounts), expected, rtol=0, atol=near)


@pytest.mark.slow
def test_blends_are_torchvisions() -> None:
    from torchvision.transforms.v2 import functional as tv

    drawn = torch.rand(40, dtype=torch.float64) * 2
    round_ones = torch.linspace(0, 2, 41, dtype=torch.float64)  # products near whole levels: the hard case
    for amounts in (drawn, round_ones):
        compare(brightness, tv.adjust_brightness, amounts)
        compare(contrast, tv.adjust_contrast, amounts)
        compare(saturation, tv.adjust_saturation, amounts)
        compare(sharpness, tv.adjust_sharpness, amounts)


@pytest.mark.slow
def test_levels_are_torchvisions() -> None:
    from torchvision.transforms.v2 import functional as tv

    compare(posterize, lambda x, bits: tv.posterize(x, int(bits)), torch.arange(9).repeat(3))
    compare(lambda x, a: autocontrast(x), lambda x, a: tv.autocontrast(x), torch.zeros(20))
    compare(lambda x, a: equalize(x), lambda x, a: tv.equalize(x), torch.zeros(20))
    compare(lambda x, a: invert_colours(x), lambda x, a: tv.invert(x), torch.zeros(20))
    compare(lambda x, a: grey(x), lambda x, a: tv.rgb_to_grayscale(x), torch.zeros(20))
    share = torch.linspace(0, 1, 21, dtype=torch.float64)
    white = lambda x: 1.0 if x.is_floating_point() else 255.0  # noqa: E731
    compare(lambda x, a: solarize(x, a * white(x)), lambda x, a: tv.solarize(x, a * white(x)), share)


@pytest.mark.slow
def test_hue_is_torchvisions_up_to_single_levels() -> None:
    from torchvision.transforms.v2 import functional as tv

    turns = torch.linspace(-0.5, 0.5, 51, dtype=torch.float64)
    x = pictures(51)
    expected = torch.stack([tv.adjust_hue(p, t) for p, t in zip(x, turns.tolist(), strict=True)])
    gap = (hue(x, turns).int() - expected.int()).abs()
    assert gap.max() <= 1 and (gap > 0).float().mean() < 1e-3, (gap.max(), (gap > 0).float().mean())
    y = x.float() / 255
    expected = torch.stack([tv.adjust_hue(p, t) for p, t in zip(y, turns.tolist(), strict=True)])
    torch.testing.assert_close(hue(y, turns), expected, rtol=0, atol=2e-6)
    assert torch.equal(hue(x[:, :1], 0.3), x[:, :1])


def test_amounts_that_change_nothing() -> None:
    x = pictures(10)
    for change in (brightness, contrast, saturation, sharpness):
        assert torch.equal(change(x, 1), x)
    assert torch.equal(hue(x, 0.0), x)
    assert torch.equal(posterize(x, 8), x)
    assert torch.equal(invert_colours(invert_colours(x)), x)
    assert torch.equal(solarize(x, 255), torch.where(x == 255, 0, x))
    once = autocontrast(x)
    assert torch.equal(autocontrast(once), once)


def test_known_colours() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8)[None, :, None, None]
    assert hue(red, 1 / 3).flatten().tolist() == [0, 255, 0]
    assert hue(red, -1 / 3).flatten().tolist() == [0, 0, 255]
    assert hue(red, 0.5).flatten().tolist() == [0, 255, 255]
    assert grey(red).item() == 76
    assert brightness(red + 100, 2).flatten().tolist() == [198, 200, 200]  # 355 wraps to 99
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(equalize(levels), levels)  # equal already
    assert torch.equal(equalize(levels[..., :1, :]), levels[..., :1, :])  # too few pixels for 255 steps


def test_a_picture_does_not_depend_on_the_batch_it_stands_in() -> None:
    amounts = torch.rand(9, dtype=torch.float64)
    for x in (pictures(9), pictures(9, (300, 300)).float() / 255):
        for change in (brightness, contrast, saturation, sharpness, lambda x, a: hue(x, a / 2)):
            whole = change(x, amounts)
            for i in (0, 4):
                assert torch.equal(whole[i : i + 1], change(x[i : i + 1], amounts[i : i + 1]))


def test_extremes_and_half_precision() -> None:
    empty = torch.zeros(0, 3, 4, 4, dtype=torch.uint8)
    for change in (brightness, contrast, saturation, sharpness):
        assert change(empty, 1.0).shape == empty.shape
        assert change(pictures(2), 1e4).dtype == torch.uint8
        one = change(torch.full((1, 3, 1, 1), 9, dtype=torch.uint8), 0.5)
        assert one.flatten().tolist() == (
            [4, 4, 4] if change is brightness else [9, 9, 9] if change is sharpness else [8, 8, 8]
        )
    for change in (autocontrast, equalize, invert_colours):
        assert change(empty).shape == empty.shape
    for kind in (torch.float16, torch.bfloat16):
        x = (pictures(5, (6, 6)).float() / 255).to(kind)
        for change, amount in (
            (brightness, 1.3),
            (contrast, 0.6),
            (saturation, 1.4),
            (sharpness, 1.7),
            (hue, 0.1),
        ):
            y = change(x, amount)
            assert y.dtype == kind
            torch.testing.assert_close(y.float(), change(x.float(), amount), rtol=0, atol=0.05)


def test_bad_input_is_refused() -> None:
    x = pictures(2, (4, 4))
    for wrong, words in (
        (lambda: brightness(x[0], 1.0), r"images has shape \(3, 4, 4\)"),
        (lambda: brightness(x.int(), 1.0), "dtype torch.int32"),
        (lambda: contrast(x[:, :2], 1.0), "images has 2 channels"),
        (lambda: brightness(x, -0.1), r"factor is -0.1; it must be finite and in \[0, inf\]"),
        (lambda: saturation(x, float("inf")), "factor is inf"),
        (lambda: sharpness(x, torch.ones(3)), r"factor has shape \(3,\)"),
        (lambda: hue(x, 0.6), r"turn is 0.6; it must be finite and in \[-0.5, 0.5\]"),
        (lambda: solarize(x, 256), "threshold is 256"),
        (lambda: solarize(x.float() / 255, 2.0), "threshold is 2.0"),
        (lambda: posterize(x, 9), "bits is 9"),
        (lambda: posterize(x, torch.tensor([1.5, 2.0])), "whole numbers from 0 to 8"),
        (lambda: equalize(x.int()), "dtype torch.int32"),
        (lambda: autocontrast(x[:, :2]), "images has 2 channels"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
