"""``fathom explain gradient FUNCTION``: does a gradient agree with finite differences?"""

import argparse
import json
import math
from typing import Any

from fathom.errors import InputError

HELP = "check the gradient of a function or primitive by finite differences"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("function", help="module:function of your own, or a primitive (fathom list)")
    parser.add_argument(
        "--shape", action="append", default=[], metavar="3,4",
        help="shape of an argument of your function; one --shape for each argument",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the inputs that are drawn (default: 0)")
    parser.add_argument(
        "--tolerance", type=float, default=1e-5, help="largest relative error allowed (default: 1e-5)"
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.gradcheck import gradcheck

    shapes = [parse(text) for text in args.shape]
    found = gradcheck(args.function, shapes=shapes, seed=args.seed, tolerance=args.tolerance)
    if args.json:
        print(json.dumps({**found, "checks": [finite(one) for one in found["checks"]]}))
        return 0 if found["passed"] else 1
    for one in found["checks"]:
        slopes = f"{one['outputs']} x {one['entries']} slopes" + (", summed" if one["summed"] else "")
        verdict = "ok" if one["passed"] else "WRONG"
        print(f"{one['name']:<36} {slopes:<26} error {one['error']:.1e}  {verdict}")
    worst = max(found["checks"], key=lambda one: one["error"])
    if worst["output"]:
        print(f"worst           {worst['name']}: {worst['output']} by {worst['input']}")
        print(f"analytic        {worst['analytic']:.12g}")
        print(f"differences     {worst['numeric']:.12g}")
    print(f"relative error  {worst['error']:.3g} (allowed: {found['tolerance']:g})")
    print("passed" if found["passed"] else "failed: the gradient is not the slope of the values")
    return 0 if found["passed"] else 1


def finite(found: dict[str, Any]) -> dict[str, Any]:
    """Numbers that JSON does not know, as text."""
    odd = {n: str(v) for n, v in found.items() if isinstance(v, float) and not math.isfinite(v)}
    return found | odd


def parse(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(side) for side in text.split(","))
    except ValueError:
        raise InputError(f"--shape {text}: write the sides as whole numbers with commas, as 3,4") from None
