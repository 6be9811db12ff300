"""A run that learned to write goes on with another text: what stays of it, what moves, what is refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fathom.architectures.recurrent import char_lstm
from fathom.architectures.transformers import gpt2, llama
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.tasks.language_modelling import LanguageModelling
from fathom.training.run import Run
from fathom.verbs.fit import fit
from fathom.verbs.train import resume, train
from fathom.verbs.transfer import source

SYSTEMS = {"char_lstm": char_lstm, "gpt2": gpt2, "llama": llama}
LINES = "row, row, the dim moon,\nmerrily, merrily, under a low wheel,\nwe wait for a treat in the dawn.\n"


@pytest.fixture(scope="module", autouse=True)
def few_samples() -> Iterator[None]:
    """Samples for a report are written short: they are most of what such a small run takes."""
    whole = LanguageModelling.respond

    def short(self: LanguageModelling, network: Any, items: Any) -> Any:
        return whole(self, network, [{**item, "length": np.minimum(item["length"], 12)} for item in items])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModelling, "respond", short)
        yield


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small run of each system, which knows the characters of a nursery rhyme."""
    home = tmp_path_factory.mktemp("writers")
    return {
        name: train(module.tiny(), settings=[("steps", "8")], out=home / name, export=False).folder
        for name, module in SYSTEMS.items()
    }


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "own.txt"
    file.write_text(LINES * 30)
    return file


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_goes_on_with_the_sizes_and_weights_of_the_run(
    system: str, writers: dict[str, Path], text: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["fit", str(text), "--from", str(writers[system]), "--set", "steps=3", "--no-export"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    told = capfd.readouterr().err
    given, run = source(writers[system]), Run(tmp_path / "run")
    made = load_file(run.model / "weights.safetensors")
    assert {n: t.shape for n, t in made.items()} == {n: t.shape for n, t in given.state.items()}
    moved = {n: (made[n] - given.state[n]).abs().max().item() for n in made}
    assert all(0 < distance < 0.02 for distance in moved.values()), moved
    assert f"start: {given.told}; its {len(given.fixed['vocabulary'])} characters" in told
    assert ", a tenth of that of a start from nothing; all of the model moves" in told
    record = run.record
    assert record["system"] == system and record["origin"]["start"]["told"] == given.told
    assert record["settings"]["learning.optimizer.learning_rate"] == (5e-4 if system == "char_lstm" else 3e-4)
    page = run.report.read_text()
    assert f"--from {writers[system]}" in page and f"start: {given.told}" in page
    assert len(run.predict({"prompt": "row", "length": 9})["text"]) == 12


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_killed_one_ends_in_the_same_bits_and_can_be_begun_from(
    system: str, writers: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    """Though the run that it began from is gone by then; the next begins with the loss that it ended with."""
    start = shutil.copytree(writers[system], tmp_path / "start")
    straight = fit(text, start=start, steps=4, out=tmp_path / "straight", export=False)

    def stop(event: Any) -> None:
        if event.steps == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(text, start=start, steps=4, out=tmp_path / "cut", export=False, observers=[stop])
    shutil.rmtree(start)
    run = resume(tmp_path / "cut", export=False)
    assert run.digest == straight.digest
    still = [("learning_rate", "1e-9")]
    again = fit(text, start=run.folder, steps=1, settings=still, out=tmp_path / "again", export=False)
    assert again.metrics["valid/loss"] == pytest.approx(run.metrics["valid/loss"], abs=1e-4)


def test_unknown_characters_are_refused_or_left_out(
    writers: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.txt"
    strange.write_text("Über ÜÜ" + LINES * 20, encoding="utf-8")
    command = ["fit", str(strange), "--from", str(writers["gpt2"]), "--set", "steps=1", "--no-export"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    said = capfd.readouterr().err
    assert f"{strange} holds 3 characters that" in said
    assert "never saw: 'Ü'; leave them out with --skip-bad" in said and not (tmp_path / "run").exists()
    assert main([*command, "--skip-bad", "--out", str(tmp_path / "run")]) == 0
    assert "left out: 3 characters, 'Ü'" in capfd.readouterr().err
    run = Run(tmp_path / "run")
    assert run.record["data"]["unknown_characters"] == 3
    assert "left out: 3 characters" in run.report.read_text()


def test_a_short_text_is_refused(writers: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text(LINES)
    with pytest.raises(InputError, match="characters that the model knows; give at least 1,000"):
        fit(tmp_path / "short.txt", start=writers["gpt2"], steps=1, out=tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("system", ["gpt2", "llama"])
def test_it_is_tuned_by_an_adaptation_too(
    system: str, writers: dict[str, Path], text: Path, tmp_path: Path
) -> None:
    how = [("learning.adaptation", "LoRA"), ("learning.adaptation.rank", "2")]
    run = fit(text, start=writers[system], steps=3, settings=how, out=tmp_path / "run", export=False)
    given, made = source(writers[system]).state, load_file(run.model / "weights.safetensors")
    still = {n: made.get(n.replace(".weight", ".base.weight"), made.get(n)) for n in given}
    assert all(torch.equal(tensor, given[n]) for n, tensor in still.items() if tensor is not None)
    assert any(n.endswith(".up.weight") and t.abs().max() > 0 for n, t in made.items())
    again = fit(text, start=run.folder, steps=1, out=tmp_path / "again", export=False)  # it is merged first
    assert again.metrics["valid/loss"] == pytest.approx(run.metrics["valid/loss"], abs=0.1)


@pytest.mark.slow
def test_time_bounds_it(writers: dict[str, Path], text: Path, tmp_path: Path) -> None:
    run = fit(text, start=writers["gpt2"], time="25s", out=tmp_path / "run", export=False)
    assert 1 <= run.record["steps"] and run.record["origin"]["time"] == 25
    assert json.loads((run.model / "artifact.json").read_text())["system"] == "gpt2"
