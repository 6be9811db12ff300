"""A project: the folder that its milestones make, and the program in it.

Every milestone is a file that defines one function; ``project.py``, which a project brings along, calls them
one after the other. The folder needs the library and nothing of the curriculum: copied elsewhere, it runs.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "project.py"
LONGEST = 600.0  # seconds of a whole program
SHOWN = 3  # lines of what a broken program said
HERE: list[Path] = []  # the folder of the project that this process grades


def enter(folder: str) -> None:
    """From now on the files of a project can be imported, before all others of their names."""
    HERE[:] = [Path(folder)]
    sys.path.insert(0, folder)


def here() -> Path:
    """The folder of the project that is graded."""
    return HERE[0]


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files of a project into ``folder``, over those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def run(folder: Path, files: Mapping[str, str]) -> str:
    """Write a project and run its program on one thread, as its learner will; what went wrong, or ""."""
    write(folder, files)
    one = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    try:
        done = subprocess.run(
            [sys.executable, PROGRAM], cwd=folder, env=os.environ | one, capture_output=True, text=True,
            timeout=LONGEST, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"{PROGRAM} ran longer than {LONGEST:g} s"
    if done.returncode == 0:
        return ""
    return f"{PROGRAM} ended with {done.returncode}: {' '.join(done.stderr.split(chr(10))[-SHOWN - 1 :])}"
