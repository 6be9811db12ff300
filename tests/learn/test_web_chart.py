"""Charts in a real browser: they take the place of pictures of lines, and tell what stands at a place."""

import io
from typing import Any

import pytest
from PIL import Image
from tests.learn.visiting import ACCESSIBLE, PHONE, Visit

from fathom.learn.engine import curriculum
from fathom.learn.engine.figure import load_figures
from fathom.learn.engine.marks import Panel
from fathom.learn.engine.scale import short
from fathom.learn.web.curves import numbers
from fathom.report.style import SERIES

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STANDS, RUNS = ("optimizers", "together"), ("gradient-descent", "descent")
PATIENCE = 120_000  # milliseconds: the first figure waits until the worker has begun
TOLD = '(node) => [...node.querySelectorAll("td")].map((cell) => cell.textContent)'


def come(browser: Any, state: tuple[str, Any], figure: tuple[str, str], **options: Any) -> tuple[Visit, Any]:
    """A visit to a page, and the chart of one of its figures."""
    visit = Visit(browser, *state, **options)
    visit.page.set_default_timeout(PATIENCE)
    visit.open(f"/topic/{figure[0]}")
    shown = visit.page.locator(f"#figure-{figure[1]}")
    shown.scroll_into_view_if_needed()
    chart = shown.locator("learn-curves[data-live]").first
    chart.wait_for()
    return visit, chart


def lines(figure: tuple[str, str], frame: int = 0) -> Panel:
    """The panel of lines of a figure as its code draws it."""
    folder = curriculum.heads()[figure[0]].folder
    assert folder is not None
    for place, drawn in enumerate(load_figures(folder)[figure[1]].frames({})):
        if place == frame:
            return drawn.panels[-1]
    raise AssertionError("so many frames it does not have")


def at(panel: Panel, place: int) -> list[str]:
    """What a chart of curves over the same x tells of one of its places."""
    (table,) = numbers(panel)["tables"]
    return [short(float(column[place])) for column in table]


def pixels(chart: Any) -> set[tuple[int, ...]]:
    shot = chart.locator(".plot").screenshot(animations="disabled")
    points = Image.open(io.BytesIO(shot)).convert("RGB").tobytes()
    return {tuple(points[place : place + 3]) for place in range(0, len(points), 3)}


def test_a_chart_tells_the_values_under_the_pointer(browser: Any, state: tuple[str, Any]) -> None:
    """Those of the figure's own numbers, at the end of the lines or where the pointer is."""
    visit, chart = come(browser, state, STANDS)
    panel = lines(STANDS)
    assert chart.evaluate(TOLD) == at(panel, -1)
    over = chart.locator(".u-over")
    box = over.bounding_box()
    for step in (40, 7):  # of 80
        over.hover(position={"x": box["width"] * step / 80, "y": 20})
        assert chart.evaluate(TOLD) == at(panel, step)
    names = chart.locator("th").all_inner_texts()
    assert names == ["step", *(mark.name for mark in panel.marks)]
    visit.page.locator("#figure-together .say").hover()
    assert chart.evaluate(TOLD) == at(panel, -1)
    visit.close()


def test_a_chart_is_read_by_keys_alone(browser: Any, state: tuple[str, Any]) -> None:
    """It has a name, shows the focus, and says the values where the keys went."""
    visit, chart = come(browser, state, STANDS)
    panel = lines(STANDS)
    visit.page.locator("#figure-together select").focus()
    visit.tab_to("#figure-together .plot")
    plot = chart.get_by_role("slider", name="Height above the lowest place")
    for key, place in (("Home", 0), ("ArrowRight", 1), ("PageUp", 9), ("ArrowLeft", 8), ("End", 80)):
        visit.page.keyboard.press(key)
        told = at(panel, place)
        assert chart.evaluate(TOLD) == told, key
        said = plot.get_attribute("aria-valuetext")
        assert said.startswith(f"step {told[0]}: plain SGD {told[1]}, momentum {told[2]}, "), said
        assert plot.get_attribute("aria-valuenow") == str(place)
    visit.page.keyboard.press("ArrowLeft")
    visit.page.keyboard.press("Escape")
    assert chart.evaluate(TOLD) == at(panel, -1)
    assert visit.stumbling() == []
    visit.close()


def test_a_chart_goes_on_with_its_figure(browser: Any, state: tuple[str, Any]) -> None:
    """Frames come and it stays the same chart; a place that was looked at stays where it is."""
    visit, chart = come(browser, state, RUNS)
    page = visit.page
    page.evaluate("document.querySelector('#figure-descent canvas').mine = true")
    chart.locator(".plot").focus()
    said = "(start) => document.querySelector('#figure-descent .say').innerText.startsWith(start)"
    for step in (1, 2, 3):
        page.locator('#figure-descent [data-do="step"]').click()
        page.wait_for_function(said, arg=f"step {step}:")
        assert chart.evaluate(TOLD) == at(lines(RUNS, step), -1)
    chart.locator(".plot").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.evaluate("document.querySelector('#figure-descent [data-do=run]').click()")
    page.wait_for_function(said, arg="step 60")
    page.locator('#figure-descent [data-do="run"]').and_(page.get_by_text("Run again")).wait_for()
    assert chart.evaluate(TOLD) == at(lines(RUNS, 60), 1)
    assert page.evaluate("document.activeElement.matches('#figure-descent .plot')"), "the focus stayed"
    assert page.evaluate("document.querySelector('#figure-descent canvas').mine"), "it was never built again"
    chart.locator(".plot").blur()
    page.locator('#figure-descent [data-do="anew"]').click()
    page.wait_for_function(said, arg="step 0")
    page.keyboard.press("Escape")
    visit.close()


FAST = """async () => {
  const chart = document.querySelector("#figure-together learn-curves");
  const next = chart.cloneNode(true);
  const picture = next.querySelector(":scope > svg").outerHTML;
  const numbers = JSON.parse(next.dataset.numbers);
  const took = [];
  for (let frame = 0; frame < 40; frame++) {
    for (const column of numbers.tables[0].slice(1)) column[frame] = frame % 10 ? column[frame] * 1.01 : null;
    next.dataset.numbers = JSON.stringify(numbers);
    next.innerHTML = picture;
    const began = performance.now();
    if (!chart.take(next)) return "another chart";
    await new Promise(queueMicrotask); // uPlot draws then
    took.push(performance.now() - began);
    await new Promise(requestAnimationFrame);
  }
  return 1000 / took.sort((a, b) => a - b)[took.length / 4]; // the others may wait for another program
}"""


def test_a_chart_keeps_up_with_ten_frames_a_second_and_gaps(browser: Any, state: tuple[str, Any]) -> None:
    """Eight lines of 81 points, some of them missing."""
    visit, chart = come(browser, state, STANDS)
    rate = visit.page.evaluate(FAST)
    assert isinstance(rate, float | int) and rate > 10, rate
    chart.locator(".plot").focus()
    visit.page.keyboard.press("Home")
    assert chart.evaluate(TOLD)[1:] == ["\u2013"] * 8
    assert "plain SGD no value" in chart.locator(".plot").get_attribute("aria-valuetext")
    visit.close()


def test_a_chart_has_the_colours_of_the_theme(browser: Any, state: tuple[str, Any]) -> None:
    """Also when it changes while the chart is there; also where the system has few colours."""
    for forced in ("none", "active"):
        visit, chart = come(browser, state, STANDS, forced_colors=forced)
        chart.locator(".plot").scroll_into_view_if_needed()
        for theme in ("light", "dark", "contrast"):
            visit.page.locator("#theme").select_option(theme)
            visit.page.wait_for_timeout(200)
            shown = pixels(chart)
            for colour in SERIES["dark" if theme == "dark" else "light"][:3]:
                wanted = tuple(bytes.fromhex(colour[1:]))
                near = any(max(abs(a - b) for a, b in zip(wanted, point, strict=True)) < 6 for point in shown)
                assert near, (forced, theme, colour)
        assert forced == "active" or visit.stumbling() == []
        visit.close()


@pytest.mark.parametrize("viewport", [PHONE, {"width": 360, "height": 800}, {"width": 1440, "height": 900}])
def test_a_chart_takes_the_room_of_its_picture(
    browser: Any, state: tuple[str, Any], viewport: dict[str, int]
) -> None:
    """Nothing around it moves when it comes, and nothing of it is wider than the screen."""
    visit = Visit(browser, *state, viewport=viewport, reduced_motion="reduce")
    page = visit.page
    page.set_default_timeout(PATIENCE)
    held: list[Any] = []
    page.route("**/vendor/uplot.mjs", lambda route: held.append(route))
    visit.open(f"/topic/{STANDS[0]}")
    page.locator("#figure-together").scroll_into_view_if_needed()
    panel = page.locator("#figure-together learn-curves")
    panel.locator("polyline").first.wait_for()
    before, whole = panel.bounding_box(), page.evaluate("document.body.scrollHeight")
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    panel.locator("canvas").wait_for()
    after = panel.bounding_box()
    assert [after[side] for side in ("width", "height")] == [before[side] for side in ("width", "height")]
    assert page.evaluate("document.body.scrollHeight") == whole
    box = panel.locator(".u-over").bounding_box()
    assert box["width"] > 0.6 * before["width"] and box["height"] > 100
    assert not panel.locator("polyline").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert page.evaluate(ACCESSIBLE) == []
    page.set_viewport_size({"width": 700, "height": viewport["height"]})
    other = "(was) => document.querySelector('#figure-together .u-over').clientWidth !== was"
    page.wait_for_function(other, arg=int(box["width"]))
    canvas, plot = (panel.locator(part).bounding_box()["width"] for part in ("canvas", ".plot"))
    assert abs(canvas - plot) <= 1
    visit.close()


def test_on_paper_a_chart_is_the_picture_of_now(browser: Any, state: tuple[str, Any]) -> None:
    visit, chart = come(browser, state, RUNS)
    first = chart.locator("polyline").count()
    for step in (1, 2):
        visit.page.locator('#figure-descent [data-do="step"]').click()
        visit.page.wait_for_function(
            "(start) => document.querySelector('#figure-descent .say').innerText.startsWith(start)",
            arg=f"step {step}:",
        )
    visit.page.emulate_media(media="print")
    assert first == 0 and chart.locator("polyline").is_visible()
    assert not chart.locator(".chart").is_visible()
    visit.close()


def test_the_library_is_fetched_where_there_are_lines(browser: Any, state: tuple[str, Any]) -> None:
    """Once, and not at all for a page whose figures are other pictures, nor without a script."""
    visit, _ = come(browser, state, STANDS)
    assert sum(url.endswith("vendor/uplot.mjs") for url in visit.fetched) == 1
    visit.close()
    visit = Visit(browser, *state)
    visit.page.set_default_timeout(PATIENCE)
    visit.open("/topic/tensors")
    for figure in visit.page.locator("learn-figure").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".panel").first.wait_for()
    assert not [url for url in visit.fetched if "uplot" in url or "curves.js" in url]
    visit.close()
    visit = Visit(browser, *state, java_script_enabled=False)
    visit.open(f"/topic/{STANDS[0]}")
    assert visit.page.locator(".stage img").count() >= 2 and not visit.page.locator("learn-curves").count()
    visit.close()


def test_without_the_library_the_picture_stays(browser: Any, state: tuple[str, Any]) -> None:
    visit = Visit(browser, *state)
    visit.page.set_default_timeout(PATIENCE)
    visit.page.route("**/vendor/uplot.mjs", lambda route: route.abort())
    visit.open(f"/topic/{STANDS[0]}")
    visit.page.locator("#figure-together").scroll_into_view_if_needed()
    visit.page.locator("#figure-together learn-curves polyline").first.wait_for()
    visit.page.wait_for_timeout(500)
    assert visit.page.locator("#figure-together learn-curves polyline").first.is_visible()
    visit.complaints = [text for text in visit.complaints if "ERR_FAILED" not in text]
    visit.close()
