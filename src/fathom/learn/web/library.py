"""A file of the library to read: what a page that is still to come leads to."""

from html import escape

from fathom import catalog
from fathom.errors import unknown
from fathom.learn.web.code import lines
from fathom.learn.web.shell import page


def library_page(name: str) -> str:
    """The file of a system or primitive, by its name in the catalogue; ``InputError`` for a name of none."""
    entries = catalog.entries()
    if name not in entries:
        raise unknown("system or primitive", name, entries)
    entry = entries[name]
    text = entry.path.read_text(encoding="utf-8")
    numbered = "\n".join(
        f'<span id="L{number}"><i>{number:>4}</i> {line}</span>' for number, line in enumerate(lines(text), 1)
    )
    place = escape(entry.path.relative_to(catalog.ROOT.parent).as_posix())
    body = (
        f'<div class="wide"><h1>{escape(entry.card.title)}</h1><p class="where"><code>{place}</code></p>'
        f'<pre class="code file" tabindex="0" aria-label="{place}"><code>{numbered}</code></pre></div>'
    )
    return page(entry.card.title, body, kind="library")
