"""What the pages look like in a real browser: for everyone, in every theme, on paper, with few colours."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.learn.visiting import (
    ACCESSIBLE,
    DESKTOP,
    FIRST,
    PHONE,
    SLUG,
    WRITTEN,
    Visit,
    against,
    editor,
    enter,
    serving,
)

from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import exercises
from fathom.learn.engine.progress import Log
from fathom.learn.engine.topic import SourceBlock
from fathom.report.style import contrast

pytestmark = [pytest.mark.browser, pytest.mark.slow]

COMING = next(slug for slug, head in curriculum.heads().items() if not head.written)
HIDDEN_MARKS = """() => [...document.querySelectorAll(".mark")].filter((mark) => {
  const parts = [mark, mark.closest(".noted"), mark.closest("pre")];
  const [own, line, code] = parts.map((part) => part.getBoundingClientRect());
  const middle = (own.top + own.bottom) / 2;
  const beside = middle >= line.top && middle <= line.bottom;
  return !own.width || own.left < code.left || own.right > code.right || !beside;
}).map((mark) => mark.title)"""
PAGES = ["/", "/?roadmap=002&hours=6", "/progress", "/library/lenet", f"/topic/{COMING}", "/nothing"]


@pytest.mark.parametrize("path", PAGES + [f"/topic/{slug}" for slug in WRITTEN])
def test_nobody_stumbles(browser: Any, state: tuple[str, Any], path: str) -> None:
    """Names, headings, contrast, nothing out of reach and nothing wider than the screen, in every theme.

    The page is opened once, for its figures and editors take seconds, and then seen in three ways. In light
    and in dark axe-core is asked too: it knows more rules.
    """
    visit = Visit(browser, *state, viewport=PHONE, reduced_motion="reduce")
    visit.open(path)
    for details in visit.page.locator("details").all():
        details.evaluate("(node) => node.open = true")
    for figure in visit.page.locator("learn-figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".panel").first.wait_for(timeout=60_000)  # the first one waits for torch
    slug = path.removeprefix("/topic/")
    for name in exercises(slug) if slug in WRITTEN else ():
        editor(visit.page, name)
    looks = (("light", PHONE, ""), ("dark", DESKTOP, ""), ("light", DESKTOP, "contrast"))
    for scheme, viewport, theme in looks:
        visit.page.emulate_media(color_scheme=scheme)
        visit.page.set_viewport_size(viewport)
        visit.page.locator("#theme").select_option(theme)
        assert visit.page.evaluate(ACCESSIBLE) == [], (scheme, theme)
        assert theme or visit.stumbling() == [], scheme
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert visit.page.evaluate(HIDDEN_MARKS) == [], "the number of a note is out of sight of its line"
    quotes = curriculum.topic(slug).every(SourceBlock) if slug in WRITTEN else ()
    assert visit.page.locator(".mark").count() == sum(len(quote.margins) for quote in quotes)
    visit.complaints = [text for text in visit.complaints if path != "/nothing"]  # a 404 is one
    visit.close()


def test_axe_finds_what_a_page_may_not_have(browser: Any, state: tuple[str, Any]) -> None:
    """The same question, of a page that was spoilt: a name, a contrast and an attribute are wrong."""
    visit = Visit(browser, *state)
    visit.open("/progress")
    visit.page.evaluate("""() => {
      const main = document.querySelector("main");
      for (const [tag, more] of [["input", {}], ["p", { textContent: "faint" }], ["div", {}]]) {
        main.append(Object.assign(document.createElement(tag), more));
      }
      main.querySelector("p:last-of-type").style.color = "#eee";
      main.lastElementChild.setAttribute("role", "buton");
    }""")
    found = {text.partition(" ")[0] for text in visit.stumbling()}
    assert {"label", "color-contrast", "aria-roles"} <= found, found
    visit.complaints.clear()  # the page's policy allows no style of an element
    visit.close()


# What a learner looks at -> (page, where it is, share of it that is drawn on at least and at most).
SEEN = {
    "map": ("/", ".atlas", 0.02, 0.6),
    "formula": (f"/topic/{SLUG}", ".formula .katex >> nth=0", 0.02, 0.5),
    "code": (f"/topic/{SLUG}", ".quote >> nth=0", 0.02, 0.6),
    "figure": (f"/topic/{SLUG}", "#figure-descent .panel >> nth=0", 0.01, 0.9),
    "exercise": (f"/topic/{SLUG}", f"#exercise-{FIRST} learn-editor", 0.01, 0.6),
    "quiz": (f"/topic/{SLUG}", "#quiz-1", 0.01, 0.6),
    "progress": ("/progress", "main", 0.005, 0.6),
}  # fmt: skip


@pytest.mark.parametrize("what", SEEN)
def test_lp05_what_is_looked_at_is_drawn_in_both_themes(
    browser: Any, state: tuple[str, Any], what: str
) -> None:
    """A picture of the screen shows something, and not a black box; in the dark the ground is dark.

    That the pages fetch nothing from elsewhere is seen at the end of every visit, and that all their code
    does what they say in test_topics.py.
    """
    path, place, least, most = SEEN[what]
    grounds = []
    for scheme in ("light", "dark"):
        visit = Visit(browser, *state, color_scheme=scheme)
        visit.open(path)
        visit.page.locator(place.split()[0]).first.scroll_into_view_if_needed()  # a figure is drawn only then
        shot = visit.page.locator(place).screenshot(animations="disabled")
        picture = Image.open(io.BytesIO(shot)).convert("L")
        counts = picture.histogram()
        ground = max(range(256), key=counts.__getitem__)
        drawn = 1 - sum(counts[max(0, ground - 8) : ground + 9]) / (picture.width * picture.height)
        assert least < drawn < most, (scheme, drawn)
        grounds.append(ground)
        visit.close()
    assert grounds[0] > 200 and grounds[1] < 80, grounds


# -- on paper, and with the few colours of a system ------------------------------------------------------
PRESSED = (
    ".top, .views, .contents, .controls, .buttons, button, learn-figure input, .cm-gutters, .skip, #meaning"
)
READ = {  # what must be there on paper -> how many of it at least
    "h1": 1, "article p": 10, ".formula .katex": 3, "pre.code": 3, ".quote pre": 1, ".panel": 2, ".say": 2,
    ".question .option": 8, ".exercise h3": 3, ".pitfalls li": 9,
}  # fmt: skip
CUT_OFF = """() => [...document.querySelectorAll("pre, learn-editor, .panel, table")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().width > 0)
  .filter((node) => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX !== "visible")
  .map((node) => node.className || node.tagName)"""


def drawn(page: Any) -> None:
    """Have every figure of the page drawn, as somebody does who reads it."""
    for figure in page.locator("learn-figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".panel").first.wait_for()


def shown(page: Any, selector: str) -> int:
    return sum(node.is_visible() for node in page.locator(selector).all())


def test_a_topic_on_paper_is_what_is_read(browser: Any, state: tuple[str, Any]) -> None:
    """Text, formulas, code, pictures and a whole answer; nothing to press, and no line cut off."""
    visit = Visit(browser, *state, viewport={"width": 680, "height": 900}, color_scheme="dark")
    page = visit.page
    visit.open(f"/topic/{SLUG}")
    drawn(page)
    editor(page, FIRST)
    assert shown(page, PRESSED) > 10
    page.emulate_media(media="print", color_scheme="dark")
    assert shown(page, PRESSED) == 0
    for selector, least in READ.items():
        assert shown(page, selector) >= least, selector
    answer = page.locator(f"#exercise-{FIRST} learn-editor")
    given = answer.locator("textarea").input_value()  # the start, or what an earlier test wrote
    assert "return" in given or "raise" in given
    assert "\n".join(answer.locator(".cm-line").all_text_contents()) == given and page.evaluate(CUT_OFF) == []
    ground = "(s) => getComputedStyle(document.querySelector(s))"
    assert page.evaluate(f"{ground}.backgroundColor", "body") == "rgb(255, 255, 255)"
    assert page.evaluate("(s) => getComputedStyle(document.querySelector(s)).color", "body") == (
        "rgb(23, 33, 43)"
    )
    visit.close()


def test_what_is_folded_on_a_page_is_printed(browser: Any, state: tuple[str, Any]) -> None:
    """The program of a project, and the mistakes of many exercises; the code of a figure is aside."""
    visit = Visit(browser, *state)
    for path, inside in (("/topic/digits", "article > details code"), ("/topic/tensors", ".pitfalls li")):
        visit.open(path)
        visit.page.emulate_media(media="screen")
        folded = visit.page.locator(inside).last
        assert not folded.is_visible()
        visit.page.emulate_media(media="print")
        assert folded.is_visible() and shown(visit.page, "learn-figure details") == 0
    visit.close()


def test_a_figure_that_nobody_looked_at_says_so_on_paper(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    visit.open(f"/topic/{SLUG}")
    visit.page.emulate_media(media="print")
    told = "(n) => getComputedStyle(document.querySelectorAll('.stage')[n], '::before').content"
    assert "scroll to this figure" in visit.page.evaluate(told, 1)
    visit.page.emulate_media(media="screen")
    drawn(visit.page)
    visit.page.emulate_media(media="print")
    assert visit.page.evaluate(told, 1) == "none"
    visit.close()


@pytest.mark.parametrize("viewport", [{"width": 680, "height": 900}, DESKTOP], ids=["sheet", "wide"])
def test_the_map_on_paper_is_whole(browser: Any, state: tuple[str, Any], viewport: dict[str, int]) -> None:
    """Every topic stands in the list, and where the paper is wide, in the picture too."""
    visit = Visit(browser, *state, viewport=viewport)
    visit.open("/")
    visit.page.emulate_media(media="print")
    assert shown(visit.page, PRESSED) == 0
    assert shown(visit.page, ".topics > li") == len(curriculum.heads())
    boxes = len(curriculum.heads()) if viewport == DESKTOP else 0
    assert shown(visit.page, ".atlas .box") == boxes
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    visit.close()


SPILT = """() => [...document.querySelectorAll(".atlas .box")].filter((box) => {
  const outer = box.querySelector("rect").getBBox();
  return [...box.querySelectorAll("text")].map((text) => text.getBBox()).some((inner, place, all) =>
    inner.x < outer.x + 4 || inner.x + inner.width > outer.x + outer.width - 4
    || inner.y < outer.y || inner.y + inner.height > outer.y + outer.height
    || (place > 0 && inner.y + 4.5 < all[place - 1].y + all[place - 1].height));
}).map((box) => box.textContent)"""


def test_a_picture_fills_a_phone(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state, viewport=PHONE)
    visit.open("/topic/optimizers")
    drawn(visit.page)
    wide = [panel.bounding_box()["width"] for panel in visit.page.locator(".panel").all()]
    assert len(wide) == 5 and min(wide) > 0.85 * PHONE["width"], wide
    visit.close()


def test_what_is_written_in_a_box_of_the_map_fits(browser: Any, tmp_path: Path) -> None:
    """At the beginning, and with the longest words that a topic and a project can have."""
    log = Log(tmp_path)
    with serving(tmp_path) as address:
        visit = Visit(browser, address.partition("/start")[0])
        enter(visit.page, address)
        assert visit.page.evaluate(SPILT) == []
        assert "not begun, 0 of 7 milestones" in visit.page.locator('.box[data-slug="digits"]').text_content()
        for slug in WRITTEN:
            log.append("skip", slug)
        visit.open("/")
        assert "taken as known, 0 of 7" in visit.page.locator('.box[data-slug="digits"]').text_content()
        assert visit.page.evaluate(SPILT) == []
        visit.close()


@pytest.mark.parametrize("wide, there", [(390, False), (660, True), (1000, True)])
def test_the_map_is_there_on_a_screen_that_is_no_phone(
    browser: Any, state: tuple[str, Any], wide: int, there: bool
) -> None:
    """Where it is wider than the screen it is scrolled, not the page; a phone shows the list, and says so."""
    visit = Visit(browser, *state, viewport={"width": wide, "height": 800})
    visit.open("/")
    assert visit.page.locator(".atlas").is_visible() == there
    assert visit.page.get_by_text("A wider screen shows").is_visible() != there
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= wide
    if there:
        box = visit.page.locator(".atlas .box").last
        box.focus()
        place = box.bounding_box()
        assert 0 <= place["x"] and place["x"] + place["width"] <= wide, "the focus is brought into sight"
        assert place["width"] > 150, "and can be read"
    visit.close()


LINES = """() => [...document.querySelectorAll(".panel")].map((panel) => ({
  ground: getComputedStyle(panel).backgroundColor,
  lines: [...panel.querySelectorAll(".themed polyline")].map((line) => getComputedStyle(line).stroke),
  words: [...panel.querySelectorAll(".themed text")].map((text) => getComputedStyle(text).fill),
}))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_keep_their_colours_where_the_system_has_few(
    browser: Any, state: tuple[str, Any], scheme: str
) -> None:
    """Their lines differ from the ground and from each other, and what is written in them can be read."""
    visit = Visit(browser, *state, forced_colors="active", color_scheme=scheme)
    visit.open(f"/topic/{SLUG}")
    drawn(visit.page)
    panels = visit.page.evaluate(LINES)
    assert max(len(set(panel["lines"])) for panel in panels) >= 3
    for panel in panels:
        assert panel["words"] and all(against(word, panel["ground"]) >= 4.5 for word in panel["words"]), panel
        assert all(against(line, panel["ground"]) >= 3 for line in panel["lines"]), panel
    visit.close()


REACHED = {  # page -> what can have the focus there, of each kind, and the part around which that is shown
    "/": {
        f'.box[href="/topic/{SLUG}"]': "rect", '.views a[href="/?track=beginner"]': "", ".top nav a": "",
        ".views button": "",
    },
    f"/topic/{SLUG}": {
        '#predict-1 [type="radio"]': "#predict-1 .option", '[name="slope.w"]': "", '[data-do="pace"]': "",
        f"#exercise-{FIRST} .cm-content": f"#exercise-{FIRST} learn-editor",
        f"#exercise-{FIRST} .buttons button": "",
        "article summary": "",
    },
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", REACHED)
def test_the_focus_is_seen_where_the_system_has_few_colours(
    browser: Any, state: tuple[str, Any], path: str, scheme: str
) -> None:
    """The screen changes where the focus comes, and clearly: many of its points are another colour then."""
    visit = Visit(browser, *state, forced_colors="active", color_scheme=scheme, reduced_motion="reduce")
    page = visit.page
    visit.open(path)
    drawn(page)
    for selector, around in REACHED[path].items():
        part = page.locator(selector).first
        place = part.locator(around) if around == "rect" else page.locator(around or selector).first
        place.evaluate("(node) => node.scrollIntoView({ block: 'center' })")
        box = place.bounding_box()
        before = seen_around(page, box)
        part.evaluate("(node) => node.focus({ preventScroll: true })")
        page.keyboard.press("Shift")  # a key: the browser then shows where it is
        changed = Counter(p for p in zip(before, seen_around(page, box), strict=True) if p[0] != p[1])
        clear = sum(times for pair, times in changed.items() if contrast(*pair) >= 3)
        assert clear > 100, (selector, changed.most_common(9))
        page.evaluate("document.activeElement.blur()")
    visit.close()


def seen_around(page: Any, box: dict[str, float]) -> list[str]:
    """The colours of the screen in a box and a little around it, point by point."""
    around = {"x": max(box["x"] - 12, 0), "y": max(box["y"] - 12, 0)}
    around |= {"width": box["width"] + 24, "height": box["height"] + 24}
    shot = page.screenshot(clip=around, animations="disabled", caret="hide")
    points = Image.open(io.BytesIO(shot)).convert("RGB").tobytes()
    return [f"#{points[place : place + 3].hex()}" for place in range(0, len(points), 3)]
