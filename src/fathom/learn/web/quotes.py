"""Code of the library on a page, with the notes that explain it: numbers beside the code, and a list.

A number stands before its line: at the end of a long one it would be scrolled out of sight.
"""

from html import escape

from fathom.learn.engine.source import quote
from fathom.learn.engine.topic import SourceBlock
from fathom.learn.web import prose
from fathom.learn.web.code import lines


def quoted(block: SourceBlock, symbols: tuple[str, ...]) -> str:
    """The figure of a quote."""
    found = quote(block.reference)
    numbered = sorted((found.line_of(margin.anchor), margin.text) for margin in block.margins)
    numbers: dict[int, list[int]] = {}
    for number, (line, _) in enumerate(numbered, 1):
        numbers.setdefault(line, []).append(number)
    shown = "\n".join(marked(text, numbers.get(line, [])) for line, text in enumerate(lines(found.text)))
    most = max(map(len, numbers.values()), default=0)  # numbers before one line
    notes = "".join(f"<li>{prose.line(text, symbols)}</li>" for _, text in numbered)
    listed = f'<ol class="margins">{notes}</ol>' if notes else ""
    kind = f"code marked{most}" if most else "code"
    name, place = escape(block.reference.partition(":")[2]), escape(f"{found.place}, line {found.first}")
    return (
        f'<figure class="quote"><figcaption><code>{name}</code> <small>{place}</small></figcaption>'
        f'<pre class="{kind}" tabindex="0" aria-label="{place}"><code>{shown}</code></pre>{listed}</figure>'
    )


def marked(text: str, numbers: list[int]) -> str:
    marks = "".join(f'<b class="mark" title="note {number}">{number}</b>' for number in numbers)
    return f'<span class="noted"><span class="marks">{marks}</span>{text}</span>' if marks else text
