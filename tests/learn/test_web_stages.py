"""Figures that run for a page: paused, stepped, begun anew, taken up again; and what a frame is sent as."""

import asyncio
import base64
import io
import json
import re
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console
from tests.learn.asking import Browser

from fathom.errors import RunError
from fathom.learn.engine import curriculum
from fathom.learn.engine.confine import Limits
from fathom.learn.engine.figure import read_figures
from fathom.learn.engine.marks import Bars, Curve, Graph, Heat, Images, Matrix, Node, Panel, Tokens, frame
from fathom.learn.engine.standing import desk
from fathom.learn.engine.worker import Worker
from fathom.learn.terminal.page import Page
from fathom.learn.web import stages
from fathom.learn.web.picture import picture, png
from fathom.learn.web.stages import Stage, Stages, Wish
from fathom.learn.web.still import Stills
from fathom.learn.web.stream import Stream

FOLDER = curriculum.TOPICS / "gradient-descent"
BEGUN = read_figures(FOLDER)["descent"].settings({})
BROKEN = '''
from fathom.learn.engine.figure import figure, slider
from fathom.learn.engine.marks import Curve, Panel, frame

@figure(x=slider(0.0, 1.0, 0.5, "x"))
def breaks(c):
    """It breaks at its second frame."""
    yield frame(Panel(title="one", marks=(Curve(points=((0.0, c.x), (1.0, 1.0))),)), say="one")
    raise ValueError("the figure broke")

@figure()
def nothing(c):
    """It breaks at once."""
    raise ValueError("nothing")
'''


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    made.warm()
    yield made


@pytest.fixture
def stage(worker: Worker) -> Iterator[Stage]:
    made = Stage(worker, FOLDER, "descent")
    yield made
    made.stop()


async def played(stage: Stage, **wish: Any) -> list[dict[str, Any]]:
    given = {"settings": BEGUN, **wish}
    return [message async for message in stage.play(Wish(**given))]


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [message["number"] for message in messages if message["kind"] == "frame"]


def test_a_run_to_its_end(stage: Stage) -> None:
    *frames, end = asyncio.run(played(stage, anew=True, settings=BEGUN | {"rate": 0.4}))
    assert 1 < len(frames) < 30 and numbers(frames) == list(range(1, len(frames) + 1))
    assert end == {"kind": "end", "reason": ""}
    assert "out of the picture" in frames[-1]["say"] and frames[-1]["html"].count("<svg class=") == 3


def test_steps_pauses_and_other_settings(stage: Stage) -> None:
    async def visit() -> None:
        assert numbers(await played(stage, frames=1, anew=True)) == [1]
        assert numbers(await played(stage, frames=2)) == [2, 3]
        running = stage.play(Wish(BEGUN))  # somebody presses run, and pause after two frames
        assert [(await anext(running))["number"] for _ in range(2)] == [4, 5]
        await running.aclose()
        (sixth,) = await played(stage, frames=1)
        assert sixth["number"] == 6 and sixth["say"].startswith("step 5")
        faster = BEGUN | {"rate": 0.4}
        (first,) = await played(stage, frames=1, settings=faster)
        (second,) = await played(stage, frames=1, settings=faster)
        assert (first["number"], second["number"]) == (1, 2) and second["say"] != sixth["say"]

    asyncio.run(visit())


def test_a_stream_that_is_cut_off_while_it_waits_loses_no_frame(stage: Stage) -> None:
    async def visit() -> None:
        await played(stage, frames=1, anew=True)
        for _ in range(5):
            cut = asyncio.ensure_future(played(stage))
            await asyncio.sleep(0.013)
            cut.cancel()
            await asyncio.gather(cut, return_exceptions=True)
        shown = stage.shown
        (following,) = await played(stage, frames=1)
        assert following["number"] == shown + 1 and following["say"].startswith(f"step {shown}:")

    asyncio.run(visit())


def test_a_newer_stream_ends_the_older(stage: Stage) -> None:
    async def visit() -> None:
        older = asyncio.ensure_future(played(stage, anew=True, pace=5.0))
        await asyncio.sleep(0.3)
        assert numbers(await played(stage, frames=1, anew=True)) == [1]
        assert len(await asyncio.wait_for(older, 5)) < 20

    asyncio.run(visit())


def test_an_idle_stage_gives_its_process_back_and_goes_on_where_it_stood(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def visit() -> None:
        all_ = Stages(worker)
        stage = all_.stage("a" * 8, FOLDER, "descent")
        third = (await played(stage, frames=3, anew=True))[-1]
        await all_.free(time.monotonic())
        assert stage.running is not None
        await all_.free(time.monotonic() + stages.PATIENCE + 1)
        assert stage.running is None
        (fourth,) = await played(stage, frames=1)
        assert (third["number"], fourth["number"]) == (3, 4) and fourth["say"].startswith("step 3:")
        monkeypatch.setattr(stages, "MOST", 1)
        other = all_.stage("b" * 8, FOLDER, "slope")
        await played(other, frames=1, settings={"w": 1.0, "rate": 0.5})
        await all_.free(time.monotonic())
        assert stage.running is None and other.running is not None
        await all_.free(time.monotonic() + 100 * stages.PATIENCE)
        assert not all_.stages and other.running is None

    asyncio.run(visit())


def test_a_figure_that_breaks_says_so_and_can_be_begun_again(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "LIMITS", Limits(readable=(str(tmp_path),)))
    (tmp_path / "figure.py").write_text(BROKEN, encoding="utf-8")

    async def visit() -> None:
        stage = Stage(worker, tmp_path, "breaks")
        for _ in range(2):
            messages = await played(stage, settings={"x": 0.5}, anew=True)
            assert numbers(messages) == [1] and "the figure broke" in messages[-1]["reason"]
            assert stage.running is None
        (message,) = await played(Stage(worker, tmp_path, "nothing"), settings={})
        assert "nothing" in message["reason"]
        with pytest.raises(RunError, match="could not be drawn"):
            await Stills(worker).draw(tmp_path, read_figures(tmp_path)["nothing"], {})

    asyncio.run(visit())


def test_without_a_script_a_figure_is_one_picture(worker: Worker, tmp_path: Path) -> None:
    browser = Browser(tmp_path, worker)
    slope = browser.get("/figure/gradient-descent/slope.svg?slope.w=1&slope.rate=0")
    assert slope.status == 200 and slope.headers["content-type"] == "image/svg+xml"
    assert "At w = 1.00" in slope.text
    assert "step 60" in browser.get("/figure/gradient-descent/descent.svg").text
    assert browser.get("/figure/gradient-descent/slope.svg?slope.w=x").status == 400


def test_a_page_plays_by_post(worker: Worker, tmp_path: Path) -> None:
    browser, path = Browser(tmp_path, worker), "/figure/gradient-descent/descent/"
    answer = browser.post(f"{path}0123456789ab", {"frames": "2", "anew": "1", "descent.rate": "-1"})
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    events = [part.split("\n") for part in answer.text.strip().split("\n\n")]
    assert [event[0] for event in events] == ["event: frame"] * 2
    assert json.loads(events[1][1].removeprefix("data: "))["number"] == 2
    assert browser.post(f"{path}short", {}).status == 404
    assert browser.post(f"{path}0123456789ab", {"frames": "many"}).status == 400
    browser.app.school.stages.close()


def test_whoever_leaves_ends_what_makes_the_events() -> None:
    ended: list[bool] = []

    async def endless() -> AsyncGenerator[dict[str, Any], None]:
        try:
            while True:
                yield {"kind": "frame"}
                await asyncio.sleep(0.01)
        finally:
            ended.append(True)

    async def visit() -> None:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0.1)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await asyncio.wait_for(Stream(endless())({"type": "http"}, receive, send), 5)
        assert len(sent) > 2

    asyncio.run(visit())
    assert ended == [True]


def test_a_terminal_shows_the_end_of_a_run(worker: Worker, tmp_path: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=100)
    Page(curriculum.topic("gradient-descent"), desk(tmp_path), worker, console).print()
    assert "could not be drawn" not in shown.getvalue() and "step 60" in shown.getvalue()


# -- pictures -----------------------------------------------------------------------------------------
def cells(html: str) -> list[Image.Image]:
    found = re.findall(r'href="data:image/png;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in found]


def test_heat_is_one_small_image_with_row_0_below() -> None:
    values = tuple(tuple(float(r * 64 + c) for c in range(64)) for r in range(64))
    heat = Panel(title="heat", marks=(Heat(values=values, x=(0.0, 1.0), y=(0.0, 1.0)),))
    html = picture(frame(heat, say="heat"), {})
    (image,) = cells(html)
    assert image.size == (64, 64) and image.mode == "RGB" and len(html) < 12_000
    top, bottom = image.getpixel((0, 0)), image.getpixel((63, 63))
    assert isinstance(top, tuple) and isinstance(bottom, tuple)
    assert top[2] < bottom[2]  # the highest values are warm, and they are on top


def test_images_keep_their_pixels() -> None:
    pictures = (((0.0, 1.0), (0.5, 0.0)), ((1.0, 1.0), (1.0, 1.0)))
    html = picture(
        frame(Panel(title="two", marks=(Images(pictures=pictures, captions=("a<b", "c")),)), say=""), {}
    )
    first, second = cells(html)
    assert [first.getpixel(at) for at in ((0, 0), (1, 0), (0, 1))] == [(0,) * 3, (255,) * 3, (128,) * 3]
    assert second.getpixel((1, 1)) == (255,) * 3 and "a&lt;b" in html


def test_an_image_is_a_png() -> None:
    drawn = Image.open(io.BytesIO(png([[(1, 2, 3), (4, 5, 6), (7, 8, 9)]])))
    drawn.load()
    assert drawn.size == (3, 1) and drawn.getpixel((2, 0)) == (7, 8, 9)


def test_a_panel_with_handles_says_where_its_axes_lie() -> None:
    panel = Panel(
        title="h", marks=(Curve(points=((0.0, 0.0), (4.0, 2.0))),), x_range=(0.0, 4.0), y_range=(0.0, 2.0),
        handles=("start",),
    )  # fmt: skip
    html = picture(frame(panel, say="h"), {"start": (1.0, 1.0)})
    box = re.search(r'data-box="([^"]+)" data-ends="0 4 0 2"', html)
    knob = re.search(r'data-control="start" cx="([\d.]+)" cy="([\d.]+)"', html)
    assert box and knob
    left, bottom, wide, high = map(float, box[1].split())
    assert float(knob[1]) == pytest.approx(left + wide / 4, abs=0.1)
    assert float(knob[2]) == pytest.approx(bottom - high / 2, abs=0.1)


def test_what_writes_on_its_own_colours_keeps_them() -> None:
    """The dark theme changes the words around a matrix, never those in its light cells."""
    marks = (
        Matrix(values=((1.0, -1.0),)), Tokens(words=("a",), weights=(0.5,)),
        Graph(nodes=(Node(name="n", x=0.5, y=0.5),), edges=()), Bars(names=("a",), values=(1.0,)),
    )  # fmt: skip
    shown = [picture(frame(Panel(title="t", marks=(mark,)), say="s"), {}) for mark in marks]
    assert ["themed" in html for html in shown] == [False, False, True, True]
    assert all(html.startswith('<svg class="panel') and 'aria-label="t"' in html for html in shown)
