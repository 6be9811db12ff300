"""ResNet, ResNeXt and Wide ResNet against torchvision and timm, and the counts of the papers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.architectures.convolutional.upstream import (
    assert_bijection,
    assert_equal,
    close,
    parameters,
    randomized,
)

from fathom.architectures.convolutional import resnet
from fathom.architectures.convolutional.resnet import UPSTREAMS, Config
from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport
from fathom.training.checkpoint import digest
from fathom.training.weights import load_weights

NAMES = UPSTREAMS["torchvision"]
# Name here, name in torchvision, parameters.
SIZES = (
    ("resnet18", "resnet18", 11_689_512),
    ("resnet34", "resnet34", 21_797_672),
    ("resnet50", "resnet50", 25_557_032),
    ("resnet101", "resnet101", 44_549_160),
    ("resnet152", "resnet152", 60_192_808),
    ("resnext50", "resnext50_32x4d", 25_028_904),
    ("resnext101", "resnext101_32x8d", 88_791_336),
    ("wide_resnet50", "wide_resnet50_2", 68_883_240),
    ("wide_resnet101", "wide_resnet101_2", 126_886_696),
)
SMALL = Config(depths=(1, 2), width=8, stem="3x3", classes=5, image_size=16)


@pytest.mark.parametrize(("ours", "theirs", "count"), SIZES)
def test_published_sizes_and_names(ours: str, theirs: str, count: int) -> None:
    from torchvision import models

    assert parameters(getattr(resnet, ours)) == count
    with torch.device("meta"):
        own, other = getattr(resnet, ours)(), getattr(models, theirs)()
    assert_bijection(own, NAMES, list(other.state_dict()))
    shapes = {n: t.shape for n, t in own.state_dict().items()}
    assert sorted(shapes.values()) == sorted(t.shape for t in other.state_dict().values())


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_equals_torchvision(name: str) -> None:
    from torchvision import models

    assert_equal(getattr(resnet, name)(classes=7), getattr(models, name)(num_classes=7), NAMES, 64, classes=7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnext50_32x4d", "wide_resnet50_2", "resnet34"])
def test_equals_timm(name: str) -> None:
    import timm

    ours = {"resnext50_32x4d": resnet.resnext50, "wide_resnet50_2": resnet.wide_resnet50}
    model = ours.get(name, resnet.resnet34)(classes=7)
    assert_equal(model, timm.create_model(name, num_classes=7), NAMES, 64, classes=7)


@pytest.mark.parametrize(("ours", "theirs", "_"), SIZES)
def test_published_weights_are_told_as_torchvision_tells_them(ours: str, theirs: str, _: int) -> None:
    from torchvision import models

    published = {w.name: w for w in models.get_model_weights(theirs)}
    assert set(resnet.WEIGHTS[ours]) == set(published)
    for name, facts in resnet.WEIGHTS[ours].items():
        weights: Any = published[name]
        assert facts["address"] == weights.url and weights.url.endswith(f"-{facts['sha256']}.pth")
        assert facts["mebibytes"] == weights.meta["_file_size"]
        accuracy = weights.meta["_metrics"]["ImageNet-1K"]
        assert facts["accuracy"] == {"top-1": accuracy["acc@1"], "top-5": accuracy["acc@5"]}
        how = weights.transforms()
        assert facts["preprocessing"] == {
            "resize": how.resize_size[0], "crop": how.crop_size[0], "interpolation": how.interpolation.value,
            "mean": tuple(how.mean), "deviation": tuple(how.std),
        }  # fmt: skip


def test_feature_maps_by_name() -> None:
    model = SMALL.build().eval()
    image = torch.randn(2, 3, 16, 16)
    maps = model.features(image)
    assert {n: m.shape[1] for n, m in maps.items()} == SMALL.feature_channels
    assert [m.shape[-1] for m in maps.values()] == [16, 16, 8]
    torch.testing.assert_close(model.head(maps["stage_2"].mean(dim=(2, 3))), model(image))


def test_weights_of_torchvision_for_other_channels_and_classes(tmp_path: Path, capsys: Any) -> None:
    """Another library's file, a grey first layer, a head of one's own; what became of each tensor."""
    from torchvision import models

    theirs = randomized(models.resnet18(num_classes=9)).eval()
    state = {n: t for n, t in theirs.state_dict().items() if "num_batches" not in n}  # as before 2018
    save_file(state, tmp_path / "resnet18.safetensors")
    model = resnet.resnet18(tmp_path / "resnet18.safetensors", classes=4, channels=1).eval()
    report: LoadReport = model.load_report  # type: ignore[assignment]
    assert set(report.resized) == {"body.stem.convolution.weight"} and not report.left
    assert {"head.weight", "head.bias"} <= set(report.new)
    assert all(n.startswith("head.") or n.endswith("num_batches_tracked") for n in report.new)
    assert "resized: body.stem.convolution.weight (64, 3, 7, 7) -> (64, 1, 7, 7)" in capsys.readouterr().err
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        wanted = stem(theirs, grey.expand(2, 3, 64, 64))
        for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            wanted = stage(wanted)
        close(model.features(grey)["stage_4"], wanted, 1e-5)


def stem(theirs: Any, image: torch.Tensor) -> torch.Tensor:
    return theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(image))))


def test_weights_of_another_net_are_refused_and_nothing_is_loaded() -> None:
    model = SMALL.build()
    before = digest(model.state_dict())
    larger = replace(SMALL, depths=(1, 3)).build()
    with pytest.raises(InputError, match=r"body\.stage_2\.2\.convolution_1\.weight is in state"):
        load_weights(model, larger.state_dict(), head=("head",), upstreams=UPSTREAMS)
    with pytest.raises(InputError, match=r"nearest: torchvision.*features\.0\.weight"):
        load_weights(model, {"features.0.weight": torch.zeros(3)}, head=("head",), upstreams=UPSTREAMS)
    half = {n: t for n, t in model.state_dict().items() if "stage_2.1" not in n}
    with pytest.raises(InputError, match=r"stage_2\.1\.convolution_1\.weight is missing"):
        load_weights(model, half, head=("head",), upstreams=UPSTREAMS)
    assert digest(model.state_dict()) == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depths": ()}, "depths is ()"),
        ({"depths": (2, 0)}, r"depths is \(2, 0\)"),
        ({"width": 0}, "width is 0"),
        ({"groups": 2}, "block is 'basic'"),
        ({"block": "bottleneck", "width": 8, "groups": 3, "group_width": 1}, "no whole number"),
    ],
)
def test_impossible_sizes_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)


@pytest.mark.parametrize("name", ["block", "stem"])
def test_switches_that_do_not_exist_are_refused(name: str) -> None:
    cfg = Config()
    object.__setattr__(cfg, name, "other")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match=f"{name} is 'other'; it must be one of"):
        cfg.__post_init__()
