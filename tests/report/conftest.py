"""A reader of HTML that fails on what a browser would silently mend."""

from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest

VOID = {"meta", "img", "br", "input"}


@dataclass
class Reading:
    """What a page holds, as the parser sees it."""

    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str, str]] = field(default_factory=list)  # (tag, name, value)
    text: str = ""

    def values(self, tag: str, name: str) -> list[str]:
        return [value for held, key, value in self.attributes if (held, key) == (tag, name)]


class Reader(HTMLParser):
    """Keeps the stack of open elements and refuses to close anything but the innermost."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.reading, self.open = Reading(), []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        self.reading.tags.append(tag)
        self.reading.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.reading.text += data


@pytest.fixture
def read() -> Callable[[str], Reading]:
    """Reads HTML, asserting that every element is closed in order and no attribute is given twice."""

    def reading(html: str) -> Reading:
        reader = Reader()
        reader.feed(html)
        reader.close()
        assert not reader.open, f"never closed: {reader.open}"
        return reader.reading

    return reading
