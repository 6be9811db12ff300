"""Controls that are filled by hand, as fields of a form; and what the fields hold, as settings.

They work as the others do: without a script they are sent with the form, and with one each change is drawn.
A drawing and a table need a script; without it what they begin with stays.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fathom.errors import InputError
from fathom.learn.engine.figure import Drawing, FigureHead, Numbers, Table, Text, Typed
from fathom.learn.engine.table import LONGEST, MOST
from fathom.learn.engine.typed import place

Query = Mapping[str, str]


def field(head: FigureHead, name: str, value: Any) -> str:
    """The fields of a control of this kind."""
    made = head.controls[name]
    assert isinstance(made, Typed)
    key = f"{head.name}.{name}"
    chosen = f"{head.name}.{made.chooses[0]}={made.chooses[1]}"
    told = f' data-chooses="{escape(chosen)}"' if made.chooses[0] else ""
    if isinstance(made, Text):
        return (
            f'<label class="broad"{told}>{escape(made.label)} <input type="text" name="{key}"'
            f' maxlength="{made.longest}" value="{escape(value)}" autocomplete="off" spellcheck="false">'
            "</label>"
        )
    if isinstance(made, Table):
        return paste(made, key, value, told)
    inside = grid(made, key, value) if isinstance(made, Numbers) else canvas(made, key, value)
    label = escape(made.label)
    return f'<fieldset class="grid" aria-label="{label}"{told}><legend>{label}</legend>{inside}</fieldset>'


def grid(made: Numbers, key: str, value: Any) -> str:
    """A field for each number. Keys go up and down by one; any number of the range can be typed."""
    ends = f'min="{made.low:g}" max="{made.high:g}" step="any"'
    rows = (
        "".join(
            f'<input type="number" name="{key}.{r}.{c}" {ends} value="{number:g}"'
            f' aria-label="{escape(made.label)}, {place(r, c)}">'
            for c, number in enumerate(row)
        )
        for r, row in enumerate(value)
    )
    return "".join(f"<div>{row}</div>" for row in rows)


def paste(made: Table, key: str, value: Any, told: str) -> str:
    """A field for the text, and a file that fills it. Both wait for a script: sent by the form, the table
    would stand in the address.
    """
    label = escape(made.label)
    return (
        f'<fieldset class="broad table" aria-label="{label}" data-private{told}><legend>{label}</legend>'
        f"<p>Two numbers and one of two classes on each line: at most {MOST} rows and {LONGEST // 1024} KiB."
        " It stays on this machine, and is not stored.</p>"
        f'<label>A file <input type="file" accept=".csv,.tsv,.txt,text/*" data-most="{LONGEST}" disabled>'
        f'</label><label>or its text <textarea name="{key}" rows="4" spellcheck="false" disabled>'
        f"\n{escape(value)}</textarea></label>"
        "<noscript>Your own table needs a script; this is an example of one.</noscript></fieldset>"
    )


def canvas(made: Drawing, key: str, value: Any) -> str:
    """The cells are made by the script of this element, of what the hidden field holds."""
    return (
        f'<learn-drawing data-label="{escape(made.label)}">'
        f'<input type="hidden" name="{key}" value="{"-".join(value)}"></learn-drawing>'
        "<noscript>Drawing needs a script; this is the picture to begin with.</noscript>"
    )


def given(made: Typed, key: str, query: Query) -> Any:
    """What the fields of a control hold; None where they were not sent."""
    if isinstance(made, Numbers):
        names = [[f"{key}.{r}.{c}" for c in range(made.size[1])] for r in range(made.size[0])]
        if not any(name in query for row in names for name in row):
            return None
        return [
            [one(query, name, f"{made.label}, {place(r, c)}") for c, name in enumerate(row)]
            for r, row in enumerate(names)
        ]
    if isinstance(made, Drawing) and key in query:
        return query[key][: made.side * (made.side + 1)].split("-")  # a sign too many is still seen
    return query.get(key)


def one(query: Query, name: str, label: str) -> float:
    written = query.get(name, "").strip()
    try:
        return float(written[:40])
    except ValueError:
        raise InputError(f"{label} takes a number; {written[:40] or 'nothing'} was given") from None


def sent(made: Typed, key: str, value: Any) -> Iterator[tuple[str, str]]:
    """The fields that give this value, for an address: a table is none of its business."""
    if isinstance(made, Table):
        return
    if isinstance(made, Numbers):
        yield from ((f"{key}.{r}.{c}", f"{n:g}") for r, row in enumerate(value) for c, n in enumerate(row))
    else:
        yield key, "-".join(value) if isinstance(made, Drawing) else value
