"""Finding the newest checkpoint that is good, without changing anything."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from fathom.training.manifest import CheckpointError, Damaged, Manifest, unpack, verify

OLD = ".old"  # a checkpoint while another of the same step takes its place
CORRUPT = ".corrupt"  # a checkpoint that was found damaged


@dataclass(frozen=True)
class Loaded:
    """A verified checkpoint. ``rejected`` says which newer ones were not used, and why."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    path: Path
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A checkpoint that is not used; ``damaged`` if its content is to blame, not the right to read it."""

    step: int
    path: Path
    reason: str
    damaged: bool

    def __str__(self) -> str:
        return f"{self.path.name}: {self.reason}"


def read(root: Path) -> Loaded | None:
    """The newest good checkpoint of a folder that another process may be writing; nothing is changed.

    None where there is none. Raises ``CheckpointError`` if there are some and none is good.
    """
    while True:
        before = listing(root)
        loaded, rejected = first_good(before, "")
        if loaded is not None:
            return explained(loaded, rejected, root)
        if listing(root) == before:  # else the writer removed what was being read, and has newer ones
            return nothing(rejected, root)


def listing(root: Path) -> list[tuple[int, Path]]:
    """Steps and folders of all checkpoints, damaged ones included, the newest first."""
    found: list[tuple[int, bool, Path]] = []
    for path in root.iterdir() if root.is_dir() else ():
        match = re.fullmatch(r"step-(\d{8,})(\.old)?", path.name, re.ASCII)
        if match and f"{int(match[1]):08d}" == match[1]:
            found.append((int(match[1]), match[2] is None, path))
    return [(step, path) for step, _, path in sorted(found, reverse=True)]


def judge(step: int, path: Path, identity: str) -> tuple[Manifest, dict[str, bytes]] | Rejected:
    """The verified files of a checkpoint, or why it is not used.

    Raises ``CheckpointError`` if it is sound and another's: that one is nobody's to skip or to set aside.
    """
    try:
        manifest, files = verify(path, step)
    except Damaged as error:
        return Rejected(step, path, str(error), True)
    except OSError as error:
        return Rejected(step, path, str(error), False)
    refuse_foreign(path, manifest, identity)
    return manifest, files


def refuse_foreign(path: Path, manifest: Manifest, identity: str) -> None:
    if identity and manifest.identity != identity:
        raise CheckpointError(
            f"{path} belongs to another model or recipe ({manifest.identity or 'unnamed'}, not {identity}); "
            "go on with the recipe and sizes it was made with, or give another folder"
        )


def first_good(order: Iterable[tuple[int, Path]], identity: str) -> tuple[Loaded | None, list[Rejected]]:
    """The first checkpoint in ``order`` that is good, and those before it, which are not."""
    rejected: list[Rejected] = []
    for step, path in order:
        found = judge(step, path, identity)
        if isinstance(found, Rejected):
            rejected.append(found)
            continue
        try:
            tensors, facts = unpack(found[1])
        except Damaged as error:
            rejected.append(Rejected(step, path, str(error), True))
            continue
        return Loaded(step, tensors, facts, path), rejected
    return None, rejected


def explained(loaded: Loaded, rejected: list[Rejected], root: Path) -> Loaded:
    """``loaded`` with what was rejected, now and earlier: loading twice must not hide a damaged one."""
    reasons = [str(entry) for entry in rejected]
    now = {entry.step for entry in rejected}
    for name, step in set_aside(root).items():
        if step > loaded.step and step not in now:
            reasons.append(f"{name}: set aside earlier")
    return Loaded(loaded.step, loaded.tensors, loaded.facts, loaded.path, tuple(reasons))


def nothing(rejected: list[Rejected], root: Path) -> None:
    """None where there never was a checkpoint; ``CheckpointError`` where there is one that cannot be used."""
    reasons = [str(entry) for entry in rejected] or [f"{name}: set aside earlier" for name in set_aside(root)]
    if reasons:
        raise CheckpointError(
            f"no checkpoint in {root} can be used ({'; '.join(reasons)}); put a good copy in its place, or "
            "remove the folder to begin again"
        )


def set_aside(root: Path) -> dict[str, int]:
    """Names and steps of the checkpoints that were found damaged and kept for you to look at."""
    matches = [re.match(r"step-(\d+)", path.name) for path in sorted(root.glob(f"step-*{CORRUPT}*"))]
    return {match.string: int(match[1]) for match in matches if match}
