"""Programs that some tests need and a machine may lack: a browser, Node."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing(what: str) -> NoReturn:
    """Skip with the reason; where FATHOM_CI is set the program must be there."""
    if os.environ.get("FATHOM_CI") == "1":
        pytest.fail(f"{what}, and FATHOM_CI=1 asks for the tests that need it")
    pytest.skip(what)


def program(*names: str) -> str:
    """The first of these programs that is installed."""
    path = next((found for name in names if (found := shutil.which(name))), None)
    return path or missing(f"none of {', '.join(names)} is installed")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser. Its driver keeps an event loop running in this thread: one for a whole module."""
    path = program(*BROWSERS)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()
