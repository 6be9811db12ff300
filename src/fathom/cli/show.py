"""``fathom show NAME``: what is known about one system, primitive, published size, recipe or claim."""

import argparse
import json
from typing import TYPE_CHECKING

from fathom.errors import InputError, unknown

if TYPE_CHECKING:
    from fathom.catalog import Entry

HELP = "one system: idea, paper, file, recipes, published sizes and weights, what was measured"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", help="a system, a primitive, a published size such as resnet50, a recipe or a claim"
    )
    parser.add_argument(
        "--page", metavar="FILE", help="of a claim: promises, pictures, table and plots, as a page"
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from fathom import catalog

    if args.name in catalog.claims():
        return show_claim(args)
    if args.page:
        raise InputError(f"--page draws what was measured of a claim; {args.name!r} is none")
    return show_entry(args)


def show_entry(args: argparse.Namespace) -> int:
    """A system or primitive, also by the name of a recipe or of a published size."""
    import dataclasses

    from fathom import catalog
    from fathom.verbs.published_sizes import sizes, sizes_of, told, told_whole

    entries, recipes = catalog.entries(), catalog.recipes()
    name, size = args.name, None
    if name not in entries and name in recipes:
        name = recipes[name].system
    elif name not in entries and name in sizes():
        size = sizes()[name]
        name = size.system
    if name not in entries:
        known = {*entries, *recipes, *sizes(), *catalog.claims()}
        raise unknown("system, primitive, size, recipe or claim", args.name, known)
    entry = entries[name]
    own = {r.name: r.summary for r in recipes.values() if r.system == name}
    published = sizes_of(entry) if name in catalog.systems() else []
    if args.json:
        about = dataclasses.asdict(entry.card) | {"name": name, "file": str(entry.path), "lines": entry.lines}
        told_sizes = {s.name: {"summary": s.summary, "weights": s.weights} for s in published}
        print(json.dumps(about | {"recipes": own, "size": size and size.name, "sizes": told_sizes}))
        return 0
    if size:
        print(f"{size.name} is a size of {name}; all of them: fathom show {name}\n")
    print("\n".join(about_entry(entry)))
    for recipe, summary in own.items():
        print(f"recipe    {recipe}: {summary}")
    for one in [size] if size else published:
        print("\n".join(told_whole(one) if one.name in (args.name, name) else told(one)))
    return 0


def about_entry(entry: "Entry") -> list[str]:
    """What a card says."""
    card = entry.card
    return [
        f"{card.title} ({card.year})", card.summary, "", f"paper     {card.paper}",
        f"file      {entry.path} ({entry.lines} lines)", f"rows      {', '.join(card.rows) or '-'}",
        f"equal to  {card.oracle or '-'}", *(f"differs   {line}" for line in card.differs),
        *(f"exempt    {test}: {reason}" for test, reason in card.exempt.items()),
    ]  # fmt: skip


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
