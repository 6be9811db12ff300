"""Formulas in a browser: KaTeX draws every one of every topic; who reads them otherwise loses nothing."""

from typing import Any

import pytest
from tests.learn import formulas
from tests.learn.visiting import PHONE, SLUG, WRITTEN, Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TALKATIVE = "skip-connections"  # has many formulas in its sentences
ALL_DRAWN = "() => !document.querySelector('math:not([data-drawn=yes])')"
ADD = "(html) => document.querySelector('article').insertAdjacentHTML('beforeend', html)"
LEFT = 'math[data-drawn="left"]'
NONE_WAITS = "(n) => document.querySelectorAll('[data-drawn=yes], [data-drawn=left]').length === n"
# Of each formula: the symbols that are marked in what is read, and in what is drawn.
MARKED = """() => [...document.querySelectorAll(".maths")].map((formula) => [".read", ".katex"].map((part) =>
  [...formula.querySelectorAll(`${part} [data-symbol]`)].map((mark) => mark.dataset.symbol).sort().join()))"""
# Every mark that can be seen: what the pointer finds in the middle of the first thing that is drawn of it.
FOUND = """() => [...document.querySelectorAll("article .katex [data-symbol]")].map((mark) => {
  const inked = [...mark.querySelectorAll(":not(:has(*))")]
    .find((leaf) => leaf.closest("[data-symbol]") === mark && /[^\\u200b\\s]/.test(leaf.textContent));
  inked.scrollIntoView({ block: "center", inline: "center" });
  const box = inked.getBoundingClientRect();
  const hit = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
  return hit?.closest("[data-symbol]") === mark;
})"""
COPIED = """(selector) => {
  getSelection().selectAllChildren(document.querySelector(selector));
  const clipboardData = new DataTransfer();
  document.body.dispatchEvent(new ClipboardEvent("copy", { clipboardData, bubbles: true, cancelable: true }));
  return ["text/plain", "text/html"].map((kind) => clipboardData.getData(kind));
}"""
# How many formulas have a sign right behind them, and of how many it begins the next line.
TORN = """() => {
  const found = [0, 0];
  for (const formula of document.querySelectorAll("article p .maths")) {
    const next = formula.nextSibling;  // they may stand in a span of their own
    const bases = formula.querySelectorAll(".katex-base");
    if (!bases.length || !/^[.,;:)?]/.test(next?.textContent ?? "") || next.nodeType !== 3) continue;
    const sign = document.createRange();
    sign.setStart(next, 0);
    sign.setEnd(next, 1);
    found[0] += 1;
    found[1] += sign.getBoundingClientRect().top >= bases[bases.length - 1].getBoundingClientRect().bottom;
  }
  return found;
}"""
WORDS = "async (part) => (await import('/static/maths.js')).words(document.querySelector(part))"
UNKNOWN = (r"\unheard{x}", r"\frac{a}", r"\href{https://example.org}{x}", r"\htmlStyle{color: red}{x}",
           r"\includegraphics{x}", "é")  # fmt: skip


def opened(visit: Visit, path: str = f"/topic/{SLUG}") -> Any:
    """A page whose formulas are drawn."""
    visit.open(path)
    visit.page.wait_for_function(ALL_DRAWN)
    return visit.page


def bare(tex: str) -> str:
    """A formula as the server could send it, and what nobody wrote into a page yet."""
    note = f'<annotation encoding="application/x-tex">{tex}</annotation>'
    return f'<p class="given"><math><semantics><mi>x</mi>{note}</semantics></math></p>'


def test_katex_draws_every_formula_of_every_topic(browser: Any, state: tuple[str, Any]) -> None:
    """Also those of hints, reasons and messages; with all their symbols, and without a word of its policy."""
    visit = Visit(browser, *state)
    page = opened(visit)
    before = page.locator("math").count()
    html = "".join(f"<p>{part}</p>" for slug in WRITTEN for part in formulas.shown(slug))
    page.evaluate(ADD, html)
    page.wait_for_function(NONE_WAITS, arg=before + html.count("<math"), timeout=60_000)
    assert page.locator(f"{LEFT} annotation").all_text_contents() == []
    marked = page.evaluate(MARKED)
    assert len(marked) > 500 and sum(bool(read) for read, _ in marked) > 300
    assert [pair for pair in marked if pair[0] != pair[1]] == []
    visit.close()


def test_what_katex_does_not_know_stays_as_it_came(browser: Any, state: tuple[str, Any]) -> None:
    """Nor is it trusted with more than a mark: no link, no style, no picture."""
    visit = Visit(browser, *state)
    page = opened(visit)
    page.evaluate(ADD, "".join(map(bare, [*UNKNOWN, "x^2"])))
    page.locator(".given .katex").wait_for()
    assert page.locator(".given .katex").count() == 1  # of x^2, which was the last
    left = page.locator(f".given > {LEFT}")
    assert left.locator("annotation").all_text_contents() == list(UNKNOWN)
    assert all(formula.bounding_box()["width"] > 4 for formula in left.all())
    visit.close()


def test_a_symbol_under_the_pointer_is_explained(browser: Any, state: tuple[str, Any]) -> None:
    """Wherever it stands: the boxes that KaTeX stacks, as those of a fraction, lie over one another."""
    visit = Visit(browser, *state)
    page = opened(visit, "/topic/backprop")
    found = page.evaluate(FOUND)
    assert len(found) > 100 and all(found)
    page.locator(".formula .mfrac [data-symbol]", has_text="x").get_by_text("x", exact=True).first.hover()
    note = page.locator("#meaning")
    assert note.is_visible() and note.inner_text().startswith("what goes into a layer")
    page.mouse.move(5, 5)
    assert note.is_hidden()
    visit.close()


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE, "color_scheme": "dark"}], ids=["wide", "phone"])
def test_a_formula_is_seen_once_and_read_once(
    browser: Any,
    state: tuple[str, Any],
    options: dict[str, Any],
) -> None:
    """What is drawn is hidden from screen readers, what is read is out of sight; nothing is too wide."""
    visit = Visit(browser, *state, **options)
    page = opened(visit)
    assert page.locator(".katex-html").count() == page.locator('.katex > [aria-hidden="true"]').count() > 50
    assert page.locator(".katex math, .katex annotation").count() == 0
    formula = page.locator(".formula .maths").first
    read, drawn = formula.locator(".read").bounding_box(), formula.locator(".katex").bounding_box()
    assert read["width"] <= 1 and read["height"] <= 1 and drawn["width"] > 40 and drawn["height"] > 20
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    colour = "(node) => getComputedStyle(node).color"
    paragraph = page.locator("article p:has(.katex)").first
    assert paragraph.evaluate(colour) == paragraph.locator(".katex .mord").first.evaluate(colour)
    page.emulate_media(media="print")
    assert page.locator(".formula .katex").first.is_visible()
    assert formula.locator(".read").bounding_box()["width"] <= 1
    visit.close()


def test_no_line_begins_with_what_ends_a_sentence(browser: Any, state: tuple[str, Any]) -> None:
    page = opened(Visit(browser, *state), f"/topic/{TALKATIVE}")
    for width in range(320, 480, 8):
        page.set_viewport_size({"width": width, "height": 800})
        followed, torn = page.evaluate(TORN)
        assert followed > 10 and torn == 0, width


def test_a_copy_holds_the_tex(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    page = opened(visit)
    page.evaluate(ADD, f'<div class="copy"><p>If</p>{bare("w_1")}<p>ends</p></div>')
    page.wait_for_function(ALL_DRAWN)
    plain, rich = page.evaluate(COPIED, ".copy")
    assert plain.split() == ["If", "$w_1$", "ends"] and plain.count("\n") >= 2
    assert "<math" in rich and "katex" not in rich
    assert page.evaluate(COPIED, "h1") == ["", ""]  # a text without formulas is the browser's affair
    visit.close()


def test_what_an_answer_brings_is_drawn_too(browser: Any, state: tuple[str, Any]) -> None:
    """What a part of the page says is the same before and after: so a form knows what is new in an answer."""
    visit = Visit(browser, *state)
    page = opened(visit)
    page.locator("#quiz-1 [type=radio]").first.check()
    page.locator("#quiz-1 button").click()
    page.locator("#quiz-1 .verdict:focus .katex").first.wait_for()
    page.evaluate(ADD, f'<div class="said">{bare("w_1")}</div>')
    page.locator(".said .katex").wait_for()
    came = "xw_1"  # as the server sent it
    assert page.evaluate(WORDS, ".said") == came != page.locator(".said").text_content()
    visit.close()


def test_only_pages_with_formulas_load_katex(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    visit.open("/")
    visit.page.wait_for_load_state("networkidle")
    assert not [url for url in visit.fetched if "/vendor/katex" in url or "/fonts/" in url]
    opened(visit)
    sheets = [url.rpartition("/")[2] for url in visit.fetched if "/vendor/katex" in url]
    assert sorted(sheets) == ["katex.css", "katex.mjs"]
    visit.close()


def test_without_katex_the_formulas_stay(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    visit.page.route("**/vendor/katex.mjs", lambda route: route.abort())
    with visit.page.expect_event("requestfailed"):
        visit.open(f"/topic/{SLUG}")
    assert visit.page.locator(".formula > .scroll > math").first.bounding_box()["width"] > 40
    visit.complaints.clear()  # of the browser, about the file that did not come
    visit.close()
