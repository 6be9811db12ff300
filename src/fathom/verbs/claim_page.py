"""The page of a claim: what was promised and seen, its picture where it has one, and every number."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom import catalog, evidence
from fathom.errors import InputError
from fathom.verbs.compare import write_arms

if TYPE_CHECKING:
    from fathom.report.markup import Block

DRAWN = 0  # the seed whose picture is shown


def write_claim(name: str, page: Path) -> None:
    """Write the page of the claim ``name`` from its record; a picture is drawn anew, with the first seed.

    Raises ``InputError`` for a claim of which nothing was measured, or whose record lacks what its picture
    needs, since it is older.
    """
    from fathom.report.page import Section

    entry, record = catalog.claim(name), evidence.claims().get(name)
    if record is None:
        raise InputError(f"nothing was measured of {name} yet; first: fathom verify {name}")
    blocks = picture(entry, record)
    sections = [Section("What was promised", verdicts(record), f"Source: {entry.claim.source}.")]
    if blocks:
        sections.append(Section("Picture", blocks, f"Of {record['seeds']} seeds the first, drawn anew."))
    write_arms(page, record | {"title": entry.claim.sentence}, sections)


def picture(entry: catalog.ClaimEntry, record: Mapping[str, Any]) -> "list[Block]":
    """What the file of the claim draws; nothing where it draws nothing."""
    draw = getattr(entry.load(), "picture", None)
    if draw is None:
        return []
    found = {arm: runs[DRAWN] for arm, runs in record["runs"].items()}
    try:
        return draw(DRAWN, found)
    except KeyError as error:
        raise InputError(
            f"the record of {entry.name} has no {error}, which its picture needs: the claim has changed;"
            f" measure anew: fathom verify {entry.name}"
        ) from error


def verdicts(record: Mapping[str, Any]) -> "list[Block]":
    """Each promise with what was seen of it."""
    from fathom.report.blocks import Verdict
    from fathom.report.markup import number

    made: list[Block] = []
    for seen in record["expect"]:
        text = f"`{seen['text']}`"
        if seen["mean"] is not None:
            ends = f"[{number(seen['low'])}, {number(seen['high'])}]"
            text += f": {number(seen['mean'])} {ends} over {record['seeds']} seeds."
        else:
            text += f": {seen['why']}."
        made.append(Verdict(text, bool(seen["met"])))
    return made
