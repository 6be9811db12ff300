"""DenseNet against torchvision and timm, the counts of the paper, and recomputing that changes no bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tests.architectures.convolutional.upstream import (
    assert_bijection,
    assert_equal,
    close,
    parameters,
    randomized,
)
from torch import nn

from fathom.architectures.convolutional import densenet
from fathom.architectures.convolutional.densenet import UPSTREAMS, Config, DenseNet, Layer, Transition
from fathom.errors import InputError
from fathom.fundamentals.initialization.pretrained import LoadReport
from fathom.training.weights import load_weights

NAMES = UPSTREAMS["torchvision"]
# Name here, in torchvision and in timm; parameters; layers with weights.
SIZES = (
    ("densenet121", 7_978_856, 121),
    ("densenet161", 28_681_000, 161),
    ("densenet169", 14_149_480, 169),
    ("densenet201", 20_013_928, 201),
)
SMALL = Config(depths=(2, 3), growth=4, stem_width=8, bottleneck=2, stem="3x3", classes=5, image_size=16)


@pytest.mark.parametrize(("name", "count", "layers"), SIZES)
def test_published_sizes_and_names(name: str, count: int, layers: int) -> None:
    import timm
    from torchvision import models

    assert parameters(getattr(densenet, name)) == count
    with torch.device("meta"):
        own, other, third = getattr(densenet, name)(), getattr(models, name)(), timm.create_model(name)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in own.modules()) == layers
    shapes = sorted(t.shape for t in own.state_dict().values())
    for library in (other, third):
        assert_bijection(own, NAMES, list(library.state_dict()))
        assert shapes == sorted(t.shape for t in library.state_dict().values())


@pytest.mark.parametrize(("depth", "growth", "millions"), [(16, 12, 0.8), (41, 24, 15.3), (31, 40, 25.6)])
def test_small_pictures_take_the_papers_nets(depth: int, growth: int, millions: float) -> None:
    """Table 2, DenseNet-BC on CIFAR-10."""
    cfg = Config(depths=(depth,) * 3, growth=growth, stem_width=2 * growth, stem="3x3", classes=10)
    assert round(parameters(cfg.build) / 1e6, 1) == millions


@pytest.mark.parametrize(
    "name", ["densenet121", *(pytest.param(f"densenet{n}", marks=pytest.mark.slow) for n in (161, 201))]
)
def test_equals_torchvision(name: str) -> None:
    from torchvision import models

    ours, theirs = getattr(densenet, name)(classes=7), getattr(models, name)(num_classes=7)
    assert_equal(ours, theirs, NAMES, 64, classes=7)


@pytest.mark.slow
def test_equals_timm() -> None:
    import timm

    ours, theirs = densenet.densenet169(classes=7), timm.create_model("densenet169", num_classes=7)
    assert_equal(ours, theirs, NAMES, 96, classes=7)


def test_feature_maps_by_name() -> None:
    model = SMALL.build().eval()
    image = torch.randn(2, 3, 16, 12)
    maps = model.features(image)
    assert {n: m.shape[1] for n, m in maps.items()} == SMALL.feature_channels
    assert [tuple(m.shape[2:]) for m in maps.values()] == [(16, 12), (16, 12), (8, 6), (8, 6), (8, 6)]
    torch.testing.assert_close(model.head(maps["last"].mean(dim=(2, 3))), model(image))
    assert torch.equal(maps["block_1"][:, :8], maps["stem"])  # what a block was given stays as it was
    assert torch.equal(maps["block_2"][:, : maps["transition_1"].shape[1]], maps["transition_1"])


def test_every_layer_reads_all_before_it() -> None:
    """The last layer of a block has a gradient path of its own to each map that came before."""
    model = SMALL.build().eval()
    widths = [m.norm_1.num_features for m in model.modules() if isinstance(m, Layer)]
    assert widths == [8, 12, 8, 12, 16]  # a transition halves the 16 maps of the first block
    last = [m for m in model.modules() if isinstance(m, Layer)][-1]
    maps = [torch.randn(1, c, 4, 4, requires_grad=True) for c in (8, 4, 4)]
    last(maps).sum().backward()
    assert all(m.grad is not None and m.grad.abs().sum() > 0 for m in maps)


def steps(model: DenseNet, count: int = 3) -> list[float]:
    """Losses of ``count`` steps of training on random pictures."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    dice, losses = torch.Generator().manual_seed(1), []
    for step in range(count):
        image = torch.randn(4, 3, 16, 16, generator=dice)
        torch.manual_seed(step)  # for dropout
        loss = F.cross_entropy(model.train()(image), torch.tensor([0, 1, 2, 3]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_recomputing_changes_no_bit(dropout: float) -> None:
    """Losses, weights, and the running statistics that a second pass would spoil."""
    plain = replace(SMALL, dropout=dropout).build()
    recomputing = replace(SMALL, dropout=dropout, checkpoint=True).build()
    recomputing.load_state_dict(plain.state_dict())
    assert steps(plain) == steps(recomputing)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(recomputing.state_dict()[name], tensor), name
    counts = [b for n, b in recomputing.named_buffers() if n.endswith("num_batches_tracked")]
    assert counts and all(int(c) == 3 for c in counts)
    image = torch.randn(2, 3, 16, 16)
    assert torch.equal(plain.eval()(image), recomputing.eval()(image))


def kept(model: DenseNet) -> int:
    """Bytes that a forward pass keeps for the backward pass."""
    storages: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        held = model.train()(torch.randn(2, 3, 32, 32))
    assert held.requires_grad
    return sum(storages.values())


def test_recomputing_keeps_less() -> None:
    """The concatenations are what is saved, and their part grows with the depth of a block."""
    shares = []
    for depth in (4, 16):
        cfg = replace(SMALL, depths=(depth,))
        shares.append(kept(replace(cfg, checkpoint=True).build()) / kept(cfg.build()))
    assert shares[1] < shares[0] < 1
    assert shares[1] < 0.5


def test_recomputing_rests_where_nothing_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densenet, "checkpoint", lambda *given, **named: pytest.fail("recomputes"))
    model, image = replace(SMALL, checkpoint=True).build(), torch.randn(2, 3, 16, 16)
    model.eval()(image)
    with torch.no_grad():
        model.train()(image)


def test_dropout_falls_on_new_maps_alone() -> None:
    layer = Layer(8, replace(SMALL, dropout=0.5)).train()
    new = layer([torch.randn(2, 8, 16, 16)])
    assert 0.4 < float((new == 0).float().mean()) < 0.6
    assert (layer.eval()([torch.randn(2, 8, 16, 16)]) != 0).all()


@pytest.mark.parametrize("old", [False, True])
def test_weights_of_torchvision_for_other_channels_and_classes(
    old: bool, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Today's names, and those of the published files, which split "norm1" in two and count no batches."""
    from torchvision import models

    theirs = models.DenseNet(growth_rate=4, block_config=(2, 2, 1, 1), num_init_features=8, num_classes=9)
    state = randomized(theirs).eval().state_dict()
    if old:
        state = {n: t for n, t in state.items() if "num_batches" not in n}
        for kind in ("norm1", "norm2", "conv1", "conv2"):
            state = {n.replace(f".{kind}.", f".{kind[:-1]}.{kind[-1]}."): t for n, t in state.items()}
        assert "features.denseblock1.denselayer2.norm.1.running_mean" in state
    save_file(state, tmp_path / "densenet.safetensors")
    monkeypatch.setitem(densenet.SIZES, "small", Config(depths=(2, 2, 1, 1), growth=4, stem_width=8))
    monkeypatch.setitem(densenet.WEIGHTS, "small", {})
    model = densenet.published("small", tmp_path / "densenet.safetensors", classes=4, channels=1).eval()
    said = capsys.readouterr().err
    assert "resized: body.stem.convolution.weight (8, 3, 7, 7) -> (8, 1, 7, 7)" in said
    report: LoadReport = model.load_report  # type: ignore[assignment]
    assert {n for n in report.new if not n.endswith("num_batches_tracked")} == {"head.weight", "head.bias"}
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        wanted = torch.relu(theirs.features(grey.expand(2, 3, 64, 64)))
        close(model.features(grey)["last"], wanted, 1e-5)


def test_weights_of_another_depth_are_refused() -> None:
    with pytest.raises(InputError, match=r"body\.block_2\.3\.convolution_1\.weight is in"):
        deeper = replace(SMALL, depths=(2, 4), growth=4).build().state_dict()
        load_weights(SMALL.build(), deeper, head=("head",), upstreams=UPSTREAMS)


@pytest.mark.parametrize(
    ("cfg", "least"),
    [
        (SMALL, 2),
        (Config(depths=(1, 1, 1, 1), growth=2, stem_width=4, image_size=29), 29),
        (Config(depths=(1, 1), growth=2, stem_width=4, image_size=5), 5),
        (Config(depths=(1,), growth=2, stem_width=4, image_size=1), 1),
    ],
)
def test_pictures_that_are_too_small_are_refused_by_both_sizes(cfg: Config, least: int) -> None:
    model = cfg.build().eval()
    assert model.features(torch.randn(1, 3, least, least))["last"].shape[-2:] == (1, 1)
    for call in (model, model.features):
        with pytest.raises(ValueError, match=rf"image is 40x{least - 1} pixels; .* takes {least} pixels or"):
            call(torch.randn(1, 3, 40, least - 1))
    if least > 1:
        with pytest.raises(ValueError, match=f"image_size is {least - 1}; a DenseNet of .* takes {least} "):
            replace(cfg, image_size=least - 1)


def test_compression_rounds_down() -> None:
    cfg = replace(SMALL, depths=(1, 1), growth=3, compression=0.5)  # 11 maps after the first block
    (transition,) = [m for m in cfg.build().modules() if isinstance(m, Transition)]
    assert transition.convolution.out_channels == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depths": ()}, r"depths is \(\)"),
        ({"depths": (2, 0)}, r"depths is \(2, 0\)"),
        ({"growth": 0}, "growth is 0"),
        ({"compression": 0.0}, r"compression is 0\.0"),
        ({"compression": 1.5}, r"compression is 1\.5"),
        ({"compression": 0.001}, r"compression is 0\.001; a transition would keep no map"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
    ],
)
def test_impossible_sizes_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)


def test_a_stem_that_does_not_exist_is_refused() -> None:
    cfg = Config()
    object.__setattr__(cfg, "stem", "5x5")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="stem is '5x5'; it must be one of"):
        cfg.__post_init__()
