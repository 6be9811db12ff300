"""``fathom verify ROW|RECIPE|PRIMITIVE``: measure what is promised, and keep the record."""

import argparse
import json
import sys

HELP = "re-run what is promised and keep the record"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="ROW|NAME", help="rows, recipes, primitives")
    parser.add_argument(
        "--all", action="store_true", help="every recipe that promises something, every primitive"
    )
    parser.add_argument("--again", action="store_true", help="also where the record is fresh")
    parser.add_argument(
        "--canary", action="store_true", help="20 steps of each record: still the same losses?"
    )
    parser.add_argument("--threads", type=int, metavar="N")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(args: argparse.Namespace) -> int:
    from fathom.errors import InputError
    from fathom.verbs import verify as verb

    if not args.names and not args.all and not args.canary:
        raise InputError("name rows or recipes to verify, or give --all or --canary")
    say = (lambda text: None) if args.json else (lambda text: print(text, file=sys.stderr, flush=True))
    if args.canary:
        sung = verb.canary(args.names or None, say=say)
        if args.json:
            print(json.dumps(sung))
        return 0 if all(c["passed"] for c in sung.values()) else 1
    records = verb.verify(args.names or None, again=args.again, threads=args.threads, say=say)
    for name, record in records.items():
        if args.json:
            kind = "recipe" if "recipe" in record else "primitive"
            print(json.dumps({kind: name, "met": record["met"], "expect": record.get("expect", [])}))
            continue
        for promise in record.get("expect", []):
            bound = (
                f">= {promise['at_least']}" if promise["at_least"] is not None else f"<= {promise['at_most']}"
            )
            word = "met" if promise["met"] else "NOT MET"
            print(f"{name:<18} {promise['metric']:<22} {promise['mean']:.4f} {bound:<10} {word}")
    return 0 if all(r["met"] for r in records.values()) else 1
