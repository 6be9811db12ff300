"""``fathom compare RUN RUN``: side by side, with a paired test."""

import argparse
import json

HELP = "two runs side by side, with a paired test"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", help="a run folder")
    parser.add_argument("second", help="another; differences are second minus first")
    parser.add_argument("--out", metavar="FILE", help="the page (default: in the second run's folder)")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.compare import compare

    found = compare(args.first, args.second, out=args.out)
    if args.json:
        print(json.dumps(found))
        return 0
    for name, (before, after) in found["differences"].items():
        print(f"{name:<36} {before} -> {after}")
    for test in found["tests"]:
        interval = f"[{test['low']:+.4f}, {test['high']:+.4f}]"
        chance = "p < 0.0001" if test["p_value"] < 1e-4 else f"p = {test['p_value']:.4f}"
        print(f"{test['metric']:<20} {test['difference']:+.4f} {interval}  {chance} ({test['method']})")
    if found["note"]:
        print(found["note"])
    print(f"page  {found['page']}")
    return 0
