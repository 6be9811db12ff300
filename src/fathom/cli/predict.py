"""``fathom predict RUN FILES...``: one JSON object for each input."""

import argparse
import json
import sys
from pathlib import Path

from fathom.errors import InputError, refuse_code

HELP = "answers of a trained model for files, folders, tables or text"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder or artifact folder")
    parser.add_argument("inputs", nargs="*", help="pictures, folders, .csv, .jsonl or .txt files")
    parser.add_argument("--text", action="append", default=[], help="a text given on the command line")
    parser.add_argument("--json-item", action="append", default=[], metavar="JSON", help="an item as JSON")
    parser.add_argument("--out", metavar="FILE", help="write here instead: .jsonl, or .csv for a table")
    parser.add_argument("--skip-bad", action="store_true", help="name what cannot be read, and go on")
    parser.add_argument("--raw", action="store_true", help="leave out the temperature of explain calibration")
    parser.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")


def run(args: argparse.Namespace) -> int:
    from fathom.deployment.artifact import describe, find, open_artifact
    from fathom.verbs import predict as verb

    folder = find(Path(args.run))  # what cannot be a model is said before anything is read
    texts = verb.texts_of(describe(folder)["preprocessing"])
    for place in args.inputs:
        refuse_code(place)
    items = [pair for place in args.inputs for pair in verb.items_of(Path(place), texts)]
    items += [(f"text {i + 1}", text) for i, text in enumerate(args.text)]
    items += [(f"item {i + 1}", parse(text)) for i, text in enumerate(args.json_item)]
    if not items:
        raise InputError("give files, a folder, a table, --text or --json-item to predict")
    artifact = open_artifact(Path(args.run), args.backend, calibrated=not args.raw)
    if artifact.temperature:
        print(f"{artifact.temperature}; without it: --raw", file=sys.stderr)
    answers = verb.predict(
        artifact, [item for _, item in items], skip_bad=args.skip_bad, calibrated=not args.raw
    )
    rows = [{"input": name, **answer} for (name, _), answer in zip(items, answers, strict=True)]
    write(rows, args.out)
    return 0


def parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"--json-item {text}: {error}") from error


def write(rows: list[dict[str, object]], out: str | None) -> None:
    """JSON lines, or CSV with nested answers flattened (``probabilities.cat``)."""
    if out is not None and out.endswith(".csv"):
        import csv

        flat = [flatten(row) for row in rows]
        names = list(dict.fromkeys(n for row in flat for n in row))
        with open(out, "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, names)
            writer.writeheader()
            writer.writerows(flat)
        return
    handle = open(out, "w", encoding="utf-8") if out else sys.stdout
    for row in rows:
        handle.write(json.dumps(row) + "\n")
    if out:
        handle.close()


def flatten(row: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str | int | float) else json.dumps(value)
    return flat
