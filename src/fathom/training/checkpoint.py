"""Checkpoints that outlive a kill, a full disk and a failing one: what is found is whole, or not used.

    root/.lock                      one writer; readers need no lock
    root/step-00000300/             state.safetensors, state.json, manifest.json with their SHA-256
    root/step-00000200.corrupt/     set aside because it was not what had been written
    root/latest, root/best          names, for people and scripts; only the folders themselves count

A checkpoint is written into a hidden folder, every file and then the folder is synced to the disk, and
one rename makes it exist: before it the previous checkpoint is the newest, after it this one is.
Nothing is ever unpickled. kill -9 is not a power cut, though; that the order of syncs is right is tested,
that a disk keeps its promise to have written is not.
"""

import errno
import math
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from torch import Tensor

from fathom.errors import InputError, RunError
from fathom.training import disk
from fathom.training.manifest import CheckpointError, Damaged, Manifest, pack, read_manifest, write
from fathom.training.nested import JSON, digest, flatten, unflatten
from fathom.training.restore import (
    CORRUPT,
    OLD,
    Loaded,
    Rejected,
    explained,
    first_good,
    judge,
    listing,
    nothing,
    read,
    refuse_foreign,
)

__all__ = ["CheckpointError", "CheckpointFolder", "Loaded", "digest", "flatten", "read", "unflatten"]

HIDDEN = ".tmp-"  # what begins so is unfinished or half removed; the next writer clears it away


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


class CheckpointFolder:
    """The writer of a folder of checkpoints; a context manager that holds the folder's lock.

    Kept are the newest ``keep`` (2 or more) that are verified, the ``keep_best`` with the highest score,
    every pinned one, and the one that was loaded. ``identity`` says whose checkpoints these are (a hash of
    the recipe and of all keys and shapes); those of another are refused and left as they are; empty: any.
    What goes wrong without ending the run is told to ``report`` (by default on stderr).
    """

    def __init__(
        self,
        root: Path,
        *,
        keep: int = 2,
        keep_best: int = 1,
        identity: str = "",
        report: Callable[[str], None] = warn,
    ) -> None:
        if keep < 2 or keep_best < 0 or len(identity) > 1000:
            raise InputError(
                f"keep={keep}, keep_best={keep_best}, identity of {len(identity)} characters; keep is at "
                "least 2 (the newest may turn out damaged), keep_best 0 or more, identity at most 1000 long"
            )
        self.root, self.keep, self.keep_best = Path(root), keep, keep_best
        self.identity, self.report = identity, report
        self._lock: disk.Lock | None = None
        self._known: dict[int, Manifest] = {}  # read or written by this process; they never change
        self._good: set[int] = set()  # steps whose every byte was checked, or written, by this process
        self._resumed: int | None = None

    def __enter__(self) -> "CheckpointFolder":
        """Take the lock and clear away what a killed writer left. Raises ``InputError`` if it is held."""
        try:
            if not self.root.is_dir():
                self.root.mkdir(parents=True)
                disk.sync_folder(self.root.parent)
            self._lock = disk.Lock(self.root / ".lock")
        except OSError as error:
            raise InputError(f"no checkpoints can be written to {self.root}: {error}") from error
        self._known.clear()
        self._good.clear()
        self._tidy()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, damaged ones included."""
        return sorted({step for step, _ in listing(self.root)})

    def load(self) -> Loaded | None:
        """The newest good checkpoint; damaged ones on the way are set aside and reported.

        None where there is none. Raises ``CheckpointError`` if there are some and none is good, or if one
        has another identity.
        """
        self._needs_lock()
        return self._load(listing(self.root), [])

    def load_best(self) -> Loaded | None:
        """The good checkpoint with the highest score (of equal ones the earliest); otherwise as ``load``."""
        self._needs_lock()
        unreadable = self._survey()
        return self._load([(step, self._place(step)) for step in self._ranking()], unreadable)

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        facts: Mapping[str, JSON],
        *,
        score: float | None = None,
        pinned: bool = False,
    ) -> Path | None:
        """Write a checkpoint and return its folder; None, and a report, if the disk has no room for it.

        ``score``: higher is better; one that is not finite counts as none. A checkpoint of the same step is
        replaced. Raises ``InputError`` for state that a file cannot hold, ``CheckpointError`` if the folder
        belongs to another identity, ``RunError`` if the disk fails; the earlier checkpoints stay as they are.
        """
        self._needs_lock()
        if step < 0:
            raise InputError(f"a checkpoint of step {step}; steps count from 0")
        self._survey()
        files = pack(step, tensors, facts)
        score = float(score) if score is not None and math.isfinite(score) else None
        manifest = Manifest(step=step, identity=self.identity, score=score, pinned=pinned, files={})
        target = self._place(step)
        hidden = self._hidden(target.name)
        try:
            self._make_sure_of_room(files)
            write(hidden, files, manifest)
            disk.replace_folder(hidden, target, target.with_name(target.name + OLD))
        except OSError as error:
            if error.errno not in disk.NO_ROOM:
                raise RunError(f"the checkpoint of step {step} could not be written: {error}") from error
            self.report(
                f"checkpoint of step {step} skipped: no room in {self.root}: {error}; training goes on, "
                "earlier checkpoints are as they were; free some space"
            )
            return None
        finally:
            if hidden.exists():
                disk.discard(hidden)
        self._known[step] = manifest
        self._good.add(step)
        self._settle(step)
        return target

    def _needs_lock(self) -> None:
        if self._lock is None or self._lock.descriptor < 0:
            raise RunError(
                f"{self.root} is not open in this process; use: with CheckpointFolder(...) as folder"
            )

    def _make_sure_of_room(self, files: Mapping[str, bytes]) -> None:
        need, room = int(1.1 * sum(map(len, files.values()))), disk.system.room(self.root)
        if room < need:
            raise OSError(errno.ENOSPC, f"{room} bytes are free, {need} are needed")

    def _place(self, step: int) -> Path:
        return self.root / f"step-{step:08d}"

    def _hidden(self, name: str) -> Path:
        return self.root / f"{HIDDEN}{name}-{uuid.uuid4().hex}"

    def _tidy(self) -> None:
        for leftover in list(self.root.glob(f"{HIDDEN}*")):
            disk.discard(leftover)
        for old in list(self.root.glob(f"step-*{OLD}")):
            if old.with_suffix("").exists():
                self._bury(old)
                continue
            try:  # killed between the two renames: the earlier one of that step is what there is
                disk.system.rename(old, old.with_suffix(""))
            except OSError as error:  # it is loaded under this name as well
                self.report(f"{old} could not get its name back: {error}")

    def _settle(self, step: int) -> None:
        """What follows once the checkpoint is there. Where it fails, all the earlier ones are kept."""
        try:
            disk.sync_folder(self.root)
            self._point("latest", step)
            for best in self._ranking()[:1]:
                self._point("best", best)
            self._retain(step)
        except OSError as error:
            if error.errno not in disk.NO_ROOM:
                raise RunError(f"the checkpoint of step {step} is written, then: {error}") from error
            self.report(f"the checkpoint of step {step} is written, then: {error}")

    def _point(self, name: str, step: int) -> None:
        hidden = self._hidden(name)
        try:
            disk.write_file(hidden, f"step-{step:08d}\n".encode(), durable=False)
            disk.system.rename(hidden, self.root / name)
        finally:
            if hidden.exists():
                disk.discard(hidden)

    def _retain(self, step: int) -> None:
        found = listing(self.root)
        for other, path in found:
            if path.name.endswith(OLD) and (other, path.with_suffix("")) in found:
                self._bury(path)
        steps = sorted(self._known, reverse=True)
        if len(steps) <= self.keep:
            return
        kept = {step, self._resumed, *(s for s, manifest in self._known.items() if manifest.pinned)}
        kept |= set(self._verified(steps, self.keep))
        kept |= set(self._verified(self._ranking(), self.keep_best))
        for other in sorted(set(self._known) - kept):
            self._bury(self._place(other))
            del self._known[other]

    def _verified(self, steps: Iterable[int], count: int) -> list[int]:
        """The first ``count`` of ``steps`` that are good: none is removed in favour of a damaged one."""
        found: list[int] = []
        for step in steps:
            if len(found) == count:
                break
            if step not in self._good:
                verdict = judge(step, self._place(step), self.identity)
                if isinstance(verdict, Rejected):
                    self._set_aside([verdict])
                    continue
                self._good.add(step)
            found.append(step)
        return found

    def _bury(self, path: Path) -> None:
        """Remove a checkpoint, which stops being one before the first of its files goes."""
        grave = self._hidden(path.name)
        try:
            disk.system.rename(path, grave)
        except OSError as error:
            self.report(f"{path} could not be removed: {error}")
            return
        disk.discard(grave)

    def _survey(self) -> list[Rejected]:
        """Read the manifests that are new to this process; set damaged ones aside, refuse foreign ones."""
        found = {step: path for step, path in listing(self.root) if not path.name.endswith(OLD)}
        self._known = {step: manifest for step, manifest in self._known.items() if step in found}
        rejected: list[Rejected] = []
        for step, path in found.items():
            if step in self._known:
                continue
            try:
                manifest = read_manifest(path, step)
            except (Damaged, OSError) as error:
                rejected.append(Rejected(step, path, str(error), isinstance(error, Damaged)))
                continue
            refuse_foreign(path, manifest, self.identity)
            self._known[step] = manifest
        self._set_aside(rejected)
        return rejected

    def _ranking(self) -> list[int]:
        """Steps with a score, the highest first; of equal scores the earliest, as early stopping counts."""
        scored = [(m.score, -step) for step, m in self._known.items() if m.score is not None]
        return [-negative for _, negative in sorted(scored, reverse=True)]

    def _load(self, order: list[tuple[int, Path]], before: list[Rejected]) -> Loaded | None:
        loaded, rejected = first_good(order, self.identity)
        self._set_aside(rejected)
        rejected = before + rejected
        if loaded is None:
            return nothing(rejected, self.root) if rejected or not self.steps() else None
        self._resumed = loaded.step
        self._good.add(loaded.step)
        return explained(loaded, rejected, self.root)

    def _set_aside(self, rejected: list[Rejected]) -> None:
        for entry in rejected:
            self.report(f"{entry}; not used")
            self._known.pop(entry.step, None)
            self._good.discard(entry.step)
            if not entry.damaged:
                continue
            number, place = 1, entry.path.with_name(entry.path.name + CORRUPT)
            while place.exists():
                number += 1
                place = entry.path.with_name(f"{entry.path.name}{CORRUPT}-{number}")
            try:
                disk.system.rename(entry.path, place)
            except OSError as error:
                self.report(f"{entry.path.name} could not be set aside: {error}")
