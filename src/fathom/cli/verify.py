"""``fathom verify ROW|RECIPE|CLAIM|PRIMITIVE``: measure what is promised, and keep the record."""

import argparse
import json
import sys

HELP = "re-run what is promised and keep the record"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="ROW|NAME", help="rows, recipes, claims, primitives")
    parser.add_argument(
        "--all", action="store_true", help="every recipe and claim that promises something, every primitive"
    )
    parser.add_argument("--again", action="store_true", help="also where the record is fresh")
    parser.add_argument(
        "--canary", action="store_true", help="20 steps of each record: still the same losses?"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of a recipe's run")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="arms of a claim at a time (default: one a core)"
    )
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
    records = verb.verify(
        args.names or None, again=args.again, threads=args.threads, processes=args.processes, say=say
    )
    for name, record in records.items():
        if args.json:
            kind = next((k for k in ("recipe", "claim") if k in record), "primitive")
            print(json.dumps({kind: name, "met": record["met"], "expect": record.get("expect", [])}))
            continue
        for promise in record.get("expect", []):
            if "claim" in record:
                mean = "-" if promise["mean"] is None else f"{promise['mean']:.4f}"
                word = "held" if promise["met"] else "did NOT hold"
                print(f"{name:<18} {promise['text']:<48} {mean:<9} {word}")
                continue
            bound = (
                f">= {promise['at_least']}" if promise["at_least"] is not None else f"<= {promise['at_most']}"
            )
            word = "met" if promise["met"] else "NOT MET"
            print(f"{name:<18} {promise['metric']:<22} {promise['mean']:.4f} {bound:<10} {word}")
    # A claim that did not hold is an answer; a promise that was not kept is a failure.
    return 0 if all(r["met"] for r in records.values() if "claim" not in r) else 1
