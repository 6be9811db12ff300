"""One folder, one writer, across processes that fork and are killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fathom.errors import InputError, RunError
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
