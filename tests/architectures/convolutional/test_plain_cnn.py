"""The plain network against torch's own layers in the same order, and against its equation by loops."""

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional.plain_cnn import Config, PlainNet, Stage

SMALL = Config(widths=(4, 6, 8), classes=5, image_size=16)


def oracle(cfg: Config) -> nn.Sequential:
    """The same net in the order in which it is usually written: ReLU before pooling."""
    layers: list[nn.Module] = []
    inputs = cfg.channels
    for width in cfg.widths:
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * cfg.side**2, cfg.classes))


def pair(cfg: Config) -> tuple[PlainNet, nn.Sequential]:
    ours, theirs = cfg.build(), oracle(cfg)
    for bias in (p for p in ours.parameters() if p.ndim == 1):
        bias.data.normal_(0, 0.1)  # away from zeros, where mistakes hide
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    return ours, theirs


@pytest.mark.parametrize("cfg", [SMALL, Config(), Config(widths=(3, 4, 5), channels=1, image_size=29)])
def test_logits_and_gradients_of_three_steps_are_torchs(cfg: Config) -> None:
    ours, theirs = pair(cfg)
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.01) for net in (ours, theirs)]
    target = torch.tensor([3, 1, 4, 0])
    for _ in range(3):
        image = torch.randn(4, cfg.channels, cfg.image_size, cfg.image_size)
        logits = [net(image) for net in (ours, theirs)]
        torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
        for optimizer, out in zip(optimizers, logits, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(out, target).backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert a.grad is not None and b.grad is not None
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4 * float(b.grad.abs().max()))
        for optimizer in optimizers:
            optimizer.step()


def test_a_stage_place_by_place() -> None:
    """The largest of four sums of products, and zero, in float64."""
    stage = Stage(3, 2).double()
    convolution = stage.convolution
    assert convolution.bias is not None
    convolution.bias.data.normal_()
    image = torch.randn(1, 3, 6, 8, dtype=torch.float64)
    padded = nn.functional.pad(image, (1, 1, 1, 1))
    slow = torch.zeros(1, 2, 3, 4, dtype=torch.float64)
    for m in range(2):
        for row in range(6):
            for column in range(8):
                window = padded[0, :, row : row + 3, column : column + 3]
                value = (window * convolution.weight[m]).sum() + convolution.bias[m]
                place = 0, m, row // 2, column // 2
                slow[place] = max(slow[place], value)
    torch.testing.assert_close(stage(image), slow, rtol=1e-12, atol=1e-12)


def test_sizes_and_features() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in Config().build().parameters()) == 274_562
    model = SMALL.build()
    found = model.features(torch.randn(2, 3, 16, 16))
    assert {n: m.shape[1] for n, m in found.items()} == SMALL.feature_channels
    assert [tuple(m.shape[2:]) for m in found.values()] == [(8, 8), (4, 4), (2, 2)]


def test_receptive_field_is_that_of_the_kernels_and_poolings() -> None:
    """Of stride s before it a 3x3 kernel adds 2s and a pooling s: 2+1, 4+2, 8+4 beside the one pixel."""
    model = Config(widths=(2, 2, 2), image_size=64).build().double()
    for parameter in model.parameters():
        parameter.data.fill_(1.0)  # no unit is shut
    image = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    reached = torch.zeros(64, dtype=torch.bool)
    for _ in range(40):  # a maximum passes its slope to one pixel of four
        image.data.uniform_()
        (slope,) = torch.autograd.grad(model.features(image)["stage_3"][0, 0, 4, 4], image)
        reached |= (slope != 0).any(dim=3).any(dim=1)[0]
    assert int(reached.sum()) == 1 + 3 + 6 + 12


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"widths": (8, 8)}, r"widths is \(8, 8\); it must name 1 or more maps for each of 3 layers"),
        ({"widths": (8, 0, 8)}, "widths is"),
        ({"image_size": 7}, "image_size is 7; 3 poolings leave nothing of less than 8"),
        ({"classes": 0}, "classes is 0"),
    ],
)
def test_wrong_sizes_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Config(**settings)  # type: ignore[arg-type]


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="image is 32x24 pixels; this model was built for 16x16"):
        SMALL.build()(torch.zeros(1, 3, 32, 24))
