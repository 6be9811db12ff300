"""Clipping against torch's and timm's, and a recurrent network that needs it."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fathom.fundamentals.optimizers.gradient_clipping import (
    clip_adaptive,
    clip_adaptive_by_hand,
    clip_norm,
    clip_norm_by_hand,
    clip_value,
    total_norm,
    unit_norm,
)
from fathom.fundamentals.optimizers.sgd import sgd

SHAPES = ((3, 4), (5,), (2, 3, 2, 2), (), (1,))


def parameters(seed: int, size: float = 1.0) -> list[Tensor]:
    """Tensors with gradients of every number of axes, the last without one."""
    dice = torch.Generator().manual_seed(seed)
    held = [torch.randn(s, dtype=torch.float64, generator=dice).requires_grad_() for s in SHAPES]
    for p in held[:-1]:
        p.grad = size * torch.randn(p.shape, dtype=torch.float64, generator=dice)
    return held


def gradients(held: list[Tensor]) -> list[Tensor | None]:
    return [p.grad for p in held]


def equal(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    pairs = zip(gradients(ours), gradients(theirs), strict=True)
    return all((a is None and b is None) or torch.equal(a, b) for a, b in pairs)  # type: ignore[arg-type]


def test_norm_and_value_equal_those_of_torch_on_a_hundred_cases() -> None:
    for seed in range(100):
        size = 10.0 ** (seed % 5 - 2)
        for order in (2.0, 1.0, math.inf):
            ours, theirs = parameters(seed, size), parameters(seed, size)
            norm = clip_norm(ours, 0.7, order)
            assert torch.equal(norm, nn.utils.clip_grad_norm_(theirs, 0.7, order))
            assert equal(ours, theirs)
        ours, theirs = parameters(seed, size), parameters(seed, size)
        clip_value(ours, 0.3)
        nn.utils.clip_grad_value_(theirs, 0.3)
        assert equal(ours, theirs)


def test_norm_is_taken_over_all_tensors_together() -> None:
    held = parameters(0, 10.0)
    before = [g.clone() for g in gradients(held) if g is not None]
    clip_norm(held, 0.5)
    after = [g for g in gradients(held) if g is not None]
    for a, b in zip(after, clip_norm_by_hand(before, 0.5), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)
    assert float(torch.cat([g.flatten() for g in after]).norm()) == pytest.approx(0.5, rel=1e-6)


@pytest.mark.slow
def test_adaptive_clipping_equals_that_of_timm_on_a_hundred_cases() -> None:
    from timm.utils import adaptive_clip_grad

    for seed in range(100):
        size = 10.0 ** (seed % 7 - 4)
        ours, theirs = parameters(seed, size), parameters(seed, size)
        clip_adaptive(ours, 0.05, 1e-3)
        adaptive_clip_grad(theirs, 0.05, 1e-3)
        assert equal(ours, theirs)


def test_adaptive_clipping_bounds_each_unit_by_its_own_weights() -> None:
    held = parameters(1, 10.0)
    weight, kernel = held[0], held[2]
    assert weight.grad is not None and kernel.grad is not None
    expected = clip_adaptive_by_hand(weight.detach(), weight.grad.clone(), 0.01, 1e-3)
    clip_adaptive(held, 0.01)
    torch.testing.assert_close(weight.grad, expected, rtol=1e-12, atol=1e-14)
    for p in (weight, kernel):
        assert p.grad is not None
        torch.testing.assert_close(unit_norm(p.grad), 0.01 * unit_norm(p.detach()), rtol=1e-6, atol=0)


def test_small_gradients_are_not_touched() -> None:
    clips: tuple[Callable[[list[Tensor]], Any], ...] = (
        lambda p: clip_norm(p, 1e3),
        lambda p: clip_value(p, 1e3),
        lambda p: clip_adaptive(p, 1e3),
    )
    for clip in clips:
        held = parameters(2)
        clip(held)
        assert equal(held, parameters(2))


RHYME = "row, row, row your boat, gently down the stream.\nmerrily, merrily, life is but a dream.\n" * 4
LETTERS = sorted(set(RHYME))


class Speller(nn.Module):
    """A recurrent network with ReLU, whose products along time nothing bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), 16)
        self.recurrent = nn.RNN(16, 48, batch_first=True, nonlinearity="relu")
        self.head = nn.Linear(48, len(LETTERS))

    def forward(self, letters: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(letters))[0])


def last_loss(rate: float, clipping: float | None) -> float:
    torch.manual_seed(0)
    text = torch.tensor([LETTERS.index(c) for c in RHYME])
    model, dice = Speller(), torch.Generator().manual_seed(1)
    optimizer = sgd(model.parameters(), rate, momentum=0.9)
    loss = torch.zeros(())
    for _ in range(70):
        starts = torch.randint(len(text) - 41, (16,), generator=dice).tolist()
        batch = torch.stack([text[i : i + 41] for i in starts])
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        if clipping is not None:
            clip_norm(model.parameters(), clipping)
        optimizer.step()
    return loss.item()


def test_a_recurrent_network_at_ten_times_its_rate_diverges_without_and_learns_with_clipping() -> None:
    """The loss begins at ln 22 = 3.1. A rate of 0.1 is fine, 1.0 is not, and with clipping it is again."""
    assert last_loss(0.1, None) < 0.3
    assert not last_loss(1.0, None) < 3.1
    assert last_loss(1.0, 0.25) < 0.3


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_zeros_huge_values_empty_tensors_and_half_precision(kind: torch.dtype) -> None:
    for value in (0.0, 1e4, -1e4):
        for clip in (lambda p: clip_norm(p, 1.0), lambda p: clip_value(p, 1.0), clip_adaptive):
            held = [torch.ones(s, dtype=kind, requires_grad=True) for s in ((2, 2), (1,), (0,))]
            for p in held:
                p.grad = torch.full_like(p, value)
            clip(held)
            for p in held:
                assert p.grad is not None and p.grad.dtype == kind and p.grad.isfinite().all()
                assert (p.grad.abs() <= 1.01).all()
    for clip in (lambda p: clip_norm(p, 1.0), lambda p: clip_value(p, 1.0), clip_adaptive):
        clip([torch.ones(2, requires_grad=True)])  # no gradient anywhere


def test_bad_input_is_refused() -> None:
    held = parameters(0)
    for maximum in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"maximum is {maximum}; it must be positive"):
            clip_norm(held, maximum)
        with pytest.raises(ValueError, match=f"maximum is {maximum}"):
            clip_value(held, maximum)
    for order in (0.0, -2.0, -math.inf, math.nan):
        refused = rf"order is {order}; it must be positive, or infinity: 2.0 is the length"
        with pytest.raises(ValueError, match=refused):
            clip_norm(held, 1.0, order=order)
        for held_apart in ([torch.ones(3)], [torch.ones(3), torch.ones(2).double()], []):
            with pytest.raises(ValueError, match=refused):
                total_norm(held_apart, order)
    with pytest.raises(ValueError, match=r"fraction is -0.1; it must be positive"):
        clip_adaptive(held, -0.1)
    with pytest.raises(ValueError, match=r"least is 0.0; it must be positive"):
        clip_adaptive(held, 0.1, 0.0)
    held[0].grad = torch.full((3, 4), math.inf, dtype=torch.float64)
    with pytest.raises(ValueError, match="norm of the gradients is inf; it must be finite"):
        clip_norm(held, 1.0, refuse=True)


@pytest.mark.parametrize("kinds", [(torch.float32, torch.float32), (torch.float32, torch.float64), ()])
def test_the_norm_is_that_of_torch_to_the_bit(kinds: tuple[torch.dtype, ...]) -> None:
    dice = torch.Generator().manual_seed(0)
    gradients = [torch.randn(5, 3, generator=dice).to(kind) for kind in kinds]
    for order in (1.0, 2.0, float("inf")):
        assert torch.equal(total_norm(gradients, order), torch.nn.utils.get_total_norm(gradients, order))
