"""One folder, one writer, across processes that fork and are killed."""

import fcntl
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.errors import InputError, RunError
from fathom.training import checkpoint, disk, manifest
from fathom.training.checkpoint import CheckpointFolder

InChild = Callable[[Callable[[], object]], int]


def state(value: int) -> dict[str, Tensor]:
    return {"weight": torch.full((20,), float(value)), "count": torch.tensor(value)}


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path: Path, in_child: InChild) -> None:
    def intrude() -> None:
        with pytest.raises(InputError, match=rf"another process writes this folder \(pid {owner}\)"):
            CheckpointFolder(tmp_path).__enter__()

    owner = os.getpid()
    with CheckpointFolder(tmp_path):
        assert in_child(intrude) == 0

    def die_with_the_lock() -> None:
        with CheckpointFolder(tmp_path) as folder:
            folder.save(100, state(100), {})
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(die_with_the_lock) == -signal.SIGKILL
    with CheckpointFolder(tmp_path) as folder:
        assert folder.steps() == [100]


def test_a_forked_worker_cannot_write_and_does_not_hold_the_lock_of_a_killed_run(
    tmp_path: Path, in_child: InChild
) -> None:
    wait, let_go = os.pipe()

    def work() -> None:
        with CheckpointFolder(tmp_path) as folder:
            if os.fork() == 0:  # such as a loader's worker
                os.close(let_go)
                try:
                    folder.save(100, state(100), {})
                except RunError:
                    os.read(wait, 1)  # outlives its parent
                os._exit(0)
            assert in_child(lambda: CheckpointFolder(tmp_path).__enter__()) == 1  # the run still has its lock
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    with CheckpointFolder(tmp_path) as folder:
        assert folder.steps() == []
    os.close(let_go)
    os.close(wait)


MISSING = (
    "O_CLOEXEC",
    "O_DIRECTORY",
    "O_NOFOLLOW",
    "O_NONBLOCK",
    "pread",
    "pwrite",
    "statvfs",
    "register_at_fork",
)


class WindowsCalls:
    """The module ``os`` as Windows has it: some names are missing."""

    name = "nt"
    O_BINARY = 0

    def __getattr__(self, name: str) -> Any:
        if name in MISSING:
            raise AttributeError(name)
        return getattr(os, name)


def locking(descriptor: int, mode: int, count: int) -> None:
    """``msvcrt.locking`` by a record lock at the place where the file stands."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(descriptor, 0, os.SEEK_CUR))
    except OSError as error:
        raise PermissionError(error.errno, "Permission denied") from error


def test_the_protocol_needs_no_call_that_windows_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_child: InChild
) -> None:
    monkeypatch.setitem(sys.modules, "os", WindowsCalls())
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    spec = importlib.util.spec_from_file_location("disk_of_windows", disk.__file__)
    assert spec is not None and spec.loader is not None
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    for module in (checkpoint, manifest):
        monkeypatch.setattr(module, "disk", there)

    def intrude() -> None:
        with pytest.raises(InputError, match=rf"another process writes this folder \(pid {owner}\)"):
            CheckpointFolder(tmp_path).__enter__()

    owner = os.getpid()
    with CheckpointFolder(tmp_path) as folder:
        folder.save(100, state(100), {})
        assert in_child(intrude) == 0
        folder.save(200, state(200), {})
    with CheckpointFolder(tmp_path) as folder:
        loaded = folder.load()
        assert loaded is not None and loaded.step == 200
        assert torch.equal(loaded.tensors["weight"], state(200)["weight"])
