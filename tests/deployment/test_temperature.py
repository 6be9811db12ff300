"""The temperature beside a model: what it does to probabilities, and which files are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fathom.deployment.temperature import FILE, Temperature, logits, read, write
from fathom.errors import InputError

BESIDE = {"digest": "abc", "outputs": [{"name": "probabilities", "dtype": "float32"}]}  # artifact.json


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
    least = np.log(np.finfo(np.float32).smallest_subnormal) / 1e3  # a probability of 0 is told as this one
    warm = Temperature(value=1e3, digest="d").apply(certain)
    np.testing.assert_allclose(warm, np.exp([[0, least, least]]) / (1 + 2 * np.exp(least)), rtol=1e-6)
    cold = Temperature(value=1e-3, digest="d").apply(np.array([[0.4, 0.6]]))
    np.testing.assert_allclose(cold, [[0, 1]], atol=1e-100)
    assert Temperature(value=2.0, digest="d").apply(certain[:0]).shape == (0, 3)
    stacked = Temperature(value=2.0, digest="d").apply(np.full((2, 5, 4), 0.25))
    np.testing.assert_allclose(stacked, 0.25)


def test_the_likeliest_class_stays_where_rounding_makes_two_equal() -> None:
    half = np.float32(0.5)
    close = np.array([[np.nextafter(half, 0), half], [half, np.nextafter(half, 0)]], dtype=np.float32)
    plain = (torch.from_numpy(logits(close)) / 1000).softmax(-1).float().numpy()
    assert plain[0, 0] == plain[0, 1], "this is the case that rounding spoils"
    mended = Temperature(value=1000.0, digest="d").apply(close)
    assert mended.argmax(-1).tolist() == [1, 0]
    np.testing.assert_allclose(mended, plain, atol=1e-7)


def test_only_its_port_is_changed() -> None:
    outputs = {"probabilities": np.array([[0.8, 0.2]]), "boxes": np.array([[0.8, 0.2]])}
    mended = Temperature(value=2.0, digest="d").over(lambda arrays: dict(arrays))(outputs)
    np.testing.assert_allclose(mended["probabilities"], [[2 / 3, 1 / 3]])  # sqrt(0.8 / 0.2) is 2
    assert mended["boxes"] is outputs["boxes"] and outputs["probabilities"][0, 0] == 0.8


def test_the_file_comes_back(tmp_path: Path) -> None:
    assert read(tmp_path, BESIDE) is None
    made = Temperature(value=1.5, digest="abc")
    assert write(tmp_path, made, {"fitted_on": 7}) == tmp_path / FILE
    assert read(tmp_path, BESIDE) == made and str(made) == "calibrated with temperature 1.5"
    assert json.loads((tmp_path / FILE).read_text())["fitted_on"] == 7
    assert [f.name for f in tmp_path.iterdir()] == [FILE]


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write(tmp_path, Temperature(value=1.5, digest="abc"), {})
    with pytest.raises(InputError, match="was fitted to other weights"):
        read(tmp_path, {**BESIDE, "digest": "abd"})
    with pytest.raises(InputError, match="for the output 'probabilities'; the model has boxes"):
        read(tmp_path, {**BESIDE, "outputs": [{"name": "boxes", "dtype": "float32"}]})
    whole = [{"name": "probabilities", "dtype": "int64"}]
    with pytest.raises(InputError, match="the model has none that has one"):
        read(tmp_path, {**BESIDE, "outputs": whole})
    good = json.loads((tmp_path / FILE).read_text())
    for text in ("{", "[]", "\xff", "[" * 60_000, json.dumps({"format": 1})):
        (tmp_path / FILE).write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match="is damaged"):
            read(tmp_path, BESIDE)
    (tmp_path / FILE).write_text(json.dumps({**good, "format": 2}))
    with pytest.raises(InputError, match="has format 2; this version of Fathom reads 1"):
        read(tmp_path, BESIDE)
    (tmp_path / FILE).write_text(json.dumps({**good, "note": "x" * 70_000}))
    with pytest.raises(InputError, match="larger than 65,536 bytes"):
        read(tmp_path, BESIDE)
    (tmp_path / FILE).write_text(json.dumps({**good, "port": ["probabilities"]}))
    with pytest.raises(InputError, match="for the output \"\\['probabilities'\\]\""):
        read(tmp_path, BESIDE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NaN", "is nan; it must lie between 0.001 and 1000"),
        ("Infinity", "is inf; it must lie"),
        ("-1.5", "is -1.5; it must lie"),
        ("0", "is 0; it must lie"),
        ("1e300", "is 1e[+]300; it must lie"),
        ("9" * 400, "is a number of more than 80 digits; it must lie"),
        ("1e-9", "is 1e-09; it must lie"),
        ('"1.5"', "is text; it must be a number"),
        ("true", "is true/false; it must be a number"),
        ("null", "is null; it must be a number"),
        ("[1.5]", "is a list; it must be a number"),
    ],
)
def test_impossible_temperatures_are_refused(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, Temperature(value=1.5, digest="abc"), {})
    file = tmp_path / FILE
    file.write_text(file.read_text().replace('"value": 1.5', f'"value": {text}'))
    with pytest.raises(InputError, match=said) as refusal:
        read(tmp_path, BESIDE)
    assert str(file) in str(refusal.value) and "fathom explain calibration RUN" in str(refusal.value)
