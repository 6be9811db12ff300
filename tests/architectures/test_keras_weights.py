"""Networks of Keras and of Fathom with the same weights, both ways: the same answers."""

import os

os.environ["KERAS_BACKEND"] = "torch"

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fathom.architectures.convolutional import lenet, resnet, vgg
from fathom.architectures.dense import deep_mlp
from fathom.cli.command import main
from fathom.training import weight_files
from fathom.training.keras_layout import from_keras, is_keras, to_keras
from fathom.training.weights import load_weights
from fathom.verbs.recognising import recognise, sizes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def randomized(model: Any) -> Any:
    """``model`` with biases and statistics away from zeros and ones, where mistakes hide."""
    dice = np.random.default_rng(0)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.name == "kernel":
            fan_in = int(np.prod(shape[:-1]))
            variable.assign(dice.normal(scale=(2 / fan_in) ** 0.5, size=shape))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(dice.uniform(0.7, 1.4, size=shape))
        else:
            variable.assign(dice.normal(scale=0.1, size=shape))
    return model


def arrays(model: Any) -> dict[str, np.ndarray]:
    """Its weights by their paths."""
    return {v.path: v.detach().cpu().numpy() if isinstance(v, Tensor) else np.array(v) for v in model.weights}


def assigned(model: Any, given: dict[str, np.ndarray]) -> None:
    """Put ``given`` into every variable; none may be left over, on either side."""
    wanted = {"/".join(v.path.split("/")[-2:]): v for v in model.weights}
    assert set(wanted) == set(given)
    for name, variable in wanted.items():
        assert tuple(variable.shape) == given[name].shape
        variable.assign(given[name])


def answers(model: Any, image: Tensor) -> Tensor:
    """Probabilities of a model of Keras for pictures (b, c, h, w)."""
    with torch.no_grad():
        return model(image.permute(0, 2, 3, 1).contiguous(), training=False)


def assert_alike(theirs: Any, ours: nn.Module, image: Tensor) -> None:
    with torch.no_grad():
        made = ours.eval()(image).softmax(dim=1)
    wanted = answers(theirs, image)
    assert float(wanted.std()) > 1e-3  # not the same for all
    torch.testing.assert_close(made, wanted, rtol=1e-5, atol=1e-5)


def introduction() -> Any:
    """The first net of many roadmaps."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)), layers.Flatten(), layers.Dense(128, activation="relu"),
            layers.Dropout(0.2), layers.Dense(10, activation="softmax"),
        ]
    )  # fmt: skip


def lenet_of_keras(classes: int = 10) -> Any:
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)), layers.Conv2D(6, 5, padding="same", activation="tanh"),
            layers.AveragePooling2D(2), layers.Conv2D(16, 5, activation="tanh"), layers.AveragePooling2D(2),
            layers.Flatten(), layers.Dense(120, activation="tanh"), layers.Dense(84, activation="tanh"),
            layers.Dense(classes, activation="softmax"),
        ]
    )  # fmt: skip


def test_the_net_of_the_introductions_both_ways() -> None:
    theirs, image = randomized(introduction()), torch.randn(5, 1, 28, 28)
    ours = deep_mlp.mlp128(arrays(theirs))
    assert not ours.load_report.new and not ours.load_report.left
    assert_alike(theirs, ours, image)
    again = introduction()
    assigned(again, renamed(again, deep_mlp.keras_arrays(ours)))
    assert torch.equal(answers(again, image), answers(theirs, image))


def renamed(model: Any, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``given`` by the names that this very model's layers have: Keras counts through all that it builds."""
    order = [layer.name for layer in model.layers if layer.weights]
    kinds = [n.rstrip("0123456789").rstrip("_") for n in order]
    names = {}
    for i, (name, kind) in enumerate(zip(order, kinds, strict=True)):
        place = kinds[:i].count(kind)
        names[f"{kind}_{place}" if place else kind] = name
    return {f"{names[n.split('/')[0]]}/{n.split('/')[1]}": array for n, array in given.items()}


def test_deeper_chains_and_pictures_in_colour() -> None:
    import keras

    layers = keras.layers
    theirs = randomized(
        keras.Sequential(
            [
                keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(9, activation="relu"),
                layers.Dense(9, activation="relu"), layers.Dense(9, activation="relu"),
                layers.Dense(5, activation="softmax"),
            ]
        )
    )  # fmt: skip
    cfg = deep_mlp.Config(image_size=4, channels=3, classes=5, width=9, depth=3)
    ours = cfg.build()
    before = partial(deep_mlp.rewritten, cfg=cfg)
    load_weights(ours, arrays(theirs), head=(), upstreams=deep_mlp.UPSTREAMS, before=before)
    assert_alike(theirs, ours, torch.randn(4, 3, 4, 4))
    back = renamed(theirs, deep_mlp.keras_arrays(ours))
    for name, array in arrays(theirs).items():
        assert np.array_equal(back["/".join(name.split("/")[-2:])], array)
    with pytest.raises(ValueError, match="has no norms or skips"):
        deep_mlp.keras_arrays(deep_mlp.Config(depth=2, skip="residual").build())


def test_lenet_both_ways() -> None:
    theirs, image = randomized(lenet_of_keras()), torch.randn(5, 1, 28, 28)
    ours = lenet.lenet5(arrays(theirs))
    assert not ours.load_report.new and not ours.load_report.left
    assert_alike(theirs, ours, image)
    again = lenet_of_keras()
    assigned(again, renamed(again, lenet.keras_arrays(ours)))
    assert torch.equal(answers(again, image), answers(theirs, image))
    with pytest.raises(ValueError, match="no layer for Table I"):
        lenet.keras_arrays(lenet.Config(sparse=True).build())


def test_vgg16_both_ways() -> None:
    """At 64 pixels, where the last map has four places, so that their order matters."""
    import keras

    theirs = randomized(keras.applications.VGG16(weights=None, input_shape=(64, 64, 3), classes=5))
    cfg = vgg.Config(grid=2, classes=5, image_size=64)
    ours, image = cfg.build(), torch.randn(2, 3, 64, 64)
    before = partial(vgg.rewritten, cfg=cfg)
    load_weights(ours, arrays(theirs), head=(), upstreams=vgg.UPSTREAMS, before=before)
    assert_alike(theirs, ours, image)
    again = keras.applications.VGG16(weights=None, input_shape=(64, 64, 3), classes=5)
    assigned(again, vgg.keras_arrays(ours))
    assert torch.equal(answers(again, image), answers(theirs, image))
    with pytest.raises(ValueError, match="no batch normalisation"):
        vgg.keras_arrays(vgg.Config(depths=(1,), width=4, hidden=4, norm=True).build())


def test_resnet50_both_ways() -> None:
    """Biases before norms, another epsilon, the stride in the first 1x1: all brought along, or said."""
    import keras

    theirs = randomized(keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=7))
    ours, image = resnet.resnet50(arrays(theirs), classes=7), torch.randn(2, 3, 64, 64)
    assert ours.cfg.halving == "1x1"
    assert all(name.endswith(".num_batches_tracked") for name in ours.load_report.new)  # Keras counts none
    assert_alike(theirs, ours, image)
    again = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=7)
    assigned(again, resnet.keras_arrays(ours))
    torch.testing.assert_close(answers(again, image), answers(theirs, image), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="build with halving='1x1'"):
        resnet.keras_arrays(resnet.resnet50(classes=7))


def test_gradients_agree() -> None:
    theirs = randomized(lenet_of_keras())
    ours, image = lenet.lenet5(arrays(theirs)).eval(), torch.randn(3, 1, 28, 28)
    gradients = []
    for make in (lambda x: ours(x).softmax(dim=1), lambda x: theirs(x.permute(0, 2, 3, 1), training=False)):
        x = image.clone().requires_grad_()
        gradients.append(torch.autograd.grad((make(x) * torch.arange(10)).sum(), x)[0])
    assert float(gradients[1].abs().max()) > 1e-4
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["x.keras", "x.weights.h5", "x.h5"])
def test_import_knows_a_file_of_keras(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weight_files, "cache_folder", lambda: tmp_path / "cache")
    theirs, image = randomized(lenet_of_keras(classes=4)), torch.randn(5, 1, 28, 28)
    save = theirs.save_weights if name == "x.weights.h5" else theirs.save
    save(tmp_path / name)
    out = tmp_path / "ours.safetensors"
    assert main(["import", str(tmp_path / name), "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    told = found["size"], found["upstream"], found["classes"], found["channels"]
    assert told == ("lenet5", "keras", 4, 1)
    for file in (out, tmp_path / name):
        assert_alike(theirs, lenet.lenet5(file, classes=4), image)


def test_the_true_sizes_are_recognised_by_names_and_shapes() -> None:
    import keras

    with keras.device("meta"):
        nets = {
            "mlp128": introduction(),
            "resnet50": keras.applications.ResNet50(weights=None, classes=9),
            "vgg19": keras.applications.VGG19(weights=None, classes=3),
        }
    for size, net in nets.items():
        state = {v.path: torch.empty(tuple(v.shape), device="meta") for v in net.weights}
        match = recognise(from_keras(state))
        assert match is not None and match.fits, match
        assert (match.size, match.upstream) == (size, "keras")
        assert match.classes == {"mlp128": 10, "resnet50": 9, "vgg19": 3}[size]
    assert {"mlp128", "lenet5"} <= set(sizes())


def test_layout_there_and_back() -> None:
    arrays = {
        "a/conv2d_7/kernel:0": np.arange(24.0).reshape(2, 3, 4, 1), "a/conv2d_7/bias:0": np.arange(1.0),
        "conv2d_9/kernel": np.ones((1, 1, 1, 2)), "mine/depthwise_kernel": np.arange(8.0).reshape(2, 2, 1, 2),
        "batch_normalization_3/gamma": np.ones(2), "batch_normalization_3/moving_mean": np.zeros(2),
        "batch_normalization_3/moving_variance": np.full(2, 3.0), "batch_normalization_3/beta": np.ones(2),
    }  # fmt: skip
    state = from_keras(arrays)
    assert is_keras(arrays) and not is_keras(state)
    assert {n: tuple(t.shape) for n, t in state.items() if n.startswith(("conv2d", "mine"))} == {
        "conv2d.weight": (1, 4, 2, 3), "conv2d.bias": (1,), "conv2d_1.weight": (2, 1, 1, 1),
        "mine.weight": (2, 1, 2, 2),
    }  # fmt: skip
    assert state["conv2d.weight"][0, 3, 1, 2] == arrays["a/conv2d_7/kernel:0"][1, 2, 3, 0]
    assert state["mine.weight"][1, 0, 0, 1] == arrays["mine/depthwise_kernel"][0, 1, 0, 1]
    back = to_keras({n: t for n, t in state.items() if not n.startswith("mine")})
    assert np.array_equal(back["conv2d/kernel"], arrays["a/conv2d_7/kernel:0"])
    assert np.array_equal(back["batch_normalization/moving_variance"], np.full(2, 3.0))
    with pytest.raises(ValueError, match="two layers are called dense"):
        from_keras({"a/dense/kernel": np.ones((1, 1)), "b/dense/kernel": np.ones((1, 1))})
