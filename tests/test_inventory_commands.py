"""Commands in the cells of the inventory: the parser takes them, and what they name is there."""

import re
import shlex

import pytest

from fathom import catalog
from fathom.cli import command
from fathom.learn.engine import curriculum

WRITTEN = re.compile(r"`fathom ([^`]+)`")
COMMANDS = [
    pytest.param(row.id, text, id=f"{row.id}: {text}")
    for row in catalog.inventory().values()
    for cell in (row.item, row.works, row.compare)
    for text in WRITTEN.findall(cell)
]
WITH_A_FILE = {
    *(row for entry in catalog.entries().values() for row in entry.card.rows),
    *(row for entry in catalog.claims().values() for row in entry.claim.rows),
    *catalog.curriculum(),
}


def accepted(words: list[str]) -> dict[str, object]:
    """What the parser makes of a command; none of a verb alone, which is only named."""
    if len(words) == 1:
        assert words[0] in command.verbs()
        return {}
    return vars(command.parser(words).parse_args(words))


def unknown(words: list[str]) -> list[str]:
    """Recipes and topics that a command names and that are not there; capitals stand for any name."""
    given = accepted(words)
    recipes = {"train": [given.get("recipe")], "compare": given.get("names")}.get(words[0])
    topics = [given.get("name")] if words[0] == "learn" else None
    named = [(str(n), catalog.recipes()) for n in as_list(recipes)]
    named += [(str(n), curriculum.heads()) for n in as_list(topics)]
    return [name for name, known in named if name not in known and not name.isupper()]


def as_list(found: object) -> list[object]:
    """Lists in lists made one, without what was not given."""
    if not isinstance(found, list):
        return [] if found is None else [found]
    return [one for part in found for one in as_list(part)]


@pytest.mark.parametrize(("row", "text"), COMMANDS)
def test_commands_of_the_inventory_can_be_given(row: str, text: str) -> None:
    """Of every row that has a file; others tell of what is to come, and name it as it can be named."""
    words = shlex.split(text)
    if row in WITH_A_FILE:
        assert unknown(words) == []
    elif words[0] in ("train", "pretrain"):  # a recipe is a function
        assert words[1].isidentifier()


def test_what_does_not_exist_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert unknown(["train", "gcn-cora"]) == ["gcn-cora"] and unknown(["train", "RECIPE"]) == []
    assert unknown(["compare", "mnist", "nist", "--budget-params", "26000"]) == ["nist"]
    assert unknown(["learn", "next", "math/eigen"]) == ["math/eigen"]
    with pytest.raises(SystemExit):
        accepted(["fit", "reviews.csv", "--text", "text", "--label", "y"])
    assert "--label" in capsys.readouterr().err
