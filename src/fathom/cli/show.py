"""``fathom show NAME``: what is known about one system, primitive, recipe or claim."""

import argparse
import json

from fathom.errors import InputError, unknown

HELP = "one system: idea, paper, file, recipes, what was measured"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a system, a primitive, a recipe or a claim")
    parser.add_argument(
        "--page", metavar="FILE", help="of a claim: promises, pictures, table and plots, as a page"
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    import dataclasses

    from fathom import catalog

    if args.name in catalog.claims():
        return show_claim(args)
    if args.page:
        raise InputError(f"--page draws what was measured of a claim; {args.name!r} is none")
    entries, recipes = catalog.entries(), catalog.recipes()
    name = args.name if args.name in entries else recipes[args.name].system if args.name in recipes else None
    if name not in entries:
        raise unknown(
            "system, primitive, recipe or claim", args.name, {*entries, *recipes, *catalog.claims()}
        )
    entry = entries[name]
    own = {r.name: r.summary for r in recipes.values() if r.system == name}
    if args.json:
        about = dataclasses.asdict(entry.card) | {"name": name, "file": str(entry.path), "lines": entry.lines}
        print(json.dumps(about | {"recipes": own}))
        return 0
    card = entry.card
    print(f"{card.title} ({card.year})\n{card.summary}\n\npaper     {card.paper}")
    print(f"file      {entry.path} ({entry.lines} lines)\nrows      {', '.join(card.rows) or '-'}")
    print(f"equal to  {card.oracle or '-'}")
    for line in card.differs:
        print(f"differs   {line}")
    for test, reason in card.exempt.items():
        print(f"exempt    {test}: {reason}")
    for recipe, summary in own.items():
        print(f"recipe    {recipe}: {summary}")
    return 0


def show_claim(args: argparse.Namespace) -> int:
    """What is claimed, by which experiment, and what was seen."""
    from pathlib import Path

    from fathom import catalog, evidence

    entry, record = catalog.claim(args.name), evidence.claims().get(args.name)
    claim = entry.claim
    if args.page:
        from fathom.verbs.claim_page import write_claim

        write_claim(args.name, Path(args.page))
        print(f"page  {args.page}")
        return 0
    if args.json:
        print(json.dumps({"name": args.name, "file": str(entry.path), "record": record} | vars(claim)))
        return 0
    print(f"{claim.sentence}\n\nsource    {claim.source}\nfile      {entry.path}")
    print(f"rows      {', '.join(claim.rows)}")
    for arm, settings in claim.arms.items():
        print(f"arm       {arm}: {' '.join(settings)}")
    for line in claim.differs:
        print(f"differs   {line}")
    for i, text in enumerate(claim.expect):
        seen = record["expect"][i] if record else None
        word = "not measured" if seen is None else "held" if seen["met"] else "did NOT hold"
        mean = ""
        if seen and seen["mean"] is not None:
            mean = f" {seen['mean']:.4f} [{seen['low']:.4f}, {seen['high']:.4f}]"
        print(f"promise   {text}:{mean} {word}")
    return 0
