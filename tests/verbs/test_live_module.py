"""A module with weights, given to ``fit``: fine-tuned, its pictures prepared as the weights know them."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fathom.architectures.convolutional import inception, resnet
from fathom.errors import InputError
from fathom.training.run import Run
from fathom.training.weights import Weights, load_weights
from fathom.verbs.fit import fit
from fathom.verbs.live_module import brought, larger
from fathom.verbs.session import Interrupted
from fathom.verbs.train import resume
from fathom.verbs.transfer import prepared

HOW = {
    "resize": 18, "crop": 16, "interpolation": "bicubic",
    "mean": (0.4, 0.5, 0.6), "deviation": (0.2, 0.2, 0.3),
}  # fmt: skip


def small(classes: int, channels: int = 3) -> resnet.ResNet:
    return resnet.Config(
        depths=(1, 1), width=8, stem="3x3", classes=classes, channels=channels, image_size=16
    ).build()


def loaded(preprocessing: Any = None, channels: int = 3) -> resnet.ResNet:
    """Three classes, on the body of a model of nine."""
    torch.manual_seed(3)
    model, found = small(3, channels), Weights(small(9).state_dict(), preprocessing)
    load_weights(model, found, head=("head",), stem=("body.stem.convolution",), upstreams={})
    return model


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grey noise around a level that depends on the class, wider than high."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, level in (("bright", 60), ("dark", -60), ("grey", 0)):
        (folder / name).mkdir()
        for i in range(12):
            noise = Image.effect_noise((40, 30), 30).point(lambda v, lev=level: max(0, min(255, v + lev)))
            noise.save(folder / name / f"{i}.png")
    return folder


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.model / "weights.safetensors")


def task_of(run: Run) -> dict[str, Any]:
    return json.loads((run.model / "artifact.json").read_text())["task"]["settings"]


def test_head_freezing_and_rates_are_chosen_and_said(pictures: Path, tmp_path: Path) -> None:
    model, lines = loaded(HOW), list[str]()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    run = fit(model, pictures, steps=8, out=tmp_path / "run", export=False, say=lines.append)
    assert [line for line in lines if line.startswith(("head", "pictures", "freezing", "rates"))] == [
        "head: head drawn anew",
        "pictures: the shorter side to 18 pixels, bicubic, then the middle 16x16, as these weights know them",
        "freezing: the new head alone for the first 50%, then body.stage_2 too; 10 rows a class are too few"
        " to move all of the body",
        "rates: 0.001 in the head, times 0.7 from each layer to the one below it, which is the more general",
    ]
    made = weights(run)
    moved = {n.rpartition(".")[0] for n in made if not torch.equal(made[n], before[n])}
    assert "head" in moved and any(n.startswith("body.stage_2") for n in moved)
    assert not any(n.startswith(("body.stem", "body.stage_1")) for n in moved)
    task = task_of(run)
    assert {n: task[n] for n in ("channels", "height", "width", "resize", "interpolation")} == {
        "channels": 3, "height": 16, "width": 16, "resize": 18, "interpolation": "bicubic",
    }  # fmt: skip
    assert task["mean"] == [0.4, 0.5, 0.6]
    assert set(run.load_report.new) == {"head.weight", "head.bias"}
    assert set(run.predict(pictures / "dark" / "0.png")["probabilities"]) == {"bright", "dark", "grey"}


def test_a_stopped_run_goes_on_the_same_whatever_its_module_was_made_with(
    pictures: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"steps": 8, "export": False}
    straight = fit(loaded(HOW), pictures, out=tmp_path / "straight", **options)

    def stop(event: Any) -> None:
        if event.steps == 3:
            signal.raise_signal(signal.SIGINT)  # saves its state and stops

    with pytest.raises(Interrupted):
        fit(loaded(HOW), pictures, out=tmp_path / "run", observers=[stop], **options)
    again = resume(tmp_path / "run", small(3), export=False)  # no weights, so no word of how to prepare
    assert again.digest == straight.digest and task_of(again) == task_of(straight)


def test_without_weights_or_with_an_optimizer_nothing_is_chosen(pictures: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    fit(small(3), pictures, steps=2, out=tmp_path / "a", export=False, say=lines.append)
    model = loaded()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    run = fit(
        model, pictures, steps=2, optimizer=optimizer, out=tmp_path / "b", export=False, say=lines.append
    )
    assert not any(line.startswith(("head", "freezing", "rates")) for line in lines)
    task = task_of(run)  # grey pictures in the three channels of the module, at the size of its weights
    assert (task["channels"], task["height"], task["resize"]) == (3, 16, None)


def test_a_module_that_does_not_fit_is_still_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs \(2, 3\)"):
        fit(small(4), pictures, steps=2, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_of_pictures_that_are_too_small_the_size_is_said_that_would_do(
    pictures: Path, tmp_path: Path
) -> None:
    """Inception inside of a module of one's own, which does not tell its size: it is found by trying."""
    sizes = inception.Config(width_factor=0.1, auxiliary=False, classes=3, channels=1)
    net = torch.nn.Sequential(sizes.build())
    with pytest.raises(InputError, match=r"\(2, 1, \d\d, \d\d\): .*smallest .* are of 75x75 pixels"):
        fit(net, pictures, steps=1, out=tmp_path / "run", export=False)
    assert not (tmp_path / "run").exists()


def test_pictures_are_brought_to_the_size_of_weights_or_of_a_module_that_takes_no_smaller(
    pictures: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    run = fit(loaded(), pictures, steps=1, out=tmp_path / "a", export=False, say=lines.append)
    assert (task_of(run)["height"], task_of(run)["width"]) == (16, 16)
    assert "pictures: 16x16, colour, mean and deviation measured on yours" in lines
    net = inception.Config(width_factor=0.1, auxiliary=False, classes=3, image_size=80).build()
    assert brought(net)["fixed"] == {"channels": 3, "height": 80, "width": 80} and net.training
    run = fit(net, pictures, steps=1, out=tmp_path / "b", export=False)
    assert task_of(run)["height"] == 80


def test_channels_that_no_picture_has_are_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the module takes pictures of 5 channels; .* channels=3"):
        fit(small(3, channels=5), pictures, steps=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_larger_pictures_do_not_help_nothing_is_said_of_them() -> None:
    net = small(classes=3)
    assert larger(net, [torch.zeros(2, 1, 16, 16)]) == ""  # one channel of three
    assert larger(net, [torch.zeros(2, 3, 16, 16)]) == ""  # nothing is wrong with these
    assert larger(net, [torch.zeros(2, 3)]) == ""
    assert larger(net, [torch.zeros(2, 3, 16, 16), torch.zeros(2)]) == ""


def test_what_a_module_brings() -> None:
    assert brought(torch.nn.Linear(2, 2)) == {"fixed": {}, "new": None}
    assert brought(small(3)) == {"fixed": {"channels": 3}, "new": None}
    assert brought(loaded(HOW))["new"] == ["head"]
    state = small(3).state_dict()
    uncounted = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    model = small(3)
    load_weights(model, uncounted, head=("head",))
    assert model.load_report.new and brought(model)["new"] == []  # type: ignore[union-attr]


def test_the_mean_of_colours_is_that_of_grey() -> None:
    """A stem brought to one channel: numbers of red, green and blue would make three of it."""
    fixed = prepared(loaded(HOW, channels=1))
    assert fixed["mean"] == pytest.approx((0.5,)) and fixed["deviation"] == pytest.approx((0.7 / 3,))
    assert prepared(loaded(HOW))["mean"] == (0.4, 0.5, 0.6)
    assert prepared(small(3)) == {}
