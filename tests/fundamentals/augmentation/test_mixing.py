"""Mixing against timm's Mixup with the same draws, Beta against scipy, mosaics and pastes against loops."""

import numpy as np
import pytest
import torch
from scipy import stats

from fathom.fundamentals.augmentation.mixing import (
    beta_quantile,
    copy_paste,
    cutmix,
    cutmix_box,
    mix,
    mosaic,
    mosaic_boxes,
    soft_targets,
)


@pytest.mark.slow
def test_pictures_and_targets_are_timms() -> None:
    """Its own draws, made again from the same NumPy seed, in our functions: whole batches and row by row."""
    from timm.data.mixup import Mixup

    x, labels = torch.rand(8, 3, 16, 12), torch.tensor([0, 3, 1, 4, 2, 2, 0, 1])
    targets = soft_targets(labels, 5, smoothing=0.1)
    for seed in range(40):
        for kind in ("mixup", "cutmix"):
            alphas = (
                {"mixup_alpha": 0.8, "cutmix_alpha": 0.0}
                if kind == "mixup"
                else {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}
            )
            theirs = Mixup(**alphas, label_smoothing=0.1, num_classes=5)
            np.random.seed(seed)
            image, target = theirs(x.clone(), labels)
            np.random.seed(seed)
            np.random.rand()  # whether to mix at all
            weight = np.random.beta(0.8, 0.8) if kind == "mixup" else np.random.beta(1.0, 1.0)
            if kind == "mixup":
                made, share = mix(x, x.flip(0), weight), weight
            else:
                high, wide = int(16 * np.sqrt(1 - weight)), int(12 * np.sqrt(1 - weight))
                row, column = np.random.randint(0, 16), np.random.randint(0, 12)
                box = cutmix_box(weight, torch.full((8,), row), torch.full((8,), column), (16, 12))
                assert (box[0, 2] - box[0, 0] <= high) and (box[0, 3] - box[0, 1] <= wide)
                made, share = cutmix(x, x.flip(0), box)
            torch.testing.assert_close(made, image, rtol=0, atol=1e-6)
            torch.testing.assert_close(mix(targets, targets.flip(0), share), target, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_rows_of_their_own_weights_are_timms() -> None:
    from timm.data.mixup import Mixup

    x, labels = torch.rand(6, 3, 8, 8), torch.tensor([0, 3, 1, 4, 2, 2])
    targets = soft_targets(labels, 5)
    np.random.seed(3)
    image, target = Mixup(mixup_alpha=0.4, mode="elem", label_smoothing=0.0, num_classes=5)(x.clone(), labels)
    np.random.seed(3)
    weight = torch.from_numpy(np.random.beta(0.4, 0.4, size=6).astype(np.float32))
    torch.testing.assert_close(mix(x, x.flip(0), weight), image, rtol=0, atol=1e-6)
    torch.testing.assert_close(mix(targets, targets.flip(0), weight), target, rtol=0, atol=1e-6)


def test_targets_stay_probabilities() -> None:
    targets = soft_targets(torch.tensor([0, 2, 1]), 3, smoothing=0.2)
    mixed = mix(targets, targets.roll(1, 0), torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(mixed.sum(1), torch.ones(3))
    torch.testing.assert_close(soft_targets(torch.tensor([1]), 4, smoothing=0.0), torch.eye(4)[1:2])


def test_a_pasted_rectangle_weighs_its_area() -> None:
    first, second = torch.zeros(3, 1, 6, 8), torch.ones(3, 1, 6, 8)
    box = cutmix_box(torch.tensor([0.0, 0.75, 1.0]), torch.tensor([3, 0, 3]), torch.tensor([4, 0, 4]), (6, 8))
    mixed, share = cutmix(first, second, box)
    torch.testing.assert_close(mixed.mean((1, 2, 3)), 1 - share)
    assert share.tolist() == pytest.approx([0, 1 - 2 * 2 / 48, 1])


def test_whole_numbers_are_rounded() -> None:
    first, second = (torch.tensor([[v]], dtype=torch.uint8) for v in (10, 15))
    assert mix(first, second, 0.5).item() in (12, 13)
    assert mix(first, second, 0.9).item() == 10
    assert mix(first, second, 0.0).item() == 15


def test_quantiles_are_scipys() -> None:
    numbers = torch.cat(
        [torch.linspace(0, 1, 401).double(), torch.tensor([1e-9, 2.0**-24, 1 - 2.0**-24]).double()]
    )
    for alpha in (0.05, 0.1, 0.2, 0.4, 0.5, 1.0, 1.7, 2.0, 4.0, 8.0, 10.0):
        ours = beta_quantile(numbers, alpha)
        theirs = torch.from_numpy(stats.beta.ppf(numbers.numpy(), alpha, alpha))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10, msg=lambda m, a=alpha: f"{a}: {m}")
    torch.testing.assert_close(beta_quantile(numbers, 1.0), numbers, rtol=0, atol=1e-14)
    drawn = beta_quantile(torch.rand(20_000), 0.3)
    assert stats.kstest(drawn.numpy(), stats.beta(0.3, 0.3).cdf).pvalue > 1e-3


def test_boxes_of_a_mosaic_lie_where_their_objects_do() -> None:
    """Each picture has one white rectangle; on the canvas its box is the moved box."""
    images, boxes = torch.zeros(5, 4, 1, 9, 11), torch.zeros(5, 4, 1, 4)
    for n in range(5):
        for q in range(4):
            left, top = torch.randint(0, 6, (2,)).tolist()
            images[n, q, 0, top : top + 3, left : left + 4] = q + 1
            boxes[n, q, 0] = torch.tensor([left, top, left + 4, top + 3])
    row, column = torch.tensor([9, 4, 0, 18, 12]), torch.tensor([11, 20, 0, 22, 7])
    canvas, moved = mosaic(images, row, column), mosaic_boxes(boxes, row, column, (9, 11))
    assert canvas.shape == (5, 1, 18, 22)
    for n in range(5):
        for q in range(4):
            left, top, right, bottom = moved[n, q, 0].int().tolist()
            found = canvas[n, 0] == q + 1
            assert found.sum() == (right - left) * (bottom - top)
            assert found[top:bottom, left:right].all()


def test_pasted_objects_cover_what_was_there() -> None:
    images, others = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    masks, pasted = torch.zeros(1, 2, 4, 4, dtype=torch.bool), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[0, 0, :2], masks[0, 1, 3] = True, True
    pasted[0, 0, 1:] = True
    made, left = copy_paste(images, masks, others, pasted)
    assert made[0, 0].sum() == 12
    assert left.sum((2, 3)).tolist() == [[4, 0, 12]]


def test_extremes_and_half_precision() -> None:
    big = mix(torch.full((2, 3), 1e4), torch.full((2, 3), -1e4), 0.5)
    assert torch.equal(big, torch.zeros(2, 3))
    assert mix(torch.zeros(0, 3), torch.zeros(0, 3), 0.5).shape == (0, 3)
    assert soft_targets(torch.zeros(0, dtype=torch.int64), 3).shape == (0, 3)
    for kind in (torch.float16, torch.bfloat16):
        a, b = torch.rand(2, 2, 3).to(kind)
        torch.testing.assert_close(mix(a, b, 0.3).float(), mix(a.float(), b.float(), 0.3), rtol=0, atol=0.01)


def test_bad_input_is_refused() -> None:
    x, labels, at = torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), torch.tensor([1, 1])
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    box = torch.tensor([[0, 0, 5, 1], [0, 0, 1, 1]])
    for wrong, words in (
        (lambda: soft_targets(labels, 1), "labels go from 0 to 1; classes is 1"),
        (lambda: soft_targets(labels - 1, 2), "labels go from -1"),
        (lambda: soft_targets(labels.float(), 2), "labels is torch.float32"),
        (lambda: soft_targets(labels, 2, smoothing=1.0), "smoothing is 1.0"),
        (lambda: mix(x, x[:1], 0.5), "they must be alike"),
        (lambda: mix(x, x, 1.5), "weight is 1.5"),
        (lambda: mix(x, x, torch.zeros(3)), r"weight has shape \(3,\)"),
        (lambda: cutmix_box(-0.5, at, at, (4, 4)), "weight is -0.5"),
        (lambda: cutmix(x, x, box), "not inside a picture of 4 by 4"),
        (lambda: cutmix(x, x, box[:1]), r"box \(1, 4\)"),
        (lambda: mosaic(x, at, at), r"images has shape \(2, 3, 4, 4\)"),
        (lambda: mosaic(torch.rand(2, 4, 1, 3, 3), at + 9, at), r"row is \[10, 10\]; it must be in \[0, 6\]"),
        (lambda: mosaic(torch.rand(2, 4, 1, 3, 3), at, at.float()), "column is torch.float32"),
        (
            lambda: mosaic_boxes(torch.rand(2, 3, 1, 4), at, at, (3, 3)),
            r"boxes is .* \(2, 3, 1, 4\); it must",
        ),
        (lambda: mosaic_boxes(torch.zeros(2, 4, 1, 4).int(), at, at, (3, 3)), "boxes is torch.int32"),
        (lambda: mosaic_boxes(torch.rand(2, 4, 1, 4), at[:1], at, (3, 3)), r"row is .* of shape \(1,\)"),
        (lambda: mosaic_boxes(torch.rand(2, 4, 1, 4), at, at - 2, (3, 3)), r"column is \[-1, -1\]"),
        (lambda: copy_paste(x, mask.int(), x, mask), "masks is torch.int32"),
        (lambda: copy_paste(x, mask, x, mask[..., :2]), "pasted is torch.bool of shape"),
        (lambda: beta_quantile(torch.tensor([0.5]), 0.0), "alpha is 0.0"),
        (lambda: beta_quantile(torch.tensor([1.5]), 1.0), "numbers holds a number outside"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
