"""The programs of ``examples/`` run unchanged, and a person's own module goes the whole way."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fathom
from fathom import catalog

ROOT = catalog.ROOT.parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

SIMPLE_NET = """
import torch
from torch import nn


class SimpleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = x.view(x.size(0), -1)
        return self.fc2(self.relu(self.fc1(x)))
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 digits of MNIST in ten class folders."""
    from PIL import Image

    from fathom.data.sets import mnist

    root = tmp_path_factory.mktemp("pictures")
    images = mnist.read()
    for i in range(400):
        folder = root / str(images.train_labels[i])
        folder.mkdir(exist_ok=True)
        Image.fromarray(images.train_images[i]).save(folder / f"{i}.png")
    return root


def run(program: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(program), *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda p: p.stem)
def test_examples_are_short(program: Path) -> None:
    tree = ast.parse(program.read_text(encoding="utf-8"))
    lines = program.read_text(encoding="utf-8").splitlines()
    body = [n for n in lines[(tree.body[0].end_lineno or 0) :] if n.strip()]
    assert len(body) <= 15


@pytest.mark.slow
def test_own_loop(tmp_path: Path) -> None:
    run(ROOT / "examples" / "own_loop.py", cwd=tmp_path)


@pytest.mark.slow
def test_own_loop_imports_no_engine(tmp_path: Path) -> None:
    program = tmp_path / "watched.py"
    source = (ROOT / "examples" / "own_loop.py").read_text(encoding="utf-8")
    program.write_text(
        source + "\nimport sys\nassert 'fathom.training' not in sys.modules\n", encoding="utf-8"
    )
    run(program, cwd=tmp_path)


@pytest.mark.slow
def test_new_model(tmp_path: Path, digits: Path) -> None:
    shown = run(ROOT / "examples" / "new_model.py", str(digits), cwd=tmp_path)
    assert "valid/accuracy" in shown


@pytest.mark.slow
def test_finetune(tmp_path: Path, digits: Path) -> None:
    """A file with torchvision's names and head of a thousand, pictures that are grey and small."""
    import shutil

    import torch

    from fathom.architectures.convolutional import resnet
    from fathom.training.weights import upstream_state

    four = tmp_path / "four"
    for name in "0123":
        shutil.copytree(digits / name, four / name)
    torch.save(upstream_state(resnet.resnet18(), resnet.UPSTREAMS["torchvision"]), tmp_path / "resnet18.pth")
    picture = str(next((four / "3").iterdir()))
    shown = run(
        ROOT / "examples" / "finetune.py", str(tmp_path / "resnet18.pth"), str(four), picture, cwd=tmp_path
    )
    assert "head.weight" in shown and "'label'" in shown and "valid/accuracy" in shown
    (report,) = tmp_path.glob("runs/*/run.json")
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["experiment"]["learning"]["unfreezing"]["stages"][0] == [0.0, ["head"]]
    assert any(line.startswith("freezing: the new head alone") for line in told["extra"]["saw"])


@pytest.mark.slow
def test_the_simple_net_of_the_roadmaps_goes_the_whole_way(tmp_path: Path, digits: Path) -> None:
    """Pasted into a file: trained, resumed, exported, answering in torch-free form."""
    from fathom.deployment.artifact import open_artifact

    scope: dict[str, type] = {}
    exec(compile(SIMPLE_NET, "simple_net.py", "exec"), scope)
    net = scope["SimpleNet"]()
    done = fathom.fit(net, digits, steps=150, out=tmp_path / "run")
    assert done.metrics["valid/accuracy"] > 0.6
    assert json.loads((done.model / "equality.json").read_text())["equal"]
    artifact = open_artifact(done.folder)
    assert artifact.backend == "onnx"
    picture = next((digits / "4").iterdir())
    assert set(done.predict(picture)) == {"label", "probabilities"}
    again = fathom.resume(done.folder, scope["SimpleNet"]())
    assert again.digest == done.digest


def test_a_module_that_does_not_fit_is_refused_before_training(tmp_path: Path, digits: Path) -> None:
    import torch
    from torch import nn

    with pytest.raises(fathom.InputError, match=r"needs \(2, 10\)"):
        fathom.fit(nn.Sequential(nn.Flatten(), nn.Linear(784, 4)), digits, steps=3, out=tmp_path / "a")
    with pytest.raises(fathom.InputError, match="does not take this data"):
        fathom.fit(nn.Linear(5, 10), digits, steps=3, out=tmp_path / "b")
    other = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with pytest.raises(ValueError, match="not the model's"):
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        optimizer = torch.optim.SGD(other.parameters(), 0.1)
        fathom.fit(net, digits, steps=3, optimizer=optimizer, out=tmp_path / "c")
    assert not list(tmp_path.glob("[ab]"))


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_weights_go_out_as_the_page_on_models_says(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program of docs/models.md, and its file taken strictly by both libraries."""
    import torch
    from safetensors.torch import load_file

    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    program = page.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    told: dict[str, object] = {}
    exec(compile(program, "docs/models.md", "exec"), told)
    if library == "timm":
        import timm

        theirs = timm.create_model("resnet18", num_classes=7)
    else:
        from torchvision import models

        theirs = models.resnet18(num_classes=7)
    theirs.load_state_dict(load_file("resnet18.safetensors"), strict=True)
    image, ours = torch.randn(1, 3, 64, 64), told["model"]
    assert isinstance(ours, torch.nn.Module)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(image), theirs.eval()(image), rtol=0, atol=1e-5)
