"""``fathom list``: systems and recipes, claims, or the runs in this folder."""

import argparse
import contextlib
import json
import sys
from pathlib import Path

from fathom.errors import InputError

HELP = "systems and recipes of the catalogue, its claims, or the runs here"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", nargs="?", const="runs", metavar="FOLDER", help="runs in FOLDER (default: runs)"
    )
    parser.add_argument(
        "--prune", action="store_true", help="with --runs: delete checkpoints of finished runs"
    )
    parser.add_argument("--claims", action="store_true", help="what lessons say, and whether it held")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(args: argparse.Namespace) -> int:
    if args.runs is not None:
        return list_runs(Path(args.runs), args.prune, args.json)
    if args.prune:
        raise InputError("--prune deletes checkpoints of runs; write: fathom list --runs --prune")
    if args.claims:
        return list_claims(args.json)
    from fathom import catalog

    recipes: dict[str, list[str]] = {}
    for recipe in catalog.recipes().values():
        recipes.setdefault(recipe.system, []).append(recipe.name)
    part = ""
    for entry in sorted(catalog.systems().values(), key=lambda e: (e.module, e.name)):
        row = {
            "name": entry.name, "title": entry.card.title, "year": entry.card.year, "part": entry.part,
            "recipes": recipes.get(entry.name, []), "summary": entry.card.summary,
        }  # fmt: skip
        if args.json:
            print(json.dumps(row))
            continue
        if entry.part != part:
            part = entry.part
            print(f"\n{part}" if part else part)
        print(f"  {entry.name:<16} {entry.card.year}  {entry.card.title:<34} {', '.join(row['recipes'])}")
    if not args.json:
        print("\nfathom show NAME tells about one, fathom train RECIPE runs it")
    return 0


def list_claims(as_json: bool) -> int:
    """Each sentence, and whether its record held, did not, or is still to be made."""
    from fathom import catalog, evidence

    kept = evidence.claims()
    for name, entry in catalog.claims().items():
        met = kept[name]["met"] if name in kept else None
        if as_json:
            said = {"name": name, "sentence": entry.claim.sentence, "rows": entry.claim.rows, "met": met}
            print(json.dumps(said))
            continue
        word = {True: "held", False: "did NOT hold", None: "not measured"}[met]
        print(f"{name:<36} {word:<13} {entry.claim.sentence}")
    return 0


def list_runs(root: Path, prune: bool, as_json: bool) -> int:
    """Recipe, date, headline, size and state of each run; ``prune`` frees the space of checkpoints."""
    import shutil

    from fathom.training.run import every_run

    runs = every_run(root)
    if not runs:
        print(f"there are no runs in {root}", file=sys.stderr)
    for found in runs:
        try:
            record = found.record
        except InputError as error:  # one that is damaged does not hide the others
            print(f"left out: {error}", file=sys.stderr)
            continue
        finished = record["state"] == "finished"
        if prune and finished and found.checkpoints.is_dir():
            shutil.rmtree(found.checkpoints)
        metrics = found.metrics
        name = next((n for n in metrics if n.startswith("test/")), next(iter(metrics), None))
        size = size_of(found.folder)
        row = {
            "run": str(found.folder), "recipe": record["name"], "started": record["started"],
            "metric": name, "value": metrics.get(name) if name else None, "bytes": size,
            "state": "finished" if finished else f"{record['state']}, resumable",
        }  # fmt: skip
        if as_json:
            print(json.dumps(row))
        else:
            value = f"{name} {metrics[name]:.4f}" if name else "-"
            what = f"{row['run']:<48} {record['name']:<18} {record['started'][:16]}"
            print(f"{what} {value:<24} {size / 2**20:8.1f} MiB  {row['state']}")
    return 0


def size_of(folder: Path) -> int:
    """Bytes of all files; a run that is going on may remove some meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total
