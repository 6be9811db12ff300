"""The editor of an exercise in a real browser: CodeMirror in the place of a textarea, which stays beneath."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.learn.visiting import DESKTOP, SLUG, Visit, against, editor, write

from fathom.learn.engine.exercise import answer_path, exercise
from fathom.learn.engine.grade import EMPTY
from fathom.learn.web.study import LONGEST

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME = "descend"
FORM = f"#exercise-{NAME}"
BUNDLE = "/static/vendor/codemirror.mjs"
SMALL = {"width": 360, "height": 780}


@pytest.fixture
def visit(browser: Any, state: tuple[str, Any]) -> Iterator[Visit]:
    """The page of a topic, whose exercises are far below what is seen."""
    made = Visit(browser, *state)
    made.page.set_default_timeout(60_000)  # a worker's first verdict imports torch
    made.open(f"/topic/{SLUG}")
    yield made
    made.close()


def answer(page: Any) -> str:
    """What the form would send."""
    return page.locator(f"#answer-{NAME}").input_value()


def shown(page: Any) -> str:
    """What stands in the editor."""
    return "\n".join(page.locator(f"{FORM} .cm-line").all_text_contents())


def kept(home: Path, text: str) -> bool:
    """Whether the learner's file soon holds exactly this."""
    file, end = answer_path(home, exercise(SLUG, NAME)), time.monotonic() + 10
    while not (file.is_file() and file.read_text(encoding="utf-8") == text):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def check(page: Any, kind: str) -> Any:
    page.locator(FORM).get_by_role("button", name="Check").click()
    told = page.locator(f"{FORM} .verdict.{kind}:focus")
    told.wait_for()
    return told


HEIGHTS = "() => [...document.querySelectorAll('learn-editor')].map((part) => part.offsetHeight)"


def test_it_comes_when_the_reader_comes_near(visit: Visit) -> None:
    """Not before; once for all exercises; and nothing moves on the page when it comes."""
    page = visit.page
    page.wait_for_function("() => customElements.get('learn-map')")
    page.wait_for_timeout(500)
    assert page.locator(".cm-editor").count() == 0 and not any(BUNDLE in url for url in visit.fetched)
    before = page.evaluate(HEIGHTS)
    page.locator(f"{FORM} learn-editor").evaluate(
        "(part) => scrollBy(0, part.getBoundingClientRect().top - innerHeight - 500)"
    )
    page.locator(f"{FORM} .cm-editor").wait_for()
    place = page.locator(f"{FORM} learn-editor").bounding_box()
    assert place["y"] > DESKTOP["height"] + 400, "it was to be ready before it is seen"
    for name in ("one_step", "line_slope"):
        editor(page, name)
    assert page.evaluate(HEIGHTS) == before and len(before) == 3
    assert sum(BUNDLE in url for url in visit.fetched) == 1


def test_a_focus_goes_on_in_it_with_what_is_selected(visit: Visit) -> None:
    page = visit.page
    page.locator(f"#answer-{NAME}").evaluate("""(area) => {
      area.setSelectionRange(2, 6);
      area.focus({ preventScroll: true });
    }""")
    page.locator(f"{FORM} .cm-content:focus").wait_for()
    assert page.evaluate("getSelection().toString()") == answer(page)[2:6]
    before = answer(page)
    page.keyboard.type("x")
    assert answer(page) == before[:2] + "x" + before[6:]
    assert not page.locator(f"#answer-{NAME}").is_visible()


def test_without_its_file_the_textarea_goes_on(browser: Any, state: tuple[str, Any], home: Path) -> None:
    """What is written there is kept and checked; Tab leaves it."""
    visit = Visit(browser, *state)
    page = visit.page
    page.set_default_timeout(60_000)
    page.route(f"**{BUNDLE}", lambda route: route.abort())
    visit.open(f"/topic/{SLUG}")
    area = page.locator(f"#answer-{NAME}")
    area.fill("1 / 0\n")
    assert kept(home, "1 / 0\n") and not page.locator(f"{FORM} .cm-editor").count()
    area.press("Control+Enter")
    page.locator(f"{FORM} .verdict.bad:focus").wait_for()
    assert "ZeroDivisionError" in visit.focused().inner_text()
    area.fill("2 / 0\n")
    area.press("Tab")
    assert visit.focused().inner_text() == "Check" and area.input_value() == "2 / 0\n"
    page.locator(FORM).get_by_role("button", name="Begin anew").click()
    page.locator(f"{FORM} .verdict.note:focus").wait_for()
    assert area.input_value() == exercise(SLUG, NAME).starter
    visit.complaints.clear()  # of the file that did not come
    visit.close()


def test_who_reads_on_below_it_stays_there(visit: Visit) -> None:
    """It comes above what is looked at, and what is looked at does not move."""
    page = visit.page
    top = "() => document.querySelector('#quiz-1').getBoundingClientRect().top"
    page.locator("#quiz-1").first.scroll_into_view_if_needed()
    before = page.evaluate(top)
    page.locator("learn-editor.ready").first.wait_for(state="attached")
    page.wait_for_timeout(500)
    assert abs(page.evaluate(top) - before) < 3


def test_it_edits_python(visit: Visit, home: Path) -> None:
    """Enter keeps the indent, brackets are closed, Tab moves lines, all can be undone, markup stays text."""
    page, keys = visit.page, visit.page.keyboard
    write(page, NAME, "")
    keys.type("def f(x):  # <img src=y onerror=alert(1)>")
    keys.press("Enter")
    keys.type("'''a")
    keys.press("Enter")
    keys.type("b'''")
    written = "def f(x):  # <img src=y onerror=alert(1)>\n    '''a\n    b'''"
    assert answer(page) == written
    content = editor(page, NAME)
    assert content.locator("img").count() == 0 and shown(page) == written
    assert page.locator(f"{FORM} .cm-lineNumbers").inner_text().split()[-3:] == ["1", "2", "3"]
    for kind, text in (("k", "def"), ("f", "f"), ("s", "'''a"), ("c", "# <img src=y onerror=alert(1)>")):
        assert content.locator(f".{kind}").first.text_content() == text
    keys.press("Enter")
    keys.type("y = [(1")
    assert answer(page).endswith("\n    y = [(1)]")
    assert content.locator(".cm-matchingBracket").all_inner_texts() == ["(", ")"]
    keys.press("End")
    keys.press("Enter")
    keys.press("Backspace")  # a whole indent
    keys.type("z")
    keys.press("Tab")
    keys.type("= 2")
    assert answer(page).endswith("\n    y = [(1)]\nz   = 2")
    keys.press("Control+a")
    keys.press("Tab")
    assert answer(page).startswith("    def f") and answer(page).endswith("\n    z   = 2")
    indented = answer(page)
    page.wait_for_timeout(600)  # what follows within half a second is one step of undo with it
    keys.press("Shift+Tab")
    assert answer(page).startswith("def f") and "\n    y = [(1)]" in answer(page)
    keys.press("Control+z")
    assert answer(page) == indented
    assert kept(home, answer(page)), "a text that rests is kept, without being judged"


def test_who_comes_by_tab_goes_on_by_tab(visit: Visit) -> None:
    """Until something is typed; Escape gives the way out back, for as long as nothing is typed."""
    page, keys = visit.page, visit.page.keyboard
    content = editor(page, NAME)
    write(page, NAME, before := "x = 1\n")
    page.locator(f"{FORM} .buttons button").first.focus()
    visit.tab_to(f"{FORM} .cm-content", "Shift+Tab")
    keys.press("Tab")
    assert visit.focused().inner_text() == "Check" and answer(page) == before
    keys.press("Shift+Tab")
    keys.press("Control+End")
    keys.press("Tab")
    assert answer(page) == before + "    "
    keys.press("Escape")
    page.wait_for_timeout(2500)  # CodeMirror by itself would let nobody out who thinks for two seconds
    keys.press("Tab")
    assert visit.focused().inner_text() == "Check" and answer(page) == before + "    "
    content.click()
    keys.press("Control+End")
    keys.press("Backspace")
    assert answer(page) == before


def test_its_name_and_its_label(visit: Visit) -> None:
    """A reader of the screen is told the same of it as of the textarea, also after an answer."""
    page = visit.page
    editor(page, NAME)
    for _ in range(2):
        box = page.locator(FORM).get_by_role("textbox", name="Your answer")
        assert box.count() == 1 and box.get_attribute("aria-multiline") == "true"
        described = page.locator(f"#{box.get_attribute('aria-describedby')}")
        assert "Escape, then Tab leaves" in described.inner_text()
        page.locator(f"{FORM} label").click()
        assert page.locator(f"{FORM} .cm-content:focus").count() == 1
        write(page, NAME, "")
        page.keyboard.press("Control+Enter")  # checks, and writes no line
        page.locator(f"{FORM} .verdict.bad:focus").wait_for()
        assert answer(page) == "" and visit.stumbling() == []


def test_a_line_that_the_grader_names_is_marked(visit: Visit) -> None:
    """In the gutter and in the text, with what was said; on a page opened later too; until it is mended."""
    page, marks = visit.page, f"{FORM} .cm-lint-marker"
    write(page, NAME, f"def {NAME}(*given):\n    x = 1\n    return x.nonsense\n")
    told = check(page, "bad").inner_text()
    for _ in range(2):
        page.locator(marks).wait_for()
        assert page.locator(f"{FORM} .cm-lintRange").all_inner_texts() == ["return x.nonsense"]
        heights = [page.locator(part).bounding_box()["y"] for part in (marks, f"{FORM} .cm-lintRange")]
        assert abs(heights[0] - heights[1]) < 8
        page.locator(marks).hover()
        tip = page.locator(f"{FORM} .cm-tooltip .cm-diagnostic")
        tip.wait_for()
        assert tip.inner_text() in told and "(line 3: " in tip.inner_text()
        assert visit.stumbling() == []
        page.mouse.move(0, 0)
        visit.open(f"/topic/{SLUG}")
        editor(page, NAME)
    write(page, NAME, exercise(SLUG, NAME).starter)
    assert EMPTY in check(page, "bad").inner_text()
    assert page.locator(f"{FORM} :is(.cm-lint-marker, .cm-lintRange)").count() == 0


def test_what_was_begun_anew_can_be_had_back(visit: Visit, home: Path) -> None:
    """As one step of undo, which is then kept; what was typed before that is further steps."""
    page, keys = visit.page, visit.page.keyboard
    write(page, NAME, "one\n")
    check(page, "bad")
    editor(page, NAME).press("Control+End")
    keys.type("two")
    page.locator(FORM).get_by_role("button", name="Begin anew").click()
    page.locator(f"{FORM} .verdict.note:focus").wait_for()
    assert answer(page) == exercise(SLUG, NAME).starter
    assert shown(page) == answer(page)
    assert not page.get_by_text("Not saved").is_visible()
    editor(page, NAME).focus()
    keys.press("Control+z")
    assert answer(page) == "one\ntwo" and kept(home, "one\ntwo")
    keys.press("Control+z")
    assert answer(page) != "one\ntwo"
    for _ in range(2):
        keys.press("Control+y")
    assert answer(page) == exercise(SLUG, NAME).starter and kept(home, answer(page))
    assert not page.get_by_text("Not saved").is_visible()


def test_what_another_program_wrote_is_not_written_over(visit: Visit, home: Path) -> None:
    """The page says so once, and keeps nothing more until somebody who has read that presses Check."""
    page, file = visit.page, answer_path(home, exercise(SLUG, NAME))
    write(page, NAME, "mine\n")
    assert kept(home, "mine\n")
    file.write_text("theirs\n", encoding="utf-8")
    editor(page, NAME).press("Control+End")
    page.keyboard.type("one")
    told = page.locator(FORM).get_by_text("Your file was changed elsewhere")
    told.wait_for()
    page.keyboard.type(", two")
    page.wait_for_timeout(2500)  # longer than a text rests until it is kept
    assert file.read_text(encoding="utf-8") == "theirs\n" and told.is_visible()
    check(page, "bad")
    assert file.read_text(encoding="utf-8") == answer(page) == "mine\none, two"
    page.keyboard.press("Escape")
    write(page, NAME, "three\n")
    assert kept(home, "three\n"), "it is kept again"


def test_what_was_too_long_is_kept_when_it_is_short_again(visit: Visit, home: Path) -> None:
    """No other program has a part in that, so nobody has to press Check."""
    write(visit.page, NAME, ("#" * 99 + "\n") * (LONGEST // 100 + 1))
    visit.page.locator(FORM).get_by_text("An answer has at most").wait_for()
    write(visit.page, NAME, "short\n")
    assert kept(home, "short\n")


LONG = "x = '" + "long " * 60 + "'"
# The editor scrolls in frames of its own: a place counts once twenty frames have left it as it was.
AT_REST = """part => new Promise((said) => {
  let [last, same] = [NaN, 0];
  requestAnimationFrame(function look() {
    same = part.scrollLeft === last ? same + 1 : 0;
    last = part.scrollLeft;
    same < 20 ? requestAnimationFrame(look) : said(last);
  });
})"""


def test_a_long_line_is_scrolled_in_it_alone(browser: Any, state: tuple[str, Any]) -> None:
    """The caret stays in sight, also when an answer comes while somebody types."""
    visit = Visit(browser, *state, viewport=SMALL)
    page = visit.page
    page.set_default_timeout(60_000)
    visit.open(f"/topic/{SLUG}")
    write(page, NAME, f"{LONG}\nimport time\ntime.sleep(6)\n")
    scroller = page.locator(f"{FORM} .cm-scroller")
    width, inside = scroller.evaluate("(part) => [part.clientWidth, part.scrollWidth]")
    assert inside > 2 * width and page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]
    page.locator(FORM).get_by_role("button", name="Check").click()
    page.locator(f"{FORM} button", has_text="One moment").wait_for()
    editor(page, NAME).press("Control+Home")
    page.keyboard.press("End")
    page.keyboard.type("#")
    before = scroller.evaluate(AT_REST)
    assert before > width
    page.locator(f"{FORM} .verdict.bad").wait_for()
    assert page.locator(f"{FORM} .cm-content:focus").count() == 1
    assert abs(scroller.evaluate(AT_REST) - before) < 2
    page.keyboard.type(" on")
    assert answer(page).startswith(LONG + "# on\n")
    visit.close()


PRINTED = """(form) => matchMedia("print").addEventListener("change", (event) => {
  if (event.matches) window.printed = document.querySelector(`${form} .cm-content`).innerText;
})"""


def test_all_of_a_long_answer_is_printed(visit: Visit) -> None:
    """Also the lines that no screen shows: CodeMirror has only those in the page that are near."""
    page = visit.page
    lines = [f"x{place} = {place}" for place in range(300)]
    write(page, NAME, "\n".join(lines))
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_function("(form) => document.querySelectorAll(`${form} .cm-line`).length < 290", arg=FORM)
    page.evaluate(PRINTED, FORM)
    page.pdf()
    assert page.evaluate("window.printed").split("\n") == lines
    page.emulate_media(media="print")
    assert not page.locator(f"{FORM} .cm-gutters").is_visible(), "lines may be broken on paper"


COLOURS = """(form) => {
  const style = (part) => getComputedStyle(document.querySelector(`${form} ${part}`));
  const { color: numbers, backgroundColor: gutter } = style(".cm-gutters");
  return { ground: style("learn-editor").backgroundColor, caret: style(".cm-content").caretColor,
    text: style(".cm-line").color, numbers, gutter,
    words: [...".k .f .s .m .c".split(" ")].map((kind) => style(`.cm-line ${kind}`).color) };
}"""


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
def test_its_colours_are_those_of_the_theme(browser: Any, state: tuple[str, Any], theme: str) -> None:
    """Also when the theme changes while it is there: nothing of it has a colour of its own."""
    visit = Visit(browser, *state, color_scheme="dark" if theme == "light" else "light")
    page = visit.page
    visit.open(f"/topic/{SLUG}")
    write(page, NAME, "def f():\n    return 'a', 1  # aside")
    page.locator(".theme select").select_option(theme)
    seen = page.evaluate(COLOURS, FORM)
    assert seen["gutter"] == seen["ground"]
    assert (against(seen["ground"], "rgb(0, 0, 0)") < 3) == (theme == "dark")
    for colour in (seen["caret"], seen["text"], seen["numbers"], *seen["words"]):
        assert against(colour, seen["ground"]) >= 4.5, (theme, seen)
    assert len({seen["text"], *seen["words"]}) >= 5
    visit.close()
