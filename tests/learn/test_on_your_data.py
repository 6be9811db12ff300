"""Every command under "On your data" does what the page says, on samples in place of the learner's data.

The samples come with the package. ``mine.py``, which some pages tell the learner to write, is taken from the
page, and run where the page says so. Runs are made shorter, and nothing else is changed: what fails for a
learner fails here.
"""

import importlib.util
import re
import runpy
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from fathom import catalog
from fathom.cli.command import main
from fathom.learn.engine import curriculum, fences
from fathom.learn.engine.topic import Code, Topic

SAMPLES = catalog.ROOT / "learn" / "samples"
PART = "On your data"
OWN = "mine.py"  # what a page tells the learner to write
RUN = f"python {OWN}"
NO_TABLE = ("attention", "convolution")  # pages of pictures and of texts
SHORTER = {"steps": 20, "evaluate_every": 5}  # settings of a run, at most
TOPICS = [slug for slug, head in curriculum.heads().items() if head.written and head.group != "Projects"]


def part_of(slug: str) -> Topic:
    """What stands under "On your data", as a page of its own."""
    page = curriculum.topic(slug)
    return Topic(replace(page.head, use=""), page.parts()[PART])


def shorter(words: list[str]) -> list[str]:
    """The command with a run of few steps."""

    def less(word: str) -> str:
        setting, _, value = word.partition("=")
        return f"{setting}={min(int(value), SHORTER[setting])}" if setting in SHORTER else word

    return [less(word) for word in words]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the learner works, with the samples in it."""
    shutil.copytree(SAMPLES, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, OWN.removesuffix(".py"), raising=False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("slug", TOPICS)
def test_every_command_runs_on_a_sample(slug: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = part_of(slug)
    written = [code.text for code in part.every(Code) if code.language == "python"]
    if written:
        brief = re.sub(r"\bsteps=\d+", f"steps={SHORTER['steps']}", written[0])
        (desk / OWN).write_text(brief, encoding="utf-8")
    if any(RUN in code.text.splitlines() for code in part.every(Code)):
        runpy.run_path(str(desk / OWN), run_name="__main__")
    for words in fences.commands(part):
        code = main(shorter(words))
        told = capsys.readouterr()
        assert code == 0, (words, told.err[-2000:])
        assert told.out.strip(), f"{' '.join(words)} says nothing"
    sys.modules.pop(OWN.removesuffix(".py"), None)


@pytest.mark.parametrize("slug", [slug for slug in TOPICS if slug not in NO_TABLE])
def test_a_page_takes_a_table_of_the_learners(slug: str) -> None:
    """Not numbers at random: a file that the learner can replace by one's own is named in a command."""
    told = "\n".join(code.text for code in part_of(slug).every(Code))
    assert "homes.csv" in told


@pytest.mark.parametrize("slug", TOPICS)
def test_the_command_of_the_head_is_one_of_the_page(slug: str) -> None:
    """It may leave out where the run is kept and how long it is."""
    head = set(shlex.split(curriculum.find(slug).use)) - {"fathom"}
    assert head and any(head <= set(words) for words in fences.commands(part_of(slug)))


def test_a_run_is_made_shorter_and_nothing_else() -> None:
    words = [
        "fit",
        "homes.csv",
        "--set",
        "steps=300",
        "--set",
        "learning_rate=0.002",
        "--set",
        "evaluate_every=2",
    ]
    assert shorter(words) == [*words[:3], "steps=20", *words[4:]]


def test_the_pictures_are_those_that_the_tool_draws() -> None:
    """They are of our own making: whoever doubts can draw them again."""
    spec = importlib.util.spec_from_file_location(
        "drawing", catalog.ROOT.parents[1] / "tools" / "draw_samples.py"
    )
    assert spec is not None and spec.loader is not None
    drawing = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawing)
    files = sorted((SAMPLES / "photos").rglob("*.png"))
    assert len(files) == drawing.EACH * len(drawing.CLASSES)
    for file in files:
        drawn = drawing.draw(file.parent.name, int(file.stem))
        assert ImageChops.difference(Image.open(file), drawn).getbbox() is None, file


def test_samples_are_tiny_and_described() -> None:
    files = [file for file in SAMPLES.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert sum(file.stat().st_size for file in files) < 100_000
    told = set(
        re.findall(r"^- `([\w.]+)/?`", (SAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert told == {file.name for file in SAMPLES.iterdir()} - {"README.md"}
