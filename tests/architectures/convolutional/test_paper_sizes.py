"""The numbers of parameters that the papers state, against ours, without memory for them."""

import pytest
import torch
from tests.architectures.convolutional.upstream import parameters
from torch import nn

from fathom.architectures.convolutional import alexnet, efficientnet, resnet


def weights(net: nn.Module) -> int:
    """Of convolutions and dense layers, without biases and normalisation."""
    return sum(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear))


def statistics(net: nn.Module) -> int:
    """Running means and variances of normalisation."""
    return sum(b.numel() for name, b in net.named_buffers() if name.endswith(("_mean", "_var")))


def test_alexnet_has_60_million_to_the_nearest_ten() -> None:
    """The abstract of 2012: the two towers have 60.97 million, our single one has 0.2 percent more."""
    count = parameters(alexnet.alexnet)
    assert round(count, -7) == 60_000_000
    assert round(count / 1e6, 1) == 61.1


@pytest.mark.parametrize(("name", "millions"), [("resnet50", 25.5), ("resnext50", 25.0)])
def test_resnext_of_table_1(name: str, millions: float) -> None:
    """Xie et al. 2017. Their 25.5 is what ResNet-50 has without normalisation; with it there are 25.6."""
    with torch.device("meta"):
        net = getattr(resnet, name)()
    assert round(weights(net) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet18", 11.7), ("resnet34", 21.8),  # table 7, width 1.0
        ("resnet50", 25.6), ("resnet101", 44.5), ("resnet152", 60.2), ("wide_resnet50", 68.9),  # table 8
    ],
)  # fmt: skip
def test_wide_resnet_of_tables_7_and_8(name: str, millions: float) -> None:
    """Zagoruyko and Komodakis 2016, on ImageNet."""
    assert round(parameters(getattr(resnet, name)) / 1e6, 1) == millions


# Table 2 of Tan and Le 2019. B2, which there has 9.2 million, is below.
EFFICIENTNET = {"b0": 5.3, "b1": 7.8, "b3": 12, "b4": 19, "b5": 30, "b6": 43, "b7": 66}


@pytest.mark.parametrize("size", EFFICIENTNET)
def test_efficientnet_of_table_2(size: str) -> None:
    digits = 1 if EFFICIENTNET[size] < 10 else 0
    count = parameters(lambda: efficientnet.sized(size).build())
    assert round(count / 1e6, digits) == EFFICIENTNET[size]


def test_b2_has_the_9_2_million_of_table_2_with_its_running_statistics() -> None:
    """Of parameters it has 9.1 million, as in torchvision and timm; the other sizes fit without."""
    with torch.device("meta"):
        net = efficientnet.sized("b2").build()
    count = parameters(lambda: net)
    assert round(count / 1e6, 1) == 9.1 and round((count + statistics(net)) / 1e6, 1) == 9.2
