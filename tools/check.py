"""``make check``: linters, types and fast tests. What waits for one processor leaves it to the rest.

ruff comes first, for it takes a second. pyright and pytest then run side by side, the tests on two workers.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(sys.executable).parent
FAST = "not slow and not browser and not gpu"


def main() -> int:
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        if subprocess.run([str(SCRIPTS / command[0]), *command[1:]], cwd=ROOT, check=False).returncode:
            return 1
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    types = subprocess.Popen(
        [str(SCRIPTS / "pyright"), "--pythonpath", sys.executable],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-m", FAST],
        cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    told, _ = types.communicate()
    print(told, end="")
    return int(bool(tests.returncode or types.returncode))


if __name__ == "__main__":
    sys.exit(main())
