"""Labels that move with their picture: against torchvision, there and back, and against what is drawn."""

import pytest
import torch
from torch import Tensor

from fathom.fundamentals.augmentation.geometry import affine_matrix, flip, invert, pad_crop, warp
from fathom.fundamentals.augmentation.geometry_of_labels import (
    boxes_of_masks,
    chain,
    clip_boxes,
    crop_matrix,
    flip_matrix,
    move_boxes,
    move_masks,
    move_points,
    transpose,
)

SIZE = (24, 32)


def random_boxes(count: int, number: int = 3) -> Tensor:
    corner = torch.rand(count, number, 2, dtype=torch.float64) * torch.tensor([20.0, 14.0])
    return torch.cat([corner, corner + 1 + torch.rand(count, number, 2, dtype=torch.float64) * 8], dim=2)


@pytest.mark.slow
def test_boxes_points_and_masks_are_torchvisions() -> None:
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional as tv

    boxes = random_boxes(1)[0]
    points = torch.rand(5, 2, dtype=torch.float64) * 20
    mask = torch.rand(1, 2, *SIZE) < 0.5
    theirs = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=SIZE, clamping_mode=None)
    their_points = tv_tensors.KeyPoints(points, canvas_size=SIZE)
    their_mask = tv_tensors.Mask(mask[0].to(torch.uint8))
    cases = [
        (flip_matrix(torch.tensor([True]), 32), tv.horizontal_flip, {}),
        (transpose(flip_matrix(torch.tensor([True]), 24)), tv.vertical_flip, {}),
    ]
    for angle, scale in ((33.0, 1.3), (-140.0, 0.7)):
        how = {"angle": angle, "translate": [3.0, -2.0], "scale": scale, "shear": [10.0, -7.0]}
        matrix = affine_matrix(1, SIZE, angle=angle, translate=(3.0, -2.0), scale=scale, shear=(10.0, -7.0))
        cases.append((matrix, lambda x, how=how: tv.affine(x, **how), {}))
    for matrix, change, _ in cases:
        moved = move_boxes(boxes[None], matrix)[0]
        torch.testing.assert_close(moved, change(theirs).as_subclass(Tensor), rtol=0, atol=1e-10)
        assert torch.equal(
            move_masks(mask, matrix)[0].to(torch.uint8), change(their_mask).as_subclass(Tensor)
        )
    for matrix, change, _ in cases[:2]:  # its flips count the pixels of a keypoint, its affine maps do not
        moved = move_points(points[None], matrix, at_centres=True)[0]
        torch.testing.assert_close(moved, change(their_points).as_subclass(Tensor), rtol=0, atol=1e-10)
    for matrix, change, _ in cases[2:]:
        moved = move_points(points[None], matrix)[0]
        torch.testing.assert_close(moved, change(their_points).as_subclass(Tensor), rtol=0, atol=1e-10)
    cut = tv.crop(tv.pad(theirs, [4]), 3, 5, 24, 32).as_subclass(Tensor)
    moved = move_boxes(boxes[None], crop_matrix(torch.tensor([3]), torch.tensor([5]), padding=4))
    torch.testing.assert_close(moved[0], cut, rtol=0, atol=1e-10)


def test_there_and_back() -> None:
    """Points come back under every map; upright boxes too; masks under whole moves."""
    n = torch.rand(20, 6, dtype=torch.float64) * 2 - 1
    turn = affine_matrix(
        20, SIZE, angle=n[:, 0] * 180, translate=(n[:, 1] * 5, n[:, 2] * 5), scale=2 ** n[:, 3]
    )
    flips = flip_matrix(n[:, 4] > 0, 32)
    crops = crop_matrix(torch.randint(0, 9, (20,)), torch.randint(0, 9, (20,)), padding=4)
    matrix = chain(turn, flips, transpose(flip_matrix(n[:, 5] > 0, 24)), crops)
    points, boxes = torch.rand(20, 7, 2, dtype=torch.float64) * 30, random_boxes(20)
    back = move_points(move_points(points, matrix, at_centres=True), invert(matrix), at_centres=True)
    torch.testing.assert_close(back, points, rtol=0, atol=1e-11)
    upright = chain(flips, crops)
    torch.testing.assert_close(
        move_boxes(move_boxes(boxes, upright), invert(upright)), boxes, rtol=0, atol=1e-12
    )
    larger = move_boxes(move_boxes(boxes, matrix), invert(matrix))  # a turned box needs room
    assert (larger[..., :2] <= boxes[..., :2] + 1e-9).all() and (
        larger[..., 2:] >= boxes[..., 2:] - 1e-9
    ).all()
    masks = torch.randint(0, 9, (20, 1, *SIZE))
    assert torch.equal(move_masks(move_masks(masks, flips), invert(flips)), masks)


def test_labels_lie_where_the_picture_shows_them() -> None:
    """A white rectangle on black: after each change its box is the box of what is white."""
    count = 12
    images, boxes = torch.zeros(count, 1, *SIZE), torch.zeros(count, 1, 4, dtype=torch.float64)
    for i in range(count):
        left, top = 8 + i % 5, 8 + i % 3
        images[i, 0, top : top + 5, left : left + 9] = 1
        boxes[i, 0] = torch.tensor([left, top, left + 9, top + 5])
    chosen = torch.arange(count) % 2 == 0
    top, left = torch.arange(count) % 7, torch.arange(count) % 8
    cases = [
        (flip(images, chosen), flip_matrix(chosen, 32)),
        (flip(images, chosen, axis="vertical"), transpose(flip_matrix(chosen, 24))),
        (pad_crop(images, top, left, padding=4), crop_matrix(top, left, padding=4)),
    ]
    for image, matrix in cases:
        assert torch.equal(image, warp(images, matrix))
        assert torch.equal(boxes_of_masks(image > 0.5).double(), move_boxes(boxes, matrix))
        assert torch.equal(move_masks(images > 0.5, matrix), image > 0.5)
    turn = affine_matrix(count, SIZE, angle=torch.linspace(-40, 40, count), scale=1.1, translate=(1.5, -0.5))
    found = boxes_of_masks(warp(images, turn) > 0.5).double()
    assert (found - move_boxes(boxes, turn)).abs().max() < 1.6  # half a pixel of rounding at slanted corners
    corners = boxes[..., [0, 1, 2, 3]].reshape(count, 2, 2)
    flipped = move_points(corners, flip_matrix(chosen, 32))
    assert torch.equal(flipped[chosen][..., 0], 32 - corners[chosen][..., 0])
    pixel = move_points(torch.zeros(1, 1, 2), flip_matrix(torch.tensor([True]), 32), at_centres=True)
    assert pixel.flatten().tolist() == [31, 0]


def test_boxes_are_cut_off_and_lost_ones_named() -> None:
    boxes = torch.tensor(
        [[[-5.0, 2.0, 3.0, 9.0], [40.0, 2.0, 50.0, 9.0], [31.5, 0.0, 33.0, 24.0], [1.0, 1.0, 2.0, 2.0]]]
    )
    kept, visible = clip_boxes(boxes, SIZE)
    assert kept[0, 0].tolist() == [0, 2, 3, 9]
    assert visible.tolist() == [[True, False, False, True]]


def test_extremes_and_half_precision() -> None:
    eye = affine_matrix(1, SIZE)
    assert move_boxes(torch.zeros(1, 0, 4), eye).shape == (1, 0, 4)
    assert move_points(torch.zeros(0, 3, 2), eye[:0]).shape == (0, 3, 2)
    assert torch.equal(boxes_of_masks(torch.zeros(1, 2, 4, 4, dtype=torch.bool)), torch.zeros(1, 2, 4))
    far = torch.tensor([[[1e4, -1e4]]], dtype=torch.float64)
    torch.testing.assert_close(move_points(far, eye), far)
    for kind in (torch.float16, torch.bfloat16):
        moved = move_points(torch.tensor([[[3.0, 4.0]]], dtype=kind), flip_matrix(torch.tensor([True]), 32))
        assert moved.dtype == kind and moved.flatten().tolist() == [29, 4]


def test_bad_input_is_refused() -> None:
    eye = affine_matrix(1, SIZE)
    boxes = torch.tensor([[[3.0, 2.0, 1.0, 4.0]]])
    for wrong, words in (
        (lambda: move_boxes(boxes, eye), "right or bottom lies before its left or top"),
        (lambda: move_boxes(boxes[0], eye), r"boxes has shape \(1, 4\)"),
        (lambda: move_boxes(boxes.int(), eye), "boxes has dtype torch.int32"),
        (lambda: move_points(boxes, eye), r"points has shape \(1, 1, 4\)"),
        (lambda: move_points(boxes[..., :2], eye.repeat(2, 1, 1)), r"matrix has shape \(2, 2, 3\)"),
        (lambda: move_masks(torch.zeros(1, 1, 4, 4), eye), "masks has dtype torch.float32"),
        (lambda: clip_boxes(boxes, SIZE, smallest=-1), "smallest is -1"),
        (lambda: flip_matrix(torch.tensor([True]), 0), "width is 0"),
        (lambda: flip_matrix(torch.tensor([1]), 4), "chosen is torch.int64"),
        (lambda: chain(), "matrices is empty"),
        (lambda: chain(eye, eye.repeat(2, 1, 1)), r"matrix has shape \(2, 2, 3\); it must be \(1, 2, 3\)"),
        (lambda: transpose(eye[0]), r"matrix has shape \(2, 3\); it must be \(b, 2, 3\)"),
        (lambda: crop_matrix(*torch.zeros(2, 1), padding=-1), "padding is -1; it must be 0 or more"),
        (lambda: crop_matrix(torch.zeros(2), torch.zeros(1)), r"shapes \(2,\) and \(1,\)"),
        (lambda: boxes_of_masks(torch.zeros(1, 1, 4, 4)), "masks is torch.float32"),
        (lambda: boxes_of_masks(torch.zeros(1, 4, 4) > 0), r"of shape \(1, 4, 4\)"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
