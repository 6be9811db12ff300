"""`fathom import`: files of torchvision and timm are recognised, mapped, and written whole, or refused."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.verbs.test_layerwise import FAULTS
from torch import Tensor, nn

from fathom.architectures.convolutional import resnet
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.training import importing
from fathom.training.weights import upstream_state
from fathom.verbs import importing as verb
from fathom.verbs import upstream_models
from fathom.verbs.importing import import_file
from fathom.verbs.recognising import recognise, sizes
from fathom.verbs.unreadable import refuse_unreadable

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnext50_32x4d", "wide_resnet101_2")]


@pytest.fixture(autouse=True)
def unconfined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in this process, where a test is not about reading; a child would import torch first."""

    def read(source: Path, draft: Path) -> dict[str, Any]:
        state = torch.load(source, weights_only=True)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, draft)
        numbers = sum(t.numel() for t in state.values())
        return {"tensors": len(state), "numbers": numbers, "left": [], "beside": []}

    monkeypatch.setattr(verb, "read_tensors", read)


def theirs(classes: int = 1000, channels: int = 3) -> dict[str, Tensor]:
    """A ResNet-18 under torchvision's names."""
    return dict(made(classes, channels))


@cache
def made(classes: int, channels: int) -> dict[str, Tensor]:
    return upstream_state(
        resnet.resnet18(classes=classes, channels=channels), resnet.UPSTREAMS["torchvision"]
    )


def refused(tmp_path: Path, state: dict[str, Tensor], match: str, **options: Any) -> None:
    """The file is refused, and nothing is written beside it."""
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match=match):
        import_file(tmp_path / "x.pth", **options)
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]


def test_a_file_of_torchvision_is_recognised_and_written_under_our_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = theirs(classes=7)
    torch.save(state, tmp_path / "flowers.pth")
    assert main(["import", str(tmp_path / "flowers.pth")]) == 0
    shown = capsys.readouterr().out
    assert "resnet18 (resnet) by the names of torchvision: 7 classes, 3 channels" in shown
    assert "  layer{i}.{j}.bn{k} -> body.stage_{i}.{j}.norm_{k}: 80 tensors" in shown
    assert "flowers.safetensors: 122 tensors, 11,1" in shown
    written = load_file(tmp_path / "flowers.safetensors")
    assert torch.equal(written["body.stage_2.0.shortcut.0.weight"], state["layer2.0.downsample.0.weight"])
    with safe_open(tmp_path / "flowers.safetensors", "np") as file:
        told = file.metadata()
    assert (told["size"], told["upstream"], told["classes"]) == ("resnet18", "torchvision", "7")
    model = resnet.resnet18(tmp_path / "flowers.safetensors", classes=7)
    assert torch.equal(model.head.weight, state["fc.weight"])


@pytest.mark.parametrize("name", [*SLOW, "vgg11_bn", "alexnet"])
def test_sizes_that_share_names_are_told_apart_by_their_shapes(name: str) -> None:
    """Tensors on the meta device are enough to recognise."""
    from torchvision import models

    with torch.device("meta"):
        state = models.get_model(name).state_dict()
    match = recognise(state)
    assert match is not None and match.fits and match.upstream == "torchvision"
    assert match.size == {"resnext50_32x4d": "resnext50", "wide_resnet101_2": "wide_resnet101"}.get(
        name, name
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet34", "efficientnet_b1"])
def test_files_of_timm_are_recognised(name: str) -> None:
    import timm

    with torch.device("meta"):
        state = timm.create_model(name, num_classes=11).state_dict()
    match = recognise(state)
    assert match is not None and match.fits and (match.size, match.classes) == (name, 11)


def test_our_own_names_grey_pictures_and_wrappers_are_recognised(tmp_path: Path) -> None:
    own = resnet.resnet18(classes=3, channels=1).state_dict()
    save_file({f"module.{n}": t.contiguous() for n, t in own.items()}, tmp_path / "x.safetensors")
    found = import_file(tmp_path / "x.safetensors", tmp_path / "y.safetensors")
    assert (found["size"], found["upstream"], found["classes"], found["channels"]) == (
        "resnet18",
        "fathom",
        3,
        1,
    )
    assert set(load_file(tmp_path / "y.safetensors")) == set(own)


def test_a_published_file_is_known_by_its_hash_and_keeps_its_preprocessing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(theirs(), tmp_path / "x.pth")
    from fathom.data.places import hash_of

    facts = resnet.WEIGHTS["resnet18"]["IMAGENET1K_V1"] | {"sha256": hash_of(tmp_path / "x.pth")[:8]}
    monkeypatch.setitem(resnet.WEIGHTS["resnet18"], "IMAGENET1K_V1", facts)
    found = import_file(tmp_path / "x.pth", name="resnet18", classes=1000)
    assert found["weights"] == "IMAGENET1K_V1"
    assert resnet.resnet18(tmp_path / "x.safetensors").preprocessing == facts["preprocessing"]


def test_leftovers_are_refused_with_their_names(tmp_path: Path) -> None:
    extra = {"ema.decay": torch.zeros(1), "projector.weight": torch.zeros(2, 2)}
    told = r"nearly a resnet18 by the names of torchvision.*2 left over in the file: ema\.decay, projector"
    refused(tmp_path, theirs() | extra, told)
    refused(tmp_path, theirs() | extra, "2 left over in the file: ema", name="resnet18")


def test_half_of_a_file_is_refused_with_numbers_and_names(tmp_path: Path) -> None:
    half = {n: t for n, t in theirs().items() if not n.startswith("layer3.1")}
    refused(
        tmp_path, half, r"110 tensors fit; 10 missing in the file: body\.stage_3\.1\.convolution_1\.weight"
    )


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path: Path) -> None:
    state = theirs() | {"layer1.0.conv1.weight": torch.zeros(64, 64, 5, 5)}
    told = (
        r"layer1\.0\.conv1\.weight \(64, 64, 5, 5\): the model's body\.stage_1\.0\.convolution_1\.weight has"
    )
    refused(tmp_path, state, told)


def test_a_head_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, theirs() | {"fc.bias": torch.zeros(7)}, r"1 of another shape: fc\.bias \(7,\)")


def test_another_number_of_classes_than_asked_for_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, theirs(classes=7), "has 7 classes, not 10", classes=10)


def test_another_size_or_family_than_asked_for_is_told_what_it_looks_like(tmp_path: Path) -> None:
    refused(tmp_path, theirs(), r"is no resnet34: .*It looks like a resnet18", name="resnet34")
    refused(
        tmp_path,
        theirs(),
        r"is no alexnet: 0 tensors fit; 16 missing.*It looks like a resnet18",
        name="alexnet",
    )


def test_a_size_that_does_not_exist_gets_the_nearest(tmp_path: Path) -> None:
    refused(tmp_path, theirs(), "no published size 'resnet5'; did you mean 'resnet50'", name="resnet5")


def test_what_nobody_knows_is_converted_as_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"encoder.a": torch.ones(2), "encoder.b": torch.ones(3)}, tmp_path / "x.pth")
    assert main(["import", str(tmp_path / "x.pth")]) == 0
    assert "no published size is known by these names" in capsys.readouterr().out
    assert set(load_file(tmp_path / "x.safetensors")) == {"encoder.a", "encoder.b"}
    (tmp_path / "x.safetensors").unlink()
    refused(tmp_path, {"encoder.a": torch.ones(2)}, "say which it is with --as", classes=3)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "read_tensors", importing.read_tensors)
    (tmp_path / name).write_bytes(b"\x80\x02 nothing of the kind")
    assert main(["import", str(tmp_path / name), "--out", str(tmp_path / "y.safetensors")]) == 2
    assert f"{name} is" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>weights</html>", "is a page of HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a pointer of Git LFS"),
    ],
)
def test_what_is_no_file_of_weights_is_called_by_its_name(tmp_path: Path, held: bytes, said: str) -> None:
    (tmp_path / "x.pth").write_bytes(held)
    with pytest.raises(InputError, match=f"x.pth {said}"):
        import_file(tmp_path / "x.pth", tmp_path / "y.safetensors")


def test_whole_modules_and_files_cut_short_are_told_apart(tmp_path: Path) -> None:
    """A saved module names its classes; a state dict names none, with what may stand beside it."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    torch.save(net, tmp_path / "whole.pth")
    with pytest.raises(InputError, match=r"objects of torch.nn.modules.activation, .*model.state_dict"):
        import_file(tmp_path / "whole.pth", tmp_path / "y.safetensors")
    torch.save({"model": net.state_dict(), "where": Path("a")}, tmp_path / "own.pth")
    with pytest.raises(InputError, match=r"objects of pathlib, as a whole module does"):
        import_file(tmp_path / "own.pth", tmp_path / "y.safetensors")
    torch.save({"model": net.state_dict(), "epoch": 3, "shape": torch.Size([2])}, tmp_path / "plain.pth")
    refuse_unreadable(tmp_path / "plain.pth")
    torch.save(dict(net.named_parameters()), tmp_path / "parameters.pth")
    refuse_unreadable(tmp_path / "parameters.pth")
    cut = (tmp_path / "plain.pth").read_bytes()[:-100]
    (tmp_path / "cut.pth").write_bytes(cut)
    with pytest.raises(InputError, match="is cut short"):
        import_file(tmp_path / "cut.pth", tmp_path / "y.safetensors")
    assert not (tmp_path / "y.safetensors").exists()


def test_weights_that_hold_nan_are_refused_by_name(tmp_path: Path) -> None:
    state = {"a": torch.ones(2), "b": torch.tensor([1.0, float("nan"), float("nan")]), "n": torch.tensor(1)}
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match="1 of 3 tensors hold NaN, b in 2 of 3 numbers"):
        import_file(tmp_path / "x.pth", tmp_path / "y.safetensors")
    assert not (tmp_path / "y.safetensors").exists()


def test_places_that_cannot_be_written_are_said_before_anything_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="is no folder"):
        import_file(tmp_path / "x.pth", tmp_path / "none" / "y.safetensors")
    (tmp_path / "y.safetensors").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="exists already"):
        import_file(tmp_path / "x.pth", tmp_path / "y.safetensors")
    with pytest.raises(InputError, match="is no file"):
        import_file(tmp_path / "none.pth")


@pytest.mark.slow
def test_a_whole_training_checkpoint_through_the_confined_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What PyTorch's ImageNet example saves: a wrapper's names beside an optimizer and an epoch."""
    monkeypatch.setattr(verb, "read_tensors", importing.read_tensors)
    wrapped = {f"module.{n}": t for n, t in theirs(classes=2).items()}
    torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {"state": {}}}, tmp_path / "x.pth.tar")
    command = [
        "import",
        str(tmp_path / "x.pth.tar"),
        "--as",
        "resnet18",
        "--out",
        str(tmp_path / "y.safetensors"),
    ]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["size"] == "resnet18" and found["beside"] == ["epoch", "optimizer"]
    (tmp_path / "y.safetensors").unlink()
    assert main(command) == 0
    assert "not taken over, beside the tensors: epoch, optimizer" in capsys.readouterr().out


@pytest.mark.slow
def test_checked_layer_by_layer_against_torchvision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(theirs(classes=3), tmp_path / "x.pth")
    assert main(["import", str(tmp_path / "x.pth"), "--as", "resnet18", "--check"]) == 0
    assert "every layer agrees with torchvision's resnet18; answers differ by" in capsys.readouterr().out
    assert (tmp_path / "x.safetensors").exists()


def checked(size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What ``import --check`` says of a file of torchvision's that it refuses; and nothing is written."""
    state = dict(made_like(size))
    state["bn1.weight"] = state["bn1.weight"] * 8  # so that some values pass the end of a ReLU6
    torch.save(state, tmp_path / "x.pth")
    assert main(["import", str(tmp_path / "x.pth"), "--as", size, "--check"]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x.pth"]
    told = capsys.readouterr().err
    assert f"{size} is not torchvision's {size} with these weights: the first layer that differs" in told
    return told


@cache
def made_like(size: str) -> dict[str, Tensor]:
    return upstream_state(getattr(resnet, size)(classes=3), resnet.UPSTREAMS["torchvision"])


def there(layer: str) -> str:
    """The name of one of our layers in torchvision's ResNet."""
    table = {"body.stem.convolution": "conv1", "head": "fc"}
    for ours, other in (("body.stage_", "layer"), ("convolution_", "conv"), ("norm_", "bn")):
        table[layer] = table.get(layer, layer).replace(ours, other)
    return table[layer]


@pytest.mark.slow
@pytest.mark.parametrize(("plant", "layer", "cause"), FAULTS, ids=lambda v: getattr(v, "__name__", ""))
def test_the_check_names_the_layer_of_a_fault_of_ours(
    plant: Callable[[Any], None],
    layer: str,
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The faults of the comparison's own test, each through the command."""
    size = "resnet50" if plant.__name__ == "stride_position" else "resnet18"  # there are three convolutions
    plain = getattr(resnet, size)

    def faulty(weights: Any = None, classes: int = 1000, channels: int = 3) -> resnet.ResNet:
        model = plain(weights, classes, channels)
        if weights is not None:  # and not where the size is only looked at
            plant(model)
        return model

    monkeypatch.setattr(resnet, size, faulty)
    told = checked(size, tmp_path, capsys)
    training = " in training" if plant.__name__ == "momentum" else ""
    assert f"differs{training} is {layer} (there {there(layer)}):" in told and cause in told


def other_epsilon(net: Any) -> None:
    net.layer2[0].bn2.eps = 1e-3


def other_momentum(net: Any) -> None:
    net.layer3[0].bn1.momentum = 0.01


def other_padding(net: Any) -> None:
    net.layer1[0].conv2.padding = (0, 0)


def other_kind_of_padding(net: Any) -> None:
    net.layer1[0].conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False, padding_mode="circular")


def other_stride_position(net: Any) -> None:
    net.layer2[0].conv1.stride, net.layer2[0].conv2.stride = (2, 2), (1, 1)


def other_dilation(net: Any) -> None:
    net.layer4[1].conv1.dilation = net.layer4[1].conv1.padding = (2, 2)


def other_channels(net: Any) -> None:
    net.register_forward_pre_hook(lambda module, given: (given[0].flip(1),))


def other_activation(net: Any) -> None:
    net.relu = nn.ReLU6()


def other_pooling(net: Any) -> None:
    net.maxpool.ceil_mode = True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "layer", "named", "cause"),
    [
        (other_epsilon, "body.stage_2.0.norm_2", "layer2.0.bn2", "epsilon: 1e-05 here, 0.001 there"),
        (other_momentum, "body.stage_3.0.norm_1", "layer3.0.bn1", "momentum: 0.1 here, 0.01 there"),
        (other_padding, "body.stage_1.0.convolution_2", "layer1.0.conv2", "padding: 1 here, 0 there"),
        (
            other_kind_of_padding, "body.stage_1.0.convolution_2", "layer1.0.conv2",
            "kind of padding: zeros here, circular there",
        ),
        (other_stride_position, "body.stage_2.0.convolution_1", "layer2.0.conv1", "stride: 1 here, 2 there"),
        (other_dilation, "body.stage_4.1.convolution_1", "layer4.1.conv1", "dilation: 1 here, 2 there"),
        (other_channels, "body.stem.convolution", "conv1", "channels in reverse order (RGB for BGR)"),
        (other_activation, "body.stem.relu", "relu", "activation: ReLU here, ReLU6 there"),
        (other_pooling, "body.stem.pool", "maxpool", "(ceil mode): False here, True there"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)  # fmt: skip
def test_the_check_names_the_layer_of_a_fault_upstream(
    plant: Callable[[Any], None],
    layer: str,
    named: str,
    cause: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    size = "resnet50" if plant is other_stride_position else "resnet18"
    names, make = upstream_models.open_torchvision()

    def faulty(name: str, classes: int, channels: int) -> nn.Module:
        net = make(name, classes, channels)
        if name == size:
            plant(net)
        return net

    monkeypatch.setattr(upstream_models, "open_torchvision", lambda: (names, faulty))
    told = checked(size, tmp_path, capsys)
    training = " in training" if plant is other_momentum else ""
    assert f"differs{training} is {layer} (there {named}):" in told and cause in told


@pytest.mark.parametrize(
    ("name", "spoil", "match"),
    [
        ("fc.bias", lambda t: None, r"1 missing in the file: head\.bias"),
        ("layer2.0.conv1.weight", lambda t: t.transpose(0, 1), r"layer2\.0\.conv1\.weight \(64, 128"),
        ("fc.weight", lambda t: t.T, r"fc\.weight \(512, 7\)|fc\.bias \(7,\)"),
        ("layer3.0.downsample.0.weight", lambda t: None, r"missing in the file: body\.stage_3\.0\.shortcut"),
    ],
    ids=["missing bias", "transposed convolution", "transposed head", "missing shortcut"],
)  # fmt: skip
def test_a_fault_in_the_file_is_named_before_layers_are_compared(
    name: str, spoil: Callable[[Tensor], Tensor | None], match: str, tmp_path: Path
) -> None:
    """Both models are given the same file: the check itself cannot see what its shapes do not tell."""
    state = theirs(classes=7)
    spoiled = spoil(state.pop(name))
    state |= {} if spoiled is None else {name: spoiled}
    refused(tmp_path, state, match, name="resnet18", check=True)


@pytest.mark.slow
def test_timm_is_asked_where_torchvision_has_no_such_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import timm

    torch.save(
        timm.create_model("efficientnet_b0", num_classes=4, in_chans=2).state_dict(), tmp_path / "x.pth"
    )
    assert main(["import", str(tmp_path / "x.pth"), "--check"]) == 0
    assert "every layer agrees with timm's efficientnet_b0" in capsys.readouterr().out


def test_a_check_that_nobody_can_make_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Any:
        raise ImportError("No module named 'there'")

    def empty() -> Any:
        return [], None

    monkeypatch.setattr(upstream_models, "open_torchvision", absent)
    monkeypatch.setattr(upstream_models, "open_timm", empty)
    told = r"compare a resnet18 with: torchvision is not installed or does not work.*; timm has no such model"
    refused(tmp_path, theirs(), told, check=True)
    refused(tmp_path, resnet.resnet18().state_dict(), "these are Fathom's own", check=True)


def test_published_sizes_are_functions_of_their_systems() -> None:
    assert {"resnet50", "wide_resnet101", "alexnet"} <= set(sizes())
    assert "published" not in sizes()
    assert all(callable(getattr(entry.load(), size)) for size, entry in sizes().items())
