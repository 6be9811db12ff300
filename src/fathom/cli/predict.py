"""``fathom predict RUN FILES...``: one JSON object for each input, also where it could not be read."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fathom.cli.command import json_line
from fathom.errors import InputError, refuse_code

HELP = "answers of a trained model for files, folders, tables or text"
SKIP = (
    "an item that cannot be read is named with the reason on stderr, its line holds an error in place of an"
    " answer, the others are answered, and the exit code is 2; with this it is 0, unless none could be read,"
    " and lines of a table that are no rows are left out"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run folder or artifact folder")
    parser.add_argument(
        "inputs", nargs="*",
        help="pictures, folders, .csv, .jsonl or .txt files; of a folder of pictures other files are passed"
        " over, and counted",
    )  # fmt: skip
    parser.add_argument("--text", action="append", default=[], help="a text given on the command line")
    parser.add_argument("--json-item", action="append", default=[], metavar="JSON", help="an item as JSON")
    parser.add_argument("--out", metavar="FILE", help="write here instead: .jsonl, or .csv for a table")
    parser.add_argument("--skip-bad", action="store_true", help=SKIP)
    parser.add_argument("--raw", action="store_true", help="leave out the temperature of explain calibration")
    parser.add_argument("--backend", choices=("auto", "torch", "onnx"), default="auto")


def run(args: argparse.Namespace) -> int:
    from fathom.deployment.artifact import describe, find, open_artifact
    from fathom.verbs import predict as verb

    folder = find(Path(args.run))  # what cannot be a model is said before anything is read
    items = given(args, describe(folder)["preprocessing"])
    artifact = open_artifact(Path(args.run), args.backend, calibrated=not args.raw)
    if artifact.temperature:
        tell(f"{artifact.temperature}; without it: --raw")
    answers = verb.predict(
        artifact, [item for _, item in items], skip_bad=True, calibrated=not args.raw
    )  # one that cannot be read takes no answer from the others
    rows = [{"input": name, **answer} for (name, _), answer in zip(items, answers, strict=True)]
    bad = [row for row in rows if set(row) == {"input", "error"}]
    for row in bad:
        tell(f"fathom: {row['input']}: {row['error']}")
    write(rows, args.out)
    if bad and len(rows) > 1:
        tell(
            f"fathom: {len(bad)} of {len(rows)} items could not be read; {len(rows) - len(bad)} are answered"
        )
    return 2 if bad and (len(bad) == len(rows) or not args.skip_bad) else 0


def given(args: argparse.Namespace, operations: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """(name, item) of everything on the command line."""
    from fathom.verbs import predict as verb

    for place in args.inputs:
        refuse_code(place)
    how = {"pictures": verb.takes_pictures(operations), "skip_bad": args.skip_bad, "say": tell}
    texts = verb.texts_of(operations)
    items = [pair for place in args.inputs for pair in verb.items_of(Path(place), texts, **how)]
    items += [(f"text {i + 1}", text) for i, text in enumerate(args.text)]
    items += [(f"item {i + 1}", parse(text)) for i, text in enumerate(args.json_item)]
    if not items:
        raise InputError("give files, a folder, a table, --text or --json-item to predict")
    return items


def tell(line: str) -> None:
    print(line, file=sys.stderr)


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
        handle.write(json_line(row, handle.encoding) + "\n")
    if out:
        handle.close()


def flatten(row: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str | int | float) else json_line(value, "utf-8")
    return flat
