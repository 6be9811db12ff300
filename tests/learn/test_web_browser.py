"""The pages in a real browser, from the map to an answer that passes, by keys alone; and without a script."""

import io
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.learn.visiting import (
    ACCESSIBLE,
    DESKTOP,
    PHONE,
    SLUG,
    WRITTEN,
    Visit,
    against,
    editor,
    enter,
    serving,
    write,
)

from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import answer_path, exercise, exercises
from fathom.learn.engine.progress import Log
from fathom.learn.engine.topic import Question
from fathom.report.style import contrast

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIRST = "one_step"
COMING = next(slug for slug, head in curriculum.heads().items() if not head.written)


def test_a_learner_by_keys_alone(browser: Any, tmp_path: Path) -> None:
    """Map, topic, figure, a guess, a wrong answer and its message, the right one, a quiz; then a restart."""
    with serving(tmp_path) as address:
        visit = Visit(browser, address.partition("/start")[0])
        enter(visit.page, address)
        visit.tab_to(f'.box[href="/topic/{SLUG}"]')
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url(f"**/topic/{SLUG}")
        assert "of 3 exercises" in visit.page.locator("#standing").inner_text()
        for stage in (guess, run_figure, practise, take_quiz):
            stage(visit)
            assert visit.stumbling() == [], stage.__name__
        visit.close()
    with serving(tmp_path) as address:
        visit = Visit(browser, address.partition("/start")[0])
        enter(visit.page, address)
        assert "practising" in visit.page.locator(f'.box[href="/topic/{SLUG}"]').text_content()
        visit.open(f"/topic/{SLUG}")
        assert "1 of 3 exercises, 1 of 4 questions" in visit.page.locator("#standing").inner_text()
        assert "solved" in visit.page.locator(f"#exercise-{FIRST} h3").inner_text()
        assert "w - rate" in visit.page.locator(f"#answer-{FIRST}").input_value()
        visit.close()


def guess(visit: Visit) -> None:
    visit.tab_to('#predict-1 [type="radio"]')
    visit.page.keyboard.press("ArrowDown")
    visit.tab_to("#predict-1 button")
    visit.page.keyboard.press("Enter")
    visit.page.locator("#predict-1 .verdict:focus").wait_for()
    assert "You guessed b." in visit.focused().inner_text()


def run_figure(visit: Visit) -> None:
    """A slider of a figure that stands, then the buttons of one that runs."""
    page = visit.page
    visit.tab_to('[name="slope.w"]')
    page.locator("#figure-slope .panel").wait_for()
    before = page.locator("#figure-slope .say").inner_text()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("(t) => document.querySelector('#figure-slope .say').innerText !== t", arg=before)
    page.wait_for_url("**slope.w=**")
    visit.tab_to('#figure-descent [data-do="step"]')
    say = page.locator("#figure-descent .say")
    page.locator("#figure-descent .panel").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('#figure-descent .say').innerText.startsWith('step 1:')"
    )
    visit.tab_to('#figure-descent [data-do="run"]', "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => /step ([4-9]|\\d\\d):/.test(document.querySelector('#figure-descent .say').innerText)"
    )
    assert visit.focused().inner_text() == "Pause"
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    stood = say.inner_text()
    page.wait_for_timeout(300)
    assert say.inner_text() == stood
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('#figure-descent [data-do=run]').innerText === 'Run again'"
    )
    assert say.inner_text().startswith("step 60")


def practise(visit: Visit) -> None:
    """Type an answer that walks uphill; read what it is; mend it."""
    page, form = visit.page, f"#exercise-{FIRST}"
    visit.tab_to(f"{form} learn-editor *")
    page.locator(f"{form} .cm-content:focus").wait_for()
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    for _ in "raise NotImplementedError":
        page.keyboard.press("Backspace")
    page.keyboard.type("if rate:")
    page.keyboard.press("Enter")  # it indents
    page.keyboard.type("return w + rate * gradient")
    page.keyboard.press("Control+Enter")
    page.locator(f"{form} .verdict.bad:focus").wait_for()
    assert visit.stumbling() == []
    made = exercise(SLUG, FIRST)
    assert made.mistakes["uphill"].split("`")[0] in visit.focused().inner_text()
    visit.tab_to(f"{form} .cm-content", "Shift+Tab")
    assert (
        page.locator(f"#answer-{FIRST}")
        .input_value()
        .endswith("    if rate:\n        return w + rate * gradient\n")
    )
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    for _ in "+ rate * gradient":
        page.keyboard.press("Backspace")
    page.keyboard.type("- rate * gradient")
    page.keyboard.press("Escape")  # there is a way out of the editor
    visit.tab_to(f"{form} .buttons button")
    assert visit.focused().inner_text() == "Check"
    page.keyboard.press("Enter")
    page.locator(f"{form} .verdict.good:focus").wait_for()
    assert "1 of 3 exercises" in page.locator("#standing").inner_text()


def take_quiz(visit: Visit) -> None:
    block = next(iter(curriculum.topic(SLUG).every(Question)))
    right = next(place for place, option in enumerate(block.options) if option.right)
    visit.tab_to('#quiz-1 [type="radio"]')
    visit.page.keyboard.press("Space")
    for _ in range(right):
        visit.page.keyboard.press("ArrowDown")
    visit.tab_to("#quiz-1 button")
    visit.page.keyboard.press("Enter")
    visit.page.locator("#quiz-1 .verdict.good:focus").wait_for()
    assert "1 of 4 questions" in visit.page.locator("#standing").inner_text()


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


@pytest.mark.parametrize("slug", WRITTEN)
def test_every_figure_and_exercise_of_a_page_works(browser: Any, state: tuple[str, Any], slug: str) -> None:
    """Each figure draws and says something; each exercise begins red and its solution passes.

    The last milestone of a project grades what its owner's program made: ``test_project_whole`` goes there.
    """
    visit = Visit(browser, *state)
    visit.open(f"/topic/{slug}")
    last = exercises(slug)[-1] if curriculum.heads()[slug].kind == "project" else None
    for figure in visit.page.locator("learn-figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".panel").first.wait_for()
        assert len(figure.locator(".say").inner_text()) > 10
    for name in exercises(slug):
        form = visit.page.locator(f"#exercise-{name}")
        form.get_by_role("button", name="Check").click()
        said = form.locator(".verdict.bad").inner_text(timeout=60_000)  # the first one waits for torch
        assert "Nothing here yet" in said
        if name == last:
            continue
        write(visit.page, name, exercise(slug, name).solution)
        form.get_by_role("button", name="Check").click()
        form.locator(".verdict.good").wait_for(timeout=60_000)  # a milestone may train
    visit.close()


def test_a_knob_can_be_dragged(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    visit.open(f"/topic/{SLUG}")
    figure = visit.page.locator("#figure-descent")
    figure.scroll_into_view_if_needed()
    knob = figure.locator('.handle[data-control="start"]')
    box, area = knob.bounding_box(), figure.locator(".panel").first.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visit.page.mouse.down()
    visit.page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2, steps=8)
    visit.page.mouse.up()
    visit.page.wait_for_function(
        "() => /w = (0\\.[5-9]|1)/.test(document.querySelector('#figure-descent .say').innerText)"
    )
    # The picture of the last move may still be on its way: it must arrive, and show the knob there.
    visit.page.wait_for_function(
        """(goal) => {
          const knob = document.querySelector('#figure-descent .handle[data-control="start"]');
          const box = knob.getBoundingClientRect();
          return Math.abs(box.x + box.width / 2 - goal) < 3;
        }""",
        arg=area["x"] + area["width"] / 2,
    )
    assert 0.5 < float(figure.locator('[name="descent.start.x"]').input_value()) < 2
    visit.close()


SAYS = "([name, words]) => document.querySelector(`#figure-${name} .say`).innerText.includes(words)"


def test_a_sentence_of_ones_own_is_typed_by_keys(browser: Any, state: tuple[str, Any]) -> None:
    """Typing takes the own sentence by itself; a fault is told; the address keeps what was typed."""
    visit = Visit(browser, *state)
    visit.open("/topic/attention#figure-look")
    visit.page.locator("#figure-look .panel").first.wait_for()
    visit.tab_to('#figure-look [name="look.mine"]')
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.type("a fox <b>ran</b> because it fell")
    visit.page.wait_for_function(SAYS, arg=["look", "'it' takes the most, 48%, from 'fox'"])
    assert visit.page.locator('[name="look.sentence"]').input_value() == "your own"
    assert "<b>ran</b>" in visit.page.locator("#figure-look .panel.tokens").text_content()
    visit.page.keyboard.type(" a b c d e")
    visit.page.wait_for_function(SAYS, arg=["look", "your own sentence takes at most 10 words, not 11"])
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.type("she sang it")
    visit.page.wait_for_function(SAYS, arg=["look", "counts as a pronoun"])
    visit.page.wait_for_url("**look.mine=she+sang+it*")
    assert all("400" in said for said in visit.complaints), visit.complaints  # the browser's own word of it
    visit.complaints.clear()
    visit.page.reload()
    visit.page.wait_for_function(SAYS, arg=["look", "counts as a pronoun"])
    visit.close()


def test_a_kernel_is_written_and_a_picture_drawn(browser: Any, state: tuple[str, Any]) -> None:
    """By keys: a number, a step through the cells, a sign. Then by pointer, over several cells; then none."""
    visit = Visit(browser, *state)
    page, cell = visit.page, "#figure-picture [role=gridcell]"
    visit.open("/topic/convolution#figure-picture")
    page.locator("#figure-picture .panel").first.wait_for()
    visit.tab_to('[name="picture.weights.2.2"]')
    page.keyboard.type("7")
    page.wait_for_function(SAYS, arg=["picture", "-1.95 to 8.91"])
    assert page.locator('[name="picture.kernel"]').input_value() == "your own"
    assert page.locator("#figure-picture .panel.matrix").text_content().endswith("7")
    visit.tab_to(cell)
    for key in ("ArrowUp", "ArrowDown", "End", "ArrowRight", "ArrowLeft", " "):
        page.keyboard.press(key)
    page.wait_for_function(SAYS, arg=["picture", "You drew 55 of 196 cells"])
    assert page.evaluate("document.activeElement.ariaLabel") == "row 2, column 13"
    assert page.locator('[name="picture.picture"]').input_value() == "your own"
    first, last = (page.locator(cell).nth(place).bounding_box() for place in (0, 13))
    page.mouse.move(first["x"] + 3, first["y"] + 3)
    page.mouse.down()
    page.mouse.move(last["x"] + 3, last["y"] + 3, steps=60)
    page.mouse.up()
    page.wait_for_function(SAYS, arg=["picture", "You drew 69 of 196 cells"])
    page.wait_for_url("**picture.drawn=11111111111111-00000000000010-*")
    assert visit.stumbling() == []
    page.reload()
    page.wait_for_function(SAYS, arg=["picture", "You drew 69 of 196 cells"])
    page.locator("#figure-picture").get_by_role("button", name="Clear").click()
    page.wait_for_function(SAYS, arg=["picture", "You drew 0 of 196 cells"])
    page.locator('[name="picture.weights.0.0"]').fill("")
    page.wait_for_function(SAYS, arg=["picture", "your own kernel, row 1, column 1 takes a number; nothing"])
    visit.complaints = [said for said in visit.complaints if "400" not in said]
    visit.close()


def test_a_table_of_ones_own_is_learned(browser: Any, state: tuple[str, Any], tmp_path: Path) -> None:
    """From a file, and pasted; a fault is told; nothing of it stands in the address."""
    visit = Visit(browser, *state)
    page, figure = visit.page, visit.page.locator("#figure-boundary")
    visit.open("/topic/mlp#figure-boundary")
    figure.locator(".panel").first.wait_for()
    file = tmp_path / "pets.csv"
    file.write_text("long,wide,pet\n1,2,cat\n2,3,cat\n5,1,dog\n4,2,dog\n6,1.5,dog\n", encoding="utf-8")
    figure.locator("[type=file]").set_input_files(file)
    page.wait_for_function(SAYS, arg=["boundary", "5 points: dots are cat, squares are dog"])
    assert page.locator('[name="boundary.data"]').input_value() == "your own"
    figure.get_by_role("button", name="Run").click()
    page.wait_for_function(SAYS, arg=["boundary", "step 400:"])
    assert "long, standardised" in figure.locator(".panel").first.text_content()
    figure.locator("textarea").fill("1,2,cat\n" * 4 + "2,x,dog")
    page.wait_for_function(SAYS, arg=["boundary", "your own data: line 5: 'x' is no number"])
    file.write_bytes(b"1,2,a\n" * 11000)
    figure.locator("[type=file]").set_input_files(file)
    page.wait_for_function(SAYS, arg=["boundary", "pets.csv has more than 64 KiB"])
    figure.locator("textarea").evaluate("""(area) => {
      area.value = "1 2 3 4\\n".repeat(9000);
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }""")
    page.wait_for_function(SAYS, arg=["boundary", "your own data takes at most 64 KiB"])
    page.wait_for_url("**boundary.data=your+own*")
    assert "cat" not in page.url and "mine" not in page.url
    visit.complaints = [said for said in visit.complaints if "400" not in said]
    visit.close()


def test_the_program_below_a_figure_follows_its_controls(browser: Any, state: tuple[str, Any]) -> None:
    """Open, it is written anew for each move; closed, when it is opened. What cannot be drawn has none."""
    holds = "(words) => document.querySelector('#figure-slope .program').textContent.includes(words)"
    visit = Visit(browser, *state)
    page, figure = visit.page, visit.page.locator("#figure-slope")
    visit.open(f"/topic/{SLUG}#figure-slope")
    figure.locator(".panel").first.wait_for()
    field = figure.locator("[type=range]").first
    field.fill("1")
    field.press("ArrowRight")
    figure.locator("summary").click()
    page.wait_for_function(holds, arg=f"'w': {field.input_value()}")
    field.fill("-0.5")
    page.wait_for_function(holds, arg="'w': -0.5")
    assert "slope.frames({" in figure.locator(".program pre.code").text_content()
    field.evaluate("(range) => { range.type = 'text'; range.value = 'x'; }")
    field.dispatch_event("input")
    page.wait_for_function(holds, arg="takes a number; 'x' was given")
    visit.complaints = [said for said in visit.complaints if "400" not in said]
    visit.close()


def test_what_needs_a_script_shows_its_example_without_one(browser: Any, state: tuple[str, Any]) -> None:
    """What is typed works as any field; a table is not sent, so that no address holds it."""
    visit = Visit(browser, *state, java_script_enabled=False)
    visit.open("/topic/attention")
    figure = visit.page.locator("#figure-look")
    figure.locator("[type=text]").fill("one two")
    figure.locator("select").first.select_option("your own")
    figure.locator("button", has_text="Draw").click()
    assert "look.mine=one+two" in visit.page.url
    figure.locator("img").scroll_into_view_if_needed()
    picture = visit.context.request.get(visit.base + figure.locator("img").get_attribute("src"))
    assert picture.ok and ">two</text>" in picture.text() and "tired" not in picture.text()
    visit.open("/topic/mlp")
    figure = visit.page.locator("#figure-boundary")
    assert figure.locator("textarea").is_disabled() and "mouse" in figure.locator("textarea").input_value()
    figure.locator("select").first.select_option("your own")
    figure.locator("button", has_text="Draw").click()
    assert "boundary.data=your+own" in visit.page.url and "mine" not in visit.page.url
    visit.open("/topic/convolution?picture.weights.0.0=2&picture.weights.0.1=x")
    assert "row 1, column 2 takes a number; x was given" in visit.page.locator("main").inner_text()
    visit.complaints.clear()  # the 400
    visit.close()


def test_a_setting_in_the_address_is_the_one_that_is_drawn(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    visit.open(f"/topic/{SLUG}?slope.w=1&slope.rate=0#figure-slope")
    visit.page.wait_for_function(
        "() => document.querySelector('#figure-slope .say').innerText.startsWith('At w = 1.00')"
    )
    assert visit.page.locator("#figure-slope .controls b").all_inner_texts() == ["1", "1"]
    visit.close()


def test_run_begins_also_while_the_first_picture_is_being_drawn(browser: Any, state: tuple[str, Any]) -> None:
    """Who is quicker than the first frame must not have stopped it: the button said Run."""
    visit = Visit(browser, *state)
    visit.open(f"/topic/{SLUG}")
    visit.page.wait_for_function("() => customElements.get('learn-figure')")
    visit.page.evaluate("""() => {
      const figure = document.querySelector('#figure-descent');
      figure.play({ frames: 1, anew: true });
      figure.querySelector('[data-do=run]').click();
    }""")
    assert visit.page.locator('#figure-descent [data-do="run"]').inner_text() == "Pause"
    visit.page.wait_for_function(
        "() => document.querySelector('#figure-descent .say').innerText.startsWith('step 3')"
    )
    visit.close()


HIDDEN_MARKS = """() => [...document.querySelectorAll(".mark")].filter((mark) => {
  const parts = [mark, mark.closest(".noted"), mark.closest("pre")];
  const [own, line, code] = parts.map((part) => part.getBoundingClientRect());
  const middle = (own.top + own.bottom) / 2;
  const beside = middle >= line.top && middle <= line.bottom;
  return !own.width || own.left < code.left || own.right > code.right || !beside;
}).map((mark) => mark.title)"""


def test_the_number_of_every_note_is_in_sight_beside_its_line(browser: Any, state: tuple[str, Any]) -> None:
    """However long the line is: nobody has to scroll to see that something is said of it."""
    visit = Visit(browser, *state)
    seen = 0
    for slug in WRITTEN:
        visit.open(f"/topic/{slug}")
        assert visit.page.evaluate(HIDDEN_MARKS) == [], slug
        seen += visit.page.locator(".mark").count()
    assert seen > 80
    visit.close()


ENDLESS = "def descend(*given):\n    while True: pass\n"


def test_what_is_typed_while_a_check_runs_is_kept(browser: Any, tmp_path: Path) -> None:
    """The verdict comes, the text and the caret stay, and the file on the disk soon holds all of it."""
    with serving(tmp_path) as address:
        visit = Visit(browser, address.partition("/start")[0])
        enter(visit.page, address)
        visit.open(f"/topic/{SLUG}")
        form, area = visit.page.locator("#exercise-descend"), visit.page.locator("#answer-descend")
        write(visit.page, "descend", ENDLESS)
        form.get_by_role("button", name="Check").click()
        form.locator("button", has_text="One moment").wait_for()
        editor(visit.page, "descend").press("Control+End")
        visit.page.keyboard.type("# a long thought")
        visit.page.wait_for_timeout(2000)  # longer than a text rests until it is kept
        assert not form.locator(".verdict.bad").is_visible(), "the check is over too early for this test"
        form.locator(".verdict.bad").wait_for()
        visit.page.keyboard.type(", typed on")
        written = ENDLESS + "# a long thought, typed on"
        assert area.input_value() == written
        file = answer_path(tmp_path, exercise(SLUG, "descend"))
        end = time.monotonic() + 10
        while file.read_text() != written and time.monotonic() < end:
            visit.page.wait_for_timeout(100)
        assert file.read_text() == written
        form.get_by_role("button", name="A hint").click()  # what the page knows of the file is the newest
        form.locator(".hints").wait_for()
        assert area.input_value() == written and not form.get_by_text("Not saved").is_visible()
        visit.close()


def test_a_reader_without_scripts_has_everything(browser: Any, state: tuple[str, Any]) -> None:
    """Text, formulas, code, map and figures are there; an exercise is sent and answered."""
    visit = Visit(browser, *state, java_script_enabled=False)
    page = visit.page
    visit.open("/")
    assert page.locator(".atlas .box").count() == 80 and page.locator(".topics > li").count() == 80
    visit.open(f"/topic/{SLUG}?slope.w=1#figure-slope")
    formula = page.locator(".formula math").first.bounding_box()
    assert formula["width"] > 40 and formula["height"] > 15 and not page.locator(".katex").count()
    picture = page.locator("#figure-slope img")
    picture.scroll_into_view_if_needed()
    page.wait_for_timeout(100)
    end = time.monotonic() + 15
    while not picture.evaluate("(node) => node.naturalWidth") and time.monotonic() < end:
        page.wait_for_timeout(100)
    assert picture.evaluate("(node) => node.naturalWidth") > 0 and picture.bounding_box()["width"] > 500
    alone = page.locator("#figure-slope a", has_text="The picture alone").get_attribute("href")
    assert alone == picture.get_attribute("src")
    written = page.request.get(visit.base + alone).text()
    assert re.search(r"<text [^>]*>At w = 1\.00", written), "the sentence is in the picture, to be read"
    page.locator("#figure-slope button", has_text="Draw").click()
    assert "slope.w=1" in page.url and "slope.rate=" in page.url
    page.locator("#answer-line_slope").fill("def line_slope(w, b, x, y):\n    return 1 / 0\n")
    page.locator("#exercise-line_slope").get_by_role("button", name="Check").click()
    assert page.url.endswith(f"/topic/{SLUG}#exercise-line_slope")
    assert "ZeroDivisionError" in page.locator("#exercise-line_slope .verdict.bad").inner_text()
    page.locator("#quiz-2 [type=radio]").first.check()
    page.locator("#quiz-2 button").click()
    assert page.locator("#quiz-2 .verdict").is_visible()
    visit.close()


def test_a_stranger_is_told_how_to_come_in(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, state[0])
    visit.open(f"/topic/{SLUG}")
    assert "fathom learn printed" in visit.page.locator("main").inner_text()
    visit.complaints.clear()  # the 401
    visit.close()


def test_what_stops_a_server_is_said_on_the_page(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        visit = Visit(browser, address.partition("/start")[0])
        enter(visit.page, address)
        visit.open(f"/topic/{SLUG}")
    visit.page.locator("#quiz-1 [type=radio]").first.check()
    visit.page.locator("#quiz-1 button").click()
    assert "Is fathom learn still running?" in visit.page.locator("#quiz-1 .verdict").inner_text()
    visit.context.close()


def test_it_ends_at_once_while_a_figure_runs(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        visit = Visit(browser, address.partition("/start")[0])
        enter(visit.page, address)
        visit.open(f"/topic/{SLUG}")
        visit.page.locator('#figure-descent [data-do="pace"]').select_option("very slow")
        visit.page.locator('#figure-descent [data-do="run"]').click()
        visit.page.wait_for_function(
            "() => document.querySelector('#figure-descent .say').innerText.startsWith('step 1')"
        )
        began = time.monotonic()
    # The figure would go on for minutes; whoever is still answered is cut off after three seconds.
    assert time.monotonic() - began < 10
    visit.context.close()


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
