"""The command line: one small file for each verb, found by looking.

A file ``cli/<verb>.py`` has ``HELP`` (one line), ``arguments(parser)`` and ``run(args) -> exit code``.
It parses, calls the Python function of the same name in ``verbs/`` and prints. Exit codes: 0 done,
1 failed, 2 bad usage or input, 130 and 143 stopped by Ctrl-C or SIGTERM after saving.
"""

import argparse
import ast
import difflib
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fathom.errors import InputError, RunError

HERE = Path(__file__).parent


class Parser(argparse.ArgumentParser):
    """Errors with the nearest words, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}", file=sys.stderr)
        print(f"see: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        args = parser(given).parse_args(given)
        return int(load(args.verb).run(args))
    except SystemExit as stop:
        return int(stop.code or 0)
    except InputError as error:
        print(f"fathom: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"fathom: {error}", file=sys.stderr)
        return 128 + getattr(error, "signal", 0) if getattr(error, "signal", 0) else 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130


def parser(given: Sequence[str]) -> Parser:
    """The parser; only the file of the verb that was given is imported."""
    top = Parser(prog="fathom", description="Deep learning that runs: train, fit, check, explain and serve.")
    top.add_argument(
        "--version", action="version", version=f"fathom {importlib.metadata.version('fathom-dl')}"
    )
    chosen = next((word for word in given if not word.startswith("-")), None)
    known = verbs()
    if chosen is not None and chosen not in known:
        near = difflib.get_close_matches(chosen, known, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
        raise InputError(f"there is no command {chosen!r}; {hint}")
    commands = top.add_subparsers(dest="verb", metavar="command", required=True)
    for verb, text in known.items():
        sub = commands.add_parser(verb, help=text, description=text, allow_abbrev=False)
        if verb == chosen:
            load(verb).arguments(sub)
    return top


def verbs() -> dict[str, str]:
    """Every verb with its line of help, read without importing anything."""
    found: dict[str, str] = {}
    for file in sorted(HERE.glob("[a-z]*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HELP":
                found[file.stem.rstrip("_")] = ast.literal_eval(node.value)
    return found


def load(verb: str) -> Any:
    """The file of a verb; a word that Python keeps for itself carries an underscore behind it."""
    file = verb if (HERE / f"{verb}.py").is_file() else f"{verb}_"
    return importlib.import_module(f"fathom.cli.{file}")


def running_options(parser: argparse.ArgumentParser) -> None:
    """Options of every verb that computes."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="processor threads (default: torch's choice)"
    )


def pairs(listed: Sequence[str]) -> list[tuple[str, str]]:
    """``--set name=value`` as pairs."""
    found: list[tuple[str, str]] = []
    for text in listed:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"--set {text}: write it as name=value, for example --set steps=300")
        found.append((name, value))
    return found


def json_line(value: Any, encoding: str | None) -> str:
    """``value`` as JSON, with every letter as it is written where ``encoding`` has it."""
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):  # also the name of a file that is no text at all
        return json.dumps(value)
    return line


def entry() -> Any:
    """The console script."""
    raise SystemExit(main())
