"""Controls that are filled by hand, as fields of a form; and what the fields hold, as settings.

They work as the others do: without a script they are sent with the form, and with one each change is drawn.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fathom.learn.engine.figure import FigureHead, Typed

Query = Mapping[str, str]


def field(head: FigureHead, name: str, value: Any) -> str:
    """The fields of a control of this kind."""
    made = head.controls[name]
    assert isinstance(made, Typed)
    key = f"{head.name}.{name}"
    chosen = f"{head.name}.{made.chooses[0]}={made.chooses[1]}" if made.chooses[0] else ""
    told = f' data-chooses="{escape(chosen)}"' if chosen else ""
    return (
        f'<label class="broad"{told}>{escape(made.label)} <input type="text" name="{key}"'
        f' maxlength="{made.longest}" value="{escape(value)}" autocomplete="off" spellcheck="false"></label>'
    )


def given(made: Typed, key: str, query: Query) -> Any:
    """What the fields of a control hold; None where they were not sent."""
    return query.get(key)


def sent(made: Typed, key: str, value: Any) -> Iterator[tuple[str, str]]:
    """The fields that give this value."""
    yield key, value
