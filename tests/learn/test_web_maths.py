"""TeX to MathML: structure, spacing, alphabets, symbols, and a message for what is not known."""

import re
from html import escape, unescape

import pytest
from tests.learn import formulas

from fathom.learn.engine import curriculum
from fathom.learn.web import maths_tables as tables
from fathom.learn.web import prose
from fathom.learn.web.maths import TexError, mathml

WRITTEN = [slug for slug, head in curriculum.heads().items() if head.written]


def inner(tex: str, display: bool = False) -> str:
    """What stands inside the row of a formula."""
    whole = mathml(tex, display=display)
    found = re.fullmatch(r"<math[^>]*><semantics>(.*)<annotation.*</math>", whole, re.DOTALL)
    assert found
    return re.sub(r"^<mrow>(.*)</mrow>$", r"\1", found[1])


@pytest.mark.parametrize(
    "tex, wanted",
    [
        ("x", "<mi>x</mi>"),
        ("12.5", "<mn>12.5</mn>"),
        ("a - b", "<mi>a</mi><mo>\u2212</mo><mi>b</mi>"),
        (r"\alpha", "<mi>\u03b1</mi>"),
        (r"\Delta", '<mi mathvariant="normal">\u0394</mi>'),
        ("x_i", "<msub><mi>x</mi><mi>i</mi></msub>"),
        ("x^2", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ("x^2_i", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        (r"\frac{a}{bc}", "<mfrac><mi>a</mi><mrow><mi>b</mi><mi>c</mi></mrow></mfrac>"),
        (r"\frac12", "<mfrac><mn>1</mn><mn>2</mn></mfrac>"),
        (r"x^10", "<msup><mi>x</mi><mn>1</mn></msup><mn>0</mn>"),
        (r"\sqrt{2}", "<msqrt><mn>2</mn></msqrt>"),
        (r"\sqrt[3]{x}", "<mroot><mi>x</mi><mn>3</mn></mroot>"),
        (r"\text{a b}", "<mtext>a\u00a0b</mtext>"),
        (r"a \mid b", "<mi>a</mi><mo>\u2223</mo><mi>b</mi>"),
        (r"\overset{a}{b}", "<mover><mi>b</mi><mi>a</mi></mover>"),
        (r"\operatorname{softmax}", '<mi mathvariant="normal">softmax</mi>'),
        ("a < b", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
    ],
)
def test_pieces(tex: str, wanted: str) -> None:
    assert inner(tex) == wanted


PREFIX = '<mo form="prefix">\u2212</mo>'


@pytest.mark.parametrize(
    "tex",
    ["-x", "(-4)", "[-1, 1]", "y = -x", r"2 \cdot -x", "1, -x", r"\{-1\}", r"\left(-x\right)", "e^{-x}",
     r"a \le -1", r"\lfloor -x \rfloor", r"\sum_i -x", r"\log -x", "|-x|", "a = |-x|", r"\big(-x\big)",
     r"\frac{-1}{2}", "a = \\, -b", "a/-b", r"x \to -\infty"],
)  # fmt: skip
def test_a_sign_before_one_thing_stands_close_to_it(tex: str) -> None:
    for display in (False, True):
        assert PREFIX in mathml(tex, display=display) and "<mo>\u2212</mo>" not in inner(tex)


@pytest.mark.parametrize(
    "tex",
    ["a - b", "(a) - b", "x^2 - 1", "(x)^2 - 1", "|x| - 1", "a = |x|^2 - 1", r"a + \ldots - b", "f' - g",
     "n! - 1", r"\{a\} - b", r"\frac12 - b", r"\left(x\right) - 1", r"\sqrt{2} - 1", r"\hat{y} - y", "5 - 3",
     r"\nabla - b", r"a \; - b", r"\sin(x) - 1"],
)  # fmt: skip
def test_a_sign_between_two_things_keeps_its_distance(tex: str) -> None:
    for display in (False, True):
        assert "<mo>\u2212</mo>" in mathml(tex, display=display) and "prefix" not in inner(tex)


def test_both_kinds_of_signs_in_one_formula() -> None:
    shown = inner(r"-0.1 \cdot (-4) = +0.4")
    assert shown.count(PREFIX) == 2 and '<mo form="prefix">+</mo><mn>0.4</mn>' in shown
    assert inner(r"x \pm 1") == "<mi>x</mi><mo>\u00b1</mo><mn>1</mn>"
    assert inner(r"y = \pm 1").endswith('<mo form="prefix">\u00b1</mo><mn>1</mn>')


def test_primes_join_powers() -> None:
    assert inner("f'") == '<msup><mi>f</mi><mo lspace="0" rspace="0">\u2032</mo></msup>'
    assert inner("f'^2").startswith("<msup><mi>f</mi><mrow><mo")


def test_limits_stand_below_only_in_a_formula_of_its_own() -> None:
    tex = r"\sum_{i=1}^n x_i"
    assert "<munderover><mo>\u2211</mo>" in inner(tex, display=True)
    assert "<msubsup><mo>\u2211</mo>" in inner(tex)
    assert "<msubsup><mo>\u222b</mo>" in inner(r"\int_0^1 x", display=True)
    assert "<munder><mi>lim</mi>" in inner(r"\lim_{h\to 0} h", display=True)


def test_functions_keep_their_distance_but_not_from_parentheses() -> None:
    gap = '<mspace width="0.1667em"></mspace>'
    assert inner(r"\log x") == f"<mi>log</mi>{gap}<mi>x</mi>"
    assert inner(r"\log_2 x").endswith(f"</msub>{gap}<mi>x</mi>")
    assert gap not in inner(r"\log(x)") and gap not in inner(r"\log\left(x\right)")


def test_parentheses_grow_only_when_they_are_asked_to() -> None:
    assert '<mo stretchy="false">(</mo>' in inner("(x)")
    grown = inner(r"\left( x \right]")
    assert grown == '<mrow><mo stretchy="true">(</mo><mi>x</mi><mo stretchy="true">]</mo></mrow>'
    assert '<mo stretchy="true"></mo>' in inner(r"\left. x \right|")


def test_alphabets_are_letters_of_unicode() -> None:
    assert inner(r"\mathbb{R}\mathbf{x}\mathcal{L}\mathbf{1}\boldsymbol{\theta}\mathcal{N}") == (
        "<mi>\u211d</mi><mi>\U0001d431</mi><mi>\u2112</mi><mn>\U0001d7cf</mn><mi>\U0001d73d</mi><mi>\U0001d4a9</mi>"
    )
    for command, name in tables.ALPHABETS.items():  # each has all capitals
        letters = re.findall(r"<mi>(.)</mi>", inner(rf"\{command}{{ABCDEFGHIJKLMNOPQRSTUVWXYZ}}"))
        assert len(set(letters)) == 26 and not any(sign.isascii() for sign in letters), name


def test_rows_and_columns() -> None:
    cases = mathml(r"\begin{cases} x & x > 0 \\ 0 & \text{else} \end{cases}", display=True)
    assert cases.count("<mtr>") == 2 and cases.count('<mtd class="l">') == 4 and ">{</mo>" in cases
    matrix = mathml(r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \\ \end{bmatrix}")
    assert matrix.count("<mtr>") == 2 and ">[</mo>" in matrix and ">]</mo>" in matrix
    lines = mathml(r"a &= b \\ &= c", display=True)
    assert lines.count('<mtd class="r">') == 2 and lines.count('<mtd class="l">') == 2


def test_the_source_stays_for_whoever_copies_it() -> None:
    assert '<annotation encoding="application/x-tex">a &lt; b</annotation>' in mathml("a < b")
    assert mathml("x", display=True).startswith('<math display="block">')


def test_symbols_are_found_whole() -> None:
    shown = mathml(r"w x_i + i + w'", symbols=("w", "x_i", "i"))
    assert shown.count('data-symbol="0"') == 2 and '<msub data-symbol="1">' in shown
    assert shown.count('data-symbol="2"') == 2  # also the index is i
    assert "data-symbol" not in mathml("ww", symbols=(r"\theta",))


@pytest.mark.parametrize(
    "tex, said",
    [
        (r"\unheard x", "unheard is not known here"),
        (r"\frac{a}", "too early"),
        ("{x", "missing"),
        ("x}", "missing|no meaning"),
        ("x_i_j", "two indices"),
        (r"\left( x", "right is missing"),
        (r"\begin{table} x \end{table}", "no environment table"),
        (r"\begin{cases} x \end{matrix}", "not ended"),
        ("a # b", "no meaning"),
        (r"\left x y \right)", "no parenthesis"),
    ],
)
def test_what_cannot_be_read_says_so(tex: str, said: str) -> None:
    with pytest.raises(TexError, match=said):
        mathml(tex)


def test_prose_has_formulas_code_and_no_markup_of_its_own() -> None:
    made = prose.blocks("A $w$ and `$5$` <b>bold</b> *soft* \\$1.")
    assert "<math>" in made and "<code>$5$</code>" in made and "&lt;b&gt;" in made and "<em>soft</em>" in made
    assert made.count("<math") == 1 and "$1." in made
    assert '<span class="scroll" tabindex="0"><math display="block">' in prose.blocks("$$ x $$")
    assert '<pre class="code" tabindex="0" aria-label="Code">' in prose.blocks("A table:\n\n    0 -> 1\n")
    assert '<code class="tex">' in prose.blocks(r"$\unheard$")


def test_links_outside_tell_nothing() -> None:
    made = prose.blocks(
        "[there](https://example.org/?a=1&b=2) and [here](/topic/mlp) and [bad](javascript:x)"
    )
    assert 'href="https://example.org/?a=1&amp;b=2" rel="noreferrer" target="_blank"' in made
    assert '<a href="/topic/mlp">' in made and 'href="javascript' not in made


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_formula_of_a_page_can_be_read(slug: str) -> None:
    """Those on lines of their own, and those in any text; a symbol that is explained occurs somewhere."""
    html = formulas.shown(slug)
    symbols = tuple(curriculum.heads()[slug].symbols)
    listed = [mathml(symbol, symbols=symbols) for symbol in symbols]
    assert not [part for part in html if 'class="tex"' in part]
    for place, symbol in enumerate(symbols):
        used = (part for part in html if part not in listed)
        assert any(f'data-symbol="{place}"' in part for part in used), f"{symbol} is explained and never used"


# -- what KaTeX is given ---------------------------------------------------------------------------------
def drawn_from(tex: str, *symbols: str) -> str:
    """The TeX that KaTeX draws: another than the formula's only where something is marked."""
    found = re.match(r'<math data-tex="([^"]*)">', mathml(tex, symbols=symbols))
    return unescape(found[1]) if found else tex


@pytest.mark.parametrize(
    "tex, marked",
    [
        ("a + b", "a + b"),
        ("w + 1", r"{\known{0}{w}} + 1"),
        (r"\frac w2", r"\frac {\known{0}{w}}2"),
        ("x_i", r"{\known{1}{x_{\known{2}{i}}}}"),
        ("w_i", r"{\known{0}{w_{\known{2}{i}}}}"),  # TeX must see the letter that the index stands at
        (r"\hat{w}^2", r"{\known{0}{\hat{w}^2}}"),
        ("x_{i}^2", r"x_{{\known{2}{i}}}^2"),
        ("x^12", "x^12"),
        ("i^12", r"{\known{2}{i^1}}2"),  # in TeX a power is one digit
        (r"a \odot b", r"a \known{3}{\odot} b"),  # no braces: they would take its distances
        ("a &= w", r"\begin{aligned}a &= {\known{0}{w}}\end{aligned}"),
    ],
)
def test_symbols_are_marked_where_tex_allows_it(tex: str, marked: str) -> None:
    assert drawn_from(tex, "w", "x_i", "i", r"\odot") == marked
    assert f'encoding="application/x-tex">{escape(tex)}<' in mathml(tex, symbols=("w", "x_i", "i"))


def test_a_symbol_inside_another_is_that_one() -> None:
    """As the x of x_i; what is an index of it may be explained by itself."""
    shown = mathml("x_i + x", symbols=("x_i", "x", "i"))
    assert [shown.count(f'data-symbol="{n}"') for n in range(3)] == [1, 1, 1]
    assert drawn_from("x_i + x", "x_i", "x", "i").count(r"\known{1}") == 1
