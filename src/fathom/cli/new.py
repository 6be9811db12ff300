"""``fathom new system|task|topic NAME``: the files of a new one, tests passing at once."""

import argparse

HELP = "files for a new system, task or topic, tests passing at once"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("system", "task", "topic"))
    parser.add_argument("name", help="lower-case words joined by underscores; of a topic, by hyphens")
    parser.add_argument("--part", default="architectures", help="folder of the system below src/fathom")
    parser.add_argument("--root", default=".", help="the checkout (default: this folder)")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.new import new

    for file in new(args.kind, args.name, part=args.part, root=args.root):
        print(file)
    return 0
