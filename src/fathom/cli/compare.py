"""``fathom compare``: two runs side by side, or recipes trained with one switch turned."""

import argparse
import json
import shlex
import sys
from typing import Any

HELP = "two runs side by side, or a recipe with one switch turned, with paired tests"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="RUN|RECIPE",
        help="two run folders (differences are second minus first), or recipes to train anew",
    )  # fmt: skip
    parser.add_argument(
        "--switch",
        metavar="NAME",
        help="a setting of the recipe to turn: activation, optimizer, augmentation ...",
    )
    parser.add_argument(
        "--values", metavar="A,B", help="with --switch: its values (default: all it can name)"
    )
    parser.add_argument(
        "--budget-params", type=int, metavar="N", help="recipes with their width fitted to N parameters"
    )
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="NAME=VALUE", help="for every arm"
    )
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each arm (default: 3)")
    parser.add_argument("--processes", type=int, metavar="N", help="arms at a time (default: one a core)")
    parser.add_argument("--out", metavar="FILE", help="the page (default: beside the second run, or here)")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom import catalog

    recipes = [name in catalog.recipes() for name in args.names]
    if args.switch or args.budget_params is not None or any(recipes):
        found = arms(args)
    else:
        found = runs(args)
    if args.json:
        print(json.dumps(found))
        return 0
    if "summary" in found:
        sizes = set(found["parameters"].values())
        table(found, sized=len(sizes) > 1 or args.budget_params is not None)
    for name, values in found.get("differences", {}).items():
        print(f"{name:<36} {values[0]} -> {values[1]}")
    for test in found["tests"]:
        interval = f"[{test['low']:+.4f}, {test['high']:+.4f}]"
        chance = "p < 0.0001" if test["p_value"] < 1e-4 else f"p = {test['p_value']:.4f}"
        what = f"{test['metric']}, {test['a']} - {test['b']}" if "summary" in found else test["metric"]
        print(f"{what:<36} {test['difference']:+.4f} {interval}  {chance} ({test['method']})")
    if found.get("note"):
        print(found["note"])
    print(f"page  {found['page']}")
    return 0


def runs(args: argparse.Namespace) -> dict[str, Any]:
    from fathom.errors import InputError
    from fathom.verbs.compare import compare

    if len(args.names) != 2:
        raise InputError(
            f"compare was given {len(args.names)} run folder(s); name two, or a recipe with --switch"
        )
    return compare(*args.names, out=args.out)


def arms(args: argparse.Namespace) -> dict[str, Any]:
    from fathom.errors import InputError
    from fathom.verbs.arms import at_budget, switched
    from fathom.verbs.compare import compare_arms

    if args.switch:
        if len(args.names) > 1 or args.budget_params is not None:
            raise InputError("--switch turns one setting of one recipe: fathom compare RECIPE --switch NAME")
        values = [v for v in (args.values or "").split(",") if v]
        chosen = switched(args.names[0], args.switch, values, args.settings)
        title, file = f"{args.names[0]}: {args.switch}", f"compare-{args.names[0]}-{args.switch}.html"
    elif args.values:
        raise InputError("--values belong to a switch: fathom compare RECIPE --switch NAME --values A,B")
    elif args.budget_params is not None:
        if args.budget_params < 1:
            raise InputError(f"--budget-params {args.budget_params}: it must be 1 or more")
        chosen = {name: at_budget(name, args.budget_params, args.settings) for name in args.names}
        title = f"{' and '.join(args.names)} at {args.budget_params:,} parameters"
        file = f"compare-{'-'.join(args.names)}.html"
    else:
        if len(args.names) < 2:
            raise InputError(f"compare was given one recipe; name another, or a switch: fathom compare "
                             f"{args.names[0]} --switch optimizer")  # fmt: skip
        chosen = {name: (name, *args.settings) for name in args.names}
        title, file = " and ".join(args.names), f"compare-{'-'.join(args.names)}.html"
    return compare_arms(
        chosen,
        title=title,
        seeds=args.seeds,
        processes=args.processes,
        out=args.out or file.replace("/", "-"),
        command=command(args),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )


def command(args: argparse.Namespace) -> str:
    """The command that makes the same numbers."""
    words = ["fathom", "compare", *args.names]
    words += ["--switch", args.switch] if args.switch else []
    words += ["--values", args.values] if args.values else []
    words += ["--budget-params", str(args.budget_params)] if args.budget_params else []
    for text in args.settings:
        words += ["--set", text]
    return shlex.join([*words, "--seeds", str(args.seeds)])


def table(found: dict[str, Any], sized: bool) -> None:
    """Arms down, scores across, each with its interval over the seeds; ``sized``: parameters before them."""
    scores = list(
        dict.fromkeys(m for s in found["summary"].values() for m in s if "/" in m or m == "diverged")
    )
    if not any(s["diverged"]["mean"] for s in found["summary"].values() if "diverged" in s):
        scores = [m for m in scores if m != "diverged"]
    head = f"{'parameters':>14}" if sized else ""
    print(" " * 20 + head + "".join(f"{m:>30}" for m in scores))
    for arm, metrics in found["summary"].items():
        cells = []
        for name in scores:
            m = metrics.get(name)
            cells.append(f"{m['mean']:.4f} [{m['low']:.4f}, {m['high']:.4f}]" if m else "-")
        size = f"{found['parameters'][arm]:>14,}" if sized else ""
        print(f"{arm:<20}" + size + "".join(f"{cell:>30}" for cell in cells))
