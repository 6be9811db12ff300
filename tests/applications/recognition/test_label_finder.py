"""The label finder against its equations, place by place, and against torch's own layers."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.applications.recognition.label_finder import Config, EachLabel, LabelFinder, smooth_maximum

SMALL = Config(widths=(4, 6, 8), classes=5, channels=3, image_size=16, sharpness=1.5)


class Theirs(nn.Module):
    """Torch's own layers in the same order, pooled by the formula as it is written."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = cfg.channels
        for i, width in enumerate(cfg.widths, 1):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False)]
            layers += [nn.MaxPool2d(2)] if i < len(cfg.widths) else []
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(inputs, cfg.classes, 1))
        self.sharpness = cfg.sharpness

    def forward(self, image: Tensor) -> Tensor:
        return (self.layers(image) * self.sharpness).exp().mean(dim=(2, 3)).log() / self.sharpness


def test_three_steps_are_those_of_torchs_layers() -> None:
    ours, theirs = SMALL.build(), Theirs(SMALL)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.05) for net in (ours, theirs)]
    image, truth = torch.empty(0), (torch.rand(6, 5) < 0.4).float()
    for _ in range(3):
        image = torch.randn(6, 3, 16, 20)
        loss = EachLabel()(ours, (image, truth))[0], nn.BCEWithLogitsLoss()(theirs(image), truth)
        torch.testing.assert_close(loss[0], loss[1], rtol=1e-5, atol=1e-5)
        for optimizer, one in zip(optimizers, loss, strict=True):
            optimizer.zero_grad()
            one.backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert a.grad is not None and b.grad is not None
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4 * float(b.grad.abs().max()))
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    for net in (ours, theirs):
        net.eval()
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sharpness", [1e-4, 0.7, 4.0, 500.0])
def test_the_smooth_maximum_place_by_place(sharpness: float) -> None:
    maps = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    found = smooth_maximum(maps, sharpness)
    for b in range(2):
        for k in range(3):
            values = [float(v) for v in maps[b, k].detach().flatten()]
            high = max(values)
            slow = high + math.log(sum(math.exp(sharpness * (v - high)) for v in values) / 20) / sharpness
            assert float(found[b, k].detach()) == pytest.approx(slow, rel=1e-9, abs=1e-9)
            assert sum(values) / 20 - 1e-9 <= slow <= high + 1e-9
    (slope,) = torch.autograd.grad(found.sum(), maps)
    torch.testing.assert_close(slope, (maps * sharpness).flatten(2).softmax(dim=2).view_as(maps))
    assert torch.autograd.gradcheck(lambda m: smooth_maximum(m, min(sharpness, 4.0)), (maps,))


def test_the_loss_label_by_label() -> None:
    """Also of zeros and ones in whole numbers, and of scores no exponential can hold."""
    scores = torch.tensor([[200.0, -3.0], [-0.5, 0.0]], dtype=torch.float64)
    truth = torch.tensor([[1, 1], [0, 1]], dtype=torch.uint8)
    slow = [0.0, math.log1p(math.exp(3.0)), math.log1p(math.exp(-0.5)), math.log(2)]
    loss, metrics = EachLabel()(nn.Identity(), (scores, truth))
    assert float(loss) == pytest.approx(sum(slow) / 4)
    assert float(metrics["exact"]) == 0.0  # even odds are no yes
    assert EachLabel().count((scores, truth)) == 2


def test_maps_say_where_and_any_size_goes_in() -> None:
    model = SMALL.build().eval()
    image = torch.randn(1, 3, 24, 36)
    maps = model.maps(image)
    assert maps.shape == (1, 5, 6, 9) and SMALL.stride == 4
    torch.testing.assert_close(model(image), smooth_maximum(maps, 1.5))
    with pytest.raises(ValueError, match="image is 3x40 pixels; give 4 or more on a side"):
        model(torch.zeros(1, 3, 3, 40))


def test_it_starts_near_even_odds() -> None:
    model = Config().build()
    assert isinstance(model, LabelFinder)
    with torch.device("meta"):
        assert sum(p.numel() for p in Config().build().parameters()) == 61_050
    shares = model(torch.rand(64, 1, 56, 56)).detach().sigmoid()
    assert 0.05 < float(shares.min()) and float(shares.max()) < 0.98
    bent = F.binary_cross_entropy(shares, (torch.rand(64, 10) < 0.25).float())
    assert float(bent) < 1.5


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widths": ()}, "widths is"),
        ({"widths": (8, 0)}, "widths is"),
        ({"sharpness": 0.0}, "sharpness is 0.0; it must be positive"),
        ({"sharpness": math.inf}, "sharpness is inf"),
        ({"image_size": 7}, "image_size is 7; 4 stages need 8 or more"),
    ],
)
def test_wrong_sizes_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config(**settings)
