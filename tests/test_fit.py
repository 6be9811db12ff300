"""A person's own data: recognised, explained, trained, evaluated; refused with a reason where it is bad."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fathom.cli.command import main
from fathom.errors import InputError
from fathom.training.budget import Budget
from fathom.training.run import Run
from fathom.verbs.evaluate import evaluate
from fathom.verbs.fit import fit, seconds
from fathom.verbs.train import resume

pytestmark = pytest.mark.slow


def paint(folder: Path, count: int, classes: tuple[str, ...] = ("bright", "dark")) -> Path:
    """Noise around a level that depends on the class."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        level = -60 if name == "dark" else 60
        for i in range(count):
            noise = Image.effect_noise((32, 30), 30)
            picture = noise.point(lambda v, level=level: max(0, min(255, v + level)))
            picture.save(folder / name / f"{i}.png")
    return folder


def houses(file: Path, count: int = 300, **columns: Any) -> Path:
    dice = random.Random(1)
    with file.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["area", "town", "price", *columns])
        for i in range(count):
            area, town = dice.uniform(30, 200), dice.choice(["Ames", "Boone", "Perry"])
            price = 1000 * area + {"Ames": 20_000, "Boone": 0, "Perry": -10_000}[town] + dice.gauss(0, 3000)
            writer.writerow([f"{area:.1f}", town, f"{price:.0f}", *(v(i) for v in columns.values())])
    return file


def reviews(file: Path, count: int = 300) -> Path:
    dice = random.Random(2)
    good, bad = ["lovely", "warm", "great", "fine"], ["dull", "cold", "awful", "poor"]
    with file.open("w") as handle:
        for i in range(count):
            words = [*dice.sample(good if i % 2 else bad, 3), "the", "film", "was", "a", "story"]
            dice.shuffle(words)
            handle.write(json.dumps({"review": " ".join(words), "stars": "up" if i % 2 else "down"}) + "\n")
    return file


def test_pictures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = paint(tmp_path / "pictures", 40)
    command = ["fit", str(folder), "--set", "steps=40", "--out", str(tmp_path / "run"), "--json"]
    assert main(command) == 0
    told = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert told["metrics"]["valid/accuracy"] == 1.0
    record = Run(tmp_path / "run").record
    assert "most frequent class" in record["extra"]["baselines"]
    found = evaluate(tmp_path / "run", paint(tmp_path / "more", 10))
    assert found["items"] == 20 and found["metrics"]["accuracy"] > 0.9
    assert len(found["intervals"]["accuracy"]) == 2
    with pytest.raises(InputError, match="'pale'"):
        evaluate(tmp_path / "run", paint(tmp_path / "other", 3, ("bright", "pale")))


def test_pictures_with_splits_are_matched_by_name(tmp_path: Path) -> None:
    paint(tmp_path / "p" / "train", 30)
    paint(tmp_path / "p" / "test", 8, ("dark",))  # a split may lack a class; the other keeps its place
    run = fit(tmp_path / "p", steps=80, out=tmp_path / "run", export=False)
    assert run.metrics["valid/accuracy"] == 1.0
    assert run.metrics["test/accuracy"] == 1.0


def test_table(tmp_path: Path) -> None:
    file = houses(tmp_path / "houses.csv")
    run = fit(file, target="price", steps=200, out=tmp_path / "run")
    assert run.metrics["valid/r2"] > 0.9
    answer = run.predict({"area": 100, "town": "Ames"})
    assert answer["value"] == pytest.approx(120_000, rel=0.1)
    found = evaluate(tmp_path / "run", houses(tmp_path / "more.csv", 50))
    assert found["metrics"]["r2"] > 0.9
    with pytest.raises(InputError, match="area"):
        (tmp_path / "less.csv").write_text("town,price\nAmes,3\nPerry,4\n")
        evaluate(tmp_path / "run", tmp_path / "less.csv")


def test_texts(tmp_path: Path) -> None:
    run = fit(reviews(tmp_path / "r.jsonl"), text="review", target="stars", steps=60, out=tmp_path / "run")
    assert run.metrics["valid/accuracy"] > 0.9
    assert run.predict({"review": "a great and warm film"})["label"] == "up"


def test_plain_text_becomes_a_language_model(tmp_path: Path) -> None:
    (tmp_path / "rhyme.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 200)
    run = fit(tmp_path / "rhyme.txt", steps=60, out=tmp_path / "run", export=False)
    text = run.predict({"prompt": "the cat", "length": 20})["text"]
    assert isinstance(text, str) and len(text) >= 20


RHYME = "the cat sat on the mat and the dog sat on the log.\n" * 60


@pytest.mark.parametrize("system", ["gpt2", "llama"])
def test_the_model_of_a_text_is_chosen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], system: str
) -> None:
    """And the run is one like others: it writes, is scored, is made again, and resumes."""
    file = tmp_path / "rhyme.txt"
    file.write_text(RHYME)
    command = ["fit", str(file), "--model", system, "--set", "steps=3", "--no-export"]
    assert main([*command, "--out", str(tmp_path / "run"), "--json"]) == 0
    run = Run(tmp_path / "run")
    assert json.loads((run.folder / "model" / "artifact.json").read_text())["system"] == system
    assert run.record["experiment"]["model"]["vocabulary"] == len(set(RHYME))
    assert f"--model {system}" in (run.folder / "report.html").read_text()
    answer = run.predict({"prompt": "the cat", "length": 20})
    assert answer["tokens"] == 20 and len(answer["text"]) == 27
    assert 0 < evaluate(run.folder, file)["metrics"]["loss"] < 10
    assert fit(system, file, steps=3, out=tmp_path / "again", export=False).digest == run.digest
    capfd.readouterr()


def test_a_run_of_a_chosen_model_is_resumed(tmp_path: Path) -> None:
    file = tmp_path / "rhyme.txt"
    file.write_text(RHYME)

    def kill(event: Any) -> None:
        if event.steps == 2:
            raise KeyboardInterrupt

    whole = fit("gpt2", file, steps=4, out=tmp_path / "whole", export=False)
    with pytest.raises(KeyboardInterrupt):
        fit("gpt2", file, steps=4, out=tmp_path / "cut", export=False, observers=[kill])
    assert resume(tmp_path / "cut", export=False).digest == whole.digest


def test_the_model_of_pairs_is_chosen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A Transformer in the place of the recurrent pair: it translates, is scored, and is made again."""
    words = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "acht"}
    dice, rows = random.Random(0), ["en,de"]
    for _ in range(160):
        text = [dice.choice(list(words)) for _ in range(dice.randint(2, 5))]
        rows.append(f"{' '.join(text)},{' '.join(words[w] for w in text)}")
    file = tmp_path / "pairs.csv"
    file.write_text("\n".join(rows))
    command = ["fit", str(file), "--task", "sequence-to-sequence", "--text", "en", "--target", "de"]
    command += ["--model", "transformer", "--set", "steps=3", "--no-export"]
    assert main([*command, "--out", str(tmp_path / "run"), "--json"]) == 0
    run = Run(tmp_path / "run")
    assert json.loads((run.folder / "model" / "artifact.json").read_text())["system"] == "transformer"
    model = run.record["experiment"]["model"]
    assert (model["source_vocabulary"], model["target_vocabulary"], model["places"]) == (9, 9, 6)
    assert isinstance(run.predict({"en": "one two"})["text"], str)
    assert evaluate(run.folder, file, text="en", target="de")["items"] == 160
    assert main([*command[:-4], "gpt2", *command[-3:], "--out", str(tmp_path / "other")]) == 2
    assert "there is no model for --model 'gpt2'; known: seq2seq, transformer" in capfd.readouterr().err


def opinions(path: Path, rows: int = 240) -> Path:
    """A table of sentences and what they say of a film."""
    dice, lines = random.Random(0), ["said,stars"]
    for _ in range(rows):
        good = dice.random() < 0.5
        word = dice.choice(["warm", "witty", "lovely"] if good else ["dull", "endless", "empty"])
        place = dice.choice(["film", "story", "evening"])
        lines.append(f"what a {word} {place} that was,{'good' if good else 'bad'}")
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("system", "unit", "length"),
    [("text_cnn", "word", 6), ("text_lstm", "word", 6), ("text_committee", "word", 6), ("bert", "piece", 8)],
)
def test_the_model_of_texts_with_labels_is_chosen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], system: str, unit: str, length: int
) -> None:
    """From scratch, by its name; a Transformer learns word pieces of the texts that it trains on."""
    file = opinions(tmp_path / "opinions.csv")
    command = ["fit", str(file), "--text", "said", "--target", "stars", "--model", system, "--no-export"]
    assert main([*command, "--out", str(tmp_path / "run"), "--json"]) == 0
    run = Run(tmp_path / "run")
    assert json.loads((run.folder / "model" / "artifact.json").read_text())["system"] == system
    model, task = run.record["experiment"]["model"], run.record["experiment"]["task"]
    assert (model["vocabulary"], model["classes"]) == (len(task["vocabulary"]), 2)
    assert task["unit"] == unit and ("##" in " ".join(task["vocabulary"])) == (unit == "piece")
    assert task["length"] == length and model.get("context", length) == length
    assert run.predict({"said": "what a witty story that was"})["label"] == "good"
    assert evaluate(run.folder, file, target="stars")["metrics"]["accuracy"] > 0.9
    again = fit(system, file, text="said", target="stars", out=tmp_path / "again", export=False)
    assert again.digest == run.digest
    assert main([*command[:-2], "gpt2", "--out", str(tmp_path / "other")]) == 2
    known = "there is no model for --model 'gpt2'; known: bert, text_cnn, text_committee, text_lstm"
    assert known in capfd.readouterr().err


def test_an_objective_of_its_own_goes_with_the_model(tmp_path: Path) -> None:
    """A committee's readers learn each by themselves: from nothing, from a run, where classes are rare."""
    file = opinions(tmp_path / "opinions.csv")
    asked: dict[str, Any] = {"text": "said", "target": "stars", "export": False}
    runs = [fit("text_committee", file, **asked, out=tmp_path / "one", balance="weights")]
    runs.append(fit(file, start=runs[0].folder, **asked, out=tmp_path / "two"))
    for run in runs:
        assert run.record["experiment"]["learning"]["objective"]["class"] == "EachReader"
    assert runs[0].record["experiment"]["learning"]["objective"]["balance"] == "weights"
    assert evaluate(runs[1].folder, file, target="stars")["metrics"]["accuracy"] > 0.9


def test_more_signs_than_pieces_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [f"{''.join(chr(0x4E00 + i * 60 + j) for j in range(60))},{i % 2}" for i in range(90)]
    (tmp_path / "signs.csv").write_text("\n".join(["said,label", *lines]), encoding="utf-8")
    command = ["fit", str(tmp_path / "signs.csv"), "--text", "said", "--target", "label", "--model", "bert"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "no word pieces can be learned of these texts: size is 4000" in capfd.readouterr().err


def test_what_is_no_choice_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rhyme.txt").write_text(RHYME)
    houses(tmp_path / "h.csv")
    text, table = str(tmp_path / "rhyme.txt"), str(tmp_path / "h.csv")
    for command, said in (
        ([text, "--model", "gpt3"], "there is no model for --model 'gpt3'; did you mean 'gpt2'?"),
        ([text, "--model", "lenet"], "there is no model for --model 'lenet'; known: char_lstm, gpt2, llama"),
        (
            [table, "--model", "gpt2"],
            "for tabular regression there is no choice of models; leave --model out",
        ),
        ([text, "--model", "gpt2", "--from", "minilm"], "give --model gpt2 or --from minilm, not both"),
    ):
        assert main(["fit", *command, "--out", str(tmp_path / "run")]) == 2
        assert said in capfd.readouterr().err
    run = fit("char_lstm", text, steps=2, out=tmp_path / "own", export=False)
    assert run.digest == fit(text, steps=2, out=tmp_path / "plain", export=False).digest


def ended_as_planned(run: Run) -> bool:
    """At the step that was fixed, or before it because the machine became slower, and then it says so."""
    last, steps, reason = run.rows[-1]["step"], run.record["steps"], run.result["stopped"]
    return last == steps if reason is None else 1 <= last < steps and "time of" in reason


def test_time_bounds_the_length(tmp_path: Path) -> None:
    """The budget fixes the number of steps before the first; the clock is not asked again."""
    folder = paint(tmp_path / "pictures", 40)
    run = fit(folder, time="20s", out=tmp_path / "run", export=False)
    steps = run.record["steps"]
    assert run.record["settings"]["steps"] == steps
    assert ended_as_planned(run)


def test_a_timed_run_that_was_killed_before_its_length_was_fixed_keeps_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = paint(tmp_path / "pictures", 40)

    def killed(*given: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fathom.training.budget.Budget.steps", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(folder, time="9s", out=tmp_path / "run", export=False)
    asked: list[float] = []
    fixed = Budget.steps

    def noted(self: Budget, *given: Any) -> int:
        asked.append(self.seconds)
        return fixed(self, *given)

    monkeypatch.setattr(Budget, "steps", noted)
    run = resume(tmp_path / "run", export=False)
    assert asked == [9.0]
    assert ended_as_planned(run)


def test_bad_pictures_are_named_and_may_be_skipped(tmp_path: Path) -> None:
    folder = paint(tmp_path / "pictures", 20)
    (folder / "dark" / "broken.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(InputError, match=r"broken\.png.*--skip-bad"):
        fit(folder, steps=5, out=tmp_path / "a")
    (folder / "dark" / "about.txt").write_text("no picture", encoding="utf-8")
    said: list[str] = []
    run = fit(folder, steps=5, out=tmp_path / "b", skip_bad=True, export=False, say=said.append)
    assert "broken.png" in run.record["data"]["skipped"][0]
    assert sum("1 left out, since they could not be read" in line for line in said) == 1
    assert "files that are no pictures are passed over: 1 .txt" in said
    notes = noted(run)
    assert notes.count("1 left out, since they could not be read") == 1 and "broken.png" in notes
    run.report.unlink()
    resume(run.folder, export=False)  # a second sitting makes the same page
    assert noted(run) == notes


def noted(run: Run) -> str:
    """The notes of the report, as they stand there."""
    return run.report.read_text(encoding="utf-8").partition(">Notes<")[2].partition("</section>")[0]


REFUSED = {
    "missing": (lambda p: p / "nothing", {}, "does not exist"),
    "empty": (lambda p: (p / "empty").mkdir() or p / "empty", {}, "empty"),
    "one class": (lambda p: paint(p / "one", 5, ("only",)), {}, "one class"),
    "loose pictures": (lambda p: paint(p / "x", 3) / "dark", {}, "class"),
    "no such column": (lambda p: houses(p / "h.csv"), {"target": "prise"}, "'price'"),
    "constant labels": (lambda p: houses(p / "h.csv", label=lambda i: "same"), {"target": "label"}, "label"),
    "labels missing": (lambda p: houses(p / "h.csv", label=lambda i: ""), {"target": "label"}, "label"),
    "labels all different": (
        lambda p: houses(p / "h.csv", label=lambda i: f"name {i}"), {"target": "label"}, "label"
    ),
    "few rows": (lambda p: houses(p / "h.csv", 3), {"target": "price"}, "rows"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_data_is_refused_with_a_reason(case: str, tmp_path: Path) -> None:
    make, options, said = REFUSED[case]
    with pytest.raises(InputError, match=said):
        fit(make(tmp_path), steps=5, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("call", ["iterdir", "open"])
def test_what_may_not_be_read_is_said(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for a user who may not: the superuser, who may run this test, is refused nothing."""
    place = paint(tmp_path / "p", 3) if call == "iterdir" else houses(tmp_path / "h.csv")

    plain = getattr(Path, call)

    def locked(self: Path, *given: Any, **named: Any) -> Any:
        if self.is_relative_to(place):
            raise PermissionError(13, "Permission denied", str(self))
        return plain(self, *given, **named)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, call, locked)
    assert main(["fit", str(place), "--set", "steps=3"]) == 2
    said = capsys.readouterr().err
    assert str(place) in said and ("may not be read" in said or "Permission denied" in said)


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    file = houses(tmp_path / "h.csv", 50)
    file.write_text(file.read_text() + "1,2,3,4,5\n")
    with pytest.raises(InputError, match=r"line 52"):
        fit(file, target="price", steps=5, out=tmp_path / "run")
    run = fit(file, target="price", steps=5, out=tmp_path / "run", skip_bad=True, export=False)
    assert run.metrics
    assert "1 left out" in noted(run) and "line 52" in noted(run)


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("5m", 300), ("1.5h", 5400), ("20", 20), (7.5, 7.5)]
)
def test_lengths_of_time(text: Any, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["soon", "-3s", "0", "5 parsecs", "1.2.3s"])
def test_no_lengths_of_time(text: str) -> None:
    with pytest.raises(InputError, match="no length of time"):
        seconds(text)
