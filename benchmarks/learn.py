"""``fathom learn`` in a browser: how soon it is there, how heavy it is, how fast figures and verdicts answer.

The server is started as a learner starts it, with an empty home; headless Chromium visits it. Times of pages
are the browser's own (first contentful paint), times of figures run from the key or click to the change in
the page. Verdicts are those of every exercise's starter, of its solution and of answers that make each of its
named mistakes, from the click to the words; milestones of a project, which train for as long as their budget
allows, are none of them. The first verdict of each server, which waits for torch, is measured too, as soon as
the map is there: the slowest verdict is the slowest of all of these.

    python benchmarks/learn.py --visits 5
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pairs import keep, spread
from twin_answers import twin_answers

from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import Exercise, exercise, exercises
from fathom.learn.engine.figure import read_figures

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WRITTEN = [slug for slug, head in curriculum.heads().items() if head.written]
MOVES = 40  # of a slider
START = 1.5  # seconds that a start may take
LIMIT = 60  # seconds until something is given up
# Seconds in the page from an act to the words of a verdict, looked at once a frame of the screen.
SAID = """async ([act, said, limit]) => {
  const began = performance.now();
  const before = eval(said);
  eval(act);
  while (eval(said) === before) {
    if (performance.now() - began > 1000 * limit) throw new Error(`${act}: nothing was said`);
    await new Promise(requestAnimationFrame);
  }
  return (performance.now() - began) / 1000;
}"""
# Seconds from an act to the frame of the screen that shows the figure's next picture.
DRAWN = """([act, name, limit]) => new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error(`${act}: nothing was drawn`)), 1000 * limit);
  const began = performance.now();
  const shown = () => requestAnimationFrame(() => resolve((performance.now() - began) / 1000));
  document.querySelector(`#figure-${name}`).addEventListener("drawn", shown, { once: true });
  eval(act);
})"""
PAINT = """async () => {
  const painted = () => performance.getEntriesByName("first-contentful-paint")[0];
  while (!painted()) await new Promise(requestAnimationFrame);
  return painted().startTime / 1000;
}"""
USABLE = """async () => {
  const answers = async (part, ready) => {
    document.querySelector(part)?.scrollIntoView();
    const there = () => !document.querySelector(part) || document.querySelector(ready);
    while (!there()) await new Promise(requestAnimationFrame);
  };
  while (!customElements.get("learn-map")) await new Promise(requestAnimationFrame);
  await answers("learn-figure", ".panel");
  await answers("learn-editor", "learn-editor.ready");
  return performance.now() / 1000;
}"""
HEAVY = """() => [...performance.getEntriesByType("resource"), performance.getEntriesByType("navigation")[0]]
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""


@contextmanager
def served(home: str) -> Iterator[tuple[str, float]]:
    """The address of a server, and the seconds until it answered."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fathom", "learn", "--no-open", "--port", "0"],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"FATHOM_LEARN": home},
    )  # fmt: skip
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "fathom learn printed no address"
        yield found[0], began
    finally:
        process.terminate()
        process.wait(20)


class Visitor:
    """A browser that was let in."""

    def __init__(self, driver: Any) -> None:
        path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        assert path, f"none of {', '.join(BROWSERS)} is installed"
        self.browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        self.state: Any = None
        self.base = ""

    def enter(self, address: str) -> None:
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(address)
        self.base = address.partition("/start")[0]
        page.wait_for_url(f"{self.base}/")
        self.state = context.storage_state()
        context.close()

    @contextmanager
    def page(self, path: str) -> Iterator[Any]:
        """A page with an empty cache, which may run what measures it (their policy forbids it)."""
        context = self.browser.new_context(storage_state=self.state, bypass_csp=True)
        page = context.new_page()
        page.goto(self.base + path)
        yield page
        context.close()


def start(runs: int, driver: Any) -> tuple[list[float], list[float]]:
    """A new server each time: seconds until its map was served, and those of the first verdict after that."""
    found, cold = [], []
    made = exercise(WRITTEN[0], exercises(WRITTEN[0])[0])
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as home, served(home) as (address, began):
            visitor = Visitor(driver)
            waited = time.perf_counter()
            context = visitor.browser.new_context(bypass_csp=True)
            launched = time.perf_counter() - waited  # the browser's own start is not the server's
            page = context.new_page()
            page.goto(address)
            found.append(time.perf_counter() - began - launched)
            page.goto(f"{address.partition('/start')[0]}/topic/{made.topic}")
            cold.append(verdict(page, made, made.solution)[0])
            visitor.browser.close()
    return found, cold


def pages(visitor: Visitor, visits: int, topics: Sequence[str]) -> dict[str, list[float]]:
    """Of every topic and the map: first paint, usable, and megabytes."""
    found: dict[str, list[float]] = {"paint": [], "usable": [], "megabytes": []}
    for path in ["/", *(f"/topic/{slug}" for slug in topics)]:
        for _ in range(visits):
            with visitor.page(path) as page:
                found["usable"].append(page.evaluate(USABLE))
                found["paint"].append(page.evaluate(PAINT))
                found["megabytes"].append(page.evaluate(HEAVY) / 1e6)
    return found


def figures(visitor: Visitor, topics: Sequence[str]) -> dict[str, list[float]]:
    """Of every figure that runs: first frame after Run, and frames a second; of one that stands: a slider."""
    found: dict[str, list[float]] = {"first frame": [], "frames a second": [], "slider": [], "mlp": []}
    for slug in topics:
        folder = curriculum.find(slug).folder
        assert folder is not None
        for name, head in read_figures(folder).items():
            with visitor.page(f"/topic/{slug}") as page:
                place = f"document.querySelector('#figure-{name}')"
                page.locator(f"#figure-{name}").scroll_into_view_if_needed()
                page.locator(f"#figure-{name} .panel").first.wait_for()
                if head.live:
                    click = f"{place}.querySelector('[data-do=run]').click()"
                    found["first frame"].append(page.evaluate(DRAWN, [click, name, LIMIT]))
                    rate = page.evaluate(RATE, name)
                    found["frames a second"].append(rate)
                    if slug == "mlp":
                        found["mlp"].append(rate)
                else:
                    found["slider"] += moved(page, name)
    return found


RATE = """(name) => new Promise((resolve) => {
  const figure = document.querySelector(`#figure-${name}`);
  const times = [];
  const told = () => resolve((times.length - 1) / Math.max((times.at(-1) - times[0]) / 1000, 1e-3));
  figure.addEventListener("drawn", () => times.push(performance.now()) > 40 && told());
  setTimeout(told, 5000);
})"""


def moved(page: Any, name: str) -> list[float]:
    """Seconds from each move of the first slider to the new picture; none where there is no slider."""
    field = f"document.querySelector('#figure-{name} [type=range]')"
    times: list[float] = []
    if page.evaluate(f"{field} === null"):
        return times
    for step in range(MOVES):
        share = (step * 7 % MOVES + 0.5) / MOVES
        act = (
            f"{field}.value = {field}.min * {1 - share} + {field}.max * {share};"
            f"{field}.dispatchEvent(new Event('input', {{ bubbles: true }}))"
        )
        times.append(page.evaluate(DRAWN, [act, name, LIMIT]))
    return times


def verdicts(visitor: Visitor, topics: Sequence[str]) -> dict[str, list[float]]:
    """Seconds from Check to what the grader says of every exercise's starter, solution and wrong twins."""
    found: dict[str, list[float]] = {"plain": [], "mistakes": []}
    for slug in topics:
        with visitor.page(f"/topic/{slug}") as page:
            made = [exercise(slug, name) for name in exercises(slug)]
            for one in (one for one in made if not one.milestone):
                found["plain"] += [verdict(page, one, text)[0] for text in (one.starter, one.solution)]
                for twin, text in twin_answers(one).items():
                    seconds, said = verdict(page, one, text)
                    assert "This is the mistake" in said, f"{one.key}: {twin} is told: {said}"
                    found["mistakes"].append(seconds)
    return found


def verdict(page: Any, made: Exercise, text: str) -> tuple[float, str]:
    """Seconds from the click on Check to the words, and the words."""
    form = f"document.querySelector('#exercise-{made.name}')"
    page.locator(f"#exercise-{made.name} learn-editor").scroll_into_view_if_needed()
    editor = page.locator(f"#exercise-{made.name} learn-editor.ready")
    editor.evaluate("(editor, text) => { editor.value = text }", text)
    click = f"{form}.querySelector('.buttons button').click()"
    seconds = page.evaluate(SAID, [click, f"{form}.querySelector('.verdict')", LIMIT])
    return seconds, page.locator(f"#exercise-{made.name} .verdict").inner_text()


def weight() -> float:
    """Megabytes of the learn part of the wheel, packed."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", scratch, str(ROOT)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (file,) = Path(scratch).glob("*.whl")
        packed = zipfile.ZipFile(file).infolist()
        return sum(item.compress_size for item in packed if item.filename.startswith("fathom/learn/")) / 1e6


def measure(args: argparse.Namespace) -> tuple[list[dict[str, str]], dict[str, Any]]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started, cold = start(args.visits, driver)
        with tempfile.TemporaryDirectory() as home, served(home) as (address, _):
            visitor = Visitor(driver)
            visitor.enter(address)
            told = verdicts(visitor, args.topics)  # first, so that what is cold is among them
            page, figure = pages(visitor, args.visits, args.topics), figures(visitor, args.topics)
            visitor.browser.close()
    details = {
        "start": started, **page, **figure, "first verdicts": cold, "verdicts": told["plain"],
        "verdicts of mistakes": told["mistakes"], "wheel": weight(), "topics": args.topics,
    }  # fmt: skip
    return table(details), details


def table(found: dict[str, Any]) -> list[dict[str, str]]:
    """The rows of what was measured."""
    moves, verdicts, mistakes = found["slider"], found["verdicts"], found["verdicts of mistakes"]
    slow = sorted(moves)[int(0.95 * len(moves)) :][:1]
    frames = found["mlp"] or found["frames a second"]
    slowest = max(*verdicts, *mistakes, *found["first verdicts"])
    rows = [
        row("start to the map served, s", found["start"], START),
        over("starts that took longer than that", found["start"], START),
        row("first contentful paint, s", found["paint"], 1.0),
        row("page usable, s", found["usable"], 2.0),
        row("transfer of a page, MB", found["megabytes"], 1.0, worst=True),
        row("first live frame after Run, s", found["first frame"], 0.5),
        row("frames a second of the figure of mlp", frames, 10.0, least=True),
        row("static figure answers a slider, 95 % within s", slow, 0.1),
        row("verdict, median, s", verdicts, 1.0),
        row("verdict that names a mistake, median, s", mistakes, 1.0),
        row(
            "first verdict of a server, at once after its start, s", found["first verdicts"], 5.0, worst=True
        ),
        row("verdict, slowest, s", [slowest], 5.0),
        row("learn part of the wheel, MB", [found["wheel"]], 5.0),
    ]
    return [made for made in rows if made]  # some topics have no figure that runs, or none that stands


def row(
    what: str, values: list[float], limit: float, *, least: bool = False, worst: bool = False
) -> dict[str, str]:
    """A line of the table; the median is what counts, or the worst where that was promised."""
    if not values:
        return {}
    value = max(values) if worst else statistics.median(values)
    return {
        "what": f"`fathom learn`: {what}",
        "ours": spread(values, ".2f"),
        "other": "-",
        "ratio": f"{limit / value if least else value / limit:.2f} of what is allowed",
        "goal": f"{'at least' if least else 'under'} {limit:g}",
    }


def over(what: str, values: list[float], limit: float) -> dict[str, str]:
    """A line that says how often a limit was missed: a median hides that."""
    missed = sum(value > limit for value in values)
    return {
        "what": f"`fathom learn`: {what}",
        "ours": f"{missed} of {len(values)}",
        "other": "-",
        "ratio": f"{missed / len(values):.2f} of all",
        "goal": "none",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=5, help="of each page, and starts of the server")
    parser.add_argument("--topics", nargs="+", choices=WRITTEN, default=WRITTEN, metavar="TOPIC")
    parser.add_argument("--out", help="the result as JSON (default: benchmarks/results/learn.json)")
    args = parser.parse_args()
    rows, details = measure(args)
    keep("learn", rows, details, args.out)


if __name__ == "__main__":
    main()
