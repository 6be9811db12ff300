"""Damage of every kind to the newest checkpoint: found, named, set aside, and the previous one used."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fathom.training import disk
from fathom.training.checkpoint import CheckpointFolder, digest, read
from fathom.training.manifest import LIMIT, Damaged, Manifest, _seal

FILES = ("state.safetensors", "state.json", "manifest.json")
PAGE = 4096


def state(step: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.randn(40, 100, generator=torch.Generator().manual_seed(step))}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    with CheckpointFolder(root) as folder:
        for step in (100, 200):
            folder.save(step, state(step), {"state": list(range(1200, 1200 + step))}, score=float(step))
    return root


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """A manifest that somebody changed and sealed again, as an attacker would."""
    path = folder / "manifest.json"
    content = json.loads(path.read_bytes())
    del content["sha256"]
    change(content)
    path.write_bytes(_seal(content))


def flip(folder: Path, chance: random.Random, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(data)


def flip_tensors(folder: Path, chance: random.Random) -> str:
    flip(folder, chance, "state.safetensors")
    return r"state\.safetensors is not as it was written: its SHA-256 differs"


def flip_facts(folder: Path, chance: random.Random) -> str:
    flip(folder, chance, "state.json")
    return r"state\.json is not as it was written: its SHA-256 differs"


def flip_manifest(folder: Path, chance: random.Random) -> str:
    flip(folder, chance, "manifest.json")
    return r"manifest\.json is not (a manifest|as it was written)"


def zero_a_page(folder: Path, chance: random.Random) -> str:
    path = folder / "state.safetensors"
    data = bytearray(path.read_bytes())
    at = PAGE * chance.randrange(len(data) // PAGE)
    data[at : at + PAGE] = bytes(PAGE)
    path.write_bytes(data)
    return r"state\.safetensors is not as it was written: its SHA-256 differs"


def truncate(folder: Path, chance: random.Random) -> str:
    path = folder / chance.choice(FILES)
    os.truncate(path, chance.randrange(path.stat().st_size))
    return rf"{path.name} (does not have the \d+ bytes|is not a manifest|is not as it was)"


def append(folder: Path, chance: random.Random) -> str:
    path = folder / chance.choice(FILES)
    path.write_bytes(path.read_bytes() + chance.choice([b"\0", b" ", b"\n", b"{}"]) * chance.randint(1, PAGE))
    return rf"{path.name} (does not have the \d+ bytes|is not a manifest|is not as it was)"


def remove(folder: Path, chance: random.Random) -> str:
    path = folder / chance.choice(FILES)
    path.unlink()
    return f"{path.name} is missing"


def swap(folder: Path, chance: random.Random) -> str:
    """Files of another checkpoint: one, two or all three of them."""
    names = chance.sample(FILES, chance.randint(1, 3))
    for name in names:
        shutil.copy(folder.with_name("step-00000100") / name, folder / name)
    return r"is that of step 100|is not as it was written|does not have the"


def garbage(folder: Path, chance: random.Random) -> str:
    texts = [
        b"", b"null", b"[]", b"{}", b"7", b'"x"', b"{", b"[" * 60_000, b'{"a":' * 10_000, b"\xff\xfe\0",
        b'{"sha256": "0"}', b'{"sha256": NaN, "step": NaN}', b'{"files": {"a": 1}, "sha256": []}',
        b"9" * 6000, chance.randbytes(500),
    ]  # fmt: skip
    (folder / "manifest.json").write_bytes(chance.choice(texts))
    return r"manifest\.json is not (a manifest|as it was written)"


def oversize(folder: Path, chance: random.Random) -> str:
    if chance.random() < 0.5:
        rewrite(folder, lambda content: content.update(identity="x" * LIMIT))
    else:
        with (folder / "manifest.json").open("ab") as file:
            file.truncate(chance.randint(LIMIT + 1, 1 << 40))  # a terabyte of nothing: it must not be read
    return r"manifest\.json has more than 65536 bytes"


def traverse(folder: Path, chance: random.Random) -> str:
    names = [
        "../step-00000100/state.json", "/etc/hostname", "a/b", "..", ".", "", "a\0b", "C:\\x", "..\\x",
        ".hidden", "-rf", "a b", "state.json\n", "\u202e", "x" * 200,
    ]  # fmt: skip
    name = chance.choice(names)
    if chance.random() < 0.5:
        rewrite(folder, lambda content: content["files"].update({name: content["files"]["state.json"]}))
    else:
        rewrite(folder, lambda content: content["files"].update({name: content["files"].pop("state.json")}))
    return rf"manifest\.json names {re.escape(repr(name))}, which is no plain file name"


def lie(folder: Path, chance: random.Random) -> str:
    """Sizes and hashes that are not those of the files."""
    name = chance.choice(FILES[:2])
    size = (folder / name).stat().st_size
    if chance.random() < 0.7:
        wrong = chance.choice([0, 1, size - 1, size + 1, 2 * size])
        rewrite(folder, lambda content: content["files"][name].update(size=wrong))
        return f"{name} does not have the {wrong} bytes that were written"
    rewrite(
        folder, lambda content: content["files"][name].update(sha256=chance.choice(["", "0" * 64, "\u00e4"]))
    )
    return f"{name} is not as it was written: its SHA-256 differs"


def misfit(folder: Path, chance: random.Random) -> str:
    """Entries of the wrong kind, missing ones, and ones that are too many."""
    wrong = [
        {"step": "200"}, {"step": True}, {"step": 200.0}, {"score": "1"}, {"score": 1}, {"pinned": 0},
        {"identity": None}, {"files": []}, {"more": 1}, {"torch": 2},
    ]  # fmt: skip
    wrong_files = [{"extra": {"size": 1, "sha256": ""}}, {"state.json": 5}, {"state.json": {}}]
    wrong_entry = [{"size": -1}, {"size": "9"}, {"size": True}, {"sha256": 5}, {"mode": 7}]

    def spoil(content: dict[str, Any]) -> None:
        files = content["files"]
        places = [(content, wrong), (files, wrong_files), (files["state.json"], wrong_entry)]
        place, changes = chance.choice(places)
        if chance.random() < 0.2:
            del place[chance.choice(sorted(set(place) - {"format"}))]  # another format is not damage
        else:
            place.update(chance.choice(changes))

    rewrite(folder, spoil)
    return r"manifest\.json has other entries than a manifest"


def no_plain_file(folder: Path, chance: random.Random) -> str:
    """A link (to a good copy), a pipe that would be waited for without end, a folder."""
    path = folder / chance.choice(FILES)
    good = path.rename(folder / "good")
    chance.choice([lambda: path.symlink_to(good), lambda: os.mkfifo(path), path.mkdir])()
    return f"{path.name} cannot be read"


def no_folder(folder: Path, chance: random.Random) -> str:
    good = folder.rename(folder.with_name("good"))
    chance.choice([lambda: folder.symlink_to(good), lambda: os.mkfifo(folder), folder.touch])()
    return "not a folder"


KINDS = (
    flip_tensors, flip_facts, flip_manifest, zero_a_page, truncate, append, remove, swap, garbage, oversize,
    traverse, lie, misfit, no_plain_file, no_folder,
)  # fmt: skip


@pytest.mark.parametrize("damage", KINDS, ids=lambda damage: damage.__name__)
def test_damage_is_found_and_named_and_the_previous_checkpoint_used(
    template: Path, tmp_path: Path, damage: Callable[[Path, random.Random], str]
) -> None:
    wanted = digest(state(100))
    for trial in range(20):
        root = tmp_path / str(trial)
        shutil.copytree(template, root)
        pattern = damage(root / "step-00000200", random.Random(f"{damage.__name__} {trial}"))
        reader, reports = read(root), list[str]()
        assert (root / "step-00000200").exists()  # a reader changes nothing
        with CheckpointFolder(root, report=reports.append) as folder:
            writer, again = folder.load(), folder.load()
            assert folder.steps() == [100]
        for loaded in (reader, writer, again):
            assert loaded is not None and loaded.step == 100 and digest(loaded.tensors) == wanted
        assert reader is not None and writer is not None and again is not None
        assert reader.rejected == writer.rejected and len(writer.rejected) == 1
        assert re.match(rf"step-00000200: .*?({pattern})", writer.rejected[0], re.DOTALL), (trial, pattern)
        assert reports == [f"{writer.rejected[0]}; not used"]
        assert os.path.lexists(root / "step-00000200.corrupt")
        assert again.rejected == ("step-00000200.corrupt: set aside earlier",)
        shutil.rmtree(root)


def test_every_single_bit_of_a_manifest_counts(template: Path) -> None:
    raw = (template / "step-00000200" / "manifest.json").read_bytes()
    assert Manifest.unseal(raw).step == 200
    for bit in range(8 * len(raw)):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged):
            Manifest.unseal(bytes(flipped))


def test_a_name_that_leads_elsewhere_opens_nothing(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    shutil.copytree(template, root)
    rewrite(root / "step-00000200", lambda content: content["files"].update({"../../secret": {"size": 1}}))
    opened: list[str] = []
    genuine = disk.read_file

    def listen(path: Path, limit: int) -> bytes:
        opened.append(str(path))
        return genuine(path, limit)

    monkeypatch.setattr(disk, "read_file", listen)
    loaded = read(root)
    assert loaded is not None and loaded.step == 100
    assert [Path(path).relative_to(root) for path in opened] == [
        Path("step-00000200/manifest.json"), Path("step-00000100/manifest.json"),
        Path("step-00000100/state.json"), Path("step-00000100/state.safetensors"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_this_user_may_not_read_is_not_called_damaged(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = tmp_path / "root"
    shutil.copytree(template, root)
    genuine = disk.read_file

    def refuse(path: Path, limit: int) -> bytes:
        if path == root / "step-00000200" / name:
            raise PermissionError(13, "Permission denied", str(path))
        return genuine(path, limit)

    monkeypatch.setattr(disk, "read_file", refuse)
    with CheckpointFolder(root, report=lambda _: None) as folder:
        loaded = folder.load()
        assert loaded is not None and loaded.step == 100 and "Permission denied" in loaded.rejected[0]
        for step in (300, 400, 500):
            folder.save(step, state(step), {})
        assert 200 in folder.steps()  # neither set aside nor removed
