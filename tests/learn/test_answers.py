"""Files of answers: written whole or not at all, whoever looks at them meanwhile."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fathom.learn.engine.exercise import keep

TEXTS = ("# one\n" * 30_000, "# another\n" * 20_000)
WRITER = """
import sys
from pathlib import Path
from fathom.learn.engine.exercise import keep
texts = ("# one\\n" * 30_000, "# another\\n" * 20_000)
for number in range(100_000):
    keep(Path(sys.argv[1]), texts[number % 2])
    if number < 2:
        print(number, flush=True)
"""


@pytest.mark.slow
def test_whoever_reads_or_kills_has_the_old_text_or_the_new(tmp_path: Path) -> None:
    place = tmp_path / "answers" / "one.py"
    for round_ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            until = time.monotonic() + 0.05 + 0.03 * round_
            while time.monotonic() < until:
                assert place.read_text(encoding="utf-8") in TEXTS
            os.kill(writer.pid, signal.SIGKILL)
        assert place.read_text(encoding="utf-8") in TEXTS
    keep(place, "# the next\n")
    assert place.read_text(encoding="utf-8") == "# the next\n"


def test_a_link_stays_one_and_who_may_read_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "mine.py", tmp_path / "answers.py"
    real.write_text("# old\n", encoding="utf-8")
    real.chmod(0o640)
    link.symlink_to(real)
    keep(link, "# new\n")
    assert link.is_symlink() and real.read_text(encoding="utf-8") == "# new\n"
    assert real.stat().st_mode & 0o777 == 0o640
    assert {file.name for file in tmp_path.iterdir()} == {"mine.py", "answers.py"}


def test_what_fails_leaves_the_old_text_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "one.py"
    keep(place, "# old\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep(place, "# new\n")
    assert place.read_text(encoding="utf-8") == "# old\n" and list(tmp_path.iterdir()) == [place]
