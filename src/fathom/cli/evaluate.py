"""``fathom evaluate RUN DATA``: metrics with intervals on new labelled data."""

import argparse
import json

HELP = "score a trained model on new labelled data"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder or artifact folder")
    parser.add_argument("data", help="labelled data, laid out as the training data was")
    parser.add_argument("--target", metavar="COLUMN")
    parser.add_argument("--text", metavar="COLUMN")
    parser.add_argument("--skip-bad", action="store_true")
    parser.add_argument("--raw", action="store_true", help="leave out the temperature of explain calibration")
    parser.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.evaluate import evaluate

    found = evaluate(
        args.run, args.data, target=args.target, text=args.text, skip_bad=args.skip_bad, backend=args.backend,
        calibrated=not args.raw,
    )  # fmt: skip
    if args.json:
        print(json.dumps(found))
        return 0
    warmth = found["temperature"]
    print(f"{found['items']} items" + (f", calibrated with temperature {warmth:.3g}" if warmth else ""))
    for name, value in found["metrics"].items():
        low, high = found["intervals"].get(name, (None, None))
        print(f"{name:<24} {value:.4f}" + (f"  [{low:.4f}, {high:.4f}]" if low is not None else ""))
    return 0
