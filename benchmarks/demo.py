"""``make demo`` after its installation: how long it takes, how much memory, and how large the wheel is.

The demo trains, kills, resumes, exports and reports; it is run whole, ``--runs`` times, as a process of its
own. Memory is the most that the demo or any process it started held at once. The wheel is built from the
checkout and weighed.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pairs import keep, spread

ROOT = Path(__file__).resolve().parents[1]
MINUTES, MEMORY, WHEEL = 3.0, 1.5, 20.0  # minutes, GB and MB that are allowed


def demo(threads: int) -> float:
    """Seconds of one demo in a folder that did not exist before."""
    began = time.perf_counter()
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py")], cwd=ROOT, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began


def wheel() -> float:
    """Megabytes of the wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", scratch, str(ROOT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (file,) = Path(scratch).glob("*.whl")
        return file.stat().st_size / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out")
    args = parser.parse_args()
    seconds = [demo(args.threads) for _ in range(args.runs)]
    held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # kilobytes on Linux
    size = wheel()
    rows = [
        row("make demo after installation, seconds", spread(seconds), max(seconds) / 60 / MINUTES,
            f"under {MINUTES:g} minutes"),
        row("make demo, largest process, GB", f"{held:.2f}", held / MEMORY, f"under {MEMORY:g} GB"),
        row("wheel, MB", f"{size:.1f}", size / WHEEL, f"under {WHEEL:g} MB"),
    ]  # fmt: skip
    details = {"seconds": seconds, "gigabytes": held, "wheel_megabytes": size, "threads": args.threads}
    keep("demo", rows, details, args.out)


def row(what: str, ours: str, share: float, goal: str) -> dict[str, str]:
    return {
        "what": what,
        "ours": ours,
        "other": "-",
        "ratio": f"{share:.2f} of what is allowed",
        "goal": goal,
    }


if __name__ == "__main__":
    main()
