"""Calibration of a finished run: the temperature is that of its logits, and mends what it should mend."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fathom.cli.command import main
from fathom.data.split import Tensors
from fathom.deployment import temperature
from fathom.deployment.artifact import open_artifact, write
from fathom.errors import InputError
from fathom.fundamentals.mathematics.calibration import fit_temperature
from fathom.report.agreement import Calibration
from fathom.task import Evaluation
from fathom.training.run import Run
from fathom.verbs.calibrate import answered, calibrate
from fathom.verbs.compare import score
from fathom.verbs.embed import embed
from fathom.verbs.evaluate import evaluate
from fathom.verbs.fit import fit
from fathom.verbs.predict import predict
from fathom.verbs.splits import data_of
from fathom.verbs.train import train


@pytest.fixture
def run(overconfident: SimpleNamespace, tmp_path: Path) -> Run:
    """A copy of the run, so that what a test writes stays its own."""
    return Run(Path(shutil.copytree(overconfident.run.folder, tmp_path / "run")))


def hashes(folder: Path) -> dict[str, str]:
    files = [f for f in folder.iterdir() if f.name != temperature.FILE]
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def true_logits(run: Run, split: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the model itself, before its softmax."""
    model = open_artifact(run.folder, calibrated=False).network.model  # type: ignore[attr-defined]
    tokens, labels = split.rows(torch.arange(len(split)))
    with torch.no_grad():
        return model.eval()(tokens).double(), labels


def test_the_temperature_is_that_of_the_logits_and_mends_the_test_rows(run: Run) -> None:
    before = hashes(run.model)
    found = calibrate(run.folder)
    data = data_of(run)
    logits, labels = true_logits(run, data.valid)
    assert found["temperature"] == pytest.approx(fit_temperature(logits, labels), rel=1e-5)
    assert found["temperature"] > 1.2
    assert found["after"]["ece"] < 0.7 * found["before"]["ece"]
    assert found["after"]["nll"] < found["before"]["nll"]
    assert found["after"]["brier"] < found["before"]["brier"]
    assert found["after"]["accuracy"] == found["before"]["accuracy"] == run.metrics["test/accuracy"]
    assert found["before"]["nll"] == pytest.approx(run.metrics["test/log_loss"], rel=1e-5)
    logits, labels = true_logits(run, data.test)
    mended = float(F.cross_entropy(logits / found["temperature"], labels))
    assert found["after"]["nll"] == pytest.approx(mended, rel=1e-5)
    assert (found["fitted_on"], found["scored_on"]) == (len(data.valid or ()), len(data.test or ()))
    assert hashes(run.model) == before
    assert calibrate(run.folder)["temperature"] == found["temperature"], "it was fitted to calibrated answers"


def test_what_was_written_makes_the_network_calibrated(run: Run) -> None:
    found = calibrate(run)
    artifact = open_artifact(run.folder)
    assert artifact.temperature is not None and artifact.temperature.value == found["temperature"]
    assert str(artifact.temperature) in repr(artifact)
    assert Path(found["file"]) == run.model / "calibration.json"
    split = data_of(run).test
    tokens, _ = split.rows(torch.arange(20))  # type: ignore[union-attr]
    mended = artifact.network({"tokens": tokens.numpy()})["probabilities"]
    logits, _ = true_logits(run, Tensors((tokens, torch.zeros(20))))
    np.testing.assert_allclose(mended, (logits / found["temperature"]).softmax(-1), atol=1e-6)
    assert mended.dtype == np.float32


def test_predictions_are_those_of_divided_logits(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [f"sea{i} sky{9 - i} wood{i // 2}" for i in range(10)]
    command = ["predict", str(run.folder), *(word for text in texts for word in ("--text", text))]

    def asked(*further: str) -> tuple[list[dict[str, Any]], str]:
        assert main([*command, *further]) == 0
        shown = capsys.readouterr()
        return [json.loads(line) for line in shown.out.splitlines()], shown.err

    before, told = asked()
    assert "calibrated" not in told
    value = calibrate(run)["temperature"]
    after, told = asked()
    assert f"calibrated with temperature {value:.3g}" in told
    artifact = open_artifact(run.folder, calibrated=False)
    tokens = torch.from_numpy(np.stack([artifact.decode({"text": text})["tokens"] for text in texts]))
    logits, _ = true_logits(run, Tensors((tokens, torch.zeros(len(texts)))))
    for answers, warmth in ((before, 1.0), (after, value)):
        shares = [list(answer["probabilities"].values()) for answer in answers]
        np.testing.assert_allclose(shares, (logits / warmth).softmax(-1), rtol=0, atol=1e-6)
    assert [a["label"] for a in after] == [a["label"] for a in before] and after != before
    assert asked("--raw") == (before, "")
    alone = run.predict({"text": texts[0]})["probabilities"]
    assert alone == pytest.approx(after[0]["probabilities"], abs=1e-6)
    with pytest.raises(InputError, match="open it with calibrated=False"):
        predict(open_artifact(run.folder), [], calibrated=False)


def test_evaluate_scores_what_predict_answers(
    run: Run, overconfident: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = overconfident.write(tmp_path / "new.csv", 90, seed=11)
    before = evaluate(run.folder, new)
    value = calibrate(run)["temperature"]
    after = evaluate(run.folder, new)
    assert (before["temperature"], after["temperature"]) == (None, value)
    assert after["metrics"]["accuracy"] == before["metrics"]["accuracy"]
    assert after["metrics"]["log_loss"] < before["metrics"]["log_loss"]
    assert evaluate(run.folder, new, calibrated=False) == before
    assert main(["evaluate", str(run.folder), str(new)]) == 0
    assert f"90 items, calibrated with temperature {value:.3g}" in capsys.readouterr().out
    assert main(["evaluate", str(run.folder), str(new), "--raw", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == before["metrics"]


def test_what_looks_into_the_model_is_not_calibrated(run: Run) -> None:
    def seen() -> tuple[bytes, float]:
        return Path(embed(run)["table"]).read_bytes(), score(run)[1].metrics["log_loss"]

    before = seen()
    calibrate(run)
    assert seen() == before and before[1] == pytest.approx(run.metrics["test/log_loss"], rel=1e-6)


@pytest.mark.slow
def test_onnx_keeps_the_models_own_probabilities(run: Run) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = run.export()
    made = file.read_bytes()
    value = calibrate(run)["temperature"]
    item = {"text": "sea1 sea2 sky3"}
    mended = run.predict(item)["probabilities"]
    assert predict(run.folder, [item], backend="onnx")[0]["probabilities"] == pytest.approx(mended, abs=1e-4)
    assert file.read_bytes() == made and run.export().read_bytes() == made
    assert run.predict(item)["probabilities"] == mended, "an export keeps the temperature"
    tokens = open_artifact(run.folder).decode(item)["tokens"][None]
    (own,) = onnxruntime.InferenceSession(made).run(["probabilities"], {"tokens": tokens})
    raw = predict(run.folder, [item], calibrated=False)[0]["probabilities"]
    assert own[0].tolist() == pytest.approx(list(raw.values()), abs=1e-4)
    by_hand = own[0] ** (1 / value) / (own[0] ** (1 / value)).sum()
    assert by_hand.tolist() == pytest.approx(list(mended.values()), abs=1e-4)


def test_new_weights_have_no_temperature_yet(run: Run) -> None:
    calibrate(run)
    artifact = open_artifact(run.folder, calibrated=False)
    write(run.model, task=artifact.task, model=artifact.network.model, system="text_cnn", digest="f" * 64,  # type: ignore[attr-defined]
          name="again", facts={})  # fmt: skip
    assert open_artifact(run.folder).temperature is None and not (run.model / temperature.FILE).exists()


def test_a_tampered_temperature_stops_every_answer(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(calibrate(run)["file"])
    file.write_text(file.read_text().replace('"value": ', '"value": -'))
    folder = str(run.folder)
    for command in (["predict", folder, "--text", "sea1"], ["serve", folder, "--port", "0"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert str(file) in said and "must lie between 0.001 and 1000" in said and "or delete it" in said
    assert main(["predict", folder, "--text", "sea1", "--raw"]) == 0
    assert calibrate(run)["temperature"] > 1 and run.predict({"text": "sea1"})["label"] == "sea"


def test_the_page_shows_both_diagrams(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "calibration", str(run.folder)]) == 0
    shown = capsys.readouterr().out
    text = (run.folder / "calibration.html").read_text(encoding="utf-8")
    assert str(run.folder / "calibration.html") in shown and "temperature  " in shown
    assert text.count("Reliability diagram:") == 2 and "<b>Pass</b>" in text
    assert "Fitted on the validation split: 300 rows." in text and "fathom explain calibration" in text
    assert (
        main(["explain", "calibration", str(run.folder), "--json", "--out", str(run.folder / "b" / "c.html")])
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert (run.folder / "b" / "c.html").is_file()
    diagrams = f"{told['before']['ece']:.4g}", f"{told['after']['ece']:.4g}"
    assert all(f"Expected calibration error <b>{value}</b>" in text for value in diagrams)


def test_the_block_has_the_very_error_of_the_primitive(run: Run) -> None:
    artifact = open_artifact(run.folder)
    evaluation = artifact.task.evaluate(artifact.network, data_of(run).test)
    shares, labels = evaluation.detail["probabilities"], evaluation.detail["labels"]
    block = Calibration(shares.max(axis=1), shares.argmax(axis=1) == labels, bins=15)
    assert block.error() == pytest.approx(calibrate(run)["before"]["ece"], abs=1e-6)


def test_new_data_is_halved(
    run: Run, overconfident: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = overconfident.write(tmp_path / "new.csv", 300, seed=9)
    assert main(["explain", "calibration", str(run.folder), "--data", str(new), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fitted_on"] + told["scored_on"] == 300 and abs(told["fitted_on"] - 150) < 3
    assert "one half of" in told["rows"][0]
    other = calibrate(run, data=new, seed=1)
    assert other["temperature"] != told["temperature"] and other["after"]["nll"] < other["before"]["nll"]


def test_a_run_without_a_test_split_halves_its_validation_rows(
    overconfident: SimpleNamespace, tmp_path: Path
) -> None:
    data = overconfident.write(tmp_path / "texts.csv", 300, seed=3, own=0.5)
    made = fit(data, text="text", target="label", steps=40, out=tmp_path / "r", export=False)
    found = calibrate(made)
    assert found["fitted_on"] + found["scored_on"] == 60
    assert "kept no test split" in found["rows"][0]


@pytest.mark.slow
def test_a_recipe(tmp_path: Path) -> None:
    made = train("lenet", settings=[("steps", "25")], out=tmp_path / "lenet", export=False)
    found = calibrate(made.folder)
    assert (found["fitted_on"], found["scored_on"]) == (5000, 10_000)
    assert found["after"]["ece"] < found["before"]["ece"] and found["after"]["nll"] < found["before"]["nll"]


def test_what_cannot_be_calibrated_is_refused(
    run: Run, overconfident: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = Run(tmp_path / "unfinished")
    unfinished.folder.mkdir()
    unfinished.update(name="lenet", state="interrupted")
    easy = overconfident.write(tmp_path / "easy.csv", 60, seed=2, own=1.0)
    few = overconfident.write(tmp_path / "few.csv", 3, seed=2)
    live = Run(Path(shutil.copytree(run.folder, tmp_path / "live")))
    live.update(origin={"kind": "live"})
    own = Run(Path(shutil.copytree(run.folder, tmp_path / "own")))
    own.update(origin={"kind": "function", "name": "mine:recipe"})
    moved = Run(Path(shutil.copytree(run.folder, tmp_path / "moved")))
    moved.update(origin={**run.record["origin"], "path": str(tmp_path / "gone.csv")})
    cases: list[tuple[list[str], str]] = [
        ([str(tmp_path / "nowhere")], "is no run folder"),
        ([str(unfinished.folder)], "is not finished; go on with: fathom train --resume"),
        ([str(run.folder), "--bins", "0"], "--bins 0: it must be 1 or more"),
        ([str(run.folder), "--data", "nowhere.csv"], "nowhere.csv does not exist"),
        ([str(run.folder), "--data", "weights.pt"], "fathom import"),
        (
            [str(run.folder), "--data", str(easy)],
            "the model makes no error on the rows that the temperature would be fitted to, so none can be"
            f" found. Fitted on one half of {easy}: 30 rows; give more rows than {easy} has, with rows among",
        ),
        ([str(run.folder), "--data", str(few)], "has 3 rows; give 4 or more"),
        ([str(live.folder)], "made from live objects, whose data is not stored; give labelled data"),
        ([str(own.folder)], "made from a recipe of your own"),
        ([str(moved.folder)], "gone.csv does not exist"),
    ]
    for command, said in cases:
        assert main(["explain", "calibration", *command]) == 2, command
        shown = capsys.readouterr()
        assert said in shown.err and not shown.out, (command, shown.err)
    assert not (run.model / "calibration.json").exists()


def test_models_without_classes_have_no_temperature() -> None:
    def artifact(**detail: Any) -> Any:
        evaluation = Evaluation({"rmse": 1.0}, "rmse", detail=detail)
        return SimpleNamespace(name="m", task=SimpleNamespace(evaluate=lambda *_: evaluation), network=None)

    for detail in ({}, {"probabilities": np.ones(3), "labels": np.ones(3)}):
        with pytest.raises(InputError, match="does not answer with a probability for each class"):
            answered(artifact(**detail), Tensors((torch.zeros(3),)))
