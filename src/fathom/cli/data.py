"""``fathom data``: known sets, and a look at your own."""

import argparse
import json
from pathlib import Path

HELP = "known data sets; a look at your own data before training"


def arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", metavar="action", required=True)
    commands.add_parser("list", help="known data sets").add_argument("--json", action="store_true")
    show = commands.add_parser("show", help="facts about one set")
    show.add_argument("name")
    show.add_argument("--json", action="store_true")
    look = commands.add_parser("inspect", help="what a file or folder holds, and what is wrong with it")
    look.add_argument("path")
    look.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    return {"list": list_sets, "show": show_set, "inspect": inspect_path}[args.action](args)


def list_sets(args: argparse.Namespace) -> int:
    from fathom.data import places

    for data in places.known().values():
        here = next(
            (str(f) for f in places.candidates(data) if all((f / n).is_file() for n in data.files)), None
        )
        if args.json:
            print(json.dumps({"name": data.name, "title": data.title, "tasks": data.tasks, "found": here}))
        else:
            print(f"{data.name:<18} {'here' if here else '-':<5} {data.title}: {', '.join(data.tasks)}")
    return 0


def show_set(args: argparse.Namespace) -> int:
    import dataclasses

    from fathom.data import places

    data = places.named(args.name)
    if args.json:
        print(json.dumps(dataclasses.asdict(data)))
        return 0
    print(f"{data.title}\n{data.citation}\n\nlicence   {data.licence}\naddress   {data.address}")
    print(f"counts    {', '.join(f'{k} {v:,}' for k, v in data.counts.items())}")
    for folder in places.candidates(data):
        print(f"looked in {folder} ({'there' if folder.is_dir() else 'not there'})")
    return 0


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
