"""A run: what one training leaves in its folder, and the handle to it.

runs/<time>-<recipe>/
run.json        how it was made: recipe, settings, seeds, versions, data, machine, result
metrics.jsonl   every scalar
checkpoints/    to go on from, exactly
report.html     what it reached, to look at
model/          the artifact: what ``predict`` and ``serve`` use
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fathom.errors import InputError

FORMAT = 1
STATES = ("starting", "running", "interrupted", "failed", "finished")


@dataclass
class Run:
    """One run folder. ``fathom.train``, ``fit`` and ``resume`` return it; ``Run(folder)`` opens it again."""

    folder: Path
    load_report: Any = field(default=None, repr=False)  # which weights a fine-tuned model took over

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)

    # -- what it holds --------------------------------------------------------------------------
    @property
    def record(self) -> dict[str, Any]:
        """``run.json``. A folder without one is refused."""
        file = self.folder / "run.json"
        if not file.is_file():
            what = "there is no run.json in it" if self.folder.is_dir() else "it does not exist"
            raise InputError(f"{self.folder} is no run folder: {what}; list runs with: fathom list --runs")
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{file} is damaged: {error}") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise InputError(f"{file} is not a run record of format {FORMAT}")
        return record

    def update(self, **changes: Any) -> None:
        """Merge ``changes`` into ``run.json``, whole or not at all."""
        file = self.folder / "run.json"
        record = self.record if file.is_file() else {"format": FORMAT}
        draft = file.with_name(f".run.json.{os.getpid()}")
        with draft.open("w", encoding="utf-8") as handle:
            handle.write(json.dumps(record | changes, indent=1, default=str))
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(draft, file)

    @property
    def result(self) -> dict[str, Any]:
        """Final metrics, seconds of training, digest; empty while the run is not finished."""
        return self.record.get("result") or {}

    @property
    def metrics(self) -> dict[str, float]:
        """Final values, ``test/accuracy`` among them."""
        return self.result.get("metrics", {})

    @property
    def digest(self) -> str:
        """SHA-256 over the final weights in canonical order."""
        return self.result.get("digest", "")

    @property
    def seconds(self) -> float:
        """Time spent training, over all resumptions."""
        return self.result.get("seconds", 0.0)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every scalar, a row a step."""
        from fathom.training.track import read_rows

        return read_rows(self.folder / "metrics.jsonl")

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    # -- what can be done with it -----------------------------------------------------------------
    def predict(self, *items: Any) -> Any:
        """The answer for one item (bytes, a path, text, a mapping), or a list of them for several."""
        from fathom.verbs.predict import predict

        answers = predict(self.folder, items)
        return answers[0] if len(items) == 1 else answers

    def evaluate(self, data: str | Path, **options: Any) -> dict[str, Any]:
        """Metrics with intervals on new labelled data."""
        from fathom.verbs.evaluate import evaluate

        return evaluate(self.folder, data, **options)

    def export(self) -> Path:
        """``model.onnx``, checked against the trained model."""
        from fathom.verbs.export import export

        return export(self.folder)

    def serve(self, **options: Any) -> None:
        """Answer over HTTP until stopped."""
        from fathom.verbs.serve import serve

        serve(self.folder, **options)


def create(folder: Path | None, name: str, facts: dict[str, Any]) -> Run:
    """A new run folder with its first ``run.json``, written before torch is imported."""
    chosen = Path(folder) if folder is not None else fresh_folder(Path("runs"), name)
    if (chosen / "run.json").exists():
        raise InputError(
            f"{chosen} holds a run already; go on with it: fathom train --resume {chosen},"
            " or choose another --out"
        )
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        if any(chosen.iterdir()):
            raise InputError(f"{chosen} is not empty; choose a new folder for --out")
    except OSError as error:
        raise InputError(f"{chosen} cannot be made: {error.strerror}; choose another --out") from error
    run = Run(chosen)
    run.update(name=name, state="starting", started=now(), **facts, versions=versions(), machine=machine())
    return run


def fresh_folder(root: Path, name: str) -> Path:
    """``runs/20260131-235959-lenet``, with a number behind it where that exists."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)[:60]}"
    tried = [stem, *(f"{stem}-{i}" for i in range(2, 1000))]
    return next(root / t for t in tried if not (root / t).exists())


def every_run(root: Path = Path("runs")) -> list[Run]:
    """The run folders below ``root``, oldest first."""
    return [Run(p.parent) for p in sorted(root.glob("*/run.json"))] if root.is_dir() else []


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def versions() -> dict[str, str]:
    """Versions of what can change a result. Reads metadata; imports nothing."""
    found = {"python": platform.python_version()}
    names: Sequence[str] = (
        "fathom-dl",
        "torch",
        "numpy",
        "pillow",
        "onnxruntime",
        "gymnasium",
        "scikit-learn",
    )
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """What the run ran on, without names that identify a person or a host."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
    }


@cache
def processor() -> str:
    """The processor, as far as the system tells: name, family and model, widest vector instructions.

    Two machines with the same text run the same kernels and so round alike; a name alone may stand for
    several generations.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    first = text.split("\n\n", 1)[0].splitlines()
    told = {n.strip(): v.strip() for n, _, v in (line.partition(":") for line in first)}
    flags = told.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")
    kind = f"family {told['cpu family']}, model {told['model']}" if "cpu family" in told else ""
    return ", ".join(part for part in (told.get("model name", platform.machine()), kind, widest) if part)


@cache
def code_digest() -> str:
    """SHA-256 over the package's Python source: which code made a result."""
    root, total = Path(__file__).parents[1], hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()
