"""Which checkpoints are kept, which is loaded, whose they are, and who may write."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fathom.errors import InputError, RunError
from fathom.training import disk
from fathom.training.checkpoint import (
    CheckpointError,
    CheckpointFolder,
    digest,
    read,
)
from fathom.training.manifest import Manifest, _seal


def state(step: int) -> dict[str, Tensor]:
    return {"weight": torch.full((3, 2), float(step)), "count": torch.tensor(step)}


def fill(root: Path, *steps: int, **how: Any) -> list[str]:
    """Save these steps in one sitting; what was reported."""
    reports: list[str] = []
    with CheckpointFolder(root, report=reports.append, **how) as folder:
        for step in steps:
            assert folder.save(step, state(step), {"step": step}) == root / f"step-{step:08d}"
    return reports


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


# ---- the folder -------------------------------------------------------------------------------------------


def test_an_empty_folder_has_nothing_to_load(tmp_path: Path) -> None:
    root = tmp_path / "run" / "checkpoints"
    assert read(root) is None
    with CheckpointFolder(root) as folder:
        assert folder.load() is None and folder.load_best() is None and folder.steps() == []


def test_loading_twice_gives_the_same_and_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path, 100, 200)
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    with CheckpointFolder(tmp_path) as folder:
        first, second, third = folder.load(), folder.load(), read(tmp_path)
    assert first is not None and second is not None and third is not None
    for loaded in (first, second, third):
        assert (loaded.step, loaded.path.name, loaded.rejected) == (200, "step-00000200", ())
        assert loaded.facts == {"step": 200} and digest(loaded.tensors) == digest(state(200))
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def test_the_newest_best_pinned_and_resumed_are_kept(tmp_path: Path) -> None:
    scores = {100: 0.1, 200: 0.9, 300: 0.8, 400: 0.9, 500: 0.2, 600: math.nan, 700: math.inf, 800: None}
    with CheckpointFolder(tmp_path, keep=2, keep_best=2) as folder:
        for step, score in scores.items():
            folder.save(step, state(step), {}, score=score, pinned=step == 100)
        assert folder.steps() == [100, 200, 400, 700, 800]
        best = folder.load_best()
        assert best is not None and best.step == 200  # of equal scores the earliest
        assert (tmp_path / "best").read_text() == "step-00000200\n"
        assert (tmp_path / "latest").read_text() == "step-00000800\n"
    with CheckpointFolder(tmp_path, keep=2, keep_best=0) as folder:
        resumed = folder.load()
        assert resumed is not None and resumed.step == 800
        for step in (900, 1000, 1100):
            folder.save(step, state(step), {})
        assert folder.steps() == [100, 800, 1000, 1100]


def test_the_pointers_are_only_advice(tmp_path: Path) -> None:
    fill(tmp_path, 100, 200)
    (tmp_path / "latest").write_text("../../elsewhere\n")
    (tmp_path / "best").mkdir()
    loaded = read(tmp_path)
    assert loaded is not None and loaded.step == 200


def test_retention_verifies_before_it_removes(tmp_path: Path) -> None:
    """The two newest that are kept are two that load: damage unnoticed so far must not cost a good one."""
    fill(tmp_path, 100, 200, 300, keep=3)
    spoil(tmp_path / "step-00000300" / "state.safetensors")
    reports = fill(tmp_path, 400)
    assert [r for r in reports if "step-00000300: state.safetensors" in r]
    with CheckpointFolder(tmp_path) as folder:
        assert folder.steps() == [200, 400]
    assert (tmp_path / "step-00000300.corrupt").is_dir()


def test_a_damaged_best_is_set_aside_and_the_next_best_used(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path, keep=3, report=lambda _: None) as folder:
        for step, score in ((100, 0.5), (200, 0.9), (300, 0.7)):
            folder.save(step, state(step), {}, score=score)
    spoil(tmp_path / "step-00000200" / "state.safetensors")
    spoil(tmp_path / "step-00000300" / "manifest.json")
    with CheckpointFolder(tmp_path, report=lambda _: None) as folder:
        best = folder.load_best()
        assert best is not None and best.step == 100
        assert [r.split(":")[0] for r in best.rejected] == ["step-00000300", "step-00000200"]
        spoil(tmp_path / "step-00000100" / "state.json")
        with pytest.raises(CheckpointError, match=r"step-00000100: state\.json"):
            folder.load_best()


def test_unscored_checkpoints_have_no_best(tmp_path: Path) -> None:
    fill(tmp_path, 100)
    with CheckpointFolder(tmp_path) as folder:
        assert folder.load_best() is None


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    fill(tmp_path, 100, 200)
    with CheckpointFolder(tmp_path) as folder:
        folder.save(200, state(7), {"again": True})
        loaded = folder.load()
    assert loaded is not None and loaded.facts == {"again": True}
    assert digest(loaded.tensors) == digest(state(7))
    assert sorted(p.name for p in tmp_path.glob("step-*")) == ["step-00000100", "step-00000200"]


@pytest.mark.parametrize("step", [0, 7, 99_999_999, 123_456_789_012])
def test_steps_of_any_length_are_ordered_as_numbers(tmp_path: Path, step: int) -> None:
    fill(tmp_path, step, step + 1)
    with CheckpointFolder(tmp_path) as folder:
        assert folder.steps() == [step, step + 1]
        loaded = folder.load()
    assert loaded is not None and loaded.step == step + 1


def test_names_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, 100)
    for name in ("step-5", "step-000000100", "step-0000030\u0661", "step-00000300.bak", "notes"):
        (tmp_path / name).mkdir()
    with CheckpointFolder(tmp_path) as folder:
        assert folder.steps() == [100]


def test_when_every_checkpoint_is_damaged_it_is_an_error_and_stays_one(tmp_path: Path) -> None:
    fill(tmp_path, 100, 200)
    for step in (100, 200):
        spoil(tmp_path / f"step-{step:08d}" / "state.safetensors")
    with pytest.raises(CheckpointError, match=r"step-00000200: .*; step-00000100: .*remove the folder"):
        read(tmp_path)
    with CheckpointFolder(tmp_path, report=lambda _: None) as folder:
        with pytest.raises(CheckpointError, match=r"step-00000200: .*; step-00000100: "):
            folder.load()
        with pytest.raises(CheckpointError, match="set aside earlier"):  # not None: that would begin anew
            folder.load()
    with pytest.raises(CheckpointError, match="set aside earlier"):
        read(tmp_path)


def test_a_second_load_still_says_that_a_newer_one_was_damaged(tmp_path: Path) -> None:
    fill(tmp_path, 100, 200)
    spoil(tmp_path / "step-00000200" / "state.json")
    reports: list[str] = []
    with CheckpointFolder(tmp_path, report=reports.append) as folder:
        first, second = folder.load(), folder.load()
        assert first is not None and second is not None
        assert (first.step, second.step) == (100, 100)
        assert first.rejected == ("step-00000200: state.json is not as it was written: its SHA-256 differs",)
        assert second.rejected == ("step-00000200.corrupt: set aside earlier",)
        folder.save(200, state(200), {})
        third = folder.load()
        assert third is not None and third.step == 200 and third.rejected == ()
        spoil(tmp_path / "step-00000200" / "state.json")
        fourth = folder.load()
        assert fourth is not None and fourth.step == 100
    assert {p.name for p in tmp_path.glob("*.corrupt*")} == {
        "step-00000200.corrupt",
        "step-00000200.corrupt-2",
    }
    assert len(reports) == 2


def test_reports_go_to_stderr_unless_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fill(tmp_path, 100, 200)
    spoil(tmp_path / "step-00000200" / "state.json")
    with CheckpointFolder(tmp_path) as folder:
        folder.load()
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("warning: step-00000200: state.json is not")


# ---- whose it is ------------------------------------------------------------------------------------------


def test_the_checkpoints_of_another_identity_are_refused_and_untouched(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path, identity="lenet-1") as folder:
        folder.save(100, state(100), {}, score=1.0)
    with CheckpointFolder(tmp_path, identity="lenet-2") as folder:
        for act in (folder.load, folder.load_best, lambda: folder.save(200, state(200), {})):
            with pytest.raises(CheckpointError, match=r"another model or recipe \(lenet-1, not lenet-2\)"):
                act()
    assert [p.name for p in tmp_path.glob("step-*")] == ["step-00000100"]
    for identity in ("lenet-1", ""):
        with CheckpointFolder(tmp_path, identity=identity) as folder:
            assert folder.load() is not None
    assert read(tmp_path) is not None


def test_a_damaged_identity_is_damage_not_a_stranger(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path, identity="lenet-1") as folder:
        folder.save(100, state(100), {})
        folder.save(200, state(200), {})
    path = tmp_path / "step-00000200" / "manifest.json"
    path.write_bytes(path.read_bytes().replace(b"lenet-1", b"lenet-3"))
    with CheckpointFolder(tmp_path, identity="lenet-1", report=lambda _: None) as folder:
        loaded = folder.load()
    assert (
        loaded is not None and loaded.step == 100 and "manifest.json is not as it was" in loaded.rejected[0]
    )


def test_a_later_format_is_refused_and_untouched(tmp_path: Path) -> None:
    fill(tmp_path, 100, 200)
    path = tmp_path / "step-00000200" / "manifest.json"
    content = json.loads(path.read_bytes())
    del content["sha256"]
    path.write_bytes(_seal(content | {"format": 2, "more": []}))
    with CheckpointFolder(tmp_path) as folder, pytest.raises(CheckpointError, match=r"format 2.*update"):
        folder.load()
    assert path.exists()


def test_a_manifest_survives_its_own_seal() -> None:
    files = {n: {"size": 3, "sha256": "0" * 64} for n in ("state.safetensors", "state.json")}
    manifest = Manifest(step=3, identity="\u00e4-1", score=-0.1, pinned=True, files=files)
    assert Manifest.unseal(manifest.seal()) == manifest
    assert json.loads(manifest.seal())["format"] == 1


# ---- one writer -------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path) as folder:
        folder.save(100, state(100), {})
        with pytest.raises(InputError, match=rf"another process writes this folder \(pid {os.getpid()}\)"):
            CheckpointFolder(tmp_path).__enter__()
        folder.save(200, state(200), {})
    with CheckpointFolder(tmp_path) as folder:
        assert folder.steps() == [100, 200]


def test_without_the_lock_nothing_is_written_or_set_aside(tmp_path: Path) -> None:
    fill(tmp_path, 100)
    folder = CheckpointFolder(tmp_path)
    assert folder.steps() == [100]
    for act in (folder.load, folder.load_best, lambda: folder.save(200, state(200), {})):
        with pytest.raises(RunError, match=r"is not open in this process; use: with CheckpointFolder"):
            act()


@pytest.mark.parametrize("how", [{"keep": 1}, {"keep": 0}, {"keep_best": -1}, {"identity": "x" * 1001}])
def test_settings_out_of_range_are_refused(tmp_path: Path, how: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"keep is at least 2.*keep_best 0 or more"):
        CheckpointFolder(tmp_path, **how)


def test_a_negative_step_and_an_unusable_folder_are_refused(tmp_path: Path) -> None:
    with CheckpointFolder(tmp_path / "a") as folder, pytest.raises(InputError, match="steps count from 0"):
        folder.save(-1, {}, {})
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "inner"):
        with pytest.raises(InputError, match="no checkpoints can be written to"):
            CheckpointFolder(root).__enter__()


def test_a_reader_is_not_confused_by_a_writer_that_removes_what_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 100, 200)
    genuine, busy = disk.read_file, []
    with CheckpointFolder(tmp_path) as folder:

        def slow(path: Path, limit: int) -> bytes:
            if not busy:
                busy.append(path)
                for step in (300, 400, 500):
                    folder.save(step, state(step), {})
            return genuine(path, limit)

        monkeypatch.setattr(disk, "read_file", slow)
        loaded = read(tmp_path)
    assert busy and loaded is not None and loaded.step == 500 and loaded.rejected == ()
