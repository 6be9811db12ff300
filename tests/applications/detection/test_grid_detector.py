"""The grid detector against plain loops over cells, and what must hold of it."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fathom.applications.detection import grid_detector as system

CFG = system.Config(classes=2, width=6, blocks=1)
TRUTH = torch.tensor(
    [
        [[0.0, 2, 2, 30, 30], [1.0, 10, 10, 22, 22], [-1.0, 0, 0, 0, 0]],
        [[1.0, 20, 4, 44, 12], [0.0, 0, 0, 5, 5], [0.0, 30, 16, 40, 30]],
    ]
)


def assigned_by_loop(
    height: int, width: int, truth: Tensor, reach: float
) -> tuple[list[int], list[list[float]]]:
    kinds, boxes = [], []
    for row in range(height // 8):
        for column in range(width // 8):
            x, y = column * 8 + 4, row * 8 + 4
            best, smallest = None, math.inf
            for label, left, top, right, bottom in truth.tolist():
                inside = left < x < right and top < y < bottom
                near = abs(x - (left + right) / 2) <= reach and abs(y - (top + bottom) / 2) <= reach
                if label >= 0 and inside and near and (right - left) * (bottom - top) < smallest:
                    best, smallest = (label, left, top, right, bottom), (right - left) * (bottom - top)
            kinds.append(int(best[0]) if best else -1)
            boxes.append(list(best[1:]) if best else [])
    return kinds, boxes


@pytest.mark.parametrize("reach", [3.0, 12.0, 100.0])
def test_targets_match_a_loop_over_cells(reach: float) -> None:
    places = system.centres(4, 6, 8, torch.device("cpu"))
    kind, box = system.assign(places, TRUTH, reach)
    for i in range(2):
        kinds, boxes = assigned_by_loop(32, 48, TRUTH[i], reach)
        assert kind[i].tolist() == kinds
        for cell, expected in enumerate(boxes):
            if expected:
                assert box[i, cell].tolist() == expected
    assert (kind >= 0).any()


def test_loss_matches_a_loop_over_cells() -> None:
    model = CFG.build().eval()
    image = torch.rand(2, 3, 32, 48)
    loss, metrics = system.CellTargets()(model, (image, TRUTH))
    scores, boxes = model(image)
    total, found = 0.0, 0
    for i in range(2):
        kinds, targets = assigned_by_loop(32, 48, TRUTH[i], 12.0)
        for cell, (kind, target) in enumerate(zip(kinds, targets, strict=True)):
            for k in range(2):
                p = 1 / (1 + math.exp(-scores[i, cell, k].item()))
                if k == kind:
                    total -= 0.25 * (1 - p) ** 2 * math.log(p)
                else:
                    total -= 0.75 * p**2 * math.log(1 - p)
            if kind >= 0:
                found += 1
                total += 1 - overlap_with_hull(boxes[i, cell].tolist(), target)
    assert loss.item() == pytest.approx(total / found, rel=1e-5)
    assert loss.item() == pytest.approx(sum(m.item() for m in metrics.values()), rel=1e-6)
    assert system.CellTargets().count((image, TRUTH)) == found


def overlap_with_hull(a: list[float], b: list[float]) -> float:
    """GIoU, written out."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    joint = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / joint - (hull - joint) / hull


def test_generalised_overlap_of_known_boxes() -> None:
    a = torch.tensor([[0.0, 0, 4, 4]]).expand(3, 4)
    b = torch.tensor([[0.0, 0, 4, 4], [0.0, 0, 4, 2], [8.0, 0, 12, 4]])
    torch.testing.assert_close(system.generalised_overlap(a, b), torch.tensor([1.0, 0.5, -1 / 3]))


@pytest.mark.parametrize("shrink", [1, 3])
def test_network_matches_plain_functions(shrink: int) -> None:
    model = system.Config(classes=2, width=6, blocks=1, shrink=shrink).build().eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean, layer.running_var = (
                torch.randn(layer.num_features),
                torch.rand(layer.num_features),
            )
    image = torch.rand(2, 3, 32 * shrink, 48 * shrink)
    weights = model.state_dict()

    def step(x: Tensor, name: str, stride: int = 1, dilation: int = 1) -> Tensor:
        x = F.conv2d(x, weights[f"{name}.0.weight"], stride=stride, padding=dilation, dilation=dilation)
        w = {
            k: weights[f"{name}.1.{k}"][:, None, None]
            for k in ("weight", "bias", "running_mean", "running_var")
        }
        x = (x - w["running_mean"]) / (w["running_var"] + 1e-5).sqrt() * w["weight"] + w["bias"]
        return x.clamp(min=0)

    x = image.view(2, 3, 32, shrink, 48, shrink).mean(dim=(3, 5))
    for i in range(3):
        x = step(x, f"down.{i}", stride=2)
    x = x + step(step(x, "blocks.0.near"), "blocks.0.far", dilation=2)
    x = F.conv2d(x, weights["head.weight"], weights["head.bias"], padding=1)
    scores, boxes = model(image)
    for row in range(4):
        for column in range(6):
            here, cell = x[:, :, row, column], row * 6 + column
            torch.testing.assert_close(scores[:, cell], here[:, :2], rtol=1e-5, atol=1e-5)
            far = (1 + here[:, 2:].exp()).log() * 8 * shrink
            place = torch.tensor([column * 8 + 4.0, row * 8 + 4.0]) * shrink
            expected = torch.cat([place - far[:, :2], place + far[:, 2:]], dim=1)
            torch.testing.assert_close(boxes[:, cell], expected, rtol=1e-5, atol=1e-4)


def test_moving_the_picture_by_a_cell_moves_the_answers() -> None:
    model = system.Config(classes=2, width=6, blocks=1).build().eval()
    image = torch.zeros(1, 3, 128, 128)
    image[:, :, 56:72, 56:72] = torch.rand(1, 3, 16, 16)
    scores, boxes = model(image)
    moved_scores, moved_boxes = model(image.roll(8, dims=3))
    middle = slice(5, 11)  # away from the edges, which do not move
    grid = scores.view(16, 16, 2), moved_scores.view(16, 16, 2)
    torch.testing.assert_close(grid[0][middle, 5:11], grid[1][middle, 6:12])
    grid = boxes.view(16, 16, 4), moved_boxes.view(16, 16, 4)
    shift = torch.tensor([8.0, 0, 8, 0])
    torch.testing.assert_close(grid[0][middle, 5:11] + shift, grid[1][middle, 6:12])


def test_padding_leaves_cells_beyond_its_reach_as_they_are() -> None:
    """Three strided layers and one block see 31 and 48 pixels far; the head one cell more."""
    model = CFG.build().eval()
    image = torch.rand(1, 3, 160, 160)
    padded = F.pad(image, (0, 64, 0, 32))
    scores, boxes = model(image)
    wide_scores, wide_boxes = model(padded)
    ours, theirs = scores.view(20, 20, 2), wide_scores.view(24, 28, 2)[:20, :20]
    torch.testing.assert_close(ours[:14, :14], theirs[:14, :14])
    torch.testing.assert_close(
        boxes.view(20, 20, 4)[:14, :14], wide_boxes.view(24, 28, 4)[:14, :14], rtol=1e-5, atol=1e-4
    )
    assert not torch.allclose(ours[19], theirs[19])  # at the edge itself black is not nothing


def test_a_picture_without_boxes_teaches_background_only() -> None:
    model = CFG.build()
    empty = torch.tensor([[[-1.0, 0, 0, 0, 0]]])
    loss, metrics = system.CellTargets()(model, (torch.rand(1, 3, 32, 32), empty))
    assert metrics["box_loss"] == 0
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert system.CellTargets().count((torch.rand(1, 3, 32, 32), empty)) == 1


@pytest.mark.parametrize("shrink", [1, 2])
def test_sizes_that_are_no_multiple_of_the_stride_are_covered(shrink: int) -> None:
    model = system.Config(classes=2, width=6, blocks=1, shrink=shrink).build().eval()
    image = torch.rand(1, 3, 33, 41)
    rows, columns = -(-33 // (8 * shrink)), -(-41 // (8 * shrink))
    scores, boxes = model(image)
    assert scores.shape == (1, rows * columns, 2)
    assert boxes.shape == (1, rows * columns, 4)
    loss, _ = system.CellTargets(stride=8 * shrink)(model, (image, TRUTH[:1]))
    assert loss.isfinite()


@pytest.mark.parametrize(("field", "value"), [("classes", 0), ("width", 2), ("blocks", 0), ("shrink", 0)])
def test_nonsense_is_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        system.Config(**{field: value})
    with pytest.raises(ValueError, match="reach is 0"):
        system.CellTargets(reach=0.0)
