"""The scripts of the pages hold under a strict type checker, as they are: plain modules, types in comments.

``tsc -p tests/learn`` does the same where TypeScript is installed. Here its checker comes with Deno, which
the Python index has, so that nothing is fetched when a test runs.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fathom.learn import web

STATIC = Path(web.__file__).parent / "static"
OPTIONS = Path(__file__).parent / "tsconfig.json"


def check(scripts: list[Path], cache: Path) -> subprocess.CompletedProcess[str]:
    """What TypeScript says of some scripts."""
    from deno import find_deno_bin

    quiet = {"DENO_DIR": str(cache), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}
    offline = ["--no-remote", "--no-npm", "--no-lock", "--config", str(OPTIONS)]
    command = [find_deno_bin(), "check", *offline, *map(str, scripts)]
    return subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_every_script_has_the_types_it_says(tmp_path: Path) -> None:
    scripts = sorted(STATIC.glob("*.js"))
    done = check(scripts, tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(f"/{script.name}" in done.stderr for script in scripts), "each was looked at"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("told.focus();", "told.fokus();", "TS2551"),  # a name that a part of the page does not have
        ("{string} text @param {string} [asked]", "{number} text @param {string} [asked]", "TS2345"),
        ("form.requestSubmit();", "form.requestSubmit(); let n;", "TS6133"),
    ],
)  # fmt: skip
def test_a_mistake_is_found(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    shutil.copytree(STATIC, tmp_path / "static")
    script = tmp_path / "static" / "form.js"
    text = script.read_text(encoding="utf-8")
    assert right in text
    script.write_text(text.replace(right, wrong), encoding="utf-8")
    done = check([script], tmp_path / "cache")
    assert done.returncode == 1 and said in done.stderr, done.stderr
