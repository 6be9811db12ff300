"""``fathom explain curves RUN``: does it underfit or overfit, and what to try next."""

import argparse
import json

HELP = "what a run's learning curves say, and what to try next"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder")
    parser.add_argument(
        "--baseline", type=float, metavar="LOSS", help="the loss of knowing nothing (default: log(classes))"
    )
    parser.add_argument(
        "--floor", type=float, metavar="LOSS", default=0.0, help="the loss that noise leaves (default: 0)"
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.diagnose import diagnose

    found = diagnose(args.run, baseline=args.baseline, floor=args.floor)
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{found['regime']}\n{found['reason']}\n")
    for name, value in found["numbers"].items():
        print(f"{name.replace('_', ' '):<24} {value:.4g}")
    print("\ntry next")
    for line in found["advice"]:
        print(f"  - {line}")
    return 0
