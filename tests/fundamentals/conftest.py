"""The parity tests of primitives are many: they run in ``make test``; ``make check`` has the twins alone."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.path.name != "test_twins.py":
            item.add_marker(pytest.mark.slow)
