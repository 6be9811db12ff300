"""LeNet-5 against torch's own layers, and against the figures of the paper."""

from pathlib import Path

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import lenet
from fathom.errors import InputError


def oracle() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10),
    )  # fmt: skip


def pair() -> tuple[lenet.LeNet, nn.Sequential]:
    ours, theirs = lenet.Config().build(), oracle()
    for name, place in (("c1", 0), ("c3", 3), ("c5", 7), ("f6", 9), ("output", 11)):
        layer, other = getattr(ours, name), theirs[place]
        other.weight.data = layer.weight.data.reshape(other.weight.shape).clone()
        layer.bias.data.normal_(std=0.1)
        other.bias.data = layer.bias.data.clone()
    return ours, theirs


def test_logits_and_gradients_match_torch() -> None:
    ours, theirs = pair()
    image = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-5, atol=1e-5)
    for model in (ours, theirs):
        nn.functional.cross_entropy(model(image), torch.tensor([3, 1, 4, 1])).backward()
    torch.testing.assert_close(ours.c1.weight.grad, theirs[0].weight.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.c5.weight.grad.flatten(1), theirs[7].weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("sparse", "free"), [(False, 61_706), (True, 60_806)])
def test_number_of_parameters(sparse: bool, free: int) -> None:
    """Full C3: 61,706. Table I has 60 of the 96 connections: 36 * 25 weights fewer are free to move."""
    with torch.device("meta"):
        model = lenet.Config(sparse=sparse).build()
    count = sum(p.numel() for p in model.parameters())
    cut = 25 * (96 - sum(len(t) for t in lenet.TABLE_I)) if sparse else 0
    assert count - cut == free


def test_sparse_connections_stay_cut() -> None:
    model = lenet.Config(sparse=True).build()
    maps = torch.randn(1, 6, 14, 14)
    for output, chosen in enumerate(lenet.TABLE_I):
        changed = maps.clone()
        for other in set(range(6)) - set(chosen):
            changed[:, other] = torch.randn(14, 14)
        torch.testing.assert_close(model.c3(changed)[:, output], model.c3(maps)[:, output])
    dense = nn.functional.conv2d(maps, model.c3.weight, model.c3.bias)
    assert not torch.allclose(model.c3(maps), dense)


def test_shapes_of_figure_2() -> None:
    model = lenet.Config().build()
    x = model.s2(model.c1(torch.randn(1, 1, 28, 28)))
    assert x.shape == (1, 6, 14, 14)
    x = model.c3(x)
    assert x.shape == (1, 16, 10, 10)
    assert model.c5(model.s4(x)).shape == (1, 120, 1, 1)


def test_a_moved_stroke_moves_the_first_maps() -> None:
    model = lenet.Config().build()
    image = torch.zeros(1, 1, 28, 28)
    image[..., 10:14, 12] = 1
    moved = image.roll((3, 2), dims=(2, 3))
    torch.testing.assert_close(model.c1(moved), model.c1(image).roll((3, 2), dims=(2, 3)))


def test_weights_come_in_with_a_report(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = lenet.lenet5()
    save_file(source.state_dict(), tmp_path / "lenet.safetensors")
    same = lenet.lenet5(weights=tmp_path / "lenet.safetensors")
    assert torch.equal(same.output.weight, source.output.weight)
    tuned = lenet.lenet5(weights=source.state_dict(), classes=4)
    assert tuple(tuned.load_report.new) == ("output.weight", "output.bias")
    assert torch.equal(tuned.c5.weight, source.c5.weight)
    with pytest.raises(InputError, match=r"c1\.weight has shape"):
        lenet.lenet5(weights=source.state_dict(), channels=3)
    with pytest.raises(InputError, match="is not a plain state dict of tensors and was not read"):
        (tmp_path / "x.pth").write_bytes(b"0")
        lenet.lenet5(weights=tmp_path / "x.pth")


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="image_size is 30"):
        lenet.Config(image_size=30)
    with pytest.raises(ValueError, match="classes is 0"):
        lenet.Config(classes=0)
