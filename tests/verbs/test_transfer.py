"""Fine-tuning from a run, a published size and a file: what is taken over, chosen, said, refused; resume."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fathom.architectures.convolutional import googlenet, lenet, resnet, vgg
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.training import SGD, CrossEntropy, GradientDescent, Parallel, Unfreezing, weight_files
from fathom.training.run import Run
from fathom.training.weights import upstream_state
from fathom.verbs.fit import fit
from fathom.verbs.train import resume, train
from fathom.verbs.transfer import FEW, grown, last_part, plan, shape, source

SMALL = resnet.Config(depths=(1, 1), width=8, stem="3x3", classes=1000, image_size=16)
HOW = {
    "resize": 18,
    "crop": 16,
    "interpolation": "bilinear",
    "mean": (0.4, 0.5, 0.6),
    "deviation": (0.2,) * 3,
}


def paint(folder: Path, count: int, classes: tuple[str, ...] = ("bright", "dark", "grey")) -> Path:
    """Noise around a level that depends on the class."""
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        level = {"dark": -60, "grey": 0}.get(name, 60)
        for i in range(count):
            picture = Image.effect_noise((32, 30), 30).point(lambda v, lev=level: max(0, min(255, v + lev)))
            picture.save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the bars: grey pictures of 16 pixels, four classes."""
    return train(resnet.tiny(), out=tmp_path_factory.mktemp("runs") / "bars", export=False).folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paint(tmp_path_factory.mktemp("pictures"), 12)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """``resnet18`` is small here, and its file lies where FATHOM_DATA says; its state, under our names."""
    torch.manual_seed(3)
    model = SMALL.build()
    (tmp_path / "brought" / "weights").mkdir(parents=True)
    file = tmp_path / "brought" / "weights" / "small.pth"
    state = upstream_state(model, resnet.UPSTREAMS["torchvision"])
    torch.save({name: tensor.contiguous() for name, tensor in state.items()}, file)
    facts = {
        "upstream": "torchvision", "sha256": weight_files.hash_of(file), "mebibytes": 0.1,
        "address": "http://127.0.0.1:9/small.pth", "licence": "none", "accuracy": {}, "preprocessing": HOW,
    }  # fmt: skip
    monkeypatch.setenv("FATHOM_DATA", str(tmp_path / "brought"))
    monkeypatch.setattr(weight_files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(
        weight_files, "read_tensors", lambda a, b: save_file(torch.load(a, weights_only=True), b)
    )
    monkeypatch.setitem(resnet.SIZES, "resnet18", SMALL)
    monkeypatch.setitem(resnet.WEIGHTS, "resnet18", {"IMAGENET1K_V0": {}, "IMAGENET1K_V1": facts})
    return {n: t.clone() for n, t in model.state_dict().items()}


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.model / "weights.safetensors")


def task_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "model" / "artifact.json").read_text())["task"]["settings"]


def test_from_a_run_the_body_and_the_way_to_look_at_pictures_are_taken_over(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    run = fit(pictures, start=trained, steps=8, out=tmp_path / "run", export=False, say=lines.append)
    before, after = task_of(trained), task_of(run.folder)
    assert after["labels"] == ["bright", "dark", "grey"]
    assert {n: v for n, v in after.items() if n != "labels"} == {
        n: v for n, v in before.items() if n != "labels"
    }
    assert run.record["system"] == "resnet"
    kept, made = load_file(trained / "model" / "weights.safetensors"), weights(run)
    moved = {n for n in made if made[n].shape != kept[n].shape or not torch.equal(made[n], kept[n])}
    assert made["head.weight"].shape == (3, 64)
    assert "head.weight" in moved and "body.stage_2.0.convolution_1.weight" in moved
    assert not {n for n in moved if n.startswith(("body.stem", "body.stage_1"))}  # statistics too
    assert set(run.load_report.new) == {"head.weight", "head.bias"}
    assert len(run.load_report.copied) == len(made) - 2
    assert [line for line in lines if line.startswith(("start", "head", "freezing", "rates"))] == [
        f"start: resnet, {trained}",
        "head: drawn anew for 3 classes; the 4 it knew are others",
        "freezing: the new head alone for the first 50%, then body.stage_2 too; 10 rows a class are too few"
        " to move all of the body",
        "rates: 0.001 in the head, times 0.7 from each layer to the one below it, which is the more general",
    ]
    assert set(lines[1:5]) <= set(run.record["extra"]["saw"])  # the report tells it too


@pytest.mark.slow
def test_a_run_from_a_run_predicts_exports_and_serves_as_any(
    trained: Path, pictures: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    command = [
        "fit",
        str(pictures),
        "--from",
        str(trained),
        "--set",
        "steps=4",
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*command, "--json"]) == 0
    run = Run(tmp_path / "run")
    assert json.loads((run.model / "equality.json").read_text())["largest"] < 1e-4
    assert set(run.predict(pictures / "dark" / "0.png")["probabilities"]) == {"bright", "dark", "grey"}
    again = fit(pictures, start=run.folder, steps=2, out=tmp_path / "again", export=False)
    assert again.load_report.new == {}  # the classes are those it knows: the head is kept
    assert again.record["experiment"]["learning"]["unfreezing"]["stages"] == []


def test_a_size_by_name_brings_its_preprocessing(
    published: dict[str, torch.Tensor], pictures: Path, tmp_path: Path
) -> None:
    run = fit(
        pictures, start="resnet18:IMAGENET1K_V1", out=tmp_path / "run", export=False,
        settings=[("steps", "3"), ("learning.unfreezing.stages", "((0, ('head',)),)")],
    )  # fmt: skip
    task = task_of(run.folder)
    assert (task["channels"], task["height"], task["width"]) == (3, 16, 16)
    assert (task["mean"], task["deviation"]) == ([0.4, 0.5, 0.6], [0.2] * 3)
    for name, tensor in weights(run).items():
        assert name.startswith("head.") or torch.equal(tensor, published[name])
    assert source("resnet18").told == "resnet18, IMAGENET1K_V1"  # the last of the table


def test_a_killed_run_goes_on_from_its_folder_alone(
    published: dict[str, torch.Tensor], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache, the file and the table are gone; stopped before and after the last part begins to move."""
    options: dict[str, Any] = {"start": "resnet18", "steps": 8, "export": False}
    straight = fit(pictures, out=tmp_path / "straight", **options)

    def stop(event: Any) -> None:
        if event.steps in (2, 6):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(pictures, out=tmp_path / "run", observers=[stop], **options)
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(tmp_path / "brought")
    monkeypatch.setitem(resnet.WEIGHTS, "resnet18", {})
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "elsewhere", export=False, observers=[lambda e: stop(e) if e.steps == 6 else None])
    run = resume(tmp_path / "elsewhere", export=False)
    assert run.digest == straight.digest
    (tmp_path / "elsewhere" / "start.safetensors").unlink()
    with pytest.raises(InputError, match=r"start\.safetensors is gone: the run began from it"):
        resume(tmp_path / "elsewhere", export=False)


@pytest.mark.slow
def test_a_file_of_torchvision_is_known_by_its_names(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole ResNet-18, of nine classes, at 224 pixels; the mean is that of the new pictures."""
    torch.manual_seed(1)
    model = resnet.resnet18(classes=9)
    file = tmp_path / "nine.safetensors"
    state = upstream_state(model, resnet.UPSTREAMS["torchvision"])
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    found = source(file, "resnet18")
    assert (found.config.classes, found.fixed) == (9, {"channels": 3, "height": 224, "width": 224})
    run = fit(
        pictures, start=file, steps=1, settings=[("batch_size", "2")], out=tmp_path / "run", export=False
    )
    made = weights(run)
    assert torch.equal(
        made["body.stage_4.1.convolution_2.weight"], model.state_dict()["body.stage_4.1.convolution_2.weight"]
    )
    assert task_of(run.folder)["height"] == 224 and task_of(run.folder)["mean"] != [0.5]


def test_with_many_rows_all_of_it_moves_soon() -> None:
    lines: list[str] = []
    model = shape(SMALL)
    few, many = (plan(model, ("head",), rows, lines.append) for rows in (FEW - 1, FEW))
    assert few["unfreezing"].stages == ((0.0, ("head",)), (0.5, ("body.stage_2",)))
    assert many["unfreezing"].stages == ((0.0, ("head",)), (0.1, ("body",)))
    assert few["optimizer"].layer_decay == many["optimizer"].layer_decay == 0.7
    assert lines[2] == (
        "freezing: the new head alone for the first 10%, so that its random gradients do not reach the body;"
        " then all of it, for 50 rows a class are enough"
    )
    model = shape(lenet.Config())  # tells no order: a probe, and one rate for all
    heads = grown(lenet.Config())
    probe, whole = (plan(model, heads, rows, lines.append) for rows in (5, 500))
    assert probe["unfreezing"].stages == ((0.0, heads),)
    assert probe["optimizer"].layer_decay == whole["optimizer"].layer_decay == 1.0
    whole["unfreezing"].of(lenet.Config().build())


@pytest.mark.slow
def test_a_linear_probe_is_logistic_regression_on_the_frozen_features() -> None:
    """The engine's loss, decay and steps, with only the head moving, reach scikit-learn's optimum."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    torch.manual_seed(0)
    model = resnet.Config(depths=(1, 1), width=8, stem="3x3", classes=3, image_size=8).build()
    images, labels = torch.randn(90, 3, 8, 8), torch.randint(3, (90,))
    images += 0.5 * labels[:, None, None, None]
    strength = 0.1  # of scikit-learn: it minimises half the squared weights and this times the sum of losses
    how = GradientDescent(
        objective=CrossEntropy(),
        optimizer=SGD(learning_rate=0.5, weight_decay=1 / (strength * len(labels))),
        unfreezing=Unfreezing(stages=((0.0, ("head",)),)),
    )
    learner = how.learner(model, 400, Parallel())
    for step in range(400):
        learner.update((images, labels), step)
    with torch.no_grad():
        features = model.eval().body(images).mean(dim=(2, 3)).numpy()
    theirs = linear_model.LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(
        features, labels.numpy()
    )
    weight, bias = (torch.from_numpy(v).float() for v in (theirs.coef_, theirs.intercept_))
    assert float(weight.abs().max()) > 0.05
    own = [p.detach() - p.detach().mean(dim=0) for p in model.head.parameters()]  # one number for all classes
    torch.testing.assert_close(own[0], weight - weight.mean(dim=0), rtol=0, atol=1e-3)  # changes no answer
    torch.testing.assert_close(own[1], bias - bias.mean(), rtol=0, atol=1e-3)


def test_heads_and_last_parts_are_found_by_what_depends_on_the_classes() -> None:
    assert grown(SMALL) == ("head",)
    with_heads = googlenet.Config(auxiliary=("4a", "4d"))
    assert grown(with_heads) == ("auxiliary.0.linear_2", "auxiliary.1.linear_2", "head")
    assert last_part(shape(with_heads), grown(with_heads)) == ("body.inception_5",)
    assert last_part(shape(vgg.Config()), ("head",)) == ("hidden",)
    for config in (with_heads, vgg.Config()):
        model, heads = shape(config), grown(config)
        for rows in (5, 500):
            plan(model, heads, rows, lambda line: None)["unfreezing"].of(model)  # names parts that there are


def test_what_is_refused_before_anything_is_made(
    trained: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "table.csv").write_text("a,b\n" + "1,2\n" * 30)
    (tmp_path / "empty").mkdir()
    save_file({"a.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00\x00")
    shutil.copytree(trained, tmp_path / "bent")
    state = load_file(trained / "model" / "weights.safetensors")
    save_file(state | {"head.bias": torch.zeros(9)}, tmp_path / "bent" / "model" / "weights.safetensors")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"start": "resnet81"}, "no published size 'resnet81'; did you mean 'resnet18'"),
        ({"start": "mlp128"}, "no weights of mlp128 are published here; give a file:"),
        ({"start": "resnet50:IMAGENET1K_V9"}, "no published weights file named 'IMAGENET1K_V9'"),
        ({"start": "gone/away"}, "there is no gone/away to begin from: give a run folder, a published size"),
        ({"start": "empty"}, "empty is neither a run folder nor an artifact folder"),
        ({"start": "other.safetensors"}, "is no published size that is known by its names; say which"),
        ({"start": "other.safetensors", "start_as": "resnet18"}, "other.safetensors is no resnet18"),
        ({"start": "other.safetensors", "start_as": "resnet0"}, "there is no published size 'resnet0'"),
        ({"start": "cut.safetensors"}, "cut.safetensors is damaged"),
        ({"start": trained, "start_as": "resnet18"}, "tells what a file is, and --from"),
        ({"start_as": "resnet18"}, "--as resnet18 tells what the file of --from is; give that too"),
        ({"start": "bent"}, "1 tensors differ, for instance head.bias, which is (9,) in the file and (4,)"),
    ]  # fmt: skip

    for options, said in cases:
        with pytest.raises(InputError, match=re.escape(said)):
            fit(pictures, steps=2, out=tmp_path / "run", **options)
        assert not (tmp_path / "run").exists(), said
    with pytest.raises(InputError, match=r"was trained for image_.*, and this is data for tabular_"):
        fit(tmp_path / "table.csv", start=trained, target="b", steps=2, out=tmp_path / "run")
    with pytest.raises(InputError, match="give a module or start, not both"):
        fit(torch.nn.Linear(2, 2), pictures, start=trained, out=tmp_path / "run")
    assert main(["fit", str(pictures), "--from", "resnet81"]) == 2
    assert not (tmp_path / "runs").exists()
