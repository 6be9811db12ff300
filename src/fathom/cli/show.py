"""``fathom show NAME``: what is known about one system, primitive or recipe."""

import argparse
import json

from fathom.errors import unknown

HELP = "one system: idea, paper, file, recipes, what was measured"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a system, a primitive or a recipe")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    import dataclasses

    from fathom import catalog

    entries, recipes = catalog.entries(), catalog.recipes()
    name = args.name if args.name in entries else recipes[args.name].system if args.name in recipes else None
    if name not in entries:
        raise unknown("system, primitive or recipe", args.name, {**entries, **recipes})
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
