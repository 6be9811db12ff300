"""Two runs side by side: the page is written, with a paired test where both were scored on the same items."""

from pathlib import Path
from typing import Any

import pytest

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.training.run import Run
from fathom.verbs.compare import compare
from fathom.verbs.train import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """The same recipe with two learning rates."""
    home = tmp_path_factory.mktemp("runs")
    made: list[Run] = []
    for name, rate in (("slow", "0.0005"), ("fast", "0.01")):
        settings = [("steps", "25"), ("learning_rate", rate)]
        made.append(train("lenet", settings=settings, out=home / name, export=False))
    return made


@pytest.mark.slow
def test_two_runs_of_a_recipe(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = runs
    assert main(["compare", str(slow.folder), str(fast.folder)]) == 0
    shown = capsys.readouterr().out
    assert "learning.optimizer.learning_rate" in shown and "0.0005 -> 0.01" in shown
    assert "p < 0.0001 (exact McNemar)" in shown and "p = 0.0000" not in shown
    page = fast.folder / "compare-slow.html"
    assert str(page) in shown
    text = page.read_text(encoding="utf-8")
    assert "slow and fast compared" in text and "1 setting differs" in text
    assert "fast minus slow is" in text and "Learning curves" in text
    gap = fast.metrics["test/accuracy"] - slow.metrics["test/accuracy"]
    (test,) = (t for t in compare(slow.folder, fast.folder)["tests"] if t["metric"] == "accuracy")
    assert test["n"] == 10_000
    assert test["difference"] == pytest.approx(gap)
    assert test["low"] <= gap <= test["high"]


@pytest.mark.slow
def test_runs_that_cannot_be_compared_are_refused(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are the same run"):
        compare(runs[0].folder, runs[0].folder)
    with pytest.raises(InputError, match="no run folder"):
        compare(runs[0].folder, tmp_path)
    unfinished = Run(tmp_path / "unfinished")
    unfinished.folder.mkdir()
    unfinished.update(name="lenet", state="interrupted")
    with pytest.raises(InputError, match="is not finished"):
        compare(runs[0].folder, unfinished.folder)


@pytest.mark.slow
def test_runs_of_live_objects_have_no_paired_test(runs: list[Run], tmp_path: Path) -> None:
    tiny: Any = lenet.tiny()
    live = train(tiny, out=tmp_path / "live", export=False)
    found = compare(runs[0].folder, live.folder)
    assert found["tests"] == [] and "live objects" in found["note"]
    assert Path(found["page"]).is_file()
