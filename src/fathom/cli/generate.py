"""``fathom generate RUN``: text or pictures from a generating model."""

import argparse
import base64
import json
import sys
from pathlib import Path

from fathom.errors import InputError

HELP = "text or pictures from a generating model"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder or artifact folder")
    parser.add_argument("--prompt", help="where a text begins")
    parser.add_argument("--length", type=int, help="tokens to write")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--top-k", type=int, dest="top_k")
    parser.add_argument("--count", type=int, help="pictures to draw")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", metavar="FOLDER", help="where pictures go (default: the run folder)")
    parser.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom.verbs.generate import generate

    names = ("prompt", "length", "temperature", "top_k", "count", "seed")
    given = {n: getattr(args, n) for n in names if getattr(args, n) is not None}
    answer = generate(args.run, backend=args.backend, **given)
    if args.json:
        print(json.dumps(answer))
    elif "text" in answer:
        print(answer["text"])
    elif "images" in answer:
        folder = Path(args.out or args.run)
        folder.mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(answer["images"]):
            file = folder / f"generated-{i:03d}.png"
            file.write_bytes(base64.b64decode(image))
            print(file)
    else:
        raise InputError(
            f"this model answers {', '.join(answer)}; ask it with: fathom predict {args.run} ..."
        )
    sys.stdout.flush()
    return 0
