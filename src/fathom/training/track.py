"""Where scalars go. The JSONL file in the run folder is the truth; other trackers are guests.

A tracker that breaks is told of once on stderr and then left alone: it never stops a run.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fathom.errors import missing_extra


@runtime_checkable
class Tracker(Protocol):
    """What can follow a run."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers measured after ``step`` steps."""
        ...

    def settings(self, values: Mapping[str, Any]) -> None:
        """The resolved recipe, flat, once at the start."""
        ...

    def finish(self) -> None: ...


class JsonLines:
    """``metrics.jsonl``: one object a line, ``{"step": 10, "loss": 0.5}``, in order of steps."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._handle = file.open("a", encoding="utf-8")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        # Numbers that are none (a diverged loss) are written as text: JSON has no NaN.
        row = {n: v if abs(v) < float("inf") else str(v) for n, v in values.items()}
        self._handle.write(json.dumps({"step": step, **row}) + "\n")

    def settings(self, values: Mapping[str, Any]) -> None:
        """run.json holds the settings already."""

    def flush(self) -> None:
        self._handle.flush()

    def rewind(self, step: int) -> None:
        """Forget what was written after ``step``: a resumed run writes it again."""
        self._handle.close()
        kept = [line for line in self._lines() if json.loads(line)["step"] <= step]
        draft = self.file.with_suffix(".draft")
        draft.write_text("".join(kept), encoding="utf-8")
        os.replace(draft, self.file)
        self._handle = self.file.open("a", encoding="utf-8")

    def _lines(self) -> list[str]:
        """Whole lines; one cut short by a crash is dropped."""
        lines = self.file.read_text(encoding="utf-8").splitlines(keepends=True)
        whole: list[str] = []
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                continue
            if line.endswith("\n"):
                whole.append(line)
        return whole

    def finish(self) -> None:
        self._handle.close()


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a ``metrics.jsonl``; an unfinished last line is left out."""
    rows: list[dict[str, Any]] = []
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
    return rows


class TensorBoard:
    """Scalars and settings for TensorBoard (extra ``track``)."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise missing_extra("track", "tensorboard") from None
        self.writer = SummaryWriter(str(folder))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def settings(self, values: Mapping[str, Any]) -> None:
        rows = "\n".join(f"| {name} | {value} |" for name, value in values.items())
        self.writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}")

    def finish(self) -> None:
        self.writer.close()


class Guarded:
    """Trackers behind a wall: the first failure of one is reported, and that one is not called again."""

    def __init__(self, trackers: list[Tracker]) -> None:
        self.trackers = trackers
        self.failed: list[str] = []

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._each("scalars", step, values)

    def settings(self, values: Mapping[str, Any]) -> None:
        self._each("settings", values)

    def finish(self) -> None:
        self._each("finish")

    def _each(self, name: str, *given: Any) -> None:
        for tracker in list(self.trackers):
            try:
                getattr(tracker, name)(*given)
            except Exception as error:  # whatever a guest does, the run goes on
                self.trackers.remove(tracker)
                self.failed.append(f"{type(tracker).__name__}: {error}")
                print(f"tracker {type(tracker).__name__} failed and is left out: {error}", file=sys.stderr)
