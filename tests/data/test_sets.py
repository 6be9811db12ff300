"""The known sets themselves: counts, shapes and values that were published with them."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fathom.data import places
from fathom.data.sets import (
    ames_housing,
    bccd,
    cifar10,
    cora,
    mnist,
    multi30k,
    rt_polarity,
    surnames,
    tiny_shakespeare,
)
from fathom.errors import InputError


def read(module: Any, **options: Any) -> Any:
    """What the set holds; the test is skipped where no folder has it (and nothing is downloaded)."""
    if places.locate(module.SET) is None:
        pytest.skip(f"{module.SET.name} is in no folder of FATHOM_DATA, nor in the package or the cache")
    return module.read(**options)


def test_mnist() -> None:
    found = read(mnist)
    assert found.train_images.shape == (60000, 28, 28) and found.test_images.shape == (10000, 28, 28)
    assert found.train_images.dtype == np.uint8 and found.train_labels.dtype == np.int64
    assert found.train_labels[:5].tolist() == [5, 0, 4, 1, 9] and found.test_labels[:3].tolist() == [7, 2, 1]
    assert np.bincount(found.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert abs(found.train_images.mean() / 255 - 0.1307) < 1e-4
    found.train_images[0, 0, 0] = 1  # torch.from_numpy warns about arrays that cannot be written to


def test_mnist_needs_nothing_but_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(places.VARIABLE, raising=False)
    assert len(mnist.read().labels) == 10


@pytest.mark.slow
def test_cifar10() -> None:
    found = read(cifar10)
    assert found.train_images.shape == (50000, 3, 32, 32) and found.test_images.shape == (10000, 3, 32, 32)
    assert found.train_labels.dtype == np.int64 and found.train_images.dtype == np.uint8
    assert set(np.bincount(found.train_labels)) == {5000} and set(np.bincount(found.test_labels)) == {1000}
    means = found.train_images.mean(axis=(0, 2, 3)) / 255
    assert np.allclose(means, (0.4914, 0.4822, 0.4465), atol=2e-3)  # of the original, not JPEG, pixels
    assert found.labels[0] == "airplane" and found.labels[9] == "truck"


@pytest.mark.slow
def test_ames_housing() -> None:
    found = read(ames_housing)
    assert len(found.columns) == 82 and {len(cells) for cells in found.columns.values()} == {2930}
    prices = [float(price) for price in found.columns[found.target]]
    assert (min(prices), max(prices)) == (12789, 755000)
    assert sum(float(area) > 4000 for area in found.columns["Gr Liv Area"]) == 5
    kinds = found.kinds
    assert kinds["Order"] == kinds["PID"] == "identifier" and kinds["MS SubClass"] == "category"
    assert kinds["Lot Frontage"] == "numeric" and kinds["Neighborhood"] == "category"


def test_tiny_shakespeare() -> None:
    text = read(tiny_shakespeare)
    assert len(text) == 1_115_394 and len(set(text)) == 65
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.")


def test_rt_polarity() -> None:
    found = read(rt_polarity)
    assert Counter(found.labels) == {0: 5331, 1: 5331} and len(found.texts) == 10662
    assert found.texts[0].startswith("simplistic") and found.texts[5331].startswith("the rock is destined")
    assert all(text == text.strip() and text for text in found.texts)


def test_bccd() -> None:
    found = read(bccd)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [205, 87, 72]
    counts: Counter[int] = Counter()
    for _, boxes, labels in (*found.train, *found.valid, *found.test):
        assert boxes.dtype == np.float32 and boxes.shape == (len(labels), 4) and labels.dtype == np.int64
        assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min() >= 0
        assert (boxes <= np.array([640, 480, 640, 480])).all()
        counts.update(labels.tolist())
    named = {label: counts[i] for i, label in enumerate(found.labels)}
    published = bccd.SET.counts["boxes"]
    assert sum(published.values()) - sum(named.values()) == 2  # the boxes without area are dropped
    assert all(0 <= published[label] - named[label] <= 2 for label in found.labels)
    assert Image.open(io.BytesIO(found.train[0][0])).size == (640, 480)


def test_cells_are_cut_from_their_photograph() -> None:
    jpeg, boxes, labels = read(bccd).train[0]
    cut = list(bccd.cells([(jpeg, boxes, labels)]))
    assert [kind for _, kind in cut] == [bccd.LABELS[label] for label in labels]
    for (picture, _), (left, top, right, bottom) in zip(cut, boxes.tolist(), strict=True):
        width, height = right - left, bottom - top
        assert picture.size == pytest.approx(
            (width + 0.3 * max(width, height), height + 0.3 * max(width, height)), abs=1
        )
        assert picture.mode == "RGB"


def test_cora() -> None:
    found = read(cora)
    assert found.features.shape == (2708, 1433) and found.features.sum() == 49216
    assert set(np.unique(found.features)) == {0, 1} and found.features.dtype == np.float32
    assert found.edges.shape == (2, 10556) and found.edges.dtype == np.int64
    links = set(map(tuple, found.edges.T.tolist()))
    assert len(links) == 10556 and all((b, a) in links and a != b for a, b in links)
    assert [int(m.sum()) for m in (found.train, found.valid, found.test)] == [140, 500, 1000]
    assert not (found.train & found.valid).any() and not ((found.train | found.valid) & found.test).any()
    assert np.bincount(found.labels[found.train]).tolist() == [20] * 7


def test_multi30k() -> None:
    found = read(multi30k)
    assert [len(part) for part in (found.train, found.valid, found.test)] == [29000, 1014, 1000]
    assert found.train[0] == (
        "Two young, White males are outside near many bushes.",
        "Zwei junge wei\u00dfe M\u00e4nner sind im Freien in der N\u00e4he vieler B\u00fcsche.",
    )
    turned = read(multi30k, source="fr", target="en")
    assert turned.train[0][1] == found.train[0][0]


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("en", "es"), ("", "de")])
def test_multi30k_has_three_languages(source: str, target: str) -> None:
    with pytest.raises(InputError, match="two of en, de and fr"):
        multi30k.read(source, target)


def test_surnames() -> None:
    found = read(surnames)
    assert len(found.names) == 20050 and len(found.labels) == 18
    counts = Counter(found.labels[i] for i in found.languages)
    assert counts == surnames.SET.counts["per_language"]
    assert "B\u00e9langer" in found.names and all(name == name.strip() and name for name in found.names)


def test_files_of_every_set_that_is_here_are_unchanged() -> None:
    here = [name for name, data in places.known().items() if places.locate(data)]
    assert "mnist" in here
    for name in here:
        places.verify(name)
