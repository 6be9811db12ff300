"""The demonstration ends with what to try next, and each of these is a command."""

import importlib.util
from pathlib import Path

from fathom.cli.command import parser


def test_it_names_the_server_and_the_curriculum() -> None:
    file = Path(__file__).parents[1] / "tools" / "demo.py"
    spec = importlib.util.spec_from_file_location("demo", file)
    assert spec is not None and spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    commands = [
        line.split()[1:] for line in demo.further("runs/mine").splitlines() if line.startswith("    ")
    ]
    assert commands == [["serve", "runs/mine"], ["learn"]]
    for words in commands:
        parser(words).parse_args(words)
