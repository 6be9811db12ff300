"""``fathom data``: known sets, and a look at your own."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HELP = "known data sets; a look at your own data before training"


def arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="action", required=True)
    commands.add_parser("list", help="known data sets").add_argument(
        "--json", action="store_true", help="one object a line"
    )
    show = commands.add_parser("show", help="facts about one set: licence, source, files, where it is")
    show.add_argument("name", help="a known set")
    show.add_argument("--verify", action="store_true", help="compare every file with its SHA-256 again")
    show.add_argument("--json", action="store_true", help="one object")
    look = commands.add_parser("inspect", help="what your data looks like, and what is wrong with it")
    look.add_argument("path", help="a file or folder")
    look.add_argument("--json", action="store_true", help="one object")


def run(args: argparse.Namespace) -> int:
    return {"list": list_sets, "show": show_set, "inspect": inspect_path}[args.action](args)


def list_sets(args: argparse.Namespace) -> int:
    from fathom.data import places

    rows: list[tuple[str, ...]] = []
    for data in places.known().values():
        here = places.locate(data)
        if args.json:
            facts = {"name": data.name, "title": data.title, "tasks": data.tasks, "licence": data.licence}
            print(json.dumps({**facts, "bytes": data.bytes, "found": str(here) if here else None}))
            continue
        where = "here" if here else "download" if data.address else "-"
        rows.append((data.name, where, f"{data.bytes / 1e6:.1f} MB", data.title, ", ".join(data.tasks)))
    if rows:
        show_rows(("set", "where", "size", "title", "tasks"), rows)
        print("\nfathom data show NAME tells about one: licence, source, where it is looked for")
    return 0


def show_set(args: argparse.Namespace) -> int:
    import dataclasses

    from fathom.data import places

    data = places.named(args.name)
    here = places.verify(data) if args.verify else places.locate(data)
    if args.json:
        facts: dict[str, Any] = {**dataclasses.asdict(data), "digest": data.digest}
        print(json.dumps({**facts, "bytes": data.bytes, "found": str(here) if here else None}))
        return 0
    print(f"{data.title}\n{data.citation}\n\nlicence   {data.licence}")
    print(f"          {'may' if data.redistributable else 'may not'} be passed on\nhome      {data.home}")
    print(f"address   {', '.join(data.address) or 'none that serves these very files'}")
    print(f"files     {len(data.files)}, {data.bytes:,} bytes, digest {data.digest[:16]}")
    print(f"counts    {', '.join(f'{name} {count_told(n)}' for name, n in data.counts.items())}")
    print(f"notes     {data.notes}")
    for folder in places.candidates(data):
        print(f"looked in {folder} ({'there' if folder.is_dir() else 'not there'})")
    if args.verify:
        print(f"verified  every file in {here} has its SHA-256")
    return 0


def count_told(count: Any) -> str:
    """1,000, or "(a 1, b 2)"."""
    if isinstance(count, dict):
        return f"({', '.join(f'{name} {count_told(n)}' for name, n in count.items())})"
    return f"{count:,}" if isinstance(count, int) else str(count)


def inspect_path(args: argparse.Namespace) -> int:
    import dataclasses

    from fathom.data.inspect import inspect

    found = inspect(Path(args.path))
    if args.json:
        print(json.dumps(dataclasses.asdict(found)))
        return 0
    print("\n".join(found.saw))
    for problem in found.problems:
        print(f"look at   {problem}")
    if not found.problems:
        print("nothing wrong was found")
    return 0


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table in a terminal, plain lines in a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        shown = Table(*columns)
        for row in rows:
            shown.add_row(*(Text(cell) for cell in row))
        Console().print(shown)
        return
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
