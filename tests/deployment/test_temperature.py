"""The temperature beside a model: what it does to probabilities, and which files are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.deployment.temperature import FILE, Temperature, logits, read, write
from fathom.errors import InputError


def test_probabilities_become_those_of_divided_logits() -> None:
    z = torch.randn(50, 4, dtype=torch.float64) * 5
    for value in (0.3, 1.0, 2.5, 40.0):
        found = Temperature(value=value, digest="d").apply(z.softmax(-1).numpy())
        np.testing.assert_allclose(found, (z / value).softmax(-1).numpy(), rtol=0, atol=1e-12)
        single = Temperature(value=value, digest="d").apply(z.float().softmax(-1).numpy())
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, found, rtol=0, atol=2e-6)
        assert (single.argmax(-1) == z.argmax(-1).numpy()).all()


def test_extremes() -> None:
    certain = np.array([[1.0, 0.0, 0.0]], dtype=np.float32)
    assert np.isfinite(logits(certain)).all()
    np.testing.assert_allclose(Temperature(value=1.0, digest="d").apply(certain), certain, atol=1e-40)
    warm = Temperature(value=1e6, digest="d").apply(certain)
    np.testing.assert_allclose(warm, 1 / 3, atol=1e-4)
    assert Temperature(value=2.0, digest="d").apply(certain[:0]).shape == (0, 3)
    stacked = Temperature(value=2.0, digest="d").apply(np.full((2, 5, 4), 0.25))
    np.testing.assert_allclose(stacked, 0.25)


def test_only_its_port_is_changed() -> None:
    outputs = {"probabilities": np.array([[0.8, 0.2]]), "boxes": np.array([[0.8, 0.2]])}
    mended = Temperature(value=2.0, digest="d").over(lambda arrays: dict(arrays))(outputs)
    np.testing.assert_allclose(mended["probabilities"], [[2 / 3, 1 / 3]])  # sqrt(0.8 / 0.2) is 2
    assert mended["boxes"] is outputs["boxes"] and outputs["probabilities"][0, 0] == 0.8


def test_the_file_comes_back(tmp_path: Path) -> None:
    assert read(tmp_path, "abc") is None
    made = Temperature(value=1.5, digest="abc")
    assert write(tmp_path, made, {"fitted_on": 7}) == tmp_path / FILE
    assert read(tmp_path, "abc") == made
    assert json.loads((tmp_path / FILE).read_text())["fitted_on"] == 7
    assert [f.name for f in tmp_path.iterdir()] == [FILE]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(tmp_path, Temperature(value=1.5, digest="abc"), {})
    with pytest.raises(InputError, match="was fitted to other weights"):
        read(tmp_path, "abd")
    good = json.loads((tmp_path / FILE).read_text())
    for text in ("{", "[]", json.dumps({**good, "value": "warm"}), json.dumps({"format": 1})):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            read(tmp_path, "abc")
    (tmp_path / FILE).write_text(json.dumps({**good, "format": 2}))
    with pytest.raises(InputError, match="has format 2; this version of Fathom reads 1"):
        read(tmp_path, "abc")
    for value in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(InputError, match="must be positive and finite"):
            Temperature(value=value, digest="abc")
