"""The proofs that the curriculum cannot rot, as CI runs them: how many minutes they take on two cores.

Those are the tests of ``tests/learn``: every code fence, quote, exercise with its named mistakes and figure,
the commands on bundled samples, and the visits in a browser. They run in the lanes of ``tools/run_tests.py``,
one after the other; a failed test ends the measurement.

    python benchmarks/learn_proofs.py
"""

import argparse
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

from pairs import keep

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = 8.0  # minutes
CORES = 2
LANES = runpy.run_path(str(ROOT / "tools" / "run_tests.py"))["lanes"](CORES)


def minutes(options: list[str]) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "tests/learn", *options]
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=quiet, check=True, stdout=sys.stderr)
    return (time.perf_counter() - began) / 60


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", help="the result as JSON (default: benchmarks/results/learn_proofs.json)")
    args = parser.parse_args()
    asked = {name: options for name, options in LANES.items() if name != "accelerator"}
    lanes = {name.removesuffix(" tests"): minutes(options) for name, options in asked.items()}
    whole = sum(lanes.values())
    told = ", ".join(f"{name} {value:.1f}" for name, value in lanes.items())
    row = {
        "what": "`fathom learn`: all proofs of the curriculum in CI, minutes on 2 cores",
        "ours": f"{whole:.1f} ({told})", "other": "-", "ratio": f"{whole / ALLOWED:.2f} of what is allowed",
        "goal": f"under {ALLOWED:g} minutes",
    }  # fmt: skip
    keep("learn_proofs", [row], lanes, args.out)


if __name__ == "__main__":
    main()
