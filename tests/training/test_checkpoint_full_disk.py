"""A disk that is really full: training goes on, nothing is lost, and it resumes to the same bits."""

import contextlib
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fathom.training import disk
from fathom.training.checkpoint import CheckpointFolder

InChild = Callable[[Callable[[], object]], int]


def straight(steps: int) -> Tensor:
    """A training whose result depends on every bit of its state, without a stop."""
    value = torch.linspace(0, 1, 2000)
    for step in range(steps):
        value = advance(value, step)
    return value


def advance(value: Tensor, step: int) -> Tensor:
    return torch.sin(value * 1.7 + step)


def sitting(folder: CheckpointFolder, steps: int) -> Tensor:
    """Go on from what is there, and save every fifth step."""
    loaded = folder.load()
    start, value = (loaded.step, loaded.tensors["value"]) if loaded else (0, torch.linspace(0, 1, 2000))
    for step in range(start, steps):
        value = advance(value, step)
        if step % 5 == 4:
            folder.save(step + 1, {"value": value}, {})
    return value


def test_under_a_limit_on_file_sizes_training_goes_on_and_resumes_to_the_same_bits(
    tmp_path: Path, in_child: InChild
) -> None:
    def work() -> None:
        reports: list[str] = []
        with CheckpointFolder(tmp_path, report=reports.append) as folder:
            sitting(folder, 10)
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
            sitting(folder, 23)  # saves at 15 and 20 find no room
            assert len(reports) == 2 and all("skipped: no room" in text for text in reports), reports
            assert folder.steps() == [5, 10] and not list(tmp_path.glob(".tmp-*"))
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)  # the process ends, space returns
        with CheckpointFolder(tmp_path, report=reports.append) as folder:
            assert torch.equal(sitting(folder, 30), straight(30))
            assert folder.steps() == [10, 25, 30] and len(reports) == 2

    assert in_child(work) == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 120 kilobytes."""
    disk_at = tmp_path / "disk"
    disk_at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk_at]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system; the limit on file sizes stands in for it")
    yield disk_at
    subprocess.run(["umount", disk_at], check=True)


@pytest.mark.parametrize("foreseen", [True, False], ids=["foreseen", "in the middle"])
def test_on_a_full_disk_training_goes_on_and_resumes_to_the_same_bits(
    small_disk: Path, foreseen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not foreseen:  # as on file systems that promise more than they have
        monkeypatch.setattr(disk.System, "room", lambda self, path: 1 << 60)
    ballast, reports = small_disk / "ballast", list[str]()
    with CheckpointFolder(small_disk, report=reports.append) as folder:
        sitting(folder, 10)
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        sitting(folder, 23)
        reason = "bytes are free" if foreseen else "No space left"
        assert len(reports) == 2 and all("no room" in text and reason in text for text in reports)
        assert folder.steps() == [5, 10] and not list(small_disk.glob(".tmp-*"))
    with CheckpointFolder(small_disk, report=reports.append) as folder:
        loaded = folder.load()
        assert loaded is not None and loaded.step == 10
    ballast.unlink()
    with CheckpointFolder(small_disk, report=reports.append) as folder:
        assert torch.equal(sitting(folder, 30), straight(30))
        assert folder.steps() == [10, 25, 30] and len(reports) == 2
