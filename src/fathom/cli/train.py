"""``fathom train NAME``: reproduce a recipe, or go on with a run."""

import argparse
import json
import sys

from fathom.cli.command import pairs, running_options
from fathom.errors import InputError, refuse_code

HELP = "train a recipe of the catalogue, or resume a run"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="a recipe (fathom list), or module:function of your own")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    parser.add_argument(
        "--out",
        metavar="PLACE",
        help="the run folder (default: runs/<time>-<recipe>); with --find-lr the picture, .svg or .png",
    )
    parser.add_argument(
        "--loss", metavar="FUNCTION", help="module:function of your own, (output, target) -> loss"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with this run folder")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--find-lr", action="store_true", help="try 100 learning rates, suggest one, and keep nothing"
    )
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard files")
    parser.add_argument("--no-export", action="store_true", help="make no model.onnx")
    parser.add_argument(
        "--json", action="store_true", help="end with one line of JSON, and print nothing else"
    )
    running_options(parser)


def run(args: argparse.Namespace) -> int:
    if bool(args.recipe) == bool(args.resume) and not (args.recipe and ":" in args.recipe):
        raise InputError("give a recipe to train or --resume RUN; fathom list shows the recipes")
    if args.resume and (args.settings or args.out or args.seed is not None or args.tensorboard):
        raise InputError(
            "--resume goes on with the run as it is: --set, --out, --seed and --tensorboard belong to a new"
            " run"
        )
    if args.find_lr:
        return find_rate(args)
    from fathom.cli.progress import Progress
    from fathom.verbs import train as verb
    from fathom.verbs.own_loss import named_loss

    for place in (args.recipe, args.resume):
        refuse_code(place)
    if args.recipe and ":" not in args.recipe:
        verb.describe(args.recipe, [])  # an unknown name is refused before torch is imported
    loss = named_loss(args.loss) if args.loss else None
    show = Progress(quiet=args.json)
    common = {
        "loss": loss,
        "device": args.device, "threads": args.threads, "observers": [show], "export": not args.no_export,
        "say": (lambda text: None) if args.json else (lambda text: print(text, file=sys.stderr)),
    }  # fmt: skip
    try:
        if args.resume:
            own = verb.load_function(args.recipe)() if args.recipe else None
            done = verb.resume(args.resume, experiment=own, **common)
        else:
            done = verb.train(
                args.recipe, settings=pairs(args.settings), out=args.out, seed=args.seed,
                tensorboard=args.tensorboard, **common,
            )  # fmt: skip
    finally:
        show.close()
    announce(done, args.json)
    return 0


def find_rate(args: argparse.Namespace) -> int:
    """The range test: the curve as a table or a picture, and the command that uses what it suggests."""
    if args.resume or args.tensorboard or args.no_export or args.loss:
        raise InputError(
            "--find-lr tries a recipe out: --resume, --tensorboard, --no-export and --loss belong to a"
            " training run"
        )
    if args.out and not args.out.endswith((".svg", ".png")):
        raise InputError(f"--find-lr draws a picture: end --out {args.out} in .svg or .png")
    refuse_code(args.recipe)
    from fathom.verbs.find_rate import find_rate as verb

    found = verb(
        args.recipe, settings=pairs(args.settings), seed=args.seed, device=args.device, threads=args.threads
    )
    if args.out:
        found.draw(args.out)
    if args.json:
        told = {"suggestion": found.suggestion, "ended": found.ended, "rates": found.rates}
        print(json.dumps(told | {"losses": found.losses, "smooth": found.smooth}))
    else:
        print(f"{found.table()}\nended         {found.ended}")
        print(f"picture       {args.out}\n" if args.out else "", end="")
        if found.suggestion is not None:
            print(f"suggestion    {found.suggestion:.2g}")
            print(f"next          fathom train {args.recipe} --set learning_rate={found.suggestion:.2g}")
    if found.suggestion is None:
        print("fathom: the loss never fell, so no learning rate is suggested", file=sys.stderr)
    return 0 if found.suggestion is not None else 1


def announce(done: object, as_json: bool) -> None:
    """The last line of a run: JSON, or where everything is and what to type next."""
    from fathom.training.run import Run
    from fathom.verbs.train import leads

    assert isinstance(done, Run)
    if not leads():  # of several processes one speaks; its result may not be written yet
        return
    result = done.result
    if as_json:
        line = {
            "run": str(done.folder), "metrics": result["metrics"], "seconds": round(result["seconds"], 3),
            "digest": result["digest"],
        }  # fmt: skip
        print(json.dumps(line))
        return
    for name, value in result["metrics"].items():
        low, high = result.get("intervals", {}).get(name, (None, None))
        interval = f"  [{low:.4f}, {high:.4f}]" if low is not None else ""
        print(f"{name:<24} {value:.4f}{interval}")
    print(f"{'training':<24} {result['seconds']:.1f} s")
    print(f"run     {done.folder}\nreport  {done.report}\nmodel   {done.model}")
    print(f"next    fathom serve {done.folder}")
