"""Settings by name: what an unknown one is answered with."""

from dataclasses import dataclass, field

import pytest

from fathom.errors import InputError
from fathom.settings import complete, override


@dataclass(frozen=True, kw_only=True)
class Part:
    seed: int = 0
    width: int = 4


@dataclass(frozen=True, kw_only=True)
class Whole:
    seeds: int = 3
    sees: bool = False
    part: Part = field(default_factory=Part)
    other: Part = field(default_factory=Part)


def message(path: str) -> str:
    with pytest.raises(InputError) as refused:
        complete(Whole(), path)
    return str(refused.value)


def test_a_name_is_proposed_once() -> None:
    """At the top the whole name and its last part are the same word, and groups share names of settings."""
    assert message("sed") == "there is no setting 'sed'; did you mean 'seed' or 'seeds' or 'sees'?"
    assert message("widht").endswith("did you mean 'width' or 'part.width' or 'other.width'?")
    assert message("part.widht").startswith("there is no setting 'part.widht'; did you mean 'part.width' or")


def test_where_nothing_is_near_every_name_is_listed_once() -> None:
    listed = message("qqqq").partition("known: ")[2].split(", ")
    assert listed == sorted(set(listed))
    assert {"seeds", "part.seed", "other.seed", "seed"} <= set(listed)


def test_a_name_that_stands_twice_is_refused_with_both_places() -> None:
    assert message("width") == "setting 'width' is not unique; choose one of part.width, other.width"
    assert override(Whole(), "other.width", "9").other.width == 9
