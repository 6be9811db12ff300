"""AlexNet against torchvision, and the sizes that the papers state."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.architectures.convolutional.upstream import assert_bijection, assert_equal, close, parameters
from torch import nn

from fathom.architectures.convolutional.alexnet import UPSTREAMS, WIDTHS, Config, alexnet
from fathom.errors import InputError
from fathom.training.weights import load_weights

NAMES = UPSTREAMS["torchvision"]
SMALL = Config(widths=(4, 6, 8, 6, 4), hidden=10, grid=2, stem="3x3", classes=5, image_size=32)
NARROW = Config(hidden=64, classes=7)


def narrow() -> nn.Module:
    """The model of torchvision with 64 hidden units: nearly all of the 61 million weights sit there."""
    from torchvision import models

    with torch.device("meta"):
        theirs = models.alexnet(num_classes=7)
        theirs.classifier[1] = nn.Linear(256 * 36, 64)
        theirs.classifier[4] = nn.Linear(64, 64)
        theirs.classifier[6] = nn.Linear(64, 7)
    theirs.to_empty(device="cpu")
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return theirs


def test_published_size_and_names() -> None:
    from torchvision import models

    assert parameters(alexnet) == 61_100_840
    with torch.device("meta"):
        own, other = alexnet(), models.alexnet()
    assert_bijection(own, NAMES, list(other.state_dict()))
    assert sorted(t.shape for t in own.state_dict().values()) == sorted(
        t.shape for t in other.state_dict().values()
    )


def test_single_tower_has_the_papers_share_of_weights_more() -> None:
    """As 2014 says, 0.2 percent more than 2012's two towers; with the 384 maps of its footnote it is 1.4."""
    with torch.device("meta"):
        towers = nn.ModuleList(
            [
                nn.Conv2d(3, 96, 11),
                nn.Conv2d(96, 256, 5, groups=2),
                nn.Conv2d(256, 384, 3),
                nn.Conv2d(384, 384, 3, groups=2),
                nn.Conv2d(384, 256, 3, groups=2),
                nn.Linear(256 * 36, 4096),
                nn.Linear(4096, 4096),
                nn.Linear(4096, 1000),
            ]
        )
    both = sum(p.numel() for p in towers.parameters())
    assert round(100 * (parameters(alexnet) / both - 1), 1) == 0.2
    footnote = Config(widths=(64, 192, 384, 384, 256))
    assert round(100 * (parameters(footnote.build) / both - 1), 1) == 1.4


@pytest.mark.parametrize("size", [64, 96])
def test_equals_torchvision(size: int) -> None:
    assert_equal(NARROW.build(), narrow(), NAMES, size, classes=7)


@pytest.mark.slow
def test_equals_torchvision_at_full_size() -> None:
    from torchvision import models

    assert_equal(alexnet(classes=7), models.alexnet(num_classes=7), NAMES, 224, classes=7)


def test_maps_have_the_papers_sizes() -> None:
    with torch.device("meta"):
        maps = alexnet().features(torch.empty(1, 3, 224, 224))
    assert {n: m.shape[1] for n, m in maps.items()} == Config().feature_channels
    assert [m.shape[-1] for m in maps.values()] == [55, 27, 27, 13, 13, 13, 13, 6]
    assert tuple(m.shape[1] for n, m in maps.items() if n.startswith("conv")) == WIDTHS


def test_feature_maps_lead_to_the_logits() -> None:
    model = SMALL.build().eval()
    image = torch.randn(2, 3, 32, 20)
    maps = model.features(image)
    assert {n: m.shape[1] for n, m in maps.items()} == SMALL.feature_channels
    assert all((m >= 0).all() for m in maps.values())
    torch.testing.assert_close(model.head(model.hidden(model.grid(maps["pool_5"]).flatten(1))), model(image))


def test_dropout_draws_only_while_training() -> None:
    model, image = SMALL.build(), torch.randn(2, 3, 32, 32)
    assert not torch.equal(model.train()(image), model(image))
    assert torch.equal(model.eval()(image), model(image))
    still = replace(SMALL, dropout=0.0).build().train()
    assert torch.equal(still(image), still(image))


def test_weights_of_torchvision_for_other_channels_and_classes(tmp_path: Path, capsys: Any) -> None:
    theirs = narrow().eval()
    save_file(theirs.state_dict(), tmp_path / "alexnet.safetensors")
    model = replace(NARROW, channels=1, classes=4).build().eval()
    load_weights(
        model, tmp_path / "alexnet.safetensors", head=("head",), stem=("body.conv_1.0",), upstreams=UPSTREAMS
    )
    assert "resized: body.conv_1.0.weight (64, 3, 11, 11) -> (64, 1, 11, 11)" in capsys.readouterr().err
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        close(model.features(grey)["pool_5"], theirs.features(grey.expand(2, 3, 64, 64)), 1e-5)  # type: ignore[operator]


@pytest.mark.slow
def test_published_model_takes_a_state_dict_and_refuses_another_nets() -> None:
    first = alexnet()
    second = alexnet(first.state_dict(), classes=4, channels=1)
    old, new = first.state_dict(), second.state_dict()
    assert torch.equal(new["hidden.1.weight"], old["hidden.1.weight"])
    assert torch.equal(new["body.conv_1.0.weight"], old["body.conv_1.0.weight"].sum(1, keepdim=True))
    assert new["head.weight"].shape == (4, 4096)
    with pytest.raises(InputError, match=r"nearest: torchvision.*layer1\.0\.conv1\.weight"):
        alexnet({"layer1.0.conv1.weight": torch.zeros(3)})


def test_pictures_that_are_too_small_are_refused_by_both_sizes() -> None:
    for cfg, least in ((replace(NARROW, hidden=8), 63), (SMALL, 15)):
        model = cfg.build().eval()
        assert model.features(torch.randn(1, 3, least, least))["pool_5"].shape[-2:] == (1, 1)
        assert model(torch.randn(1, 3, least, least)).shape == (1, cfg.classes)
        for call in (model, model.features):
            with pytest.raises(ValueError, match=rf"image is {least}x{least - 1} pixels.* takes {least} pix"):
                call(torch.randn(1, 3, least, least - 1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"widths": (64, 192, 384, 256)}, r"widths is \(64, 192, 384, 256\).*5 layers"),
        ({"widths": (64, 192, 0, 256, 256)}, "widths is"),
        ({"grid": 0}, "grid is 0"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
        ({"image_size": 62}, "image_size is 62; .* takes 63 pixels or more on a side; stem='3x3' takes 15"),
        ({"image_size": 14, "stem": "3x3"}, "image_size is 14; .* takes 15 pixels or more"),
    ],
)
def test_impossible_sizes_are_named(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**wrong)


def test_a_stem_that_does_not_exist_is_refused() -> None:
    cfg = Config()
    object.__setattr__(cfg, "stem", "7x7")  # past the check of types, which only tests have
    with pytest.raises(ValueError, match="stem is '7x7'; it must be one of"):
        cfg.__post_init__()
