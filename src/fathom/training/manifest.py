"""What a checkpoint's folder must hold, to the last bit, and who it belongs to.

The manifest names size and SHA-256 of each file. It is sealed itself: its bytes must be exactly what
writing its content again gives, a hash of that content included. So one flipped bit anywhere in a
checkpoint is seen before anything of it is parsed as tensors. (safetensors has no checksums: of sixty
files with one flipped bit, sixty load without a word.)
"""

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from fathom.errors import InputError, RunError
from fathom.training import disk
from fathom.training.nested import check_json, packed

FORMAT = 1
MANIFEST, TENSORS, FACTS = "manifest.json", "state.safetensors", "state.json"
LIMIT = 64 * 1024  # bytes of a manifest; ours have some five hundred
GONE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EIO)
STORED = frozenset(
    {
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
        torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.complex64,
        torch.float8_e4m3fn, torch.float8_e5m2,
    }
)  # fmt: skip


class CheckpointError(RunError):
    """There are checkpoints and none can be used, or they belong to something else."""


class Damaged(Exception):
    """A checkpoint whose content is not what was written. Its text says what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One checkpoint: ``files`` maps a name to ``{"size": bytes, "sha256": hex}``."""

    step: int
    identity: str
    score: float | None
    pinned: bool
    files: dict[str, Any]
    torch: str = str(torch.__version__)

    def seal(self) -> bytes:
        return _seal({"format": FORMAT, **asdict(self)})

    @staticmethod
    def unseal(raw: bytes, where: str = "a checkpoint") -> "Manifest":
        """Raises ``Damaged``, or ``CheckpointError`` for a sound manifest of another format."""
        if len(raw) > LIMIT:
            raise Damaged(f"{MANIFEST} has more than {LIMIT} bytes")
        try:
            content = json.loads(raw)
            content.pop("sha256")
            sound = _seal(content) == raw
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Damaged(f"{MANIFEST} is not a manifest") from error
        if not sound:
            raise Damaged(f"{MANIFEST} is not as it was written")
        found = content.pop("format", None)
        if found != FORMAT:
            raise CheckpointError(f"{where} has format {found}, this fathom reads {FORMAT}; update fathom-dl")
        if not _well_formed(content):
            raise Damaged(f"{MANIFEST} has other entries than a manifest")
        return Manifest(**content)


def _well_formed(content: dict[str, Any]) -> bool:
    """Whether the entries are those of a ``Manifest``. Raises ``Damaged`` for names that lead elsewhere."""
    kinds = {"step": int, "identity": str, "pinned": bool, "files": dict, "torch": str}
    if any(type(content.get(name)) is not kind for name, kind in kinds.items()):
        return False
    for name in content["files"]:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
            raise Damaged(f"{MANIFEST} names {name!r}, which is no plain file name")
    if set(content) != {*kinds, "score"} or set(content["files"]) != {TENSORS, FACTS}:
        return False
    if content["score"] is not None and type(content["score"]) is not float:
        return False
    return all(
        type(entry) is dict
        and set(entry) == {"size", "sha256"}
        and type(entry["size"]) is int
        and entry["size"] >= 0
        and type(entry["sha256"]) is str
        for entry in content["files"].values()
    )


def _seal(content: dict[str, Any]) -> bytes:
    body = json.dumps(content, sort_keys=True, allow_nan=False, indent=1)
    seal = hashlib.sha256(body.encode()).hexdigest()
    return (json.dumps(content | {"sha256": seal}, sort_keys=True, allow_nan=False, indent=1) + "\n").encode()


def write(folder: Path, files: Mapping[str, bytes], manifest: Manifest) -> None:
    """Make ``folder`` with ``files`` and a manifest that lists them, and wait until the disk has it all."""
    disk.system.make_folder(folder)
    for name, data in files.items():
        manifest.files[name] = {"size": len(data), "sha256": disk.write_file(folder / name, data)}
    disk.write_file(folder / MANIFEST, manifest.seal())
    disk.sync_folder(folder)


def read_manifest(folder: Path, step: int) -> Manifest:
    """The manifest of a checkpoint's folder. Raises ``Damaged``, ``CheckpointError`` or ``OSError``."""
    if folder.is_symlink() or not folder.is_dir():
        raise Damaged("not a folder")
    manifest = Manifest.unseal(_bytes(folder / MANIFEST, LIMIT), str(folder))
    if manifest.step != step:
        raise Damaged(f"{MANIFEST} is that of step {manifest.step}")
    return manifest


def verify(folder: Path, step: int) -> tuple[Manifest, dict[str, bytes]]:
    """Every file of a checkpoint, sizes and hashes checked. Raises as ``read_manifest`` does."""
    manifest = read_manifest(folder, step)
    files = {}
    for name, wanted in sorted(manifest.files.items()):
        files[name] = data = _bytes(folder / name, wanted["size"])
        if len(data) != wanted["size"]:
            raise Damaged(f"{name} does not have the {wanted['size']} bytes that were written")
        if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
            raise Damaged(f"{name} is not as it was written: its SHA-256 differs")
    return manifest, files


def _bytes(path: Path, limit: int) -> bytes:
    try:
        return disk.read_file(path, limit)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise Damaged(f"{path.name} is missing") from error
        if error.errno in GONE:
            raise Damaged(f"{path.name} cannot be read: {error.strerror}") from error
        raise  # no right to read it, no memory: that is not the checkpoint's fault


def pack(step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> dict[str, bytes]:
    """The bytes of a checkpoint's files. A tensor under several names is stored once.

    Raises ``InputError`` for a tensor or a fact that the files cannot hold.
    """
    stored: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    seen: dict[Any, str] = {}
    for name, tensor in tensors.items():
        _check_tensor(name, tensor)
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        place = (*place, tensor.is_conj(), tensor.is_neg()) if tensor.numel() else name  # empty: at address 0
        if place in seen:
            tied[name] = seen[place]
        else:
            seen[place] = name
            stored[name] = tensor
    check_json(facts, "facts")
    state = {"step": step, "tied": tied, "facts": facts}
    return {TENSORS: write_tensors(_apart(stored)), FACTS: json.dumps(state).encode()}


def unpack(files: Mapping[str, bytes]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of verified files."""
    try:
        state = json.loads(files[FACTS])
        tensors = parse_tensors(files[TENSORS])
        tensors |= {name: tensors[first] for name, first in state["tied"].items()}
        return tensors, state["facts"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, SafetensorError) as error:
        raise Damaged(f"its files are whole and cannot be parsed: {error}") from error


def _check_tensor(name: str, tensor: Tensor) -> None:
    if name == "__metadata__":  # the one name that safetensors keeps for itself
        raise InputError(f"a tensor of a checkpoint cannot have the name {name!r}; give it another")
    if tensor.dtype not in STORED or tensor.layout is not torch.strided or tensor.device.type == "meta":
        raise InputError(
            f"tensor {name!r} is {tensor.dtype}, {tensor.layout}, on {tensor.device}; a checkpoint holds "
            "dense tensors of real numbers, complex64, integers and bool; turn it into these in state()"
        )


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Packed tensors that share no memory: safetensors refuses parts of one storage."""
    taken: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        tensor = packed(tensor)
        if tensor.numel() and tensor.untyped_storage().data_ptr() in taken:
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        apart[name] = tensor
    return apart
