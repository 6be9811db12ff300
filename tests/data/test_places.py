"""Where sets are looked for, in which order, and what is said when they are damaged or missing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fathom.data import places
from fathom.data.places import DataSet
from fathom.errors import InputError

CONTENT = {"a.txt": b"first file\n", "b.txt": b"second file\n"}


def made_up(**changes: object) -> DataSet:
    facts: dict = {
        "name": "made_up", "title": "Made up", "tasks": ("none",), "licence": "none", "redistributable": True,
        "citation": "nobody", "home": "https://example.org/made_up",
        "files": {n: (hashlib.sha256(c).hexdigest(), len(c)) for n, c in CONTENT.items()},
    }  # fmt: skip
    return DataSet(**(facts | changes))


def write(folder: Path, content: dict[str, bytes] = CONTENT) -> Path:
    place = folder / "made_up"
    place.mkdir(parents=True)
    for name, data in content.items():
        (place / name).write_bytes(data)
    return place


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and no FATHOM_DATA."""
    monkeypatch.setattr(places, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv(places.VARIABLE, raising=False)
    return tmp_path


def test_every_set_is_described_and_named_like_its_file() -> None:
    known = places.known()
    assert {"mnist", "cifar10", "ames_housing", "tiny_shakespeare", "rt_polarity"} <= set(known)
    assert {"bccd", "cora", "multi30k", "surnames"} <= set(known)
    for name, data in known.items():
        assert name == data.name and data.files and data.licence and data.citation and data.counts
        assert data.home.startswith(("http://", "https://"))
        for digest, size in data.files.values():
            assert len(digest) == 64 and size > 0
        for address in data.address:
            assert address.startswith("https://") and "{file}" in address


def test_listing_sets_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from fathom.cli.command import main;"
        "main(['data', 'list']); main(['data', 'show', 'mnist']);"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_readers_and_inspection_import_no_torch() -> None:
    code = (
        "import sys; from fathom.data import inspect, download, places; from fathom.data.formats import idx,"
        " image_folder, jsonl, table, text; from fathom.data.sets import mnist, cifar10, cora, bccd;"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_set_whose_name_is_not_that_of_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = tmp_path / "sets"
    sets.mkdir()
    text = Path(places.__file__).with_name("sets").joinpath("cora.py").read_text(encoding="utf-8")
    (sets / "other.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(places, "HERE", tmp_path)
    with pytest.raises(ValueError, match=r"'cora'.*name of its file"):
        places.known.__wrapped__()


def test_an_unknown_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"'mnits'.*'mnist'"):
        places.find("mnits")


def test_folders_of_the_variable_come_first_and_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second, third = write(home / "second"), write(home / "cache")
    monkeypatch.setenv(places.VARIABLE, os.pathsep.join([str(home / "first"), str(home / "second")]))
    assert places.find(made_up()) == second == places.locate(made_up())
    monkeypatch.setenv(places.VARIABLE, str(home / "first"))
    assert places.find(made_up()) == third


def test_mnist_is_inside_the_package(home: Path) -> None:
    assert places.find("mnist") == places.EMBEDDED / "mnist"
    assert (places.EMBEDDED / "mnist" / "NOTICE.txt").is_file()


def test_every_place_tried_is_named_with_what_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / "half", {"a.txt": CONTENT["a.txt"]})
    monkeypatch.setenv(places.VARIABLE, os.pathsep.join([str(home / "no" / "such"), str(home / "half")]))
    with pytest.raises(InputError) as error:
        places.find(made_up())
    said = str(error.value)
    assert f"the nearest that exists is {home}" in said
    assert "the file b.txt is missing" in said
    assert str(places.EMBEDDED / "made_up") in said and str(home / "cache") in said
    assert "https://example.org/made_up" in said and "FATHOM_DATA=<folder>" in said
    assert places.locate(made_up()) is None


@pytest.mark.parametrize("damage", [b"Second file\n", b"second file and more\n", b""])
def test_a_changed_file_is_named_and_not_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    bad = write(home / "bad", CONTENT | {"b.txt": damage})
    write(home / "good")
    monkeypatch.setenv(places.VARIABLE, os.pathsep.join([str(home / "bad"), str(home / "good")]))
    with pytest.raises(InputError, match=r"b\.txt is not the file that made_up is made of") as error:
        places.find(made_up())
    assert str(bad / "b.txt") in str(error.value)


def test_a_file_is_hashed_once_until_it_changes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(home / "data")
    monkeypatch.setenv(places.VARIABLE, str(home / "data"))
    hashed: list[str] = []
    real = places.hash_of

    def counted(file: Path) -> str:
        hashed.append(file.name)
        return real(file)

    monkeypatch.setattr(places, "hash_of", counted)
    places.find(made_up())
    places.find(made_up())
    assert hashed == ["a.txt", "b.txt"]
    os.utime(place / "a.txt", ns=(1, 1))
    places.find(made_up())
    assert hashed == ["a.txt", "b.txt", "a.txt"]
    places.verify(made_up())
    assert hashed[-2:] == ["a.txt", "b.txt"]


def test_verify_finds_a_change_that_keeps_size_and_time(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(home / "data")
    monkeypatch.setenv(places.VARIABLE, str(home / "data"))
    places.find(made_up())
    stamp = (place / "a.txt").stat().st_mtime_ns
    (place / "a.txt").write_bytes(b"First file\n")
    os.utime(place / "a.txt", ns=(stamp, stamp))
    assert places.find(made_up()) == place  # what the memory cannot see ...
    with pytest.raises(InputError, match=r"a\.txt"):  # ... is seen on request
        places.verify(made_up())


@pytest.mark.parametrize("memory", ["", "[]", "{broken", '{"x": 3}'])
def test_a_damaged_memory_of_checked_files_is_no_harm(
    home: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    place = write(home / "data")
    monkeypatch.setenv(places.VARIABLE, str(home / "data"))
    (home / "cache").mkdir()
    (home / "cache" / "verified.json").write_text(memory, encoding="utf-8")
    assert places.find(made_up()) == place
    seen = json.loads((home / "cache" / "verified.json").read_text(encoding="utf-8"))
    assert str(place / "a.txt") in seen


def test_a_cache_that_cannot_be_written_is_no_harm(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = write(home / "data")
    monkeypatch.setenv(places.VARIABLE, str(home / "data"))
    (home / "cache").write_text("a file where the folder should be", encoding="utf-8")
    assert places.find(made_up()) == place


def test_the_digest_of_a_set_depends_on_its_files_and_not_on_their_order() -> None:
    data = made_up()
    turned = made_up(files=dict(reversed(list(data.files.items()))))
    other = made_up(files={**data.files, "b.txt": ("0" * 64, 3)})
    assert data.digest == turned.digest != other.digest
    assert data.bytes == sum(map(len, CONTENT.values()))


def test_without_an_address_nothing_is_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(places, "download", refuse)
    with pytest.raises(InputError, match="cannot be downloaded as they are"):
        places.find(made_up())
    with pytest.raises(InputError, match="go online"):
        places.find(made_up(address=("https://example.org/{file}",)), fetch=False)
