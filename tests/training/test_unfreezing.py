"""Freezing by schedule: exactly the named parts change, in their stage; with everything else that learns."""

import copy
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.test_parallel import together
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

from fathom.architectures.convolutional import resnet
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.settings import override_all
from fathom.training import SGD, AdamW, CrossEntropy, GradientDescent, Parallel, Precision, Unfreezing, train
from fathom.training.budget import Budget
from fathom.training.experiment import Live as LiveModel
from fathom.training.loop import Event
from fathom.training.optim import Live, choices
from fathom.training.parallel import join, leave
from fathom.training.state import gather, scatter
from fathom.verbs.train import resume
from fathom.verbs.train import train as train_verb

STAGES = ((0.0, ("head",)), (0.3, ("body.stage_2",)), (0.6, ("body.stage_1", "body.stem.norm")))
BEGINS = {"head": 0, "body.stage_2": 6, "body.stage_1": 12, "body.stem.norm": 12}  # of 20 steps


def experiment(**how: Any) -> Any:
    """The bars, by a residual network of two stages, for 20 steps."""
    tiny = resnet.tiny()
    settings = {"unfreezing": Unfreezing(stages=STAGES)} | how
    return dataclasses.replace(tiny, learning=dataclasses.replace(tiny.learning, **settings), steps=20)


def hashes(tensors: Any) -> dict[str, str]:
    return {n: hashlib.sha256(t.detach().numpy().tobytes()).hexdigest() for n, t in tensors}


def changes(learner: Any, source: Any, steps: int) -> tuple[list[set[str]], list[set[str]]]:
    """The names of the parameters, and of the statistics, that each step changed."""
    parameters, statistics = [], []
    seen = [hashes(learner.raw.named_parameters()), hashes(learner.raw.named_buffers())]

    def look(event: Event) -> None:
        now = [hashes(learner.raw.named_parameters()), hashes(learner.raw.named_buffers())]
        for kept, before, after in zip((parameters, statistics), seen, now, strict=True):
            kept.append({n for n in after if after[n] != before[n]})
        seen[:] = now

    train(learner, source, steps=steps, observers=[look])
    return parameters, statistics


def begun(name: str, step: int) -> bool:
    return any(name.startswith(f"{part}.") and step >= at for part, at in BEGINS.items())


HOWS: list[dict[str, Any]] = [
    {},
    {"average": 0.9},
    {"accumulate": 4},
    {"clip_norm": 0.5, "clip_adaptive": 0.1, "clip_value": 0.01},
    {"precision": Precision(compute="bf16")},
    {"precision": Precision(compute="fp16")},
    {"optimizer": SGD(learning_rate=0.05, weight_decay=0.1, layer_decay=0.8)},
]


@pytest.mark.parametrize("how", HOWS, ids=lambda how: "-".join(how) or "plain")
def test_in_each_stage_exactly_the_named_parameters_change(how: dict[str, Any]) -> None:
    """By their hashes, with weight decay throughout: what stands still is not decayed either."""
    made = experiment(**{"optimizer": SGD(learning_rate=0.05, weight_decay=0.1)} | how)
    learner = made.learner()
    parameters, statistics = changes(learner, made.source(made.data.load()), 20)
    every = [n for n, _ in learner.raw.named_parameters()]
    for step, changed in enumerate(parameters):
        assert changed == {n for n in every if begun(n, step)}, step
    buffers = [n for n, _ in learner.raw.named_buffers()]
    for step, changed in enumerate(statistics):
        assert changed == {n for n in buffers if begun(n, step)}, step
    assert "body.stem.convolution.weight" not in set().union(*parameters)  # no stage names it
    assert all(p.requires_grad for p in learner.raw.parameters())


def begins(kept: Any) -> bool:
    """Whether what an optimizer remembers is more than nothing: Adagrad lays out zeros beforehand."""
    return bool(torch.as_tensor(kept).any()) if kept is not None else False


@pytest.mark.parametrize("name", choices())
def test_with_every_optimizer(name: str) -> None:
    """A part's first step is its optimizer's first: state begins with it, and later groups do not wait."""
    made = experiment(optimizer=choices()[name]())
    learner: Any = made.learner()
    batches = made.source(made.data.load()).stream(learner, 0)
    names = {id(p): n for n, p in learner.raw.named_parameters()}
    before = hashes(learner.raw.named_parameters())
    for step in range(14):
        learner.update(next(batches), step)
        held = {
            names[id(p)] for p, kept in learner.optimizer.state.items() if any(map(begins, kept.values()))
        }
        assert all(begun(n, step) for n in held)
        after = hashes(learner.raw.named_parameters())
        assert {n for n in after if after[n] != before[n]} <= {n for n in names.values() if begun(n, step)}
        before = after
    assert held in (set(), {n for n in names.values() if begun(n, 13)})


def test_a_part_that_begins_late_takes_the_steps_of_a_fresh_optimizer() -> None:
    """From the stage on it equals a run of its own with the gradients that it gets."""
    made = experiment(optimizer=AdamW(learning_rate=1e-3, weight_decay=0.0))
    learner: Any = made.learner()
    weight = learner.raw.body.stage_2[0].convolution_1.weight
    twin = weight.detach().clone().requires_grad_()
    fresh = torch.optim.AdamW([twin], lr=1e-3, weight_decay=0.0, fused=True)
    batches = made.source(made.data.load()).stream(learner, 0)
    for step in range(12):
        learner.update(next(batches), step)
        if step < 6:
            assert weight.grad is None
        else:
            twin.grad = weight.grad.clone()
            fresh.step()
    assert torch.equal(weight, twin)


@pytest.mark.parametrize("norms", ["frozen parts", "everywhere", "nowhere"])
def test_statistics_stay_where_they_are_asked_to(norms: Any) -> None:
    made = experiment(unfreezing=Unfreezing(stages=STAGES, freeze_norms=norms))
    learner = made.learner()
    _, statistics = changes(learner, made.source(made.data.load()), 13)
    buffers = {n for n, _ in learner.raw.named_buffers()}
    expected = {
        "frozen parts": [{n for n in buffers if begun(n, step)} for step in range(13)],
        "everywhere": [set()] * 13,
        "nowhere": [buffers] * 13,
    }
    assert statistics == expected[norms]


def test_frozen_statistics_are_what_normalises() -> None:
    """With the body at rest the head sees what evaluation sees, whatever came between."""
    model = resnet.tiny().model.build()
    model.train()(torch.randn(64, 1, 16, 16))  # statistics that are not those of any batch
    how = GradientDescent(
        objective=CrossEntropy(), optimizer=SGD(learning_rate=0.1, momentum=0.0),
        unfreezing=Unfreezing(stages=((0.0, ("head",)),)),
    )  # fmt: skip
    twin = copy.deepcopy(model)
    learner: Any = how.learner(model, 5, Parallel())
    images, labels = torch.randn(8, 1, 16, 16), torch.arange(8) % 4
    for step in range(5):
        learner.update((images, labels), step)
        model.eval()  # an evaluation
    features = twin.eval().body(images).mean(dim=(2, 3)).detach()
    optimizer = torch.optim.SGD(twin.head.parameters(), lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin.head(features), labels).backward()
        optimizer.step()
    torch.testing.assert_close(model.head.weight, twin.head.weight, rtol=1e-6, atol=1e-7)


def test_without_stages_no_bit_changes() -> None:
    made = [experiment(unfreezing=u) for u in (Unfreezing(), Unfreezing(freeze_norms="nowhere"))]
    moving = experiment(unfreezing=Unfreezing(stages=((0.0, ("head", "body")),)))  # all of it, by name
    weights = []
    for one in (*made, moving):
        learner = one.learner()
        train(learner, one.source(one.data.load()), steps=6)
        weights.append(hashes(learner.model.state_dict().items()))
    assert weights[0] == weights[1] == weights[2]


@pytest.mark.parametrize("stop", [2, 6, 9, 12, 15])
def test_a_run_resumes_to_the_same_bits_in_every_stage(stop: int) -> None:
    made = experiment(average=0.9, optimizer=AdamW(learning_rate=1e-2))
    data = made.data.load()
    straight, resumed = made.learner(), made.learner()
    train(straight, made.source(data), steps=stop)
    state = copy.deepcopy(gather(straight, {"learner": straight}))
    train(straight, made.source(data), steps=20, start=stop)
    scatter(state, resumed, {"learner": resumed})
    train(resumed, made.source(data), steps=20, start=stop)
    for name in straight.modules:
        pair = [hashes(one.modules[name].state_dict().items()) for one in (straight, resumed)]
        assert pair[0] == pair[1]


def test_a_recorded_run_is_stopped_and_goes_on(tmp_path: Path) -> None:
    made = experiment(optimizer=SGD(learning_rate=0.05))
    straight = train_verb(made, out=tmp_path / "straight", export=False)

    def stop(event: Event) -> None:
        if event.steps == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_verb(made, out=tmp_path / "run", export=False, observers=[stop])
    assert resume(tmp_path / "run", experiment=made, export=False).digest == straight.digest


def test_the_command_line_sets_stages(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["train", "tests.cli.tiny_recipe:recipe", "--out", str(tmp_path / "run"), "--json"]
    command += ["--no-export", "--set", "steps=4"]
    assert main([*command, "--set", "learning.unfreezing.stages=[(0, ['heads'])]"]) == 2
    assert "has no part 'heads' with parameters to train; there is" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
    settings = [
        ("learning.unfreezing.stages", "[(0, ['head']), (0.5, ['body'])]"),
        ("freeze_norms", "everywhere"),
    ]
    made = override_all(experiment(), settings)
    assert made.learning.unfreezing == Unfreezing(
        stages=((0.0, ("head",)), (0.5, ("body",))), freeze_norms="everywhere"
    )


def test_a_live_model_and_optimizer_are_left_as_they_were() -> None:
    """The budget trains the module itself for a moment; what it froze must not stay frozen."""
    model = resnet.tiny().model.build()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    made = dataclasses.replace(experiment(optimizer=Live(optimizer)), model=LiveModel(model))
    before = hashes(model.named_parameters())
    assert Budget(30.0).steps(made, made.data.load(), Parallel()) >= 1
    assert hashes(model.named_parameters()) == before
    learner = made.learner()
    parameters, _ = changes(learner, made.source(made.data.load()), 20)
    assert parameters[0] == {"head.weight", "head.bias"} and len(parameters[-1]) > 10


def test_a_budget_of_time_is_planned_with_all_parts_moving() -> None:
    class Clock(nn.Module):
        """Counts how often its late part moves."""

        def __init__(self) -> None:
            super().__init__()
            self.moved = 0
            self.head, self.body = nn.Linear(256, 4), nn.Linear(256, 256)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            self.moved += self.training and self.body.weight.requires_grad
            return self.head(self.body(image.flatten(1)))

    clock = Clock()
    made = experiment(unfreezing=Unfreezing(stages=((0.0, ("head",)), (0.9, ("body",)))))
    made = dataclasses.replace(made, model=LiveModel(clock), steps=2000)
    Budget(30.0).steps(made, made.data.load(), Parallel())
    assert clock.moved == 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """Each exchanges the gradients of what moves; without normalisation, whose statistics are its own."""
    made = experiment(
        unfreezing=Unfreezing(stages=STAGES, freeze_norms="everywhere"),
        optimizer=SGD(learning_rate=0.02, momentum=0.9), accumulate=2,
    )  # fmt: skip

    def run(parallel: Parallel) -> dict[str, list[float]]:
        learner: Any = made.learner(parallel)
        train(learner, made.source(made.data.load(), parallel), steps=20, rank=parallel.rank)
        return {n: p.flatten()[:5].tolist() for n, p in learner.raw.named_parameters()}

    def work(rank: int) -> None:
        (tmp_path / str(rank)).write_text(json.dumps(run(join("cpu"))))
        leave()

    assert together(work) == [0, 0]
    first, second = (json.loads((tmp_path / rank).read_text()) for rank in "01")
    alone = run(Parallel())
    assert first == second
    for name, values in alone.items():
        assert first[name] == pytest.approx(values, rel=1e-3, abs=1e-5), name


def planned(stages: Any) -> Callable[[], Any]:
    return lambda: Unfreezing(stages=stages)


def elsewhere() -> None:
    how = Unfreezing()
    object.__setattr__(how, "freeze_norms", "all")  # past the check of types, which only tests have
    how.__post_init__()


def with_scheduler() -> GradientDescent:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    return dataclasses.replace(
        experiment().learning, optimizer=Live(optimizer, ExponentialLR(optimizer, 0.9))
    )


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (planned((("head", 0.0),)), "it must hold pairs (fraction of the run, names of parts)"),
    (planned(((0.0, "head"),)), "it must hold pairs (fraction of the run, names of parts)"),
    (planned(((0.0, ()),)), "it must hold pairs (fraction of the run, names of parts)"),
    (planned((0.0, ("head",))), "it must hold pairs (fraction of the run, names of parts)"),
    (planned(((0.1, ("head",)),)), "stages begin at 0.1; the first must begin at 0"),
    (planned(((0.0, ("head",)), (1.0, ("body",)))), "begin at 0.0, 1.0; the first must begin at 0, each"),
    (planned(((0.0, ("a",)), (0.5, ("b",)), (0.5, ("c",)))), "0.0, 0.5, 0.5; the first must begin at 0"),
    (elsewhere, "freeze_norms is 'all'; it must be one of ('frozen parts',"),
    (with_scheduler, "its scheduler knows those it had: leave one out"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        make()


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (((0.0, ("head",)), (0.5, ("body.stage_9",))), "no part 'body.stage_9' with parameters to train"),
        (((0.0, ("head",)), (0.5, ("body.stem.relu",))), "no part 'body.stem.relu' with parameters to train"),
        (((0.0, ("body",)), (0.5, ("body.stem",))), "body.stem at 0.5 moves already; leave that stage out"),
    ],
)  # fmt: skip
def test_parts_that_the_model_has_not_are_refused(stages: Any, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        experiment(unfreezing=Unfreezing(stages=stages)).learner()
