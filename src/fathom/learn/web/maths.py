"""Formulas: TeX to MathML, which every browser of today draws without a script; with one, KaTeX draws them.

    >>> mathml("w - r")
    '<math><semantics><mrow><mi>w</mi><mo>−</mo><mi>r</mi></mrow><annotation ...>w - r</annotation>...'

A formula is read once, from left to right, into a tree of elements, and the tree is written. What is not
known raises ``TexError``, so a test finds it before a reader does. Symbols that the head of a page explains
are marked with ``data-symbol``, the number of their explanation: a page can say what is under the pointer.
The elements are those of MathML Core; an annotation keeps the TeX for whoever copies it. Where KaTeX needs
another TeX, because symbols are marked in it, ``data-tex`` has that (``static/maths.js`` reads it).
"""

import re
from collections.abc import Mapping, Sequence
from html import escape

from fathom.errors import InputError
from fathom.learn.web import maths_tables as tables
from fathom.learn.web.mathml import SIGNS, Element, one, opens, operator, restyled, space, table

TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
OPENING, CLOSING = "([", ")]"
CHARACTERS = {"-": "\u2212", "*": "\u2217", "'": "\u2032", "~": "\u00a0"}


class TexError(InputError):
    """A formula that cannot be read."""

    def __init__(self, tex: str, text: str) -> None:
        super().__init__(f"the formula {tex!r}: {text}")


def mathml(tex: str, *, display: bool = False, symbols: Sequence[str] = ()) -> str:
    """A formula as a ``math`` element; ``symbols`` are those of the page, in TeX.

    Raises ``TexError`` for TeX that is not known here.
    """
    known = {one(Reader(symbol).whole()).written({}): place for place, symbol in enumerate(symbols)}
    reader = Reader(tex, display)
    tree = reader.whole()
    annotation = f'<annotation encoding="application/x-tex">{escape(tex)}</annotation>'
    block = ' display="block"' if display else ""
    marked = reader.marked(tree, known)
    drawn = f' data-tex="{escape(marked)}"' if marked != tex else ""
    return f"<math{block}{drawn}><semantics>{tree.written(known)}{annotation}</semantics></math>"


class Reader:
    """Goes through the tokens of a formula once."""

    def __init__(self, tex: str, display: bool = False) -> None:
        self.tex, self.display = tex, display
        self.tokens = TOKEN.findall(tex)
        self.at = 0
        self.bare = False  # whether it has rows or columns outside any environment

    def fail(self, text: str) -> TexError:
        return TexError(self.tex, text)

    # -- tokens -----------------------------------------------------------------------------------
    def peek(self) -> str:
        """The next token that is not a space; "" at the end."""
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise self.fail("it ends too early")
        self.at += 1
        return token

    def spanned(self, element: Element, first: int) -> Element:
        """An element that was read from the token at ``first`` on; one from inside knows that better."""
        element.span = element.span or (first, self.at)
        return element

    def expect(self, wanted: str) -> None:
        found = self.peek() or "the end"
        if found != wanted:
            raise self.fail(f"{wanted} is expected, and {found} stands there")
        self.at += 1

    def raw(self) -> str:
        """The text of a group in braces, as it is written."""
        self.expect("{")
        start, depth = self.at, 1
        while depth:
            if self.at >= len(self.tokens):
                raise self.fail("a brace is not closed")
            depth += {"{": 1, "}": -1}.get(self.tokens[self.at], 0)
            self.at += 1
        return "".join(self.tokens[start : self.at - 1])

    def marked(self, tree: Element, known: Mapping[str, int]) -> str:
        r"""The formula for KaTeX: symbols stand in \known{number}{symbol}, bare rows in an environment.

        In braces of its own a mark can stand where one letter can; an operator keeps its distances without.
        """
        pieces = [*self.tokens, ""]
        for element, number in reversed(list(tree.marks(known))):  # the outer ones come around the others
            if element.span:
                first, end = element.span
                left, right = ("", "") if element.tag == "mo" else ("{", "}")
                pieces[first] = f"{left}\\known{{{number}}}{{{pieces[first]}"
                pieces[end - 1] += "}" + right
        text = "".join(pieces)
        return f"\\begin{{aligned}}{text}\\end{{aligned}}" if self.bare else text

    # -- rows -------------------------------------------------------------------------------------
    def whole(self) -> Element:
        rows = self.table_rows(("",))
        if len(rows) == 1 and len(rows[0]) == 1:
            return self.spanned(Element("mrow", rows[0][0]), 0)
        self.bare = True
        return table(rows, "rl" if "&" in self.tex else "c")

    def row(self, ends: Sequence[str]) -> list[Element]:
        """Elements up to one of ``ends``, which stays."""
        found: list[Element] = []
        while self.peek() not in ends:
            if not self.peek():
                raise self.fail(f"{ends[-1]} is missing")
            item = self.scripted()
            if found and found[-1].kind == "function" and item.kind != "open" and item.tag != "mspace":
                found.append(space(tables.SPACES[","]))
            if item.tag == "mo" and item.inside in SIGNS and opens(found):
                item.attributes["form"] = "prefix"  # browsers see that by themselves only at the beginning
            found.append(item)
        return found

    def table_rows(self, ends: Sequence[str]) -> list[list[list[Element]]]:
        """Rows of cells, parted by double backslashes and ``&``, up to one of ``ends``."""
        rows: list[list[list[Element]]] = [[]]
        while True:
            rows[-1].append(self.row((*ends, "&", "\\\\")))
            if self.peek() == "&":
                self.take()
            elif self.peek() == "\\\\":
                self.take()
                rows.append([])
            else:
                return rows

    def argument(self) -> Element:
        """A group in braces, or the next thing alone; of a number, as in TeX, the first digit."""
        if (token := self.peek()) != "{":
            if len(token) > 1 and token[0].isdigit():
                self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
            return self.atom()
        self.take()
        first = self.at - 1
        inside = self.row(("}",))
        self.expect("}")
        return self.spanned(one(Element("mrow", inside)), first)

    # -- what a row is made of ----------------------------------------------------------------------
    def scripted(self) -> Element:
        """An atom with what stands above and below it."""
        self.peek()
        first, base = self.at, self.atom()
        below: Element | None = None
        above: list[Element] = []
        while self.peek() in ("_", "^", "'"):
            sign = self.take()
            if sign == "'":
                above.append(operator(CHARACTERS[sign], lspace="0", rspace="0"))
            elif sign == "^":
                above.append(self.argument())
            elif below is None:
                below = self.argument()
            else:
                raise self.fail("two indices below one another; put them into braces")
        if below is None and not above:
            return base
        over = one(Element("mrow", above)) if above else None
        parts = [base, *(part for part in (below, over) if part is not None)]
        names = ("munder", "mover") if base.kind == "limits" else ("msub", "msup")
        both = "munderover" if base.kind == "limits" else "msubsup"
        tag = both if len(parts) == 3 else names[below is None]
        named = base.tag == "mi" and base.kind in ("limits", "function")
        return self.spanned(Element(tag, parts, kind="function" if named else ""), first)

    def atom(self) -> Element:
        self.peek()
        first = self.at
        return self.spanned(self.thing(), first)

    def thing(self) -> Element:
        token = self.take()
        if token == "{":
            self.at -= 1
            return self.argument()
        if token.startswith("\\"):
            return self.command(token[1:])
        if token[0].isdigit():
            return Element("mn", token)
        if token.isalpha():
            return Element("mi", token)
        if token in OPENING:
            return Element("mo", token, {"stretchy": "false"}, kind="open")
        if token in CLOSING:
            return operator(token, stretchy="false")
        if token in "|/":
            return operator(token, stretchy="false", lspace="0", rspace="0")
        if token in "}&^_$#%\\":
            raise self.fail(f"{token} has no meaning here")
        return operator(CHARACTERS.get(token, token))

    def command(self, name: str) -> Element:
        if name in tables.LETTERS:
            return Element("mi", tables.LETTERS[name])
        if name in tables.UPRIGHT:
            return Element("mi", tables.UPRIGHT[name], {"mathvariant": "normal"})
        if name in tables.OPERATORS:
            return operator(tables.OPERATORS[name])
        if name in tables.FENCES:
            return self.fence(name)
        if name in tables.SPACES:
            return space(tables.SPACES[name])
        if name in tables.LARGE:
            limits = self.display and name not in tables.INTEGRALS
            return Element("mo", tables.LARGE[name], kind="limits" if limits else "")
        if name in tables.FUNCTIONS:
            return Element("mi", name, kind="function")
        if name in tables.LIMITED:
            return Element("mi", tables.LIMITED[name], kind="limits" if self.display else "function")
        if name in tables.SIZES:
            size = tables.SIZES[name]
            return operator(self.delimiter(), stretchy="true", minsize=size, maxsize=size)
        if name in tables.IGNORED:
            return self.scripted() if self.peek() else Element("mrow", [])
        return self.construction(name)

    def fence(self, name: str) -> Element:
        attributes = {"stretchy": "false", "lspace": "0", "rspace": "0"}
        return Element("mo", tables.FENCES[name], attributes, "open" if name in tables.OPENING else "")

    def delimiter(self) -> str:
        token = self.take()
        if token == ".":
            return ""
        if token.startswith("\\") and token[1:] in tables.FENCES:
            return tables.FENCES[token[1:]]
        if token in "()[]|/<>":
            return {"<": "⟨", ">": "⟩"}.get(token, token)
        raise self.fail(f"{token} is no parenthesis")

    def construction(self, name: str) -> Element:
        """Commands that take arguments."""
        if name in tables.ACCENTS:
            stretch = {"stretchy": "true" if name in tables.WIDE else "false"}
            parts = [self.argument(), operator(tables.ACCENTS[name], **stretch)]
            return Element("mover", parts, {"accent": "true"})
        if name in tables.ALPHABETS:
            return restyled(self.argument(), tables.ALPHABETS[name])
        known = {
            "frac": self.fraction, "dfrac": self.fraction, "tfrac": self.fraction, "binom": self.binomial,
            "sqrt": self.root, "left": self.fenced, "begin": self.environment, "text": self.words,
            "textbf": self.words, "textit": self.words, "mbox": self.words, "mathrm": self.upright,
            "mathit": self.argument, "operatorname": self.named, "underbrace": self.braced_below,
            "overbrace": self.braced_above, "underline": self.underlined, "overset": self.over,
            "stackrel": self.over, "underset": self.under, "substack": self.stacked,
            "displaystyle": self.displayed, "boxed": self.boxed,
        }  # fmt: skip
        if name not in known:
            raise self.fail(f"\\{name} is not known here; web/maths_tables.py lists what is")
        return known[name]()

    def fraction(self) -> Element:
        return Element("mfrac", [self.argument(), self.argument()])

    def binomial(self) -> Element:
        parts = Element("mfrac", [self.argument(), self.argument()], {"linethickness": "0"})
        return Element("mrow", [operator("("), parts, operator(")")])

    def root(self) -> Element:
        if self.peek() != "[":
            return Element("msqrt", [self.argument()])
        self.take()
        degree = one(Element("mrow", self.row(("]",))))
        self.expect("]")
        return Element("mroot", [self.argument(), degree])

    def fenced(self) -> Element:
        opening = self.delimiter()
        inside = self.row(("\\right",))
        self.take()
        left, right = (operator(sign, stretchy="true") for sign in (opening, self.delimiter()))
        return Element("mrow", [left, *inside, right], kind="open")

    def environment(self) -> Element:
        name = self.raw()
        if name not in tables.ENVIRONMENTS:
            raise self.fail(f"there is no environment {name} here; known: {', '.join(tables.ENVIRONMENTS)}")
        left, right, columns = tables.ENVIRONMENTS[name]
        if name == "array":
            columns = re.sub(r"[^lcr]", "", self.raw()) or "c"
        rows = self.table_rows(("\\end",))
        self.take()
        if self.raw() != name:
            raise self.fail(f"\\begin{{{name}}} is not ended")
        fences = [operator(sign, stretchy="true") if sign else None for sign in (left, right)]
        made = [fences[0], table(rows, columns), fences[1]]
        return one(Element("mrow", [part for part in made if part is not None], kind="open"))

    def words(self) -> Element:
        return Element("mtext", self.raw().replace(" ", "\u00a0"))

    def upright(self) -> Element:
        return Element("mi", self.raw(), {"mathvariant": "normal"})

    def named(self) -> Element:
        star = self.peek() == "*"
        if star:
            self.take()
        text = re.sub(r"\\[,;: ]", "\u2009", self.raw())
        return Element(
            "mi", text, {"mathvariant": "normal"}, "limits" if star and self.display else "function"
        )

    def braced_below(self) -> Element:
        return Element("munder", [self.argument(), operator("⏟", stretchy="true")], kind="limits")

    def braced_above(self) -> Element:
        return Element("mover", [self.argument(), operator("⏞", stretchy="true")], kind="limits")

    def underlined(self) -> Element:
        return Element("munder", [self.argument(), operator("_", stretchy="true")])

    def over(self) -> Element:
        above = self.argument()
        return Element("mover", [self.argument(), above])

    def under(self) -> Element:
        below = self.argument()
        return Element("munder", [self.argument(), below])

    def stacked(self) -> Element:
        self.expect("{")
        rows = self.table_rows(("}",))
        self.expect("}")
        return table(rows, "c")

    def displayed(self) -> Element:
        self.display = True
        return Element("mrow", [])

    def boxed(self) -> Element:
        return Element("mrow", [self.argument()], {"class": "boxed"})
