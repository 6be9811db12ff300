"""The least side of a picture: what the files say of it is what their networks take, measured one by one."""

from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import (
    alexnet,
    cifar_resnet,
    densenet,
    efficientnet,
    googlenet,
    inception,
    lenet,
    plain_cnn,
    resnet,
    vgg,
)

SAID = {
    "alexnet": (alexnet.Config(classes=2), 63),
    "alexnet, 3x3": (alexnet.Config(classes=2, stem="3x3"), 15),
    "densenet": (densenet.Config(depths=(1, 1, 1, 1), classes=2), 29),
    "densenet, 3x3": (densenet.Config(depths=(1, 1), stem="3x3", classes=2), 2),
    "googlenet": (googlenet.Config(auxiliary=(), classes=2), 15),
    "googlenet, 3x3": (googlenet.Config(auxiliary=(), stem="3x3", classes=2), 2),
    "vgg": (vgg.Config(depths=(1, 1, 1, 1, 1), classes=2), 32),
    "vgg, 2 stages": (vgg.Config(depths=(1, 1), classes=2), 4),
}
ANY = {
    "cifar_resnet": cifar_resnet.Config(depth=8),
    "efficientnet": efficientnet.Config(classes=2),
    "efficientnet, lite": efficientnet.Config(lite=True, padding="same", classes=2),
    "resnet": resnet.Config(classes=2),
    "resnet, 3x3": resnet.Config(stem="3x3", classes=2),
}


def shaped(cfg: Any) -> nn.Module:
    """The network without memory for its numbers, as it is used."""
    with torch.device("meta"):
        return cfg.build().eval()


def picture(height: int, width: int) -> torch.Tensor:
    return torch.empty(1, 3, height, width, device="meta")


@pytest.mark.parametrize("name", SAID)
def test_a_pixel_less_than_the_least_side_leaves_nothing(name: str) -> None:
    """The layers themselves fail there, and only there; the network says so in their place."""
    cfg, least = SAID[name]
    model: Any = shaped(cfg)
    assert cfg.least_size == least
    assert model(picture(least, least + 40)).shape == (1, 2)
    for height, width in ((least - 1, least + 40), (least + 40, least - 1)):
        with pytest.raises(RuntimeError):
            model.body(picture(height, width))
        with pytest.raises(ValueError, match=f"image is {height}x{width} .*{least} pixels or more on a side"):
            model(picture(height, width))


@pytest.mark.parametrize("name", ANY)
def test_where_every_layer_rounds_up_one_pixel_is_enough(name: str) -> None:
    model = shaped(ANY[name])
    assert model(picture(1, 1)).shape == (1, ANY[name].classes)


def test_inception_takes_75_pixels() -> None:
    model = shaped(inception.Config(auxiliary=False, classes=2))
    assert model(picture(75, 75)).shape == (1, 2)
    with pytest.raises(RuntimeError):
        model.body(picture(74, 75))
    with pytest.raises(ValueError, match="image is 74x75 pixels; an Inception v3"):
        model(picture(74, 75))


def test_networks_of_one_size_refuse_to_be_built_for_less() -> None:
    with pytest.raises(ValueError, match="image_size is 7; 3 poolings leave nothing of less than 8"):
        plain_cnn.Config(image_size=7)
    with pytest.raises(ValueError, match="image_size is 8; it must be a multiple of 4, 12 or more"):
        lenet.Config(image_size=8)
    with pytest.raises(ValueError, match="image is 7x32 pixels; this model was built for 32x32"):
        shaped(plain_cnn.Config())(picture(7, 32))
