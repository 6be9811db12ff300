"""Features of a finished run in the plane: they are the right ones, and the table and the page hold them."""

import csv
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.deployment.artifact import open_artifact
from fathom.errors import InputError
from fathom.fundamentals.mathematics.dimension_reduction import pca_embedding
from fathom.training.run import Run
from fathom.verbs.embed import agreement, chosen, embed, features, last_linear, named
from fathom.verbs.splits import data_of
from fathom.verbs.train import train


@pytest.fixture
def run(overconfident: SimpleNamespace, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(overconfident.run.folder, tmp_path / "run")))


def table(place: str) -> list[dict[str, str]]:
    with open(place, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_the_features_are_what_the_last_layer_is_given(run: Run) -> None:
    artifact = open_artifact(run.folder)
    model: Any = artifact.network.model  # type: ignore[attr-defined]
    split = data_of(run).valid
    assert split is not None and last_linear(model) == "output"
    index = np.arange(0, len(split), 2)
    found, labels = features(artifact, model, "output", split, index)
    tokens, target = split.rows(torch.from_numpy(index))
    with torch.no_grad():
        again = model.output(torch.from_numpy(found).float())
        np.testing.assert_allclose(again.numpy(), model(tokens).numpy(), atol=1e-5)
    assert labels == [artifact.task.labels[i] for i in target.tolist()]  # type: ignore[attr-defined]
    assert not model.output._forward_pre_hooks


def test_pca(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "features", str(run.folder)]) == 0
    shown = capsys.readouterr().out
    place = run.folder / "embedding-pca.csv"
    assert str(place) in shown and "variance explained" in shown
    rows = table(str(place))
    artifact = open_artifact(run.folder)
    split: Any = data_of(run).valid
    index = np.arange(len(split))
    model = artifact.network.model  # type: ignore[attr-defined]
    found, labels = features(artifact, model, "output", split, index)
    assert [int(row["row"]) for row in rows] == index.tolist() and [row["label"] for row in rows] == labels
    points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    np.testing.assert_allclose(points, pca_embedding(found, 2), atol=1e-9)
    text = (run.folder / "embedding-pca.html").read_text(encoding="utf-8")
    assert "http-equiv" in text and "<script" not in text
    assert all(f">{label}<" in text for label in ("sea", "sky", "wood"))


def test_tsne_of_some_rows_is_repeatable(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    first = embed(run, method="tsne", limit=40, out=run.folder / "a.html")
    again = embed(run.folder, method="tsne", limit=40, out=run.folder / "b.html")
    assert Path(first["table"]).read_bytes() == Path(again["table"]).read_bytes()
    rows = table(first["table"])
    assert len(rows) == 40 and first["divergence"] > 0
    numbers = [int(row["row"]) for row in rows]
    assert numbers == sorted(set(numbers)) and numbers[-1] > 40
    assert (
        main(
            [
                "explain",
                "features",
                str(run.folder),
                "--method",
                "tsne",
                "--limit",
                "40",
                "--seed",
                "1",
                "--json",
            ]
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == 40 and table(told["table"])[0] != rows[0]
    text = Path(told["page"]).read_text(encoding="utf-8")
    assert len(re.findall(r"h0", text)) >= 40


def test_another_layer_and_other_data(run: Run, overconfident: SimpleNamespace, tmp_path: Path) -> None:
    new = overconfident.write(tmp_path / "new.csv", 30, seed=4)
    found = embed(run, layer="phrases.0", data=new)
    artifact = open_artifact(run.folder)
    model: Any = artifact.network.model  # type: ignore[attr-defined]
    length = artifact.task.length  # type: ignore[attr-defined]
    assert found["rows"] == 30 and found["layer"] == "phrases.0"
    assert found["features"] % model.words.embedding_dim == 0 and found["features"] >= length
    assert 0 <= found["neighbours"]["plane"] <= 1


def test_neighbours_by_hand() -> None:
    points = np.array([[0.0, 0], [0, 1], [5, 5], [5, 6], [0, 2.5]])
    assert agreement(points, ["a", "a", "b", "b", "b"]) == 4 / 5
    assert agreement(points, ["a", "b", "a", "b", "a"]) == 0


def test_rows_are_all_or_spread() -> None:
    assert chosen(5, 5, 0).tolist() == [0, 1, 2, 3, 4]
    some = chosen(1000, 10, 0)
    assert len(set(some.tolist())) == 10 and (np.diff(some) > 0).all() and some[-1] > 500
    assert chosen(1000, 10, 1).tolist() != some.tolist()


@pytest.mark.slow
def test_a_recipe(tmp_path: Path) -> None:
    made = train("lenet", settings=[("steps", "60")], out=tmp_path / "lenet", export=False)
    found = embed(made.folder, limit=300)
    assert found["rows"] == 300 and found["features"] == 84
    assert found["neighbours"]["features"] > 0.8 and 0.2 < found["explained"] < 1


def test_what_cannot_be_drawn_is_refused(
    run: Run, overconfident: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = overconfident.write(tmp_path / "few.csv", 2, seed=2)
    live = train(lenet.tiny(), out=tmp_path / "live", export=False)
    foreign = Run(Path(shutil.copytree(run.folder, tmp_path / "foreign")))
    description = json.loads((foreign.model / "artifact.json").read_text())
    (foreign.model / "artifact.json").write_text(json.dumps({**description, "system": None}))
    cases: list[tuple[list[str], str]] = [
        ([str(tmp_path / "nowhere")], "is no run folder"),
        ([str(run.folder), "--limit", "2"], "--limit 2: a picture needs 3 rows or more"),
        ([str(run.folder), "--layer", "outptu"], "there is no layer 'outptu'; did you mean 'output'"),
        ([str(run.folder), "--out", "picture.png"], "end its name in .html"),
        ([str(run.folder), "--data", "nowhere.csv"], "nowhere.csv does not exist"),
        ([str(run.folder), "--data", str(few)], "the split has 2 rows"),
        ([str(run.folder), "--method", "tsne", "--perplexity", "0.5"], "perplexity is 0.5"),
        ([str(live.folder)], "live objects, whose data is not stored; give labelled data with --data"),
        ([str(foreign.folder)], "is not of the catalogue"),
        ([str(run.folder), "--method", "umap"], "invalid choice: 'umap'"),
    ]
    for command, said in cases:
        assert main(["explain", "features", *command]) == 2, command
        shown = capsys.readouterr()
        assert said in shown.err and not shown.out, (command, shown.err)
    with pytest.raises(InputError, match="--method umap: it must be pca or tsne"):
        embed(run, method="umap")


def test_models_and_targets_of_other_kinds_are_refused() -> None:
    with pytest.raises(InputError, match=r"no linear layer; choose one with --layer: 0, 1"):
        last_linear(nn.Sequential(nn.Conv1d(1, 1, 1), nn.ReLU()))
    labelled = SimpleNamespace(name="m", task=SimpleNamespace(labels=("a", "b")))
    assert named(labelled, torch.tensor([1, 0])) == ["b", "a"]  # type: ignore[arg-type]
    for artifact, target in (
        (labelled, torch.tensor([0.5])),
        (labelled, torch.zeros(2, 3, dtype=torch.int64)),
        (SimpleNamespace(name="m", task=SimpleNamespace()), torch.tensor([1])),
    ):
        with pytest.raises(InputError, match="does not tell labels apart"):
            named(artifact, target)  # type: ignore[arg-type]


def test_layers_without_a_row_for_each_row_are_refused(run: Run) -> None:
    artifact = open_artifact(run.folder)
    model: Any = artifact.network.model  # type: ignore[attr-defined]
    split: Any = data_of(run).valid
    model.unused = nn.Linear(2, 2)
    with pytest.raises(InputError, match="'unused' is not used where the model answers"):
        features(artifact, model, "unused", split, np.arange(4))
    with pytest.raises(InputError, match="cannot be drawn: data holds the same point"):
        from fathom.verbs.embed import reduced

        reduced(np.ones((5, 3)), "pca", 30.0)
