"""Nothing that is given to a block can become markup: every field of every block takes hostile text."""

import numpy as np
import pytest

from fathom.report.blocks import (
    BarChart,
    Calibration,
    Code,
    Facts,
    Gallery,
    Heatmap,
    LineChart,
    Picture,
    Prose,
    Scatter,
    Table,
    Verdict,
)
from fathom.report.page import Section, page, write
from fathom.report.run_report import run_report
from fathom.report.square_maps import SquareMap, SquareMaps

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "https://a.example/'onclick=alert(1)",
    'https://a.example/"onclick="alert(1)',
    "--><b>&lt;script&gt;",
    "]]><a href=data:text/html,x>",
    "`<i>`",
    "a\x00b\x1bc\ud800",
)
ELEMENTS = set(
    "html head meta title style body a div header h1 h2 p dl dt dd nav ul li main section figure "
    "figcaption svg path line rect text table thead tbody tr th td details summary span b small pre code img "
    "footer".split()
)


def blocks(text: str) -> list:
    pixels = np.zeros((4, 4), np.uint8)
    return [
        Prose(f"{text}\n\n- {text}\n- `{text}`"),
        Table((text, "n"), [(text, 1.5), (text, text)], text, emphasis={0}),
        LineChart({text: [(0, 1), (1, 2)]}, text, text, text, bands={text: ([0, 1], [2, 3])},
                  markers=[(0.5, text)]),
        BarChart([text], [1.0], [(0.5, 1.5)], text),
        Heatmap([text, "b"], [text, "b"], [[1, 2], [3, 4]], text, text, text),
        Heatmap([text] * 21, [text] * 21, np.eye(21)[::-1], text, text, text, by_row=True),
        Calibration([0.5, 0.7], [1, 0], text),
        Scatter([1, 2], [3, 4], text, True, text, text),
        SquareMaps([text, "b"], {text: [SquareMap(np.eye(2), text, text)]}, text),
        Gallery([Picture(pixels, text, text, [(0, 0, 2, 2, text, 0.5), (1, 1, 2, 2, text, None)])], text),
        Code(text, text),
        Facts({text: text, "group": {text: [text, {text: text}]}}),
        Verdict(text, True),
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text, read):
    html = page(text, text, [Section(text, blocks(text), text)], headline=[(text, text, text)], language=text,
                command=text)  # fmt: skip
    reading = read(html)
    assert set(reading.tags) <= ELEMENTS
    assert not [name for _, name, _ in reading.attributes if name.startswith("on") or name == "style"]
    for _, name, value in reading.attributes:
        if name == "href":
            assert value.startswith(("#", "http://", "https://"))
        if name == "src":
            assert value.startswith("data:image/png;base64,")
    shown = text.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    assert shown in reading.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_run_stays_text(text, read):
    rows = [{"step": step, text: float(step), f"valid/{text}": 1.0} for step in range(3)]
    html = run_report(title=text, metrics_jsonl=rows, evaluation_sections=[], headline=[(text, 1, text)],
                      cost={text: text}, recipe={text: {text: text}}, notes=[text],
                      card={"summary": text, "paper": text, "differs": (text,)}, command=text)  # fmt: skip
    reading = read(html)
    assert set(reading.tags) <= ELEMENTS
    assert not [name for _, name, _ in reading.attributes if name.startswith("on")]


def test_only_whole_web_addresses_become_links(read):
    reading = read(
        Facts({"a": "https://arxiv.org/abs/1", "b": "javascript:alert(1)", "c": "x https://a.b"}).html()
    )
    assert reading.values("a", "href") == ["https://arxiv.org/abs/1"]


def test_damaged_text_can_be_written(tmp_path):
    target = write(tmp_path / "page.html", page("\ud800", "\x00", []))
    assert "\ufffd" in target.read_text(encoding="utf-8")
