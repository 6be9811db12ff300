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


def test_every_convolutional_system_is_among_them() -> None:
    here = {
        n for n, e in catalog.systems().items() if e.module.startswith("fathom.architectures.convolutional")
    }
    covered = {module.__name__.split(".")[-1] for module in (
        alexnet, cifar_resnet, densenet, efficientnet, googlenet, inception, lenet, mnist, plain_cnn, resnet,
        vgg, whitened_cnn,
    )}  # fmt: skip
    assert here == covered


def test_squeeze_and_excitation_sees_the_whole_picture() -> None:
    net = efficientnet.Config(width_factor=0.1).build().eval()
    field = receptive_field(lambda x: last_map(net, x), torch.zeros(1, 3, 64, 64))
    assert field.size == (math.inf, math.inf) and field.stride == (32, 32)


def test_known_sizes() -> None:
    """AlexNet 195 and VGG-16 212 (Araujo, Norris and Sim 2019, table 1; at the last pooling)."""
    for config, size, stride in ((alexnet.Config(), 195, 32), (vgg.Config(), 212, 32)):
        net = config.build().eval()
        field = receptive_field(lambda x, net=net: net.body(x), torch.zeros(1, 3, 224, 224))
        assert field.size == (size, size) and field.stride == (stride, stride)


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
