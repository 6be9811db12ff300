"""Inception v3 against torchvision's and timm's with both heads, and the maps of the paper's table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tests.architectures.convolutional.upstream import (
    assert_bijection,
    assert_equal,
    assert_taken_strictly,
    close,
    parameters,
    randomized,
    translated,
)

from fathom.architectures.convolutional.googlenet import IMAGENET_DEVIATION, IMAGENET_MEAN, DeepSupervision
from fathom.architectures.convolutional.inception import UPSTREAMS, AuxiliaryHead, Config, inception_v3
from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport
from fathom.training.weight_map import translate

NAMES = UPSTREAMS["torchvision"]
SMALL = Config(
    pooled_widths=(32, 64), seven_widths=(128,), last_blocks=1, width_factor=0.125, stem="plain", dropout=0.3,
    classes=5, image_size=16,
)  # fmt: skip


def torchvisions(**settings: Any) -> Any:
    from torchvision import models

    return models.inception_v3(init_weights=False, **settings)


def test_published_size_and_names() -> None:
    import timm

    assert parameters(inception_v3) == 27_161_264
    assert parameters(lambda: Config(auxiliary=False).build()) == 23_834_568  # "less than 25 million"
    with torch.device("meta"):
        own = inception_v3()
        others = torchvisions(), timm.create_model("inception_v3", aux_logits=True)
    shapes = sorted(t.shape for t in own.state_dict().values())
    for other in others:
        assert_bijection(own, NAMES, list(other.state_dict()))
        assert sorted(t.shape for t in other.state_dict().values()) == shapes


def test_maps_have_the_sizes_of_table_1() -> None:
    """35x35x288 after three blocks, 17x17x768 after five, 8x8x2048 at the end; the stem is as released."""
    with torch.device("meta"):
        maps = Config().build().features(torch.empty(1, 3, 299, 299))
    assert [tuple(m.shape[1:]) for m in maps.values()] == [
        (192, 35, 35),
        (288, 35, 35),
        (768, 17, 17),
        (2048, 8, 8),
    ]
    assert {n: m.shape[1] for n, m in maps.items()} == Config().feature_channels


@pytest.mark.slow
def test_equals_torchvision_without_the_auxiliary_head() -> None:
    model = Config(auxiliary=False, classes=7).build()
    assert_equal(model, torchvisions(num_classes=7, aux_logits=False), NAMES, 96, classes=7)


@pytest.mark.slow
def test_equals_timm() -> None:
    import timm

    theirs = timm.create_model("inception_v3", num_classes=7, drop_rate=0.5)
    assert_equal(Config(auxiliary=False, classes=7).build(), theirs, NAMES, 96, classes=7)


def test_the_auxiliary_head_equals_torchvisions() -> None:
    from torchvision.models.inception import InceptionAux

    theirs = randomized(InceptionAux(768, 7)).train()
    ours = AuxiliaryHead(Config(classes=7), 768).train()
    state = {f"AuxLogits.{n}": t for n, t in theirs.state_dict().items()}
    names = translate(state, NAMES)
    ours.load_state_dict({names[n].removeprefix("auxiliary."): t for n, t in state.items()})
    x = torch.randn(3, 768, 17, 17, requires_grad=True)
    made = []
    for net in (ours, theirs):
        logits = net(x)
        made.append((logits, *torch.autograd.grad(logits.square().sum(), x)))
    close(made[0][0], made[1][0], 1e-5)
    close(made[0][1], made[1][1], 1e-4)


@pytest.mark.slow
def test_trains_as_torchvision_with_both_losses() -> None:
    """Pictures of 299 pixels, which the auxiliary head needs: losses, all gradients, statistics, three steps.

    In float64, because that head normalises over as few values as there are pictures.
    """
    theirs = randomized(torchvisions(num_classes=7)).train().double()
    ours = inception_v3(theirs.state_dict(), classes=7).train().double()
    names = translate(dict(theirs.named_parameters()), NAMES)
    own = dict(ours.named_parameters())
    optimizers = [torch.optim.SGD(net.parameters(), lr=1e-3) for net in (ours, theirs)]
    image, label = torch.randn(2, 3, 299, 299, dtype=torch.float64), torch.tensor([0, 6])
    for step in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.manual_seed(step)  # for dropout
        loss, _ = DeepSupervision(weight=0.4, label_smoothing=0.1)(ours, (image, label))
        loss.backward()
        torch.manual_seed(step)
        last, other = (F.cross_entropy(made, label, label_smoothing=0.1) for made in theirs(image))
        (last + 0.4 * other).backward()
        close(loss, last + 0.4 * other, 1e-5)
        for name, parameter in theirs.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
            close(own[names[name]].grad, parameter.grad, 1e-4)  # type: ignore[arg-type]
        for optimizer in optimizers:
            optimizer.step()
    buffers = dict(ours.named_buffers())
    for name, buffer in translated(dict(theirs.named_buffers()), NAMES).items():
        torch.testing.assert_close(buffers[name], buffer, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_torchvision_takes_ours_strictly_with_the_auxiliary_head() -> None:
    """What is exported fills its model, and both heads answer as ours do."""
    ours: Any = randomized(inception_v3(classes=7))
    theirs = torchvisions(num_classes=7)
    assert_taken_strictly(ours, theirs, NAMES)
    ours.eval(), theirs.eval()
    image = torch.randn(2, 3, 299, 299)
    with torch.no_grad():
        last, other = ours(image, auxiliary=True)
        close(last, theirs(image), 1e-5)
        seen: list[torch.Tensor] = []
        theirs.Mixed_6e.register_forward_hook(lambda module, given, made: seen.append(made))
        theirs(image)
        close(other, theirs.AuxLogits(seen[0]), 1e-5)  # which it runs only in training


@pytest.mark.slow
def test_transform_input_equals_torchvision_and_one_normalisation() -> None:
    theirs = randomized(torchvisions(num_classes=3, transform_input=True)).eval()
    state = theirs.state_dict()
    pixels = torch.rand(2, 3, 80, 80)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_DEVIATION))
    usual = (pixels - mean) / deviation
    with torch.no_grad():
        wanted = theirs(usual)
        close(inception_v3(state, classes=3, transform_input=True).eval()(usual), wanted, 1e-5)
        close(inception_v3(state, classes=3).eval()((pixels - 0.5) / 0.5), wanted, 1e-5)


def test_one_tensor_of_logits_unless_both_are_asked_for() -> None:
    model = SMALL.build()
    image = torch.randn(2, 3, 16, 16)
    for training in (True, False):
        model.train(training)
        assert model(image).shape == (2, 5)
        assert [made.shape for made in model(image, auxiliary=True)] == [(2, 5)] * 2
    torch.testing.assert_close(model(image, auxiliary=True)[0], model(image))
    with pytest.raises(ValueError, match="no auxiliary head; build it with auxiliary=True"):
        replace(SMALL, auxiliary=False).build()(image, auxiliary=True)


def test_feature_maps_by_name() -> None:
    model = SMALL.build().eval()
    image = torch.randn(2, 3, 16, 16)
    maps = model.features(image)
    assert {n: m.shape[1] for n, m in maps.items()} == SMALL.feature_channels
    assert [m.shape[-1] for m in maps.values()] == [16, 16, 7, 3]
    torch.testing.assert_close(model.classify(maps["mixed_7"]), model(image))


def test_weights_of_torchvision_for_other_channels_and_classes(tmp_path: Path, capsys: Any) -> None:
    """A file without the auxiliary head, as torchvision may have it; grey pictures, a head of one's own."""
    theirs = randomized(torchvisions(num_classes=9, aux_logits=False))
    save_file(theirs.state_dict(), tmp_path / "inception.safetensors")
    model: Any = inception_v3(tmp_path / "inception.safetensors", classes=4, channels=1)
    report: LoadReport = model.load_report
    assert set(report.resized) == {"body.stem.unit_1.convolution.weight"} and not report.left
    assert {n.split(".")[0] for n in report.new} == {"head", "auxiliary"}
    own = model.state_dict()["body.mixed_7.c.double_three.2.tall.norm.bias"]
    assert torch.equal(own, theirs.state_dict()["Mixed_7c.branch3x3dbl_3b.bn.bias"])
    assert "(32, 3, 3, 3) -> (32, 1, 3, 3)" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"nearest: torchvision.*layer1"):
        inception_v3({"layer1.0.conv1.weight": torch.zeros(3)})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pooled_widths": ()}, r"pooled_widths is \(\)"),
        ({"seven_widths": (128, 0)}, "seven_widths is"),
        ({"stem_widths": (32, 32, 0, 80, 192)}, "stem_widths is"),
        ({"width_factor": 0.0}, "width_factor is 0.0"),
        ({"last_blocks": 0}, "last_blocks is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"transform_input": True, "channels": 1}, "for 3 channels; channels is 1"),
        ({"image_size": 74}, "image_size is 74; an Inception v3 with this stem takes 75 pixels"),
    ],
)
def test_impossible_sizes_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Config(), **wrong)


def test_a_stem_that_does_not_exist_is_refused() -> None:
    cfg = Config()
    object.__setattr__(cfg, "stem", "other")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="stem is 'other'; it must be one of"):
        cfg.__post_init__()


@pytest.mark.parametrize(("stem", "least"), [("strided", 75), ("plain", 7)])
def test_pictures_of_which_nothing_is_left_are_refused(stem: Any, least: int) -> None:
    cfg = Config(stem=stem, width_factor=0.125, auxiliary=False, image_size=least, classes=5)
    assert cfg.least_size == least
    net = cfg.build().eval()
    assert net(torch.randn(1, 3, least, least)).shape == (1, 5)
    for look in (net, net.features):
        with pytest.raises(ValueError, match=rf"image is {least}x{least - 1} .* takes {least} pixels"):
            look(torch.randn(1, 3, least, least - 1))
