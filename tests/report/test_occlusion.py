"""What tokens add: exact for a sum, few questions for long texts, and marked so that it can be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fathom import catalog
from fathom.deployment import artifact
from fathom.deployment.export import export
from fathom.report.marked_texts import Mark, MarkedText, MarkedTexts, tint
from fathom.report.occlusion import (
    MOST,
    TOGETHER,
    Answered,
    asked_without,
    log_odds,
    marked,
    occlusion_sections,
)
from fathom.report.page import Section, page
from fathom.report.style import DEEPEST, SERIES, SHEET, THEMES, TINTS, contrast

WEIGHT = np.random.default_rng(0).normal(size=40)
UNKNOWN = 1


def ask(rows: np.ndarray) -> np.ndarray:
    """Three classes; the score of the last is a sum over words, against two that are equal."""
    assert len(rows) <= TOGETHER
    odds = np.exp(WEIGHT[rows].sum(axis=1))
    return np.stack([0.5 / (1 + odds), 0.5 / (1 + odds), odds / (1 + odds)], axis=1)


def answered(numbers: list[int], names: list[str] | None = None) -> Answered:
    """A text at the places from 1 on, in a frame of 0."""
    row = np.array([0, *numbers, 0])
    named = names or [f"word{n}" for n in numbers]
    return Answered(row, dict(enumerate(named, 1)), 2, "a text")


def test_of_a_sum_each_token_adds_its_own() -> None:
    numbers = [5, 9, 7, 9, UNKNOWN]
    made = marked(ask, answered(numbers), UNKNOWN, " ")
    adds = [mark.adds for mark in made.marks]
    np.testing.assert_allclose(adds, WEIGHT[numbers] - WEIGHT[UNKNOWN], atol=1e-9)
    assert adds[-1] == 0, "what is unknown already"
    without = np.array([0, UNKNOWN, 9, 7, 9, UNKNOWN, 0])
    assert made.marks[0].note == f"{ask(without[None])[0, 2]:.1%}"


def test_the_text_itself_stays_as_it_is() -> None:
    text = answered([5, 9, 7])
    before = text.row.copy()
    shares = asked_without(ask, text.row, [[1], [2, 3]], UNKNOWN)
    assert (text.row == before).all() and shares.shape == (3, 3)
    np.testing.assert_allclose(shares[0], ask(before[None])[0])
    np.testing.assert_allclose(shares[2], ask(np.array([[0, 5, 1, 1, 0]]))[0])


def test_of_a_long_text_neighbours_are_taken_away_together() -> None:
    numbers = np.random.default_rng(1).integers(2, 40, 200).tolist()
    asked: list[int] = []

    def counted(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return np.full((len(rows), 3), 1 / 3)

    (section,) = occlusion_sections(counted, [answered(numbers)], UNKNOWN, " ")
    (block,) = section.blocks
    assert sum(asked) == MOST + 1
    marks = block.texts[0].marks  # type: ignore[attr-defined]
    assert len(marks) == MOST and " ".join(m.text for m in marks) == " ".join(f"word{n}" for n in numbers)
    assert "neighbours were taken away together" in block.caption  # type: ignore[attr-defined]
    (short,) = occlusion_sections(ask, [answered([5])], UNKNOWN, " ")
    assert "neighbours" not in short.blocks[0].caption  # type: ignore[attr-defined]


def test_pieces_of_a_word_stand_together() -> None:
    made = marked(ask, answered([5, 6, 7], ["love", "##ly", "film"]), UNKNOWN, " ")
    assert [(mark.gap, mark.text) for mark in made.marks] == [(" ", "love"), ("", "ly"), (" ", "film")]


def test_empty_texts_and_answers_that_are_no_numbers_are_not_shown() -> None:
    assert occlusion_sections(ask, [answered([])], UNKNOWN, " ") == []
    assert (
        occlusion_sections(lambda rows: np.full((len(rows), 3), np.nan), [answered([5])], UNKNOWN, " ") == []
    )


def test_certainty_has_an_end() -> None:
    assert log_odds(0.5) == 0 and log_odds(0.9) == pytest.approx(np.log(9))
    assert log_odds(1.0) == -log_odds(0.0) == pytest.approx(15.94, abs=0.01)


@pytest.mark.slow
def test_onnx_tells_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    experiment: Any = catalog.system("text_cnn").load().tiny()
    task, model, data = experiment.task, experiment.build().eval(), experiment.data.load()
    artifact.write(tmp_path, task=task, model=model, system="text_cnn", digest="0" * 64, name="t", facts={})
    export(tmp_path, task, model)
    told = []
    for backend in ("torch", "onnx"):
        network = artifact.open_artifact(tmp_path, backend).network
        (section,) = (
            s for s in task.sections(task.evaluate(network, data.valid), data.valid) if "adds" in s.title
        )
        told.append([mark.adds for text in section.blocks[0].texts for mark in text.marks])
    assert max(map(abs, told[0])) > 1e-3
    np.testing.assert_allclose(told[0], told[1], atol=1e-4)


# -- the block --------------------------------------------------------------------------------------
def test_shades_follow_size_and_side() -> None:
    shades = [tint(value, 2.0) for value in (2.0, -2.0, 0.4, -0.4, 0.1, 0.0, float("nan"))]
    assert shades == [f"for{TINTS}", f"against{TINTS}", "for1", "against1", None, None, None]
    assert tint(0.0, 0.0) is None


def test_a_marked_text_reads_as_the_text(read: Callable[[str], Any]) -> None:
    marks = [Mark("a", 1.0), Mark("<b>&\"'", -2.0, "41.0%"), Mark("c", 0.0, gap="")]
    block = MarkedTexts([MarkedText(marks, "<i>"), MarkedText([Mark("d", 0.2)], "two")], "<u>")
    reading = read(page("t", "s", [Section("marks", [block])]))
    assert all(text in reading.text for text in ("a <b>&\"'c", "<i>", "<u>"))
    shades = reading.values("span", "class")
    legend = [f"for{TINTS}", f"against{TINTS}"]
    assert shades == [*legend, "for2", f"against{TINTS}", f"for{TINTS}"], "each text has its own scale"
    assert all(f".{shade}{{" in SHEET for shade in shades)
    assert reading.values("span", "title") == ["41.0%"]


def test_what_is_next_to_nothing_has_no_deep_tint() -> None:
    block = MarkedTexts([MarkedText([Mark("a", 0.04), Mark("b", 0.001)], "t")], least=0.1)
    assert 'class="for2"' in block.html() and 'class="for1"' not in block.html()
    damaged = MarkedTexts([MarkedText([Mark("a", float("nan")), Mark("b", 0.0)], "t")])
    assert damaged.html().count("<span class=") == 2, "the legend alone"


def test_nothing_to_mark_is_said() -> None:
    assert "No values were recorded" in MarkedTexts([]).html()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("side", [0, 1])
def test_ink_can_be_read_on_the_deepest_tint(theme: str, side: int) -> None:
    colours = (SERIES[theme][side], THEMES[theme]["surface"])
    channels = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours]
    mixed = [round(DEEPEST / 100 * a + (1 - DEEPEST / 100) * b) for a, b in zip(*channels, strict=True)]
    assert contrast("#{:02x}{:02x}{:02x}".format(*mixed), THEMES[theme]["ink"]) >= 4.5
