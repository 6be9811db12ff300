"""Ten faults, planted one at a time: each is found in the layer where it is, with its cause."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.architectures.convolutional import resnet
from fathom.training.weights import load_weights
from fathom.verbs.layerwise import Difference, first_difference

TABLE = resnet.UPSTREAMS["torchvision"]
SMALL = resnet.Config(depths=(1, 1, 1, 1), block="bottleneck", classes=10)


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """A bottleneck ResNet here and in torchvision, with the same random weights and statistics."""
    from torchvision.models.resnet import Bottleneck, ResNet

    torch.manual_seed(100)
    theirs = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=10)
    with torch.no_grad():
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
    ours = SMALL.build()
    load_weights(ours, theirs.state_dict(), head=(), upstreams={"torchvision": TABLE})
    return ours, theirs


def epsilon(net: Any) -> None:
    net.body.stage_2[0].norm_2.eps = 1.1e-5


def momentum(net: Any) -> None:
    net.body.stage_3[0].norm_1.momentum = 0.01


def padding(net: Any) -> None:
    net.body.stage_1[0].convolution_2.padding = (0, 0)  # and the sum that follows does not fit any more


def kind_of_padding(net: Any) -> None:
    old = net.body.stage_1[0].convolution_2
    new = nn.Conv2d(64, 64, 3, padding=1, bias=False, padding_mode="reflect")
    new.load_state_dict(old.state_dict())
    net.body.stage_1[0].convolution_2 = new


def transposed_weight(net: Any) -> None:
    weight = net.body.stage_4[0].convolution_2.weight
    weight.data = weight.data.transpose(0, 1).contiguous()


def channels_of_weight(net: Any) -> None:
    weight = net.body.stem.convolution.weight
    weight.data = weight.data.flip(1)


def channels_of_picture(net: Any) -> None:
    net.register_forward_pre_hook(lambda module, given: (given[0].flip(1),))


def activation(net: Any) -> None:
    net.body.stem.relu = nn.ReLU6()
    net.body.stem.norm.weight.data.mul_(4)  # so that some values pass 6


def missing_bias(net: Any) -> None:
    net.head.bias = None


def stride_position(net: Any) -> None:
    block = net.body.stage_2[0]
    block.convolution_1.stride, block.convolution_2.stride = (2, 2), (1, 1)


FAULTS: list[tuple[Callable[[Any], None], str, str]] = [
    (epsilon, "body.stage_2.0.norm_2", "epsilon: 1.1e-05 here, 1e-05 there"),
    (momentum, "body.stage_3.0.norm_1", "momentum: 0.01 here, 0.1 there"),
    (padding, "body.stage_1.0.convolution_2", "padding: 0 here, 1 there"),
    (kind_of_padding, "body.stage_1.0.convolution_2", "kind of padding: reflect here, zeros there"),
    (transposed_weight, "body.stage_4.0.convolution_2", "weight is transposed"),
    (channels_of_weight, "body.stem.convolution", "weight has the channels in reverse order (RGB for BGR)"),
    (channels_of_picture, "body.stem.convolution", "it is given the channels in reverse order (RGB for BGR)"),
    (missing_bias, "head", "bias is missing here"),
    (stride_position, "body.stage_2.0.convolution_1", "stride: 2 here, 1 there"),
]


@pytest.mark.parametrize(("plant", "layer", "cause"), FAULTS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_planted_fault_is_found_in_its_layer(
    pair: tuple[nn.Module, nn.Module], plant: Callable[[Any], None], layer: str, cause: str
) -> None:
    ours, theirs = copy.deepcopy(pair[0]), pair[1]
    plant(ours)
    found = compared(ours, theirs)
    assert found is not None and (found.layer, found.cause) == (layer, cause)
    assert found.outputs > 0 and found.training == (plant is momentum)


def test_another_activation_is_found_where_it_stands(pair: tuple[nn.Module, nn.Module]) -> None:
    """It has no weights, so that the weight map does not name it."""
    ours, theirs = copy.deepcopy(pair[0]), copy.deepcopy(pair[1])
    activation(ours)
    theirs.bn1.weight.data.mul_(4)  # type: ignore[union-attr, operator]
    found = compared(ours, theirs)
    assert found is not None and (found.layer, found.theirs) == ("body.stem.relu", "relu")
    assert found.cause == "activation: ReLU6 here, ReLU there" and found.inputs < 1e-12


class Resizing(nn.Module):
    """A picture made larger by one layer and averaged by the next, between two convolutions."""

    def __init__(self, larger: nn.Module, average: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.larger, self.average = larger, average
        self.second = nn.Conv2d(4, 2, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.second(self.average(self.larger(self.first(image))))


def bilinear(align: bool) -> nn.Module:
    return nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=align)


@pytest.mark.parametrize(
    ("ours", "layer", "cause"),
    [
        ((bilinear(True), nn.AvgPool2d(3, 2, 1)), "larger", "align corners: True here, False there"),
        (
            (bilinear(False), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
            "average",
            "count of the average (are padded places counted?): False here, True there",
        ),
    ],
    ids=["align corners", "average count"],
)
def test_a_fault_of_a_layer_without_weights_is_found(
    ours: tuple[nn.Module, nn.Module], layer: str, cause: str
) -> None:
    theirs = Resizing(bilinear(False), nn.AvgPool2d(3, 2, 1))
    other = Resizing(*ours)
    other.load_state_dict(theirs.state_dict())
    found = first_difference(other, theirs, {"first": "first", "second": "second"}, torch.randn(2, 3, 8, 8))
    assert found is not None and (found.layer, found.theirs, found.cause) == (layer, layer, cause)
    assert f"the first layer that differs is {layer} (there {layer})" in str(found)


def compared(ours: nn.Module, theirs: nn.Module) -> Difference | None:
    return first_difference(ours, theirs, TABLE, torch.randn(2, 3, 64, 64))


def test_equal_networks_have_no_difference_and_stay_as_they_are(pair: tuple[nn.Module, nn.Module]) -> None:
    ours, theirs = pair
    before = {n: t.clone() for n, t in theirs.state_dict().items()}
    assert compared(ours, theirs) is None
    assert theirs.training and theirs.fc.weight.dtype == torch.float32  # type: ignore[union-attr]
    assert all(torch.equal(t, before[n]) for n, t in theirs.state_dict().items())


class NormAndActivation(nn.BatchNorm2d):
    """As timm has them: one layer by name, with an activation inside."""

    def __init__(self, channels: int, activation: nn.Module) -> None:
        super().__init__(channels)
        self.act = activation

    def forward(self, input: Tensor) -> Tensor:
        return self.act(super().forward(input))


def test_an_activation_inside_a_normalisation_is_told_apart_from_it() -> None:
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
    theirs = nn.Sequential(
        nn.Conv2d(3, 4, 3), NormAndActivation(4, nn.ReLU(inplace=True)), nn.Conv2d(4, 2, 3)
    )
    table = {"0": "0", "1": "1", "2": "3"}
    load_weights(ours, theirs.state_dict(), head=(), upstreams={"theirs": table})
    image = torch.randn(2, 3, 8, 8)
    assert first_difference(ours, theirs, table, image) is None
    ours[2] = nn.ELU()
    found = first_difference(ours, theirs, table, image)
    assert found is not None and (found.layer, found.theirs) == ("2", "1.act")
    assert found.cause == "activation: ELU here, ReLU there"
    ours[1].eps = 1e-3
    found = first_difference(ours, theirs, table, image)
    assert found is not None and (found.layer, found.cause) == ("1", "epsilon: 0.001 here, 1e-05 there")


class Sequence(nn.Module):
    """Two dense layers, with code of one's own between and behind them."""

    def __init__(self, between: Callable[[Tensor], Tensor], behind: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(101)
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.between, self.behind = between, behind

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.b(self.between(self.a(x))))


@pytest.mark.parametrize(
    ("between", "behind", "layer", "cause"),
    [
        (
            torch.relu,
            torch.tanh,
            "b",
            "what comes before it: no layer here, no layer there, and what is computed",
        ),
        (torch.tanh, torch.relu, "the output", "what follows b: no layer here"),
    ],
)
def test_code_without_layers_is_told_by_its_neighbours(
    between: Any, behind: Any, layer: str, cause: str
) -> None:
    ours, theirs = Sequence(between, behind), Sequence(torch.tanh, torch.tanh)
    found = first_difference(ours, theirs, {"a": "a", "b": "b"}, torch.randn(3, 4))
    assert found is not None and found.layer == layer and found.cause.startswith(cause)


class Skips(nn.Module):
    """Two dense layers, of which the second may be left out."""

    def __init__(self, whole: bool) -> None:
        super().__init__()
        self.a, self.b, self.whole = nn.Linear(4, 4), nn.Linear(4, 4), whole

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x)) if self.whole else self.a(x)


def test_a_layer_that_is_left_out_is_named() -> None:
    theirs = Skips(whole=True)
    ours = Skips(whole=False)
    ours.load_state_dict(theirs.state_dict())
    found = first_difference(ours, theirs, {"a": "a", "b": "b"}, torch.randn(3, 4))
    assert found is not None and found.layer == "b" and found.cause.startswith("the layer is not used here")


def test_a_picture_that_does_not_fit_is_said(pair: tuple[nn.Module, nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"ResNet does not take an image of \(2, 5, 64, 64\)"):
        first_difference(*pair, TABLE, torch.randn(2, 5, 64, 64))
