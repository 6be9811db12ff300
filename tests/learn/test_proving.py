"""``fathom learn selftest``: what it asks of a page, and the record that the catalogue reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fathom import evidence
from fathom.cli.command import main
from fathom.learn.engine import fences, source
from fathom.learn.terminal import practice

SLUG = "convolution"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FATHOM_EVIDENCE", str(tmp_path))
    return tmp_path


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is told of exercises, in place of asking the sandbox; an empty text holds."""
    complaints = {f"{SLUG}/slide": "", f"{SLUG}/edge_finder": ""}

    def selftest(worker: Any, slugs: list[str], seeds: Any) -> Iterator[tuple[str, str]]:
        yield from complaints.items()

    monkeypatch.setattr(practice, "selftest", selftest)
    return complaints


def taught() -> dict[str, Any]:
    return evidence.table(["CL01"])[0]["taught"]


def test_a_topic_that_holds_is_recorded_and_its_rows_are_taught(
    ledger: Path, told: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["learn", "selftest", SLUG, "--record"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"holds   {SLUG}/{what}" for what in ("slide", "edge_finder", "quotes", "code")]
    record = json.loads((ledger / "topics" / f"{SLUG}.json").read_text(encoding="utf-8"))
    assert record["passed"] and record["complaints"] == {} and record["rows"] == ["CL01"]
    assert record["code"] == evidence.topic_hash(SLUG) and record["quotes"] >= 1
    assert len(record["mistakes"]) == 4 and min(record["mistakes"].values()) >= 3
    assert taught() == {"ok": True, "fresh": True, "record": f"evidence/topics/{SLUG}.json"}
    monkeypatch.setattr(practice, "selftest", None)  # nobody asks again while it is fresh
    assert main(["learn", "selftest", SLUG, "--record"]) == 0
    assert capsys.readouterr().out == f"fresh   {SLUG}\n"


def test_what_does_not_hold_is_recorded_too_and_asked_again(
    ledger: Path, told: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told[f"{SLUG}/slide"] = "seed 0: the solution fails at value: no"
    for _ in range(2):
        assert main(["learn", "selftest", SLUG, "--record"]) == 1
        captured = capsys.readouterr()
        assert f"FAILED  {SLUG}/slide  seed 0: the solution fails" in captured.out
        assert "1 of these do not hold" in captured.err
    assert evidence.topics()[SLUG]["complaints"] == {"slide": told[f"{SLUG}/slide"]}
    assert taught() == {"ok": False, "fresh": True, "record": f"evidence/topics/{SLUG}.json"}


def test_quotes_and_code_of_a_page_count(
    ledger: Path, told: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(page: Any) -> int:
        raise fences.BrokenPromise("convolution/topic.md, line 9: the page says 2, and it is 3")

    monkeypatch.setattr(fences, "run", broken)
    monkeypatch.setattr(source, "complaints", lambda page: ["a quote changed"])
    assert main(["learn", "selftest", SLUG]) == 1
    said = capsys.readouterr().out
    assert f"FAILED  {SLUG}/quotes  a quote changed" in said
    assert f"FAILED  {SLUG}/code  convolution/topic.md, line 9" in said
    assert not list(ledger.iterdir()), "a record is written only where it is asked for"


def test_records_are_kept_in_a_checkout(
    told: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("FATHOM_EVIDENCE", raising=False)
    monkeypatch.setattr(evidence, "folder", lambda: tmp_path / "nowhere")
    assert main(["learn", "selftest", SLUG, "--record"]) == 2
    assert "records are kept in a checkout" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["selftest", "convolution", "convolutoin"], "did you mean 'convolution'"),
        (["selftest", "cnn"], "no page yet for 'cnn'"),
        (["next", "mlp", "cnn"], "one name at a time; mlp and cnn are 2"),
        (["list", "--record"], "--record belongs to: fathom learn selftest"),
    ],
)
def test_refusals(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", *words]) == 2
    assert said in capsys.readouterr().err
