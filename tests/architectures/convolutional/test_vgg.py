"""VGG against torchvision and timm, and the counts of the paper."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tests.architectures.convolutional.upstream import (
    assert_bijection,
    assert_equal,
    close,
    parameters,
    randomized,
)
from torch import nn

from fathom.architectures.convolutional import vgg
from fathom.architectures.convolutional.vgg import UPSTREAMS, VGG11, VGG13, VGG16, Config
from fathom.errors import InputError
from fathom.training.weight_map import translate
from fathom.training.weights import load_weights

NAMES = UPSTREAMS["torchvision"]
# Name here, in torchvision and in timm; parameters; millions in table 2 of the paper, without normalisation.
SIZES = (
    ("vgg11", 132_863_336, 133),
    ("vgg13", 133_047_848, 133),
    ("vgg16", 138_357_544, 138),
    ("vgg19", 143_667_240, 144),
    ("vgg11_bn", 132_868_840, 133),
    ("vgg13_bn", 133_053_736, 133),
    ("vgg16_bn", 138_365_992, 138),
    ("vgg19_bn", 143_678_248, 144),
)
SMALL = Config(depths=(1, 2, 1, 1), width=4, hidden=10, grid=2, classes=5, image_size=32)


def narrow(name: str, hidden: int = 64) -> nn.Module:
    """The model of torchvision with few hidden units: nine tenths of the weights sit there."""
    from torchvision import models

    with torch.device("meta"):
        theirs = getattr(models, name)(num_classes=7)
        theirs.classifier[0] = nn.Linear(512 * 49, hidden)
        theirs.classifier[3] = nn.Linear(hidden, hidden)
        theirs.classifier[6] = nn.Linear(hidden, 7)
    theirs.to_empty(device="cpu")
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)  # torch's own shrinks signals: to nothing after 19 layers
            nn.init.normal_(module.bias, std=0.1)  # type: ignore[arg-type]
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return theirs


@pytest.mark.parametrize(("name", "count", "millions"), SIZES)
def test_published_sizes_and_names(name: str, count: int, millions: int) -> None:
    import timm
    from torchvision import models

    assert parameters(getattr(vgg, name)) == count
    assert round(count / 1e6) == millions
    with torch.device("meta"):
        own, other, third = getattr(vgg, name)(), getattr(models, name)(), timm.create_model(name)
    assert_bijection(own, NAMES, list(other.state_dict()))
    assert_bijection(own, UPSTREAMS["timm"], list(third.state_dict()))
    shapes = sorted(t.shape for t in own.state_dict().values())
    assert shapes == sorted(t.shape for t in other.state_dict().values())
    assert shapes == sorted(t.shape for t in vgg.rewritten(third.state_dict(), own.cfg).values())


@pytest.mark.parametrize(
    ("name", "cfg"),
    [
        ("vgg11", replace(VGG11, hidden=64, classes=7)),
        pytest.param("vgg16_bn", replace(VGG16, norm=True, hidden=64, classes=7), marks=pytest.mark.slow),
    ],
)
def test_equals_torchvision(name: str, cfg: Config) -> None:
    assert_equal(cfg.build(), narrow(name), NAMES, 64, classes=7)


@pytest.mark.slow
@pytest.mark.parametrize("size", [96, 224])
def test_equals_timm(size: int) -> None:
    """Its dense layers are convolutions: the same numbers in another shape, either way."""
    import timm

    theirs = randomized(timm.create_model("vgg13_bn", num_classes=7, drop_rate=0.5))
    ours = vgg.vgg13_bn(theirs.state_dict(), classes=7)
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        close(ours.eval()(image), theirs.eval()(image), 1e-5)
    state = vgg.timm_state(ours)
    theirs.load_state_dict(state, strict=True)
    assert all(torch.equal(t, state[n]) for n, t in theirs.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(("size", "steps"), [(96, 3), (224, 1)])
def test_trains_as_timm(size: int, steps: int) -> None:
    """All gradients of each step, and the statistics of normalisation after them.

    In float64, because the last of ten normalisations take few values, and each makes rounding larger; of few
    hidden units, where nine tenths of the weights sit.
    """
    import timm
    from timm.models.vgg import ConvMlp

    cfg = replace(VGG13, norm=True, hidden=64, classes=7)
    theirs: Any = randomized(timm.create_model("vgg13_bn", num_classes=7, drop_rate=0.5))
    theirs.pre_logits, theirs.head.fc = ConvMlp(512, 64, 7, drop_rate=0.5), nn.Linear(64, 7)
    ours = cfg.build()
    load_weights(
        ours, theirs.state_dict(), head=(), upstreams=UPSTREAMS, before=partial(vgg.rewritten, cfg=cfg)
    )
    ours.double().train(), theirs.double().train()
    optimizers = [torch.optim.SGD(net.parameters(), lr=1e-3) for net in (ours, theirs)]
    own, names = dict(ours.named_parameters()), translate(theirs.state_dict(), UPSTREAMS["timm"])
    image = torch.randn(2, 3, size, size, dtype=torch.float64)
    for step in range(steps):
        for net, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            torch.manual_seed(step)  # for dropout, which both draw in one order
            F.cross_entropy(net(image), torch.tensor([1, 4])).backward()
        for name, parameter in theirs.named_parameters():
            ours_here, gradient = own[names[name]], parameter.grad
            assert ours_here.grad is not None and gradient is not None
            module = theirs.get_submodule(name.rpartition(".")[0])
            if isinstance(module, nn.Conv2d) and name.startswith("features") and name.endswith("bias"):
                # Normalisation takes them away: nothing but rounding is left.
                assert max(gradient.abs().max(), ours_here.grad.abs().max()) < 1e-10
            else:
                close(ours_here.grad, gradient.view_as(ours_here), 1e-6)
        for optimizer in optimizers:
            optimizer.step()
    buffers = dict(ours.named_buffers())
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(buffers[names[name]], buffer, rtol=1e-7, atol=1e-10)


def test_maps_go_by_the_names_of_the_literature() -> None:
    with torch.device("meta"):
        maps = vgg.vgg19_bn().features(torch.empty(1, 3, 224, 224))
    cfg = replace(vgg.VGG19, norm=True)
    assert {n: m.shape[1] for n, m in maps.items()} == cfg.feature_channels
    assert maps["conv_1_1"].shape == (1, 64, 224, 224)
    assert maps["conv_4_2"].shape == (1, 512, 28, 28)
    assert maps["pool_5"].shape == (1, 512, 7, 7)
    assert [n for n in maps if n.startswith("conv_3")] == ["conv_3_1", "conv_3_2", "conv_3_3", "conv_3_4"]


@pytest.mark.parametrize("norm", [False, True])
def test_feature_maps_lead_to_the_logits(norm: bool) -> None:
    """Each map is its convolution's after the ReLU: what the next convolution was given."""
    model = replace(SMALL, norm=norm).build().eval()
    image = torch.randn(2, 3, 32, 24)
    maps = model.features(image)
    assert all((m >= 0).all() for m in maps.values())
    torch.testing.assert_close(F.max_pool2d(maps["conv_2_2"], 2), maps["pool_2"])
    second = next(
        i for i, part in enumerate(model.body) if isinstance(part, nn.Conv2d) and part.in_channels == 8
    )
    again = model.body[second](maps["conv_2_1"])
    again = model.body[second + 1](again) if norm else again
    torch.testing.assert_close(torch.relu(again), maps["conv_2_2"])
    torch.testing.assert_close(model.head(model.hidden(model.grid(maps["pool_4"]).flatten(1))), model(image))


def test_dropout_draws_only_while_training() -> None:
    model, image = SMALL.build(), torch.randn(2, 3, 32, 32)
    assert not torch.equal(model.train()(image), model(image))
    assert torch.equal(model.eval()(image), model(image))


def test_weights_of_torchvision_for_other_channels_and_classes(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = randomized(narrow("vgg11_bn", 8)).eval()
    save_file(theirs.state_dict(), tmp_path / "vgg11_bn.safetensors")
    monkeypatch.setitem(vgg.SIZES, "small", replace(VGG11, norm=True, hidden=8))
    monkeypatch.setitem(vgg.WEIGHTS, "small", {})
    model = vgg.published("small", tmp_path / "vgg11_bn.safetensors", classes=4, channels=1).eval()
    assert "resized: body.0.weight (64, 3, 3, 3) -> (64, 1, 3, 3)" in capsys.readouterr().err
    assert set(model.load_report.new) == {"head.weight", "head.bias"}  # type: ignore[union-attr,arg-type]
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        close(model.features(grey)["pool_5"], theirs.features(grey.expand(2, 3, 64, 64)), 1e-5)  # type: ignore[operator]


def test_weights_with_and_without_normalisation_are_told_apart() -> None:
    plain, normed = SMALL.build(), replace(SMALL, norm=True).build()
    with pytest.raises(InputError, match=r"body\.\d+\.running_mean"):
        load_weights(plain, normed.state_dict(), head=("head",), upstreams=UPSTREAMS)


def test_pictures_that_are_too_small_are_refused_by_both_sizes() -> None:
    model = SMALL.build().eval()
    assert model(torch.randn(1, 3, 16, 16)).shape == (1, 5)
    for call in (model, model.features):
        with pytest.raises(ValueError, match=r"image is 40x15 pixels; a VGG of 4 stages takes 16 pixels"):
            call(torch.randn(1, 3, 40, 15))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depths": ()}, r"depths is \(\)"),
        ({"depths": (2, 0)}, r"depths is \(2, 0\)"),
        ({"width": 0}, "width is 0"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"image_size": 31}, "image_size is 31; a VGG of 5 stages takes 32 pixels or more on a side"),
    ],
)
def test_impossible_sizes_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)
