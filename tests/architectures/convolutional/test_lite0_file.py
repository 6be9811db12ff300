"""A real file: EfficientNet-Lite0 with its ImageNet weights, through the importer, shown photographs."""

import json
import shutil
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.architectures.convolutional.upstream import close
from torch import Tensor, nn

from fathom.architectures.convolutional import efficientnet
from fathom.cli.command import main
from fathom.deployment import artifact
from fathom.errors import InputError
from fathom.tasks.image_classification import ImageClassification
from fathom.training import weight_files
from fathom.training.weight_map import Table
from fathom.verbs.fit import fit
from fathom.verbs.transfer import source

FACTS = efficientnet.WEIGHTS["efficientnet_lite0"]["IMAGENET1K"]
FILE = Path(str(metadata.distribution(FACTS["package"][0]).locate_file(FACTS["package"][1])))

# Photographs that two packages ship, with what is on them. ImageNet has no class for the astronaut.
PHOTOGRAPHS = {
    "sklearn/datasets/images/china.jpg": ("palace", "monastery"),  # a pavilion of the Summer Palace
    "sklearn/datasets/images/flower.jpg": ("daisy",),  # a dahlia, which ImageNet does not know
    "skimage/data/chelsea.png": ("tabby", "tiger cat", "Egyptian cat"),
    "skimage/data/coffee.png": ("espresso", "cup"),
    "skimage/data/rocket.jpg": ("missile", "projectile", "space shuttle"),
}


@pytest.fixture(scope="module", autouse=True)
def cache_of_the_module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A cache of its own, which all tests here share: reading starts another process."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_files, "cache_folder", lambda: folder)
        patch.delenv("FATHOM_DATA", raising=False)
        yield


@cache
def network() -> efficientnet.EfficientNet:
    return efficientnet.efficientnet_lite0(weights="IMAGENET1K").eval()


@cache
def original() -> nn.Module:
    """The network that the file was made for, of another package."""
    from efficientnet_lite_pytorch import EfficientNet

    model: Any = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(FILE, weights_only=True))
    return model.eval()


def place(path: str) -> Path:
    package, _, inside = path.partition("/")
    name = {"sklearn": "scikit-learn", "skimage": "scikit-image"}[package]
    return Path(str(metadata.distribution(name).locate_file(f"{package}/{inside}")))


def photograph(path: str) -> Tensor:
    """(1, 3, crop, crop), prepared as the table says, by torchvision."""
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    how = FACTS["preprocessing"]
    picture = Image.open(place(path)).convert("RGB")
    method = InterpolationMode(how["interpolation"])
    picture = CenterCrop(how["crop"])(Resize(how["resize"], method)(picture))
    pixels = np.asarray(picture, dtype=np.float32) / 255
    normal = (pixels - np.float32(how["mean"])) / np.float32(how["deviation"])
    return torch.from_numpy(normal.transpose(2, 0, 1)[None])


def test_the_table_tells_the_file_that_the_package_ships() -> None:
    assert weight_files.hash_of(FILE) == FACTS["sha256"]
    assert FILE.stat().st_size / 2**20 == pytest.approx(FACTS["mebibytes"], abs=0.001)
    table: Table = efficientnet.UPSTREAMS["efficientnet-pytorch"]
    assert len(table) <= 25
    model = network()
    assert model.preprocessing == FACTS["preprocessing"]
    assert not model.load_report.new and not model.load_report.left
    assert (model.cfg.padding, model.cfg.norm_epsilon) == ("same", 1e-3)


def test_answers_are_those_of_the_original_network() -> None:
    pictures = [photograph(path) for path in PHOTOGRAPHS] + [torch.randn(1, 3, 224, 224)]
    with torch.no_grad():
        for picture in pictures:
            close(network()(picture), original()(picture), 1e-4)


@pytest.mark.parametrize("path", PHOTOGRAPHS)
def test_the_five_likeliest_classes_of_photographs_are_sensible(path: str) -> None:
    from timm.data import ImageNetInfo

    with torch.no_grad():
        likeliest = network()(photograph(path)).softmax(dim=1)[0].topk(5)
    names = [ImageNetInfo().index_to_description(int(i)) for i in likeliest.indices]
    print(path, names)
    assert any(word in name for word in PHOTOGRAPHS[path] for name in names), names


def task() -> ImageClassification:
    """The task whose pictures are prepared as these weights need."""
    fixed = source("efficientnet_lite0").fixed
    return ImageClassification(labels=tuple(map(str, range(1000))), **fixed)


@pytest.mark.parametrize("path", PHOTOGRAPHS)
def test_an_artifact_answers_as_the_original_network_on_pictures_prepared_by_others(
    path: str, tmp_path: Path
) -> None:
    """From the file of a photograph to logits, up to what is added to all of them."""
    artifact.write(
        tmp_path, task=task(), model=network(), system="efficientnet", digest="0" * 64, name="x", facts={}
    )
    opened = artifact.open_artifact(tmp_path)
    how = opened.description["preprocessing"][0]
    assert (how["resize"], how["height"], how["interpolation"]) == (256, 224, "bicubic")
    (answer,) = opened.predict([place(path)])
    with torch.no_grad():
        theirs = original()(photograph(path)).log_softmax(dim=1)[0]
    ours = torch.tensor(list(answer["probabilities"].values()), dtype=torch.float64).log()
    likely = theirs > -20  # of the others float32 keeps too few digits
    assert int(likely.sum()) > 500
    torch.testing.assert_close(ours[likely], theirs[likely].double(), rtol=1e-4, atol=1e-3)
    assert answer["label"] == str(int(theirs.argmax()))


def test_a_run_that_began_from_it_prepares_pictures_so(tmp_path: Path) -> None:
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    for i, path in enumerate(PHOTOGRAPHS):
        folder = tmp_path / "pictures" / ("odd" if i % 2 else "even")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(place(path), folder)
    lines: list[str] = []
    options: dict[str, Any] = {"steps": 1, "settings": [("batch_size", "2")], "export": False}
    run = fit(
        tmp_path / "pictures", start="efficientnet_lite0", out=tmp_path / "run", say=lines.append, **options
    )
    told = "pictures: the shorter side to 256 pixels, bicubic, then the middle 224x224, as these weights"
    assert f"{told} know them" in lines
    found = artifact.open_artifact(run.folder)
    prepared = (found.task.resize, found.task.interpolation, found.task.mean)  # type: ignore[attr-defined]
    assert prepared == (256, "bicubic", FACTS["preprocessing"]["mean"])
    file = place("skimage/data/coffee.png")
    theirs = CenterCrop(224)(Resize(256, InterpolationMode.BICUBIC)(Image.open(file).convert("RGB")))
    assert np.array_equal(found.decode(file)["image"], np.asarray(theirs).transpose(2, 0, 1))


def test_import_writes_what_the_weights_need_and_it_is_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under our own names nothing tells any more that these were TensorFlow's."""
    out, again = tmp_path / "lite0.safetensors", tmp_path / "again.safetensors"
    assert main(["import", str(FILE), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    told = found["size"], found["upstream"], found["weights"], found["tensors"], found["left"]
    assert told == ("efficientnet_lite0", "efficientnet-pytorch", "IMAGENET1K", 296, [])
    assert main(["import", str(out), "--out", str(again)]) == 0
    picture = photograph("sklearn/datasets/images/china.jpg")
    for file in (out, again, FILE):
        model = efficientnet.efficientnet_lite0(file).eval()
        assert model.preprocessing == FACTS["preprocessing"]
        with torch.no_grad():
            assert torch.equal(model(picture), network()(picture))
    begun = source(out)
    assert (begun.config.padding, begun.fixed["mean"]) == ("same", FACTS["preprocessing"]["mean"])


def test_a_run_that_began_from_it_is_built_as_it_was(tmp_path: Path) -> None:
    """The folder of an artifact tells the settings of its model."""
    model = network()
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    config = {"padding": "same", "norm_epsilon": 1e-3, "classes": 1000, "lite": True}
    (tmp_path / "artifact.json").write_text(json.dumps({"model": config}), encoding="utf-8")
    assert efficientnet.efficientnet_lite0(tmp_path).cfg == model.cfg
    (tmp_path / "artifact.json").unlink()
    assert efficientnet.efficientnet_lite0(tmp_path).cfg.padding == "symmetric"


def test_leftovers_are_refused(tmp_path: Path) -> None:
    state = torch.load(FILE, weights_only=True)
    with pytest.raises(InputError, match=r"1 of 297 tensors .*_blocks\.16\._bn1\.bias"):
        efficientnet.efficientnet_lite0(state | {"_blocks.16._bn1.bias": torch.zeros(1)})
    torch.save(state | {"ema": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match=r"nearly a efficientnet_lite0.*1 left over in the file: ema"):
        source(tmp_path / "x.pth")


def test_without_the_package_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(weight_files, "cache_folder", lambda: tmp_path)
    facts = FACTS | {"package": ("no-such-package", "models/x.pth")}
    with pytest.raises(InputError, match="pip install no-such-package"):
        weight_files.published_file(facts)
    with pytest.raises(InputError, match=r"none\.pth is gone; install the package"):
        weight_files.published_file(FACTS | {"package": (FACTS["package"][0], "none.pth")})
    monkeypatch.setenv("FATHOM_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / FILE.name).write_bytes(b"other")
    with pytest.raises(InputError, match="is not the published file"):
        weight_files.published_file(FACTS)


def test_another_head_for_other_classes() -> None:
    model = efficientnet.efficientnet_lite0("IMAGENET1K", classes=3)
    assert set(model.load_report.new) == {"head.weight", "head.bias"}
    stem = load_file(next(weight_files.cache_folder().glob("*.safetensors")))["_conv_stem.weight"]
    assert torch.equal(model.state_dict()["body.stem.convolution.weight"], stem)
