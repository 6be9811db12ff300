"""Grad-CAM against captum's, on networks of this library and in place operations, and what it refuses."""

from typing import Any

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from fathom.architectures.convolutional import googlenet, resnet, vgg
from fathom.fundamentals.explanation.grad_cam import grad_cam, last_maps

CONFIGS = {
    "resnet": resnet.Config(depths=(1, 1), width=8, stem="3x3", classes=4, image_size=16),
    "vgg": vgg.Config(depths=(1, 1), width=8, norm=True, hidden=16, grid=2, classes=4, image_size=16),
    "googlenet": googlenet.Config(stem="3x3", classes=4, image_size=32, auxiliary=()),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("frozen", [False, True])
def test_it_is_that_of_captum(name: str, frozen: bool) -> None:
    model = CONFIGS[name].build().eval().double().requires_grad_(not frozen)
    side = CONFIGS[name].image_size
    pictures, classes = torch.randn(3, 3, side, side, dtype=torch.float64), torch.tensor([3, 0, 2])
    found = last_maps(model, pictures[:1])
    assert found is not None
    layer = model.get_submodule(found)
    ours = grad_cam(model, pictures, classes, layer)
    theirs: Any = LayerGradCam(model, layer).attribute(
        pictures.requires_grad_(), target=classes.tolist(), relu_attributions=True
    )
    assert ours.shape == (3, *theirs.shape[2:]) and float(ours.max()) > 0
    torch.testing.assert_close(ours, theirs[:, 0].detach(), rtol=0, atol=1e-10)
    assert all(p.grad is None for p in model.parameters())


def test_what_comes_after_may_work_in_place() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(18, 2))
    outside = nn.Sequential(model[0], nn.ReLU(), model[2], model[3])
    picture, classes = torch.randn(1, 1, 5, 5), torch.tensor([1])
    torch.testing.assert_close(
        grad_cam(model, picture, classes, model[0]), grad_cam(outside, picture, classes, outside[0])
    )


def test_the_last_maps_of_some_extent_are_found() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(2), nn.ReLU(), nn.AvgPool2d(2), nn.AvgPool2d(2)
    )
    picture = torch.zeros(1, 1, 8, 8)
    assert [last_maps(model, picture, places) for places in (1, 2, 5, 17, 65)] == ["4", "3", "2", "0", None]


def test_a_network_without_places_has_no_maps() -> None:
    assert last_maps(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(1, 1, 2, 2)) is None


NET = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 2))
PICTURE = torch.zeros(1, 1, 2, 2)


@pytest.mark.parametrize(
    ("layer", "classes", "said"),
    [
        (NET[2], [0], r"layer gives the shape \(1, 2\)"),
        (nn.Conv2d(1, 1, 1), [0], "layer was not run"),
        (NET[0], [2], r"classes are \[2\]; they must be in \[0, 1\]"),
        (NET[0], [-1], r"classes are \[-1\]"),
        (NET[0], [0, 1], r"classes \(2,\)"),
    ],
)
def test_what_is_refused(layer: nn.Module, classes: list[int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        grad_cam(NET, PICTURE, torch.tensor(classes), layer)
    assert not NET[0]._forward_hooks
