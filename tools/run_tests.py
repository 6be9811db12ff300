"""The whole test suite, lane by lane: visits to pages, slow tests, quick ones; each on all cores."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest", "-q"]


def main() -> int:
    total: Counter[str] = Counter()
    failed = []
    for name, options in lanes(min(4, os.cpu_count() or 1)).items():
        print(f"== {name}", flush=True)
        code, counts = run(options)
        total += counts
        if code:  # an empty lane, too, proves nothing
            failed.append(name)
    print("failed: " + ", ".join(failed) if failed else "all lanes passed")
    print(f"{total['passed']} passed, {total['failed']} failed, {total['skipped']} skipped")
    return 1 if failed else 0


def lanes(cores: int) -> dict[str, list[str]]:
    """The options of pytest for each lane; all of them together are every test once."""
    many = ["-n", str(cores), "--dist"]
    return {
        "accelerator": ["-m", "gpu", "-rs"],
        "browser": [*many, "loadfile", "-m", "browser", "-rs"],
        "slow tests": [*many, "worksteal", "-m", "slow and not browser and not gpu"],
        "fast tests": [*many, "loadfile", "-m", "not slow and not browser and not gpu"],
    }


def run(options: list[str]) -> tuple[int, Counter[str]]:
    """Run pytest with these options: its exit code, and how many tests ended in which way."""
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "tests.xml"
        command = [*PYTEST, *options, f"--junitxml={listing}"]
        quiet = os.environ | {"OMP_NUM_THREADS": "1"}
        code = subprocess.run(command, cwd=ROOT, env=quiet, check=False).returncode
        cases = list(ElementTree.parse(listing).iter("testcase")) if listing.is_file() else []
    return code, Counter(outcome(case) for case in cases)


def outcome(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


if __name__ == "__main__":
    raise SystemExit(main())
