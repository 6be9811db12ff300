"""Adaptive clipping in a recipe: gradients of the primitive, the order of the clips, accumulation, resume."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.architectures.convolutional import lenet
from fathom.cli.command import main
from fathom.errors import InputError
from fathom.fundamentals.optimizers.gradient_clipping import clip_adaptive, clip_norm, clip_value
from fathom.recipes.lenet import lenet as recipe
from fathom.settings import override
from fathom.training import SGD, CrossEntropy, GradientDescent, Parallel, Precision
from fathom.verbs.train import resume, train


def classifier() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 3))


def batch() -> tuple[Tensor, Tensor]:
    dice = torch.Generator().manual_seed(3)
    return torch.randn(24, 6, generator=dice), torch.randint(3, (24,), generator=dice)


def learner(model: nn.Module, **how: Any) -> Any:
    settings = {"objective": CrossEntropy(), "optimizer": SGD(learning_rate=0.1, momentum=0.0)} | how
    return GradientDescent(**settings).learner(model, 10, Parallel())


def slopes(model: nn.Module, kind: torch.dtype = torch.float32) -> list[Tensor]:
    """The gradients of one batch, which stay in the model."""
    x, y = batch()
    nn.functional.cross_entropy(model(x.to(kind)), y).backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize(
    "others", [{}, {"clip_norm": 0.02}, {"clip_value": 0.002}, {"clip_norm": 0.02, "clip_value": 0.002}]
)
def test_units_come_first_then_all_together_then_each_entry(others: dict[str, float]) -> None:
    model = classifier().double()  # sums of norms depend on where tensors lie: a rounding shows no order
    twin = copy.deepcopy(model)
    made = learner(model, clip_adaptive=0.01, **others).update((batch()[0].double(), batch()[1]), 0)
    found = slopes(twin, torch.float64)
    whole = torch.linalg.vector_norm(torch.cat([g.flatten() for g in found]))
    clip_adaptive(twin.parameters(), 0.01)
    if "clip_norm" in others:
        assert clip_norm(twin.parameters(), 0.02) > 0.02  # or it did nothing
    if "clip_value" in others:
        assert max(float(g.abs().max()) for g in found) > 0.002
        clip_value(twin.parameters(), 0.002)
    for p, g in zip(model.parameters(), found, strict=True):
        assert p.grad is not None
        torch.testing.assert_close(p.grad, g, rtol=1e-12, atol=0)
    assert float(made["grad_norm"]) == pytest.approx(float(whole), rel=1e-6)  # logged as it was before


def test_no_unit_moves_further_than_its_share() -> None:
    """With a rate of 1 a step changes a row by at most the share of its length, or of the least length."""
    model = classifier()
    before = [p.detach().clone() for p in model.parameters()]
    learner(model, clip_adaptive=0.01, optimizer=SGD(learning_rate=1.0, momentum=0.0)).update(batch(), 0)
    for old, new in zip(before, model.parameters(), strict=True):
        rows = (lambda t: t.flatten(1).norm(dim=1)) if old.ndim > 1 else (lambda t: t.norm())
        assert (rows(new.detach() - old) <= 0.01 * rows(old).clamp(min=1e-3) * (1 + 1e-3)).all()


def test_accumulated_steps_clip_what_the_big_batch_has() -> None:
    whole, pieces = (learner(classifier(), clip_adaptive=0.01, accumulate=n) for n in (1, 4))
    for step in range(3):
        whole.update(batch(), step)
        pieces.update(batch(), step)
    for a, b in zip(whole.raw.parameters(), pieces.raw.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-7)


def test_scaled_gradients_are_clipped_at_their_true_size() -> None:
    full, half = (
        learner(classifier(), clip_adaptive=0.01, precision=Precision(compute=c)) for c in ("fp32", "fp16")
    )
    full.update(batch(), 0)
    half.update(batch(), 0)
    for a, b in zip(full.raw.parameters(), half.raw.parameters(), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-2, atol=1e-4)


def test_a_recipe_names_it_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    assert override(recipe(), "learning.clip_adaptive", "0.01").learning.clip_adaptive == 0.01
    assert override(recipe(), "clip_adaptive", "None") == recipe()  # off, unless asked for
    settings = [("learning.clip_adaptive", "0.01"), ("steps", "24"), ("evaluate_every", "8")]
    straight = train(lenet.tiny(), settings=settings, out=tmp_path / "straight", export=False)

    def stop(event: Any) -> None:
        if event.steps == 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(lenet.tiny(), settings=settings, out=tmp_path / "run", export=False, observers=[stop])
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["settings"]["learning.clip_adaptive"] == 0.01
    assert resume(tmp_path / "run", experiment=lenet.tiny(), export=False).digest == straight.digest
    plain = train(lenet.tiny(), settings=settings[1:], out=tmp_path / "plain", export=False)
    assert plain.digest != straight.digest


@pytest.mark.parametrize("value", ["0", "-0.01", "nan"])
def test_nonsense_is_refused(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "lenet", "--set", f"learning.clip_adaptive={value}"]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert "clip_adaptive" in said and ("must be positive" in said or "takes float" in said)
    with pytest.raises(InputError, match="clip_adaptive"):
        override(recipe(), "learning.clip_adaptive", value)
