"""Geometry of labels: boxes, points and masks go where their picture goes.

A flip, a padded crop and an affine map are each a matrix [A t] that sends a point p = (x, y) of the picture
to A p + t. The same matrix moves its labels:

    point    A p + t
    box      the smallest upright box around its four moved corners
    mask     warped as a picture, to the nearest pixel

Coordinates are in pixels from the upper left corner of the picture: the first pixel is the square from (0, 0)
to (1, 1). Points that count pixels instead, so that (0, 0) is the centre of the first, lie half a pixel
further. A box grows when its picture is turned by anything but quarter turns, so turning back gives a larger
box; points come back exactly.

Axes used below
    b  pictures      n  boxes or points of a picture      h, w  height and width
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from fathom.card import Card
from fathom.fundamentals.augmentation.geometry import affine_matrix, warp

if TYPE_CHECKING:
    from fathom.fundamentals.twin import Twin

CARD = Card(
    title="Labels that move with their picture",
    paper="https://arxiv.org/abs/1906.11172",
    year=2019,
    summary="Moves boxes, keypoints and masks by the same map as the picture that they belong to.",
    rows=("RN04",),
    builds_on=("geometry",),
    oracle="torchvision.transforms.v2.functional for boxes, masks, keypoints; round trips; drawn rectangles",
)


def flip_matrix(chosen: Tensor, width: int) -> Float[Tensor, "b 2 3"]:
    """What `flip` does to points: x becomes ``width`` - x where ``chosen``, (b,). Other axis: `transpose`."""
    if width < 1:
        raise ValueError(f"width is {width}; it must be 1 or more")
    if chosen.ndim != 1 or chosen.dtype != torch.bool:
        raise ValueError(f"chosen is {chosen.dtype} of shape {tuple(chosen.shape)}; it must be bool, (b,)")
    stay, mirror = torch.eye(2, 3, dtype=torch.float64), torch.eye(2, 3, dtype=torch.float64)
    mirror[0, 0], mirror[0, 2] = -1, width
    return torch.where(chosen[:, None, None].cpu(), mirror, stay)


def crop_matrix(top: Tensor, left: Tensor, *, padding: int = 0) -> Float[Tensor, "b 2 3"]:
    """What `pad_crop` does to points: it moves them by padding - left and padding - top, (b,) each.

    Raises ``ValueError`` for places of other shapes, and a padding below 0.
    """
    if top.ndim != 1 or left.shape != top.shape:
        shapes = f"{tuple(top.shape)} and {tuple(left.shape)}"
        raise ValueError(f"top and left have shapes {shapes}; they must be (b,) both")
    if padding < 0:
        raise ValueError(f"padding is {padding}; it must be 0 or more")
    matrix = torch.eye(2, 3, dtype=torch.float64).repeat(len(top), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = padding - left.double().cpu(), padding - top.double().cpu()
    return matrix


def transpose(matrix: Tensor) -> Float[Tensor, "b 2 3"]:
    """The same map (b, 2, 3) with x and y exchanged: a horizontal flip becomes a vertical one."""
    _check_matrix(matrix)
    return matrix[:, [1, 0]][:, :, [1, 0, 2]]


def chain(*matrices: Tensor) -> Float[Tensor, "b 2 3"]:
    """One map for several (b, 2, 3) that follow each other, the first one first."""
    if not matrices:
        raise ValueError("matrices is empty; give at least one")
    for matrix in matrices:
        _check_matrix(matrix, len(matrices[0]))
    whole = matrices[0]
    for after in matrices[1:]:
        linear = after[:, :, :2] @ whole[:, :, :2]
        whole = torch.cat([linear, after[:, :, :2] @ whole[:, :, 2:] + after[:, :, 2:]], dim=2)
    return whole


def move_points(points: Tensor, matrix: Tensor, *, at_centres: bool = False) -> Float[Tensor, "b n 2"]:
    """Points (b, n, 2), x and y in pixels, moved by ``matrix`` (b, 2, 3).

    With ``at_centres`` they count pixels, (0, 0) being the centre of the first one. Raises ``ValueError`` for
    other shapes and whole-number points.
    """
    _check(points, matrix, "points", 2)
    half = 0.5 if at_centres else 0.0
    map_of = matrix.to(points.device, points.dtype)
    return (points + half) @ map_of[:, :, :2].transpose(1, 2) + map_of[:, None, :, 2] - half


def move_boxes(boxes: Tensor, matrix: Tensor) -> Float[Tensor, "b n 4"]:
    """Boxes (b, n, 4), left, top, right and bottom in pixels, moved by ``matrix`` (b, 2, 3).

    Raises ``ValueError`` for other shapes, whole-number boxes, and boxes whose right is left of their left.
    """
    _check(boxes, matrix, "boxes", 4)
    if bool((boxes[..., 2:] < boxes[..., :2]).any()):
        raise ValueError("boxes holds one whose right or bottom lies before its left or top")
    corners = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(len(boxes), -1, 2)
    moved = move_points(corners, matrix).reshape(*boxes.shape[:2], 4, 2)
    return torch.cat([moved.amin(2), moved.amax(2)], dim=2)


def move_masks(masks: Tensor, matrix: Tensor) -> Shaped[Tensor, "b n h w"]:
    """Masks (b, n, h, w), bool or whole numbers, moved by ``matrix`` (b, 2, 3); outside is 0."""
    if masks.is_floating_point():
        raise ValueError(f"masks has dtype {masks.dtype}; it must hold bools or whole numbers")
    # Through float64: a number of an object must come out as it was.
    return warp(masks.double(), matrix, interpolation="nearest").to(masks.dtype)


def clip_boxes(
    boxes: Float[Tensor, "b n 4"], size: tuple[int, int], *, smallest: float | int = 1
) -> tuple[Float[Tensor, "b n 4"], Bool[Tensor, "b n"]]:
    """Boxes cut off at the border of pictures of ``size`` (h, w), and which of them are worth keeping.

    Those are at least ``smallest`` pixels wide and high.
    """
    if smallest < 0:
        raise ValueError(f"smallest is {smallest}; it must be 0 or more")
    h, w = size
    kept = torch.minimum(boxes.clamp(min=0), boxes.new_tensor([w, h, w, h]))
    return kept, ((kept[..., 2:] - kept[..., :2]) >= smallest).all(dim=2)


def boxes_of_masks(masks: Tensor) -> Float[Tensor, "b n 4"]:
    """The smallest box around each mask (b, n, h, w), which is bool; zeros for an empty one."""
    if masks.ndim != 4 or masks.dtype != torch.bool:
        raise ValueError(
            f"masks is {masks.dtype} of shape {tuple(masks.shape)}; it must be bool, (b, n, h, w)"
        )
    edges = []
    for axis in (2, 3):  # a column is used where any row is, and the other way round
        used = masks.any(axis)
        size = used.shape[2]
        first, last = used.long().argmax(2), size - used.flip(2).long().argmax(2)
        edges.append((first, last))
    (left, right), (top, bottom) = edges
    boxes = torch.stack([left, top, right, bottom], dim=2)
    return (boxes * masks.flatten(2).any(2, keepdim=True)).float()


def move_points_by_hand(
    points: Float[Tensor, "b n 2"], matrix: Float[Tensor, "b 2 3"]
) -> Float[Tensor, "b n 2"]:
    pictures = []
    for (a, c), one in zip(matrix, points, strict=True):
        moved = [torch.stack([a[0] * x + a[1] * y + a[2], c[0] * x + c[1] * y + c[2]]) for x, y in one]
        pictures.append(torch.stack(moved))
    return torch.stack(pictures)


def move_boxes_by_hand(
    boxes: Float[Tensor, "b n 4"], matrix: Float[Tensor, "b 2 3"]
) -> Float[Tensor, "b n 4"]:
    """Box by box: move the corners, and take the outermost."""
    pictures = []
    for map_of, one in zip(matrix, boxes, strict=True):
        moved = []
        for left, top, right, bottom in one:
            corners = torch.stack([torch.stack([x, y]) for x in (left, right) for y in (top, bottom)])
            xs, ys = move_points_by_hand(corners[None], map_of[None])[0].unbind(1)
            moved.append(torch.stack([min(xs), min(ys), max(xs), max(ys)]))
        pictures.append(torch.stack(moved))
    return torch.stack(pictures)


def _check(labels: Tensor, matrix: Tensor, name: str, numbers: int) -> None:
    if labels.ndim != 3 or labels.shape[2] != numbers:
        raise ValueError(f"{name} has shape {tuple(labels.shape)}; it must be (b, n, {numbers})")
    if not labels.is_floating_point():
        raise ValueError(f"{name} has dtype {labels.dtype}; it must hold floating-point numbers")
    _check_matrix(matrix, len(labels))


def _check_matrix(matrix: Tensor, count: int | None = None) -> None:
    if matrix.ndim != 3 or matrix.shape[1:] != (2, 3) or count not in (None, len(matrix)):
        wanted = "b" if count is None else count
        raise ValueError(f"matrix has shape {tuple(matrix.shape)}; it must be ({wanted}, 2, 3)")


def twins() -> "Iterator[Twin]":
    """The pairs that the contract compares."""
    from fathom.fundamentals.twin import Twin

    dice = torch.Generator().manual_seed(0)
    points = torch.rand(2, 3, 4, dtype=torch.float64, generator=dice) * 8
    boxes = torch.cat([points[..., :2], points[..., :2] + points[..., 2:] + 0.5], dim=2)
    angle = torch.tensor([30.0, -100.0])
    turned = affine_matrix(2, (9, 11), angle=angle, scale=1.3, translate=(2.0, -1.0), shear=(10.0, -5.0))
    matrix = chain(turned, flip_matrix(torch.tensor([True, False]), 11))
    yield Twin(
        "points",
        lambda p: move_points(p, matrix),
        lambda p: move_points_by_hand(p, matrix),
        (points[..., :2].contiguous(),),
    )
    yield Twin("boxes", lambda x: move_boxes(x, matrix), lambda x: move_boxes_by_hand(x, matrix), (boxes,))
