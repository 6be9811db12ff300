"""SAM in a recipe: two gradients a step, through accumulation, clipping, float16, failures and resume."""

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fathom.architectures.convolutional import lenet
from fathom.settings import override_all
from fathom.training import SAM, SGD, CrossEntropy, GradientDescent, Lookahead, Parallel, Precision
from fathom.training.guard import NonFinite
from fathom.training.randomness import seed_step
from fathom.verbs.train import resume, train

INNER = SGD(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=0.01)


def classifier(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 3)).double()


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(3)
    return torch.randn(24, 6, generator=dice).to(dtype), torch.randint(3, (24,), generator=dice)


def learner(model: nn.Module, adaptive: bool = False, **how: Any) -> Any:
    optimizer = SAM(inner=INNER, radius=0.2, adaptive=adaptive)
    return GradientDescent(**{"objective": CrossEntropy(), "optimizer": optimizer} | how).learner(
        model, 20, Parallel()
    )


def by_hand(
    model: nn.Module, steps: int, adaptive: bool = False, clip: float | None = None
) -> tuple[Tensor, Tensor]:
    """SAM around SGD with momentum, written out; losses, and norms of the gradients that are stepped with."""
    decayed, rest = ([p for p in model.parameters() if (p.ndim >= 2) == wide] for wide in (True, False))
    inner = torch.optim.SGD([{"params": decayed, "weight_decay": 0.01}, {"params": rest}], 0.1, 0.9)
    parameters, losses, norms = [*decayed, *rest], [], []
    x, y = batch()
    for step in range(steps):
        seed_step(7, step)
        loss = F.cross_entropy(model(x), y)
        slopes = torch.autograd.grad(loss, parameters)
        before = [p.detach().clone() for p in parameters]
        units = [p.abs() if adaptive else torch.ones_like(p) for p in before]
        size = sum(((g * u) ** 2).sum() for g, u in zip(slopes, units, strict=True)) ** 0.5
        with torch.no_grad():
            for p, g, u in zip(parameters, slopes, units, strict=True):
                p += 0.2 * u * u * g / size
        seed_step(7, step)
        inner.zero_grad()
        F.cross_entropy(model(x), y).backward()
        with torch.no_grad():
            for p, b in zip(parameters, before, strict=True):
                p.copy_(b)
        norms.append(nn.utils.clip_grad_norm_(parameters, clip or float("inf")))
        losses.append(loss.detach())
        inner.step()
    return torch.stack(losses), torch.stack(norms)


def same(a: nn.Module, b: nn.Module) -> None:
    for p, q in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("adaptive", "clip"), [(False, None), (True, None), (False, 0.05)])
def test_an_update_is_the_step_written_out(adaptive: bool, clip: float | None) -> None:
    """The loss is that of the place itself; norm and clipping belong to the gradient of the step."""
    model = classifier()
    ours = learner(copy.deepcopy(model), adaptive, clip_norm=clip)
    made = [ours.update(batch(), step) for step in range(12)]
    losses, norms = by_hand(model, 12, adaptive, clip)
    torch.testing.assert_close(torch.stack([m["loss"] for m in made]), losses, rtol=1e-10, atol=0)
    torch.testing.assert_close(torch.stack([m["grad_norm"] for m in made]), norms, rtol=1e-10, atol=0)
    same(ours.raw, model)
    plain = learner(classifier(), optimizer=INNER)
    for step in range(12):
        plain.update(batch(), step)
    assert not torch.allclose(plain.raw[0].weight, ours.raw[0].weight, rtol=1e-3)


def test_both_passes_drop_the_same_units() -> None:
    model = classifier(dropout=0.5)
    ours = learner(copy.deepcopy(model))
    for step in range(6):
        seed_step(7, step)
        ours.update(batch(), step)
    by_hand(model, 6)
    same(ours.raw, model)


@pytest.mark.parametrize("parts", [2, 5, 24])
def test_accumulated_steps_equal_those_of_the_big_batch(parts: int) -> None:
    model = classifier()
    whole, pieces = learner(copy.deepcopy(model)), learner(copy.deepcopy(model), accumulate=parts)
    for step in range(4):
        a, b = whole.update(batch(), step), pieces.update(batch(), step)
        assert float(b["loss"]) == pytest.approx(float(a["loss"]), rel=1e-6)
    for p, q in zip(whole.raw.parameters(), pieces.raw.parameters(), strict=True):
        torch.testing.assert_close(q, p, rtol=1e-6, atol=1e-9)


class Fragile(nn.Module):
    """A linear map that does something else at its second call in training, away from its weights."""

    def __init__(self, trouble: Callable[[Tensor], Tensor], call: int) -> None:
        super().__init__()
        self.linear, self.trouble, self.call, self.calls = nn.Linear(6, 3), trouble, call, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits = self.linear(x)
        return self.trouble(logits) if self.calls == self.call else logits


def failing(logits: Tensor) -> Tensor:
    raise KeyboardInterrupt


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize(
    ("trouble", "error"), [(lambda z: z * torch.inf, NonFinite), (failing, KeyboardInterrupt)]
)
def test_weights_are_where_they_were_after_a_failure_in_either_pass(
    trouble: Any, error: Any, call: int
) -> None:  # fmt: skip
    model = Fragile(trouble, call)
    ours = learner(model)
    before = model.linear.weight.detach().clone()
    with pytest.raises(error):
        ours.update(batch(torch.float32), 0)
    assert torch.equal(model.linear.weight, before)
    assert not ours.optimizer.state


@pytest.mark.parametrize("call", [1, 2])
def test_float16_overflow_in_either_pass_skips_the_step_and_lowers_the_scale(call: int) -> None:
    model = Fragile(lambda z: z * 1e30, call)
    ours = learner(model, precision=Precision(compute="fp16"))
    before, scale = model.linear.weight.detach().clone(), ours.arithmetic.scaler.get_scale()
    ours.update(batch(torch.float32), 0)
    assert torch.equal(model.linear.weight, before) and ours.arithmetic.scaler.get_scale() < scale
    ours.update(batch(torch.float32), 1)
    assert not torch.equal(model.linear.weight, before)


@pytest.mark.parametrize("compute", ["bf16", "fp16"])
def test_low_precision_trains_close_to_full(compute: Any) -> None:
    full, low = (learner(classifier().float(), precision=Precision(compute=c)) for c in ("fp32", compute))
    for step in range(4):
        a, b = (float(one.update(batch(torch.float32), step)["loss"]) for one in (full, low))
        assert b == pytest.approx(a, rel=3e-2)
    for p, q in zip(full.raw.parameters(), low.raw.parameters(), strict=True):
        torch.testing.assert_close(q, p, rtol=0.1, atol=0.02)


def test_a_recipe_names_it_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    settings = [
        ("steps", "24"), ("evaluate_every", "8"), ("learning.optimizer", "SAM"), ("radius", "0.1"),
        ("learning.optimizer.inner", "Lookahead"), ("learning.optimizer.inner.inner", "Lion"),
        ("learning.optimizer.inner.inner.learning_rate", "1e-3"),
    ]  # fmt: skip
    assert override_all(lenet.tiny(), settings).learning.optimizer.radius == 0.1
    straight = train(lenet.tiny(), settings=settings, out=tmp_path / "straight", export=False)

    def stop(event: Any) -> None:
        if event.steps == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(lenet.tiny(), settings=settings, out=tmp_path / "run", export=False, observers=[stop])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["learning.optimizer"] == "SAM"
    assert resume(tmp_path / "run", experiment=lenet.tiny(), export=False).digest == straight.digest


def test_its_average_and_its_place_among_others() -> None:
    averaged = learner(classifier(), average=0.9)
    averaged.update(batch(), 0)
    assert averaged.model is averaged.modules["average"]
    for wrong in (lambda: Lookahead(inner=SAM()), lambda: SAM(inner=SAM())):
        with pytest.raises(ValueError, match="inner is SAM"):
            wrong()
    assert dataclasses.replace(SAM(), inner=Lookahead()).build(nn.Linear(2, 2)) is not None
