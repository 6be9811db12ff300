"""The page in a real browser: every widget answers, nothing is fetched from elsewhere, markup stays text."""

import asyncio
import dataclasses
import http.server
import io
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.programs import chromium

from fathom import catalog
from fathom.deployment.artifact import Artifact
from fathom.deployment.serve.server import build
from fathom.deployment.temperature import Temperature
from fathom.task import task_name

pytestmark = pytest.mark.browser

EVIL = '<img src=x onerror="window.pwned=1">'
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
REFUSED = "Failed to load resource"  # what Chromium writes to its console about any 4xx


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture
def serving() -> Iterator[Callable[..., str]]:
    """Serves an artifact in a thread; returns its address."""
    running: list[tuple[Any, threading.Thread]] = []

    def make(served: Artifact, **options: Any) -> str:
        server, listener, address, _ = build(served, port=0, **options)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        running.append((server, thread))
        return address

    yield make
    for server, thread in running:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


class Visit:
    """A page that was opened, and all that it complained of and fetched."""

    def __init__(self, browser: Any, address: str, path: str = "/", **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": PHONE, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.fetched: list[str] = []
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.fetched.append(request.url))
        self.address = address
        self.page.goto(address + path)

    def status(self, start: str = "Answered") -> str:
        """Waits for a status that begins so."""
        shown = self.page.locator("#status", has_text=start)
        shown.wait_for()
        return shown.inner_text()

    def text(self, element: str) -> str:
        return self.page.locator(element).inner_text()

    def draw(self, *points: tuple[float, float]) -> None:
        """A stroke through ``points``, as shares of the pad's sides."""
        box = self.page.locator(".pad").bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=5)
        self.page.mouse.up()

    def close(self, *expected: str) -> None:
        """Nothing was fetched from elsewhere, and nothing went wrong but what was ``expected``."""
        assert self.page.evaluate("window.pwned") is None
        assert all(url.startswith((self.address, "data:", "blob:")) for url in self.fetched), self.fetched
        others = [c for c in self.complaints if not c.startswith(expected or ("never",))]
        assert not others, others
        self.context.close()


def png(value: int = 255) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((16, 16), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def drawing(lenet: Artifact, around: Any) -> Artifact:
    """A model of drawings: its answer tells where the ink lies."""

    def network(arrays: Any) -> Any:
        image = arrays["image"][:, 0].astype(np.float32) + 1e-3
        halves = [image[:, :, :8].sum((1, 2)), image[:, :, 8:].sum((1, 2)), image[:, :8].sum((1, 2)),
                  image[:, 8:].sum((1, 2))]  # fmt: skip
        shares = np.stack(halves, axis=1)
        return {"probabilities": shares / shares.sum(axis=1, keepdims=True)}

    return around(dataclasses.replace(lenet.task, ink="light"), network, "drawings")


# -- pictures -------------------------------------------------------------------------------------
def test_draw_with_the_mouse(browser: Any, serving: Any, drawing: Artifact) -> None:
    visit = Visit(browser, serving(drawing))
    assert "appears here" in visit.text("label-output")
    visit.draw((0.3, 0.3), (0.7, 0.3), (0.5, 0.8))
    assert "drawings/ffffffffffff" in visit.status()
    shares = visit.page.locator(".share span:last-child").all_inner_texts()
    assert len(shares) == 4 and sum(float(s.rstrip(" %")) for s in shares) == pytest.approx(100, abs=0.3)
    widths = [box["width"] for box in (bar.bounding_box() for bar in visit.page.locator(".share i").all())]
    ratio = widths[-1] / widths[0]
    assert ratio == pytest.approx(float(shares[-1].rstrip(" %")) / float(shares[0].rstrip(" %")), abs=0.02)
    visit.page.get_by_role("button", name="Clear").click()
    assert "appears here" in visit.text("label-output")
    assert (
        visit.page.evaluate(
            "document.querySelector('.pad').getContext('2d').getImageData(84, 84, 1, 1).data[0]"
        )
        == 0
    )
    visit.close()


def test_pad_and_answer_are_seen_together_on_a_phone(browser: Any, serving: Any, drawing: Artifact) -> None:
    visit = Visit(browser, serving(drawing))
    visit.draw((0.3, 0.3), (0.7, 0.7))
    visit.status()
    pad, answer = (visit.page.locator(part).bounding_box() for part in (".pad", ".answer"))
    assert pad["width"] <= 320
    assert 0 <= pad["y"] and answer["y"] + answer["height"] < 844 - 50  # the status line lies at the bottom
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
    visit.close()


def test_draw_with_the_keys(browser: Any, serving: Any, drawing: Artifact) -> None:
    visit = Visit(browser, serving(drawing))
    visit.page.keyboard.press("Tab")
    assert visit.page.evaluate("document.activeElement.className") == "pad"
    assert visit.page.locator(".pen").is_visible()
    visit.page.keyboard.press("ArrowLeft")  # with the pen lifted: nothing is drawn
    visit.page.keyboard.press(" ")
    for _ in range(8):
        visit.page.keyboard.press("ArrowDown")
    visit.status()
    ink = "document.querySelector('.pad').getContext('2d').getImageData(130, 140, 1, 1).data[0]"
    assert visit.page.evaluate(ink) == 255
    for name in ("Clear", "Choose a picture"):
        visit.page.keyboard.press("Tab")
        focused = visit.page.evaluate(
            "(document.activeElement.closest('label') ?? document.activeElement).innerText"
        )
        assert focused == name
    visit.close()


HAND_OVER = """([kind, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
  const target = kind === "paste" ? document : document.querySelector("image-input");
  const made = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: transfer })
    : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
  target.dispatchEvent(made);
}"""


@pytest.mark.parametrize("way", ["choose", "drop", "paste"])
def test_hand_over_a_file(way: str, browser: Any, serving: Any, lenet: Artifact) -> None:
    visit = Visit(browser, serving(lenet))
    if way == "choose":
        chosen = {"name": "a.png", "mimeType": "image/png", "buffer": png()}
        visit.page.locator("input[type=file]").set_input_files(chosen)
    else:
        visit.page.evaluate(HAND_OVER, [way, list(png())])
    visit.status()
    assert visit.text(".answer") == lenet.predict([png()])[0]["label"]
    assert visit.page.locator(".preview").is_visible()
    visit.close()


def test_a_file_that_is_no_picture_gets_the_reason(browser: Any, serving: Any, lenet: Artifact) -> None:
    visit = Visit(browser, serving(lenet))
    chosen = {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    visit.page.locator("input[type=file]").set_input_files(chosen)
    assert "no picture of a known kind" in visit.status("this is")
    assert "bad" in visit.page.locator("#status").get_attribute("class")
    visit.close(REFUSED)


def test_boxes_are_drawn_on_the_picture(browser: Any, serving: Any, newborn: Any) -> None:
    served = newborn("grid_detector")
    served.task = dataclasses.replace(served.task, labels=(EVIL, *served.task.labels[1:]))
    served.respond = lambda decoded: [{"boxes": [{"label": EVIL, "score": 0.87, "box": [2, 2, 12, 14]}]}]
    visit = Visit(browser, serving(served))
    visit.page.evaluate(HAND_OVER, ["drop", list(png())])
    visit.status()
    visit.page.wait_for_function("() => document.querySelector('.scene').width === 16")
    cells = visit.page.locator("td").all_inner_texts()
    assert cells == [EVIL, "87.0 %"]
    edge = "document.querySelector('.scene').getContext('2d').getImageData(2, 10, 1, 1).data[0]"
    assert visit.page.evaluate(edge) < 255
    visit.close()


# -- other items --------------------------------------------------------------------------------
def test_type_a_text(browser: Any, serving: Any, newborn: Any) -> None:
    served = newborn("text_cnn")
    visit = Visit(browser, serving(served))
    visit.page.locator("textarea").fill("good film")
    visit.page.locator("textarea").press("Control+Enter")
    visit.status()
    name = visit.page.locator("text-input").get_attribute("field")
    assert visit.text(".answer") == served.predict([{name: "good film"}])[0]["label"]
    assert "were read" not in visit.text("label-output")
    visit.page.locator("textarea").fill("good " * 40)
    visit.page.locator("textarea").press("Control+Enter")
    visit.page.locator("label-output", has_text=f"only the first {served.task.length} of 40 words").wait_for()
    visit.close()


def test_a_prompt_with_settings(browser: Any, serving: Any, newborn: Any) -> None:
    served = newborn("char_lstm")
    visit = Visit(browser, serving(served))
    prompt = served.task.examples()[0]["prompt"]
    visit.page.get_by_label("length").fill("7")
    visit.page.get_by_label("seed").fill("5")
    visit.page.locator("textarea").fill(prompt)
    visit.page.get_by_role("button", name="Ask").click()
    visit.status()
    wanted = served.predict([{"prompt": prompt, "length": 7, "seed": 5}])[0]["text"]
    assert visit.page.locator("pre.text").text_content() == wanted
    visit.page.get_by_label("length").fill("0")
    visit.page.get_by_role("button", name="Ask").click()
    assert "length takes a whole number from 1" in visit.status("length")
    visit.close(REFUSED)


def test_fill_in_a_row(browser: Any, serving: Any, newborn: Any) -> None:
    served = newborn("house_prices")
    visit = Visit(browser, serving(served))
    row = dict(served.task.examples()[0])
    first = next(c["name"] for c in served.task.columns if c["kind"] != "category")
    box = visit.page.locator("row-input label", has_text=first).first.locator("xpath=../input")
    box.fill("")
    visit.page.get_by_role("button", name="Ask").click()
    visit.status()
    wanted = served.predict([{**row, first: None}])[0]["value"]
    assert float(visit.text(".answer").replace(",", "")) == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    box.fill("3")
    box.press("Enter")
    visit.status()
    visit.close()


def test_items_as_json(browser: Any, serving: Any, newborn: Any) -> None:
    served = newborn("dqn_cartpole")
    visit = Visit(browser, serving(served))
    area = visit.page.locator("textarea")
    visit.page.wait_for_function("() => document.querySelector('textarea').value")
    item = served.task.examples()[0]
    assert json.loads(area.input_value()) == item
    area.fill("[1, 2")
    visit.page.get_by_role("button", name="Ask").click()
    assert "no JSON" in visit.status("This is")
    area.fill(json.dumps([*item, 1]))
    visit.page.get_by_role("button", name="Ask").click()
    assert "shape" in visit.status("the array")
    area.fill(json.dumps(item))
    area.press("Control+Enter")
    visit.status()
    shown = json.loads(visit.page.locator("json-output pre").text_content())
    assert shown["action"] == served.predict([item])[0]["action"]
    visit.close(REFUSED)


def test_parts_are_gathered(browser: Any, serving: Any, newborn: Any) -> None:
    """A picture and a text: a change of either asks again with what stands in the other."""
    served = newborn("image_text")
    visit = Visit(browser, serving(served))
    visit.page.get_by_role("button", name="Ask").click()
    assert "image" in visit.status("Still wanted")
    visit.page.locator("textarea").fill("a standing bar")
    visit.page.evaluate(HAND_OVER, ["drop", list(png())])
    visit.status()
    wanted = served.predict([{"image": png(), "text": "a standing bar"}])[0]
    shown = visit.page.locator(".share.first span:last-child").inner_text()
    assert shown == f"{100 * max(wanted['probabilities'].values()):.1f} %"
    visit.close()


CONTRAST = """(selectors) => {
  const parse = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (node) => {
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour[3] === 0 && node.parentElement ? ground(node.parentElement) : colour;
  };
  const ratios = selectors.flatMap((s) => [...document.querySelectorAll(s)]).map((node) => {
    const both = [parse(getComputedStyle(node).color), ground(node)].map(light).sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
  });
  return Math.min(...ratios);
}"""  # the least contrast of text with what lies under it (WCAG 2.2)
TASKS = {task_name(e.load().tiny().task): n for n, e in catalog.systems().items()}


@pytest.mark.parametrize("name", list(TASKS.values()), ids=list(TASKS))
def test_every_task_has_a_page_that_answers(name: str, browser: Any, serving: Any, newborn: Any) -> None:
    """On a phone and on a desk, by light and dark: what stands there at first can be asked."""
    served = newborn(name)
    visit = Visit(browser, serving(served))
    visit.page.wait_for_function("() => document.getElementById('example').textContent")
    assert visit.page.locator("#widget > *").count() >= 2
    undefined = (
        "[...document.querySelectorAll('#widget *')].filter((e) => e.matches(':not(:defined)')).length"
    )
    assert visit.page.evaluate(undefined) == 0
    if visit.page.locator("image-input").count():
        visit.page.evaluate(HAND_OVER, ["drop", list(png(0))])
    else:
        visit.page.get_by_role("button", name="Ask").click()
    visit.status()
    for viewport, scheme in ((PHONE, "light"), (DESKTOP, "dark")):
        visit.page.set_viewport_size(viewport)
        visit.page.emulate_media(color_scheme=scheme)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        assert (
            visit.page.evaluate(CONTRAST, ["h1", "#about", ".hint, .answer, pre", "button, .button"]) >= 4.5
        )
    visit.close()


def test_pictures_are_shown(browser: Any, serving: Any, newborn: Any) -> None:
    from base64 import b64encode

    served = newborn("dqn_cartpole")
    shown = [b64encode(png(200)).decode()] * 3
    served.task = Paged(
        served.task, "<json-input></json-input><images-output field='images'></images-output>"
    )
    served.respond = lambda decoded: [{"images": shown}]
    visit = Visit(browser, serving(served))
    visit.page.wait_for_function("() => document.querySelector('textarea').value")
    visit.page.get_by_role("button", name="Ask").click()
    visit.status()
    sizes = visit.page.evaluate("[...document.querySelectorAll('.images img')].map((i) => i.naturalWidth)")
    assert sizes == [16] * 3
    visit.close()


class Paged:
    """A task with another page."""

    def __init__(self, task: Any, html: str) -> None:
        self.inner, self.html = task, html

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def page(self) -> str:
        return self.html


# -- safety ----------------------------------------------------------------------------------------
def test_markup_in_names_and_answers_stays_text(
    browser: Any, serving: Any, lenet: Artifact, around: Any
) -> None:
    labels = (EVIL, "</script><script>window.pwned=1</script>", "&lt;b&gt;", "javascript:window.pwned=1")
    task = dataclasses.replace(lenet.task, labels=labels)
    visit = Visit(browser, serving(around(task, lenet.network, EVIL)))
    assert visit.text("h1") == EVIL and EVIL in visit.page.title()
    visit.page.evaluate(HAND_OVER, ["drop", list(png())])
    visit.status()
    assert set(visit.page.locator(".share span:first-child").all_inner_texts()) == set(labels)
    assert visit.page.locator("#widget img:not(.preview), #widget script").count() == 0
    visit.close()


def test_markup_in_columns_texts_and_errors_stays_text(browser: Any, serving: Any, newborn: Any) -> None:
    served = newborn("house_prices")
    columns = [{**c, "name": EVIL if i == 0 else c["name"]} for i, c in enumerate(served.task.columns)]
    served.description["preprocessing"] = [{"operation": "table", "input": "row", "columns": columns}]
    row = {c["name"]: 1 for c in columns}
    served.task = Paged(served.task, served.task.page() + "<text-output field='text'></text-output>")
    served.task.examples = lambda: [row]
    served.respond = lambda decoded: [{"value": 1.0, "name": EVIL, "text": EVIL, EVIL: EVIL}]
    visit = Visit(browser, serving(served))
    visit.page.get_by_role("button", name="Ask").click()
    visit.status()
    assert EVIL in visit.text("row-input") and EVIL in visit.text("value-output")
    assert visit.page.locator("pre.text").text_content() == EVIL
    assert visit.page.locator("#widget img").count() == 0
    visit.close()


def test_the_policy_stops_markup_that_gets_in(
    browser: Any, serving: Any, lenet: Artifact, around: Any
) -> None:
    """Were a task's page to let markup through, the browser would still run none of it."""
    served = around(lenet.task, lenet.network)
    served.task = Paged(
        served.task, f"{EVIL}<script>window.pwned=1</script><a href='javascript:window.pwned=1'>x</a>"
    )
    visit = Visit(browser, serving(served))
    visit.page.get_by_text("x", exact=True).click()
    visit.page.wait_for_timeout(200)
    assert len([c for c in visit.complaints if "Content Security Policy" in c]) >= 2
    visit.close("Executing inline", "Running the JavaScript URL", "Refused to", REFUSED)


def test_the_page_says_that_it_is_calibrated(browser: Any, serving: Any, lenet: Artifact) -> None:
    warmth = Temperature(value=1.3164, digest=lenet.description["digest"])
    described = {**lenet.description, "metrics": {"test/accuracy": 0.98765}}
    for temperature, words in ((warmth, ", calibrated with temperature 1.32"), (None, "")):
        visit = Visit(browser, serving(Artifact(lenet.task, lenet.network, described, "torch", temperature)))
        about = visit.page.locator("#about", has_text="image classification")
        assert about.inner_text() == f"image classification, test/accuracy 0.9877{words}"
        visit.close()


def test_a_token_is_told_in_the_address(browser: Any, serving: Any, lenet: Artifact) -> None:
    token = "a-long-and-secret-token"
    address = serving(lenet, token=token)
    visit = Visit(browser, address)
    assert "asks for a token" in visit.status("This server")
    visit.close(REFUSED)
    visit = Visit(browser, address, f"/#token={token}")
    visit.page.evaluate(HAND_OVER, ["drop", list(png())])
    visit.status()
    assert not any(token in url.partition("#")[0] for url in visit.fetched)
    visit.close()


def test_a_page_elsewhere_cannot_ask(browser: Any, serving: Any, lenet: Artifact) -> None:
    """Another port is another origin: what its script posts is refused, and it cannot read what it gets."""
    address = serving(lenet)

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A browser that hangs up early is no news."""

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    ask = """async ([url, options]) => {
      const reply = await fetch(url, options).catch((error) => String(error));
      return typeof reply === "string" ? reply : await reply.text();
    }"""
    post = {"method": "POST", "body": "[[0]]"}
    tries = (("/predict", {**post, "mode": "no-cors"}), ("/predict", post), ("/about", {}))
    with Quiet(("127.0.0.1", 0), Elsewhere) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        read = [page.evaluate(ask, [address + path, options]) for path, options in tries]
        context.close()
        other.shutdown()
        thread.join()
    assert all("Failed to fetch" in text for text in read)
    with urllib.request.urlopen(f"{address}/metrics") as reply:
        counted = reply.read().decode()
    assert 'fathom_requests_total{route="/predict",status="403"} 2' in counted
    assert 'route="/predict",status="200"' not in counted
