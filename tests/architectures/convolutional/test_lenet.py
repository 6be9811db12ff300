"""LeNet-5 against torch's own layers, and against the figures of the paper."""

import json
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


def test_the_weights_that_the_package_carries_read_digits() -> None:
    """Their hash and what they get right of the 10,000 test digits are what the table says."""
    from fathom.data.digits import Digits
    from fathom.data.places import hash_of
    from fathom.recipes.lenet import DIGITS
    from fathom.task import Boundary

    facts = lenet.WEIGHTS["lenet5"]["MNIST"]
    folder = Path(lenet.__file__).parents[2] / "data" / "embedded" / "weights"
    assert hash_of(folder / facts["file"]) == facts["sha256"]
    model = lenet.lenet5("MNIST")
    test = Digits().load().test
    assert test is not None and len(test) == 10_000
    found = DIGITS.evaluate(Boundary(DIGITS, model.eval()), test).metrics["accuracy"]
    assert round(100 * found, 2) == facts["accuracy"]["top-1"] > 99
    how = facts["preprocessing"]
    assert (how["mean"], how["deviation"], how["ink"]) == (DIGITS.mean, DIGITS.deviation, DIGITS.ink)


def test_with_other_classes_the_carried_weights_get_a_new_head() -> None:
    known, model = lenet.lenet5("MNIST"), lenet.lenet5("MNIST", classes=3)
    assert torch.equal(model.c3.weight, known.c3.weight) and model.output.weight.shape == (3, 84)
    with pytest.raises(InputError, match=r"EMNIST.*MNIST"):
        lenet.lenet5("EMNIST")


def test_fit_begins_from_the_carried_weights_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digits drawn dark on light, as on paper: they are brought to the form that the weights know."""
    from PIL import Image

    import fathom
    from fathom.data.digits import Digits

    monkeypatch.delenv("FATHOM_DATA", raising=False)
    image, label = Digits().load().train.rows(torch.arange(400))
    for digit in (3, 8):
        (tmp_path / "digits" / str(digit)).mkdir(parents=True)
        for i, one in enumerate(image[label == digit][:20]):
            paper = 255 - one.reshape(28, 28).numpy()
            Image.fromarray(paper).save(tmp_path / "digits" / str(digit) / f"{i}.png")
    run = fathom.fit(
        tmp_path / "digits", start="lenet5", settings=[("steps", "80")], export=False, out=tmp_path / "run"
    )
    task = json.loads((run.model / "artifact.json").read_text(encoding="utf-8"))["task"]["settings"]
    assert (task["ink"], task["mean"]) == ("light", [0.1307])
    assert set(run.load_report.new) == {"output.weight", "output.bias"}
    assert run.metrics["valid/accuracy"] > 0.8
