"""The wheel: small, whole, and enough for a first success without a checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fathom import catalog

pytestmark = pytest.mark.slow
ROOT = catalog.ROOT.parents[1]
LIMIT = 20e6  # bytes
LEARN = 5e6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: setuptools leaves folders behind, and other tests may be reading here."""
    place = tmp_path_factory.mktemp("wheel")
    clutter = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", place / "copy" / "src", ignore=clutter)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "copy")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place)]
    done = subprocess.run([*command, str(place / "copy")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (file,) = place.glob("*.whl")
    return file


def test_it_is_small_and_holds_every_file_of_the_package(wheel: Path) -> None:
    assert wheel.name.startswith("fathom_dl-")
    assert wheel.stat().st_size < LIMIT
    entries = zipfile.ZipFile(wheel).infolist()
    packed = {entry.filename for entry in entries}
    wanted = {
        f"fathom/{file.relative_to(catalog.ROOT).as_posix()}"
        for file in catalog.ROOT.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert not wanted - packed, sorted(wanted - packed)[:20]
    learn = sum(entry.compress_size for entry in entries if entry.filename.startswith("fathom/learn/"))
    assert learn < LEARN, "the curriculum with what its pages take from others"


def test_it_says_under_what_licences_it_comes(wheel: Path) -> None:
    """Ours, and those of what the pages of the curriculum take from others."""
    packed = zipfile.ZipFile(wheel)
    (about,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
    told = packed.read(about).decode()
    assert "License-Expression: Apache-2.0 AND MIT AND OFL-1.1" in told
    for name in ("LICENSE", "src/fathom/learn/web/vendor/LICENCES.txt"):
        assert f"License-File: {name}" in told
        assert packed.read(about.replace("METADATA", f"licenses/{name}")) == (ROOT / name).read_bytes()


def test_it_trains_on_the_digits_it_carries(wheel: Path, tmp_path: Path) -> None:
    """Unpacked into an empty folder, in an empty home, with no data set beside it."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    hidden = ("FATHOM_", "PYTHON", "XDG_")
    empty = {n: v for n, v in os.environ.items() if not n.startswith(hidden)}
    empty |= {"PYTHONPATH": str(tmp_path / "installed"), "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    code = (
        "import fathom, sys; from fathom.cli.command import main;"
        f"assert fathom.__file__.startswith({str(tmp_path)!r}), fathom.__file__;"
        "sys.exit(main(['train', 'mnist', '--set', 'steps=20', '--out', 'run', '--json']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=empty, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for made in ("run.json", "report.html", "model/model.onnx", "model/weights.safetensors"):
        assert (tmp_path / "run" / made).is_file(), made
