"""The page about language says what its tool says: the words between what was printed, and the commands."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fathom.errors import InputError

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The tool, with which no network learns and no server starts."""
    monkeypatch.syspath_prepend(str(TOOLS))
    made = importlib.import_module("demonstrate_language")
    silent = SimpleNamespace(send_signal=lambda _: None, communicate=lambda timeout: ("", ""))
    done = SimpleNamespace(returncode=0, stdout="")
    processes = SimpleNamespace(
        Popen=lambda *_, **__: silent, run=lambda *_, **__: done, PIPE=None, STDOUT=None
    )
    monkeypatch.setattr(made, "subprocess", processes)
    monkeypatch.setattr(made, "wait", lambda address: None)
    monkeypatch.setattr(made, "taught", empty_folder)
    yield made
    for name in ("demonstrate_language", "demonstrate"):
        sys.modules.pop(name, None)


def empty_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def unprinted(page: str) -> str:
    """A page without what commands printed, the day and the port: they differ each time."""
    kept, printing = list[str](), False
    for line in page.splitlines():
        if line in ("```console", "```"):
            printing = line != "```"
        if not printing or line.startswith(("```", "$ ")):
            kept.append(line)
    days = re.sub(r" on \d{4}-\d{2}-\d{2};", " on DAY;", "\n".join(kept))
    return re.sub(r"(--port |127\.0\.0\.1:)\d+", r"\1PORT", days)


def test_the_page_about_language_is_what_its_tool_writes(tool: ModuleType, tmp_path: Path) -> None:
    class Unrun(tool.Transcript):
        def run(self, *words: str) -> None:
            self.show(["fathom", *words], "")

    told: Any = Unrun(tmp_path)
    try:
        tool.demonstrate(told)
    except InputError as missing:  # a data set
        pytest.skip(str(missing))
    assert unprinted(tool.PAGE.read_text(encoding="utf-8")) == unprinted(tool.page(told, "2026-01-01"))


def test_what_was_printed_is_no_part_of_the_words() -> None:
    page = "Words.\n\n```console\n$ fathom serve --port 12\nprinted\n$ fathom list\n```\n\nOthers."
    words = "Words.\n\n```console\n$ fathom serve --port PORT\n$ fathom list\n```\n\nOthers."
    assert unprinted(page) == words


def test_the_page_says_that_the_llama_is_a_toy(tool: ModuleType) -> None:
    page = tool.PAGE.read_text(encoding="utf-8")
    assert f"This one is a toy: it was taught {len(tool.LESSONS)} answers by heart" in page
