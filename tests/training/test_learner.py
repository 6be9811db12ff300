"""The usual learner: accumulation, clipping, averages, precision, schedules, live optimizers, guards."""

import copy
import dataclasses
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.training import (
    SGD,
    Adam,
    AdamW,
    CrossEntropy,
    GradientDescent,
    MeanSquaredError,
    NextToken,
    OneCycle,
    Parallel,
    Precision,
    Reconstruction,
    WarmupCosine,
)
from fathom.training.guard import NonFinite, locate
from fathom.training.objectives import IGNORE
from fathom.training.optim import Live
from fathom.training.schedules import Constant, Drops, Triangle


class Speller(nn.Module):
    """Token -> logits of the next token, position by position."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 16)
        self.out = nn.Linear(16, 11)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(torch.tanh(self.embed(tokens)))


def classifier() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3))


def batch_of(kind: str) -> tuple[nn.Module, Any, Any]:
    dice = torch.Generator().manual_seed(3)
    if kind == "classes":
        data = torch.randn(24, 6, generator=dice), torch.randint(3, (24,), generator=dice)
        return classifier(), CrossEntropy(label_smoothing=0.1), data
    if kind == "regression":
        data = torch.randn(24, 6, generator=dice), torch.randn(24, 3, generator=dice)
        return classifier(), MeanSquaredError(), data
    if kind == "reconstruction":
        return nn.Linear(6, 6), Reconstruction(), (torch.randn(24, 6, generator=dice), torch.zeros(24))
    tokens = torch.randint(11, (24, 9), generator=dice)
    targets = tokens.roll(-1, dims=1)
    lengths = torch.randint(1, 10, (24, 1), generator=dice)  # sequences of unequal length
    targets = targets.masked_fill(torch.arange(9)[None] >= lengths, IGNORE)
    return Speller(), NextToken(), (tokens, targets)


def learner(model: nn.Module, steps: int = 10, **how: Any) -> Any:
    settings = {"objective": CrossEntropy(), "optimizer": SGD(learning_rate=0.1, momentum=0.0)} | how
    return GradientDescent(**settings).learner(model, steps, Parallel())


@pytest.mark.parametrize("parts", [2, 3, 8, 24])
@pytest.mark.parametrize("kind", ["classes", "regression", "tokens", "reconstruction"])
def test_accumulated_gradients_equal_those_of_the_big_batch(kind: str, parts: int) -> None:
    model, objective, batch = batch_of(kind)
    model = model.double()
    batch = tuple(c.double() if c.is_floating_point() else c for c in batch)
    whole = learner(copy.deepcopy(model), objective=objective)
    pieces = learner(copy.deepcopy(model), objective=objective, accumulate=parts)
    loss, loss_of_pieces = whole.update(batch, 0)["loss"], pieces.update(batch, 0)["loss"]
    torch.testing.assert_close(loss_of_pieces.double(), loss, rtol=1e-6, atol=1e-7)
    for a, b in zip(whole.raw.parameters(), pieces.raw.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-6, atol=1e-9)


def test_update_is_the_textbook_step() -> None:
    model, objective, batch = batch_of("classes")
    ours = learner(copy.deepcopy(model), objective=objective)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(5):
        ours.update(batch, step)
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1], label_smoothing=0.1).backward()
        optimizer.step()
    for a, b in zip(ours.raw.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("clip", "kind"), [({"clip_norm": 0.01}, "norm"), ({"clip_value": 0.001}, "value")])
def test_clipping(clip: dict[str, float], kind: str) -> None:
    model, objective, batch = batch_of("classes")
    ours = learner(model, objective=objective, **clip)
    metrics = ours.update(batch, 0)
    gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert metrics["grad_norm"] > 0.01  # what is logged is the norm before
    if kind == "norm":
        assert gradients.norm() == pytest.approx(0.01, rel=1e-4)
    else:
        assert gradients.abs().max() == pytest.approx(0.001)


def test_average_follows_the_definition_and_is_what_is_shipped() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    ours = learner(model, average=0.9, optimizer=AdamW(learning_rate=0.01))
    expected = {n: t.clone() for n, t in model.state_dict().items()}
    for step in range(8):
        ours.update((torch.randn(12, 6), torch.randint(3, (12,))), step)
        decay = min(0.9, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = decay * expected[name] + (1 - decay) * tensor
            else:
                expected[name] = tensor.clone()
    for name, tensor in ours.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)
    assert ours.model is not model and ours.modules["average"] is ours.model


@pytest.mark.parametrize("compute", ["bf16", "fp16"])
def test_low_precision_trains_close_to_full(compute: Any) -> None:
    model, objective, batch = batch_of("classes")
    full = learner(copy.deepcopy(model), objective=objective)
    low = learner(copy.deepcopy(model), objective=objective, precision=Precision(compute=compute))
    for step in range(4):
        a, b = full.update(batch, step)["loss"], low.update(batch, step)["loss"]
        assert float(a) == pytest.approx(float(b), rel=3e-2)
    assert all(p.dtype == torch.float32 for p in low.raw.parameters())
    if compute == "fp16":
        state = low.state()
        assert state["scaler"]["scale"] > 0
        low.load_state(state)


def test_float16_overflow_skips_the_step_and_lowers_the_scale() -> None:
    model = nn.Linear(2, 2)
    ours = learner(model, precision=Precision(compute="fp16"))
    before = model.weight.detach().clone()
    scale = ours.arithmetic.scaler.get_scale()
    ours.update((torch.full((2, 2), 1e30), torch.tensor([0, 1])), 0)
    assert torch.equal(model.weight, before)
    assert ours.arithmetic.scaler.get_scale() < scale


@pytest.mark.parametrize("accumulate", [1, 4])
def test_schedule_counts_optimizer_steps(accumulate: int) -> None:
    model, objective, batch = batch_of("classes")
    schedule = OneCycle(peak=0.25)
    ours = learner(model, steps=20, objective=objective, schedule=schedule, accumulate=accumulate)
    rates = [ours.update(batch, step)["learning_rate"] for step in range(20)]
    assert rates == pytest.approx([0.1 * schedule(step / 20) for step in range(20)])
    assert max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Constant(), {0.0: 1, 0.9: 1}),
        (WarmupCosine(warmup=0.1, floor=0.2), {0.0: 0, 0.05: 0.5, 0.1: 1, 0.55: 0.6, 1.0: 0.2}),
        (OneCycle(peak=0.5, start=0.2, end=0.0), {0.0: 0.2, 0.25: 0.6, 0.5: 1.0, 0.75: 0.5, 1.0: 0.0}),
        (Triangle(peak=0.2, start=0.0, end=0.0), {0.0: 0, 0.1: 0.5, 0.2: 1, 0.6: 0.5}),
        (Drops(at=(0.5, 0.75), factor=0.1), {0.49: 1, 0.5: 0.1, 0.75: 0.01}),
    ],
)
def test_schedules_by_value(schedule: Any, points: dict[float, float]) -> None:
    for progress, factor in points.items():
        assert schedule(progress) == pytest.approx(factor, abs=1e-9)


def test_live_optimizer_and_scheduler_of_torch() -> None:
    model, objective, batch = batch_of("classes")
    twin = copy.deepcopy(model)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    ours = learner(model, objective=objective, optimizer=Live(optimizer, scheduler))
    theirs = torch.optim.RMSprop(twin.parameters(), lr=0.01)
    plan = torch.optim.lr_scheduler.StepLR(theirs, step_size=2, gamma=0.5)
    for step in range(5):
        ours.update(batch, step)
        theirs.zero_grad()
        objective(twin, batch)[0].backward()
        theirs.step()
        plan.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    assert optimizer.param_groups[0]["lr"] == theirs.param_groups[0]["lr"] == 0.0025
    with pytest.raises(ValueError, match="not the model's"):
        learner(nn.Linear(2, 2), optimizer=Live(optimizer))


@pytest.mark.parametrize("config", [SGD(weight_decay=0.1), AdamW(weight_decay=0.1)])
def test_weight_decay_spares_vectors(config: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    groups = config.build(model).param_groups
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {id(model[0].weight)}
    assert sum(len(g["params"]) for g in groups) == 4


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: SGD(learning_rate=-1.0), "learning_rate"),
        (lambda: SGD(momentum=1.0), "momentum"),
        (lambda: Adam(betas=(0.9, 1.0)), "betas"),
        (lambda: AdamW(weight_decay=-1.0), "weight_decay"),
        (lambda: CrossEntropy(label_smoothing=1.0), "label_smoothing"),
        (lambda: OneCycle(peak=1.0), "peak"),
        (lambda: Precision(compute="fp8"), "compute"),  # type: ignore[arg-type]
        (lambda: learner(nn.Linear(1, 1), accumulate=0), "accumulate"),
        (lambda: learner(nn.Linear(1, 1), average=1.0), "average"),
        (lambda: learner(nn.Linear(1, 1), clip_norm=0.0), "clip_norm"),
    ],
)
def test_settings_refuse_nonsense(make: Any, field: str) -> None:
    with pytest.raises((ValueError, TypeError), match=field):
        make()


class Planted(nn.Module):
    """A network that takes the logarithm of a negative number in its second layer."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.first, self.second, self.fault = nn.Linear(4, 4), nn.Linear(4, 3), fault
        self.inner = nn.Sequential(nn.Identity(), Trouble(fault))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.inner(self.first(x)))


class Trouble(nn.Module):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        match self.fault:
            case "log":
                return torch.log(-x.abs() - 1)
            case "division":
                return x / (x - x)
            case "exp":
                return torch.exp(x * 1e4)
            case "sqrt":  # finite forward, infinite gradient at zero
                return torch.sqrt((x * 0).abs())
            case _:
                return x


@pytest.mark.parametrize(
    ("fault", "operation", "phase"),
    [
        ("log", "log", "forward"),
        ("division", "div", "forward"),
        ("exp", "exp", "forward"),
        ("sqrt", "", "backward"),
    ],
)
def test_guard_names_layer_and_operation(fault: str, operation: str, phase: str) -> None:
    model = Planted(fault)
    batch = torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1])
    ours = learner(model)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(NonFinite) as caught:
        ours.update(batch, 7)
    assert caught.value.step == 7
    assert all(
        torch.equal(before[n], t) for n, t in model.state_dict().items()
    )  # the optimizer has not moved
    origin = locate(model, lambda: F.cross_entropy(model(batch[0]), batch[1]), batch)
    assert origin is not None and origin.phase == phase
    assert operation in origin.operation
    assert origin.layer == "inner.1"


def test_guard_names_bad_rows_of_the_input_and_bad_weights() -> None:
    model = classifier()
    x = torch.randn(6, 6)
    x[4, 2] = float("nan")
    origin = locate(model, lambda: model(x).sum(), (x, torch.zeros(6)))
    assert origin is not None and (origin.phase, origin.rows) == ("input", (4,))
    with torch.no_grad():
        model[2].bias[0] = float("inf")
    clean = torch.randn(6, 6)
    origin = locate(model, lambda: model(clean).sum(), (clean, torch.zeros(6)))
    assert origin is not None and (origin.phase, origin.operation) == ("weights", "2.bias")


def test_compiled_network_is_chosen_by_a_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a compiler is at hand or not, the switch hands the model to ``torch.compile``."""
    seen: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda model: seen.append(model) or model)
    model, objective, batch = batch_of("classes")
    plain = learner(copy.deepcopy(model), objective=objective)
    assert not seen
    compiled = learner(copy.deepcopy(model), objective=objective, compile=True)
    assert seen == [compiled.raw]
    assert float(plain.update(batch, 0)["loss"]) == float(compiled.update(batch, 0)["loss"])


@pytest.mark.slow
def test_compiled_equals_eager() -> None:
    """One graph without a code generator (``aot_eager``): the same losses as eager execution."""
    model, objective, batch = batch_of("classes")
    eager = learner(copy.deepcopy(model), objective=objective)
    graph = learner(copy.deepcopy(model), objective=objective)
    graph.network = torch.compile(graph.raw, backend="aot_eager")
    for step in range(3):
        a, b = eager.update(batch, step)["loss"], graph.update(batch, step)["loss"]
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_experiment_settings_are_checked() -> None:
    from fathom.architectures.convolutional import lenet

    experiment = lenet.tiny()
    for change, field in (
        ({"steps": 0}, "steps"), ({"batch_size": 0}, "batch_size"), ({"keep": "first"}, "keep"),
        ({"patience": 3}, "evaluate_every"), ({"workers": -1}, "workers"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=field):
            dataclasses.replace(experiment, **change)


def test_an_optimizer_that_needs_a_closure_is_refused() -> None:
    with pytest.raises(ValueError, match=r"LBFGS, whose step asks a closure .* in a loop of your own"):
        Live(torch.optim.LBFGS([torch.zeros(1, requires_grad=True)]))
