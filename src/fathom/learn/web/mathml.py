"""Elements of MathML Core, and letters in the alphabets that mathematics writes them in."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

SIGNS = ("\u2212", "+", "\u00b1", "\u2213")  # minus, plus, and both
BARS = ("|", "\u2016")  # open and close alike
# Operators that end something, so that a sign behind them joins two things.
ENDING = (")", "]", "}", "\u27e9", "\u230b", "\u2309", "!", "\u2032", "\u2026", "\u22ef", "\u22ee", "\u22f1")
SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")


@dataclass
class Element:
    """A piece of MathML: a tag with a text, or with others inside."""

    tag: str
    inside: "str | Sequence[Element]" = ""
    attributes: dict[str, str] = field(default_factory=dict)
    kind: str = ""  # "limits", "function" or "open": what matters to what follows
    span: tuple[int, int] | None = None  # the tokens of the formula that it was read from

    def written(self, known: Mapping[str, int], inside_known: bool = False) -> str:
        """MathML; elements that are ``known`` as they are written alone carry the number of their symbol.

        A symbol that stands at an index of its own, as the x of x_i where that is known, is no other symbol.
        """
        attributes = dict(self.attributes)
        number = None if inside_known else self.number(known)
        if number is not None:
            attributes["data-symbol"] = str(number)
        said = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
        if isinstance(self.inside, str):
            return f"<{self.tag}{said}>{escape(self.inside)}</{self.tag}>"
        held = self.tag in SCRIPTS and (inside_known or number is not None)
        inner = "".join(e.written(known, held and place == 0) for place, e in enumerate(self.inside))
        return f"<{self.tag}{said}>{inner}</{self.tag}>"

    def number(self, known: Mapping[str, int]) -> int | None:
        return known.get(self.written({})) if known else None

    def marks(self, known: Mapping[str, int], inside_known: bool = False) -> Iterator[tuple["Element", int]]:
        """The parts to mark in TeX, outer ones first, with the numbers of their symbols.

        A symbol with an index, a power or an accent is marked with these: TeX places them by the letter they
        stand at, and would not see it behind a mark.
        """
        number, base = (None if inside_known else self.number(known)), self
        while (
            not inside_known and number is None and base.tag in SCRIPTS and not isinstance(base.inside, str)
        ):
            base = base.inside[0]
            number = base.number(known)
        if number is not None:
            yield self, number
        if not isinstance(self.inside, str):
            held = self.tag in SCRIPTS and (inside_known or number is not None)
            for place, element in enumerate(self.inside):
                yield from element.marks(known, held and place == 0)


def one(row: Element) -> Element:
    """A row of one is that one."""
    only = row.tag == "mrow" and not row.attributes and not isinstance(row.inside, str)
    return row.inside[0] if only and len(row.inside) == 1 else row  # type: ignore[return-value]


def operator(text: str, **attributes: str) -> Element:
    return Element("mo", text, attributes)


def space(width: str) -> Element:
    return Element("mspace", "", {"width": width})


def opens(row: Sequence[Element]) -> bool:
    """Whether a sign behind ``row`` belongs to what follows: at a beginning, behind an operator or "("."""
    left = [element for element in row if element.tag != "mspace" and element.inside != "\u00a0"]
    if not left or left[-1].kind in ("function", "limits"):
        return True
    last = left[-1]
    while last.tag in SCRIPTS and not isinstance(last.inside, str):
        last = last.inside[0]
    if last.tag != "mo":
        return False
    return opens(left[:-1]) if last.inside in BARS else last.inside not in ENDING


def table(rows: list[list[list[Element]]], columns: str) -> Element:
    """Cells set by ``columns``: l, c or r for each, begun anew where they end."""
    if rows and rows[-1] == [[]]:
        rows = rows[:-1]  # a last \\ opens no row
    made = []
    for row in rows:
        cells = [Element("mtd", cell, {"class": columns[i % len(columns)]}) for i, cell in enumerate(row)]
        made.append(Element("mtr", cells))
    return Element("mtable", made, {"class": "aligned"} if columns == "rl" else {})


def restyled(element: Element, alphabet: str) -> Element:
    """The letters of an element in another alphabet of Unicode."""
    if not isinstance(element.inside, str):
        inside = [restyled(inner, alphabet) for inner in element.inside]
        return Element(element.tag, inside, element.attributes, element.kind)
    text = "".join(letter(sign, alphabet) for sign in element.inside)
    attributes = {k: v for k, v in element.attributes.items() if text == element.inside or k != "mathvariant"}
    return Element(element.tag, text, attributes, element.kind)


def letter(sign: str, alphabet: str) -> str:
    """The same letter of another alphabet; itself where there is none.

    Unicode names them alike, but for those that it had before the others.
    """
    name = unicodedata.name(sign, "")
    name = re.sub(r"^(LATIN|GREEK) |LETTER |LUNATE ", "", name)
    older = alphabet.replace("FRAKTUR", "BLACK-LETTER")
    upright = alphabet.removesuffix(" ITALIC")
    for full in (f"MATHEMATICAL {alphabet} {name}", f"{older} {name}", f"MATHEMATICAL {upright} {name}"):
        try:
            return unicodedata.lookup(full)
        except KeyError:
            continue
    return sign
