"""``fathom generate RUN``: text or pictures from a generating model."""

import argparse
import base64
import sys
from pathlib import Path
from typing import Any

from fathom.cli.command import json_line
from fathom.errors import InputError

HELP = "text or pictures from a generating model"
WISHES = (
    "prompt", "length", "temperature", "top_k", "top_p", "min_p", "repetition_penalty", "beams", "contrast",
    "trace", "count", "seed",
)  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", help="a run folder or artifact folder")
    parser.add_argument(
        "--chat", metavar="FOLDER", help="talk with a LLaMA-family model: safetensors and tokenizer.json"
    )
    parser.add_argument("--system", help="with --chat: what the model is told before the conversation")
    parser.add_argument("--prompt", help="where a text begins; with --chat the only message")
    parser.add_argument("--length", type=int, help="tokens to write")
    parser.add_argument("--temperature", type=float, help="below 1 more careful, above 1 bolder; 0: no dice")
    parser.add_argument("--top-k", type=int, help="draw among so many of the likeliest tokens only")
    parser.add_argument(
        "--top-p", type=float, help="among the fewest that have this share of the probability"
    )
    parser.add_argument("--min-p", type=float, help="among those with this share of the likeliest one's")
    parser.add_argument("--repetition-penalty", type=float, help="above 1: less of what stands there already")
    parser.add_argument("--beams", type=int, help="search for the likeliest text with so many, without dice")
    parser.add_argument(
        "--contrast",
        type=float,
        help="of --top-k tokens (4) take the likely one that resembles the text least: 0 to 1, 0.6 is usual",
    )
    parser.add_argument(
        "--trace",
        type=int,
        nargs="?",
        const=5,
        metavar="TOKENS",
        help="show at each step the likeliest tokens (5) and their probabilities",
    )
    parser.add_argument("--count", type=int, help="pictures to draw")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--out", metavar="FOLDER", help="where pictures go (default: the run folder)")
    parser.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    if args.chat is not None:
        from fathom.cli.chat import chat

        return chat(args)
    if args.system is not None:
        raise InputError("--system goes with --chat FOLDER: a model that goes on with texts is told nothing")
    if args.run is None:
        raise InputError("name a run folder, or a model that talks with --chat FOLDER")
    from fathom.verbs.generate import generate

    given = {name: getattr(args, name) for name in WISHES if getattr(args, name) is not None}
    answer = generate(args.run, backend=args.backend, **given)
    if isinstance(answer.get("cut"), str):
        print(answer["cut"], file=sys.stderr)
    if args.json:
        print(json_line(answer, sys.stdout.encoding))
    elif "text" in answer:
        print(answer["text"])
        for line in traced(answer.get("trace", [])):
            print(line)
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


def traced(trace: list[dict[str, Any]]) -> list[str]:
    """A line for each token that was written, after a line of titles; none for no trace."""
    if not trace:
        return []
    lines = ["", f"{'step':>6}  {'token':8} {'model':>7} {'drawn':>7}  likeliest, as the model has them"]
    for step, one in enumerate(trace, 1):
        likely = "  ".join(f"{best['token']!r} {best['probability']:.3f}" for best in one["likeliest"])
        lines.append(f"{step:6}  {one['token']!r:8} {one['probability']:7.3f} {one['share']:7.3f}  {likely}")
    return lines
