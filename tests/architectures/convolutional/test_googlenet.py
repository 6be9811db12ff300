"""GoogLeNet against torchvision's with all its heads, and the paper's table of sizes."""

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
from torch import Tensor, nn

from fathom.architectures.convolutional.googlenet import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    UPSTREAMS,
    Config,
    DeepSupervision,
    googlenet,
)
from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport
from fathom.training.weight_map import translate

NAMES = UPSTREAMS["torchvision"]
ROW = (8, 8, 8, 4, 8, 8)
SMALL = Config(
    stem_widths=(8, 16), blocks=((ROW,), (ROW, ROW)), auxiliary=("3a", "4a"), auxiliary_widths=(8, 16),
    stem="3x3", dropout=0.3, auxiliary_dropout=0.5, classes=5, image_size=16,
)  # fmt: skip


def torchvisions(**settings: Any) -> Any:
    from torchvision import models

    return models.googlenet(init_weights=False, dropout=0.4, **settings)


def test_published_size_and_names() -> None:
    assert parameters(googlenet) == 13_004_888
    assert parameters(lambda: Config(auxiliary=()).build()) == 6_624_904
    with torch.device("meta"):
        own, other = googlenet(), torchvisions()
    assert_bijection(own, NAMES, list(other.state_dict()))
    shapes = sorted(t.shape for t in own.state_dict().values())
    assert sorted(t.shape for t in other.state_dict().values()) == shapes


def test_blocks_have_the_sizes_of_table_1() -> None:
    """The column "params" in thousands, with a true 5x5; the paper is off a little in 4c and 5a."""
    table = (("3a", 159), ("3b", 380), ("4a", 364), ("4b", 437), ("4d", 580), ("4e", 840), ("5b", 1388))
    with torch.device("meta"):
        body = Config(large_kernel=5).build().body
    for name, thousands in (*table, ("4c", 463), ("5a", 1072)):
        block = body.get_submodule(f"inception_{name[0]}.{name[1]}")
        count = sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d))
        assert count / 1024 == pytest.approx(thousands, rel=0.02 if (name, thousands) in table else 0.08), (
            name
        )
    channels = Config().block_channels
    assert list(channels) == ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    assert list(channels.values()) == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


@pytest.mark.parametrize("size", [64, 75])
def test_equals_torchvision_without_auxiliary_heads(size: int) -> None:
    """Also at a side where the poolings, which round up, overlap the border."""
    model = Config(auxiliary=(), classes=7).build()
    assert_equal(model, torchvisions(num_classes=7, aux_logits=False), NAMES, size, classes=7)


def test_trains_as_torchvision_with_three_losses() -> None:
    """All logits, the gradient of the whole loss in every parameter, three steps, statistics."""
    theirs = randomized(torchvisions(num_classes=7)).train()
    theirs.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # sums in the order of ours
    ours = googlenet(theirs.state_dict(), classes=7).train()
    names = translate(dict(theirs.named_parameters()), NAMES)
    own = dict(ours.named_parameters())
    optimizers = [torch.optim.SGD(net.parameters(), lr=1e-3) for net in (ours, theirs)]
    image, label = torch.randn(4, 3, 64, 64), torch.tensor([0, 6, 3, 3])
    for step in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.manual_seed(step)  # for dropout, which both draw in one order
        loss, _ = DeepSupervision()(ours, (image, label))
        loss.backward()
        torch.manual_seed(step)
        last, second, first = theirs(image)
        wanted = F.cross_entropy(last, label) + 0.3 * sum(F.cross_entropy(o, label) for o in (first, second))
        wanted.backward()
        close(loss, wanted, 1e-5)
        for name, parameter in theirs.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
            close(own[names[name]].grad, parameter.grad, 1e-4)  # type: ignore[arg-type]
        for optimizer in optimizers:
            optimizer.step()
    buffers = dict(ours.named_buffers())
    for name, buffer in translated(dict(theirs.named_buffers()), NAMES).items():
        torch.testing.assert_close(buffers[name], buffer, rtol=1e-5, atol=1e-5)


def test_transform_input_equals_torchvision_and_one_normalisation() -> None:
    theirs = randomized(torchvisions(num_classes=3, transform_input=True)).eval()
    state = theirs.state_dict()
    pixels = torch.rand(2, 3, 64, 64)
    usual = (pixels - torch.tensor(IMAGENET_MEAN)[:, None, None]) / torch.tensor(IMAGENET_DEVIATION)[
        :, None, None
    ]
    with torch.no_grad():
        wanted = theirs(usual)
        close(googlenet(state, classes=3, transform_input=True).eval()(usual), wanted, 1e-5)
        close(googlenet(state, classes=3).eval()((pixels - 0.5) / 0.5), wanted, 1e-5)


def test_one_tensor_of_logits_unless_all_are_asked_for() -> None:
    model = SMALL.build()
    image = torch.randn(2, 3, 16, 16)
    for training in (True, False):
        model.train(training)
        assert model(image).shape == (2, 5)
        assert [made.shape for made in model(image, auxiliary=True)] == [(2, 5)] * 3
    torch.testing.assert_close(model(image, auxiliary=True)[0], model(image))
    with pytest.raises(ValueError, match="no auxiliary heads; build it with"):
        replace(SMALL, auxiliary=()).build()(image, auxiliary=True)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_is_the_last_heads_and_three_tenths_of_the_others(mixed: bool) -> None:
    logits = torch.randn(3, 6, 5)

    class Fixed(nn.Module):
        def forward(self, image: Tensor, auxiliary: bool) -> Any:
            assert auxiliary
            return tuple(logits)

    label = torch.rand(6, 5).softmax(dim=1) if mixed else torch.randint(5, (6,))
    batch = torch.zeros(6, 1), label
    losses = [float(F.cross_entropy(m, label)) for m in logits]
    loss, metrics = DeepSupervision()(Fixed(), batch)
    assert float(loss) == pytest.approx(losses[0] + 0.3 * (losses[1] + losses[2]))
    assert float(metrics["main_loss"]) == pytest.approx(losses[0])
    right = logits[0].argmax(dim=1) == (label.argmax(dim=1) if mixed else label)
    assert float(metrics["accuracy"]) == pytest.approx(float(right.float().mean()))
    smooth, _ = DeepSupervision(weight=0.0, label_smoothing=0.1)(Fixed(), batch)
    assert float(smooth) == pytest.approx(float(F.cross_entropy(logits[0], label, label_smoothing=0.1)))
    assert DeepSupervision().count(batch) == 6


@pytest.mark.parametrize(
    "wrong", [{"weight": -0.1}, {"weight": float("inf")}, {"label_smoothing": 1.0}], ids=str
)
def test_impossible_losses_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DeepSupervision(**wrong)


def test_feature_maps_by_name() -> None:
    model = SMALL.build().eval()
    image = torch.randn(2, 3, 16, 16)
    maps = model.features(image)
    assert {n: m.shape[1] for n, m in maps.items()} == SMALL.feature_channels
    assert [m.shape[-1] for m in maps.values()] == [16, 16, 8]
    torch.testing.assert_close(model.classify(maps["inception_4"]), model(image))
    large = Config(auxiliary=(), classes=2).build().eval()
    assert [m.shape[-1] for m in large.features(torch.randn(1, 3, 224, 224)).values()] == [28, 28, 14, 7]
    assert Config().feature_channels == {
        "stem": 192,
        "inception_3": 480,
        "inception_4": 832,
        "inception_5": 1024,
    }


@pytest.mark.parametrize("stem", ["7x7", "3x3"])
@pytest.mark.parametrize("stages", range(1, 8))
def test_the_least_side_is_the_one_of_which_the_poolings_leave_something(stem: Any, stages: int) -> None:
    cfg = replace(SMALL, blocks=((ROW,),) * stages, auxiliary=(), stem=stem, image_size=1000)
    with torch.device("meta"):
        body = cfg.build().eval().body
    body(torch.empty(1, 3, cfg.least_size, cfg.least_size, device="meta"))
    with pytest.raises(RuntimeError):
        body(torch.empty(1, 3, cfg.least_size - 1, 1000, device="meta"))


def test_pictures_that_are_too_small_are_refused() -> None:
    model = Config(classes=2, image_size=15).build().eval()
    assert model(torch.randn(1, 3, 15, 20), auxiliary=True)[0].shape == (1, 2)
    for attempt in (model, model.features, lambda image: model(image, auxiliary=True)):
        with pytest.raises(ValueError, match=r"image is 14x20 pixels; .* takes 15 pixels or more on a side"):
            attempt(torch.randn(1, 3, 14, 20))


def test_weights_of_torchvision_for_other_channels_and_classes(tmp_path: Path, capsys: Any) -> None:
    """A file without auxiliary heads, as torchvision hands it on; grey pictures, a head of one's own."""
    theirs = randomized(torchvisions(num_classes=9, aux_logits=False))
    save_file(theirs.state_dict(), tmp_path / "googlenet.safetensors")
    model: Any = googlenet(tmp_path / "googlenet.safetensors", classes=4, channels=1)
    report: LoadReport = model.load_report
    assert set(report.resized) == {"body.stem.unit_1.convolution.weight"} and not report.left
    assert {n.split(".")[0] for n in report.new} == {"head", "auxiliary"}
    assert torch.equal(model.body.inception_5.b.branch_2[1].norm.bias, theirs.inception5b.branch2[1].bn.bias)  # type: ignore[union-attr, index]
    assert "(64, 3, 7, 7) -> (64, 1, 7, 7)" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"nearest: torchvision.*layer1"):
        googlenet({"layer1.0.conv1.weight": torch.zeros(3)})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"blocks": ()}, "give 1 to 7 stages"),
        ({"blocks": ((ROW,), ())}, "of 1 or more blocks"),
        ({"blocks": ((ROW[:5],),)}, "each block has 6 widths"),
        ({"blocks": (((0, *ROW[1:]),),)}, "each block has 6 widths"),
        ({"auxiliary": ("3c",)}, r"auxiliary names \['3c'\]; the blocks are 3a, 3b, 4a"),
        ({"large_kernel": 4}, "give an odd side"),
        ({"stem_widths": (0, 8)}, "stem_widths is"),
        ({"auxiliary_widths": (8, 0)}, "auxiliary_widths is"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"transform_input": True, "channels": 1}, "for 3 channels; channels is 1"),
        (
            {"image_size": 14},
            "image_size is 14; a GoogLeNet of 3 stages .* takes 15 pixels or more on a side; stem='3x3'",
        ),
        ({"image_size": 1, "stem": "3x3"}, "image_size is 1; .* takes 2 pixels or more on a side$"),
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


@pytest.mark.parametrize("channels", [1, 4])
def test_what_renormalises_takes_three_channels(channels: int) -> None:
    """One would be taken three times without a word."""
    from fathom.architectures.convolutional import inception

    small = inception.Config(transform_input=True, auxiliary=False, width_factor=0.125, classes=5)
    for net in (replace(SMALL, transform_input=True).build(), small.build()):
        with pytest.raises(ValueError, match=f"image has {channels} channels; a model with transform_input"):
            net(torch.randn(1, channels, 80, 80))


def test_torchvision_takes_ours_strictly_with_both_auxiliary_heads() -> None:
    """What is exported fills its model, and all three heads answer as ours do."""
    ours: Any = randomized(googlenet(classes=7))
    theirs = torchvisions(num_classes=7)
    assert_taken_strictly(ours, theirs, NAMES)
    ours.eval(), theirs.eval()
    seen: list[Tensor] = []
    for block in (theirs.inception4a, theirs.inception4d):
        block.register_forward_hook(lambda module, given, made: seen.append(made))
    image = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        wanted = [theirs(image), theirs.aux1(seen[0]), theirs.aux2(seen[1])]  # it runs them only in training
        for made, there in zip(ours(image, auxiliary=True), wanted, strict=True):
            close(made, there, 1e-5)
