"""The pages in a real browser, from the map to an answer that passes, by keys alone; and without a script."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.learn.visiting import FIRST, SLUG, WRITTEN, Visit, editor, enter, serving, write

from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import answer_path, exercise, exercises
from fathom.learn.engine.topic import Question

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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


LONG = "import time\ntime.sleep(8)\n"


def test_what_is_typed_while_a_check_runs_is_kept(browser: Any, state: tuple[str, Any], home: Path) -> None:
    """The verdict comes, the text and the caret stay, and the file on the disk soon holds all of it."""
    visit = Visit(browser, *state)
    visit.open(f"/topic/{SLUG}")
    form, area = visit.page.locator("#exercise-descend"), visit.page.locator("#answer-descend")
    write(visit.page, "descend", LONG)
    form.get_by_role("button", name="Check").click()
    form.locator("button", has_text="One moment").wait_for()
    editor(visit.page, "descend").press("Control+End")
    visit.page.keyboard.type("# a long thought")
    visit.page.wait_for_timeout(2000)  # longer than a text rests until it is kept
    assert not form.locator(".verdict.bad").is_visible(), "the check is over too early for this test"
    form.locator(".verdict.bad").wait_for()
    visit.page.keyboard.type(", typed on")
    written = LONG + "# a long thought, typed on"
    assert area.input_value() == written
    file = answer_path(home, exercise(SLUG, "descend"))
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
