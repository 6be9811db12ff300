"""The whole test suite: the quick ones on all cores, then those that need the machine for themselves."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    quiet = os.environ | {"OMP_NUM_THREADS": "1"}
    cores = str(min(4, os.cpu_count() or 1))
    lanes = (
        ("fast tests", ["-n", cores, "-m", "not slow and not browser and not gpu"]),
        ("slow tests", ["-n", cores, "-m", "slow and not browser and not gpu"]),
        ("browser", ["-m", "browser", "-rs"]),
        ("accelerator", ["-m", "gpu", "-rs"]),
    )
    failed = []
    for name, options in lanes:
        print(f"== {name}", flush=True)
        code = subprocess.run([*PYTEST, *options], cwd=ROOT, env=quiet, check=False).returncode
        if code:  # an empty lane, too, proves nothing
            failed.append(name)
    print("failed: " + ", ".join(failed) if failed else "all lanes passed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
