"""What the README says about the curriculum can be typed after `make demo`, line by line."""

import re

from fathom import catalog

README = (catalog.ROOT.parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_command_is_put_on_the_path_before_it_is_used() -> None:
    """`make demo` installs into `.venv`, and nothing of it is on a path by itself."""
    part = README.partition("## Learn it")[2].partition("\n## ")[0]
    assert ".venv/bin/fathom learn" in part
    lines = re.findall(r"^[^\n]+$", part.partition("```sh\n")[2].partition("```")[0], re.MULTILINE)
    assert lines[0].startswith(". .venv/bin/activate")
    assert all(line.startswith("fathom learn") for line in lines[1:]) and len(lines) > 2
