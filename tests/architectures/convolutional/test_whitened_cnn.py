"""The whitened network: its stem against numpy and scikit-learn, its body against torch's own layers."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fathom.architectures.convolutional.whitened_cnn import (
    SCALE,
    SMOOTH,
    Config,
    WhitenedCNN,
    Whitening,
    whitening,
)

SMALL = Config(widths=(10, 12), classes=5, image_size=16)


def pictures(count: int = 6, channels: int = 3, side: int = 16) -> Tensor:
    """Neighbouring pixels and channels are alike, as in photographs."""
    rough = torch.randn(count, channels, side + 4, side + 4)
    smooth = nn.functional.avg_pool2d(rough, 5, stride=1)
    return smooth + 0.5 * smooth.mean(1, keepdim=True)


def patches(image: Tensor, patch: int) -> np.ndarray:
    """All patches (count, numbers), in float64, by loops."""
    rows, columns = (side - patch + 1 for side in image.shape[-2:])
    found = [
        picture[:, r : r + patch, c : c + patch].reshape(-1).double().numpy()
        for picture in image
        for r in range(rows)
        for c in range(columns)
    ]
    return np.stack(found)


@pytest.mark.parametrize(("channels", "patch"), [(3, 2), (1, 3), (2, 1)])
def test_filters_make_patches_white(channels: int, patch: int) -> None:
    """Where pictures vary much more than the smoothing, their covariance behind the filters is one."""
    image = 30 * pictures(channels=channels)
    numbers = channels * patch**2
    filters = whitening(image, patch).reshape(numbers, numbers).double().numpy()
    known = patches(image, patch)
    white = (known - known.mean(0)) @ filters.T
    assert np.abs(white.T @ white / len(white) - np.eye(numbers)).max() < 1e-2
    sizes = np.linalg.norm(filters, axis=1)
    assert (np.diff(sizes) >= 0).all()  # the loudest direction, damped most, stands first


def test_filters_are_scikit_learns_principal_components() -> None:
    from sklearn.decomposition import PCA

    image = pictures(count=20)
    known = patches(image, 2)
    theirs = PCA().fit(known)
    assert theirs.explained_variance_ is not None
    variances = theirs.explained_variance_ * (len(known) - 1) / len(known)
    expected = theirs.components_ / np.sqrt(variances + SMOOTH)[:, None]
    ours = whitening(image, 2).reshape(12, 12).double().numpy()
    signs = np.sign((ours * expected).sum(1, keepdims=True))  # of a direction either end is as good
    np.testing.assert_allclose(ours, signs * expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_the_first_batch_in_training_decides_and_no_other() -> None:
    stem = Whitening(3, 2)
    start = stem.filters.clone()
    first, second = pictures(), pictures()
    stem.eval()(first)
    assert torch.equal(stem.filters, start) and not stem.decided  # looking decides nothing
    stem.train()(first)
    kept = stem.filters.clone()
    assert torch.equal(kept[:12], whitening(first, 2)) and torch.equal(kept[12:], -kept[:12])
    stem(second)
    assert torch.equal(stem.filters, kept) and stem.decided
    again = Whitening(3, 2)
    again.load_state_dict(stem.state_dict())
    again.train()(second)
    assert torch.equal(again.filters, kept)  # what was resumed is not decided anew


def oracle(cfg: Config) -> nn.Sequential:
    """All behind the stem, written as a chain; the logits of it are not yet divided."""
    layers: list[nn.Module] = []
    inputs = 2 * cfg.channels * cfg.patch**2
    for width in cfg.widths:
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.MaxPool2d(2),
            nn.BatchNorm2d(width), nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.GELU(),
        ]  # fmt: skip
        inputs = width
    return nn.Sequential(
        *layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(inputs, cfg.classes, bias=False)
    )


def test_three_steps_of_training_are_those_of_torchs_layers() -> None:
    """Logits, gradients, statistics; then in use."""
    ours = SMALL.build()
    for vector in (p for p in ours.parameters() if p.ndim == 1):
        vector.data.add_(torch.randn_like(vector) * 0.2)
    theirs: Any = oracle(SMALL)
    body = {n: t for n, t in ours.state_dict().items() if not n.startswith("stem.")}
    theirs.load_state_dict(dict(zip(theirs.state_dict(), body.values(), strict=True)))
    bias = copy.deepcopy(ours.stem.bias)

    def answer(image: Tensor) -> Tensor:
        stem = nn.functional.conv2d(image, ours.stem.filters, bias)
        return theirs(nn.functional.gelu(stem)) / 9

    image, target = torch.empty(0), torch.tensor([3, 1, 4, 1, 0, 2])
    optimizers = [
        torch.optim.SGD(list(parameters), lr=0.05)
        for parameters in (ours.parameters(), [bias, *theirs.parameters()])
    ]
    for _ in range(3):
        image = pictures()
        logits = [ours(image), answer(image)]
        torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-5)
        for optimizer, out in zip(optimizers, logits, strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(out, target).backward()
        for a, b in zip(ours.parameters(), [bias, *theirs.parameters()], strict=True):
            assert a.grad is not None and b.grad is not None
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-4 * float(b.grad.abs().max()))
        for optimizer in optimizers:
            optimizer.step()
    statistics = [
        [t for n, t in net.state_dict().items() if n.endswith(("running_mean", "running_var"))]
        for net in (ours, theirs)
    ]
    for a, b in zip(*statistics, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    for net in (ours, theirs):
        net.eval()
    torch.testing.assert_close(ours(image), answer(image), rtol=1e-5, atol=1e-5)


def test_convolutions_begin_as_the_identity_on_their_first_maps() -> None:
    group: Any = SMALL.build().groups[1]  # 10 channels to 12
    x = torch.randn(2, 10, 8, 8)
    torch.testing.assert_close(group.convolution_1(x)[:, :10], x)
    y = torch.randn(2, 12, 4, 4)
    torch.testing.assert_close(group.convolution_2(y), y)
    narrow: Any = Config(widths=(4,), image_size=16).build().groups[0]  # 24 channels to 4
    z = torch.randn(2, 24, 8, 8)
    torch.testing.assert_close(narrow.convolution_1(z), z[:, :4])


def test_sizes_and_features() -> None:
    with torch.device("meta"):
        model = Config().build()
    body = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 3 * 256 * 256)
    assert sum(p.numel() for p in model.parameters()) == 24 + body + 2 * 2 * (64 + 256 + 256) + 256 * 10
    small = SMALL.build().eval()
    image = pictures()
    found = small.features(image)
    assert {n: m.shape[1] for n, m in found.items()} == SMALL.feature_channels
    assert [tuple(m.shape[2:]) for m in found.values()] == [(15, 15), (7, 7), (3, 3)]
    torch.testing.assert_close(small(image), small.head(found["group_2"].amax((2, 3))) * SCALE)


def test_bad_sizes() -> None:
    for values, message in (
        ({"widths": ()}, r"widths is \(\); it must name 1 or more channels for each group"),
        ({"widths": (8, 0)}, r"widths is \(8, 0\)"),
        ({"patch": 0}, "patch is 0; it must be 1 or more"),
        ({"image_size": 8}, "image_size is 8; 3 groups take 9 pixels or more on a side"),
    ):
        with pytest.raises(ValueError, match=message):
            Config(**values)  # type: ignore[arg-type]
    model: WhitenedCNN = SMALL.build()
    assert model.eval()(torch.zeros(1, 3, 5, 40)).shape == (1, 5)
    with pytest.raises(ValueError, match="image is 4x40 pixels; 2 groups take 5 pixels or more"):
        model(torch.zeros(1, 3, 4, 40))


def test_the_mean_over_a_picture_and_its_mirror_image_once_it_has_learned() -> None:
    plain = SMALL.build()
    plain.train()(pictures())
    both = replace(SMALL, mirrored=True).build()
    both.load_state_dict(plain.state_dict())
    image = pictures()
    assert torch.equal(both.train()(image), plain.train()(image))
    plain.eval()
    both.load_state_dict(plain.state_dict())
    wanted = (plain(image) + plain(image.flip(3))) / 2
    torch.testing.assert_close(both.eval()(image), wanted)
    torch.testing.assert_close(both(image.flip(3)), wanted)
