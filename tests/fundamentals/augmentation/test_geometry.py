"""Flips, crops and warps against torchvision at the same parameters, and against what must hold."""

import math

import pytest
import torch

from fathom.fundamentals.augmentation.geometry import (
    affine,
    affine_matrix,
    flip,
    invert,
    pad_crop,
    rotate,
    shift,
    warp,
)


def pictures(
    count: int = 6, size: tuple[int, int] = (13, 10), kind: torch.dtype = torch.uint8
) -> torch.Tensor:
    made = torch.randint(256, (count, 3, *size), dtype=torch.uint8)
    return made if kind == torch.uint8 else made.to(kind) / 255


@pytest.mark.slow
def test_flips_and_padded_crops_are_torchvisions() -> None:
    from torchvision.transforms.v2 import functional as tv

    for kind in (torch.uint8, torch.float32, torch.float64):
        x = pictures(6, kind=kind)
        chosen = torch.tensor([True, False, True, True, False, False])
        for axis, theirs in (("horizontal", tv.horizontal_flip), ("vertical", tv.vertical_flip)):
            assert torch.equal(flip(x, axis=axis), theirs(x))
            one_by_one = torch.stack([theirs(p) if c else p for p, c in zip(x, chosen, strict=True)])
            assert torch.equal(flip(x, chosen, axis=axis), one_by_one)
        top, left = torch.tensor([0, 8, 3, 4, 1, 7]), torch.tensor([8, 0, 2, 5, 4, 3])
        for mode, fill in (("constant", 0.0), ("constant", 0.5), ("edge", 0.0), ("reflect", 0.0)):
            colour = int(fill * 255) if kind == torch.uint8 else fill
            for size in ((13, 10), (6, 7), (13, 9)):
                ours = pad_crop(x, top, left, padding=4, size=size, mode=mode, fill=colour)
                padded = tv.pad(x.float(), [4], fill=colour, padding_mode=mode).to(kind)
                if kind == torch.float64:
                    padded = tv.pad(x, [4], fill=colour, padding_mode=mode)
                cut = [tv.crop(p, int(t), int(s), *size) for p, t, s in zip(padded, top, left, strict=True)]
                assert torch.equal(ours, torch.stack(cut)), (kind, mode, size)


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Equal to 1e-5 of the range, and in whole numbers but for a place or two that a rounding tips by one.

    On most processors they are equal bit for bit; some add the products of a place in another order.
    """
    gap = (ours.double() - theirs.double()).abs()
    if ours.dtype == torch.uint8:
        return float(gap.max()) <= 1 and int((gap > 0).any(dim=0).sum()) <= 2
    return float(gap.max()) <= 1e-5


@pytest.mark.slow
def test_affine_maps_and_rotations_are_torchvisions() -> None:
    """In uint8 and float32 with both interpolations; a fill colour to the nearest pixel."""
    from torchvision.transforms.v2 import functional as tv

    dice = torch.Generator().manual_seed(0)
    count = 40
    for kind in (torch.uint8, torch.float32):
        for size in ((32, 32), (13, 20)):
            x = pictures(count, size, kind)
            n = torch.rand(count, 6, dtype=torch.float64, generator=dice) * 2 - 1
            angle, across, down = n[:, 0] * 180, n[:, 1] * 9, n[:, 2] * 9
            scale, slant_x, slant_y = 1.2 ** (n[:, 3] * 4), n[:, 4] * 50, n[:, 5] * 50
            for interpolation, fill in (("nearest", None), ("bilinear", None), ("nearest", 90.0)):
                for centre in (None, (0.0, 3.0)):
                    ours = affine(
                        x, angle=angle, translate=(across, down), scale=scale, shear=(slant_x, slant_y),
                        centre=centre, interpolation=interpolation, fill=fill or 0.0,
                    )  # fmt: skip
                    turned = rotate(x, angle, centre=centre, interpolation=interpolation, fill=fill or 0.0)
                    for i in range(count):
                        common = {"interpolation": tv.InterpolationMode(interpolation), "fill": fill}
                        common["center"] = list(centre) if centre else None
                        theirs = tv.affine(
                            x[i], float(angle[i]), [float(across[i]), float(down[i])], float(scale[i]),
                            [float(slant_x[i]), float(slant_y[i])], **common,
                        )  # fmt: skip
                        assert same(ours[i], theirs), (kind, size, interpolation, i)
                        assert same(turned[i], tv.rotate(x[i], float(angle[i]), **common))


@pytest.mark.slow
def test_a_fill_colour_in_bilinear_warps_is_torchvisions_inside() -> None:
    from torchvision.transforms.v2 import functional as tv

    x = pictures(4, (16, 16), torch.float64)
    ours = affine(x, angle=30.0, interpolation="bilinear", fill=0.25)
    theirs = tv.affine(x, 30.0, [0.0, 0.0], 1.0, [0.0, 0.0], tv.InterpolationMode.BILINEAR, 0.25)
    inside = affine(torch.ones_like(x), angle=30.0, interpolation="bilinear")
    whole = (inside > 1 - 1e-9) | (inside < 1e-9)
    torch.testing.assert_close(ours[whole], theirs[whole], rtol=0, atol=1e-6)  # its grid is float32
    constant = torch.full_like(x, 0.25)  # a picture of the fill colour must not show where it ends
    torch.testing.assert_close(affine(constant, angle=30.0, interpolation="bilinear", fill=0.25), constant)


def test_quarter_turns_and_whole_moves_lose_nothing() -> None:
    x = pictures(3, (8, 8))
    for interpolation in ("nearest", "bilinear"):
        turned = rotate(x, torch.tensor([90.0, 180.0, -90.0]), interpolation=interpolation)
        assert torch.equal(turned[0], x[0].rot90(1, (-2, -1)))
        assert torch.equal(turned[1], x[1].rot90(2, (-2, -1)))
        assert torch.equal(turned[2], x[2].rot90(3, (-2, -1)))
        moved = affine(x, translate=(2, -3), interpolation=interpolation, fill=7)
        assert torch.equal(moved, shift(x, -3, 2, fill=7))
    assert torch.equal(shift(x, 0, 0), x)
    assert torch.equal(shift(x, torch.tensor([9, 0, -8]), 0)[::2], torch.zeros_like(x[::2]))


def test_a_map_and_its_inverse_lead_back() -> None:
    n = torch.rand(20, 6, dtype=torch.float64) * 2 - 1
    matrix = affine_matrix(
        20,
        (9, 7),
        angle=n[:, 0] * 180,
        translate=(n[:, 1], n[:, 2]),
        scale=2 ** n[:, 3],
        shear=(n[:, 4] * 60, n[:, 5] * 60),
    )
    points = torch.rand(20, 5, 2, dtype=torch.float64) * 9

    def moved(points: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        return points @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]

    torch.testing.assert_close(moved(moved(points, matrix), invert(matrix)), points, rtol=0, atol=1e-12)


def test_a_picture_does_not_depend_on_the_batch_it_stands_in() -> None:
    x = pictures(7)
    angle = torch.linspace(-170, 140, 7)
    top = torch.tensor([0, 1, 2, 3, 4, 5, 6])
    for change in (
        lambda x, s: rotate(x, angle[s], interpolation="bilinear"),
        lambda x, s: pad_crop(x, top[s], 6 - top[s], padding=3, mode="reflect"),
        lambda x, s: flip(x, angle[s] > 0),
    ):
        whole = change(x, slice(None))
        for i in range(7):
            assert torch.equal(whole[i : i + 1], change(x[i : i + 1], slice(i, i + 1)))


def test_extremes_and_half_precision() -> None:
    assert flip(torch.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)
    assert rotate(torch.zeros(0, 3, 4, 4), 30.0).shape == (0, 3, 4, 4)
    assert pad_crop(torch.zeros(0, 3, 4, 4), 0, 0).shape == (0, 3, 4, 4)
    assert rotate(torch.ones(1, 1, 1, 1), 45.0).item() == 1
    far = affine(torch.ones(1, 1, 4, 4), translate=(1e4, -1e4), fill=0.5)
    assert torch.equal(far, torch.full((1, 1, 4, 4), 0.5))
    assert warp(torch.rand(1, 1, 4, 4) * 1e4, affine_matrix(1, (4, 4), scale=1e-4)).isfinite().all()
    for kind in (torch.float16, torch.bfloat16):
        x = torch.rand(2, 1, 6, 6).to(kind)
        y = rotate(x, 20.0, interpolation="bilinear")
        assert y.dtype == kind
        torch.testing.assert_close(
            y.float(), rotate(x.float(), 20.0, interpolation="bilinear"), rtol=0, atol=0.1
        )


def test_bad_input_is_refused() -> None:
    x = pictures(2, (5, 6))
    for wrong, words in (
        (lambda: flip(x[0]), r"images has shape \(3, 5, 6\)"),
        (lambda: flip(x, axis="diagonal"), "axis is 'diagonal'"),
        (lambda: flip(x, torch.tensor([True])), "chosen is torch.bool of shape"),
        (lambda: flip(x, torch.tensor([1, 0])), "it must be bool"),
        (lambda: pad_crop(x, 0, 0, padding=-1), "padding is -1"),
        (lambda: pad_crop(x, 0, 0, padding=5, mode="reflect"), "for 'reflect' below 5"),
        (lambda: pad_crop(x, 0, 0, mode="mirror"), "mode is 'mirror'"),
        (lambda: pad_crop(x, 3, 0, padding=1), r"a window of 5 of 7 starts in \[0, 2\]"),
        (lambda: pad_crop(x, torch.tensor([0.5, 1]), 0), "top is torch.float32"),
        (lambda: pad_crop(x, 0, torch.tensor([0, 0, 0])), "give whole numbers"),
        (lambda: pad_crop(x, 0, 0, size=(0, 3)), "a window of 0"),
        (lambda: affine(x, scale=0.0), "scale is 0.0"),
        (lambda: affine(x, angle=math.nan), "angle holds a number that is not finite"),
        (lambda: affine(x, shear=(90.0, 0.0)), "shear holds 90 degrees"),
        (lambda: affine(x, angle=torch.zeros(3)), r"angle has shape \(3,\)"),
        (lambda: affine(x, interpolation="cubic"), "interpolation is 'cubic'"),
        (lambda: affine(x, fill=(1.0, 2.0)), "fill holds 2 numbers"),
        (lambda: affine_matrix(-1, (5, 6)), r"count is -1 and size is \(5, 6\)"),
        (lambda: affine_matrix(2, (0, 6)), r"size is \(0, 6\)"),
        (lambda: invert(torch.zeros(2, 3)), r"matrix has shape \(2, 3\); it must be \(b, 2, 3\)"),
        (lambda: warp(x, torch.zeros(2, 3, 2)), r"matrix has shape \(2, 3, 2\)"),
        (lambda: warp(x, torch.zeros(2, 2, 3)), "cannot be undone"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
