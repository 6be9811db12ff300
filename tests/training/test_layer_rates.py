"""Rates that fall from head to stem: timm's groups for every optimizer, the model's own order, refusals."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from fathom.architectures.convolutional import efficientnet, googlenet, lenet, resnet, vgg
from fathom.errors import InputError
from fathom.settings import override, override_all
from fathom.training import (
    SGD,
    AdamW,
    CrossEntropy,
    GradientDescent,
    Lookahead,
    Muon,
    OneCycle,
    Parallel,
    train,
)
from fathom.training.layer_rates import layer_numbers
from fathom.training.optim import choices
from fathom.training.weight_map import translate
from fathom.verbs.train import train as train_verb

ALONE = [name for name in choices() if name not in ("Lookahead", "SAM")]


def small() -> nn.Module:
    return resnet.Config(depths=(2, 1), width=8, stem="3x3", classes=3, image_size=16).build()


def rates(optimizer: Any, model: nn.Module) -> dict[str, float]:
    names = {id(p): n for n, p in model.named_parameters()}
    return {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}


def test_layers_are_the_blocks_in_their_order_and_last_the_head() -> None:
    numbers = layer_numbers(small())
    assert {name.rpartition(".")[0]: n for name, n in numbers.items() if "convolution_1" in name} == {
        "body.stage_1.0.convolution_1": 1,
        "body.stage_1.1.convolution_1": 2,
        "body.stage_2.0.convolution_1": 3,
    }
    assert {n for name, n in numbers.items() if name.startswith("body.stem")} == {0}
    assert numbers["head.weight"] == numbers["head.bias"] == 4
    assert list(numbers) == [name for name, _ in small().named_parameters()]


@pytest.mark.parametrize(
    ("build", "layers"),
    [
        (efficientnet.efficientnet_b0, 19),  # stem, 16 blocks, top, head
        (vgg.vgg11, 9),  # 8 convolutions, and the three dense layers together
        (vgg.vgg11_bn, 17),  # normalisations are parts of their own in the list of torchvision
    ],
)
def test_every_family_has_an_order(build: Any, layers: int) -> None:
    with torch.device("meta"):
        numbers = layer_numbers(build())
    assert sorted(set(numbers.values())) == list(range(layers))
    order = list(numbers.values())
    assert order == sorted(order)


def test_what_lies_beside_the_body_learns_as_the_head_does() -> None:
    with torch.device("meta"):
        numbers = layer_numbers(googlenet.Config(classes=5, auxiliary=("4a",)).build())
    last = max(numbers.values())
    assert {name.split(".")[0] for name, n in numbers.items() if n == last} >= {"head", "auxiliary"}


@pytest.mark.slow
@pytest.mark.parametrize("layer_decay", [0.75, 0.5])
def test_groups_are_those_of_timm_for_a_residual_network(layer_decay: float) -> None:
    """Rate and decay of every tensor, by the names that the weight map gives it."""
    import timm
    from timm.optim import param_groups_layer_decay

    theirs = timm.create_model("resnet50", num_classes=7)
    groups = param_groups_layer_decay(theirs, 0.05, layer_decay=layer_decay)
    names = {id(p): n for n, p in theirs.named_parameters()}
    wanted = {names[id(p)]: (g["lr_scale"], g["weight_decay"]) for g in groups for p in g["params"]}
    own = translate(wanted, resnet.UPSTREAMS["torchvision"])

    model = resnet.resnet50(classes=7)
    made = AdamW(learning_rate=1.0, weight_decay=0.05, layer_decay=layer_decay).build(model)
    names = {id(p): n for n, p in model.named_parameters()}
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in made.param_groups for p in g["params"]}
    assert found == {own[name]: pair for name, pair in wanted.items()}
    assert len({rate for rate, _ in found.values()}) == 18


@pytest.mark.parametrize("name", ALONE)
def test_every_optimizer_lets_its_own_rates_fall(name: str) -> None:
    model = small()
    plain = rates(choices()[name]().build(model), model)
    fallen = rates(choices()[name](layer_decay=0.5).build(model), model)  # type: ignore[call-arg]
    numbers = layer_numbers(model)
    assert fallen.keys() == plain.keys()
    for tensor, rate in fallen.items():
        assert rate == plain[tensor] * 0.5 ** (4 - numbers[tensor])


def test_optimizers_around_another_step_with_its_rates() -> None:
    model = small()
    outer = Lookahead(inner=SGD(learning_rate=0.1, momentum=0.0, layer_decay=0.5), every=1).build(model)
    before = copy.deepcopy(model.state_dict())
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    outer.step()
    moved = {n: float((before[n] - p.detach()).mean()) for n, p in model.named_parameters()}
    assert moved["head.weight"] == pytest.approx(0.05, rel=1e-4)  # half the way of the inner step
    assert moved["body.stem.convolution.weight"] == pytest.approx(0.05 * 0.5**4, rel=1e-4)


def test_the_schedule_scales_every_layer() -> None:
    optimizer = Muon(learning_rate=0.02, fallback_learning_rate=1e-3, layer_decay=0.5)
    how = GradientDescent(objective=CrossEntropy(), optimizer=optimizer, schedule=OneCycle())
    learner: Any = how.learner(small(), 10, Parallel())
    batch = torch.randn(8, 3, 16, 16), torch.arange(8) % 3
    for step in range(10):
        learner.update(batch, step)
        factor = OneCycle()(step / 10)
        assert [g["lr"] for g in learner.optimizer.param_groups] == [r * factor for r in learner.rates]
    assert len(set(learner.rates)) == 10  # two rules, five layers


def test_a_decay_of_one_changes_no_bit() -> None:
    """No group is touched, so nothing can."""
    model = small()
    for name in ALONE:
        made = choices()[name]().build(model)
        assert len(made.param_groups) <= 2, name
    for optimizer in (SGD(weight_decay=1e-3), AdamW()):
        same = optimizer.build(model), replace(optimizer, layer_decay=1.0).build(model)
        assert same[0].state_dict() == same[1].state_dict()


def test_a_run_with_falling_rates_resumes_to_the_same_bits() -> None:
    from fathom.training.state import gather, scatter

    experiment = override(resnet.tiny(), "learning.optimizer.layer_decay", "0.6")
    data = experiment.data.load()
    straight, resumed = experiment.learner(), experiment.learner()
    train(straight, experiment.source(data), steps=4)
    state = copy.deepcopy(gather(straight, {"learner": straight}))
    train(straight, experiment.source(data), steps=9, start=4)
    scatter(state, resumed, {"learner": resumed})
    train(resumed, experiment.source(data), steps=9, start=4)
    for a, b in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_setting_chooses_it_and_the_run_learns_less_in_the_stem(tmp_path: Any) -> None:
    settings = [("layer_decay", "0.01"), ("steps", "5")]
    assert override_all(resnet.tiny(), settings).learning.optimizer.layer_decay == 0.01
    runs = {
        d: train_verb(
            resnet.tiny(), settings=[("layer_decay", d), ("steps", "5")], out=tmp_path / d, export=False
        )
        for d in ("1.0", "0.01")
    }
    assert runs["0.01"].record["settings"]["learning.optimizer.layer_decay"] == 0.01
    assert runs["1.0"].digest == train_verb(
        resnet.tiny(), settings=[("steps", "5")], out=tmp_path / "plain", export=False
    ).digest != runs["0.01"].digest  # fmt: skip


def test_what_has_no_order_and_what_is_out_of_range_are_refused(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="a LeNet does not tell it: give it `body`"):
        train_verb(lenet.tiny(), settings=[("layer_decay", "0.5")], out=tmp_path / "run", export=False)
    assert not (tmp_path / "run").exists()
    for model in (nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))):
        with pytest.raises(InputError, match=r"or leave layer_decay at 1\.0"):
            SGD(layer_decay=0.5).build(model)
        SGD(layer_decay=1.0).build(model)
    for name in ALONE:
        for value in (0.0, -0.5, 1.5, float("nan")):
            with pytest.raises(ValueError, match=rf"layer_decay is {value}; it must be in \(0, 1\]"):
                choices()[name](layer_decay=value)  # type: ignore[call-arg]
