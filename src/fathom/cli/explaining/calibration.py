"""``fathom explain calibration RUN``: the temperature under which a classifier is as sure as it should be."""

import argparse
import json

HELP = "fit a temperature to a finished classifier, and show how honest it is"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--data", metavar="PATH", help="fit and score on two halves of this labelled data")
    parser.add_argument("--skip-bad", action="store_true", help="leave out of the data what cannot be read")
    parser.add_argument("--bins", type=int, default=15, help="of the calibration error (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="which rows make which half (default: 0)")
    parser.add_argument("--out", metavar="FILE", help="the page (default: in the run folder)")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.calibrate import calibrate

    found = calibrate(
        args.run, data=args.data, bins=args.bins, seed=args.seed, out=args.out, skip_bad=args.skip_bad
    )
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"temperature  {found['temperature']:.4f}\n{'':<12} {'before':>9} {'after':>9}")
    for name, value in found["before"].items():
        print(f"{name:<12} {value:9.4f} {found['after'][name]:9.4f}")
    for line in found["rows"]:
        print(line)
    print(f"file  {found['file']}\npage  {found['page']}")
    return 0
