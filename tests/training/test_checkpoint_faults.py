"""Every call of the operating system that a checkpoint makes, made to fail.

The calls are counted by a first run that is left alone, so the list cannot go stale. Then each one is
killed at, killed in the middle of, or given an error, and what is found afterwards must be the previous
checkpoint or the new one. Whether a fault really happened is always asserted.
"""

import contextlib
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.errors import RunError
from fathom.training import disk
from fathom.training.checkpoint import CheckpointFolder, digest, read

InChild = Callable[[Callable[[], object]], int]
UNTIDY = ("remove", "remove_folder")  # where these fail, something hidden stays until the next start


def state(value: int) -> dict[str, Tensor]:
    return {"weight": torch.full((20,), float(value)), "count": torch.tensor(value)}


class Faulty(disk.System):
    """The real calls, counted; ``action`` strikes at call ``at``, and at all later ones if it ``stays``.

    A sync is only recorded: nothing here pulls the plug, and the order is tested on its own.
    """

    def __init__(self, at: int = -1, action: str = "", *, stays: bool = False) -> None:
        self.at, self.action, self.stays = at, action, stays
        self.calls: list[tuple[str, str]] = []
        self.names: dict[int, Path] = {}
        self.fired = 0
        self.report, self.told = os.pipe()

    def _pass(self, call: str, path: Path, half: Callable[[], object] | None = None) -> None:
        number = len(self.calls)
        self.calls.append((call, "/".join(path.parts[-2:])))
        if number != self.at and not (self.stays and number > self.at >= 0):
            return
        self.fired += 1
        if half is not None and "half" in self.action:
            half()
        if "kill" in self.action:
            os.write(self.told, b"fired")
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if "full" in self.action else errno.EIO
        raise OSError(number, os.strerror(number), str(path))

    def close_pipe(self) -> bytes:
        """What a killed child said before it died."""
        os.close(self.told)
        with os.fdopen(self.report, "rb") as pipe:
            return pipe.read()

    def open(self, path: Path, flags: int) -> int:
        self._pass("open", path)
        descriptor = super().open(path, flags)
        self.names[descriptor] = path
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        self._pass("write", self.names[descriptor], lambda: os.write(descriptor, data[: len(data) // 2]))
        return super().write(descriptor, data[: max(1, len(data) - 3)])  # short writes are allowed

    def sync(self, descriptor: int) -> None:
        self._pass("sync", self.names[descriptor])

    def rename(self, old: Path, new: Path) -> None:
        self._pass("rename", new)
        super().rename(old, new)

    def make_folder(self, path: Path) -> None:
        self._pass("make_folder", path)
        super().make_folder(path)

    def remove(self, path: Path) -> None:
        self._pass("remove", path)
        super().remove(path)

    def remove_folder(self, path: Path) -> None:
        self._pass("remove_folder", path)
        super().remove_folder(path)


@contextlib.contextmanager
def using(system: disk.System) -> Iterator[None]:
    genuine, disk.system = disk.system, system
    try:
        yield
    finally:
        disk.system = genuine


def save(folder: CheckpointFolder, step: int, value: int) -> Path | None:
    return folder.save(step, state(value), {"value": value}, score=float(value))


class Scene:
    """A folder as it was found, what is then done to it, and what may be there afterwards."""

    def __init__(self, root: Path, kind: str) -> None:
        self.root, self.reports = root, list[str]()
        with using(Faulty()), CheckpointFolder(root) as folder:
            for step in {"first": (), "again": (100,)}.get(kind, (100, 200)):
                save(folder, step, step)
        self.step, self.value, self.before = 300, 300, 200
        if kind == "first":
            self.before = -1  # nothing, and that is no error
        if kind == "again":
            self.step, self.value, self.before = 100, 101, 100
        if kind == "killed before":  # half a save, and one that another was to replace
            (root / ".tmp-step-00000300-x").mkdir()
            (root / ".tmp-step-00000300-x" / "state.json").write_text("{")
            (root / "step-00000200").rename(root / "step-00000200.old")
        if kind == "damaged":
            shutil.copytree(root / "step-00000200", root / "step-00000250")  # the wrong step

    def work(self) -> Path | None:
        with CheckpointFolder(self.root, report=self.reports.append) as folder:
            loaded = folder.load()
            assert (loaded.facts["value"] if loaded else -1) == self.before
            return save(folder, self.step, self.value)

    def copy(self, to: Path) -> "Scene":
        other = object.__new__(Scene)
        other.__dict__ = self.__dict__ | {"root": to, "reports": []}
        shutil.copytree(self.root, to)
        return other

    def found(self) -> int:
        """The value that a new process finds; all is as it should be, and it can go on from there."""
        reader = read(self.root)
        with CheckpointFolder(self.root, report=lambda _: None) as folder:
            loaded = folder.load()
            assert [path for path in self.root.iterdir() if path.name.startswith(".tmp-")] == []
            assert list(self.root.glob("*.old")) == []
            value = loaded.facts["value"] if loaded else -1
            assert (reader.facts["value"] if reader else -1) == value
            if loaded:
                assert digest(loaded.tensors) == digest(state(value))
            assert save(folder, 900, 900) is not None
            again = folder.load()
            assert again is not None and again.facts["value"] == 900
            assert {path.name for path in self.root.glob("*.corrupt*")} <= {"step-00000250.corrupt"}
        return value


KINDS = ("first", "next", "again", "killed before", "damaged")


@pytest.fixture(params=KINDS)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene", request.param)


def enumerate_calls(scene: Scene, to: Path) -> list[tuple[str, str]]:
    """The calls of a run in which nothing fails."""
    copy, system = scene.copy(to), Faulty()
    with using(system):
        assert copy.work() is not None
        assert copy.found() == scene.value
    with using(system := Faulty()):
        scene.copy(to.with_name("counted")).work()
    kinds = [call for call, _ in system.calls]
    # what the protocol needs at the least: three files, a folder and its parent, one rename and two pointers
    assert kinds.count("write") >= 5 and kinds.count("sync") >= 5 and kinds.count("rename") >= 3
    return system.calls


def strike(scene: Scene, at: int, action: str, *, stays: bool = False) -> tuple[Faulty, Any]:
    """What becomes of a run in which a call fails: the path, None, or the error."""
    system = Faulty(at, action, stays=stays)
    with using(system):
        try:
            result: Any = scene.work()
        except RunError as error:
            result = error
    assert system.close_pipe() == b"" and system.fired >= 1
    if system.calls[at][0] not in UNTIDY:
        assert isinstance(result, RunError) or scene.reports, f"{system.calls[at]} failed, nobody was told"
    return system, result


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "half kill"])
def test_killed_at_any_call_the_previous_or_the_new_one_loads(
    scene: Scene, tmp_path: Path, in_child: InChild, action: str
) -> None:
    calls = enumerate_calls(scene, tmp_path / "whole")
    values = []
    for at, (call, _) in enumerate(calls):
        if action == "half kill" and call != "write":
            continue
        system, copy = Faulty(at, action), scene.copy(tmp_path / str(at))
        with using(system):
            assert in_child(copy.work) == -signal.SIGKILL
        assert system.close_pipe() == b"fired"
        with using(Faulty()):
            values.append(copy.found())
    assert set(values) == {scene.before, scene.value}  # both happened: kills before and after the rename
    assert values == sorted(values)  # and once it is there, it stays


@pytest.mark.parametrize("action", ["full", "broken", "half full", "half broken"])
def test_when_any_call_fails_the_previous_or_the_new_one_loads(
    scene: Scene, tmp_path: Path, action: str
) -> None:
    calls = enumerate_calls(scene, tmp_path / "whole")
    values = []
    for at, (call, path) in enumerate(calls):
        if "half" in action and call != "write":
            continue
        copy = scene.copy(tmp_path / str(at))
        system, result = strike(copy, at, action)
        assert system.fired == 1 and system.calls[at][0] == call
        with using(Faulty()):
            found = copy.found()
        if isinstance(result, Path):
            assert found == scene.value
        elif result is None:  # skipped
            assert "full" in action and found == scene.before
        else:
            assert found in (scene.before, scene.value)
            assert "broken" in action, f"{path}: a full disk must not end a run"
        values.append(found)
    assert set(values) == {scene.before, scene.value}


@pytest.mark.parametrize("action", ["full", "broken"])
def test_a_disk_that_fails_from_some_call_on_loses_nothing(scene: Scene, tmp_path: Path, action: str) -> None:
    calls = enumerate_calls(scene, tmp_path / "whole")
    values = []
    for at in range(len(calls)):
        copy = scene.copy(tmp_path / str(at))
        strike(copy, at, action, stays=True)
        with using(Faulty()):
            values.append(copy.found())
    assert set(values) == {scene.before, scene.value} and values == sorted(values)


def test_a_step_that_cannot_be_replaced_is_there_again_at_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", "again")
    calls = enumerate_calls(scene, tmp_path / "whole")
    names = [(call, Path(path).name) for call, path in calls]
    at = names.index(("rename", "step-00000100"))
    assert names[at - 1] == ("rename", "step-00000100.old")
    _, result = strike(scene, at, "broken")
    assert isinstance(result, RunError)
    assert [path.name for path in scene.root.glob("step-*")] == ["step-00000100"]


# ---- order ------------------------------------------------------------------------------------------------


def test_files_are_synced_before_the_rename_and_the_parent_after(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", "next")
    system = Faulty()
    with using(system):
        scene.work()
    log = system.calls
    hidden = next(path for call, path in log if call == "make_folder").removeprefix("scene/")
    committed = log.index(("rename", "scene/step-00000300"))
    for name in ("state.safetensors", "state.json", "manifest.json"):
        synced = log.index(("sync", f"{hidden}/{name}"))
        assert max(i for i, entry in enumerate(log) if entry == ("write", f"{hidden}/{name}")) < synced
        assert synced < log.index(("sync", f"scene/{hidden}")) < committed
        assert name == "manifest.json" or synced < log.index(("write", f"{hidden}/manifest.json"))
    parent = log.index(("sync", f"{tmp_path.name}/scene"))
    removals = [i for i, (call, _) in enumerate(log) if call in UNTIDY]
    assert committed < parent < min(removals)


def test_nothing_touches_the_disk_but_through_the_counted_calls(tmp_path: Path, in_child: InChild) -> None:
    scene = Scene(tmp_path / "scene", "killed before")

    def work() -> None:
        seen: list[str] = []
        changes = {"os.rename": "rename", "os.mkdir": "make_folder"}
        changes |= {"os.remove": "remove", "os.rmdir": "remove_folder"}
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT

        def listen(event: str, arguments: tuple[Any, ...]) -> None:
            if event in changes:
                seen.append(changes[event])
            elif event == "open" and str(arguments[0]).startswith(str(tmp_path)) and arguments[2] & writing:
                seen.append(Path(arguments[0]).name)

        system = Faulty()
        sys.addaudithook(listen)  # cannot be taken away again, hence the child
        with using(system):
            scene.work()
        counted = [call for call, _ in system.calls if call in changes.values()]
        assert [event for event in seen if event in changes.values()] == counted and len(counted) > 10
        opened = [event for event in seen if event not in changes.values()]
        assert opened[:4] == [".lock", "state.safetensors", "state.json", "manifest.json"]
        assert len(opened) == 6 and all(name.startswith(".tmp-") for name in opened[4:])  # two pointers

    assert in_child(work) == 0


def may_trace() -> bool:
    """Whether strace is there, and the system lets it watch a program."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_trace(), reason="strace is not installed, or may not trace here")
def test_the_system_sees_the_syncs_in_that_order(tmp_path: Path) -> None:
    script = (
        "import torch, pathlib, sys; from fathom.training.checkpoint import CheckpointFolder as F\n"
        "with F(pathlib.Path(sys.argv[1])) as f: f.save(300, {'x': torch.zeros(9)}, {})"
    )
    trace = tmp_path / "trace"
    root = tmp_path / "root"
    root.mkdir()
    watch = ["strace", "-f", "-y", "-o", trace, "-e", "trace=fsync,rename,renameat,renameat2"]
    subprocess.run([*watch, sys.executable, "-c", script, root], check=True, timeout=120)
    found = re.findall(r"(fsync|rename)\w*\((?:[^<\"]*<([^>]*)>|.*\"([^\"]*)\"\))", trace.read_text())
    names = [(call, Path(synced or renamed).name) for call, synced, renamed in found]
    hidden = names[3][1]
    files = ("state.safetensors", "state.json", "manifest.json", hidden)
    after = [("rename", "step-00000300"), ("fsync", "root"), ("rename", "latest")]
    assert names == [*(("fsync", name) for name in files), *after]
    assert hidden.startswith(".tmp-")
