"""Erasing against torchvision at the same rectangles, and the rectangles against its draws."""

import math

import pytest
import torch

from fathom.fundamentals.augmentation.erasing import cutout, erase, erasing_rectangle, first_that_fits


@pytest.mark.slow
def test_erasing_is_torchvisions() -> None:
    from torchvision.transforms.v2 import functional as tv

    for kind in (torch.uint8, torch.float32):
        x = torch.randint(256, (5, 3, 9, 8)).to(kind)
        box = torch.tensor([[0, 0, 3, 4], [5, 2, 4, 6], [1, 1, 1, 1], [0, 0, 9, 8], [4, 3, 0, 2]])
        colour = torch.tensor([1, 2, 3]).to(kind)
        for value in (0, 5, colour):
            ours = erase(x, *box.T, value=value)
            shown = (
                value[:, None, None] if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=kind)
            )
            theirs = [tv.erase(p, *b, v=shown) for p, b in zip(x, box.tolist(), strict=True)]
            assert torch.equal(ours, torch.stack(theirs))


@pytest.mark.slow
def test_rectangles_are_torchvisions_for_the_same_draws() -> None:
    """Its own random numbers, read back from its generator, give the rectangles that it takes."""
    from torchvision.transforms import v2

    random_erasing = v2.RandomErasing(p=1.0)
    picture = torch.zeros(3, 32, 40)
    for seed in range(200):
        torch.manual_seed(seed)
        theirs = random_erasing.make_params([picture])
        torch.manual_seed(seed)
        shares, ratios = [], []
        for _ in range(10):
            shares.append(torch.empty(1).uniform_(0.02, 0.33))
            ratios.append(torch.exp(torch.empty(1).uniform_(math.log(0.3), math.log(3.3))))
            high, wide = erasing_rectangle(shares[-1], ratios[-1], (32, 40))
            if high < 32 and wide < 40:
                break
        box = erasing_rectangle(torch.stack(shares, dim=1), torch.stack(ratios, dim=1), (32, 40))
        high, wide = first_that_fits(*box, (32, 40))
        assert (high.item(), wide.item()) == (theirs["h"], theirs["w"])


def test_none_that_fits_erases_nothing() -> None:
    high, wide = first_that_fits(torch.tensor([[9, 4], [9, 9]]), torch.tensor([[2, 3], [2, 2]]), (8, 8))
    assert (high.tolist(), wide.tolist()) == ([4, 0], [3, 0])
    x = torch.rand(1, 1, 4, 4)
    assert torch.equal(erase(x, 0, 0, 0, 0), x)


def test_a_square_is_cut_off_at_the_border() -> None:
    x = torch.ones(3, 1, 6, 6)
    y = cutout(x, torch.tensor([3, 0, 5]), torch.tensor([3, 0, 3]), size=4)
    assert (y == 0).sum((1, 2, 3)).tolist() == [16, 4, 12]
    assert torch.equal(cutout(x, 0, 0, size=0), x)
    covered = cutout(x, 3, 3, size=100, value=torch.rand(3, 1, 6, 6) + 2)
    assert covered.min() >= 2


def test_half_precision_and_empty() -> None:
    assert erase(torch.zeros(0, 3, 4, 4), 0, 0, 2, 2).shape == (0, 3, 4, 4)
    for kind in (torch.float16, torch.bfloat16):
        y = erase(torch.ones(1, 3, 4, 4, dtype=kind), 1, 1, 2, 2, value=torch.tensor([0.5, 0.25, 2.0]))
        assert y.dtype == kind and y[0, :, 1, 1].tolist() == [0.5, 0.25, 2.0]


def test_bad_input_is_refused() -> None:
    x = torch.rand(2, 3, 4, 4)
    half = torch.tensor([0.5])
    for wrong, words in (
        (lambda: erase(x[0], 0, 0, 1, 1), r"images has shape \(3, 4, 4\)"),
        (lambda: erase(x, 0, 0, -1, 1), "height is -1"),
        (lambda: erase(x, torch.zeros(2), 0, 1, 1), "top is torch.float32"),
        (lambda: erase(x, 0, torch.zeros(3).long(), 1, 1), r"left is torch.int64 of shape \(3,\)"),
        (lambda: erase(x, 0, 0, 1, 1, value=torch.ones(2)), r"value has shape \(2,\)"),
        (lambda: cutout(x, 0, 0, size=-1), "size is -1"),
        (lambda: erasing_rectangle(half * 3, half, (4, 4)), r"share holds a number outside \[0, 1\]"),
        (lambda: erasing_rectangle(half, half * 0, (4, 4)), "ratio holds a number that is not positive"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
