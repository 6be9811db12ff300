"""``fathom export RUN``: the ONNX file, checked against the trained model."""

import argparse
import json

HELP = "write model.onnx and check that it equals the trained model"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder or artifact folder")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.export import export

    file = export(args.run)
    equality = json.loads((file.parent / "equality.json").read_text(encoding="utf-8"))
    if args.json:
        print(json.dumps({"file": str(file), **equality}))
    else:
        print(f"{file}\nlargest difference {equality['largest']:.2e} (allowed {equality['limit']:.0e})")
    return 0
