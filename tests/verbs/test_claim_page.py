"""The page of a claim: what was promised, its picture, and its numbers, whether code or recipes made them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fathom import catalog, evidence
from fathom.claims import curvature_at_the_minimum, optimizer_race
from fathom.cli.command import main
from fathom.report.blocks import LineChart, Prose
from fathom.report.landscape import Landscape
from fathom.report.race import Race
from fathom.verbs.claim_page import picture, verdicts


def record(name: str, arms: tuple[str, ...], metric: str, met: bool) -> dict[str, Any]:
    """As ``fathom verify`` writes it, of a claim that code measures."""
    kept = {"mean": 0.25, "low": 0.125, "high": 0.5}
    return {
        "claim": name, "command": f"fathom verify {name}", "seeds": 2, "arms": {}, "settings": {},
        "tests": [], "runs": {arm: [{metric: 0.25}, {metric: 0.25}] for arm in arms}, "curves": {},
        "summary": {arm: {metric: {**kept, "seeds": 2}} for arm in arms}, "met": met, "code": "",
        "expect": [{"text": f"{metric}: {arms[0]} >= 0.2", **kept, "met": met}],
    }  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one."""
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    (tmp_path / evidence.CLAIMS).mkdir()
    return tmp_path / evidence.CLAIMS


@pytest.mark.parametrize("met", [True, False])
def test_a_measured_claim_shows_what_was_measured(ledger: Path, met: bool, tmp_path: Path) -> None:
    name = "principal_components_of_digits"
    kept = record(name, tuple(f"arm{i}" for i in range(10)), "gap", met)
    (ledger / f"{name}.json").write_text(json.dumps(kept))
    page = tmp_path / "claim.html"
    assert main(["show", name, "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert catalog.claim(name).claim.sentence.replace("'", "&#x27;") in text
    assert f"<b>{'Pass' if met else 'Fail'}</b>" in text and "gap: arm0 &gt;= 0.2" in text
    assert "0.25 [0.125, 0.5] over 2 seeds." in text
    assert "What differs" not in text and "No metrics were recorded" not in text
    assert ">Picture<" not in text, "this claim has none"
    assert '<th scope="row">arm9</th>' in text, "ten arms are rows, not columns"


def test_an_unmeasured_claim_has_no_page(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["show", "optimizer_race", "--page", str(tmp_path / "p.html")]
    assert main(command) == 2
    assert "first: fathom verify optimizer_race" in capsys.readouterr().err
    (ledger / "optimizer_race.json").write_text(json.dumps(record("optimizer_race", ("sgd",), "gap", True)))
    assert main(command) == 2
    assert "the claim has changed; measure anew: fathom verify optimizer_race" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()


def test_a_picture_gets_what_its_own_seed_measured() -> None:
    asked: list[Any] = []
    drawn = SimpleNamespace(picture=lambda *given: asked.append(given) or [Prose("drawn")])
    files = iter([drawn, SimpleNamespace()])

    class Entry(catalog.ClaimEntry):
        def load(self) -> Any:
            return next(files)

    known = catalog.claim("optimizer_race")
    entry = Entry(known.name, known.module, known.path, known.claim)
    runs = {"a": [{"m": 1.0}, {"m": 2.0}], "b": [{"m": 3.0}, {"m": 4.0}]}
    assert picture(entry, {"runs": runs}) == [Prose("drawn")]
    assert asked == [(0, {"a": {"m": 1.0}, "b": {"m": 3.0}})]
    assert picture(entry, {"runs": runs}) == []


def test_a_promise_that_could_not_be_measured_says_so() -> None:
    seen = {"text": "m: a >= 1", "mean": None, "low": None, "high": None, "met": False, "why": "no m"}
    (block,) = verdicts({"expect": [seen], "seeds": 3})
    assert "<b>Fail</b>" in block.html() and "m: a &gt;= 1</code>: no m." in block.html()


def test_every_optimizer_is_in_the_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer_race, "STEPS", 10)
    scores = {"steps": 10.0, "distance": 0.5}
    found = {
        runner: {
            f"{s}/{k}": v for s in optimizer_race.WINDOWS for k, v in {**scores, "rate": rates[1]}.items()
        }
        for runner, (_, rates) in optimizer_race.entrants().items()
    }
    races = optimizer_race.picture(100, found)
    assert len(races) == 2
    for race, (surface, places) in zip(races, optimizer_race.courses(100).values(), strict=True):
        assert isinstance(race, Race) and set(race.paths) == set(optimizer_race.entrants())
        for path in race.paths.values():
            assert path.shape == (11, 2)
            np.testing.assert_array_equal(path[0], places[0].numpy())
        across, up = race.ground.axes
        for x, y in places.tolist():
            assert across.low < x < across.high and up.low < y < up.high
        assert float(surface(places[1])) == pytest.approx(0, abs=1e-12)
        assert "Race: " in race.html()


@pytest.mark.slow
def test_the_minimum_is_the_lowest_place_of_the_plane() -> None:
    plane, chart = curvature_at_the_minimum.picture(100, {})
    assert isinstance(plane, Landscape) and isinstance(chart, LineChart)
    middle = len(plane.across) // 2
    assert plane.heights[middle, middle] == pytest.approx(0, abs=1e-12) and plane.heights.min() > -1e-6
    rises = {name: np.asarray(curve)[:, 1] for name, curve in chart.series.items()}
    away = np.abs(plane.across) > 0.2
    sharpest, random = rises["sharpest"][away], rises["random, highest of 100"][away]
    assert (sharpest > rises["second"][away]).mean() > 0.5 and (sharpest > 5 * random).all()
