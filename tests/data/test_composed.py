"""Digits on one canvas: what is there is what the target says, and nothing crosses from split to split."""

import pytest
import torch

from fathom.data.composed import SIDE, ComposedDigits, drawn_marks, put
from fathom.data.sets import mnist

SMALL = ComposedDigits(train=60, valid=20, test=30)


def test_splits_and_sizes() -> None:
    data = SMALL.load()
    for name, count in (("train", 60), ("valid", 20), ("test", 30)):
        image, target = getattr(data, name).columns
        assert image.shape == (count, 1, 56, 56) and image.dtype == torch.uint8
        assert target.shape == (count, 10) and set(target.unique().tolist()) == {0.0, 1.0}
        assert target.sum(dim=1).min() >= 1 and target.sum(dim=1).max() <= 3
    again, other = SMALL.load(), ComposedDigits(train=60, valid=20, test=30, seed=1).load()
    assert torch.equal(data.train.columns[0], again.train.columns[0])
    assert not torch.equal(data.train.columns[0], other.train.columns[0])


def test_every_canvas_is_made_of_the_digits_that_its_target_names() -> None:
    """Solid digits of one grey level each tell by their level what they are, wherever they lie."""
    levels = torch.arange(1, 11, dtype=torch.uint8) * 20
    digits = torch.zeros(10, SIDE, SIDE, dtype=torch.uint8)
    digits[:, 4:24, 4:24] = levels[:, None, None]  # the box that MNIST's digits fill
    dice = torch.Generator().manual_seed(0)
    made = ComposedDigits(fewest=2, most=4).composed(200, digits, torch.arange(10), dice)
    for image, target in zip(*made.columns, strict=True):
        there = {int(v) // 20 - 1 for v in image.unique() if v}
        assert there == set(target.nonzero()[:, 0].tolist())
        assert int((image > 0).sum()) % 400 == 0  # nothing overlaps, nothing is cut


def test_digits_of_a_split_are_its_own() -> None:
    """A canvas of one digit holds that picture of MNIST, moved."""
    images = mnist.read()
    one = ComposedDigits(train=5, valid=5, test=5, fewest=1, most=1).load()
    pools = {
        "train": images.train_images[:55_000], "valid": images.train_images[55_000:],
        "test": images.test_images,
    }  # fmt: skip
    for name, pool in pools.items():
        inks = torch.from_numpy(pool).flatten(1).sum(dim=1, dtype=torch.int64)
        for image in getattr(one, name).columns[0]:
            assert int(image.sum(dtype=torch.int64)) in inks


def test_the_lighter_stays_where_pictures_meet() -> None:
    canvas = torch.zeros(2, 4, 4, dtype=torch.uint8)
    pictures = torch.full((1, 2, 2), 9, dtype=torch.uint8)
    put(canvas, torch.tensor([1]), pictures, torch.tensor([[1, 2]]))
    put(canvas, torch.tensor([1]), pictures - 4, torch.tensor([[1, 1]]))
    assert canvas[0].sum() == 0
    assert canvas[1].tolist() == [[0, 0, 0, 0], [0, 5, 9, 9], [0, 5, 9, 9], [0, 0, 0, 0]]


def test_drawn_marks_are_there_or_not() -> None:
    image, target = drawn_marks(train=50, valid=10).load().train.columns
    assert image.shape == (50, 1, 16, 16) and target.shape == (50, 3)
    assert bool(((image == 255).flatten(1).any(dim=1) == target.any(dim=1)).all())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train": 0}, "train is 0; it must be 1 or more pictures"),
        ({"fewest": 3, "most": 2}, "fewest is 3 and most 2"),
        ({"most": 5}, "most <= 4"),
        ({"fewest": 0}, "fewest is 0"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ComposedDigits(**settings)
