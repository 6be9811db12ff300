"""Photographs: what is held out, what is left out, halved pictures, and the cache of decoded ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fathom.data import photographs, places
from fathom.data.photographs import LABELS, Photographs, decoded, shrink
from fathom.data.sets import cifar10
from fathom.errors import InputError


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> cifar10.Images:
    """60 training pictures of each class in a shuffled order, 20 for the test; pixel 0 tells the number."""
    dice = np.random.default_rng(0)

    def draw(each: int) -> tuple[np.ndarray, np.ndarray]:
        labels = dice.permutation(np.repeat(np.arange(10), each))
        pictures = dice.integers(0, 256, (len(labels), 3, 32, 32)).astype(np.uint8)
        pictures[:, 0, 0, 0], pictures[:, 1, 0, 0] = np.divmod(np.arange(len(labels)), 256)
        return pictures, labels

    images = cifar10.Images(*draw(60), *draw(20))
    monkeypatch.setattr(photographs, "decoded", lambda: images)
    return images


def numbers(split: Any) -> torch.Tensor:
    """The numbers that the pictures of a split bear."""
    corner = split.columns[0][:, :2, 0, 0].long()
    return corner[:, 0] * 256 + corner[:, 1]


def test_the_last_training_images_are_held_out(small: cifar10.Images) -> None:
    data = Photographs(valid=100).load()
    assert data.valid is not None and data.test is not None
    assert numbers(data.train).tolist() == list(range(500))
    assert numbers(data.valid).tolist() == list(range(500, 600))
    assert numbers(data.test).tolist() == list(range(200))
    for split, labels in ((data.train, small.train_labels[:500]), (data.test, small.test_labels)):
        image, label = split.rows(torch.tensor([3, 1]))
        assert image.dtype == torch.uint8 and image.shape == (2, 3, 32, 32)
        assert label.dtype == torch.int64 and label.tolist() == labels[[3, 1]].tolist()
    assert data.facts["train"] == 500 and sum(data.facts["train_per_class"].values()) == 500
    assert Photographs(valid=0).load().valid is None


def test_the_first_of_each_class_are_kept(small: cifar10.Images) -> None:
    data = Photographs(valid=100, train=7).load()
    kept = numbers(data.train)
    assert len(kept) == 70 and kept.tolist() == sorted(kept.tolist())
    for k in range(10):
        first = [i for i in range(500) if small.train_labels[i] == k][:7]
        assert [i for i in kept.tolist() if small.train_labels[i] == k] == first
    assert len(data.valid or ()) == 100 and len(data.test or ()) == 200
    with pytest.raises(InputError, match=r"train is 55; a class has \d+ training images beside the 100"):
        Photographs(valid=100, train=55).load()


def test_halved_pictures_are_means_over_squares() -> None:
    pictures = torch.randint(256, (5, 3, 32, 32), dtype=torch.uint8)
    pictures[0] = 255
    for size in (16, 8):
        factor = 32 // size
        found = shrink(pictures, size)
        assert found.dtype == torch.uint8 and found.shape == (5, 3, size, size)
        for row, column in ((0, 0), (size - 1, 3)):
            square = pictures[
                :, :, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor
            ]
            mean = (square.double().mean(dim=(2, 3)) + 0.5).floor()
            assert torch.equal(found[:, :, row, column].double(), mean)
    assert shrink(pictures, 32) is pictures


def test_size_reaches_every_split(small: cifar10.Images) -> None:
    data = Photographs(valid=100, size=8).load()
    for split in (data.train, data.valid, data.test):
        assert split is not None and split.rows(torch.tensor([0]))[0].shape == (1, 3, 8, 8)


def test_long_tail_of_the_paper(small: cifar10.Images) -> None:
    """Cui et al. 2019: of 5,000 images each and imbalance 100, 12,406 stay; 13,996 of imbalance 50."""
    labels = torch.arange(50_000) % 10
    for imbalance, total, last in ((100.0, 12_406, 50), (50.0, 13_996, 100), (1.0, 50_000, 5000)):
        counts = torch.bincount(labels[Photographs(imbalance=imbalance).kept(labels)])
        assert int(counts.sum()) == total and int(counts[0]) == 5000 and int(counts[-1]) == last
    data = Photographs(valid=0, imbalance=1000.0).load()
    assert torch.bincount(data.train.columns[1]).tolist() == [60, 27, 12, 6, 2, 1, 1, 1, 1, 1]
    assert Photographs(valid=100, imbalance=20.0).load().facts["valid"] == 100
    both = Photographs(valid=0, train=40, imbalance=4.0).load()
    assert torch.bincount(both.train.columns[1])[[0, 9]].tolist() == [40, 10]


def test_a_pair_with_a_rare_class(small: cifar10.Images) -> None:
    wanted = Photographs(valid=100, pair=(5, 3), minority=0.1)
    assert wanted.labels == ("dog", "cat") == (LABELS[5], LABELS[3])
    data: Any = wanted.load()
    dogs = int((small.train_labels[:500] == 5).sum())
    assert torch.bincount(data.train.columns[1]).tolist() == [dogs, round(dogs / 10)]
    for split, labels in ((data.train, small.train_labels), (data.test, small.test_labels)):
        truth = [{5: 0, 3: 1}[labels[i]] for i in numbers(split).tolist()]
        assert split.columns[1].tolist() == truth
    held = small.train_labels[500:]
    assert torch.bincount(data.valid.columns[1]).tolist() == [int((held == k).sum()) for k in (5, 3)]
    assert torch.bincount(data.test.columns[1]).tolist() == [20, 20]
    whole = Photographs(valid=0, pair=(0, 9)).load()
    assert torch.bincount(whole.train.columns[1]).tolist() == [60, 60]
    assert data.facts["train_per_class"] == {"dog": dogs, "cat": round(dogs / 10)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"valid": -1}, "valid is -1; of 50,000"),
        ({"valid": 50_000}, "valid is 50000"),
        ({"train": 0}, r"train is 0; it must be in \[1, 5000\]"),
        ({"train": 5001}, "train is 5001"),
        ({"size": 24}, "size is 24; it must be 8, 16 or 32"),
        ({"imbalance": 0.5}, "imbalance is 0.5; it must be 1 or more"),
        ({"imbalance": float("nan")}, "imbalance is nan"),
        ({"imbalance": float("inf")}, "imbalance is inf"),
        ({"pair": (3, 5), "minority": 0.0}, r"minority is 0.0; it must be in \(0, 1\]"),
        ({"pair": (3, 5), "minority": float("nan")}, "minority is nan"),
        ({"minority": 0.5}, "minority is 0.5, but pair is None"),
        ({"pair": (3, 3)}, r"pair is \(3, 3\); it must be two different classes of 0 to 9"),
        ({"pair": (3, 10)}, r"pair is \(3, 10\)"),
        ({"pair": (3, 5), "imbalance": 2.0}, "imbalance is 2.0 and pair"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Photographs(**settings)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[[], Path], list[int]]:
    """A cache of its own; a set whose pictures cost a call of ``read``, which is counted."""
    calls: list[int] = []

    def read() -> cifar10.Images:
        calls.append(1)
        pictures, labels = np.full((2, 3, 32, 32), 7, np.uint8), np.array([3, 1])
        return cifar10.Images(pictures, labels, pictures + 1, labels + 1)

    monkeypatch.setattr(cifar10, "read", read)
    monkeypatch.setattr(places, "find", lambda chosen: tmp_path)
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    return lambda: next((tmp_path / "cache" / "decoded").iterdir()), calls


def test_pictures_are_decoded_once(cached: tuple[Callable[[], Path], list[int]]) -> None:
    file, calls = cached
    first, second = decoded(), decoded()
    assert len(calls) == 1 and file().suffix == ".npz" and "pillow" in file().name
    for name in photographs.COLUMNS:
        a, b = getattr(first, name), getattr(second, name)
        assert np.array_equal(a, b) and a.dtype == b.dtype and b.flags.writeable


@pytest.mark.parametrize("damage", ["cut", "bit", "empty"])
def test_a_damaged_cache_is_made_anew(cached: tuple[Callable[[], Path], list[int]], damage: str) -> None:
    file, calls = cached
    decoded()
    held = bytearray(file().read_bytes())
    held[len(held) // 3] ^= 4
    file().write_bytes({"cut": held[:3000], "bit": held, "empty": b""}[damage])
    assert (decoded().train_images == 7).all() and len(calls) == 2
    assert (decoded().train_images == 7).all() and len(calls) == 2


def test_a_cache_that_cannot_be_written_is_done_without(
    cached: tuple[Callable[[], Path], list[int]], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert decoded().train_labels.tolist() == [3, 1] and decoded().test_labels.tolist() == [4, 2]
    assert len(cached[1]) == 2


def test_a_set_that_is_not_there_is_refused_whatever_the_cache_holds(
    cached: tuple[Callable[[], Path], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded()

    def find(chosen: Any) -> Path:
        raise InputError(f"{chosen.name} was changed")

    monkeypatch.setattr(places, "find", find)
    with pytest.raises(InputError, match="cifar10 was changed"):
        decoded()


@pytest.mark.slow
def test_mean_and_deviation_are_those_of_the_training_pictures() -> None:
    if places.locate(cifar10.SET) is None:
        pytest.skip("cifar10 is in no folder of FATHOM_DATA, nor in the cache")
    data = Photographs(valid=0).load()
    pixels = data.train.columns[0].numpy()
    for channel in range(3):
        own = pixels[:, channel].astype(np.float64) / 255
        assert own.mean() == pytest.approx(photographs.MEAN[channel], abs=1e-4)
        assert own.std() == pytest.approx(photographs.DEVIATION[channel], abs=1e-4)
    assert len(Photographs(valid=5000, pair=(5, 3), minority=0.02).load().valid or ()) > 900
