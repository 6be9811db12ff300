"""The network for digits against torch's own layers in the same order."""

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import mnist


def oracle() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 24, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Conv2d(24, 48, 3, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(48), nn.ReLU(),
        nn.Conv2d(48, 64, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.Conv2d(64, 96, 3, bias=False), nn.BatchNorm2d(96), nn.ReLU(),
        nn.Flatten(), nn.Linear(384, 10),
    )  # fmt: skip


def pair() -> tuple[mnist.DigitNet, nn.Sequential]:
    ours, theirs = mnist.Config().build(), oracle()
    state = dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True))
    theirs.load_state_dict(state)  # the same tensors stand in the same order
    return ours, theirs


def test_logits_gradients_and_statistics_match_torch() -> None:
    ours, theirs = pair()
    target = torch.tensor([3, 1, 4, 1, 5])
    for _ in range(3):
        image = torch.randn(5, 1, 28, 28)
        losses = [nn.functional.cross_entropy(net(image), target) for net in (ours, theirs)]
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5)
    for loss in losses:
        loss.backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-5, atol=1e-5)


def test_number_of_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in mnist.Config().build().parameters()) == 98_226


@pytest.mark.parametrize("size", [28, 29, 32, 36, 64, 97, 224])
def test_larger_pictures_and_colours(size: int) -> None:
    model = mnist.Config(image_size=size, channels=3, classes=4, width=6).build()
    assert model(torch.randn(2, 3, size, size)).shape == (2, 4)
    assert model.head.in_features <= 24 * 9


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size is 27"):
        mnist.Config(image_size=27)
    with pytest.raises(ValueError, match="width is 20"):
        mnist.Config(width=20)
