"""The project of handwritten digits from end to end: trained, exported, graded in the sandbox, served."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fathom.cli.command import main
from fathom.data.sets import mnist
from fathom.learn.engine import exercise, grade, jobs, project
from fathom.learn.engine.verdict import Verdict, judge
from fathom.learn.engine.worker import Worker

pytestmark = pytest.mark.slow

SLUG = "digits"
ONE = os.environ | {"OMP_NUM_THREADS": "1"}
# The program as its learner runs it; an import of the curriculum would fail.
ALONE = "import runpy, sys; sys.modules['fathom.learn'] = None; sys.path.insert(0, '.');"
ALONE += "runpy.run_path('project.py', run_name='__main__')"


@pytest.fixture(scope="module")
def worker() -> Worker:
    return Worker()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference project, run in an ordinary folder."""
    made = tmp_path_factory.mktemp("anywhere") / "my digits"
    project.write(made, exercise.project_files(SLUG, solved=True))
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=made, env=ONE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"fathom serve {made / 'model'}" in done.stdout
    return made


def judged(worker: Worker, name: str, folder: Path, answer: str | None = None) -> Verdict:
    made = exercise.exercise(SLUG, name)
    return judge(worker, made, made.solution if answer is None else answer, folder=folder)


# -- the folder without the curriculum ------------------------------------------------------------
def test_the_reference_reads_988_of_1000_test_digits_within_the_budget(folder: Path) -> None:
    """LP08 asks for 95 %; its reference for 98.8 % on a small machine."""
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["accuracy"] >= 0.988 and facts["baseline"] < 0.85
    assert facts["weights"] <= 200_000 and facts["seconds"] <= 120
    assert facts["interval"][0] < facts["accuracy"] < facts["interval"][1]
    assert f"{facts['accuracy']:.1%} of the test digits" in (folder / "CARD.md").read_text()
    with Image.open(folder / "worst.png") as picture:
        assert picture.size == (900, 180)
    assert json.loads((folder / "model" / "equality.json").read_text())["equal"]


def test_it_is_served_with_a_page_to_draw_on(folder: Path) -> None:
    """A digit as it is in MNIST, and one as somebody draws it: larger, dark on light."""
    command = [sys.executable, "-m", "fathom", "serve", "model", "--port", "0", "--threads", "1"]
    digits = mnist.read()
    with subprocess.Popen(command, cwd=folder, env=ONE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            address = re.search(r"http://\S+?/", server.stdout.readline())
            assert address
            page = urllib.request.urlopen(address[0]).read().decode()
            assert "<image-input draw>" in page
            for row in range(5):
                label, pixels = str(digits.test_labels[row]), digits.test_images[row]
                large = Image.fromarray(255 - pixels).resize((280, 280))
                for picture in (Image.fromarray(pixels), large):
                    assert asked(address[0], picture)["label"] == label
        finally:
            server.terminate()


def asked(address: str, picture: Image.Image) -> dict:
    data = BytesIO()
    picture.save(data, "PNG")
    request = urllib.request.Request(f"{address}predict", data.getvalue(), {"Content-Type": "image/png"})
    answer = json.loads(urllib.request.urlopen(request).read())
    return answer["predictions"][0] if "predictions" in answer else answer


# -- milestones -----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["split", "baseline", "network", "train", "evaluate", "task", "card"])
def test_each_milestone_names_its_mistakes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On three seeds; what trains for long, or looks at the folder, is left to the sandbox."""
    made = exercise.exercise(SLUG, name)
    module = jobs.load(made.path)
    for check in ("check_budget", "check_program", "check_model"):
        if hasattr(module, check):
            monkeypatch.delattr(module, check)
    assert grade.selftest(module) == len(made.mistakes) >= 3


def test_training_is_told_what_it_reached_and_cost(worker: Worker, folder: Path) -> None:
    """The other milestones, and every twin, go through the sandbox in ``test_topics``."""
    verdict = judged(worker, "train", folder)
    cost = r"([\d.]+)% of 10,000 digits .*, after 500 steps, \d+ s and 26,810 weights"
    found = re.search(cost, verdict.message)
    assert verdict.passed and found and float(found[1]) >= 98.5, verdict


@pytest.fixture
def simple(tmp_path: Path) -> Path:
    """The solved project with a network that is quick to train, and not good enough."""
    project.write(tmp_path, exercise.project_files(SLUG, solved=True))
    (tmp_path / "network.py").write_text(
        "from torch import nn\ndef network():\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    return tmp_path


def test_a_budget_that_is_spent_ends_the_training(worker: Worker, simple: Path) -> None:
    answer = exercise.exercise(SLUG, "train").solution.replace("1, 100, 0.1", "1, 10, 0.01")
    verdict = judged(worker, "train", simple, answer)
    assert (verdict.passed, verdict.check) == (False, "budget")
    assert "The budget is 2,000 steps, and your training takes more." in verdict.message


def test_too_few_right_answers_are_said_with_their_cost(worker: Worker, simple: Path) -> None:
    answer = exercise.exercise(SLUG, "train").solution.replace("1, 100, 0.1", "1, 500, 0.001")
    message = judged(worker, "train", simple, answer).message
    assert re.fullmatch(r"[\d.]+% of 10,000 digits .* 100 steps, .* 7,850 weights; 95 % are asked\.", message)


def test_the_last_milestone_looks_at_what_the_program_made(
    worker: Worker, folder: Path, tmp_path: Path
) -> None:
    here = tmp_path / SLUG
    shutil.copytree(folder, here)
    assert judged(worker, "card", here).passed
    longer = exercise.exercise(SLUG, "card").solution.replace("a letter too.", "a letter, too.")
    assert "CARD.md is another one" in judged(worker, "card", here, longer).message
    network = here / "network.py"
    network.write_text(network.read_text().replace("nn.Conv2d(1, 16,", "nn.Conv2d(1, 15,"))
    assert "of another network than your network.py" in judged(worker, "card", here).message
    shutil.rmtree(here / "model")
    told = judged(worker, "card", here).message
    assert (
        "There is no model yet" in told and f"In the folder {here.resolve()} run: python project.py" in told
    )


def test_errors_in_a_file_beside_it_name_that_file(worker: Worker, tmp_path: Path) -> None:
    project.write(tmp_path, exercise.project_files(SLUG))
    (tmp_path / "split.py").write_text("def split(images, seed):\n    return images.nonsense\n")
    message = judged(worker, "train", tmp_path).message
    assert "AttributeError" in message and "(split.py, line 2: return images.nonsense)" in message
    project.write(tmp_path, exercise.project_files(SLUG))
    assert "This needs your split.py, which is not written yet." in judged(worker, "train", tmp_path).message


def test_a_program_that_breaks_is_a_complaint(tmp_path: Path) -> None:
    said = project.run(tmp_path, {"project.py": "raise ValueError('no digits today')\n"})
    assert said.startswith("project.py ended with 1") and "no digits today" in said


def test_what_trains_is_ended_with_the_server(worker: Worker, tmp_path: Path) -> None:
    """Ctrl-C must not wait for minutes of training."""
    project.write(tmp_path, exercise.project_files(SLUG, solved=True))
    found: list[Verdict] = []
    endless = "def train(network, images, labels, seed):\n    while True: pass\n"
    waiting = threading.Thread(target=lambda: found.append(judged(worker, "train", tmp_path, endless)))
    waiting.start()
    while not worker.busy or not next(iter(worker.busy)).started:
        time.sleep(0.05)
    began = time.monotonic()
    worker.halt()
    waiting.join(10)
    assert time.monotonic() - began < 3
    assert found[0].check == "limits" and "fathom learn ended" in found[0].message and not worker.busy


# -- a newcomer -----------------------------------------------------------------------------------
@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("FATHOM_LEARN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield tmp_path


def test_from_an_empty_home_to_the_first_milestone(
    newcomer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["learn", "check", SLUG]) == 1
    told = capsys.readouterr().out
    assert "not yet digits/split" in told and "Nothing here yet" in told
    place = Path(next(line.split()[-1] for line in told.splitlines() if line.startswith("edit")))
    assert {"project.py", "README.md", "card.py"} <= {file.name for file in place.parent.iterdir()}
    place.write_text(
        "import torch\n\n\ndef split(images, seed):\n    dice = torch.Generator().manual_seed(seed)\n"
        "    order = torch.randperm(len(images), generator=dice)\n"
        "    return order[len(images) // 6 :], order[: len(images) // 6]\n"
    )
    assert main(["learn", "check", SLUG]) == 1
    assert "has a copy among those you learn from" in capsys.readouterr().out
    place.write_text(exercise.exercise(SLUG, "split").solution)
    assert main(["learn", "check", SLUG]) == 0
    capsys.readouterr()
    assert main(["learn", "list"]) == 0
    assert "handwritten digits, 1 of 7 milestones" in capsys.readouterr().out
    assert main(["learn", "next", SLUG]) == 0
    shown = capsys.readouterr().out
    assert "Milestone 1 of 7: split (solved)" in shown and "Milestone 7 of 7: card" in shown
    assert "project.py:" in shown and np.all([f"digits/{n}" in shown for n in exercise.milestones(SLUG)])
