"""The field that is computed is the field that is seen: for every convolutional system, and for chains."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom import catalog
from fathom.architectures.convolutional import (
    alexnet,
    cifar_resnet,
    densenet,
    efficientnet,
    googlenet,
    inception,
    lenet,
    mnist,
    plain_cnn,
    resnet,
    vgg,
    whitened_cnn,
)
from fathom.fundamentals.networks.receptive_field import (
    Field,
    receptive_field,
    receptive_field_by_gradient,
    receptive_field_by_hand,
)

Call = Callable[[Any, Tensor], Tensor]


def last_map(net: Any, image: Tensor) -> Tensor:
    return list(net.features(image).values())[-1]


NARROW = ((2, 1, 2, 1, 2, 1), (1, 2, 2, 1, 2, 1))
# Sizes of the paper, few channels: what is seen does not depend on how many there are.
# Name: config, channels of the image, side of an image that is larger than the field, the map.
NETS: dict[str, tuple[Any, int, Call]] = {
    "alexnet": (alexnet.Config(widths=(2, 2, 2, 2, 2), hidden=4), 320, last_map),
    "vgg11": (vgg.Config(depths=(1, 1, 2, 2, 2), width=2, hidden=4), 260, lambda n, x: n.body(x)),
    "vgg16": (vgg.Config(width=2, hidden=4, norm=True), 340, lambda n, x: n.body(x)),
    "densenet121": (densenet.Config(growth=2, stem_width=4), 2400, last_map),
    "googlenet": (
        googlenet.Config(stem_widths=(2, 2), blocks=(NARROW, NARROW * 2 + NARROW[:1], NARROW)),
        1000, last_map,
    ),
    "inception": (inception.Config(width_factor=0.05), 1600, last_map),
    "resnet18": (resnet.Config(width=2), 540, last_map),
    "resnet50": (resnet.Config(depths=(3, 4, 6, 3), block="bottleneck", width=2), 540, last_map),
    "efficientnet_lite0": (efficientnet.Config(lite=True, width_factor=0.1), 1000, last_map),
    "cifar_resnet": (cifar_resnet.Config(depth=14, width=2), 128, lambda n, x: n.blocks(n.convolution(x))),
    "plain_cnn": (plain_cnn.Config(widths=(2, 2, 2)), 64, lambda n, x: n.body(x)),
    "whitened_cnn": (whitened_cnn.Config(widths=(2, 2, 2)), 64, last_map),
    "lenet": (lenet.Config(), 64, lambda n, x: n.s4(torch.tanh(n.c3(n.s2(torch.tanh(n.c1(x))))))),
    "mnist": (mnist.Config(width=3), 64, lambda n, x: n.stages(x)),
}  # fmt: skip
LARGE = ("densenet121", "googlenet", "inception", "efficientnet_lite0")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LARGE)) for n in NETS])
def test_what_is_computed_is_what_has_a_gradient(name: str) -> None:
    config, side, call = NETS[name]
    net = config.build().eval()
    channels = config.channels
    field = receptive_field(lambda x: call(net, x), torch.zeros(1, channels, 224, 224))
    assert field.size[0] == field.size[1] < side
    seen = receptive_field_by_gradient(net, torch.zeros(1, channels, side, side), call)
    assert seen == field.size


# What is deep: only one side of the image is longer than the field, so that the maps stay small.
DEEP: dict[str, tuple[Any, int, Call]] = {
    "vgg13": (vgg.Config(depths=(2, 2, 2, 2, 2), width=2, hidden=4), 260, lambda n, x: n.body(x)),
    "vgg19": (vgg.Config(depths=(2, 2, 4, 4, 4), width=2, hidden=4), 400, lambda n, x: n.body(x)),
    "resnet34": (resnet.Config(depths=(3, 4, 6, 3), width=2), 1000, last_map),
    "resnet50_halving_1x1": (
        resnet.Config(depths=(3, 4, 6, 3), block="bottleneck", width=2, halving="1x1"), 700, last_map,
    ),
    "resnet101": (resnet.Config(depths=(3, 4, 23, 3), block="bottleneck", width=2), 1100, last_map),
    "resnet152": (resnet.Config(depths=(3, 8, 36, 3), block="bottleneck", width=2), 1600, last_map),
    "densenet161": (densenet.Config(depths=(6, 12, 36, 24), growth=2, stem_width=4), 3200, last_map),
    "densenet169": (densenet.Config(depths=(6, 12, 32, 32), growth=2, stem_width=4), 3500, last_map),
    "densenet201": (densenet.Config(depths=(6, 12, 48, 32), growth=2, stem_width=4), 4000, last_map),
    "efficientnet_lite4": (
        efficientnet.Config(lite=True, width_factor=0.1, depth_factor=1.8), 1900, last_map,
    ),
}  # fmt: skip
SHALLOW = ("vgg13", "vgg19")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in SHALLOW)) for n in DEEP]
)
def test_the_field_of_a_deep_net_is_seen_along_each_side(name: str) -> None:
    config, side, call = DEEP[name]
    net = config.build().eval()
    field = receptive_field(lambda x: call(net, x), torch.zeros(1, 3, 64, 64))
    assert field.size[0] == field.size[1] < side
    assert receptive_field_by_gradient(net, torch.zeros(1, 3, side, 64), call)[0] == field.size[0]
    assert receptive_field_by_gradient(net, torch.zeros(1, 3, 64, side), call)[1] == field.size[1]


def test_every_convolutional_system_is_among_them() -> None:
    here = {
        e.module
        for e in catalog.systems().values()
        if e.module.startswith("fathom.architectures.convolutional.")
    }
    assert here == {type(config).__module__ for config, _, _ in NETS.values()}


Chain = list[tuple[int, int, int]]


def chain_of_vgg(depths: tuple[int, ...]) -> Chain:
    """Table 1 of Simonyan and Zisserman: windows of 3x3, and a pooling behind each stage."""
    return [layer for depth in depths for layer in [(3, 1, 1)] * depth + [(2, 2, 1)]]


def chain_of_resnet(depths: tuple[int, ...], windows: int) -> Chain:
    """Table 1 of He et al.: ``windows`` of 3x3 in a block, of which the first halves where a stage begins."""
    chain = [(7, 2, 1), (3, 2, 1)]
    for stage, depth in enumerate(depths):
        chain += [(3, 2 if stage else 1, 1)] + [(3, 1, 1)] * (depth * windows - 1)
    return chain


def chain_of_densenet(depths: tuple[int, ...]) -> Chain:
    """Table 1 of Huang et al., along the path through every layer; a transition pools."""
    chain = [(7, 2, 1), (3, 2, 1)]
    for block, depth in enumerate(depths):
        chain += [(2, 2, 1)] * (block > 0) + [(3, 1, 1)] * depth
    return chain


def chain_of_lite(depths: tuple[int, ...]) -> Chain:
    """The stem and the depthwise windows of table 1 of Tan and Le."""
    chain = [(3, 2, 1)]
    for depth, kernel, stride in zip(depths, (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), strict=True):
        chain += [(kernel, stride, 1)] + [(kernel, 1, 1)] * (depth - 1)
    return chain


# The tables of the papers, column by column; the depths of the lite sizes are those of the authors' code.
CHAINS: dict[str, Chain] = {
    "vgg11": chain_of_vgg((1, 1, 2, 2, 2)),
    "vgg13": chain_of_vgg((2, 2, 2, 2, 2)),
    "vgg16": chain_of_vgg((2, 2, 3, 3, 3)),
    "vgg19": chain_of_vgg((2, 2, 4, 4, 4)),
    "resnet18": chain_of_resnet((2, 2, 2, 2), windows=2),
    "resnet34": chain_of_resnet((3, 4, 6, 3), windows=2),
    "resnet50": chain_of_resnet((3, 4, 6, 3), windows=1),
    "resnet101": chain_of_resnet((3, 4, 23, 3), windows=1),
    "resnet152": chain_of_resnet((3, 8, 36, 3), windows=1),
    "densenet121": chain_of_densenet((6, 12, 24, 16)),
    "densenet161": chain_of_densenet((6, 12, 36, 24)),
    "densenet169": chain_of_densenet((6, 12, 32, 32)),
    "densenet201": chain_of_densenet((6, 12, 48, 32)),
    "lite0": chain_of_lite((1, 2, 2, 3, 3, 4, 1)),
    "lite1": chain_of_lite((1, 3, 3, 4, 4, 5, 1)),
    "lite2": chain_of_lite((1, 3, 3, 4, 4, 5, 1)),
    "lite3": chain_of_lite((1, 3, 3, 5, 5, 6, 1)),
    "lite4": chain_of_lite((1, 4, 4, 6, 6, 8, 1)),
}
PUBLISHED: dict[str, Any] = {
    **vgg.SIZES,
    **resnet.SIZES,
    **densenet.SIZES,
    **{size: efficientnet.sized(size) for size in efficientnet.SIZES if size.startswith("lite")},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_size_sees_what_the_table_of_its_paper_says(name: str) -> None:
    """At full width, without weights or pixels: ResNeXt and Wide ResNet see what the ResNet does."""
    plain = name.removesuffix("_bn").removeprefix("wide_").replace("resnext", "resnet")
    with torch.device("meta"):
        net = PUBLISHED[name].build().eval()
        field = receptive_field(lambda x: last_map(net, x), torch.empty(1, 3, 224, 224))
    size, stride = receptive_field_by_hand(CHAINS[plain])
    assert field.size == (size, size) and field.stride == (stride, stride)


def test_squeeze_and_excitation_sees_the_whole_picture() -> None:
    net = efficientnet.Config(width_factor=0.1).build().eval()
    field = receptive_field(lambda x: last_map(net, x), torch.zeros(1, 3, 64, 64))
    assert field.size == (math.inf, math.inf) and field.stride == (32, 32)


def test_squeeze_and_excitation_gives_the_corners_a_gradient() -> None:
    """The windows alone end far from the corners; the means of the channels do not."""
    sizes: dict[str, Any] = {
        "kernels": (3, 5), "strides": (1, 2), "expansions": (1, 6), "widths": (16, 24), "depths": (1, 1),
        "width_factor": 0.5, "top_width": 8,
    }  # fmt: skip
    corners = {}
    for lite in (True, False):
        net = efficientnet.Config(lite=lite, **sizes).build().double().eval()
        image = torch.randn(1, 3, 96, 96, dtype=torch.float64, requires_grad=True)
        middle = last_map(net, image)[0, :, 12, 12].sum()
        (slope,) = torch.autograd.grad(middle, image)
        corners[lite] = slope[0].abs().sum(dim=0)[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners[True] == 0).all() and (corners[False] > 0).all()


@pytest.mark.slow
def test_every_pixel_of_a_side_reaches_efficientnet() -> None:
    """B0, of few channels, on a side that is longer than the field of its windows."""
    windows, _ = receptive_field_by_hand(CHAINS["lite0"])
    net = efficientnet.Config(width_factor=0.1).build().eval()
    seen = receptive_field_by_gradient(net, torch.zeros(1, 3, 1000, 64), last_map)
    assert windows < 1000 and seen == (1000, 64)


def test_known_sizes() -> None:
    """195, 212 and 1311 (Araujo, Norris and Sim 2019, table 1; of the first two at the last pooling)."""
    for config, side, size in (
        (alexnet.Config(), 224, 195), (vgg.Config(), 224, 212), (inception.Config(), 299, 1311),
    ):  # fmt: skip
        with torch.device("meta"):
            net = config.build().eval()
            field = receptive_field(lambda x, net=net: last_map(net, x), torch.empty(1, 3, side, side))
        assert field.size == (size, size) and field.stride == (32, 32)


def test_rows_and_columns_are_apart_and_padding_moves_the_start() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, (3, 5), stride=(1, 2), padding=(1, 0)), nn.MaxPool2d((2, 1)))
    field = receptive_field(net, torch.zeros(1, 1, 20, 20))
    assert field == Field(size=(4.0, 5.0), stride=(2, 2), start=(-1.0, 0.0))
    padded = receptive_field(lambda x: F.avg_pool2d(F.pad(x, (2, 0, 3, 0)), 2), torch.zeros(1, 1, 8, 8))
    assert padded == Field(size=(2.0, 2.0), stride=(2, 2), start=(-3.0, -2.0))


def test_branches_count_with_their_widest() -> None:
    small, large = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 7, padding=3)
    image = torch.zeros(1, 1, 16, 16)
    assert receptive_field(lambda x: small(x) + large(small(x)), image).size == (9, 9)
    assert receptive_field(lambda x: torch.cat([x, small(x)], dim=1), image).size == (3, 3)


def test_by_hand_on_the_chain_of_a_paper() -> None:
    """AlexNet's convolutions and poolings, upwards."""
    chain = ((11, 4, 1), (3, 2, 1), (5, 1, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1))
    assert receptive_field_by_hand(chain) == (195, 32)


def test_what_cannot_be_said_is_refused() -> None:
    image = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ValueError, match=r"shape \(1, 64\); it must be a map"):
        receptive_field(lambda x: x.flatten(1), image)
    with pytest.raises(ValueError, match="SortBackward0 looks at"):
        receptive_field(lambda x: x.sort(dim=-1)[0], image)
    with pytest.raises(ValueError, match="must be a map"):
        receptive_field(lambda x: torch.ones(1, 1, 2, 2), image)
    weight = torch.ones(1, 1, 2, 2, requires_grad=True)
    with pytest.raises(ValueError, match="does not depend on the image"):
        receptive_field(lambda x: weight * 2, image)
