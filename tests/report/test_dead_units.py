"""Dead units of a run's model: counted by brute force, layer by layer, and nothing else is touched."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fathom import catalog
from fathom.architectures.convolutional import mnist
from fathom.data.split import Tensors
from fathom.report.dead_units import SHOWN, Layer, Watch, dead_by_layer, dead_unit_sections
from fathom.report.page import page
from fathom.task import Boundary, over_split
from fathom.tasks.vector_classification import VectorClassification
from fathom.training.run import Run
from fathom.verbs.train import train

TASK = VectorClassification(labels=("a", "b"), inputs_count=6)


def rows(count: int) -> Tensors:
    dice = torch.Generator().manual_seed(count)
    return Tensors((torch.randn(count, 6, generator=dice), torch.randint(2, (count,), generator=dice)))


class Net(nn.Module):
    """ReLUs as a module that is used twice, as functions, and behind a convolution and tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(6, 8), nn.Linear(8, 8)
        self.shared, self.clamped = nn.ReLU(), nn.ReLU6()
        self.convolution, self.head = nn.Conv1d(1, 5, 3, padding=1), nn.Linear(8 + 5, 2)
        self.dropout = nn.Dropout()
        with torch.no_grad():
            self.first.bias[:3] = -100  # three units that nothing wakes
            self.convolution.bias[0] = -100  # type: ignore[index]
            self.convolution.weight[0] = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.shared(self.again(self.shared(self.first(x))))
        maps = torch.relu(self.convolution(x[:, None]))  # (b, 5, 6)
        tokens = F.relu((maps.transpose(1, 2) @ torch.eye(5)) - 0)  # (b, 6, 5): units last
        kept = self.clamped(self.dropout(tokens.mean(dim=1)))
        return self.head(torch.cat([hidden, kept], dim=1))


@pytest.fixture
def net() -> Net:
    return Net()


def test_units_are_counted_where_they_are(net: Net) -> None:
    layers, seen = dead_by_layer(TASK, net, rows(300))
    assert seen == 300
    x = rows(300).columns[0]
    with torch.no_grad():
        first = F.relu(net.first(x))
        second = F.relu(net.again(first))
        maps = F.relu(net.convolution(x[:, None]))
    by_hand = [
        ("shared", 8, int((first == 0).all(0).sum())),
        ("shared (2)", 8, int((second == 0).all(0).sum())),
        ("Net", 5, int((maps == 0).all(2).all(0).sum())),
        ("Net (2)", 5, int((maps == 0).all(2).all(0).sum())),
        ("clamped", 5, int((maps == 0).all(2).all(0).sum())),
    ]
    assert [dataclasses.astuple(layer) for layer in layers] == by_hand
    assert by_hand[0][2] >= 3 and by_hand[2][2] >= 1


def test_a_unit_that_wakes_in_a_late_batch_is_alive(net: Net) -> None:
    split = rows(700)
    assert dead_by_layer(TASK, net, split)[0][0].dead >= 3
    with torch.no_grad():
        net.first.weight[0, 0] = 1
    split.columns[0][650, 0] = 1000
    layers, seen = dead_by_layer(TASK, net, split)
    alone = dead_by_layer(TASK, net, Tensors(tuple(c[:500] for c in split.columns)))[0]
    assert seen == 700 and layers[0].dead == alone[0].dead - 1


@pytest.mark.parametrize(
    ("count", "limit", "seen"), [(2000, 1024, 1000), (90, 50, 50), (90, 90, 90), (3, 9, 3)]
)
def test_at_most_the_limit_is_looked_at(net: Net, count: int, limit: int, seen: int) -> None:
    assert dead_by_layer(TASK, net, rows(count), limit)[1] == seen


def test_nothing_is_drawn_and_nothing_stays_behind(net: Net) -> None:
    dice, weights = torch.get_rng_state(), {n: t.clone() for n, t in net.state_dict().items()}
    outputs, _ = over_split(Boundary(TASK, net), TASK, rows(50))
    dead_by_layer(TASK, net.train(), rows(50))
    assert torch.equal(dice, torch.get_rng_state())
    torch.testing.assert_close(net.state_dict(), weights, rtol=0, atol=0)
    assert all(p.grad is None for p in net.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    again, _ = over_split(Boundary(TASK, net), TASK, rows(50))
    assert (outputs["probabilities"] == again["probabilities"]).all()


def test_hooks_go_when_the_model_fails(net: Net) -> None:
    with pytest.raises(RuntimeError), Watch(net):
        net(torch.zeros(1, 5))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_model_without_relus_has_no_section() -> None:
    plain = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Hardtanh(), nn.Linear(4, 2))
    layers, seen = dead_by_layer(TASK, plain, rows(1500))
    assert layers == [] and seen == 500 and dead_unit_sections(layers, seen) == []


@pytest.mark.parametrize("name", list(catalog.systems()))
def test_every_system_is_looked_into_without_harm(name: str) -> None:
    experiment = catalog.system(name).load().tiny()
    data, model = experiment.data.load(), experiment.learner().model
    split = data.test if data.valid is None else data.valid
    layers, seen = dead_by_layer(experiment.task, model, split)
    assert seen > 0 and all(0 <= layer.dead <= layer.units for layer in layers)


def test_the_section_says_it_in_a_sentence(read: Callable[[str], Any]) -> None:
    def text(layers: list[Layer]) -> str:
        return read(page("t", "", dead_unit_sections(layers, 1000))).text

    several = text([Layer("a", 30, 0), Layer("b", 10, 4)])
    assert "Of 40 units behind ReLUs, in 2 places, 4 (10.0 %) are zero on each of 1,000 held-out" in several
    assert "b10440.0 %" in several
    assert "Of 10 units behind ReLUs, in one place, 1 (10.0 %) is zero" in text([Layer("a", 10, 1)])
    assert "None of 30 units behind ReLUs, in one place, is zero" in text([Layer("a", 30, 0)])
    many = text([Layer(f"layer{i}.", 100, i) for i in range(SHOWN + 2)])
    assert f"The {SHOWN} layers of {SHOWN + 2} with the largest share." in many
    assert f"layer{SHOWN + 1}." in many and "layer2." in many and "layer1." not in many


def test_the_report_of_a_run_has_it(tmp_path: Path) -> None:
    experiment = dataclasses.replace(mnist.tiny(), steps=3)
    run: Run = train(experiment, out=tmp_path / "run", export=False)
    text = run.report.read_text(encoding="utf-8")
    assert "Dead units" in text and "stages.0" in text and "units behind ReLUs" in text
    layers, _ = dead_by_layer(experiment.task, experiment.learner().model, experiment.data.load().valid)
    began = time.perf_counter()
    dead_by_layer(experiment.task, experiment.learner().model, experiment.data.load().valid)
    assert time.perf_counter() - began < 1 and len(layers) == 4
