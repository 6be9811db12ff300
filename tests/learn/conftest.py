"""For visits to the pages: a browser and a server for each module."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.learn.visiting import enter, serving
from tests.programs import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps answers and progress."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def state(browser: Any, home: Path) -> Iterator[tuple[str, Any]]:
    """A server, and the cookie of a browser that was let in."""
    with serving(home) as address:
        context = browser.new_context()
        enter(context.new_page(), address)
        kept = context.storage_state()
        context.close()
        yield address.partition("/start")[0], kept
