"""A person's table from a file, or from a folder with one file for each split: CSV, TSV, Parquet or JSONL."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sheet:
    cells: dict[str, list[Any]]


def open_sheet(path: Any, options: Any) -> Sheet:
    raise NotImplementedError


def sample_sheet(path: Any, options: Any) -> Sheet:
    raise NotImplementedError
