"""``fathom catalog``: every row of the roadmap, and what is proven of it."""

import argparse
import json

HELP = "the roadmap row by row: readable, parity, trained, ships, taught"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wanted", nargs="*", metavar="CHAPTER|ROW")
    parser.add_argument("--json", action="store_true", help="one object a line and row")
    parser.add_argument(
        "--write", action="store_true", help="fill the marks of README and docs from the records"
    )


def run(args: argparse.Namespace) -> int:
    from fathom import catalog, evidence
    from fathom.errors import unknown

    chapters = {r.id[:2] for r in catalog.inventory().values()} | {
        r.chapter for r in catalog.inventory().values()
    }
    for name in args.wanted:
        if name not in chapters and name not in catalog.inventory():
            raise unknown("chapter or row", name, chapters | set(catalog.inventory()))
    if args.write:
        from fathom.verbs.documents import write_documents

        for file in write_documents():
            print(file)
        return 0
    rows = evidence.table(args.wanted or None)
    for row in rows:
        print(json.dumps(row) if args.json else line(row))
    if not args.json:
        for entry in catalog.systems().values():
            for test, reason in entry.card.exempt.items():
                print(f"exempt  {entry.name} from {test}: {reason}")
    return 0


def line(row: dict[str, object]) -> str:
    from fathom.evidence import PARTS

    return f"{row['id']}  {' '.join(sign(row[part]) for part in PARTS)}  {row['item']}"


def sign(part: object) -> str:
    """One word of eight letters for one promise."""
    if not isinstance(part, dict):
        return "-       "
    if part["ok"] is None:
        return "amber   "
    return ("fresh   " if part["fresh"] else "stale   ") if part["ok"] else ".       "
