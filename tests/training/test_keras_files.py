"""Files of Keras: three layouts give the same arrays; what is no plain array of the file is refused."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import zipfile
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

from fathom.errors import InputError, MissingExtra
from fathom.training import hdf5_reader, importing
from fathom.training.importing import read_tensors

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def saved(tmp_path: Path) -> tuple[dict[str, np.ndarray], list[Path]]:
    """A model with all kinds of variables, in each way that Keras saves."""
    import keras

    model: Any = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(3, 3, name="look"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(2),
            keras.layers.Dropout(0.1),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    dice = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(dice.normal(size=variable.shape))
    files = [tmp_path / name for name in ("a.weights.h5", "a.keras", "a.h5")]
    model.save_weights(files[0])
    model.save(files[1])
    model.save(files[2])
    kept = {f"{layer.name}.{v.name}": v.numpy() for layer in model.layers for v in layer.weights}
    return kept, files


def read(source: Path, tmp_path: Path) -> dict[str, np.ndarray]:
    """Without the confinement, in this process."""
    hdf5_reader.main(str(source), str(tmp_path / "out.safetensors"))
    return load_file(tmp_path / "out.safetensors")


def test_three_layouts_hold_the_same_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, files = saved(tmp_path)
    assert len(kept) == 10
    for file in files:
        found = read(file, tmp_path)
        assert set(found) == set(kept), file
        for name, array in kept.items():
            assert np.array_equal(found[name], array), (file, name)
    assert '"tensors": 10' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_confined_process_reads_them(tmp_path: Path, place: int) -> None:
    kept, files = saved(tmp_path)
    facts = read_tensors(files[place], tmp_path / "draft.safetensors")
    assert facts["tensors"] == len(kept) and facts["numbers"] == sum(a.size for a in kept.values())
    assert set(load_file(tmp_path / "draft.safetensors")) == set(kept)


def test_whole_numbers_are_no_weights_and_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file["layers/dropout/seed_generator/vars/0"] = np.arange(2, dtype="u4")
        file["layers/dense/vars/0"] = np.ones((2, 3), "f2")
        file["layers/batch_normalization/vars/0"] = np.ones(3, "f4")  # without a scale: which one is it?
    assert set(read(tmp_path / "x.weights.h5", tmp_path)) == {"dense.kernel", "batch_normalization.0"}
    assert '"left": ["dropout.seed_generator.0"]' in capsys.readouterr().out


def outside(file: h5py.File) -> None:
    file["dense/kernel"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft(file: h5py.File) -> None:
    file["dense"] = h5py.SoftLink("/nowhere")


def stored_elsewhere(file: h5py.File) -> None:
    file.create_dataset("x", (2,), "f4", external=[("/etc/passwd", 0, 8)])


def put_together(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (2,))
    file.create_virtual_dataset("x", layout)


def text(file: h5py.File) -> None:
    file["x"] = "import os"


def bomb(file: h5py.File) -> None:
    file.create_dataset("x", (2**33, 2), "f4", chunks=(2**20, 1), compression="gzip")


def packed_otherwise(file: h5py.File) -> None:
    file.create_dataset("x", (64,), "f4", compression="lzf")


def circle(file: h5py.File) -> None:
    file.create_group("a")["again"] = file["/"]


def kinds(file: h5py.File) -> None:
    file["kind"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (outside, "dense/kernel is a link to somewhere else"),
        (soft, "dense is a link to somewhere else"),
        (stored_elsewhere, "x lies in another file"),
        (put_together, "x lies in another file"),
        (text, "not numbers"),
        (bomb, "the arrays have 68,719,476,736 bytes"),
        (packed_otherwise, "packed by lzf"),
        (circle, "deeper than 20"),
        (kinds, "neither an array nor a group"),
    ],
)
def test_what_is_no_plain_array_of_the_file_is_refused(
    tmp_path: Path, spoil: Callable[[h5py.File], None], said: str
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        spoil(file)
    with pytest.raises(ValueError, match=said):
        read(tmp_path / "x.h5", tmp_path)
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_of_very_many_groups_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_reader, "MOST", 3)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in "abcd":
            file.create_group(name)
    with pytest.raises(ValueError, match="more than 3 arrays and groups"):
        read(tmp_path / "x.h5", tmp_path)


def test_an_archive_without_weights_or_with_too_many_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match=r"no model\.weights\.h5"):
        read(tmp_path / "x.keras", tmp_path)
    with zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2000))
    monkeypatch.setattr(hdf5_reader, "LARGEST", 1000)
    with pytest.raises(ValueError, match="unpacks to 2,000 bytes"):
        read(tmp_path / "x.keras", tmp_path)


@pytest.mark.slow
def test_what_is_no_hdf5_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match=r"x\.h5 is not a file of numbers that Keras wrote and was not read"):
        read_tensors(tmp_path / "x.h5", tmp_path / "draft.safetensors")


def test_without_h5py_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.h5").write_bytes(b"")
    monkeypatch.setattr(importing, "find_spec", lambda name: None if name == "h5py" else util.find_spec(name))
    with pytest.raises(MissingExtra, match=r"fathom-dl\[keras\]"):
        read_tensors(tmp_path / "x.h5", tmp_path / "draft.safetensors")


def test_the_reader_opens_no_socket_and_starts_no_process() -> None:
    for event in ("socket.connect", "subprocess.Popen", "os.system"):
        with pytest.raises(PermissionError):
            hdf5_reader.refuse(event, ())
    hdf5_reader.refuse("open", ("x", "r", 0))
