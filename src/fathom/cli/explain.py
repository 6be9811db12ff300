"""``fathom explain WHAT ...``: what a run has learned, how sure it may be, whether a gradient is right."""

import argparse

from fathom.cli.explaining import calibration, curves, features, gradient

HELP = "a run's learning curves, confidence and features; the gradient of a function"
KINDS = {"curves": curves, "calibration": calibration, "features": features, "gradient": gradient}


def arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", metavar="|".join(KINDS), required=True)
    for name, kind in KINDS.items():
        kind.arguments(kinds.add_parser(name, help=kind.HELP, description=kind.HELP, allow_abbrev=False))


def run(args: argparse.Namespace) -> int:
    return KINDS[args.what].run(args)
