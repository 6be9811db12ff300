"""``fit --from resnet18`` whole: fetched from a server of this machine, checked, converted, fine-tuned.

The file is as torchvision writes its own, with every tensor of ResNet-18 and random numbers; in the table the
address, the digits of the hash and, by a kilobyte or two, the size are others. Nothing between the table and
the finished run is replaced.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import fathom
from fathom.architectures.convolutional import resnet
from fathom.cli.command import main
from fathom.training import weight_files
from fathom.training.weight_map import translate

pytestmark = pytest.mark.slow
NAMES = resnet.UPSTREAMS["torchvision"]
CLASSES = ("bright", "dark")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of torchvision's ResNet-18, named by its hash as theirs are."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("published")
    torch.save(models.resnet18().state_dict(), folder / "draft.pth")
    digest = hashlib.sha256((folder / "draft.pth").read_bytes()).hexdigest()
    return (folder / "draft.pth").rename(folder / f"resnet18-{digest[:8]}.pth")


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and notes what was asked for."""

    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:
        self.asked.append(f"{self.command} {self.path}")


@pytest.fixture
def asked(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a server of the file is asked; its address stands in the table, and the cache is empty."""
    handler = type("Noting", (Handler,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(original.parent))) as server:
        published = resnet.WEIGHTS["resnet18"]["IMAGENET1K_V1"]
        size = round(original.stat().st_size / 2**20, 3)
        assert abs(size - published["mebibytes"]) < 0.01  # another torch wrote it, and the same numbers
        facts = published | {
            "address": f"http://127.0.0.1:{server.server_port}/{original.name}",
            "sha256": original.stem.rpartition("-")[2],
            "mebibytes": size,
        }
        monkeypatch.setitem(resnet.WEIGHTS, "resnet18", {"IMAGENET1K_V1": facts})
        monkeypatch.setattr(weight_files, "cache_folder", lambda: tmp_path / "cache")
        monkeypatch.delenv("FATHOM_DATA", raising=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield handler.asked
        server.shutdown()
        thread.join()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Six small pictures of each of two classes, wider than high."""
    for name, level in zip(CLASSES, (190, 60), strict=True):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(6):
            shade = (level, level + 5 * i, level - 5 * i)
            Image.new("RGB", (40, 30), shade).save(tmp_path / "pictures" / name / f"{i}.png")
    return tmp_path / "pictures"


def test_fit_fetches_the_published_file_and_fine_tunes_it(
    asked: list[str], original: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fathom.fit(
        pictures, start="resnet18", settings=[("steps", "2"), ("batch_size", "2")], export=False,
        out=tmp_path / "run",
    )  # fmt: skip
    assert asked == [f"GET /{original.name}"]
    assert f"{original.name} (44.7 MiB)" in capsys.readouterr().err
    digest = hashlib.sha256(original.read_bytes()).hexdigest()
    kept = sorted(p.name for p in (tmp_path / "cache").iterdir() if p.name != ".lock")
    assert kept == [f"{digest}.json", f"{digest}.safetensors"]

    state = torch.load(original, weights_only=True)
    theirs = {name: state[old] for old, name in translate(state, NAMES).items()}
    ours = load_file(run.model / "weights.safetensors")
    moved = {n for n in ours if ours[n].shape != theirs[n].shape or not torch.equal(ours[n], theirs[n])}
    assert ours["head.weight"].shape == (len(CLASSES), 512) and "head.weight" in moved
    assert "body.stage_4.1.convolution_2.weight" in moved  # the last part joins for the second of two steps
    assert not {n for n in moved if not n.startswith(("head.", "body.stage_4."))}
    assert set(run.load_report.new) == {"head.weight", "head.bias"} and not run.load_report.left

    task = json.loads((run.model / "artifact.json").read_text(encoding="utf-8"))["task"]["settings"]
    assert (task["resize"], task["height"], task["width"]) == (256, 224, 224)
    assert task["mean"] == [0.485, 0.456, 0.406] and task["labels"] == list(CLASSES)
    assert set(run.predict(pictures / "dark" / "0.png")["probabilities"]) == set(CLASSES)


def test_the_command_fetches_once_and_begins_again_without_the_server(
    asked: list[str], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(out: str) -> list[str]:
        short = ["--set", "steps=1", "--set", "batch_size=2", "--no-export", "--json"]
        return ["fit", str(pictures), "--from", "resnet18", "--out", str(tmp_path / out), *short]

    assert main(command("first")) == 0
    facts: dict[str, Any] = resnet.WEIGHTS["resnet18"]["IMAGENET1K_V1"]
    monkeypatch.setitem(facts, "address", f"http://127.0.0.1:1/{facts['address'].rpartition('/')[2]}")
    assert main(command("second")) == 0
    assert len(asked) == 1
    first, second = (load_file(tmp_path / n / "model" / "weights.safetensors") for n in ("first", "second"))
    assert all(torch.equal(first[n], second[n]) for n in first)


def test_a_file_that_is_gone_from_its_address_leaves_no_run(
    asked: list[str], original: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    facts: dict[str, Any] = resnet.WEIGHTS["resnet18"]["IMAGENET1K_V1"]
    monkeypatch.setitem(facts, "address", facts["address"].replace(original.name, "elsewhere.pth"))
    assert main(["fit", str(pictures), "--from", "resnet18", "--out", str(tmp_path / "run")]) != 0
    assert "elsewhere.pth: the server answers 404" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert "GET /elsewhere.pth" in asked
